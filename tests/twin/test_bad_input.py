"""Bad input: each a typed error that names the model, the symbol and the patient in English and in French."""

import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from pepr_kg.twin import Dose, Scenario, evaluate, load_model, read_cohort
from pepr_kg.twin.cohort import Given
from pepr_kg.twin.coupling.periodic import find_periodic
from pepr_kg.twin.errors import (
    BadObservation,
    BadScenario,
    BadTimes,
    BadValue,
    EmptyCohort,
    MissingValue,
    ModelInvalid,
    ModelUnreadable,
    NotSteady,
    TwinError,
    UnitMismatch,
    UnknownModel,
    UnknownSymbol,
    UnknownUnit,
)
from pepr_kg.twin.estimation.observations import Observation, Observations
from pepr_kg.twin.model import Model
from pepr_kg.twin.sbml.reading import read_model
from tests.twin.sbml_text import assigned, parameter, rated, sbml

PK = load_model("pk2-oral")
HEART = load_model("lv-windkessel")
SCORE = load_model("score2")
PERSON: dict[str, Given] = {
    "sex": "male",
    "smoker": False,
    "region": "low",
    "sbp_mmHg": 140.0,
    "tchol_mmol_L": 5.5,
    "hdl_mmol_L": 1.3,
    "diabetes": False,
    "earlier_cvd": False,
    "age_a": 50.0,
}
NAN = float("nan")
INF = float("inf")


def refused(kind: type[TwinError], what: Callable[[], object], *names: str) -> TwinError:
    """Return the error; it must be of this kind and name all these in both languages."""
    with pytest.raises(kind) as caught:
        what()
    for lang in ("en", "fr"):
        sentence = caught.value.message(lang)
        assert all(name in sentence for name in names), sentence
        assert "{" not in sentence
    assert caught.value.message("en") != caught.value.message("fr")
    return caught.value


# -- values --------------------------------------------------------------------------------------------------------

VALUES: list[tuple[str, type[TwinError], Model, dict[str, Given], tuple[str, ...]]] = [
    ("an unknown symbol", UnknownSymbol, PK, {"clearance": 5.0}, ("pk2-oral", "clearance")),
    ("a symbol that is computed", BadValue, PK, {"conc_central": 5.0}, ("pk2-oral", "conc_central")),
    ("a negative parameter", BadValue, PK, {"CL": [5.0, -1.0]}, ("pk2-oral", "CL", "-1", "2")),
    ("zero where only more is possible", BadValue, PK, {"V1": 0.0}, ("pk2-oral", "V1")),
    ("not a number", BadValue, PK, {"CL": [5.0, NAN, 4.0]}, ("pk2-oral", "CL", "2")),
    ("infinity", BadValue, PK, {"CL": INF}, ("pk2-oral", "CL")),
    ("text for a number", BadValue, PK, {"CL": "fast"}, ("pk2-oral", "CL", "fast")),
    ("a number as text", BadValue, PK, {"CL": ["5.0", "x"]}, ("pk2-oral", "CL")),
    ("arrays of other lengths", BadValue, PK, {"CL": [5.0, 6.0], "V1": [30.0, 31.0, 32.0]}, ("pk2-oral",)),
    ("a table for a column", BadValue, PK, {"CL": np.ones((2, 2))}, ("pk2-oral", "CL")),
    ("an unknown category", BadValue, SCORE, PERSON | {"region": "medium"}, ("score2", "region", "medium", "moderate")),
    ("an unknown code", BadValue, SCORE, PERSON | {"sex": [0.0, 7.0]}, ("score2", "sex", "7", "2")),
    ("no patient", EmptyCohort, PK, {"CL": []}, ()),
]


@pytest.mark.parametrize(
    ("kind", "model", "values", "names"), [row[1:] for row in VALUES], ids=[row[0] for row in VALUES]
)
def test_a_bad_value_is_refused_by_name(
    kind: type[TwinError], model: Model, values: dict[str, Given], names: tuple[str, ...]
) -> None:
    refused(kind, lambda: evaluate(model, values), *names)


def test_a_missing_value_names_the_patient() -> None:
    without = {key: value for key, value in PERSON.items() if key != "sbp_mmHg"}
    refused(MissingValue, lambda: evaluate(SCORE, without), "score2", "sbp_mmHg")
    model = read_model(sbml(parameter("k"), parameter("y", 1.0, constant=False), rated("y", "-k*y")), name="bare")
    refused(MissingValue, lambda: evaluate(model, {"y": 2.0}), "bare", "k")
    cohort = lambda: read_cohort(model, {"k": np.array([1.0, None], dtype=object)}, patients=["a", "b"])  # noqa: E731
    refused(MissingValue, cohort, "bare", "k", "b")


def test_a_cohort_has_patients_and_each_a_key_of_his_own() -> None:
    refused(EmptyCohort, lambda: read_cohort(PK, {}, patients=[]))
    refused(BadValue, lambda: read_cohort(PK, {}, patients=["a", "b", "a"]), "pk2-oral")


