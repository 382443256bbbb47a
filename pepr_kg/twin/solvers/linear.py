"""The exact way of linear models `y' = A y + b` with constant A and b, on lanes side by side.

A model whose rates are linear in its states needs no integrator: `y(t + dt) = E y(t) + e` with

    E = exp(A dt),    e = integral from 0 to dt of exp(A s) b ds

both read off the exponential of the matrix [[A, b], [0, 0]] dt. Each lane is scaled by its own power of two, the
Taylor polynomial of degree 16 is evaluated (Paterson & Stockmeyer: six products), and the lane is squared back. While
the scaled exponential is near the identity I, what is kept is F = E - I, with (I + F)^2 - I = 2 F + F F: so slow
modes that the fast ones of a stiff model do not feed on lose nothing beside them. Entries that are zero whatever the
parameters are never touched.

What a lane gets depends on its own entries alone, to the last bit, whatever the lanes beside it.

Sources: Van Loan, IEEE Trans Automat Contr 1978;23:395 (the integral from one exponential); Higham, Functions of
Matrices, 2008, chapter 10 (scaling and squaring); Paterson & Stockmeyer, SIAM J Comput 1973;2:60.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import factorial

import numpy as np
import numpy.typing as npt

from pepr_kg.twin.solvers import lu

Array = npt.NDArray[np.float64]
Entry = float | Array | None  # one for all lanes; (lanes,); zero whatever the parameters are
Matrix = Sequence[Sequence[Entry]]
Vector = Sequence[Entry]

_TAYLOR = [1.0 / factorial(k) for k in range(17)]
_NEAR = 0.7  # norm up to which the polynomial is exact to rounding: 0.7^16 / 17! < 1e-17
_LAST = 3  # squarings done on E itself: after them a mode that has decayed is accurate relative to its own size
_FEW = 0.25  # share of lanes below which they are taken out to be squared, and put back
_STEPS = 24  # steps worked on at a time, for the same reason
_KNOWN = 4  # propagators kept at a time where many spacings differ
_TILE = 5000  # lanes worked on at a time, so that everything stays in a processor's second cache


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where exp(A dt) and its integral may differ from zero: only these entries are kept, (entries, lanes).

    `at` gives the place of an entry by row and column; column n is the integral of b. `diagonal` and `shift` are the
    places of entries (i, i) and (i, n), the latter only where there is one. `products` has the pieces of a product of
    two such matrices: what is written, the entry of the left one, the entries of the right one that it multiplies,
    and whether it is the first piece of its row. `alone` has (i, place) of each state from which no way leads back to
    itself: exp(a_ii dt) is its diagonal entry.
    """

    at: dict[tuple[int, int], int]
    diagonal: tuple[int, ...]
    shift: tuple[int, ...]
    products: tuple[tuple[slice, int, slice, bool], ...]
    alone: tuple[tuple[int, int], ...]


def propagator(a: Matrix, b: Vector, dt: float | Array) -> tuple[list[list[Array | None]], list[Array | None]]:
    """Return (E, e) with `y(t + dt) = E y(t) + e` for `y' = a y + b`.

    Their entries are (lanes,), or (1,) when all is shared; None is zero whatever the parameters. `a` is n rows of n
    entries, `b` n entries, `dt` one for all or (lanes,); it may be zero or negative. Entries that are not finite make
    their lane not finite and raise nothing. Accuracy relative to the norm of E: about 1e-14, and never worse than
    what the rounding of the entries does, which is 1e-16 times the norm of `a dt` where fast and slow states drive
    each other.

    >>> E, e = propagator([[-0.5]], [1.0], 2.0)
    >>> round(float(E[0][0][0]), 6), round(float(e[0][0]), 6)
    (0.367879, 1.264241)
    """
    layout, rows = _layout(a, b), len(a)
    lanes = _lanes([*(entry for row in a for entry in row), *b, dt])
    full = np.empty((len(layout.at), lanes))
    for start in range(0, lanes, _TILE):
        some = slice(start, start + _TILE)
        span = dt[some] if isinstance(dt, np.ndarray) and dt.size > 1 else dt
        full[:, some] = _exponential([_cut(row, some) for row in a], _cut(b, some), span, layout)
    found = [[full[layout.at[i, j]] if (i, j) in layout.at else None for j in range(rows + 1)] for i in range(rows)]
    return [row[:rows] for row in found], [row[rows] for row in found]


