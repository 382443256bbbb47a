"""A small SBML file as people write them: annotations in all forms of MIRIAM, an event, units and a lack of them."""

LICENCE = '<p>Under <a href="http://creativecommons.org/publicdomain/zero/1.0/">CC0</a>.</p>'
PUBLICATION = """<bqmodel:isDescribedBy><rdf:Bag><rdf:li rdf:resource="http://identifiers.org/doi/10.1000/demo"/>
</rdf:Bag></bqmodel:isDescribedBy>"""


def glucose(*, k: str = "0.05", licence: str = LICENCE, publication: str = PUBLICATION, more: str = "") -> bytes:
    """Return a model of glucose that is used up, with a meal at 60 min."""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<sbml xmlns="http://www.sbml.org/sbml/level3/version2/core" level="3" version="2">
<model id="glucose_use" metaid="m0" name="Use of glucose" timeUnits="minute" substanceUnits="mmol" extentUnits="mmol"
  volumeUnits="litre" sboTerm="SBO:0000293">
  <notes><body xmlns="http://www.w3.org/1999/xhtml"><p>A demonstration.</p>{licence}</body></notes>
  <annotation><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
    xmlns:bqmodel="http://biomodels.net/model-qualifiers/" xmlns:bqbiol="http://biomodels.net/biology-qualifiers/">
    <rdf:Description rdf:about="#m0">{publication}
      <bqbiol:hasTaxon><rdf:Bag><rdf:li rdf:resource="urn:miriam:taxonomy:9606"/></rdf:Bag></bqbiol:hasTaxon>
    </rdf:Description></rdf:RDF></annotation>
  <listOfUnitDefinitions>
    <unitDefinition id="minute"><listOfUnits><unit kind="second" exponent="1" scale="0" multiplier="60"/></listOfUnits>
    </unitDefinition>
    <unitDefinition id="mmol" metaid="u1" sboTerm="SBO:0000002"><listOfUnits>
      <unit kind="mole" exponent="1" scale="-3" multiplier="1"/></listOfUnits></unitDefinition>
    <unitDefinition id="per_minute"><listOfUnits><unit kind="second" exponent="-1" scale="0" multiplier="60"/>
    </listOfUnits></unitDefinition>
  </listOfUnitDefinitions>
  <listOfCompartments>
    <compartment id="blood" metaid="c1" spatialDimensions="3" size="5" units="litre" constant="true">
      <annotation><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
        xmlns:bqbiol="http://biomodels.net/biology-qualifiers/"><rdf:Description rdf:about="#c1">
        <bqbiol:is><rdf:Bag><rdf:li rdf:resource="http://identifiers.org/uberon/UBERON:0000178"/></rdf:Bag></bqbiol:is>
      </rdf:Description></rdf:RDF></annotation>
    </compartment>
  </listOfCompartments>
  <listOfSpecies>
    <species id="glucose" metaid="s1" name="glucose in blood" compartment="blood" initialConcentration="5.5"
      hasOnlySubstanceUnits="false" boundaryCondition="false" constant="false" sboTerm="SBO:0000247">
      <annotation><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
        xmlns:bqbiol="http://biomodels.net/biology-qualifiers/"><rdf:Description rdf:about="#s1">
        <bqbiol:is><rdf:Bag>
          <rdf:li rdf:resource="urn:miriam:obo.chebi:CHEBI%3A17234"/>
          <rdf:li rdf:resource="http://identifiers.org/chebi/CHEBI:17234"/>
          <rdf:li rdf:resource="https://identifiers.org/CHEBI:17234"/>
        </rdf:Bag></bqbiol:is>
        <bqbiol:isVersionOf><rdf:Bag><rdf:li rdf:resource="https://identifiers.org/kegg.compound:C00031"/></rdf:Bag>
        </bqbiol:isVersionOf>
      </rdf:Description></rdf:RDF></annotation>
    </species>
    <species id="insulin" metaid="s2" compartment="blood" initialAmount="1.5" hasOnlySubstanceUnits="false"
      boundaryCondition="false" constant="false"/>
  </listOfSpecies>
  <listOfParameters>
    <parameter id="k" metaid="p1" value="{k}" units="per_minute" constant="true" sboTerm="SBO:0000035"/>
    <parameter id="factor" value="1e-7" constant="true"/>
    <parameter id="given" constant="true"/>
    <parameter id="half" units="minute" constant="true"/>
    <parameter id="slow" metaid="p2" units="per_minute" constant="false"/>{more}
  </listOfParameters>
  <listOfInitialAssignments>
    <initialAssignment symbol="half"><math xmlns="http://www.w3.org/1998/Math/MathML">
      <apply><divide/><cn>0.5</cn><ci>k</ci></apply></math></initialAssignment>
  </listOfInitialAssignments>
  <listOfRules>
    <assignmentRule variable="slow" metaid="r1" sboTerm="SBO:0000391"><math xmlns="http://www.w3.org/1998/Math/MathML">
      <apply><divide/><ci>k</ci><cn>2</cn></apply></math></assignmentRule>
  </listOfRules>
  <listOfReactions>
    <reaction id="use" metaid="v1" reversible="false" sboTerm="SBO:0000179">
      <listOfReactants><speciesReference species="glucose" stoichiometry="1" constant="true"/></listOfReactants>
      <kineticLaw><math xmlns="http://www.w3.org/1998/Math/MathML"><apply><times/>
        <ci>blood</ci><ci>rate</ci><ci>k</ci><ci>glucose</ci></apply></math>
        <listOfLocalParameters><localParameter id="rate" metaid="l1" value="1" units="dimensionless"/>
        </listOfLocalParameters></kineticLaw>
    </reaction>
  </listOfReactions>
  <listOfEvents>
    <event id="meal" metaid="e1" name="a meal" useValuesFromTriggerTime="true" sboTerm="SBO:0000231">
      <trigger initialValue="true" persistent="true"><math xmlns="http://www.w3.org/1998/Math/MathML"><apply><geq/>
        <csymbol encoding="text" definitionURL="http://www.sbml.org/sbml/symbols/time">t</csymbol><cn>60</cn>
      </apply></math></trigger>
      <listOfEventAssignments><eventAssignment variable="glucose"><math xmlns="http://www.w3.org/1998/Math/MathML">
        <apply><plus/><ci>glucose</ci><cn>3</cn></apply></math></eventAssignment></listOfEventAssignments>
    </event>
  </listOfEvents>
</model>
</sbml>
""".encode()
