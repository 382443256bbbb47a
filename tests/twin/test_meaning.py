"""What models mean: the Turtle beside the SBML, read from the file and from a real store, put on the model."""

import math
import random
import re
from pathlib import Path

import numpy as np
import pytest

from pepr_kg.errors import DataSyntaxError, DataUnreadable
from pepr_kg.namespaces import ID, MODELS_GRAPH, PEPR, PREFIXES
from pepr_kg.rdf import parse_bytes
from pepr_kg.resources import ontology_dir
from pepr_kg.store import Dataset, Literal, NamedNode, Quad, RdfFormat, parse_file
from pepr_kg.twin import builtin_models, evaluate, fit, load_model
from pepr_kg.twin.builtin import builtin, priors_of, residuals_of
from pepr_kg.twin.cohort import read_cohort
from pepr_kg.twin.errors import BadDistribution, ModelInvalid
from pepr_kg.twin.estimation.observations import Observation, Observations
from pepr_kg.twin.estimation.variation import known_priors, vary
from pepr_kg.twin.meaning import Meaning, attach, local_name, meaning_beside, read_meaning, read_meaning_file
from pepr_kg.twin.sbml.reading import read_model
from tests.twin.sbml_text import assigned, parameter, sbml
from tests.twin.test_couple import BLOOD, HEART

MODELS = ontology_dir() / "models"
GRAPH = NamedNode(MODELS_GRAPH)
ALL = sorted(path.stem for path in MODELS.glob("*.ttl"))
PREFIX = "".join(f"@prefix {prefix}: <{space}> .\n" for prefix, space in PREFIXES.items())


def quads_of(name: str) -> list[Quad]:
    return parse_file(MODELS / f"{name}.ttl", GRAPH)


def said(name: str) -> list[tuple[str, str, str]]:
    """The file of a model as texts: subject, predicate without our namespace, value."""
    return [
        (quad.subject.value, quad.predicate.value.removeprefix(PEPR), quad.object.value)
        for quad in quads_of(name)
        if isinstance(quad.subject, NamedNode) and isinstance(quad.object, NamedNode | Literal)
    ]


def meaning(text: str, name: str = "drug") -> Meaning:
    quads = parse_bytes((PREFIX + text).encode(), RdfFormat.TURTLE, GRAPH, "test.ttl")
    return read_meaning(quads, f"{ID}model/{name}")


# -- from the file and from the graph ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> list[Quad]:
    """All models in one graph of a real store, with what `describe` adds to them from the SBML file."""
    quads = [quad for name in ALL for quad in quads_of(name)]
    age, model = NamedNode(f"{ID}variable/score2.age_a"), NamedNode(f"{ID}model/score2")
    other = NamedNode(f"{ID}parameter/score2.extra")
    derived: list[tuple[NamedNode, str, NamedNode | Literal]] = [
        (model, "contentDigest", Literal("sha256:" + "0" * 64)),
        (model, "timeUnitCode", Literal("a")),
        (age, "unitCode", Literal("a")),
        (age, "symbol", Literal("age_a")),
        (NamedNode(f"{ID}variable/score2.s2_age"), "hasVariableRole", NamedNode(f"{ID}variable-role/derived")),
        (model, "hasParameter", other),
        (other, "symbol", Literal("extra")),
        (other, "hasParameterLevel", NamedNode(f"{ID}parameter-level/population")),
    ]
    quads += [Quad(subject, NamedNode(PEPR + predicate), value, GRAPH) for subject, predicate, value in derived]
    dataset = Dataset(tmp_path_factory.mktemp("meaning") / "data")
    with dataset.change(who="test", source="test") as change:
        change.add(quads)
        view = change.commit()
    found = [Quad(item.subject, item.predicate, item.object, GRAPH) for item in view.triples()]
    random.Random(7).shuffle(found)
    return found