# -- units ---------------------------------------------------------------------------------------------------------


def test_kilopascals_become_millimetres_of_mercury() -> None:
    cohort = read_cohort(SCORE, {"sbp_mmHg": 18.665}, units={"sbp_mmHg": "kPa"}, strict=False)
    assert cohort.values["sbp_mmHg"] == pytest.approx(140.0, rel=1e-4)


def test_a_mass_becomes_an_amount_only_with_a_molar_mass() -> None:
    def read(masses: Mapping[str, float] | None = None) -> object:
        given: dict[str, Given] = {"tchol_mmol_L": 212.7}
        return read_cohort(SCORE, given, units={"tchol_mmol_L": "mg/dL"}, strict=False, molar_masses=masses).values[
            "tchol_mmol_L"
        ]

    refused(UnitMismatch, read, "tchol_mmol_L", "mg/dL", "mmol/L")
    assert read({"tchol_mmol_L": 386.65}) == pytest.approx(5.5, rel=1e-3)


def test_units_that_mean_something_else_or_nothing_are_refused() -> None:
    refused(UnitMismatch, lambda: evaluate(PK, {"CL": 5.0}, units={"CL": "kg"}), "CL", "kg", "L/h")
    refused(UnknownUnit, lambda: evaluate(PK, {"CL": 5.0}, units={"CL": "litres per hour"}), "litres per hour")
    refused(BadValue, lambda: evaluate(PK, {"CL": 5.0}, units={"Q": "mL/min"}), "pk2-oral", "Q")
    refused(UnknownSymbol, lambda: evaluate(PK, {"CL": 5.0}, units={"QQ": "mL/min"}), "pk2-oral", "QQ")


# -- times ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "times",
    [
        [0.0, 2.0, 1.0],
        [],
        [0.0, NAN, 1.0],
        [0.0, INF],
        [-1.0, 2.0],
        [[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]],
        [[0.0, NAN, 2.0], [0.0, 1.0, 2.0]],
        [[NAN, NAN], [0.0, 1.0]],
    ],
)
def test_times_go_forwards_and_are_finite(times: list[float]) -> None:
    refused(BadTimes, lambda: evaluate(PK, {"CL": [5.0, 6.0]}, times=times), "pk2-oral")


def test_huge_times_are_reached_or_refused_but_never_invented() -> None:
    found = evaluate(PK, {"CL": 5.0}, times=[0.0, 1e12], outputs=("amount_central",))
    assert found.failures or abs(found.data[0, 1, 0]) < 1e-6


# -- what is asked for ---------------------------------------------------------------------------------------------

QUESTIONS: list[tuple[str, type[TwinError], Callable[[], object], tuple[str, ...]]] = [
    ("an unknown output", UnknownSymbol, lambda: evaluate(PK, {}, outputs=["conc"]), ("pk2-oral", "conc")),
    ("an unknown method", BadValue, lambda: evaluate(PK, {}, method="euler"), ("pk2-oral", "euler")),
    ("no sample", BadValue, lambda: evaluate(PK, {}, samples=0), ("pk2-oral", "0")),
    (
        "draws of another shape",
        BadValue,
        lambda: evaluate(PK, {"CL": [5.0, 6.0]}, samples=2, draws={"ka": np.ones((3, 2))}),
        ("pk2-oral", "ka"),
    ),
    (
        "draws of an unknown symbol",
        UnknownSymbol,
        lambda: evaluate(PK, {}, samples=2, draws={"kaa": np.ones((1, 2))}),
        ("pk2-oral", "kaa"),
    ),
    ("an unknown model", UnknownModel, lambda: load_model("warfarine"), ("warfarine", "warfarin-pkpd")),
    (
        "a dose to a stranger",
        BadValue,
        lambda: evaluate(PK, {}, doses=[Dose("7", "amount_gut", 0.0, 1.0)]),
        ("pk2-oral", "7"),
    ),
    (
        "a dose of a parameter",
        UnknownSymbol,
        lambda: evaluate(PK, {}, doses=[Dose("1", "CL", 0.0, 1.0)]),
        ("pk2-oral", "CL"),
    ),
    (
        "a negative dose",
        BadValue,
        lambda: evaluate(PK, {}, doses=[Dose("1", "amount_gut", 0.0, -1.0)]),
        ("pk2-oral", "amount_gut", "1"),
    ),
    (
        "a dose before the start",
        BadValue,
        lambda: evaluate(PK, {}, doses=[Dose("1", "amount_gut", -1.0, 1.0)]),
        ("pk2-oral", "amount_gut"),
    ),
    (
        "a dose at no time",
        BadValue,
        lambda: evaluate(PK, {}, doses=[Dose("1", "amount_gut", NAN, 1.0)]),
        ("pk2-oral", "amount_gut"),
    ),
    (
        "contradictory doses",
        BadValue,
        lambda: evaluate(PK, {}, doses=[Dose("1", "amount_gut", 2.0, 1.0), Dose("1", "amount_gut", 2.0, 5.0)]),
        ("pk2-oral", "amount_gut", "1"),
    ),
    (
        "a scenario on an unknown symbol",
        UnknownSymbol,
        lambda: evaluate(PK, {}, [Scenario.scale("CLL", 2.0)]),
        ("pk2-oral", "CLL", "CL"),
    ),
    (
        "a scenario on a computed symbol",
        BadScenario,
        lambda: evaluate(PK, {}, [Scenario.set("conc_central", 2.0)]),
        ("conc_central", "pk2-oral"),
    ),
    ("a scenario out of bounds", BadScenario, lambda: evaluate(PK, {}, [Scenario.set("CL", -2.0)]), ("CL", "-2")),
    (
        "a scenario before the start",
        BadScenario,
        lambda: evaluate(PK, {}, [Scenario.set("CL", 2.0, at=-1.0)]),
        ("CL", "-1"),
    ),
    ("a scenario without a number", BadScenario, lambda: Scenario.set("CL", NAN), ("CL",)),
    (
        "contradictory scenarios",
        BadScenario,
        lambda: Scenario.set("CL", 1.0) + Scenario.set("CL", 2.0),
        ("CL", "1", "2"),
    ),
    ("a negative scheduled dose", BadScenario, lambda: Scenario.dose("amount_gut", -1.0, [0.0]), ("amount_gut", "-1")),
    (
        "a schedule that goes backwards",
        BadScenario,
        lambda: Scenario.dose("amount_gut", 1.0, [2.0, 1.0]),
        ("amount_gut",),
    ),
    ("a schedule that goes nowhere", BadScenario, lambda: Scenario.dose("amount_gut", 1.0, []), ("amount_gut",)),
    (
        "NaN in an observation",
        BadObservation,
        lambda: Observations.from_rows([Observation("p1", 1.0, "conc", NAN)]),
        ("p1", "conc"),
    ),
]


