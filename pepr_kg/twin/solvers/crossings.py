"""Where, inside a step, a mode or a trigger changes: found on the interpolant, in all lanes concerned at once."""

from typing import Any

import numpy as np

from pepr_kg.twin.solvers.dormand_prince import Array, Pick

_OVERSHOOT = 1e-10  # a share of the step: the cut lies just behind the crossing, where the new mode holds
_ROUNDS = 60
_PLACES = np.arange(1, 17)[:, None] / 16  # where guards are looked at in a step that may hide a crossing
_EIGHTHS = np.arange(1, 8)[:, None] / 8


def sample_guards(block: Any, pick: Pick, h: Array, fine: bool) -> Pick:
    """Return those of the picked lanes in which a guard is negative at a few places inside the step (`fine`: many)."""
    if not pick.size:
        return pick
    guards = _guards_at(block, pick, h, np.repeat(_PLACES if fine else _PLACES[3:-1:4], pick.size, axis=1))
    return pick[np.any(guards < 0, axis=(0, 1))]


def _guards_at(block: Any, pick: Pick, h: Array, theta: Array) -> Array:
    """Return the guards at shares of the step, (modes, shares, lanes); theta is (shares, lanes)."""
    dense = block.stepper.dense(h, block.y, pick)
    t, _, v, w = block.part(pick)
    found = np.empty((len(block.stepper.guards), *theta.shape))
    part = np.empty((len(found), pick.size))
    for at, share in enumerate(theta):
        time, y = t + share * h[pick], np.ascontiguousarray(dense(share))
        block.look_back(time, y, v)
        block.program.guards(time, y, v, w, part)
        found[:, at] = part
    return found


def locate_guards(block: Any, pick: Pick, h: Array, fine: bool) -> tuple[Array, Any]:
    """Return the share of the step at which the first guard turns negative, and in which lanes one does.

    A guard that is negative at a stage need not be so on the interpolant; then the step is kept whole, share 1. Of a
    few places inside the step (many with `fine`) the first with a negative guard is an end of the bracket; the least of
    the guards that are negative there is followed by the Illinois variant of regula falsi (Dowell & Jarratt, BIT
    1971;11:168).
    """
    places = np.repeat(_PLACES if fine else _PLACES[3::4], pick.size, axis=1)
    samples = _guards_at(block, pick, h, places)
    samples[:, -1] = block.stepper.guards[:, pick]  # at the end the states are those of the step
    below = np.any(samples < 0, axis=0)
    inside = below.any(axis=0)
    theta = np.ones(pick.size)
    if not inside.any():
        return theta, inside
    lanes = np.flatnonzero(inside)
    first = np.argmax(below[:, lanes], axis=0)
    high = places[first, lanes]
    low = np.where(first > 0, places[np.maximum(first - 1, 0), lanes], 0.0)
    theta[lanes] = _illinois(block, pick[lanes], h, low, high, samples[:, first, lanes] < 0)
    return theta, inside


def _illinois(block: Any, pick: Pick, h: Array, low: Array, high: Array, wrong: Any) -> Array:
    """Return where, from `low` to `high`, the least of the `wrong` guards (modes, lanes) turns negative."""
    dense = block.stepper.dense(h, block.y, pick)
    t, _, v, w = block.part(pick)
    span = h[pick]
    guards = np.empty(wrong.shape)

    def least(theta: Array) -> Array:
        time, y = t + theta * span, dense(theta)
        block.look_back(time, y, v)
        block.program.guards(time, y, v, w, guards)
        found: Array = np.min(np.where(wrong, guards, np.inf), axis=0)
        return found

    f_low, f_high = np.maximum(least(low), 0.0), least(high)
    side = np.zeros(pick.size)
    for _ in range(_ROUNDS):
        slope = f_high - f_low
        root = np.where(slope < 0, low - f_low * (high - low) / slope, 0.5 * (low + high))
        # Probe just behind the estimate, and just before it where the last probe was behind: the bracket closes from
        # both sides.
        trial = np.clip(root - np.where(side > 0, _OVERSHOOT, -_OVERSHOOT), low + 0.5 * _OVERSHOOT, high)
        value = least(trial)
        past = value < 0
        # Illinois: an end that stays twice has its value halved, so that it moves.
        f_low = np.where(past & (side > 0), 0.5 * f_low, f_low)
        f_high = np.where(~past & (side < 0), 0.5 * f_high, f_high)
        side = np.where(past, 1.0, -1.0)
        open_ = high - low > 3 * _OVERSHOOT  # a lane that is done waits, whatever the others need
        low, f_low = np.where(past | ~open_, low, trial), np.where(past, f_low, value)
        high, f_high = np.where(past & open_, trial, high), np.where(past, value, f_high)
        if not open_.any():
            break
    return high


def locate_relations(block: Any, accept: Any, h: Array, theta: Array) -> Pick:
    """Shorten `theta` to just behind the first change of a relation that triggers are made of; return the lanes where
    there was one.

    A relation is a truth value: the first of a few places where one differs is narrowed, eightfold at each round, to
    the spacing of the time. Looking at the relations, and not at the triggers, finds `0.18 < x && x < 0.19` even
    where x runs through it between two places.
    """
    block.look_back(block.t, block.y)
    known = block.program.relations(block.t, block.y, block.v)
    dense = block.stepper.dense(h, block.y)
    shares = np.array([[0.25], [0.5], [0.75], [1.0]]) * theta
    changed = _differs(block, dense, block.t, h, shares, known, block.v)
    # At the end of a whole step the states are those of the step, and not of the interpolant.
    whole = theta == 1.0
    block.look_back(block.t + h, block.stepper.y1)
    at_end = np.any(block.program.relations(block.t + h, block.stepper.y1, block.v) != known, axis=0)
    changed[-1] = np.where(whole, at_end, changed[-1])
    pick = np.flatnonzero(changed.any(axis=0) & accept)
    if not pick.size:
        return pick
    first = np.argmax(changed[:, pick], axis=0)
    t, _, v, _ = block.part(pick)
    dense = block.stepper.dense(h, block.y, pick)
    span, known = h[pick], known[:, pick]
    high = shares[first, pick]
    low = np.where(first > 0, shares[np.maximum(first - 1, 0), pick], 0.0)
    for _ in range(_ROUNDS):
        open_ = (high - low) * span > 2 * np.spacing(np.abs(t) + span)  # a lane that is done waits
        if not open_.any():
            break
        places = low + (high - low) * _EIGHTHS
        changed = _differs(block, dense, t, span, places, known, v)
        first = np.argmax(changed, axis=0)
        some = changed.any(axis=0)
        lanes = np.arange(pick.size)
        begin = np.where(some, np.where(first > 0, places[np.maximum(first - 1, 0), lanes], low), places[-1])
        low = np.where(open_, begin, low)
        high = np.where(open_ & some, places[first, lanes], high)
    theta[pick] = high
    return pick


def _differs(block: Any, dense: Any, t: Array, h: Array, shares: Array, known: Any, v: list[Any]) -> Any:
    """Return whether a relation differs from what is known at these shares of the step, (shares, lanes)."""
    times = t + shares * h
    states = np.moveaxis(dense(shares[:, None, :]), 0, 1)
    if not block.events.looks_back:
        return np.any(block.program.relations(times, states, v) != known[:, None, :], axis=0)
    found = np.empty(shares.shape, dtype=bool)
    for at, time in enumerate(times):
        block.look_back(time, states[:, at], v)
        found[at] = np.any(block.program.relations(time, states[:, at], v) != known, axis=0)
    return found
