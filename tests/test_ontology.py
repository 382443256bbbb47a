"""The ontology's own files: the checks find nothing in ours and find what is broken; one test for each known trap."""

import re
import shutil
from collections import defaultdict
from pathlib import Path

import pytest
import rdflib
from owlrl import DeductiveClosure, OWLRL_Semantics
from rdflib import OWL, RDF, RDFS, URIRef

from pepr_kg.checks import Problem, check_ontology
from pepr_kg.namespaces import ID, KINDS, ONTOLOGY_GRAPH, PEPR, PREFIXES
from pepr_kg.rdf import serialize_triples
from pepr_kg.reasoning import merge
from pepr_kg.resources import ontology_dir, queries_dir, shapes_dir
from pepr_kg.store import NamedNode, RdfFormat, parse_file
from pepr_kg.twin.units import convert, parse_unit

FILES = sorted(ontology_dir().rglob("*.ttl"))
FACTS = [path for path in FILES if path.parent.name in {"facts", "models", "cohorts"}]
PROPERTY_KINDS = (OWL.ObjectProperty, OWL.DatatypeProperty, OWL.AnnotationProperty)
SOSA = PREFIXES["sosa"]
OBO = PREFIXES["obo"]
DPV = "https://w3id.org/dpv"
ORGANISATION = URIRef(PEPR + "Organisation")

# What makes an axiom: a triple with one of these has consequences for a reasoner.
AXIOMS = {
    RDFS.subClassOf, RDFS.subPropertyOf, RDFS.domain, RDFS.range, OWL.equivalentClass, OWL.equivalentProperty,
    OWL.inverseOf, OWL.disjointWith, OWL.onProperty, OWL.onClass, OWL.someValuesFrom, OWL.allValuesFrom,
    OWL.hasValue, OWL.sameAs, OWL.unionOf, OWL.intersectionOf, RDF.first,
}  # fmt: skip


def read(paths: list[Path]) -> rdflib.Graph:
    document = serialize_triples(merge(paths), RdfFormat.N_TRIPLES)
    return rdflib.Graph().parse(data=document, format="nt")


@pytest.fixture(scope="session")
def everything() -> rdflib.Graph:
    """The ontology and the facts as one graph."""
    return read(FILES)


@pytest.fixture(scope="session")
def terms() -> rdflib.Graph:
    """The ontology without the facts."""
    return read([path for path in FILES if path not in FACTS])


@pytest.fixture(scope="session")
def axioms(everything: rdflib.Graph) -> set[tuple[str, str, str]]:
    return {(str(s), str(p), str(o)) for s, p, o in everything if p in AXIOMS}


@pytest.fixture(scope="session")
def closure(everything: rdflib.Graph) -> rdflib.Graph:
    """What OWL RL concludes from all links between things; texts and numbers imply nothing here and are left out."""
    annotations = set(everything.subjects(RDF.type, OWL.AnnotationProperty))
    graph = rdflib.Graph()
    for s, p, o in everything:
        if not isinstance(o, rdflib.Literal) and p not in annotations:
            graph.add((s, p, o))
    DeductiveClosure(OWLRL_Semantics).expand(graph)
    return graph


# ---------------------------------------------------------------- the checks


