"""Blocks in other processes, which write what they find into one file in memory: a pipe would take longer than they."""

import math
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from itertools import accumulate, repeat
from pathlib import Path

import numpy as np

from pepr_kg.twin.expression import Array
from pepr_kg.twin.solvers.solve import Part, Task, solve

_MEMORY = Path("/dev/shm")  # noqa: S108  a folder in memory where the system has one; elsewhere a temporary file is one on disk


def run_apart(tasks: Sequence[Task], pool: Executor) -> tuple[Array, list[Part]]:
    """Return the outputs of blocks side by side, (outputs, times, lanes), and the rest of each answer, in their order.

    The processes of the pool must be on this machine.
    """
    ends = list(accumulate(task.lanes for task in tasks))
    shape = (len(tasks[0].outputs), len(tasks[0].grid), ends[-1])
    if 0 in shape:
        return np.empty(shape), list(pool.map(solve, tasks))
    folder = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    with tempfile.NamedTemporaryFile(prefix="pepr_kg-", dir=folder) as file:
        file.truncate(8 * math.prod(shape))
        parts = list(pool.map(_write, tasks, (end - task.lanes for task, end in zip(tasks, ends, strict=True)),
                              repeat(file.name), repeat(shape)))  # fmt: skip
        return np.array(np.memmap(file.name, dtype=float, mode="r", shape=shape)), parts


def _write(task: Task, first: int, path: str, shape: tuple[int, int, int]) -> Part:
    """Solve a block, leave its outputs in the file at its lanes, and return the rest."""
    part = solve(task)
    data = np.memmap(path, dtype=float, mode="r+", shape=shape)
    data[:, :, first : first + task.lanes] = part.data
    return replace(part, data=np.empty((0, 0, 0)))