@pytest.mark.parametrize("name", ALL)
def test_the_graph_says_of_a_model_what_its_file_says(name: str, stored: list[Quad]) -> None:
    file, graph = read_meaning_file(MODELS / f"{name}.ttl"), read_meaning(stored, f"{ID}model/{name}")
    assert graph.digest == file.digest
    assert {symbol: graph.elements[symbol] for symbol in file.elements} == file.elements
    assert (graph.validity, graph.effects, graph.errors) == (file.validity, file.effects, file.errors)
    assert graph.correlations == file.correlations
    assert set(graph.elements) - set(file.elements) == ({"extra"} if name == "score2" else set())


def test_a_mended_label_keeps_the_digest_and_a_moved_bound_does_not() -> None:
    text = (MODELS / "score2.ttl").read_text(encoding="utf-8")
    plain = parse_bytes(text.encode(), RdfFormat.TURTLE, GRAPH, "score2.ttl")
    digests = {read_meaning(plain, f"{ID}model/score2").digest}
    changes = [
        ('"current smoker"@en', '"smokes"@en'),
        ("pepr:upperBound 350.0", "pepr:upperBound 350"),
        ("pepr:upperBound 350.0", "pepr:upperBound 340.0"),
        ("maximumAge 5.0", "maximumAge 4.0"),
    ]
    for old, new in changes:
        assert old in text
        quads = parse_bytes(text.replace(old, new).encode(), RdfFormat.TURTLE, GRAPH, "score2.ttl")
        digests.add(read_meaning(quads, f"{ID}model/score2").digest)
    assert len(digests) == 3


def test_another_model_whose_name_begins_alike_is_not_mixed_in() -> None:
    found = meaning(
        "model:drug a pepr:Model ; pepr:hasParameter parameter:drug.k . parameter:drug.k pepr:symbol 'k' ; "
        "pepr:lowerBound 1.0 . model:drug-two a pepr:Model ; pepr:hasParameter parameter:drug-two.k . "
        "parameter:drug-two.k pepr:symbol 'k' ; pepr:lowerBound 2.0 ."
    )
    assert found.elements["k"].bounds == (1.0, math.inf)


# -- the shipped files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_the_turtle_says_nothing_that_the_sbml_says(name: str) -> None:
    elements = {subject for subject, predicate, _ in said(name) if predicate == "symbol"}
    for subject, predicate, _ in said(name):
        assert predicate not in ("defaultValue", "contentDigest", "modelFile", "hasForm", "sourceIdentifier")
        if subject in {*elements, f"{ID}model/{name}"}:
            assert predicate not in ("unitCode", "timeUnitCode")


@pytest.mark.parametrize("name", builtin_models())
def test_every_symbol_that_the_file_declares_is_described(name: str) -> None:
    model, found = load_model(name), builtin(name).meaning
    assert [
        item.symbol for item in model.variables if item.kind != "reference" and item.symbol not in found.elements
    ] == []
    for item in model.variables:
        kind = found.elements[item.symbol].iri.removeprefix(ID).partition("/")[0]
        assert kind == "variable" or (kind == "parameter" and item.role == "constant"), item.symbol
        if item.direction == "output" or (kind == "variable" and item.direction):
            assert found.elements[item.symbol].quantities, item.symbol


@pytest.mark.parametrize("name", ALL)
def test_what_a_patient_gives_is_bound_to_an_element_by_one_means(name: str) -> None:
    facts: dict[str, dict[str, list[str]]] = {}
    for subject, predicate, value in said(name):
        facts.setdefault(subject, {}).setdefault(predicate, []).append(value)
    means = ("boundValue", "boundPath", "boundQuery", "boundQuantity")
    for binding in facts[f"{ID}model/{name}"].get("hasBinding", []):
        (element,) = facts[binding]["binds"]
        assert "symbol" in facts[element]
        assert sum(mean in facts[binding] for mean in means) == 1, binding
        for query in facts[binding].get("boundQuery", []):
            assert re.search(r"SELECT \?entity \?value \?unit \?time \?observation\b", query)
        if "boundQuantity" in facts[binding]:
            assert set(facts[binding]["boundQuantity"]) == set(facts[element]["quantity"])


