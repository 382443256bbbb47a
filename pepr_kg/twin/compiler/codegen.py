"""A model compiled to NumPy source: rates, guards, Jacobian, triggers, outputs for many lanes at once.

Layout, the same for everything here: `t` is (L,), `y` (rows, L) with the states and then the algebraic symbols, `v` a
list of *slots*, each a float that all lanes share or an (L,) array. Slots are constants, discretes, modes, delays,
hoisted, in this order.

*Modes* make a step smooth: a relation that moves with time or states, and max, min, abs, floor, ceiling, quotient and
rem of what moves, read a slot that holds what was true when the step began. `Program.guards` says (≥ 0) whether it
still is. Equality is left literal.

*Hoisted* slots hold what depends on constants and discretes alone; `Program.prepare` fills them.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pepr_kg.twin.compiler.constraints import settle
from pepr_kg.twin.compiler.emission import Writer, build, order, plain, time_only
from pepr_kg.twin.compiler.freezing import FLOATING, Delay, Freezer, Mode, replace_delays
from pepr_kg.twin.compiler.operations import MODE, SLOT, STATE, TIME, Graph
from pepr_kg.twin.compiler.starting import initial_values
from pepr_kg.twin.expression import CLOCK, RELATIONS, Expr, Value, derivative, symbol
from pepr_kg.twin.model import Model

Array = npt.NDArray[np.float64]
Slots = list[Any]
_CACHE: "OrderedDict[str, Program]" = OrderedDict()
_CACHE_SIZE = 64


@dataclass(frozen=True, slots=True)
class Frozen:
    """The operations of rates and guards with modes frozen, for other writers of code; `known` are the hoisted slots.

    `kept` are the operations that depend on the time and on modes alone.
    """

    graph: Graph
    rates: tuple[int, ...]
    guards: tuple[int, ...]
    known: Mapping[int, str]
    kept: tuple[int, ...]


class Program:
    """The compiled form of a model. See the module for the layout of `t`, `y`, `v`; `w` is a list of `buffers` (L,)
    arrays.

    `states` are the rows of `y`, `rows` their numbers by symbol, `algebraic` how many of the last ones belong to
    constraints, `mass` is 1 for a state and 0 for an algebraic row. `slots` gives the place of constants, discretes,
    "mode:0", …, "delay:0", … in `v`.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.states = model.states + model.algebraic
        self.rows = {name: at for at, name in enumerate(self.states)}
        self.algebraic = len(model.algebraic)
        self.mass: Array = np.array([1.0] * len(model.states) + [0.0] * self.algebraic)
        self.discretes = model.discretes
        self.delays: tuple[Delay, ...]
        shared: dict[Expr, Delay] = {}
        self._assignments = {item.symbol: replace_delays(item.formula, shared) for item in model.assignments}
        self._rows = [replace_delays(item, shared) for item in (*model.rates, *model.constraints)]
        self._events = [
            (
                replace_delays(event.trigger, shared),
                None if event.delay is None else replace_delays(event.delay, shared),
                None if event.priority is None else replace_delays(event.priority, shared),
                [replace_delays(item.formula, shared) for item in event.assignments],
            )
            for event in model.events
        ]
        self.delays = tuple(shared.values())
        freezer = Freezer(self._assignments, self.states)
        self._frozen = [freezer.freeze(item) for item in self._rows]
        self._definitions = freezer.definitions
        self.modes: tuple[Mode, ...] = tuple(freezer.modes)
        names = [*model.constants, *model.discretes]
        names += [f"mode:{at}" for at in range(len(self.modes))] + [f"delay:{at}" for at in range(len(self.delays))]
        self.slots: dict[str, int] = {name: at for at, name in enumerate(names)}
        self.mode_slots = [self.slots[f"mode:{at}"] for at in range(len(self.modes))]
        self.delay_slots = [self.slots[f"delay:{at}"] for at in range(len(self.delays))]
        self._outputs: dict[tuple[str, ...], Callable[..., Any]] = {}
        self._jacobian: Callable[..., Any] | None = None
        self._triggers: Callable[..., Any] | None = None
        self._relations: Callable[..., Any] | None = None
        self._mode_values: Callable[..., Any] | None = None
        self._pieces: dict[tuple[str, int], Callable[..., Any]] = {}
        self._compile()

    # -- rates -----------------------------------------------------------------------------------------------------

    def _compile(self) -> None:
        graph = self._graph = Graph()
        self._time = graph.leaf("t", TIME)
        names = self._leaves(graph)
        for at, mode in enumerate(self.modes):
            leaf = graph.leaf(f"v[{self.mode_slots[at]}]", MODE, boolean=mode.kind not in FLOATING)
            names[f"mode:{at}"] = leaf
        for name, formula in self._definitions:
            if name not in names:
                names[name] = graph.lower(formula, names, self._time)
        self._names = names
        rates = [graph.real(graph.lower(item, names, self._time)) for item in self._frozen]
        guards = [self._guard(at, mode) for at, mode in enumerate(self.modes)]
        hoisted = self._hoist([*rates, *guards])
        self._masks(order(graph, [*rates, *guards]))
        base = len(self.slots)
        known = self._known = {at: f"v[{base + place}]" for place, at in enumerate(hoisted)}
        self.hoisted = list(range(base, base + len(hoisted)))
        self.width = base + len(hoisted)
        lines, codes = plain(graph, hoisted, self._floats)
        lines += [f"v[{slot}] = {code}" for slot, code in zip(self.hoisted, codes, strict=True)]
        self.prepare: Callable[[Slots], None] = build("prepare(v)", lines)
        known = {**known, **self._floats}
        self.frozen = Frozen(
            graph, tuple(rates), tuple(guards), self._known, tuple(time_only(graph, rates, self._known))
        )
        kept = {at: f"w[-{place}]" for place, at in enumerate(time_only(graph, rates, known), 1)}
        counts = []
        targets = [(f"dy[{row}]", at) for row, at in enumerate(rates)]
        checks = [(f"g[{row}]", at) for row, at in enumerate(guards)]
        self.rates, count = self._function("rates(t, y, v, w, dy, fresh=True)", targets, known, kept)
        counts.append(count)
        both = [*targets, *checks]
        self.rates_guards, count = self._function("rates_guards(t, y, v, w, dy, g, fresh=True)", both, known, kept)
        counts.append(count)
        self.buffers = max(counts) + len(kept)
        self._own_guards, self._guard_buffers = self._function("guards(t, y, v, w, g)", checks, known, {})
        self.autonomous = not any(graph.reads[at] & TIME for at in (*rates, *guards))

    def _leaves(self, graph: Graph) -> dict[str, int]:
        names = {name: graph.leaf(f"y{at}", STATE) for name, at in self.rows.items()}
        for name, at in self.slots.items():
            if not name.startswith("mode:"):
                names[name] = graph.leaf(f"v[{at}]", STATE if name.startswith("delay:") else SLOT)
        return names

    def _function(
        self, signature: str, targets: Sequence[tuple[str, int]], known: Mapping[int, str], kept: Mapping[int, str]
    ) -> tuple[Callable[..., None], int]:
        writer = Writer(self._graph, known, kept)
        first = writer.time_part()
        then = writer.state_part(targets)
        body = writer.head([*first, *then])
        if first:
            body += ["if fresh:", *(f"    {line}" for line in first)]
        return build(signature, [*body, *then]), writer.buffers.count

    def _hoist(self, roots: Iterable[int]) -> list[int]:
        graph, found = self._graph, dict[int, None]()
        roots = list(roots)

        def fixed(at: int) -> bool:
            return graph.rank(at) == 0 and not graph.is_leaf(at)

        found.update({at: None for at in roots if fixed(at)})
        for at in order(graph, roots):
            if not fixed(at):
                found.update({arg: None for arg in graph.args[at] if fixed(arg)})
        return list(found)

    def _masks(self, todo: Sequence[int]) -> None:
        """Find the modes that are read as numbers only: their slots hold 1.0 and 0.0 and not truth values."""
        graph = self._graph
        readers: dict[int, set[str]] = {}
        for at in todo:
            for arg in graph.args[at]:
                readers.setdefault(arg, set()).add(graph.ops[at])
        self._floats: dict[int, str] = {}
        self._wide: set[int] = set()
        for number, slot in enumerate(self.mode_slots):
            leaf = self._names[f"mode:{number}"]
            if not graph.boolean[leaf]:
                self._wide.add(number)
            elif readers.get(leaf, {"float"}) == {"float"}:
                self._wide.add(number)
                self._floats[graph.real(leaf)] = f"v[{slot}]"
                self._floats[leaf] = f"v[{slot}] != 0.0"

    def _guard(self, number: int, mode: Mode) -> int:
        graph, names, time = self._graph, self._names, self._time
        left, right = (graph.real(graph.lower(item, names, time)) for item in (mode.left, mode.right))
        held, one = names[f"mode:{number}"], graph.number(1.0)
        if mode.kind not in FLOATING:
            if mode.kind in ("lt", "leq"):
                left, right = right, left
            sign = graph.make("subtract", graph.make("multiply", graph.number(2.0), graph.real(held)), one)
            return graph.make("multiply", graph.total([left, graph.negative(right)]), sign)
        value = left if mode.kind != "quotient" else graph.quotient(left, right)
        low, high = held, held
        if mode.kind == "floor":
            high = graph.make("add", held, one)
        elif mode.kind == "ceiling":
            low = graph.make("subtract", held, one)
        else:  # cut towards zero: the interval that 0 stands for is twice as wide
            zero = graph.number(0.0)
            low = graph.make("subtract", held, graph.real(graph.make("less_equal", held, zero)))
            high = graph.make("add", held, graph.real(graph.make("greater_equal", held, zero)))
        return graph.make("minimum", graph.make("subtract", value, low), graph.make("subtract", high, value))

    # -- modes and guards ------------------------------------------------------------------------------------------

    def guards(self, t: Array, y: Array, v: Slots, w: list[Array], g: Array) -> None:
        """Fill `g` (modes, L): not negative while the frozen value of the mode is right. Overwrites `w`."""
        self._own_guards(t, y, v, _enough(w, self._guard_buffers, t), g)

    def mode_values(self, t: Array, y: Array, v: Slots, w: list[Array] | None = None) -> list[Array]:
        """Return what holds now for each mode: an (L,) array of truth values, or of floats for floor and its like."""
        if not self.modes:
            return []
        if self._mode_values is None:
            graph, found = self.mode_graph()
            roots = [graph.real(at) if number in self._wide else at for number, at in enumerate(found)]
            lines, codes = plain(graph, roots, {})
            self._mode_values = build("modes(t, y, v)", [*lines, f"return ({', '.join(codes)},)"])
        lanes = np.shape(t)
        return [np.broadcast_to(value, lanes) for value in self._mode_values(t, y, v)]

    def mode_graph(self) -> tuple[Graph, list[int]]:
        """Return the operations that give the modes what holds now, and which of them is which mode."""
        graph, names, time = self._literal()
        for name, formula in self._definitions:
            if name not in names:
                names[name] = graph.lower(formula, names, time)
        return graph, [names[f"mode:{number}"] for number in range(len(self.modes))]

    def _literal(self) -> tuple[Graph, dict[str, int], int]:
        graph = Graph(literal=True)
        return graph, self._leaves(graph), graph.leaf("t", TIME)

    # -- derivatives -----------------------------------------------------------------------------------------------

    def jacobian(self, t: Array, y: Array, v: Slots, w: list[Array], jac: Array, dfdt: Array) -> None:
        """Fill `jac` (rows, rows, L), d rates[i] / d y[j], and `dfdt` (rows, L), exactly, modes frozen. Overwrites
        `w`."""
        if self._jacobian is None:
            self._jacobian = self._derive()
        self._jacobian(t, y, v, _enough(w, self._jacobian_buffers, t), jac, dfdt)

    def _derive(self) -> Callable[..., Any]:
        """Return the code of the Jacobian: local derivatives of each formula, put together by the chain rule."""
        graph, names, time = self._graph, self._names, self._time
        one = graph.number(1.0)
        slopes: dict[str, dict[str, int]] = {name: {name: one} for name in self.states}

        def chain(formula: Expr) -> dict[str, int]:
            parts: dict[str, list[int]] = {}
            for name in sorted(formula.symbols):
                if slopes.get(name):
                    outer = graph.real(graph.lower(derivative(formula, name), names, time))
                    for goal, inner in slopes[name].items():
                        parts.setdefault(goal, []).append(graph.product([outer, inner]))
            parts.setdefault(CLOCK, []).append(graph.real(graph.lower(derivative(formula, CLOCK), names, time)))
            sums = {goal: graph.total(terms) for goal, terms in parts.items()}
            zero = graph.number(0.0)
            return {goal: at for goal, at in sums.items() if at != zero}

        for name, formula in self._definitions:
            if not name.startswith("mode:"):
                slopes[name] = chain(formula)
        targets: list[tuple[str, int]] = []
        for row, formula in enumerate(self._frozen):
            for goal, at in chain(formula).items():
                targets.append((f"dfdt[{row}]" if goal == CLOCK else f"jac[{row}, {self.rows[goal]}]", at))
        known = {**self._known, **self._floats}
        fixed = [at for at in self._hoist([at for _, at in targets]) if at not in known]
        lines, codes = plain(graph, fixed, known)
        known |= {at: f"c{at}" for at in fixed}
        lines += [f"c{at} = {code}" for at, code in zip(fixed, codes, strict=True)]
        writer = Writer(graph, known, {})
        body = writer.state_part(targets)
        self._jacobian_buffers = writer.buffers.count
        clear = ["copyto(jac, 0.0)", "copyto(dfdt, 0.0)"]
        return build("jacobian(t, y, v, w, jac, dfdt)", [*clear, *lines, *writer.head(body), *body])

    def settle(self, t: Array, y: Array, v: Slots, w: list[Array]) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Return `y` with the algebraic rows solved for, (rows, L), and in which lanes that worked, (L,)."""
        return settle(self, t, y, v, w)

    # -- literal evaluation ----------------------------------------------------------------------------------------

    def _needed(self, names: Iterable[str], known: Iterable[str]) -> list[str]:
        """Return the assignments that these symbols need, in their order. Raises `KeyError` for an unknown symbol."""
        pending, found, have = list(names), set[str](), set(known)
        while pending:
            name = pending.pop()
            if name in have or name in found:
                continue
            found.add(name)
            pending += self._assignments[name].symbols
        return [name for name in self._assignments if name in found]

    def _evaluator(self, label: str, formulas: Sequence[Expr]) -> Callable[..., Any]:
        graph, names, time = self._literal()
        for name in self._needed(frozenset().union(*(item.symbols for item in formulas)), names):
            names[name] = graph.lower(self._assignments[name], names, time)
        roots = [graph.lower(item, names, time) for item in formulas]
        lines, codes = plain(graph, roots, {})
        return build(f"{label}(t, y, v)", [*lines, f"return ({', '.join(codes)}{',' if codes else ''})"])

    def reads(self, symbols: Sequence[str]) -> frozenset[str]:
        """Return which rows and slots the values of these symbols read. Raises `KeyError` for an unknown symbol."""
        known = {*self.rows, *self.slots}
        names = [name for name in symbols if name != "time" or name in self._assignments]
        parts = (self._assignments[name].symbols for name in self._needed(names, known))
        return frozenset(names).union(*parts) & known

    def function(self, formulas: Sequence[Expr]) -> Callable[..., tuple[Any, ...]]:
        """Return a function (t, y, v) that gives the values of formulas in the model's symbols; shapes broadcast."""
        return self._evaluator("function", formulas)

    def outputs(self, symbols: Sequence[str]) -> Callable[..., Array]:
        """Return a function (t, y, v) that gives the values of these symbols, (symbols, …).

        Shapes broadcast: t (T, 1) or (T, L), y (rows, T, L), slots floats, (L,) or (T, L). Nothing is frozen. "time"
        is a symbol too where the model has none of that name. A fourth argument is filled and returned. Raises
        `KeyError` for an unknown symbol.
        """
        key = tuple(symbols)
        if key not in self._outputs:
            known = {*self.rows, *self.slots, *self._assignments}
            if missing := [name for name in key if name not in known and name != "time"]:
                raise KeyError(missing[0])
            formulas = [symbol(name) if name in known else Expr("time") for name in key]
            evaluator = self._evaluator("outputs", formulas)

            def compute(t: Any, y: Array, v: Slots, out: Array | None = None) -> Array:
                with np.errstate(all="ignore"):
                    values = evaluator(t, y, v)
                if out is None:
                    shape = np.broadcast_shapes(np.shape(t), y.shape[1:], *(np.shape(value) for value in values))
                    out = np.empty((len(values), *shape))
                found = out
                for at, value in enumerate(values):
                    found[at] = value
                return found

            self._outputs[key] = compute
        return self._outputs[key]

    def triggers(self, t: Array, y: Array, v: Slots, w: list[Array] | None = None) -> npt.NDArray[np.bool_]:
        """Return which events' triggers hold, (events, L)."""
        if self._triggers is None:
            self._triggers = self._evaluator("triggers", [item[0] for item in self._events])
        found = np.empty((len(self._events), *np.shape(t)), dtype=bool)
        for at, value in enumerate(self._triggers(t, y, v)):
            found[at] = value if np.asarray(value).dtype == bool else np.not_equal(value, 0.0)
        return found

    def relations(self, t: Array, y: Array, v: Slots) -> npt.NDArray[np.bool_]:
        """Return which of the relations hold that the triggers are made of, (relations, L): a trigger changes only
        with one of them."""
        if self._relations is None:
            triggers = [item[0] for item in self._events]
            known = {*self.rows, *self.slots}
            needed = self._needed(frozenset().union(*(item.symbols for item in triggers)), known)
            parts = [*triggers, *(self._assignments[name] for name in needed)]
            nodes = dict.fromkeys(node for part in parts for node in part.nodes() if node.op in RELATIONS)
            self._relations = self._evaluator("relations", list(nodes))
        values = self._relations(t, y, v)
        found = np.empty((len(values), *np.shape(t)), dtype=bool)
        for at, value in enumerate(values):
            found[at] = value if np.asarray(value).dtype == bool else np.not_equal(value, 0.0)
        return found

    def _piece(self, what: str, number: int, formulas: Sequence[Expr]) -> Callable[..., Any]:
        key = (what, number)
        if key not in self._pieces:
            self._pieces[key] = self._evaluator(what, formulas)
        return self._pieces[key]

    def event_values(self, event: int, t: Array, y: Array, v: Slots) -> list[Any]:
        """Return the value of each assignment's formula of an event (a float or (L,)); concentrations as such."""
        return [np.multiply(value, 1.0) for value in self._piece("values", event, self._events[event][3])(t, y, v)]

    def delay(self, event: int, t: Array, y: Array, v: Slots) -> Any:
        """Return how long an event waits, 0.0 where it has no delay."""
        formula = self._events[event][1]
        return 0.0 if formula is None else np.multiply(self._piece("wait", event, [formula])(t, y, v)[0], 1.0)

    def priority(self, event: int, t: Array, y: Array, v: Slots) -> Any:
        """Return the priority of an event; NaN where it has none."""
        formula = self._events[event][2]
        return np.nan if formula is None else np.multiply(self._piece("priority", event, [formula])(t, y, v)[0], 1.0)

    def delay_value(self, number: int, t: Array, y: Array, v: Slots) -> Any:
        """Return what the formula of `delays[number]` is worth at these times and states; it may read the delays'
        slots."""
        return self._piece("past", number, [self.delays[number].formula])(t, y, v)[0]

    def delay_span(self, number: int, t: Array, y: Array, v: Slots) -> Any:
        """Return how far `delays[number]` looks back from these times and states."""
        return self._piece("span", number, [self.delays[number].span])(t, y, v)[0]

    # -- the start -------------------------------------------------------------------------------------------------

    def start(self, values: Mapping[str, Value], lanes: int, t0: float = 0.0) -> tuple[Array, Slots]:
        """Return the states (rows, L) and the slots at `t0`; `values` replace what the model says, by symbol.

        A concentration given for a species sets its amount. Slots are floats where no value differs between lanes;
        discretes are always arrays, and modes hold what is true at the start. Raises `KeyError` for a symbol that has
        no value of its own.
        """
        found = initial_values(self.model, values, t0)
        y = np.empty((len(self.states), lanes))
        for name, row in self.rows.items():
            y[row] = found.get(name, 0.0 if row >= len(self.model.states) else np.nan)
        v: Slots = [0.0] * self.width
        for name, slot in self.slots.items():
            if name.startswith("mode:"):
                v[slot] = np.zeros(lanes, dtype=float if int(name[5:]) in self._wide else bool)
            elif name.startswith("delay:"):
                v[slot] = np.zeros(lanes)
            elif name not in self.discretes and isinstance(known := found.get(name, np.nan), float):
                v[slot] = known
            else:
                value = np.asarray(found.get(name, np.nan), dtype=float)
                wide = name in self.discretes or value.ndim
                v[slot] = np.array(np.broadcast_to(value, lanes)) if wide else float(value)
        with np.errstate(all="ignore"):
            self.prepare(v)
            time = np.full(lanes, float(t0))
            for number, slot in enumerate(self.delay_slots):  # before the start things were as they are at the start
                v[slot][:] = self.delay_value(number, time, y, v)
            for slot, value in zip(self.mode_slots, self.mode_values(time, y, v), strict=True):
                v[slot][:] = value
        return y, v


