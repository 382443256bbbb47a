"""LU factors of one small matrix in each lane, and the solutions of linear systems with them.

A lane has its own matrix, all of one size n. Up to `UNROLLED` rows the elimination of Gauss runs entry by entry, each
entry an array over the lanes, which is several times faster than a batch of `np.linalg.solve`. Beyond, LAPACK inverts
matrix by matrix and one step of iterative refinement gives back what an inverse loses.

What a lane gets depends on its own matrix alone, to the last bit, whatever the lanes beside it.

Source: Golub & Van Loan, Matrix Computations, 4th ed. 2013, sections 3.2 to 3.5 (elimination, pivoting, refinement).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Pick = npt.NDArray[np.intp]

UNROLLED = 16  # beyond, LAPACK is 20 times faster for one lane and half as fast for a thousand (measured)
_RELUCTANCE = 0.1  # a pivot stays in place while it is not ten times smaller than the largest candidate


@dataclass(frozen=True, slots=True)
class Factors:
    """What `factor` found: the factors L and U in one array and what `solve` needs besides.

    `matrix` is (n, n, lanes): U on and above the diagonal, L without its ones below. `pivots` (n, lanes) are the
    reciprocals of the diagonal of U. `swaps` are exchanges of two rows in some lanes, in order. `part` (n, lanes) is
    for work.
    """

    matrix: Array
    pivots: Array
    swaps: tuple[tuple[int, int, Pick], ...]
    part: Array


@dataclass(frozen=True, slots=True)
class Inverses:
    """The matrices and their inverses, both (lanes, n, n): what `factor` gives beyond `UNROLLED` rows."""

    matrix: Array
    inverse: Array


def factor(a: Array) -> Factors | Inverses:
    """Return the factors of the matrices `a` (n, n, lanes), which is overwritten.

    A singular matrix raises nothing: the solutions of its lane are not finite.

    >>> import numpy as np
    >>> a = np.array([[0.0, 2.0], [4.0, 1.0]])[:, :, None]
    >>> solve(factor(a), np.array([[2.0], [9.0]]))
    array([[2.],
           [1.]])
    """
    rows, _, lanes = a.shape
    if rows > UNROLLED:
        return _invert(a)
    pivots, part = np.empty((rows, lanes)), np.empty((rows, lanes))
    swaps: list[tuple[int, int, Pick]] = []
    with np.errstate(all="ignore"):
        for k in range(rows):
            if k + 1 < rows:
                swaps.extend(_pivot(a, k))
            np.divide(1.0, a[k, k], out=pivots[k])
            right, product = a[k, k + 1 :], part[k + 1 :]
            for i in range(k + 1, rows):
                np.multiply(a[i, k], pivots[k], out=a[i, k])
                np.multiply(right, a[i, k], out=product)
                np.subtract(a[i, k + 1 :], product, out=a[i, k + 1 :])
    return Factors(a, pivots, tuple(swaps), part)


def _pivot(a: Array, k: int) -> list[tuple[int, int, Pick]]:
    """Exchange row k with a lower one in the lanes whose pivot is too small, and return the exchanges."""
    sizes = np.abs(a[k:, k])
    best = sizes[1]
    for size in sizes[2:]:
        np.maximum(best, size, out=best)
    weak = np.flatnonzero(sizes[0] < best * _RELUCTANCE)
    if not weak.size:
        return []
    chosen = np.abs(a[k:, k, weak]).argmax(axis=0) + k
    swaps = []
    for i in np.unique(chosen):
        where = weak[chosen == i]
        kept = a[k][:, where]
        a[k][:, where] = a[i][:, where]
        a[i][:, where] = kept
        swaps.append((k, int(i), where))
    return swaps


def _invert(a: Array) -> Inverses:
    matrix = np.ascontiguousarray(np.moveaxis(a, 2, 0))
    try:
        inverse: Array = np.linalg.inv(matrix).astype(np.float64, copy=False)
    except np.linalg.LinAlgError:  # at least one is singular: one after the other
        inverse = np.full_like(matrix, np.nan)
        for lane, one in enumerate(matrix):
            try:
                inverse[lane] = np.linalg.inv(one)
            except np.linalg.LinAlgError:
                continue
    return Inverses(matrix, inverse)


def solve(factors: Factors | Inverses, b: Array) -> Array:
    """Return the solutions x of `a x = b` in each lane, (n, lanes); they overwrite the right sides `b`."""
    if isinstance(factors, Inverses):
        return _refine(factors, b)
    a, part = factors.matrix, factors.part
    rows = len(a)
    with np.errstate(all="ignore"):
        for k, i, where in factors.swaps:
            kept = b[k, where]
            b[k, where] = b[i, where]
            b[i, where] = kept
        for j in range(rows - 1):
            product = part[j + 1 :]
            np.multiply(a[j + 1 :, j], b[j], out=product)
            np.subtract(b[j + 1 :], product, out=b[j + 1 :])
        for j in range(rows - 1, -1, -1):
            np.multiply(b[j], factors.pivots[j], out=b[j])
            if j:
                np.multiply(a[:j, j], b[j], out=part[:j])
                np.subtract(b[:j], part[:j], out=b[:j])
    return b


def _refine(factors: Inverses, b: Array) -> Array:
    right = np.ascontiguousarray(b.T)[:, :, None]
    with np.errstate(all="ignore"):
        found = factors.inverse @ right
        found += factors.inverse @ (right - factors.matrix @ found)
    b[...] = found[:, :, 0].T
    return b