def propagate(
    a: Matrix, b: Vector, y0: Sequence[float | Array] | Array, times: Array, out: Array | None = None
) -> Array:
    """Return the states of `y' = a y + b` at `times`, (n, times, lanes), from `y0` at `times[0]`; into `out` if given.

    Spacings that are equal but for rounding share a propagator, so an even grid needs one.

    >>> import numpy as np
    >>> propagate([[-1.0]], [None], [8.0], np.log([1.0, 2.0, 4.0])).round(12)
    array([[[8.],
            [4.],
            [2.]]])
    """
    rows, layout = len(a), _layout(a, b)
    start = list(y0)
    lanes = _lanes([*(entry for row in a for entry in row), *b, *start])
    if out is None:
        out = np.empty((rows, len(times), lanes))
    spacings, which = spacings_of(np.asarray(times, dtype=float))
    for first in range(0, lanes, _TILE):
        some = slice(first, first + _TILE)
        parts = ([_cut(row, some) for row in a], _cut(b, some), _cut(start, some))
        _fill(*parts, {}, spacings=spacings, which=which, layout=layout, out=out[:, :, some])
    return out


def stretches(
    a: Matrix,
    b: Vector,
    y0: Sequence[float | Array] | Array,
    sizes: Sequence[float],
    which: Sequence[int],
    goal: Array | None = None,
) -> Iterator[tuple[slice, slice, Array]]:
    """Yield the states for some lanes and some steps at a time, (n, those steps, those lanes).

    The steps have the `sizes` that `which` names (see `spacings_of`); number 0 is the start. The array that comes with
    the two slices, of steps and of lanes, is used again for the next: it stays in the cache. With a `goal`
    (n, steps and the start, lanes) it is a part of that.
    """
    rows, layout = len(a), _layout(a, b)
    start = list(y0)
    lanes = _lanes([*(entry for row in a for entry in row), *b, *start])
    length = _STEPS if lanes > 1 else max(len(which), 1)
    scratch = np.empty((rows, min(length, len(which)) + 1, min(lanes, _TILE))) if goal is None else None
    for first in range(0, lanes, _TILE):
        some = slice(first, min(first + _TILE, lanes))
        state: Vector = _cut(start, some)
        matrix, shift, known = [_cut(row, some) for row in a], _cut(b, some), dict[int, list[Array]]()
        for begin in range(0, max(len(which), 1), length):
            part = which[begin : begin + length]
            if scratch is not None:
                out = scratch[:, : len(part) + 1, : some.stop - first]
            elif goal is not None:
                out = goal[:, begin : begin + len(part) + 1, some]
            _fill(matrix, shift, state, known, spacings=sizes, which=part, layout=layout, out=out)
            state = [row.copy() for row in out[:, -1]]
            fresh = 0 if begin == 0 else 1  # the first of a later piece is the last of the piece before
            yield slice(begin + fresh, begin + len(part) + 1), some, out[:, fresh:]
            if len(known) > _KNOWN:
                known.clear()


def equilibrium(a: Matrix, b: Vector) -> Array:
    """Return the states at which `a y + b` is zero, (n, lanes); not finite in lanes where `a` is singular.

    >>> equilibrium([[-0.5, None], [0.5, -0.25]], [2.0, None])
    array([[4.],
           [8.]])
    """
    rows = len(a)
    lanes = _lanes([*(entry for row in a for entry in row), *b])
    matrix, right = np.zeros((rows, rows, lanes)), np.zeros((rows, lanes))
    for i, row in enumerate(a):
        for j, entry in enumerate(row):
            if entry is not None:
                matrix[i, j] = entry
        shift = b[i]
        if shift is not None:
            np.negative(shift, out=right[i])
    return lu.solve(lu.factor(matrix), right)


def _fill(
    a: Matrix,
    b: Vector,
    y0: Vector,
    known: dict[int, list[Array]],
    *,
    spacings: Sequence[float],
    which: Sequence[int],
    layout: _Layout,
    out: Array,
) -> None:
    """Fill `out` (n, times, lanes of a tile); `known` are the propagators made so far, by the number of the spacing."""
    rows, _, lanes = out.shape
    if lanes == 1:
        _fill_one(a, b, y0, spacings=spacings, which=which, layout=layout, out=out)
        return
    part = np.empty(lanes)
    for i, value in enumerate(y0):
        out[i, 0] = value
    others = [(i, j, place) for (i, j), place in layout.at.items() if j not in (i, rows)]
    shifts = [(i, place) for (i, j), place in layout.at.items() if j == rows]
    multiply, add = np.multiply, np.add
    left = Counter(which)
    old = list(out[:, 0])
    with np.errstate(all="ignore"):
        for at, spacing in enumerate(which, 1):
            if spacing not in known:
                known[spacing] = list(_exponential(a, b, spacings[spacing], layout))
            full, new = known[spacing], list(out[:, at])
            for i, place in enumerate(layout.diagonal):
                multiply(full[place], old[i], new[i])
            for i, j, place in others:
                multiply(full[place], old[j], part)
                add(new[i], part, new[i])
            for i, place in shifts:
                add(new[i], full[place], new[i])
            old = new
            left[spacing] -= 1
            if not left[spacing] and len(known) > _KNOWN:
                del known[spacing]


