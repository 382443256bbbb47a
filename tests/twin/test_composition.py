"""Models made of models: flattened as the package says, within bounds, and never out of their folder."""

from pathlib import Path

import pytest

from pepr_kg.twin.errors import ModelInvalid, ModelUnreadable, ModelUnsupported
from pepr_kg.twin.expression import evaluate
from pepr_kg.twin.model import Model
from pepr_kg.twin.sbml.reading import read_model
from tests.twin.sbml_text import assigned, body, compartment, parameter, rated, reaction, sbml, species

COMP = "http://www.sbml.org/sbml/level3/version1/comp/version1"
ROOT = f'xmlns:comp="{COMP}" comp:required="true"'


def submodel(symbol: str, definition: str, more: str = "", inside: str = "") -> str:
    return f'<comp:submodel comp:id="{symbol}" comp:modelRef="{definition}" {more}>{inside}</comp:submodel>'


def definition(symbol: str, *parts: str, submodels: str = "") -> str:
    inner = f"<comp:listOfSubmodels>{submodels}</comp:listOfSubmodels>" if submodels else ""
    return f'<comp:modelDefinition id="{symbol}">{body(*parts)}{inner}</comp:modelDefinition>'


def composed(*parts: str, submodels: str, definitions: str = "", external: str = "") -> bytes:
    text = sbml(*parts, root=ROOT, after=f"<comp:listOfSubmodels>{submodels}</comp:listOfSubmodels>").decode()
    more = f"<comp:listOfModelDefinitions>{definitions}</comp:listOfModelDefinitions>" if definitions else ""
    if external:
        more += f"<comp:listOfExternalModelDefinitions>{external}</comp:listOfExternalModelDefinitions>"
    return text.replace("</sbml>", f"{more}</sbml>").encode()


def replacing(symbol: str, value: float, reference: str, *, constant: bool = True) -> str:
    inside = f"<comp:listOfReplacedElements>{reference}</comp:listOfReplacedElements>"
    return parameter(symbol, value, constant=constant).replace("/>", f">{inside}</parameter>")


def replaced(submodel_: str, symbol: str, more: str = "", inside: str = "") -> str:
    place = f'comp:submodelRef="{submodel_}" comp:idRef="{symbol}"'
    return f"<comp:replacedElement {place} {more}>{inside}</comp:replacedElement>"


def start(model: Model) -> dict[str, float]:
    found: dict[str, float] = {}
    for item in (*model.initial, *model.assignments):
        found[item.symbol] = float(evaluate(item.formula, found, 0.0))
    return found


def rates(model: Model) -> dict[str, float]:
    found = start(model)
    return {state: float(evaluate(rate, found, 0.0)) for state, rate in zip(model.states, model.rates, strict=True)}


DOUBLE = definition("double", parameter("k", 2.0), parameter("y", constant=False), assigned("y", "2 * k"))


def test_each_copy_has_its_own_symbols() -> None:
    text = composed(
        parameter("k", 9.0), submodels=submodel("A", "double") + submodel("B", "double"), definitions=DOUBLE
    )
    found = start(read_model(text))
    assert found == {"k": 9.0, "A__k": 2.0, "B__k": 2.0, "A__y": 4.0, "B__y": 4.0}


def test_copies_within_copies_and_a_replacement_from_above() -> None:
    pair = definition("pair", submodels=submodel("A", "double") + submodel("B", "double"))
    reach = replaced("P", "A", inside='<comp:sBaseRef comp:idRef="k"/>')
    text = composed(replacing("k", 5.0, reach), submodels=submodel("P", "pair"), definitions=pair + DOUBLE)
    found = start(read_model(text))
    assert (found["P__A__y"], found["P__B__y"]) == (10.0, 4.0)
    assert "P__A__k" not in found


def test_a_deleted_submodel_takes_all_of_its_own_with_it() -> None:
    pair = definition("pair", parameter("p", 1.0), submodels=submodel("A", "double") + submodel("B", "double"))
    gone = '<comp:listOfDeletions><comp:deletion comp:idRef="A"/></comp:listOfDeletions>'
    text = composed(submodels=submodel("P", "pair", inside=gone), definitions=pair + DOUBLE)
    assert set(start(read_model(text))) == {"P__p", "P__B__k", "P__B__y"}


def test_the_clock_of_a_submodel_is_converted() -> None:
    # the submodel counts minutes, its parent seconds: x grows by 6 a minute, y is the time in minutes
    inner = definition(
        "m", parameter("x", 0.0, constant=False), parameter("y", constant=False), rated("x", "6"), assigned("y", "t")
    )
    text = composed(
        parameter("sixty", 60.0), submodels=submodel("A", "m", 'comp:timeConversionFactor="sixty"'), definitions=inner
    )
    model = read_model(text)
    assert rates(model) == {"A__x": pytest.approx(0.1)}
    (formula,) = [item.formula for item in model.assignments if item.symbol == "A__y"]
    assert evaluate(formula, start(model), 120.0) == 2.0


def test_extents_are_converted_and_read_in_the_submodels_own_units() -> None:
    inner = definition(
        "m",
        compartment("V"),
        species("S", "V", 'initialAmount="0"', amount=True),
        parameter("y", constant=False),
        reaction("J", "", "S", "10"),
        assigned("y", "J + 6"),
    )
    text = composed(
        parameter("f", 1000.0), submodels=submodel("A", "m", 'comp:extentConversionFactor="f"'), definitions=inner
    )
    model = read_model(text)
    assert rates(model) == {"A__S": 10_000.0}
    assert start(model)["A__y"] == 16.0