@pytest.mark.parametrize(("kind", "what", "names"), [row[1:] for row in QUESTIONS], ids=[row[0] for row in QUESTIONS])
def test_a_bad_question_is_refused_by_name(
    kind: type[TwinError], what: Callable[[], object], names: tuple[str, ...]
) -> None:
    refused(kind, what, *names)


def test_scaling_may_not_leave_the_bounds_either() -> None:
    refused(BadScenario, lambda: evaluate(PK, {"CL": 5.0}, [Scenario.scale("CL", -1.0)]), "CL")
    refused(BadScenario, lambda: evaluate(PK, {"V1": 5.0}, [Scenario.add("V1", -5.0)]), "V1")


# -- files ---------------------------------------------------------------------------------------------------------


def test_entities_are_refused_before_they_expand(tmp_path: Path) -> None:
    text = sbml(parameter("k", 1.0)).decode()
    bomb = text.replace("?>", '?><!DOCTYPE s [<!ENTITY a "x"><!ENTITY b "&a;&a;">]>', 1)
    (tmp_path / "bomb.xml").write_text(bomb, encoding="utf-8")
    refused(ModelUnreadable, lambda: load_model(tmp_path / "bomb.xml"), "bomb")
    outside = text.replace("?>", '?><!DOCTYPE s [<!ENTITY a SYSTEM "file:///etc/passwd">]>', 1)
    refused(ModelUnreadable, lambda: read_model(outside.encode(), name="outside"), "outside")


def test_a_file_of_a_hundred_megabytes_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "large.xml"
    with path.open("wb") as file:
        file.write(b"<sbml>")
        file.truncate(100_000_000)  # sparse: it takes no room on the disk
    tracemalloc.start()
    refused(ModelUnreadable, lambda: load_model(path), "large")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"<sbml/>", b"<html></html>", b"\x00\x01\x02", b"<sbml><model></sbml>"]
)
def test_what_is_no_model_is_refused(data: bytes) -> None:
    refused(ModelUnreadable, lambda: read_model(data, name="rubbish"), "rubbish")


def test_an_algebraic_loop_is_refused_with_its_symbols() -> None:
    free = [parameter(name, constant=False) for name in ("a", "b")]
    loop = sbml(*free, assigned("a", "b + 1"), assigned("b", "2*a"))
    error = refused(ModelInvalid, lambda: read_model(loop, name="loop"), "loop")
    assert "a" in str(error)
    refused(ModelInvalid, lambda: read_model(sbml(free[0], assigned("a", "a + 1")), name="self"), "self", "a")
    refused(ModelInvalid, lambda: read_model(sbml(free[0], assigned("a", "nowhere")), name="undefined"), "nowhere")


def test_a_model_without_a_steady_state_says_so_and_of_whom() -> None:
    growth = read_model(sbml(parameter("k", 1.0), parameter("y", 1.0, constant=False), rated("y", "k")), name="growth")
    refused(NotSteady, lambda: find_periodic(growth, {"k": [0.0, 0.5]}, period=1.0, most=20), "growth", "2")
    refused(UnknownSymbol, lambda: find_periodic(HEART, {}, period="TT"), "lv-windkessel", "TT")
