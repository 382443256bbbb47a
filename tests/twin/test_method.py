"""A method that does not fit the model is refused; it never passes over a part of it."""

from pathlib import Path

import numpy as np
import pytest

from pepr_kg.twin import Scenario, evaluate, load_model
from pepr_kg.twin.errors import BadValue, ModelUnsupported

MATH = 'xmlns="http://www.w3.org/1998/Math/MathML"'
CUBIC = f"""<sbml xmlns="http://www.sbml.org/sbml/level3/version2/core" level="3" version="2"><model id="cubic">
  <listOfParameters>
    <parameter id="x" value="1" constant="false"/> <parameter id="z" value="1" constant="false"/>
  </listOfParameters>
  <listOfRules>
    <rateRule variable="x"><math {MATH}><apply><minus/><ci>z</ci></apply></math></rateRule>
    <algebraicRule><math {MATH}>
      <apply><minus/>
        <apply><plus/><apply><power/><ci>z</ci><cn>3</cn></apply><ci>z</ci></apply>
        <apply><times/><cn>2</cn><ci>x</ci></apply>
      </apply>
    </math></algebraicRule>
  </listOfRules>
</model></sbml>"""  # z³ + z = 2 x


@pytest.mark.parametrize("method", ["closed form", "linear"])
def test_an_exact_method_is_refused_where_there_is_no_formula(method: str) -> None:
    with pytest.raises(ModelUnsupported, match="warfarin-pkpd") as caught:
        evaluate(load_model("warfarin-pkpd"), times=[24.0], method=method)
    assert caught.value.details["construct"] == f'method="{method}"'
    assert caught.value.message("fr") != caught.value.message("en")


def test_a_closed_form_is_not_kept_where_something_is_done_on_the_way() -> None:
    model, grown = load_model("theophylline"), Scenario.set("b_lCl", 0.5, at=2.0)
    with pytest.raises(ModelUnsupported, match="on the way"):
        evaluate(model, scenarios=[grown], times=[1.0, 4.0], method="closed form")
    chosen = evaluate(model, scenarios=[Scenario.base(), grown], times=[1.0, 4.0], outputs=["Cl"]).values("Cl")[0, :, 0]
    np.testing.assert_allclose(chosen[1], chosen[0] * [1.0, np.exp(0.5)])


@pytest.mark.parametrize("method", ["explicit", "scalar"])
def test_algebraic_equations_are_refused_by_methods_that_cannot_solve_them(method: str, tmp_path: Path) -> None:
    path = tmp_path / "cubic.xml"
    path.write_text(CUBIC, encoding="utf-8")
    model = load_model(path)
    with pytest.raises(ModelUnsupported, match="algebraic"):
        evaluate(model, times=[1.0], method=method)
    result = evaluate(model, times=[0.0, 1.0, 3.0], outputs=["x", "z"], rtol=1e-8)
    z = result.values("z")
    np.testing.assert_allclose(z**3 + z, 2.0 * result.values("x"), atol=1e-7)


def test_a_method_that_does_not_exist_is_named_with_those_that_do() -> None:
    with pytest.raises(BadValue, match="closed form, linear, explicit, stiff, scalar"):
        evaluate(load_model("pk2-oral"), times=[1.0], method="euler")
