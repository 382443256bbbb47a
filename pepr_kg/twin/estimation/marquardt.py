"""The minimum of a function in each lane, all lanes at once: Levenberg-Marquardt with a damping of its own in every
lane.

The function gives its value, its gradient and a positive definite approximation of its second derivative
(Gauss-Newton or Fisher information). A step solves (H + λ diag H) δ = -g; λ falls after a step that went as the
quadratic model said and rises after one that did not.

Sources: Levenberg, Q Appl Math 1944;2:164; Marquardt, J SIAM 1963;11:431; the rule for λ: Nielsen, IMM-REP-1999-05,
Technical University of Denmark.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pepr_kg.twin.estimation.algebra import Array, Flags, cholesky, dot, multiply, solve
from pepr_kg.twin.status import Status

Indices = npt.NDArray[np.intp]
Codes = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """A function in L lanes: `value` (L,), `gradient` (p, L), `hessian` (p, p, L). A failed lane has the value
    infinity.
    """

    value: Array
    gradient: Array
    hessian: Array


class Target(Protocol):
    """A function to minimise in lanes."""

    def terms(self, x: Array, spread: Array) -> Terms:
        """Return the function at x (p, L); `spread` (p, L) is the scale on which each coordinate matters."""

    def take(self, lanes: Indices) -> "Target":
        """Return the function restricted to these lanes."""


@dataclass(frozen=True, slots=True)
class Descent:
    """How the minimum is sought.

    tolerance: a lane is done when the quadratic model promises no larger decrease than this; resolution: a rejected
    step that promised less than this share of 1 + |value| ends the lane too (the value's digits hold no more); noise:
    a lane in which no step of any length goes down is done all the same where the model promises no more than this,
    as where predictions come from an integrator; iterations: the bound; damping: λ of the first step, in units of
    diag H.
    """

    tolerance: float = 1e-8
    resolution: float = 1e-10
    noise: float = 1e-4
    iterations: int = 100
    damping: float = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Minimum:
    """Where the descent ended: `x` (p, L), its terms, `status` (L,) and `iterations` (L,)."""

    x: Array
    value: Array
    gradient: Array
    hessian: Array
    status: Codes
    iterations: Codes


def _decrement(terms: Terms) -> tuple[Array, Flags]:
    """Return the decrease that the quadratic model promises without damping (L,), and where H is positive definite."""
    factor, positive = cholesky(terms.hessian)
    return 0.5 * dot(terms.gradient, solve(factor, terms.gradient)), positive


def _choose(condition: Flags, new: Terms, old: Terms) -> Terms:
    return Terms(
        np.where(condition, new.value, old.value),
        np.where(condition, new.gradient, old.gradient),
        np.where(condition, new.hessian, old.hessian),
    )


def _conditional(hessian: Array, before: Array) -> Array:
    """Return 1/sqrt of the diagonals (p, L), or what was `before` where a diagonal is not positive."""
    diagonal = np.array([hessian[row, row] for row in range(len(hessian))])
    fine = np.isfinite(diagonal) & (diagonal > 0.0)
    return np.where(fine, 1.0 / np.sqrt(np.where(fine, diagonal, 1.0)), before)


def descend(target: Target, start: Array, spread: Array, rules: Descent | None = None) -> Minimum:
    """Return the minimum in every lane from `start` (p, L); `spread` (p, L) are the first scales of the coordinates.

    Status: `DONE`, `NOT_FITTED` (the bound on iterations, or no decrease along a direction that promises one),
    `NOT_FINITE` (the start fails). Lanes that are done leave the computation.
    """
    rules = rules or Descent()
    p, lanes = start.shape
    x = start.copy()
    terms = target.terms(x, spread)
    spread = _conditional(terms.hessian, spread)
    out = Minimum(
        x.copy(), np.full(lanes, np.inf), np.zeros((p, lanes)), np.zeros((p, p, lanes)),
        np.full(lanes, int(Status.NOT_FINITE)), np.zeros(lanes, dtype=np.int64),
    )  # fmt: skip
    place = np.arange(lanes)
    damping, growth = np.full(lanes, rules.damping), np.full(lanes, 2.0)
    promised, positive = _decrement(terms)
    running = np.isfinite(terms.value) & positive
    status = np.where(running, int(Status.NOT_FITTED), int(Status.NOT_FINITE))
    finished = ~running | (promised <= rules.tolerance)
    status[running & finished] = int(Status.DONE)
    for iteration in range(1, rules.iterations + 2):
        if finished.any() and (finished.mean() > 0.2 or finished.all()):
            _store(out, place, x, terms, status=status, which=finished)
            keep = np.flatnonzero(~finished)
            if not len(keep):
                return out
            target, place, x, spread = target.take(keep), place[keep], x[:, keep], spread[:, keep]
            terms = Terms(terms.value[keep], terms.gradient[:, keep], terms.hessian[:, :, keep])
            damping, growth, status, finished = damping[keep], growth[keep], status[keep], finished[keep]
        if iteration > rules.iterations:
            break
        out.iterations[place[~finished]] = iteration
        damped = terms.hessian.copy()
        for row in range(p):
            damped[row, row] *= 1.0 + damping
        factor, positive = cholesky(damped)
        move = -solve(factor, terms.gradient)
        promise = -dot(terms.gradient, move) - 0.5 * dot(move, multiply(terms.hessian, move))
        trial = target.terms(np.where(finished, x, x + move), spread)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.where(np.isfinite(trial.value), (terms.value - trial.value) / promise, -1.0)
        accepted = (ratio > 1e-4) & positive & ~finished
        rejected = ~accepted & ~finished
        small = promise <= rules.resolution * (1.0 + np.abs(terms.value))
        x = np.where(accepted, x + move, x)
        terms = _choose(accepted, trial, terms)
        spread = np.where(accepted, _conditional(terms.hessian, spread), spread)
        shrink = np.maximum(1.0 / 3.0, 1.0 - (2.0 * np.minimum(ratio, 1.0) - 1.0) ** 3)
        damping = np.where(accepted, np.maximum(damping * shrink, 1e-15), np.where(rejected, damping * growth, damping))
        growth = np.where(accepted, 2.0, np.where(rejected, 2.0 * growth, growth))
        promised, positive = _decrement(terms)
        near = promised <= rules.tolerance
        # no step of any length goes down: done if the quadratic model promises next to nothing, else a failure
        floor = rejected & (small | (damping > 1e12))
        resolved = promised <= np.maximum(rules.noise, rules.resolution * (1.0 + np.abs(terms.value)))
        status = np.where((near & accepted) | (floor & resolved), int(Status.DONE), status)
        finished = finished | (accepted & near) | floor
    _store(out, place, x, terms, status=status, which=np.ones(len(place), dtype=np.bool_))
    return out


def _store(out: Minimum, place: Indices, x: Array, terms: Terms, *, status: Codes, which: Flags) -> None:
    goal = place[which]
    out.x[:, goal] = x[:, which]
    out.value[goal] = terms.value[which]
    out.gradient[:, goal] = terms.gradient[:, which]
    out.hessian[:, :, goal] = terms.hessian[:, :, which]
    out.status[goal] = status[which]