def test_an_input_without_a_default_has_a_binding() -> None:
    for name in builtin_models():
        bound = {value for _, predicate, value in said(name) if predicate == "binds"}
        for item in load_model(name).parameters:
            if math.isnan(item.value):
                assert builtin(name).meaning.elements[item.symbol].iri in bound, (name, item.symbol)


@pytest.mark.parametrize("name", [name for name in ALL if name not in builtin_models()])
def test_a_coupled_model_joins_elements_of_its_parts(name: str) -> None:
    ends = ("couplesFrom", "couplesTo", "appliesTo", "hasPeriod", "intervenesOn")
    known = {item.iri for part in builtin_models() for item in builtin(part).meaning.elements.values()}
    used = [value for _, predicate, value in said(name) if predicate in ends]
    assert used
    assert set(used) <= known
    assert not read_meaning_file(MODELS / f"{name}.ttl").elements


def test_the_heart_over_years_couples_as_the_coupling_is_tested() -> None:
    facts: dict[str, dict[str, str]] = {}
    for subject, predicate, value in said("heart-over-years"):
        facts.setdefault(subject, {})[predicate] = value
    ends = ("couplesFrom", "couplesTo", "hasCouplingOperator")
    found = {
        (*(local_name(link[end]) for end in ends), link["couplingMode"])
        for link in facts.values()
        if "couplesFrom" in link
    }
    parts = {"fast": ("lv-windkessel", "lv-remodelling"), "slow": ("lv-remodelling", "lv-windkessel")}
    assert found == {
        (f"{parts[link.source][0]}.{link.symbol}", f"{parts[link.source][1]}.{link.target}", link.operator, link.mode)
        for link in HEART
    }
    weights = {local_name(term["appliesTo"]): float(term["weight"]) for term in facts.values() if "weight" in term}
    sides = {"lv-windkessel": "fast", "lv-remodelling": "slow"}
    assert {f"{sides[key.partition('.')[0]]}.{key.partition('.')[2]}": value for key, value in weights.items()} == (
        BLOOD.weights
    )


# -- onto a model ------------------------------------------------------------------------------------------------------

SYMBOLS = """
model:drug a pepr:Model ; rdfs:label "Médicament"@fr , "Drug"@en ;
    pepr:hasInput variable:drug.sex ; pepr:hasParameter parameter:drug.k ; pepr:hasVariable variable:drug.y ;
    pepr:hasValidity validity:drug .
variable:drug.sex pepr:symbol "sex" ; rdfs:label "sexe"@fr , "sex"@en ; pepr:hasVariableRole variable-role:input ;
    pepr:hasCategory category:drug.sex.female , category:drug.sex.male .
category:drug.sex.female rdfs:label "femme"@fr , "woman"@en ; pepr:categoryText "female" ; pepr:numericValue 1 ;
    pepr:categoryConcept sex:female .
category:drug.sex.male pepr:categoryText "male" ; pepr:numericValue 0.0 .
parameter:drug.k pepr:symbol "k" ; rdfs:label "constante"@fr , "rate"@en ; pepr:hasTransform transform:log ;
    pepr:hasParameterLevel parameter-level:individual ; pepr:lowerBound 0.0 ; pepr:exclusiveLowerBound true ;
    pepr:hasPrior prior:drug.k .
prior:drug.k pepr:hasDistributionFamily distribution-family:normal ; pepr:mean 0.0 ; pepr:standardDeviation 0.5 .
variable:drug.y pepr:symbol "y" ; rdfs:label "effet"@fr , "effect"@en ; pepr:hasVariableRole variable-role:output ;
    pepr:hasResidualModel residual-model:drug.y .
residual-model:drug.y pepr:additiveDeviation 0.25 .
validity:drug pepr:hasValidityRule validity-rule:drug.sex .
validity-rule:drug.sex pepr:appliesTo variable:drug.sex ; pepr:lowerBound 1.0 ; pepr:reason "Femmes."@fr , "Women."@en .
"""


