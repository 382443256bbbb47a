"""Units of UCUM: reading, converting, multiplying, and the names of SBML's units.

A `Unit` is a factor to the SI base units and a vector of exponents. The factors are fractions, so that a conversion
is rounded once. On purpose, some things differ from the UCUM specification:

- `mol` is a base unit (in UCUM it is a number, 6.022e23): mg and mmol convert only with a molar mass.
- `eq` and `osm` are base units too: 1 mmol of Ca2+ is 2 meq, so eq and mol convert only with a charge.
- `mm[Hg]` is the conventional 133.322387415 Pa (13.5951 g/cm3 times 9.80665 m/s2); UCUM rounds it to 133.322 Pa.
- An annotation is the number 1, as in UCUM, with one exception: `{1.73_m2}` is 1.73 m2 of body surface. So
  mL/min/{1.73_m2} converts to mL/min/m2, but not to mL/min: an indexed function of the kidneys is another quantity.
- Arbitrary units ([iU], [CFU]) and logarithmic ones ([pH], B) convert to themselves only.
- A number right after a number ("mL/min/1.73.m2") is refused: a decimal number is meant, and 1 times 73 would be read.

>>> convert(16.0, "kPa", "mm[Hg]")
120.00985213530501
>>> round(convert(1.0, "mg/dL", "umol/L", molar_mass_g_per_mol=113.12), 1)  # creatinine
88.4
>>> unit_from_sbml([("mole", 1, -3, 1), ("litre", -1, 0, 1)])
'mmol/L'
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, overload

from pepr_kg.twin.errors import UnitMismatch, UnknownUnit
from pepr_kg.twin.ucum import (
    LARGEST_EXPONENT,
    PER_BODY_SURFACE,
    Powers,
    components,
    gathered,
    measure,
    powered,
    resolve,
    shortened,
    unknown,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SbmlUnit = tuple[str, float, int, float]

LARGEST_FACTOR = Fraction(10) ** 250


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: `text` in UCUM, exact `factor` and `offset` to the SI base units, and `dimension`.

    A value v is `factor * v + offset` in SI base units (m, kg, s, A, K, cd, mol, and rad); `offset` is not zero for
    Cel, [degF] and [degRe] alone. `dimension` holds (base unit, exponent), sorted, without zeros. `text` is UCUM unless
    a root broke an exponent ("m(1/2)"). Units are equal when they convert with scale 1, whatever their text: L and dm3.

    >>> dose, volume = parse_unit("mg"), parse_unit("L")
    >>> (dose / volume).text, (dose / volume * volume).text, ((dose / volume) ** 2).text
    ('mg/L', 'mg', 'mg2/L2')
    >>> parse_unit("mm[Hg].L/min") == parse_unit("mm[Hg]") * volume / parse_unit("min")
    True
    """

    text: str = field(compare=False)
    factor: Fraction
    offset: Fraction
    dimension: Powers
    terms: Powers = field(repr=False, compare=False)

    @property
    def is_dimensionless(self) -> bool:
        """Return whether it measures a number: 1, %, {score}, 10*-3."""
        return not self.dimension

    def converts_to(self, other: "Unit") -> bool:
        """Return whether both measure the same thing, so that they convert without a molar mass or a charge."""
        return self.dimension == other.dimension

    def __mul__(self, other: "Unit") -> "Unit":
        """Return the product. Raises UnknownUnit for a scale with another zero (Cel)."""
        return _combine(self.terms + other.terms)

    def __truediv__(self, other: "Unit") -> "Unit":
        """Return the quotient. Raises UnknownUnit for a scale with another zero (Cel)."""
        return _combine(self.terms + tuple((symbol, -exponent) for symbol, exponent in other.terms))

    def __pow__(self, exponent: float | Fraction) -> "Unit":
        """Return the power; a broken exponent is taken as the nearest fraction with a denominator up to 1000.

        Raises UnknownUnit for a scale with another zero, and when exponent or factor grow beyond what makes sense.
        """
        if not abs(float(exponent)) <= LARGEST_EXPONENT:  # NaN too
            raise unknown(f"({self.text})^{exponent}", "an exponent too large", "un exposant trop grand")
        power = Fraction(exponent).limit_denominator(1000)
        return _combine(tuple((symbol, each * power) for symbol, each in self.terms))


