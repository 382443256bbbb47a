"""Source of an integrator for one model and one patient: plain Python on floats, every stage written out.

The explicit pair of Dormand and Prince with its dense output (see `dormand_prince`), the same error measure and the
same modes as `lanes`. The text consists of names that are made here and of numbers; Numba compiles it as it is.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pepr_kg.twin.compiler.codegen import Program
from pepr_kg.twin.compiler.emission import literal, order
from pepr_kg.twin.compiler.operations import Graph

# The tableau, as numbers: (stage, weights of the slopes before it), and the error and dense output weights.
_C = (0.0, 0.2, 0.3, 0.8, 8 / 9, 1.0, 1.0)
_A: Sequence[Sequence[float]] = (
    (),
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
_E = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
_D = (-12715105075 / 11282082432, 0.0, 87487479700 / 32700410799, -10690763975 / 1880347072,
      701980252875 / 199316789632, -1453857185 / 822651844, 69997945 / 29380423)  # fmt: skip

_INFIX = {
    "add": "({} + {})", "subtract": "({} - {})", "multiply": "({} * {})", "divide": "({} / {})", "negative": "(-{})",
    "power": "pow({}, {})", "less": "({} < {})", "less_equal": "({} <= {})", "greater": "({} > {})",
    "greater_equal": "({} >= {})", "equal": "({} == {})", "not_equal": "({} != {})", "logical_and": "({} and {})",
    "logical_or": "({} or {})", "logical_xor": "({} != {})", "logical_not": "(not {})", "truth": "({} != 0.0)",
    "float": "(1.0 if {} else 0.0)", "where": "({1} if {0} else {2})", "absolute": "abs({})",
    "floor": "float(floor({}))",
    "ceil": "float(ceil({}))", "trunc": "float(trunc({}))", "fmod": "fmod({}, {})", "factorial": "gamma({} + 1.0)",
    "maximum": "({0} if {0} >= {1} or {0} != {0} else {1})", "minimum": "({0} if {0} <= {1} or {0} != {0} else {1})",
    "arcsin": "asin({})", "arccos": "acos({})", "arctan": "atan({})", "arcsinh": "asinh({})", "arccosh": "acosh({})",
    "arctanh": "atanh({})",
}  # fmt: skip
_FLOOR = 1e-13  # below this share of the largest peak of all states a state counts as zero, as in `lanes`
_TWICE = ("maximum", "minimum")  # read their arguments more than once
_DEPTH = 12  # how deeply expressions are nested before a name is given
SPACE: Mapping[str, Any] = {
    **{name: getattr(math, name) for name in (
        "exp", "log", "log10", "sqrt", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh",
        "acosh", "atanh", "pow", "floor", "ceil", "trunc", "fmod", "gamma")},
    "inf": math.inf, "nan": math.nan,
}  # fmt: skip
BUILTINS: Mapping[str, Any] = {"abs": abs, "float": float, "len": len, "max": max, "min": min, "range": range}


class _Formulas:
    """Writes operations as Python expressions; an operation used once is written where it is used."""

    def __init__(
        self, graph: Graph, leaf: Callable[[str], str], prefix: str, done: dict[int, str] | None = None
    ) -> None:
        self.graph, self.leaf, self.prefix = graph, leaf, prefix
        self.done: dict[int, str] = {} if done is None else done
        self.lines: list[str] = []

    def write(self, roots: Sequence[int], keep: Iterable[int] = ()) -> list[str]:
        """Return the code of each root; what is needed before stands in `lines`. `keep`: operations that get a name."""
        graph = self.graph
        todo = order(graph, [*keep, *roots], self.done)
        uses: dict[int, int] = dict.fromkeys(keep, 2)
        for at in roots:
            uses[at] = uses.get(at, 0) + 1
        for at in todo:
            for arg in graph.args[at]:
                uses[arg] = uses.get(arg, 0) + (2 if graph.ops[at] in _TWICE else 1)
        inline: dict[int, str] = {}
        depth: dict[int, int] = {}

        def code(at: int) -> str:
            known = self.done.get(at) or inline.get(at)
            return known if known is not None else self._leaf(at)

        for at in todo:
            op = graph.ops[at]
            depth[at] = 1 + max((depth.get(arg, 0) for arg in graph.args[at]), default=0)
            text = _INFIX.get(op, op + "({})").format(*(code(arg) for arg in graph.args[at]))
            if uses[at] == 1 and depth[at] < _DEPTH:
                inline[at] = text
            else:
                depth[at] = 0
                self.done[at] = f"{self.prefix}{at}"
                self.lines.append(f"{self.prefix}{at} = {text}")
        return [code(at) for at in roots]

    def _leaf(self, at: int) -> str:
        text = literal(self.graph, at)
        if self.graph.ops[at] == "num":
            return f"({text})" if text.startswith("-") else text
        name = self.leaf(text)
        return f"({name} != 0.0)" if self.graph.boolean[at] else name


def _leaves(time: str, state: str) -> Callable[[str], str]:
    """Return how leaves are called: `y3` as state 3 under this letter, `v[5]` as `v5`."""

    def name(text: str) -> str:
        if text == "t":
            return time
        return f"{state}{text[1:]}" if text.startswith("y") else text.replace("[", "").replace("]", "")

    return name


def _sum(weights: Sequence[float], slopes: Sequence[str]) -> str:
    terms = [
        f"{weight!r} * {slope}" for weight, slope in zip(weights, slopes, strict=False) if weight and slope != "0.0"
    ]
    return " + ".join(terms) or "0.0"


class Source:
    """The text of the functions `lowest`, `modes` and `integrate` of a model."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.count = len(program.states)
        self.states = range(self.count)
        self.modes = [f"v{slot}" for slot in program.mode_slots]
        frozen = program.frozen
        self.known = {at: code.replace("[", "").replace("]", "") for at, code in frozen.known.items()}
        self.functions: dict[str, str] = {}
        self._slots: set[str] = set()
        if program.modes:
            self._guards()
            self._literal_modes()
        self._integrate()

    # -- modes -----------------------------------------------------------------------------------------------------

    def _guards(self) -> None:
        frozen = self.program.frozen
        formulas = _Formulas(frozen.graph, _leaves("t", "y"), "x", self._shared())
        codes = formulas.write(frozen.guards)
        lines = [*formulas.lines, f"low = {codes[0]}"]
        for code in codes[1:]:
            lines += [f"g = {code}", "if g < low: low = g"]
        self._lowest = self._function("lowest", [*lines, "return low"])

    def _literal_modes(self) -> None:
        graph, found = self.program.mode_graph()
        formulas = _Formulas(graph, _leaves("t", "y"), "x")
        codes = formulas.write([graph.real(at) for at in found])
        self._now = self._function("modes", [*formulas.lines, f"return ({', '.join(codes)},)"])

    def _function(self, name: str, lines: Sequence[str]) -> tuple[str, list[str]]:
        slots = sorted(_slots(lines), key=lambda item: int(item[1:]))
        arguments = ["t", *(f"y{at}" for at in self.states), *slots]
        self.functions[name] = f"def {name}({', '.join(arguments)}):\n" + "".join(f"    {line}\n" for line in lines)
        return name, slots

    def _call(self, function: tuple[str, list[str]], time: str, state: str) -> str:
        return f"{function[0]}({', '.join([time, *(f'{state}{at}' for at in self.states), *function[1]])})"

    def _shared(self) -> dict[int, str]:
        return dict(self.known)

    # -- stages ----------------------------------------------------------------------------------------------------

    def _stage(self, number: int, time: str, state: str, done: dict[int, str]) -> list[str]:
        """Return the lines of a stage; `done` gets the names of what is kept for a stage at the same time."""
        frozen = self.program.frozen
        formulas = _Formulas(frozen.graph, _leaves(time, state), f"x{number}_", done)
        keep = [at for at in frozen.kept if at not in done]
        codes = formulas.write(frozen.rates, keep)
        lines = list(formulas.lines)
        lines += [f"k{number}_{at} = {code}" for at, code in enumerate(codes) if code != "0.0"]
        return lines

    def _slopes(self, state: int, stages: int) -> list[str]:
        zero = self._zeros[state]
        return ["0.0" if zero else f"k{number}_{state}" for number in range(1, stages + 1)]

    def _integrate(self) -> None:
        frozen, states = self.program.frozen, self.states
        graph = frozen.graph
        self._zeros = [graph.ops[at] == "num" and graph.values[at] == 0 for at in frozen.rates]
        step: list[str] = []
        names: dict[int, str] = {}
        for number in range(2, 8):
            letter = "z" if number == 7 else "s"
            factors = _A[number - 1]
            step += [f"{letter}{at} = y{at} + h * ({_sum(factors, self._slopes(at, number - 1))})" for at in states]
            if number < 7:
                names = self._shared()
                step.append(f"ts = t + {_C[number - 1]!r} * h" if number < 6 else "ts = t + h")
            else:  # the seventh stage is at the time of the sixth
                names = {at: name for at, name in names.items() if at in self.known or at in frozen.kept}
            step += self._stage(number, "ts", letter, names)
        first = self._stage(1, "t", "y", self._shared())
        dense = [line for at in states for line in self._dense(at)]
        cut = [f"y{at} + q * (r{at} + (1.0 - q) * (b{at} + q * (c{at} + (1.0 - q) * d{at})))" for at in states]
        body = _LOOP
        parts = {
            "FIRST": first, "BEGIN": self._begin(), "STEP": step, "ERROR": self._error(), "DENSE": dense,
            "CUT": self._cut(dense, cut) if self.modes else [],
            "OUT": [f"out[due, {at}] = {code}" for at, code in enumerate(cut)],
            "START": [f"out[due, {at}] = y{at}" for at in states],
            "MOVE": self._move(cut), "STIFF": self._stiff(), "CHATTER": self._chatter(),
        }  # fmt: skip
        text = []
        for line in body.splitlines():
            mark = line.strip()
            if mark.startswith("#") and mark[1:] in parts:
                pad = line[: len(line) - len(line.lstrip())]
                text += [pad + item for item in (parts[mark[1:]] or ["pass"])]
            else:
                text.append(line)
        used = _slots(text) | set(self.modes)
        head = [f"    {name} = v[{name[1:]}]" for name in sorted(used, key=lambda item: int(item[1:]))]
        head += [
            f"    y{at} = y[{at}]\n    p{at} = abs(y{at})\n    a{at} = atol[{at}] + 1e-300\n    k7_{at} = 0.0"
            for at in states
        ]
        self.functions["integrate"] = "\n".join([text[0], *head, *text[1:]]) + "\n"

    def _begin(self) -> list[str]:
        lines = ["size = 0.0", "slope = 0.0", "zero = False"]
        for at in self.states:
            slope = "0.0" if self._zeros[at] else f"k1_{at}"
            lines += [
                f"e = a{at} + rtol * abs(y{at})",
                "if e > 1e-290:",
                f"    size = max(size, abs(y{at}) / e)",
                f"    slope = max(slope, abs({slope}) / e)",
                f"elif {slope} != 0.0: zero = True",
            ]
        return lines

    def _error(self) -> list[str]:
        peaks = ", ".join(f"p{at}" for at in self.states)
        lines = ["error = 0.0", "total = 0.0", f"low_peak = {_FLOOR!r} * max({peaks}, 0.0)"]
        for at in self.states:
            if self._zeros[at]:
                continue
            lines += [
                f"e = abs(h * ({_sum(_E, self._slopes(at, 7))}))",
                f"u = abs(y{at})", f"g = abs(z{at})", "if g > u: u = g", f"if 1e-3 * p{at} > u: u = 1e-3 * p{at}",
                f"e = e / (a{at} + rtol * (u + low_peak))", "if not e <= error: error = e", f"total += k7_{at}",
            ]  # fmt: skip
        return [*lines, "error += 0.0 * total"]

    def _dense(self, at: int) -> list[str]:
        slopes = self._slopes(at, 7)
        return [
            f"r{at} = z{at} - y{at}", f"b{at} = h * {slopes[0]} - r{at}", f"c{at} = r{at} - h * {slopes[6]} - b{at}",
            f"d{at} = h * ({_sum(_D, slopes)})",
        ]  # fmt: skip

    def _cut(self, dense: Sequence[str], cut: Sequence[str]) -> list[str]:
        probe = [f"s{at} = {code}" for at, code in enumerate(cut)]
        return [
            f"low = {self._call(self._lowest, 'ts', 'z')}",
            "theta = 1.0",
            "left = 0.0",
            # A mode may have come and gone inside the step, the sooner the better the step is: look at its inside too.
            "if not low < 0.0:",
            *(f"    {line}" for line in dense),
            "    span = 0.0625 if error < 0.01 else 0.25",
            "    for turn in range(1, 16 if error < 0.01 else 4):",
            "        q = span * turn",
            *(f"        {line}" for line in probe),
            f"        g = {self._call(self._lowest, 't + q * h', 's')}",
            "        if g < 0.0:",
            "            low = g",
            "            theta = q",
            "            left = q - span",
            "            break",
            "if low < 0.0:",
            "    change = True",
            "    if flips < 50:",
            *(f"        {line}" for line in dense),
            "        q = left",
            *(f"        {line}" for line in probe),
            f"        before = {self._call(self._lowest, 't + q * h', 's')}",
            "        after = low",
            "        near_enough = max(1e-13, 9e-16 * abs(t) / h)",
            "        side = 0",
            "        for turn in range(80):",
            "            if theta - left <= near_enough: break",
            # Regula falsi with halved weights (Illinois); every third turn bisects.
            "            if turn % 3 == 2 or not before > 0.0: q = 0.5 * (left + theta)",
            "            else: q = (left * after - theta * before) / (after - before)",
            "            if not (q > left and q < theta): q = 0.5 * (left + theta)",
            *(f"            {line}" for line in probe),
            f"            g = {self._call(self._lowest, 't + q * h', 's')}",
            "            if g < 0.0:",
            "                theta = q",
            "                after = g",
            "                if side == 1: before *= 0.5",
            "                side = 1",
            "            else:",
            "                left = q",
            "                before = g",
            "                if side == -1: after *= 0.5",
            "                side = -1",
            "        if theta < 1e-7: flips += 1",
            "        else: flips = 0",
            "    else: theta = 1.0",
            "else: flips = 0",
        ]

    def _move(self, cut: Sequence[str]) -> list[str]:
        states = self.states
        whole = [f"y{at} = z{at}" for at in states if not self._zeros[at]]
        whole += [f"k1_{at} = k7_{at}" for at in states if not self._zeros[at]]
        lines = whole
        if self.modes:
            lines = ["if theta < 1.0:", "    q = theta", *(f"    s{at} = {code}" for at, code in enumerate(cut))]
            lines += [f"    y{at} = s{at}" for at in states]
            # A few units past the crossing, so that what is computed from the time agrees.
            lines += ["    goal += 9e-16 * abs(goal)", "else:", *(f"    {line}" for line in whole), "if change:"]
            values = self._call(self._now, "goal", "y")
            lines += [
                f"    {', '.join(self.modes)}{',' if len(self.modes) == 1 else ''} = {values}",
                "    fresh = True",
            ]
        return [*lines, *(f"p{at} = max(p{at}, abs(y{at}))" for at in states)]

    def _chatter(self) -> list[str]:
        """Return what is done where modes flip without end: hops so short that the wrong mode does no harm."""
        if not self.modes:
            return []
        lines = ["if flips >= 50:"]
        for at in self.states:
            if not self._zeros[at]:
                lines.append(f"    e = a{at} + rtol * max(abs(y{at}), 1e-3 * p{at})")
                lines.append(f"    h = min(h, e / (abs(k1_{at} - k7_{at}) + 1e-300))")
        return lines

    def _stiff(self) -> list[str]:
        moving = [at for at in self.states if not self._zeros[at]]
        above = " + ".join(f"(k7_{at} - k6_{at}) * (k7_{at} - k6_{at})" for at in moving) or "0.0"
        below = " + ".join(f"(z{at} - s{at}) * (z{at} - s{at})" for at in moving) or "0.0"
        return [f"above = {above}", f"below = {below}"]