def test_a_conversion_factor_acts_on_what_is_read_and_on_what_is_assigned() -> None:
    # k in the submodel is a tenth of the parent's; z is assigned ten times what the submodel says
    inner = definition(
        "m",
        parameter("k", 1.0),
        parameter("z", 1.0, constant=False),
        parameter("y", constant=False),
        assigned("y", "k"),
        assigned("z", "3"),
    )
    ten = 'comp:conversionFactor="ten"'
    parts = (
        parameter("ten", 10.0),
        replacing("k", 50.0, replaced("A", "k", ten)),
        replacing("z", 0.0, replaced("A", "z", ten), constant=False),
    )
    found = start(read_model(composed(*parts, submodels=submodel("A", "m"), definitions=inner)))
    assert (found["A__y"], found["z"]) == (5.0, 30.0)


def test_what_replaces_the_parents_symbol_takes_its_name() -> None:
    by = '<comp:replacedBy comp:submodelRef="A" comp:idRef="k"/>'
    own = parameter("p", 9.0).replace("/>", f">{by}</parameter>")
    text = composed(
        own,
        parameter("q", constant=False),
        assigned("q", "p + 1"),
        submodels=submodel("A", "double"),
        definitions=DOUBLE,
    )
    found = start(read_model(text))
    assert (found["p"], found["q"], found["A__y"]) == (2.0, 3.0, 4.0)


def test_local_parameters_and_functions_keep_their_own_names() -> None:
    inner = definition(
        "m", compartment("V"), species("S", "V", 'initialAmount="0"', amount=True), parameter("k", 1.0),
        reaction("J", "", "S", "k", own='<localParameter id="k" value="7"/>'),
    )  # fmt: skip
    model = read_model(composed(submodels=submodel("A", "m"), definitions=inner))
    assert rates(model) == {"A__S": 7.0}


def test_a_model_in_itself_is_refused() -> None:
    first = definition("first", submodels=submodel("A", "second"))
    second = definition("second", submodels=submodel("A", "first"))
    with pytest.raises(ModelInvalid, match="contains itself"):
        read_model(composed(submodels=submodel("A", "first"), definitions=first + second))


def test_a_chain_of_models_has_an_end() -> None:
    chain = [DOUBLE.replace('"double"', '"m0"')]
    chain += [definition(f"m{at}", submodels=submodel("A", f"m{at - 1}")) for at in range(1, 2000)]
    with pytest.raises(ModelUnsupported, match="levels"):
        read_model(composed(submodels=submodel("A", "m1999"), definitions="".join(chain)))


def test_models_that_double_at_each_level_are_refused() -> None:
    levels = [DOUBLE.replace('"double"', '"m0"')]
    levels += [
        definition(f"m{at}", submodels=submodel("A", f"m{at - 1}") + submodel("B", f"m{at - 1}")) for at in range(1, 30)
    ]
    with pytest.raises(ModelUnsupported, match="elements"):
        read_model(composed(submodels=submodel("A", "m29"), definitions="".join(levels)))


@pytest.mark.parametrize(
    ("submodels", "name"),
    [
        (submodel("A", "nothing"), "nothing"),
        (submodel("A", "double", 'comp:timeConversionFactor="gone"'), ""),
        (
            submodel(
                "A", "double", inside='<comp:listOfDeletions><comp:deletion comp:idRef="z"/></comp:listOfDeletions>'
            ),
            "z",
        ),
        (
            submodel(
                "A", "double", inside='<comp:listOfDeletions><comp:deletion comp:portRef="z"/></comp:listOfDeletions>'
            ),
            "z",
        ),
    ],
)
def test_a_reference_that_leads_nowhere_is_refused(submodels: str, name: str) -> None:
    if not name:  # the factor is only missed where a formula needs it
        inner = definition("double", parameter("x", 1.0, constant=False), rated("x", "1"))
        with pytest.raises(ModelInvalid, match="gone"):
            read_model(composed(submodels=submodels, definitions=inner))
        return
    with pytest.raises(ModelInvalid, match=name):
        read_model(composed(submodels=submodels, definitions=DOUBLE))


def external(source: str, model: str = "") -> str:
    reference = f'comp:modelRef="{model}"' if model else ""
    return f'<comp:externalModelDefinition comp:id="ext" comp:source="{source}" {reference}/>'


def test_other_files_are_read_beside_the_model_and_count_in_the_digest(tmp_path: Path) -> None:
    main = tmp_path / "main.xml"
    main.write_bytes(composed(submodels=submodel("A", "ext"), external=external("part.xml")))
    part = tmp_path / "part.xml"
    part.write_bytes(sbml(parameter("k", 3.0)))
    model = read_model(main)
    assert start(model) == {"A__k": 3.0}
    part.write_bytes(sbml(parameter("k", 4.0)))
    assert read_model(main).digest != model.digest


@pytest.mark.parametrize("source", ["../secret.xml", "/etc/passwd", "http://example.org/part.xml", "missing.xml"])
def test_nothing_outside_the_folder_is_read(tmp_path: Path, source: str) -> None:
    (tmp_path / "secret.xml").write_bytes(sbml(parameter("k", 3.0)))
    inside = tmp_path / "models"
    inside.mkdir()
    main = inside / "main.xml"
    main.write_bytes(composed(submodels=submodel("A", "ext"), external=external(source)))
    with pytest.raises(ModelUnreadable, match=r"main"):
        read_model(main)


def test_bytes_have_no_files_beside_them() -> None:
    with pytest.raises(ModelUnreadable, match=r"part\.xml has no place"):
        read_model(composed(submodels=submodel("A", "ext"), external=external("part.xml")))