def parse_unit(text: str) -> Unit:
    """Return the unit that a UCUM text stands for (capitals count). Raises UnknownUnit, which says why.

    >>> parse_unit("mmol/L").factor, dict(parse_unit("mmol/L").dimension)
    (Fraction(1, 1), {'m': Fraction(-3, 1), 'mol': Fraction(1, 1)})
    >>> parse_unit("mmHg")
    Traceback (most recent call last):
    pepr_kg.twin.errors.UnknownUnit: "mmHg" is not a UCUM unit: mmHg is written mm[Hg].
    """
    return _parse(text)


def conversion(
    from_unit: str | Unit,
    to_unit: str | Unit,
    *,
    molar_mass_g_per_mol: float | None = None,
    charge: int | None = None,
    symbol: str = "",
) -> tuple[float, float]:
    """Return (scale, offset): a value times `scale` plus `offset` is in `to_unit`. Equal units give exactly (1.0, 0.0).

    `molar_mass_g_per_mol` bridges mass and amount of substance; `charge`, that of the ion, whose sign does not matter,
    bridges amount and equivalents. Both are ignored where they are not needed. `symbol` is what an error names.
    Raises UnknownUnit and UnitMismatch.

    >>> conversion("Cel", "[degF]"), conversion("mL", "uL")
    ((1.8, 32.0), (1000.0, 0.0))
    >>> conversion("mg", "mmol", symbol="dose")
    Traceback (most recent call last):
    pepr_kg.twin.errors.UnitMismatch: dose: mg does not convert to mmol: the molar mass in g/mol is missing.
    """
    found = parse_unit(from_unit) if isinstance(from_unit, str) else from_unit
    expected = parse_unit(to_unit) if isinstance(to_unit, str) else to_unit

    def mismatch(en: str, fr: str) -> UnitMismatch:
        named = symbol or {"en": "the value", "fr": "la valeur"}
        return UnitMismatch(found=found.text, expected=expected.text, symbol=named, detail={"en": en, "fr": fr})

    scale, offset = found.factor / expected.factor, (found.offset - expected.offset) / expected.factor
    gap = gathered(expected.dimension + tuple((base, -exponent) for base, exponent in found.dimension))
    if gap:
        masses, charges = -gap.pop("kg", Fraction(0)), -gap.pop("eq", Fraction(0))
        if gap.pop("mol", Fraction(0)) != masses + charges or gap:
            raise mismatch(*_difference(found, expected))
        bridges: tuple[tuple[Fraction, float | None, Fraction, tuple[str, str]], ...] = (
            (masses, molar_mass_g_per_mol, Fraction(1, 1000), _MOLAR_MASS),
            (charges, charge if charge is None else abs(charge), Fraction(1), _CHARGE),
        )
        for power, size, si, (en, fr) in bridges:
            if power and size is None:
                raise mismatch(f"{en} is missing", f"{fr} n’est pas donnée")
            if power and size is not None:
                if not (math.isfinite(size) and size > 0):
                    raise mismatch(f"{en} is {size}, which cannot be", f"{fr} vaut {size}, ce qui est impossible")
                scale *= powered(Fraction(size) * si, -power)
        offset = Fraction(0)
    try:
        return float(scale), float(offset)
    except OverflowError:
        raise mismatch("the factor is too large for a number", "le facteur est trop grand pour un nombre") from None


@overload
def convert(
    value: float,
    from_unit: str | Unit,
    to_unit: str | Unit,
    *,
    molar_mass_g_per_mol: float | None = None,
    charge: int | None = None,
    symbol: str = "",
) -> float: ...


@overload
def convert(
    value: "NDArray[np.float64]",
    from_unit: str | Unit,
    to_unit: str | Unit,
    *,
    molar_mass_g_per_mol: float | None = None,
    charge: int | None = None,
    symbol: str = "",
) -> "NDArray[np.float64]": ...