def _fill_one(
    a: Matrix, b: Vector, y0: Vector, *, spacings: Sequence[float], which: Sequence[int], layout: _Layout, out: Array
) -> None:
    """Do what `_fill` does for a single lane: the same operations in the same order, on plain floats."""
    rows = len(out)
    others = [(i, j, place) for (i, j), place in layout.at.items() if j not in (i, rows)]
    shifts = [(i, place) for (i, j), place in layout.at.items() if j == rows]
    diagonal = list(enumerate(layout.diagonal))
    known: dict[int, list[float]] = {}
    old = [0.0 if value is None else float(np.ravel(value)[0]) for value in y0]
    found = [old]
    for spacing in which:
        if spacing not in known:
            with np.errstate(all="ignore"):
                known[spacing] = [float(entry[0]) for entry in _exponential(a, b, spacings[spacing], layout)]
        full = known[spacing]
        new = [full[place] * old[i] for i, place in diagonal]
        for i, j, place in others:
            new[i] += full[place] * old[j]
        for i, place in shifts:
            new[i] += full[place]
        found.append(new)
        old = new
    out[:, :, 0] = np.array(found).T


def spacings_of(times: Array) -> tuple[list[float], list[int]]:
    """Return the distinct spacings of the grid, those that differ by rounding as their mean, and that of each step."""
    steps = np.diff(times)
    if not steps.size:
        return [], []
    slack = 8 * np.finfo(float).eps * np.max(np.abs(times))
    order = np.argsort(steps, kind="stable")
    group = np.empty(steps.size, dtype=np.intp)
    group[order] = np.concatenate([[0], np.cumsum(np.diff(steps[order]) > slack)])
    sizes = [float(np.mean(steps[group == one])) for one in range(int(group.max()) + 1)]
    return sizes, [int(one) for one in group]


def _lanes(entries: Sequence[Entry]) -> int:
    return max((entry.size for entry in entries if isinstance(entry, np.ndarray) and entry.ndim), default=1)


def _cut(entries: Vector, some: slice) -> list[Entry]:
    """Return the entries of some lanes; what is shared stays shared."""
    return [x[some] if isinstance(x, np.ndarray) and x.size > 1 else x for x in entries]


def _layout(a: Matrix, b: Vector) -> _Layout:
    """Return the layout of matrices that are None where these are."""
    return _lay_out(
        tuple(tuple(entry is not None for entry in row) for row in a), tuple(entry is not None for entry in b)
    )


@lru_cache(maxsize=256)
def _lay_out(known: tuple[tuple[bool, ...], ...], shifted: tuple[bool, ...]) -> _Layout:
    """Return the layout: a state depends on each state from which a way of entries leads to it."""
    rows = range(len(known))
    reach = [{j for j in rows if i == j or known[i][j]} for i in rows]
    for k in rows:
        for i in rows:
            if k in reach[i]:
                reach[i] |= reach[k]
    columns = [sorted(reach[i]) + [len(known)] * any(shifted[j] for j in reach[i]) for i in rows]
    at: dict[tuple[int, int], int] = {}
    for i in rows:
        for j in columns[i]:
            at[i, j] = len(at)
    pieces = []
    for i in rows:
        for k in (i, *(k for k in columns[i] if k not in (i, len(known)))):
            begin = 0
            for end in range(1, len(columns[k]) + 1):
                goal, right = at[i, columns[k][begin]], at[k, columns[k][begin]]
                if end == len(columns[k]) or at[i, columns[k][end]] - goal != end - begin:
                    length = end - begin
                    pieces.append((slice(goal, goal + length), at[i, k], slice(right, right + length), k == i))
                    begin = end
    diagonal = tuple(at[i, i] for i in rows)
    shift = tuple(at[i, len(known)] for i in rows if (i, len(known)) in at)
    alone = tuple((i, at[i, i]) for i in rows if not any(k != i and i in reach[k] for k in reach[i]))
    return _Layout(at, diagonal, shift, tuple(pieces), alone)