def _slots(lines: Iterable[str]) -> set[str]:
    found = set()
    for line in lines:
        word = ""
        for char in line + " ":
            if char.isalnum() or char == "_":
                word += char
            else:
                if word[:1] == "v" and word[1:].isdigit():
                    found.add(word)
                word = ""
    return found


_LOOP = """def integrate(t, y, v, grid, rtol, atol, max_steps, max_step, stiff_after, out):
    count = len(grid)
    end = grid[count - 1]
    due = 0
    while due < count and grid[due] <= t:
        #START
        due += 1
    steps = 0
    flips = 0
    calm = 0
    stiff = 0
    h = 0.0
    fresh = True
    while due < count:
        if fresh:
            #FIRST
            fresh = False
            #CHATTER
        if h == 0.0:
            #BEGIN
            h = 1e-6 * (end - t)
            if size > 1e-5 and slope > 1e-5: h = 0.0003 * size / slope
            if zero: h = min(h, 1e-4 * (end - t))
        if steps >= max_steps: return 2, steps, t
        steps += 1
        if h > max_step: h = max_step
        if not h > 4e-16 * abs(t): return 3, steps, t
        near = h >= (end - t) * (1.0 - 1e-9)
        if near: h = end - t
        #STEP
        #ERROR
        if not error <= 1.0:
            if error < 1e300: h = h * max(0.2, 0.9 * error ** -0.2)
            else: h = h * 0.2
            continue
        theta = 1.0
        change = False
        #CUT
        goal = t + h
        if near: goal = end
        if theta < 1.0: goal = t + theta * h
        if due < count and grid[due] <= goal:
            #DENSE
            while due < count and grid[due] <= goal:
                q = (grid[due] - t) / h
                #OUT
                due += 1
        if stiff_after > 0 and theta == 1.0:
            calm += 1
            if calm >= 20 or stiff > 0:
                calm = 0
                #STIFF
                if h * h * above > 10.5 * below:
                    stiff += 1
                    if stiff >= stiff_after: return 100, steps, t
                elif stiff > 0: stiff -= 1
        #MOVE
        t = goal
        if error > 1e-10: h = h * min(6.0, 0.9 * error ** -0.2)
        else: h = h * 6.0
        if theta < 1.0 and flips == 0: h = h * 0.03
    return 0, steps, t
"""