@pytest.fixture
def drug(tmp_path: Path) -> Path:
    """A model of a user's own, with its meaning beside it."""
    path = tmp_path / "drug.xml"
    path.write_bytes(
        sbml(
            parameter("sex", 1.0),
            parameter("k", 2.0),
            parameter("y", constant=False),
            assigned("y", "k * (1 + sex) * t"),
        )
    )
    path.with_suffix(".ttl").write_text(PREFIX + SYMBOLS, encoding="utf-8")
    return path


def test_the_turtle_beside_a_file_of_ones_own_is_read_with_it(drug: Path) -> None:
    model = read_model(drug)
    found = model.variable("k")
    assert (found.direction, found.transform, found.bounds, found.open_below) == ("input", "log", (0.0, math.inf), True)
    assert (found.label_en, found.label_fr) == ("rate", "constante")
    codes = [(code.value, code.text, code.label_fr) for code in model.variable("sex").codes]
    assert codes == [(0.0, "male", ""), (1.0, "female", "femme")]
    assert read_meaning_file(drug.with_suffix(".ttl")).elements["sex"].concepts == ((f"{ID}sex/female", 1.0),)
    assert model.outputs == ("y",)
    assert [(rule.symbol, rule.minimum, rule.reason_fr) for rule in model.validity] == [("sex", 1.0, "Femmes.")]
    assert load_model(drug) == model != read_model(drug.read_bytes())


def test_its_parameters_vary_and_are_fitted_as_it_says(drug: Path) -> None:
    model = read_model(drug)
    priors = known_priors(model)
    assert priors is not None
    assert priors.natural(priors.mean[:, np.newaxis]).ravel().tolist() == [1.0]
    drawn = vary(model, read_cohort(model, {"sex": [1.0, 1.0]}), samples=400, seed=7)
    assert np.log(drawn["k"]).std() == pytest.approx(0.5, abs=0.05)
    seen = Observations.from_rows([Observation("p", time, "y", 6.0 * time) for time in (1.0, 2.0, 4.0)])
    found = fit(model, seen, inputs={"sex": [1.0]})
    assert found.theta[0, 0] == pytest.approx(3.0, rel=0.02)
    assert known_priors(read_model(drug.read_bytes())) is None


def test_whom_it_is_not_made_for_gets_no_number(drug: Path) -> None:
    result = evaluate(read_model(drug), {"sex": ["female", "male"]}, times=[1.0])
    values = result.values("y")[:, 0, 0, 0]
    assert values[0] == 4.0
    assert np.isnan(values[1])


def test_a_changed_file_is_read_again(drug: Path) -> None:
    before = read_model(drug).variable("k").bounds
    turtle = drug.with_suffix(".ttl")
    turtle.write_text(
        turtle.read_text(encoding="utf-8").replace("lowerBound 0.0 ; pepr:ex", "lowerBound 0.125 ; pepr:ex")
    )
    assert before != read_model(drug).variable("k").bounds == (0.125, math.inf)


def test_only_a_turtle_file_of_the_same_name_belongs_to_a_model(tmp_path: Path) -> None:
    assert meaning_beside("") is None
    assert meaning_beside(tmp_path / "drug.xml") is None
    (tmp_path / "drug.ttl").touch()
    assert meaning_beside(tmp_path / "drug.xml") == tmp_path / "drug.ttl"
    assert meaning_beside(tmp_path / "drug.ttl") is None
    assert meaning_beside("https://example.org/drug.xml") is None


