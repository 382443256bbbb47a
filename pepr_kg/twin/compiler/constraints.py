"""Algebraic symbols solved for: Newton's method on the constraints, each lane by itself.

The constraints are index 1: their Jacobian in the algebraic symbols is regular, and so they can be solved for those
alone, states given.
"""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
_ROUNDS = 60


class Constrained(Protocol):
    """What is needed of a compiled model (`codegen.Program`): its last `algebraic` rows are constraints."""

    algebraic: int
    mode_slots: list[int]
    rates: Any

    def mode_values(self, t: Array, y: Array, v: list[Any], w: list[Array] | None = None) -> list[Array]:
        """Return what holds now for each mode."""

    def jacobian(self, t: Array, y: Array, v: list[Any], w: list[Array], jac: Array, dfdt: Array) -> None:
        """Fill the derivatives of all rows."""


def solve(matrix: Array, right: Array) -> Array:
    """Return x with matrix x = right in each lane, (m, L), by elimination with partial pivoting; not finite where
    singular.

    >>> solve(np.array([[[0.0], [2.0]], [[1.0], [1.0]]]), np.array([[4.0], [3.0]])).ravel().tolist()
    [1.0, 2.0]
    """
    a, b = matrix.copy(), right.copy()
    size, lanes = b.shape
    every = np.arange(lanes)
    for at in range(size):
        pivot = at + np.argmax(np.abs(a[at:, at]), axis=0)
        row, value = a[pivot, :, every].T.copy(), b[pivot, every].copy()
        a[pivot, :, every], b[pivot, every] = a[at].T, b[at]
        a[at], b[at] = row, value
        for below in range(at + 1, size):
            factor = a[below, at] / a[at, at]
            a[below] -= factor * a[at]
            b[below] -= factor * b[at]
    for at in range(size - 1, -1, -1):
        for above in range(at + 1, size):
            b[at] -= a[at, above] * b[above]
        b[at] /= a[at, at]
    return b


def settle(program: Constrained, t: Array, y: Array, v: list[Any], w: list[Array]) -> tuple[Array, Flags]:
    """Return `y` (rows, L) with its algebraic rows solved for, and the lanes (L,) in which that worked.

    Newton's method with halved steps where the residual grows (Dennis & Schnabel 1996, section 6.3). Modes are set
    anew at every iterate. A lane that does not get there keeps its last iterate.
    """
    rows, lanes = y.shape
    first = rows - program.algebraic
    y, v = y.copy(), list(v)
    jac, drift, rates = np.empty((rows, rows, lanes)), np.empty_like(y), np.empty_like(y)

    def residual(at: Array) -> Array:
        for slot, value in zip(program.mode_slots, program.mode_values(t, at, v), strict=True):
            v[slot] = np.array(value)
        program.rates(t, at, v, w, rates)
        return rates[first:].copy()

    with np.errstate(all="ignore"):
        now = residual(y)
        solved = np.all(now == 0, axis=0)
        for _ in range(_ROUNDS):
            if solved.all():
                break
            program.jacobian(t, y, v, w, jac, drift)
            step = solve(jac[first:, first:], now)
            share = np.ones(lanes)
            size = np.max(np.abs(now), axis=0)
            for _ in range(12):
                goal = y.copy()
                goal[first:] -= share * step
                fresh = residual(goal)
                worse = ~(np.max(np.abs(fresh), axis=0) <= size) & ~solved
                if not worse.any():
                    break
                share[worse] *= 0.5
            small = np.all(np.abs(share * step) <= 1e-14 * np.abs(goal[first:]) + 1e-300, axis=0)
            exact = np.all(fresh == 0, axis=0)
            stuck = worse & np.all(
                np.abs(step) <= 1e-9 * np.abs(y[first:]) + 1e-12, axis=0
            )  # rounding is all that is left
            moved = ~solved & ~worse
            y[:, moved], now[:, moved] = goal[:, moved], fresh[:, moved]
            solved |= small | exact | stuck
            residual(y)  # the modes of where it stands
    return y, solved & np.all(np.isfinite(y[first:]), axis=0)