def convert(
    value: "float | NDArray[np.float64]",
    from_unit: str | Unit,
    to_unit: str | Unit,
    *,
    molar_mass_g_per_mol: float | None = None,
    charge: int | None = None,
    symbol: str = "",
) -> "float | NDArray[np.float64]":
    """Return the value, or an array of the same shape, in `to_unit`; what `from_unit` equals comes back bit for bit.

    For the arguments and errors see `conversion`.

    >>> convert(37.0, "Cel", "K")
    310.15
    """
    scale, offset = conversion(
        from_unit, to_unit, molar_mass_g_per_mol=molar_mass_g_per_mol, charge=charge, symbol=symbol
    )
    return value * scale + offset if offset else value * scale  # adding 0.0 would turn -0.0 round


def unit_from_sbml(kinds: Sequence[SbmlUnit]) -> str:
    """Return the UCUM text of a unit definition of SBML, whose parts are (kind, exponent, scale, multiplier).

    It is the product of (multiplier * 10^scale * kind)^exponent (SBML Level 3 Version 2 Core, 4.4; the kinds of Level 2
    too). Familiar names are preferred: h, mL, mm[Hg], %. Raises UnknownUnit for an unknown kind, for Celsius (a scale
    with another zero), for a broken exponent, and for an empty definition, whose unit is unknown and not 1.

    >>> unit_from_sbml([("gram", 1, -3, 1), ("second", 1, 0, 3600), ("litre", -1, 0, 1)])
    'mg.h/L'
    >>> unit_from_sbml([("metre", 1, 0, 2.54)])
    '254.10*-2.m'
    """
    if not kinds:
        raise unknown("", "its definition is empty", "sa définition est vide")
    number = Fraction(1)
    names: list[tuple[str, Fraction]] = []
    for kind, exponent, scale, multiplier in kinds:
        if kind.lower() == "celsius":
            raise unknown(kind, "its zero is not that of kelvin, so use kelvin", "son zéro n’est pas celui du kelvin")
        if kind not in _SBML:
            raise unknown(kind, "SBML has no kind of unit of this name", "SBML n’a pas de sorte d’unité de ce nom")
        shown = f"({multiplier}*10^{scale}*{kind})^{exponent}"
        if not (math.isfinite(multiplier) and multiplier > 0 and abs(scale) <= LARGEST_EXPONENT):
            raise unknown(shown, "its factor is not usable", "son facteur est inutilisable")
        if not (math.isfinite(exponent) and exponent == int(exponent) and abs(exponent) <= LARGEST_EXPONENT):
            raise unknown(shown, "its exponent is not a small whole number", "son exposant n’est pas un petit entier")
        exact = Fraction(Decimal(repr(float(multiplier)))) * (_AVOGADRO if kind == "avogadro" else 1)
        factor, name = _familiar(_SBML[kind], exact, int(scale))
        number *= factor ** int(exponent)
        names.append((name, Fraction(int(exponent))))
    for power in (Fraction(1), Fraction(-1)):
        if gathered(names).get("m") == 2 * power and abs(number / _BODY_SURFACE**power.numerator - 1) < _SAME_SURFACE:
            number = Fraction(1)
            names += [("m", -2 * power), (PER_BODY_SURFACE, power)]
    if not 1 / LARGEST_FACTOR < number < LARGEST_FACTOR:
        raise unknown(shown, "its factor is zero or too large", "son facteur est nul ou trop grand")
    numbers = ((str(number.numerator), Fraction(1)), (str(number.denominator), Fraction(-1)))
    text = _combine((*numbers, *names)).text
    components(text)  # a factor may have more digits than a text holds
    return text