# -- what is wrong in a meaning ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "symbol"),
    [
        ("pepr:lowerBound 0.0", 'pepr:lowerBound "low"', "drug.k"),
        ("pepr:mean 0.0", 'pepr:mean "zero"', "drug.k"),
        ('pepr:categoryText "male" ; pepr:numericValue 0.0', 'pepr:categoryText "male"', "drug.sex.male"),
        ('pepr:symbol "k"', 'rdfs:comment "k"', "drug.k"),
        ('pepr:symbol "k"', 'pepr:symbol "y"', "y"),
        ("pepr:appliesTo variable:drug.sex", "pepr:appliesTo variable:drug.age", "drug.sex"),
        ("pepr:appliesTo variable:drug.sex ;", "", "drug.sex"),
        ('pepr:symbol "k"', 'pepr:symbol "kappa"', "kappa"),
        ("model:drug a pepr:Model", "model:one a pepr:Model . model:two a pepr:Model", "drug.ttl"),
        ("model:drug a pepr:Model ;", "model:drug", "drug.ttl"),
    ],
)
def test_a_broken_meaning_names_what_is_wrong(drug: Path, old: str, new: str, symbol: str) -> None:
    turtle = drug.with_suffix(".ttl")
    assert old in SYMBOLS
    turtle.write_text(PREFIX + SYMBOLS.replace(old, new), encoding="utf-8")
    with pytest.raises(ModelInvalid) as caught:
        read_model(drug)
    assert caught.value.details["symbol"] == symbol
    assert caught.value.message("fr") != caught.value.message("en")


def test_a_file_that_is_no_turtle_or_is_not_there_is_named(drug: Path) -> None:
    drug.with_suffix(".ttl").write_text("model:drug a pepr:Model ..", encoding="utf-8")
    with pytest.raises(DataSyntaxError, match=r"drug\.ttl"):
        read_model(drug)
    with pytest.raises(DataUnreadable, match="elsewhere"):
        read_meaning_file(drug.with_name("elsewhere.ttl"))


def test_only_normal_priors_are_estimated_and_a_point_is_taken_as_known(drug: Path) -> None:
    model, turtle = read_model(drug), SYMBOLS
    point = meaning(turtle.replace("distribution-family:normal", "distribution-family:point"))
    assert priors_of(point, model).symbols == ()
    with pytest.raises(BadDistribution, match="uniform"):
        priors_of(meaning(turtle.replace("distribution-family:normal", "distribution-family:uniform")), model)
    with pytest.raises(BadDistribution, match="standard deviation"):
        priors_of(meaning(turtle.replace("; pepr:standardDeviation 0.5", "")), model)
    joined = (
        "correlation:drug.k.y pepr:correlates parameter:drug.k , variable:drug.y ; pepr:correlationCoefficient 0.5 ."
    )
    with pytest.raises(BadDistribution, match="correlation names it"):
        priors_of(meaning(turtle + joined), model)
    with pytest.raises(ModelInvalid, match="two ends"):
        meaning(turtle + joined.replace(", variable:drug.y ", ""))


def test_an_error_on_a_transformed_scale_is_refused(drug: Path) -> None:
    text = SYMBOLS.replace("additiveDeviation 0.25", "additiveDeviation 0.25 ; pepr:hasTransform transform:log")
    with pytest.raises(BadDistribution, match="scale log"):
        residuals_of(meaning(text), read_model(drug))
    (residual,) = residuals_of(meaning(SYMBOLS), read_model(drug))
    assert (residual.variable, residual.additive, residual.proportional) == ("y", 0.25, 0.0)


def test_attaching_changes_nothing_of_the_mathematics() -> None:
    plain = read_model(builtin("score2").path.read_bytes(), name="score2")
    whole = attach(plain, builtin("score2").meaning)
    assert whole == load_model("score2") != plain
    assert (whole.digest, whole.assignments, whole.initial) == (plain.digest, plain.assignments, plain.initial)
    assert plain.variable("sbp_mmHg").unit == whole.variable("sbp_mmHg").unit == "mm[Hg]"
