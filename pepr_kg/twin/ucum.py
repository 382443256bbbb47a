"""The code system UCUM: its grammar and its table, as factors of exact fractions.

Source: The Unified Code for Units of Measure, version 2.2, the case-sensitive codes that a hospital or a model meets.
Where the table departs from it is said in `pepr_kg.twin.units`, which holds what one does with units.

>>> components("mg/(12.h)")
[('mg', 1), ('12', -1), ('h', -1)]
>>> float(resolve("mm[Hg]").factor)
133.322387415
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from pepr_kg.twin.errors import UnknownUnit

Powers = tuple[tuple[str, Fraction], ...]

LONGEST_TEXT = 256
LARGEST_EXPONENT = 99
PER_BODY_SURFACE = "{1.73_m2}"

PREFIXES = {
    **{"Y": 24, "Z": 21, "E": 18, "P": 15, "T": 12, "G": 9, "M": 6, "k": 3, "h": 2, "da": 1},
    **{"d": -1, "c": -2, "m": -3, "u": -6, "n": -9, "p": -12, "f": -15, "a": -18, "z": -21, "y": -24},
}
# Base units, and the arbitrary and logarithmic ones, which compare with nothing else. These take a prefix:
_METRIC_BASES = frozenset(["m", "s", "K", "cd", "A", "mol", "rad", "eq", "osm", "[iU]", "B", "Np", "B[SPL]"])
_LONELY = (
    "kg [pH] [arb'U] [USP'U] [GPL'U] [MPL'U] [APL'U] [beth'U] [anti'Xa'U] [todd'U] [dye'U] [smgy'U] [bdsk'U] [ka'U]"
    " [knk'U] [mclg'U] [tb'U] [CCID_50] [TCID_50] [EID_50] [PFU] [FFU] [CFU] [IR] [BAU] [AU] [Amb'a'1'U] [PNU] [Lf]"
    " [D'ag'U] [FEU] [ELU] [EU] [hnsf'U] [HPF] [NTU] [FNU]"
)
_BASES = _METRIC_BASES | frozenset(_LONELY.split(" "))
# name = number unit; a star after the name marks what takes a prefix
_TABLE = """
g* = 0.001 kg; t* = 1000 kg; u* = 1.66053906660e-27 kg; l* = 1 dm3; L* = 1 dm3; ar* = 100 m2; st* = 1 m3; b = 100 fm2
C* = 1 A.s; Hz* = 1 /s; N* = 1 kg.m/s2; Pa* = 1 N/m2; J* = 1 N.m; W* = 1 J/s; V* = 1 J/C; F* = 1 C/V; Ohm* = 1 V/A
S* = 1 A/V; mho* = 1 S; Wb* = 1 V.s; T* = 1 Wb/m2; H* = 1 Wb/A; sr* = 1 rad2; lm* = 1 cd.sr; lx* = 1 lm/m2; Ao = 0.1 nm
Bq* = 1 /s; Gy* = 1 J/kg; Sv* = 1 J/kg; kat* = 1 mol/s; U* = 1 umol/min; [IU]* = 1 [iU]; g%* = 1 g/dL; [S] = 1e-13 s
min = 60 s; h = 60 min; d = 24 h; wk = 7 d; a = 365.25 d; a_j = 365.25 d; a_t = 365.24219 d; a_g = 365.2425 d
mo = 30.4375 d; mo_j = 30.4375 d; mo_g = 30.436875 d; mo_s = 29.53059 d
[pi] = 3.14159265358979323846264338327950288 1; deg = 1 [pi].rad/180; gon = 0.9 deg; ' = 1 deg/60; '' = 1 deg/3600
circ = 2 [pi].rad; sph = 4 [pi].sr; % = 0.01 1; [ppth] = 1e-3 1; [ppm] = 1e-6 1; [ppb] = 1e-9 1; [pptr] = 1e-12 1
bar* = 1e5 Pa; atm = 101325 Pa; m[Hg]* = 133322.387415 Pa; m[H2O]* = 9806.65 Pa; att = 98066.5 Pa
[in_i'H2O] = 0.0254 m[H2O]; [in_i'Hg] = 0.0254 m[Hg]; [psi] = 1 [lbf_av]/[sin_i]; [lbf_av] = 1 [lb_av].[g]
[g]* = 9.80665 m/s2; gf* = 1 g.[g]; dyn* = 1e-5 N; P* = 0.1 Pa.s; St* = 1 cm2/s; G* = 1e-4 T
[PRU] = 1 mm[Hg].s/mL; [wood'U] = 1 mm[Hg].min/L; [MET] = 3.5 mL/min/kg; [diop] = 1 /m; [Ch] = 1 mm/3; [drp] = 1 mL/20
[LPF] = 100 [HPF]; cal* = 4.184 J; cal_th* = 4.184 J; cal_IT* = 4.1868 J; [Cal] = 4184 J; erg* = 1e-7 J
[Btu] = 1054.35 J; eV* = 1.602176634e-19 J; [e]* = 1.602176634e-19 C; [c]* = 299792458 m/s; [h]* = 6.62607015e-34 J.s
[k]* = 1.380649e-23 J/K
Ci* = 37e9 Bq; R* = 2.58e-4 C/kg; RAD* = 0.01 Gy; REM* = 0.01 Sv; [degR] = 5 K/9; [ly]* = 1 [c].a_j
[in_i] = 0.0254 m; [ft_i] = 12 [in_i]; [yd_i] = 3 [ft_i]; [mi_i] = 5280 [ft_i]; [sin_i] = 1 [in_i]2; [sft_i] = 1 [ft_i]2
[syd_i] = 1 [yd_i]2; [cin_i] = 1 [in_i]3; [cft_i] = 1 [ft_i]3
[ft_us] = 1200 m/3937; [in_us] = 1 [ft_us]/12; [yd_us] = 3 [ft_us]; [mi_us] = 5280 [ft_us]
[gr] = 64.79891 mg; [lb_av] = 7000 [gr]; [oz_av] = 1 [lb_av]/16; [stone_av] = 14 [lb_av]; [oz_tr] = 480 [gr]
[oz_m] = 28 g; [car_m] = 0.2 g; [foz_m] = 30 mL; [cup_m] = 240 mL; [tbs_m] = 15 mL; [tsp_m] = 5 mL
[gal_us] = 231 [cin_i]; [qt_us] = 1 [gal_us]/4; [pt_us] = 1 [gal_us]/8; [foz_us] = 1 [gal_us]/128; [cup_us] = 8 [foz_us]
[tbs_us] = 1 [foz_us]/2; [tsp_us] = 1 [tbs_us]/3
[gal_br] = 4.54609 L; [qt_br] = 1 [gal_br]/4; [pt_br] = 1 [gal_br]/8; [foz_br] = 1 [gal_br]/160
{1.73_m2} = 1.73 m2
"""
_ATOMS: dict[str, tuple[bool, str]] = {}
for _entry in _TABLE.replace("\n", ";").split(";"):
    if _entry.strip():
        _name, _, _definition = _entry.strip().partition(" = ")
        _ATOMS[_name.rstrip("*")] = (_name.endswith("*"), _definition)
# Scales with another zero, in kelvin: the size of a degree, and where zero lies.
_DEGREES = {
    "Cel": (Fraction(1), Fraction("273.15")),
    "[degF]": (Fraction(5, 9), Fraction("459.67") * Fraction(5, 9)),
    "[degRe]": (Fraction(5, 4), Fraction("273.15")),
}
_METRIC = _METRIC_BASES | {name for name, (metric, _) in _ATOMS.items() if metric} | {"Cel"}

# What people write in English and French, in small letters, and what UCUM calls it.
_MEANT = {
    **{"mmhg": "mm[Hg]", "cmh2o": "cm[H2O]", "iu": "[iU]", "ui": "[iU]", "miu": "m[iU]", "meq": "meq", "mcg": "ug"},
    **{"mcl": "uL", "cc": "mL", "lb": "[lb_av]", "in": "[in_i]", "kilogram": "kg", "gram": "g", "litre": "L"},
    **{"sec": "s", "hr": "h", "hrs": "h", "hour": "h", "hours": "h", "heure": "h", "heures": "h", "mn": "min"},
    **{"minute": "min", "minutes": "min", "day": "d", "days": "d", "jour": "d", "jours": "d", "j": "d", "week": "wk"},
    **{"weeks": "wk", "semaine": "wk", "semaines": "wk", "month": "mo", "months": "mo", "mois": "mo", "year": "a"},
    **{"years": "a", "yr": "a", "yrs": "a", "an": "a", "ans": "a", "degc": "Cel", "celsius": "Cel", "degf": "[degF]"},
    **{"y": "a", "ph": "[pH]", "ohms": "Ohm", "drop": "[drp]", "goutte": "[drp]", "katal": "kat", "osmol": "osm"},
    **{"mosmol": "mosm", "bpm": "/min", "liter": "L"},
}
_TOKEN = re.compile(
    r"(?P<ten>10[*^])(?P<power>[+-]?\d+)?"
    r"|(?P<number>\d+)"
    r"|(?P<symbol>(?:[A-Za-z%_'\"]|\[[^\[\]{}]*\])+)(?P<exponent>[+-]?\d+)?"
    r"|(?P<note>\{[^{}]*\})"
    r"|(?P<mark>[./()])"
)
_SPELLINGS_OF_BODY_SURFACE = re.compile(r"\{1[.,]73[_.*]?m\^?2\}")
_DECIMAL = re.compile(r"(?:^|[./(])\d+\.$")


@dataclass(frozen=True, slots=True)
class Size:
    """What a symbol stands for: a value v of it is `factor * v + offset` in the base units of `dimension`."""

    factor: Fraction
    offset: Fraction
    dimension: Powers


def unknown(unit: str, en: str, fr: str) -> UnknownUnit:
    """Return the error that says, in both languages, why a text is no unit; a long text is cut."""
    return UnknownUnit(unit=shortened(unit), detail={"en": en, "fr": fr})


def shortened(text: str, length: int = 60) -> str:
    """Return a text that fits a sentence."""
    return text if len(text) <= length else f"{text[:length]}…"


def components(text: str) -> list[tuple[str, int]]:
    """Return the symbols of a UCUM text with their exponents, in its order; "10*-9" is ("10*", -9).

    Annotations on a unit are left out.
    A parenthesis only turns signs round, so that a stack of signs is all there is to a parser. Raises UnknownUnit.
    """
    _check_text(text)
    found: list[tuple[str, int]] = []
    signs, sign, at, before = [1], 1, 0, "("
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise _misplaced(text, text[at], before)
        mark, kind = token[0], _kind(token)
        expecting = before in {"(", ".", "/"}
        if kind in {"symbol", "number", "ten", "note"} and expecting:
            if kind == "number" and _DECIMAL.search(text, 0, at):
                raise unknown(
                    text,
                    "it holds a decimal number, and UCUM has whole ones only ({1.73_m2}, 173.10*-2)",
                    "elle contient un nombre décimal, et UCUM n’a que des entiers ({1.73_m2}, 173.10*-2)",
                )
            exponent = int(token["power"] or token["exponent"] or 1)
            if abs(exponent) > LARGEST_EXPONENT:
                en, fr = f"an exponent above {LARGEST_EXPONENT}", f"un exposant supérieur à {LARGEST_EXPONENT}"
                raise unknown(text, en, fr)
            found.append((_name_of(token), exponent * sign * signs[-1]))
        elif kind == "(" and expecting:
            signs.append(signs[-1] * sign)
            sign = 1
        elif kind == ")" and not expecting and len(signs) > 1:
            signs.pop()
        elif kind == "/" and before not in {".", "/"}:
            sign = -1
        elif kind == "." and not expecting:
            sign = 1
        elif kind != "note" or before not in {"symbol", "number", "ten"} or _SPELLINGS_OF_BODY_SURFACE.fullmatch(mark):
            raise _misplaced(text, mark, before)
        before, at = kind, token.end()
    if before in {"(", ".", "/"} or len(signs) > 1:
        raise unknown(
            text,
            "it stops too early: a unit or a parenthesis is missing",
            "elle s’arrête trop tôt : il manque une unité ou une parenthèse",
        )
    return found


def _kind(token: re.Match[str]) -> str:
    kind = token.lastgroup or ""
    return {"mark": token[0], "power": "ten", "exponent": "symbol"}.get(kind, kind)


def _name_of(token: re.Match[str]) -> str:
    if token["ten"]:
        return "10*"
    return PER_BODY_SURFACE if _SPELLINGS_OF_BODY_SURFACE.fullmatch(token[0]) else token["symbol"] or token[0]


def _check_text(text: str) -> None:
    if not text:
        raise unknown(text, "it is empty; a number has the unit 1", "elle est vide ; un nombre a pour unité 1")
    if len(text) > LONGEST_TEXT:
        raise unknown(text, f"longer than {LONGEST_TEXT} characters", f"plus de {LONGEST_TEXT} caractères")
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise unknown(
            text,
            "UCUM has no spaces, accents or symbols: write u for µ, Cel for °C, m2 for m², Ohm for Ω",
            "UCUM n’a ni espace, ni accent, ni symbole : écrivez u pour µ, Cel pour °C, m2 pour m², Ohm pour Ω",
        )


def _misplaced(text: str, mark: str, before: str) -> UnknownUnit:
    if _SPELLINGS_OF_BODY_SURFACE.fullmatch(mark):
        return unknown(text, f"put a slash before {mark}", f"mettez une barre oblique devant {mark}")
    if before == "number" and mark[0].isalpha():
        return unknown(
            text,
            "a point stands after a number, and parentheses after a slash: mg/(12.h)",
            "un point suit un nombre, et des parenthèses une barre oblique : mg/(12.h)",
        )
    return unknown(text, f"{mark} cannot stand where it does", f"{mark} ne peut pas être à cette place")


@lru_cache(maxsize=4096)
def resolve(symbol: str) -> Size:
    """Return the size of one symbol (with its prefix), number or annotation. Raises UnknownUnit, with what is meant."""
    if symbol in _BASES:
        return Size(Fraction(1), Fraction(0), ((symbol, Fraction(1)),))
    if symbol in _DEGREES:
        return Size(*_DEGREES[symbol], (("K", Fraction(1)),))
    if symbol in _ATOMS:
        number, _, unit = _ATOMS[symbol][1].partition(" ")
        factor, dimension = measure((name, Fraction(exponent)) for name, exponent in components(unit))
        return Size(Fraction(number) * factor, Fraction(0), dimension)
    if symbol == "10*" or symbol.isdigit():
        return Size(Fraction(symbol.rstrip("*")), Fraction(0), ())
    if symbol.startswith("{"):
        return Size(Fraction(1), Fraction(0), ())
    for length in (2, 1):
        prefix, rest = symbol[:length], symbol[length:]
        if prefix in PREFIXES and rest in _METRIC:
            size = resolve(rest)
            return Size(size.factor * Fraction(10) ** PREFIXES[prefix], size.offset, size.dimension)
    meant = _MEANT.get(symbol.lower())
    if meant and meant != symbol:
        raise unknown(symbol, f"{symbol} is written {meant}", f"{symbol} s’écrit {meant}")
    shown = shortened(symbol, 20)
    raise unknown(
        symbol, f"there is no {shown}, and capitals count", f"{shown} n’existe pas, et les majuscules comptent"
    )


def measure(terms: Iterable[tuple[str, Fraction]]) -> tuple[Fraction, Powers]:
    """Return factor and dimension of a product of powers of symbols; offsets are left out. Raises UnknownUnit.

    >>> measure([("mL", Fraction(1)), ("min", Fraction(-1))])[0] == Fraction(1, 60_000_000)
    True
    """
    factor, powers = Fraction(1), []
    for symbol, exponent in terms:
        size = resolve(symbol)
        factor *= powered(size.factor, exponent)
        powers += [(base, each * exponent) for base, each in size.dimension]
    return factor, tuple(sorted(gathered(powers).items()))


def gathered(powers: Iterable[tuple[str, Fraction]]) -> dict[str, Fraction]:
    """Return the sum of the exponents of each symbol, without those that cancel, in the order of their first place."""
    sums: dict[str, Fraction] = {}
    for symbol, exponent in powers:
        sums[symbol] = sums.get(symbol, Fraction(0)) + exponent
    return {symbol: exponent for symbol, exponent in sums.items() if exponent}


def powered(base: Fraction, exponent: Fraction) -> Fraction:
    """Return the power of a factor above zero: exact where it is a fraction (10*-6 to the 1/2), else a rounded double.

    Raises OverflowError where a double cannot hold it.
    """
    if exponent.denominator == 1:
        return base**exponent.numerator
    roots = [_root(number, exponent.denominator) for number in (base.numerator, base.denominator)]
    if all(roots):
        return Fraction(*roots) ** exponent.numerator
    return Fraction(math.exp((math.log(base.numerator) - math.log(base.denominator)) * float(exponent)))


def _root(number: int, degree: int) -> int:
    """The whole root, or 0 where there is none."""
    guess = math.isqrt(number) if degree == 2 else round(math.exp(math.log(number) / degree))
    return guess if guess**degree == number else 0
