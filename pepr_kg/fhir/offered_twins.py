"""Models and what they predict as FHIR: DeviceDefinition, Device, RiskAssessment, Observation, Provenance.

A model is a DeviceDefinition (what it is) and a Device (what predicts). A prediction of the probability of an event is
a RiskAssessment, in percent as FHIR has it (ras-1, ras-2); one of any other quantity is an Observation of the category
`Prediction` whose `device` is the model. Both name the observations that they rest on, and say that they are for
research and no medical advice. The twin itself is no resource: it is the Patient with all that models say of it.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from pepr_kg.fhir.context import Context
from pepr_kg.fhir.datatypes import (
    TERMINOLOGY,
    UCUM,
    Object,
    Value,
    annotation,
    codeable,
    coding,
    identified,
    moment,
    number,
    own_coding,
    period,
    put_text,
    quantity,
    raw,
)
from pepr_kg.fhir.nodes import Node
from pepr_kg.fhir.vital_signs import as_vital_sign
from pepr_kg.language import LANGUAGES
from pepr_kg.namespaces import ID, PEPR, expand
from pepr_kg.store import NamedNode
from pepr_kg.twin.result import NOTICE

RISK: Final = "pepr:EventProbability"
_BASES: Final = 100  # runs of a patient whose observations are remembered; then it begins anew
_USED: Final = NamedNode(expand("prov:used"))
_WITHDRAWN: Final = frozenset({"superseded", "withdrawn"})
_PERCENT: Final = {"%": Decimal(1), "1": Decimal(100)}  # units of a probability, and what makes percent of them
_INTERVAL: Final = {
    "en": "{level} % interval of the uncertainty",
    "fr": "intervalle d’incertitude à {level} %",
}
_LOWER: Final = {"en": "lower bound of the {level} % interval", "fr": "borne inférieure de l’intervalle à {level} %"}
_UPPER: Final = {"en": "upper bound of the {level} % interval", "fr": "borne supérieure de l’intervalle à {level} %"}
_ASKED: Final = {"en": "asked for the evaluation", "fr": "a demandé l’évaluation"}
_SCENARIO: Final = {"en": "Scenario: {name}.", "fr": "Scénario\u202f: {name}."}
_SOFTWARE: Final = {"en": "software", "fr": "logiciel"}


def device_definition(context: Context, node: Node) -> Object:
    """Return a DeviceDefinition: what a model is."""
    made: Object = {"resourceType": "DeviceDefinition"}
    if context.is_r5:
        put_text(made, "description", node.words("dcterms:description"), context.lang)
    made["identifier"] = _identifiers(node)
    name: Object = {}
    put_text(name, "name", node.words("rdfs:label"), context.lang)
    if name:
        made["deviceName"] = [{**name, "type": "user-friendly-name"}]
    form, version = node.first("pepr:hasForm"), node.first("pepr:modelVersion")
    if form is not None:
        if context.is_r5:
            made["classification"] = [{"type": context.concept(form)}]
        else:
            made["type"] = context.concept(form)
    if version is not None:
        made["version"] = [{"value": version}] if context.is_r5 else [version]
    if not context.is_r5:
        made["onlineInformation"] = node.iri
    notes = [annotation(words, context.lang) for words in _notes(context, node) if words]
    if notes:
        made["note"] = list[Value](notes)
    return made


def device(context: Context, node: Node) -> Object:
    """Return a Device: the model as that which predicts, or the program that evaluates it."""
    made: Object = {"resourceType": "Device", "identifier": _identifiers(node)}
    is_model = node.is_a("pepr:Model")
    if is_model:
        definition = context.refer("DeviceDefinition", node.iri)
        made["definition"] = {"reference": definition} if context.is_r5 else definition
    made["status"] = "active"
    name: Object = {}
    put_text(name, "value" if context.is_r5 else "name", node.words("rdfs:label"), context.lang)
    if name:
        made["name" if context.is_r5 else "deviceName"] = [{**name, "type": "user-friendly-name"}]
    form = node.first("pepr:hasForm")
    kind = context.concept(form) if form is not None else codeable(_SOFTWARE, context.lang, [])
    made["type"] = [kind] if context.is_r5 else kind
    version = node.first("pepr:modelVersion")
    if version is not None:
        made["version"] = [{"value": version}]
    if is_model:
        made["note"] = [annotation(NOTICE, context.lang)]
    return made


def prediction(context: Context, node: Node) -> Object:
    """Return a RiskAssessment for the probability of an event, an Observation for any other quantity."""
    return _risk(context, node) if is_risk(context, node) else _predicted(context, node)


def is_risk(context: Context, node: Node) -> bool:
    """Return whether a prediction is one of the probability of an event, in a unit that makes it one."""
    variable = context.nodes.get(node.first("pepr:predictedVariable") or "")
    concept = variable.first("pepr:quantity")
    return (
        concept is not None
        and context.nodes.get(concept).is_a(RISK)
        and node.first("pepr:unitCode") in _PERCENT
        and _percent(node, node.first("pepr:numericValue")) is not None
    )


def resource_type(context: Context, node: Node) -> str:
    """Return the type of resource that a prediction is."""
    return "RiskAssessment" if is_risk(context, node) else "Observation"


def _risk(context: Context, node: Node) -> Object:
    run = context.nodes.get(node.first("prov:wasGeneratedBy") or "")
    made: Object = {"resourceType": "RiskAssessment", "identifier": [identified(node.iri)], "status": _status(run)}
    made |= _method(context, node, run)
    made |= _subject(context, node)
    assessed = moment(run.first("pepr:asOf") or run.first("prov:endedAtTime"))
    if assessed is not None:
        made["occurrenceDateTime"] = assessed
    model = run.first("pepr:usesModel")
    if model is not None:
        made["performer"] = context.refer("Device", model)
    basis: list[Value] = list(used(context, run, node.first("sosa:hasFeatureOfInterest")))
    if basis:
        made["basis"] = basis
    stated: Object = {"outcome": _concept(context, node)}
    during = period(assessed, node.first("pepr:predictedFor"))
    when: Object = {"whenPeriod": during} if during else {}
    probability = _percent(node, node.first("pepr:numericValue"))
    predictions: list[Value] = [{**stated, "probabilityDecimal": raw(probability or "0"), **when}]
    uncertainty = _uncertainty(context, node)
    low, high = (_percent(node, uncertainty.first(f"pepr:interval{end}")) for end in ("Lower", "Upper"))
    if low is not None and high is not None:
        bounds: Object = {
            side: {"value": raw(value), "unit": "%", "system": UCUM, "code": "%"}
            for side, value in (("low", low), ("high", high))
        }
        said: Object = {}
        put_text(said, "rationale", _leveled(_INTERVAL, uncertainty), context.lang)
        predictions.append({**stated, "probabilityRange": bounds, **when, **said})
    made["prediction"] = predictions
    made["note"] = _remarks(context, node, run)
    return made


def _predicted(context: Context, node: Node) -> Object:
    run = context.nodes.get(node.first("prov:wasGeneratedBy") or "")
    made: Object = {"resourceType": "Observation", "identifier": [identified(node.iri)], "status": _status(run)}
    kind = coding(PEPR.rstrip("/"), "Prediction", context.words(f"{PEPR}Prediction").get(context.lang))
    made["category"] = [{"coding": [kind]}]
    made["code"] = _concept(context, node)
    made |= _subject(context, node)
    when, issued = moment(node.first("pepr:predictedFor")), moment(run.first("prov:endedAtTime"))
    if when is not None:
        made["effectiveDateTime"] = when
    if issued is not None and "T" in issued:
        made["issued"] = issued
    unit = node.first("pepr:unitCode")
    value = quantity(node.first("pepr:numericValue"), unit)
    if value is not None:
        made["valueQuantity"] = value
    else:
        made["dataAbsentReason"] = {"coding": [coding(f"{TERMINOLOGY}data-absent-reason", "error", "Error")]}
    made["note"] = _remarks(context, node, run)
    made |= _method(context, node, run)
    model = run.first("pepr:usesModel")
    if model is not None:
        made["device"] = context.refer("Device", model)
    # FHIR lets an Observation be derived from observations only; doses stand in the Provenance.
    basis: list[Value] = [
        item for item in used(context, run, node.first("sosa:hasFeatureOfInterest"))
        if str(item["reference"]).startswith("Observation/")
    ]  # fmt: skip
    if basis:
        made["derivedFrom"] = basis
    components: list[Value] = []
    uncertainty = _uncertainty(context, node)
    for name, words in (("pepr:intervalLower", _LOWER), ("pepr:intervalUpper", _UPPER)):
        bound = quantity(uncertainty.first(name), unit)
        if bound is not None:
            code = _term(name, context)
            components.append({
                "code": codeable(_leveled(words, uncertainty), context.lang, [code]), "valueQuantity": bound,
            })  # fmt: skip
    if components:
        made["component"] = components
    return as_vital_sign(made)


def _term(curie: str, context: Context) -> Object:
    """Return the coding of a term of the ontology: its system is the ontology."""
    iri = expand(curie)
    return coding(PEPR.rstrip("/"), iri.removeprefix(PEPR), context.words(iri).get(context.lang))


def provenance(context: Context, run: Node, patient: str, predicted: Sequence[Node]) -> Object | None:
    """Return the Provenance of what a run predicts for one patient; None where it predicts nothing for it.

    One for each patient, not one for the run: a run may predict for a hundred thousand, and none of them is to be told
    of the others.
    """
    targets = [context.refer(resource_type(context, node), node.iri) for node in predicted]
    if not targets:
        return None
    made: Object = {"resourceType": "Provenance", "target": list[Value](targets)}
    started, ended = run.first("prov:startedAtTime"), run.first("prov:endedAtTime")
    during = period(started, ended)
    if during:
        made["occurredPeriod"] = during
    recorded = moment(ended or started)
    if recorded is not None and "T" in recorded:
        made["recorded"] = recorded
    words = run.words("rdfs:label")
    own = own_coding(run.iri, words, context.lang)
    made["activity"] = codeable(words, context.lang, [] if own is None else [own])
    if context.is_r5:
        made["patient"] = context.refer("Patient", patient)
    made["agent"] = _agents(context, run)
    model = run.first("pepr:usesModel")
    sources = ([] if model is None else [context.refer("DeviceDefinition", model)]) + used(context, run, patient)
    if sources:
        made["entity"] = [{"role": "source", "what": item} for item in sources]
    return made


def predictions_of(context: Context, patient: str, graph: NamedNode | None = None) -> Iterator[Node]:
    """Yield the predictions for a patient, of one graph or of all, in the order of the index."""
    for quad in context.nodes.pointing("sosa:hasFeatureOfInterest", NamedNode(patient), graph):
        if isinstance(quad.subject, NamedNode) and isinstance(quad.graph_name, NamedNode):
            node = context.nodes.read(quad.subject.value, quad.graph_name)
            if node.is_a("pepr:Prediction"):
                yield node


def used(context: Context, run: Node, patient: str | None) -> list[Object]:
    """Return the references to what a run used of a patient: observations and doses, sorted."""
    if patient is None or not run:
        return []
    found = context.bases.get((run.iri, patient))
    if found is None:
        subject = NamedNode(run.iri)
        graph = context.nodes.graph_of(subject)
        iris = {
            quad.subject.value
            for quad in context.nodes.pointing("sosa:hasFeatureOfInterest", NamedNode(patient))
            if isinstance(quad.subject, NamedNode)
            and next(context.view.quads(subject, _USED, quad.subject, graph), None) is not None
        }
        found = [context.refer(_kind_of_used(context, iri), iri) for iri in sorted(iris)]
        if len(context.bases) >= _BASES:
            context.bases.clear()  # what follows is mostly of the same patient
        context.bases[run.iri, patient] = found
    return found


def _kind_of_used(context: Context, iri: str) -> str:
    return "MedicationAdministration" if context.nodes.get(iri).is_a("pepr:Administration") else "Observation"


def _agents(context: Context, run: Node) -> list[Value]:
    """Return who made a run: the programs that computed it, and who asked for it where that was a person."""
    performer: Object = {"coding": [coding(f"{TERMINOLOGY}provenance-participant-type", "performer", "Performer")]}
    found: list[Value] = []
    asked = run.first("pepr:requestedBy")
    for iri in run.iris("prov:wasAssociatedWith"):
        node = context.nodes.get(iri)
        if node.is_a("prov:SoftwareAgent"):
            found.append({"type": performer, "who": context.refer("Device", iri)})
        elif iri == asked and iri.startswith(f"{ID}person/"):
            found.append({"role": [codeable(_ASKED, context.lang, [])], "who": context.refer("Practitioner", iri)})
        elif iri == asked and node.words("rdfs:label"):
            who: Object = {}
            put_text(who, "display", node.words("rdfs:label"), context.lang)
            found.append({"role": [codeable(_ASKED, context.lang, [])], "who": who})
    if not found:
        found.append({"type": performer, "who": {"display": run.first("pepr:softwareVersion") or "pepr_kg"}})
    return found


def _status(run: Node) -> str:
    state = (run.first("pepr:hasResultStatus") or "").rpartition("/")[2]
    return "entered-in-error" if state in _WITHDRAWN else "final"


def _subject(context: Context, node: Node) -> Object:
    about = node.first("sosa:hasFeatureOfInterest")
    return {} if about is None else {"subject": context.refer("Patient", about)}


def _method(context: Context, node: Node, run: Node) -> Object:
    """Return how it was predicted: the model, and the scenario that it holds under."""
    model, scenario = run.first("pepr:usesModel"), node.first("pepr:underScenario")
    found = [own_coding(iri, context.words(iri), context.lang) for iri in (model, scenario) if iri is not None]
    words = {} if model is None else context.words(model)
    codings = [item for item in found if item is not None]
    return {"method": codeable(words, context.lang, codings)} if codings or words else {}


def _concept(context: Context, node: Node) -> Object:
    """Return what is predicted: the quantity that the variable stands for, else the variable."""
    variable = node.first("pepr:predictedVariable") or ""
    return context.concept(context.nodes.get(variable).first("pepr:quantity") or variable)


def _uncertainty(context: Context, node: Node) -> Node:
    iri = node.first("pepr:hasUncertainty")
    return Node("", {}) if iri is None else context.nodes.read(iri, None)


def _percent(node: Node, value: str | None) -> str | None:
    """Return a probability in percent, exactly; None where it is none, below 0 or above 100."""
    factor = _PERCENT.get(node.first("pepr:unitCode") or "")
    said = None if value is None else number(value)
    if said is None or factor is None:
        return None
    percent = Decimal(said) * factor
    shown = said if factor == 1 else f"{percent.normalize():f}"
    return shown if 0 <= percent <= 100 else None


def _leveled(words: dict[str, str], uncertainty: Node) -> dict[str, str]:
    level = Decimal(uncertainty.first("pepr:intervalLevel") or "0") * 100
    shown = f"{level.normalize():f}"
    return {
        language: text.format(level=shown.replace(".", ",") if language == "fr" else shown).replace(" %", "\u202f%")
        if language == "fr" else text.format(level=shown).replace(" %", "%")
        for language, text in words.items()
    }  # fmt: skip


def _remarks(context: Context, node: Node, run: Node) -> list[Value]:
    """Return the notes of a prediction: that it is for research, and its scenario."""
    found: list[Value] = [annotation(run.words("rdfs:comment") or NOTICE, context.lang)]
    scenario = node.first("pepr:underScenario")
    names = {} if scenario is None else context.words(scenario)
    if names:
        words = {str(lang): _SCENARIO[lang].format(name=names[lang]) for lang in LANGUAGES if lang in names}
        found.append(annotation(words, context.lang))
    return found


def _notes(context: Context, node: Node) -> list[dict[str, str]]:
    """Return what is noted of a model: its description (R5 has a place of its own for it), and what it is for."""
    use = context.nodes.get(node.first("pepr:hasCredibility") or "").words("pepr:contextOfUse")
    described = {} if context.is_r5 else node.words("dcterms:description")
    return [described, use, dict(NOTICE)]


def _identifiers(node: Node) -> list[Value]:
    digest = node.first("pepr:contentDigest")
    found: list[Value] = [identified(node.iri)]
    if digest is not None:
        found.append({"system": f"{PEPR}contentDigest", "value": digest})
    return found