def _exponential(a: Matrix, b: Vector, dt: float | Array, layout: _Layout) -> Array:
    """Return the entries of exp(A dt) and of the integral of b, (entries, lanes)."""
    rows = len(a)
    lanes = _lanes([*(entry for row in a for entry in row), *b, dt])
    power = np.zeros((len(layout.at), lanes))
    with np.errstate(all="ignore"):
        for (i, j), place in layout.at.items():
            entry = b[i] if j == rows else a[i][j]
            if entry is not None:
                power[place] = entry * dt
        halvings = _halvings(power, layout)
        np.multiply(power, np.ldexp(1.0, -halvings), out=power)
        full = _polynomial(power, layout)
        near, last = np.maximum(halvings - _LAST, 0), np.minimum(halvings, _LAST)
        for turn in range(int(near.max(initial=0))):
            full = _square(full, near > turn, layout, near=True)
        for place in layout.diagonal:
            np.add(full[place], 1.0, out=full[place])
        for turn in range(int(last.max(initial=0))):
            full = _square(full, last > turn, layout, near=False)
        for i, place in layout.alone:
            entry = a[i][i]
            if entry is not None:
                full[place] = np.exp(entry * dt)
    return full


def _halvings(power: Array, layout: _Layout) -> npt.NDArray[np.int32]:
    """Return how often each lane is halved for the smaller of its norms (by rows, by columns) to be `_NEAR` at most."""
    rows = len(layout.diagonal)
    sizes = np.abs(power)
    by_row, by_column = np.zeros((rows, power.shape[1])), np.zeros((rows, power.shape[1]))
    for (i, j), place in layout.at.items():
        if j < rows:
            by_row[i] += sizes[place]
            by_column[j] += sizes[place]
    norm = np.minimum(by_row.max(axis=0), by_column.max(axis=0))
    _, exponents = np.frexp(norm / _NEAR)
    return np.where(np.isfinite(norm), np.maximum(exponents, 0), 0)


def _polynomial(power: Array, layout: _Layout) -> Array:
    """Return the polynomial of Taylor of exp, less the identity, by the powers 1 to 4 of the scaled matrix."""
    part = np.empty_like(power)
    second = _product(power, power, layout)
    third = _product(second, power, layout)
    fourth = _product(second, second, layout)
    result = fourth * _TAYLOR[16]
    for group in (12, 8, 4, 0):
        for degree, one in enumerate((power, second, third), group + 1):
            np.multiply(one, _TAYLOR[degree], out=part)
            np.add(result, part, out=result)
        if group:
            for place in layout.diagonal:
                np.add(result[place], _TAYLOR[group], out=result[place])
            result = _product(fourth, result, layout)
            for place in layout.shift:  # the identity has a last one below the shift, in the row that is not kept
                np.multiply(fourth[place], _TAYLOR[group], out=part[place])
                np.add(result[place], part[place], out=result[place])
    return result


def _square(full: Array, active: npt.NDArray[np.bool_], layout: _Layout, near: bool) -> Array:
    """Return the active lanes squared and the others as they are; `near`: it is F = E - I that is kept."""
    share = np.count_nonzero(active) / active.size
    if share == 1.0:
        return _squared(full, layout, near)
    if share > _FEW:
        np.copyto(full, _squared(full, layout, near), where=active)
    else:
        pick = np.flatnonzero(active)
        full[:, pick] = _squared(full[:, pick], layout, near)
    return full


def _squared(full: Array, layout: _Layout, near: bool) -> Array:
    result = _product(full, full, layout)
    if near:
        np.add(result, full, out=result)
        np.add(result, full, out=result)
    else:
        for place in layout.shift:
            np.add(result[place], full[place], out=result[place])
    return result


def _product(left: Array, right: Array, layout: _Layout) -> Array:
    """Return the product of two matrices in layout whose rows below, which are not kept, are zero."""
    result, part = np.empty_like(left), np.empty_like(left)
    for goal, factor, source, first in layout.products:
        if first:
            np.multiply(right[source], left[factor], out=result[goal])
        else:
            np.multiply(right[source], left[factor], out=part[goal])
            np.add(result[goal], part[goal], out=result[goal])
    return result