def test_the_checks_find_nothing_in_our_files() -> None:
    found = check_ontology(ontology_dir(), shapes_dir(), queries_dir())
    assert [f"{problem.path.name}: {problem.message('en')}" for problem in found] == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small copy of the ontology, without the facts, to be broken by one file at a time."""
    target = tmp_path_factory.mktemp("copy") / "ontology"
    shutil.copytree(ontology_dir(), target, ignore=shutil.ignore_patterns("facts"))
    (target / "facts").mkdir()
    return target


COMPLETE = """
    rdfs:label "chose"@fr , "thing"@en ; skos:definition "Une chose."@fr , "A thing."@en ;
    rdfs:isDefinedBy module:new """
DECLARED = "module:new a owl:Ontology . pepr:New a owl:Class ; " + COMPLETE + " . "
# The file that is added, what is in it, and the problem expected: its code, and a word of its message.
BREAKAGES = {
    "syntax": ("new.ttl", "pepr:New a owl:Class .. ", "line"),
    "unknown-prefix": ("new.ttl", "@prefix demo: <https://example.org/> . " + DECLARED, "demo"),
    "prefix-mismatch": ("new.ttl", "@prefix dcat: <http://www.w3.org/ns/dcat/> . " + DECLARED, "dcat#"),
    "dangling": ("new.ttl", DECLARED + "pepr:New rdfs:subClassOf pepr:Modle .", "pepr:Modle"),
    "outside-undeclared": ("new.ttl", DECLARED + "pepr:New rdfs:subClassOf sosa:ObservableProperty .", "external/"),
    "label": ("new.ttl", DECLARED.replace('"thing"@en', '"Ding"@de'), "in en"),
    "definition": ("new.ttl", DECLARED.replace('"Une chose."@fr , ', ""), "in fr"),
    "home": ("new.ttl", DECLARED.replace("isDefinedBy module:new", "isDefinedBy module:twin"), "pepr:New"),
    "two-kinds": ("new.ttl", DECLARED + "pepr:New a owl:ObjectProperty .", "owl:Class, owl:ObjectProperty"),
    "declared-twice": ("new.ttl", DECLARED.replace("pepr:New", "pepr:DigitalTwin"), "pepr:DigitalTwin"),
    "outside-link": ("new.ttl", DECLARED + "pepr:New skos:closeMatch obo:IAO_0000030 .", "alignments.ttl"),
    "outside-import": ("new.ttl", DECLARED + "module:new owl:imports <http://www.w3.org/ns/prov-o> .", "prov-o"),
    "blank-node": ("facts/new.ttl", "project:new a pepr:Project ; pepr:hasBudget [ a pepr:Amount ] .", "project:new"),
}


def break_with(folder: Path, name: str, body: str) -> tuple[Problem, ...]:
    used = ("pepr", "module", "owl", "rdfs", "skos", "sosa", "obo", "project")
    path = folder / name
    path.write_text("".join(f"@prefix {p}: <{PREFIXES[p]}> .\n" for p in used) + body, encoding="utf-8")
    try:
        return check_ontology(folder)
    finally:
        path.unlink()


@pytest.mark.parametrize("code", BREAKAGES)
def test_each_check_finds_what_is_broken(folder: Path, code: str) -> None:
    name, body, word = BREAKAGES[code]
    before = check_ontology(folder)
    new = [problem for problem in break_with(folder, name, body) if problem not in before]
    fitting = [problem for problem in new if problem.code == code]
    assert fitting, f"nothing found; the other problems are {[problem.code for problem in new]}"
    assert fitting[0].path.name in {"new.ttl", "twin.ttl"}
    assert word in fitting[0].message("en")
    assert fitting[0].message("fr") != fitting[0].message("en")


def test_a_complete_new_term_is_no_problem(folder: Path) -> None:
    assert break_with(folder, "new.ttl", DECLARED) == check_ontology(folder)


def test_a_syntax_error_has_its_line_and_column(folder: Path) -> None:
    found = [
        problem for problem in break_with(folder, "new.ttl", "\n\npepr:New a owl:Class .. ") if problem.code == "syntax"
    ]
    assert [(problem.path.name, problem.line) for problem in found] == [("new.ttl", 11)]
    assert found[0].fields["column"] == 23


def test_a_problem_names_the_line_where_the_term_stands(folder: Path) -> None:
    found = break_with(folder, "new.ttl", DECLARED + "\npepr:New rdfs:subClassOf\n  pepr:Modle .")
    assert [problem.line for problem in found if problem.fields.get("name") == "pepr:Modle"] == [13]
    assert any(problem.message("fr").startswith("ligne 13 : pepr:Modle") for problem in found)


def test_a_query_that_uses_an_unknown_term_is_found(tmp_path: Path) -> None:
    (tmp_path / "new.rq").write_text(
        f"# param: project iri pepr:Nothing\nPREFIX pepr: <{PEPR}>\nPREFIX project: <{ID}project/>\n"
        f"SELECT * WHERE {{ ?a pepr:hasProjct project:smatch ; a <{PEPR}Projet> # pepr:Comment\n"
        '  FILTER(?a = "pepr:String") }\n',
        encoding="utf-8",
    )
    found = check_ontology(ontology_dir(), queries=tmp_path)
    unknown = [(problem.fields["name"], problem.line) for problem in found if problem.path.name == "new.rq"]
    assert unknown == [("pepr:Projet", 4), ("pepr:hasProjct", 4)]


def test_every_kind_of_individual_is_known() -> None:
    used = {iri for path in FILES for iri in re.findall(rf"<{ID}([^>]*)>", path.read_text("utf-8"))}
    assert {name.partition("/")[0] for name in used} <= set(KINDS)


# ---------------------------------------------------------------- what the twin evaluator builds on


TWIN_TERMS = [
    "Patient", "DigitalTwin", "twinOf", "Model", "hasForm", "Variable", "Parameter", "Observation",
    "MeasurementUnit", "unitCode", "quantity", "Scenario", "Intervention", "Evaluation", "Trajectory", "Prediction",
    "Uncertainty", "Validity", "Credibility", "Binding", "boundValue", "boundPath", "boundQuery", "Coupling",
    "exchangeInterval", "Prior", "CovariateModel", "ModelEvent", "evaluationKey", "seed", "contentDigest",
    "hasResultStatus", "Dataset", "AccessCondition", "Consent", "recordCount",
    "ResolvedBinding", "usedValue", "Estimate", "PosteriorCorrelation", "ResidualModel", "timeStep", "timeColumn",
    "birthDate", "hasSex",
    "Category", "hasCategory", "categoryText", "categoryConcept", "ValidityRule", "hasValidityRule", "appliesTo",
    "reason",
    "exclusiveLowerBound", "boundQuantity", "hasTimeOrigin", "Administration", "administeredAt", "modelDigest",
    "meaningDigest", "asOf", "patientCount", "evaluatedCount", "usesFit", "hasResolvedInputs", "ResolvedInputs",
    "conversionCount", "converts", "hasFastModel", "hasSlowModel", "hasCouplingScheme", "couplingOrder",
    "couplingTolerance", "hasPeriod", "couplingMode", "crossingLevel", "conserves", "ConservedSum", "hasTerm",
    "ConservedTerm", "weight", "Quantity", "molarMass", "sboTerm", "writtenIdentifier",
]  # fmt: skip


@pytest.mark.parametrize("name", TWIN_TERMS)
def test_the_terms_of_data_and_twins_are_there(terms: rdflib.Graph, name: str) -> None:
    kinds = set(terms.objects(URIRef(PEPR + name), RDF.type))
    assert kinds & {OWL.Class, *PROPERTY_KINDS}


@pytest.mark.parametrize(
    ("scheme", "members"),
    {
        "model-forms": "ode linear-ode closed-form score-table mixed-effect state-machine",
        "variable-roles": "state derived input output",
        "aggregations": "instant mean maximum count",
        "transforms": "identity log logit",
        "parameter-levels": "population individual occasion",
        "scenario-kinds": "base what-if",
        "sexes": "female male other unknown",
        "intervention-kinds": "set scale add dose-schedule",
        "uncertainty-sources": "parameter residual model-choice total",
        "result-statuses": "current superseded withdrawn",
        "time-origins": "evaluation birth first-dose",
        "coupling-schemes": "leaping relaxed",
        "coupling-operators": "sample mean maximum minimum count rate",
        "selections": "latest earliest nearest all",
    }.items(),
)
def test_closed_lists_of_the_twins(terms: rdflib.Graph, scheme: str, members: str) -> None:
    in_scheme = terms.subjects(URIRef(PREFIXES["skos"] + "inScheme"), URIRef(f"{ID}scheme/{scheme}"))
    assert {str(iri).rpartition("/")[2] for iri in in_scheme} == set(members.split())


def test_twin_is_named_in_native_french(terms: rdflib.Graph) -> None:
    labels = {str(label) for label in terms.objects(URIRef(PEPR + "DigitalTwin"), RDFS.label)}
    assert "jumeau numérique" in labels


# ---------------------------------------------------------------- known traps, in the order of the list of pitfalls


def test_trap_01_no_inverse_functional_property_merges_two_organisations(
    everything: rdflib.Graph, closure: rdflib.Graph
) -> None:
    assert not set(everything.subjects(RDF.type, OWL.InverseFunctionalProperty))
    assert not any("frapo/awards" in str(p) for p in everything.predicates())
    merged = [(a, b) for a, b in closure.subject_objects(OWL.sameAs) if a != b and str(a).startswith(ID)]
    assert merged == []
    assert len(set(everything.subjects(RDF.type, ORGANISATION)) | typed_below(everything, ORGANISATION)) > 5


def typed_below(graph: rdflib.Graph, top: URIRef) -> set[rdflib.term.Node]:
    below = set(graph.transitive_subjects(RDFS.subClassOf, top))
    return {thing for kind in below for thing in graph.subjects(RDF.type, kind)}


def test_trap_01_the_closure_would_show_two_merged_organisations() -> None:
    """The negative of the test above: with the borrowed property, Inserm becomes Inria."""
    graph = rdflib.Graph().parse(
        data="""@prefix owl: <http://www.w3.org/2002/07/owl#> . @prefix : <urn:x:> .
        :awards a owl:ObjectProperty , owl:InverseFunctionalProperty .
        :inserm :awards :pepr . :inria :awards :pepr .""",
        format="turtle",
    )
    DeductiveClosure(OWLRL_Semantics).expand(graph)
    assert (URIRef("urn:x:inserm"), OWL.sameAs, URIRef("urn:x:inria")) in graph


def test_trap_02_no_shared_characteristic_merges_its_bearers(everything: rdflib.Graph) -> None:
    assert not set(everything.subjects(RDF.type, OWL.FunctionalProperty))
    used = {str(term) for triple in everything for term in triple}
    assert not {OBO + "RO_0000052", OBO + "RO_0000053"} & used


def test_trap_03_figures_are_decimals_and_never_doubles() -> None:
    for path in FILES:
        for triple in merge([path]):
            datatype = getattr(triple.object, "datatype", None)
            assert datatype is None or not datatype.value.endswith(("#double", "#float")), f"{path.name}: {triple}"


def test_trap_04_two_sources_may_give_two_amounts(everything: rdflib.Graph) -> None:
    limits = (OWL.maxCardinality, OWL.cardinality, OWL.maxQualifiedCardinality, OWL.qualifiedCardinality, OWL.hasKey)
    assert not [p for p in everything.predicates() if p in limits]


def test_trap_05_schema_org_is_never_a_superclass(axioms: set[tuple[str, str, str]]) -> None:
    assert not [axiom for axiom in axioms if any("schema.org/" in iri for iri in axiom)]


def test_trap_06_sosa_is_not_imported_and_containers_are_not_used(everything: rdflib.Graph) -> None:
    used = {str(term) for triple in everything for term in triple}
    assert not {SOSA + "ObservationCollection", SOSA + "hasMember", str(RDF.Bag), str(RDFS.member)} & used


def test_trap_06_nothing_outside_is_imported() -> None:
    for path in FILES:
        for quad in parse_file(path, NamedNode(ONTOLOGY_GRAPH)):
            if quad.predicate.value == str(OWL.imports):
                assert str(quad.object).startswith(f"<{PEPR}module/"), f"{path.name} imports {quad.object}"


def test_every_module_is_imported_by_the_entry_point() -> None:
    entry = parse_file(ontology_dir() / "pepr.ttl", NamedNode(ONTOLOGY_GRAPH))
    imported = {str(quad.object) for quad in entry if quad.predicate.value == str(OWL.imports)}
    modules = set()
    for path in [*ontology_dir().glob("*.ttl"), *ontology_dir().glob("external/*.ttl")]:
        if path.name != "pepr.ttl":
            found = re.search(r"^(<\S+>) a owl:Ontology", path.read_text("utf-8"), re.MULTILINE)
            assert found, f"{path.name} has no header"
            modules.add(found[1])
    assert imported == modules


def test_trap_07_deprecated_sosa_terms_are_not_used(everything: rdflib.Graph) -> None:
    used = {str(term) for triple in everything for term in triple}
    gone = ("ObservableProperty", "ActuatableProperty", "Result", "Actuation", "hasSample")
    assert not {SOSA + name for name in gone} & used
    assert not [iri for iri in used if iri.startswith("http://www.w3.org/ns/ssn/")]


def test_trap_07_a_misspelt_outside_term_does_not_pass(folder: Path) -> None:
    found = break_with(folder, "new.ttl", DECLARED + "pepr:New sosa:madeBySensr pepr:New .")
    assert [problem.fields["name"] for problem in found if problem.code == "outside-undeclared"] == ["sosa:madeBySensr"]


def test_trap_08_each_borrowed_term_is_one_kind_declared_once() -> None:
    declared: dict[URIRef, list[tuple[str, rdflib.term.Node]]] = defaultdict(list)
    for path in FILES:
        for s, kind in read([path]).subject_objects(RDF.type):
            if kind in {OWL.Class, *PROPERTY_KINDS} and isinstance(s, URIRef):
                declared[s].append((path.name, kind))
    assert {iri: places for iri, places in declared.items() if len(places) > 1} == {}
    for iri, places in declared.items():
        if str(iri).startswith((PREFIXES["dcterms"], PREFIXES["foaf"] + "name")):
            assert places[0][1] == OWL.AnnotationProperty, iri


def test_trap_09_duo_and_dpv_are_values_and_stand_in_no_axiom(
    everything: rdflib.Graph, axioms: set[tuple[str, str, str]]
) -> None:
    assert not [axiom for axiom in axioms if any(iri.startswith((OBO + "DUO_", DPV)) for iri in axiom)]
    assert not [kind for kind in everything.objects(None, RDF.type) if str(kind).startswith((OBO + "DUO_", DPV))]


def test_trap_10_machine_learning_schema_is_matched_only(
    everything: rdflib.Graph, axioms: set[tuple[str, str, str]]
) -> None:
    mls = "http://www.w3.org/ns/mls#"
    assert not [axiom for axiom in axioms if any(iri.startswith(mls) for iri in axiom)]
    assert not [p for p in everything.predicates() if str(p).startswith(mls)]


def test_trap_11_borrowed_domains_type_nothing_wrongly(closure: rdflib.Graph) -> None:
    apart = ("Endeavour", "Organisation", "Document", "Statement", "Locator", "Amount", "Participation", "Event")
    kinds = {URIRef(PEPR + name) for name in apart} | {URIRef(PREFIXES["foaf"] + "Person")}
    for thing in set(closure.subjects(RDF.type)):
        if str(thing).startswith(ID):
            assert len(kinds & set(closure.objects(thing, RDF.type))) <= 1, thing


def test_trap_11_no_project_becomes_a_dataset_or_a_period(closure: rdflib.Graph) -> None:
    allowed = (PEPR, str(OWL), str(RDFS), PREFIXES["prov"], PREFIXES["foaf"] + "Project")
    for project in closure.subjects(RDF.type, URIRef(PEPR + "Project")):
        assert all(str(kind).startswith(allowed) or isinstance(kind, rdflib.BNode)
                   for kind in closure.objects(project, RDF.type)), project  # fmt: skip


def test_trap_12_part_of_is_that_of_ro(everything: rdflib.Graph) -> None:
    used = {str(term) for triple in everything for term in triple}
    assert not {OBO + "BFO_0000176", OBO + "BFO_0000178"} & used


def test_trap_13_provisional_namespaces_have_one_spelling_in_one_place() -> None:
    for path in FILES:
        text = path.read_text("utf-8")
        assert "https://www.w3.org/ns/oa#" not in text
        assert "dpv/dpv-pd#" not in text
        if path.name != "alignments.ttl":
            assert "healthdataportal.eu/ns" not in text, path.name


def test_trap_14_classes_that_the_shapes_look_at_are_declared_here(everything: rdflib.Graph) -> None:
    sh = PREFIXES["sh"]
    shapes = read(sorted(shapes_dir().rglob("*.ttl")))
    looked_at = {o for name in ("class", "targetClass") for o in shapes.objects(None, URIRef(sh + name))}
    declared = set(everything.subjects(RDF.type, OWL.Class))
    assert looked_at - declared - {OWL.Class, *PROPERTY_KINDS, OWL.Ontology} == set()


def test_trap_15_unit_codes_are_spelt_as_fhir_expects(everything: rdflib.Graph) -> None:
    codes = {str(code) for code in everything.objects(None, URIRef(PREFIXES["qudt"] + "ucumCode"))}
    assert "mm[Hg]" in codes
    for code in codes:
        assert not re.search(r"[a-zA-Z]\.[a-zA-Z]|-1|\{H\.B\.\}", code), code


def test_trap_16_qudt_numeric_value_is_an_annotation_and_bears_no_restriction(
    everything: rdflib.Graph, axioms: set[tuple[str, str, str]]
) -> None:
    value = URIRef(PREFIXES["qudt"] + "numericValue")
    assert set(everything.objects(value, RDF.type)) <= {OWL.AnnotationProperty}
    assert not [axiom for axiom in axioms if str(value) in axiom]
    invented = {PREFIXES["qudt"] + name for name in ("unit", "lowerBound", "upperBound")}
    assert not invented & {str(term) for triple in everything for term in triple}
    assert not [path.name for path in FILES if "$$" in path.read_text("utf-8")]


def test_trap_18_a_licence_is_a_resource_and_never_a_text(everything: rdflib.Graph) -> None:
    licence = URIRef(PREFIXES["dcterms"] + "license")
    assert all(isinstance(value, URIRef) for value in everything.objects(None, licence))
    for path in FILES:
        assert 'dcterms:license "' not in path.read_text("utf-8"), path.name


def test_trap_19_facts_have_no_blank_node_and_no_list() -> None:
    for path in FACTS:
        for triple in read([path]):
            assert not any(isinstance(term, rdflib.BNode) for term in triple), f"{path.name}: {triple}"
            assert triple[1] not in {RDF.first, RDF.rest}


def test_trap_20_nothing_is_the_same_as_a_page_of_wikidata_or_ror(everything: rdflib.Graph) -> None:
    assert not list(everything.subject_objects(OWL.sameAs))
    assert not list(everything.subject_objects(OWL.differentFrom))


def test_the_worked_example_of_a_twin_uses_declared_terms(tmp_path: Path) -> None:
    copy = tmp_path / "ontology"
    shutil.copytree(ontology_dir(), copy)
    before = check_ontology(copy)
    shutil.copy(Path(__file__).parent / "data" / "twin-example.ttl", copy / "facts" / "example.ttl")
    assert check_ontology(copy) == before


# ---------------------------------------------------------------- the quantities on which observations and models meet


QUANTITY = URIRef(PEPR + "Quantity")
SKOS = PREFIXES["skos"]


def test_every_quantity_has_a_usual_unit_that_the_evaluator_knows(terms: rdflib.Graph) -> None:
    quantities = set(terms.subjects(RDF.type, QUANTITY))
    assert len(quantities) > 100
    assert quantities == set(terms.subjects(URIRef(SKOS + "inScheme"), URIRef(f"{ID}scheme/quantities")))
    for concept in quantities:
        codes = [str(code) for code in terms.objects(concept, URIRef(PEPR + "unitCode"))]
        assert len(codes) == 1, concept
        parse_unit(codes[0])


def test_a_mass_becomes_an_amount_by_the_molar_mass_of_its_quantity(terms: rdflib.Graph) -> None:
    """88.4 is the factor of creatinine that every laboratory uses, 38.67 that of cholesterol."""
    masses = {str(s).rpartition("/")[2]: float(str(o)) for s, o in terms.subject_objects(URIRef(PEPR + "molarMass"))}
    creatinine = convert(1.0, "mg/dL", "umol/L", molar_mass_g_per_mol=masses["serum-creatinine"])
    cholesterol = convert(1.0, "mmol/L", "mg/dL", molar_mass_g_per_mol=masses["total-cholesterol"])
    assert creatinine == pytest.approx(88.4, abs=0.01)
    assert cholesterol == pytest.approx(38.67, abs=0.01)


def test_every_quantity_that_a_built_in_model_names_is_there(terms: rdflib.Graph, everything: rdflib.Graph) -> None:
    known = set(terms.subjects(RDF.type, QUANTITY))
    for name in ("quantity", "boundQuantity"):
        named = {
            value for value in everything.objects(None, URIRef(PEPR + name)) if str(value).startswith(ID + "quantity/")
        }
        assert named, name
        assert named <= known, name


@pytest.mark.parametrize(
    ("slug", "code"),
    {
        "systolic-blood-pressure": "http://loinc.org/rdf/8480-6",
        "diastolic-blood-pressure": "http://loinc.org/rdf/8462-4",
        "heart-rate": "http://loinc.org/rdf/8867-4",
        "total-cholesterol": "http://loinc.org/rdf/2093-3",
        "hdl-cholesterol": "http://loinc.org/rdf/2085-9",
        "serum-creatinine": "http://loinc.org/rdf/2160-0",
        "body-weight": "http://loinc.org/rdf/29463-7",
        "hypertension": "http://snomed.info/id/38341003",
        "diabetes": "http://snomed.info/id/73211009",
        "heart-failure": "http://snomed.info/id/84114007",
        "atrial-fibrillation": "http://snomed.info/id/49436004",
    }.items(),
)
def test_quantities_match_the_codes_of_hospitals(terms: rdflib.Graph, slug: str, code: str) -> None:
    matched = set(terms.objects(URIRef(f"{ID}quantity/{slug}"), URIRef(SKOS + "exactMatch")))
    assert URIRef(code) in matched


def test_codes_have_the_form_of_their_system(terms: rdflib.Graph) -> None:
    """A LOINC code ends in its check digit; one of SNOMED CT has six to eighteen digits, the last but two 00."""
    codes = {
        str(value) for _, predicate, value in terms if str(predicate).startswith(SKOS) and isinstance(value, URIRef)
    }
    loinc = {code.removeprefix("http://loinc.org/rdf/") for code in codes if code.startswith("http://loinc.org/")}
    snomed = {code.removeprefix("http://snomed.info/id/") for code in codes if code.startswith("http://snomed.info/")}
    assert len(loinc) > 10
    assert len(snomed) > 5
    for code in loinc:
        number, check = code.split("-")
        digits = [int(digit) * (2 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(number))]
        assert (10 - sum(digit // 10 + digit % 10 for digit in digits)) % 10 == int(check), code
    for code in snomed:
        assert re.fullmatch(r"\d{3,15}00\d", code), code
