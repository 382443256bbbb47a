"""What scenarios and doses may do: categories by their texts, amounts and concentrations, and the limits of a model."""

from pathlib import Path

import numpy as np
import pytest

from pepr_kg.twin import Dose, Scenario, Status, evaluate, load_model
from pepr_kg.twin.cohort import Given
from pepr_kg.twin.errors import BadScenario, BadValue

PERSON: dict[str, Given] = {"age_a": 50, "sex": "female", "smoker": True, "sbp_mmHg": 140,
                            "tchol_mmol_L": 5.5, "hdl_mmol_L": 1.3, "region": "low"}  # fmt: skip
INFUSED = """<sbml xmlns="http://www.sbml.org/sbml/level3/version2/core" level="3" version="2"><model id="iv">
<listOfCompartments><compartment id="V" size="10" spatialDimensions="3" constant="true"/></listOfCompartments>
<listOfSpecies><species id="drug" compartment="V" initialConcentration="10" hasOnlySubstanceUnits="false"
  boundaryCondition="false" constant="false"/></listOfSpecies></model></sbml>"""


def test_a_change_on_the_way_that_leaves_what_the_model_is_made_for_ends_the_prediction_there() -> None:
    plans = [Scenario.base(), Scenario.set("age_a", 95, at=1.0), Scenario.set("diabetes", 1, at=2.0)]
    result = evaluate(load_model("score2"), PERSON, plans, times=[0.0, 1.0, 2.0])
    assert result.status.tolist() == [Status.DONE, Status.NOT_VALID, Status.NOT_VALID]
    finite = np.isfinite(result.values("cvd_risk")[0, :, 0])
    assert finite.tolist() == [[True, True, True], [True, False, False], [True, True, False]]
    age, diabetes = result.failures
    assert (age.time, diabetes.time) == (1.0, 2.0)
    assert "SCORE2-OP for people of up to 89" in age.sentence("en")
    assert "diabétique" in diabetes.sentence("fr")


def test_a_change_on_the_way_to_what_no_patient_has_is_refused() -> None:
    with pytest.raises(BadScenario, match="CL"):
        evaluate(load_model("pk2-oral"), {}, [Scenario.add("CL", -10.0, at=1.0)], times=[12.0])


def test_a_category_is_set_by_its_text() -> None:
    by_text, by_code = (
        evaluate(load_model("score2"), PERSON, [Scenario.set("region", value)]).values("cvd_risk").item()
        for value in ("very high", 3)
    )
    assert by_text == by_code == pytest.approx(13.7, abs=0.06)
    for value in ("mars", 0.5):
        with pytest.raises(BadScenario, match="low, moderate, high, very high"):
            evaluate(load_model("score2"), PERSON, [Scenario.set("region", value)])
    with pytest.raises(BadScenario, match="text"):
        Scenario.scale("region", "high")  # type: ignore[arg-type]


def test_what_is_added_is_a_concentration_and_a_dose_is_an_amount_at_any_time(tmp_path: Path) -> None:
    path = tmp_path / "iv.xml"
    path.write_text(INFUSED, encoding="utf-8")
    plans = [
        Scenario.add("drug", 50.0),
        Scenario.add("drug", 50.0, at=1.0),
        Scenario.set("drug", 60.0, at=1.0),
        Scenario.dose("drug", 50.0, times=[1.0]),
    ]
    result = evaluate(load_model(path), {}, plans, times=[2.0], outputs=["drug"])
    assert result.values("drug").ravel().tolist() == pytest.approx([60.0, 60.0, 60.0, 15.0])
    one = evaluate(load_model(path), {}, times=[2.0], outputs=["drug"], doses=[Dose("1", "drug", 1.0, 50.0)])
    assert one.values("drug").item() == pytest.approx(15.0)


def test_a_dose_goes_to_what_holds_an_amount() -> None:
    with pytest.raises(BadScenario, match="holds no amount"):
        evaluate(load_model("warfarin-pkpd"), {}, [Scenario.dose("CL", 50.0, times=[0.0])], times=[1.0])


def test_samples_of_a_model_whose_variation_nobody_knows_are_refused() -> None:
    with pytest.raises(BadValue, match="spread"):
        evaluate(load_model("hodgkin-huxley"), {}, times=[1.0], samples=5)


def test_two_processes_give_the_bits_of_one() -> None:
    model = load_model("pk2-oral")
    given = {"CL": np.geomspace(2.0, 9.0, 301), "ka": np.geomspace(0.4, 1.6, 301)}
    one, two = (evaluate(model, given, times=np.linspace(0, 48, 49), workers=workers, block=64) for workers in (1, 2))
    assert np.array_equal(one.data, two.data)
    assert one.status.tolist() == two.status.tolist()
    none = evaluate(model, given, times=[1.0], outputs=(), workers=2)
    assert none.data.shape == (0, 1, 301)