def _enough(w: list[Array], count: int, t: Array) -> list[Array]:
    return w if len(w) >= count else [*w, *(np.empty(t.shape) for _ in range(count - len(w)))]


def compile_model(model: Model) -> Program:
    """Return the compiled form of a model; the last few are kept, by digest.

    >>> from pepr_kg.twin.expression import multiply, negate, number
    >>> from pepr_kg.twin.model import Assignment
    >>> start = (Assignment("k", number(0.5)), Assignment("x", number(8)))
    >>> rate = negate(multiply(symbol("k"), symbol("x")))
    >>> decay = Model("decay", "", "decay", "", 3, 2, None, (), ("k",), ("x",), (), (), (rate,), start, ())
    >>> program = compile_model(decay)
    >>> y, v = program.start({"k": np.array([1.0, 2.0])}, 2)
    >>> dy, w = np.empty_like(y), [np.empty(2) for _ in range(program.buffers)]
    >>> program.rates(np.zeros(2), y, v, w, dy)
    >>> dy.tolist()
    [[-8.0, -16.0]]
    """
    program = _CACHE.get(model.digest)
    if program is None or program.model != model:
        program = Program(model)
        _CACHE[model.digest] = program
        if len(_CACHE) > _CACHE_SIZE:
            _CACHE.popitem(last=False)
    _CACHE.move_to_end(model.digest)
    return program
