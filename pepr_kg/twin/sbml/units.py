"""Units of an SBML model as UCUM codes: of its definitions, of what its elements inherit, of concentrations and rates.

No unit in the file means that the unit is unknown: None, and never "1". Level 2 has built-in units (SBML Level 2
Version 5, section 4.4.3). Where the name of a definition is a UCUM code of the same size, it is the code: a person
wrote it so. That is how "mL/min/{1.73_m2}" is told from what is per square metre.
"""

from pepr_kg.twin.errors import TwinError
from pepr_kg.twin.sbml.elements import Compartment, SbmlModel, Species, Units
from pepr_kg.twin.units import conversion, unit_from_sbml

_LEVEL2: dict[str, Units] = {
    "substance": (("mole", 1.0, 0, 1.0),),
    "volume": (("litre", 1.0, 0, 1.0),),
    "area": (("metre", 2.0, 0, 1.0),),
    "length": (("metre", 1.0, 0, 1.0),),
    "time": (("second", 1.0, 0, 1.0),),
}
_SIZES = {1.0: "length", 2.0: "area", 3.0: "volume"}


class UnitTable:
    """The units of one model. `time` and `reaction` are those of the model's time and of the rates of its reactions."""

    def __init__(self, model: SbmlModel) -> None:
        self._model = model
        self._codes: dict[Units, str | None] = {}
        self._known: dict[str, Units] = dict(_LEVEL2) if model.level == 2 else {}
        self._known.update({item.symbol: item.units for item in model.unit_definitions})
        self._names = {item.symbol: item.name for item in model.unit_definitions}
        self.time = self.of(self._inherited("time"))
        self.reaction = self._quotient(self._inherited("extent"), self._inherited("time"))

    def _inherited(self, kind: str) -> str:
        if self._model.level == 2:
            return "substance" if kind == "extent" else kind
        return self._model.units[kind]

    def of(self, unit: str) -> str | None:
        """Return the UCUM code of a unit as an attribute names it."""
        code = self._code(self._parts(unit))
        name = self._names.get(unit, "")
        return name if code is not None and name != code and _equal(name, code) else code

    def compartment(self, item: Compartment) -> str | None:
        """Return the unit of a compartment's size."""
        return self.of(self._size(item))

    def _size(self, item: Compartment) -> str:
        if item.units:
            return item.units
        if item.dimensions == 0:
            return "dimensionless"
        return self._inherited(_SIZES[item.dimensions]) if item.dimensions in _SIZES else ""

    def species(self, item: Species) -> str | None:
        """Return the unit of a species' symbol: of its amount, or of its concentration."""
        substance = item.units or self._inherited("substance")
        compartment = next(one for one in self._model.compartments if one.symbol == item.compartment)
        if item.only_substance or compartment.dimensions == 0:
            return self.of(substance)
        return self._quotient(substance, self._size(compartment))

    def _parts(self, unit: str) -> Units | None:
        if not unit:
            return None
        return self._known.get(unit, ((unit, 1.0, 0, 1.0),))

    def _quotient(self, upper: str, lower: str) -> str | None:
        above, below = self._parts(upper), self._parts(lower)
        if above is None or below is None:
            return None
        return self._code(
            (*above, *((kind, -exponent, scale, multiplier) for kind, exponent, scale, multiplier in below))
        )

    def _code(self, parts: Units | None) -> str | None:
        if parts is None:
            return None
        if parts not in self._codes:
            try:
                self._codes[parts] = unit_from_sbml(parts)
            except TwinError:
                self._codes[parts] = None
        return self._codes[parts]


def _equal(name: str, code: str) -> bool:
    """Return whether a name is a UCUM code for the same unit."""
    try:
        scale, offset = conversion(name.replace("{1.73_m2}", "(173.10*-2.m2)"), code)
    except TwinError:
        return False
    return abs(scale - 1.0) < 1e-12 and offset == 0.0