_SBML = {
    **{"ampere": "A", "avogadro": "1", "becquerel": "Bq", "candela": "cd", "coulomb": "C", "dimensionless": "1"},
    **{"farad": "F", "gram": "g", "gray": "Gy", "henry": "H", "hertz": "Hz", "item": "{item}", "joule": "J"},
    **{"katal": "kat", "kelvin": "K", "kilogram": "kg", "liter": "L", "litre": "L", "lumen": "lm", "lux": "lx"},
    **{"meter": "m", "metre": "m", "mole": "mol", "newton": "N", "ohm": "Ohm", "pascal": "Pa", "radian": "rad"},
    **{"second": "s", "siemens": "S", "sievert": "Sv", "steradian": "sr", "tesla": "T", "volt": "V", "watt": "W"},
    **{"weber": "Wb"},
}
_BODY_SURFACE, _SAME_SURFACE = Fraction(173, 100), Fraction(1, 1_000_000)
_AVOGADRO = Fraction("6.02214179e23")  # as SBML Level 3 has it, which is not the value of 2019
# Sizes with a name of their own.
_FAMILIAR = {
    "s": {"a": "31557600", "wk": "604800", "d": "86400", "h": "3600", "min": "60"},
    "Pa": {"mm[Hg]": "133.322387415", "cm[H2O]": "98.0665", "bar": "100000"},
    "J": {"kcal": "4184", "cal": "4.184"},
}
_ROUNDED = {"mm[Hg]": Fraction(5, 1_000_000)}  # lets in the usual 133.322 and 133.3224
_SMALL = {-3: "m", -6: "u", -9: "n", -12: "p", -15: "f"}
_PREFIXED = {
    **{"1": {}, "{item}": {}, "s": _SMALL, "g": _SMALL | {3: "k"}},
    **{"L": {-1: "d", -2: "c"} | _SMALL, "m": {-1: "d", -2: "c", 3: "k"} | _SMALL},
}


def _familiar(kind: str, multiplier: Fraction, scale: int) -> tuple[Fraction, str]:
    """A number and the unit that it multiplies, with the best known name."""
    symbol, multiplier = ("g", multiplier * 1000) if kind == "kg" else (kind, multiplier)
    size = multiplier * Fraction(10) ** scale
    for name, known in _FAMILIAR.get(symbol, {}).items():
        if abs(size / Fraction(known) - 1) <= _ROUNDED.get(name, 0):
            return Fraction(1), name
    if symbol == "s" and size % 86400 == 0:
        return size / 86400, "d"
    prefixes = _PREFIXED.get(symbol, {3: "k", 6: "M", 9: "G"} | _SMALL)
    for power, prefix in prefixes.items():
        if size == Fraction(10) ** power:
            return Fraction(1), prefix + symbol
    if size != 1 and scale in prefixes:
        return multiplier, prefixes[scale] + symbol
    return size, symbol


_MOLAR_MASS = ("the molar mass in g/mol", "la masse molaire en g/mol")
_CHARGE = ("the charge of the ion", "la charge de l’ion")
# Names of dimensions, each by a unit that has it.
_QUANTITIES = {
    **{"1": ("a number", "un nombre"), "m": ("a length", "une longueur"), "kg": ("a mass", "une masse")},
    **{"s": ("a time", "un temps"), "/s": ("a rate", "une fréquence"), "m2": ("an area", "une surface")},
    **{"K": ("a temperature", "une température"), "mol": ("an amount of substance", "une quantité de matière")},
    **{"L": ("a volume", "un volume"), "Pa": ("a pressure", "une pression"), "L/s": ("a flow", "un débit")},
    **{"kg/L": ("a mass concentration", "une concentration massique"), "V": ("a voltage", "une tension")},
    **{"mol/L": ("a molar concentration", "une concentration molaire"), "J": ("an energy", "une énergie")},
    **{"[iU]": ("an amount in [iU]", "une quantité en [iU]"), "kat": ("an activity", "une activité catalytique")},
    **{"[iU]/L": ("a concentration in [iU]", "une concentration en [iU]"), "A": ("a current", "un courant")},
    **{
        "kat/L": ("an activity per volume", "une activité catalytique par volume"),
        "[pH]": ("an acidity", "une acidité"),
    },
}


def _difference(found: Unit, expected: Unit) -> tuple[str, str]:
    """Why two units do not convert, in both languages."""
    if (PER_BODY_SURFACE in dict(found.terms)) != (PER_BODY_SURFACE in dict(expected.terms)):
        return (
            "one is indexed to 1.73 m2 of body surface and the other is not; the patient's body surface is needed",
            "l’une est rapportée à 1,73 m2 de surface corporelle et l’autre non ; il faut celle du patient",
        )
    names = {parse_unit(text).dimension: name for text, name in _QUANTITIES.items()}
    nameless = [_render(unit.dimension) for unit in (found, expected)]
    (en, fr), (other_en, other_fr) = (
        names.get(unit.dimension, (text, text)) for unit, text in zip((found, expected), nameless, strict=True)
    )
    return f"{en} is not {other_en}", f"{fr} n’est pas {other_fr}"


@lru_cache(maxsize=4096)
def _parse(text: str) -> Unit:
    return _combine(tuple((symbol, Fraction(exponent)) for symbol, exponent in components(text)), text)


def _combine(terms: Powers, text: str = "") -> Unit:
    """The unit of a product of powers; without a text of its own it gets the shortest one."""
    kept = gathered(terms)
    try:
        factor, dimension = measure(kept.items())
    except UnknownUnit as error:
        raise UnknownUnit(unit=shortened(text), detail=error.details["detail"]) from None
    except (ZeroDivisionError, OverflowError):
        factor, dimension = Fraction(0), ()
    if not 1 / LARGEST_FACTOR < factor < LARGEST_FACTOR:
        named = text or ".".join(f"{symbol}^{exponent}" for symbol, exponent in kept.items())
        raise unknown(named, "its factor is zero or too large", "son facteur est nul ou trop grand")
    text = text or _render(tuple(kept.items()))
    offset = Fraction(0)
    for symbol in kept:
        if resolve(symbol).offset:
            offset = resolve(symbol).offset
            if kept[symbol] != 1 or factor != resolve(symbol).factor or len(dimension) != 1:
                raise unknown(
                    text,
                    f"the zero of {symbol} makes no sense in a product; use K for a difference",
                    f"le zéro de {symbol} n’a pas de sens dans un produit ; utilisez K pour un écart",
                )
    return Unit(text, factor, offset, dimension, tuple(kept.items()))


def _render(terms: Powers) -> str:
    """The text of a product of powers: one number, then what is above the line, then what is below."""
    number = Fraction(1)
    above: list[str] = []
    below: list[str] = []
    for symbol, exponent in terms:
        if symbol == "10*" or symbol.isdigit():
            number *= powered(Fraction(symbol.rstrip("*")), exponent)
        elif symbol.startswith("{") and exponent.denominator == 1:  # an annotation takes no exponent
            (above if exponent > 0 else below).extend([symbol] * abs(exponent.numerator))
        else:
            size = abs(exponent)
            power = "" if size == 1 else str(size) if size.denominator == 1 else f"({size})"
            (above if exponent > 0 else below).append(symbol + power)
    if not 1 / LARGEST_FACTOR < number < LARGEST_FACTOR:
        raise unknown("…", "its number is zero or too large", "son nombre est nul ou trop grand")
    if number == Fraction(1, 100) and not above:
        number, above = Fraction(1), ["%"]
    numbers, divisor = _digits(number)
    text = ".".join([*numbers, *above]) + "".join(f"/{each}" for each in [*below, *divisor])
    return text or "1"


def _digits(number: Fraction) -> tuple[list[str], list[str]]:
    """A number as whole factors and divisors, which is all that UCUM has: 2.54 is 254.10*-2."""
    whole, divisor, tens = number.numerator, number.denominator, 0
    shift = divisor.bit_length()  # enough tens for any divisor of twos and fives
    if divisor > 1 and 10**shift % divisor == 0 and (whole != 1 or divisor % 10 == 0):
        whole, divisor, tens = whole * 10**shift // divisor, 1, -shift
    round_off = tens < 0 or whole >= 1_000_000
    while round_off and whole % 10 == 0:
        whole, tens = whole // 10, tens + 1
    while divisor % 10 == 0 and divisor >= 1_000_000:
        divisor, tens = divisor // 10, tens - 1
    factors = [str(whole)] if whole != 1 else []
    while tens:
        step = max(-LARGEST_EXPONENT, min(tens, LARGEST_EXPONENT))
        factors, tens = [*factors, f"10*{step}"], tens - step
    return factors, [str(divisor)] if divisor != 1 else []
