"""Sums and small symmetric matrices, one in each lane, lanes last.

Everything is elementwise in the lanes and adds in an order that depends neither on how many lanes there are nor on
how many empty slots follow the last observation: a patient's digits do not depend on the cohort. `np.sum`, `@` and
`einsum` do not promise that.

>>> matrix = np.array([[[4.0], [2.0]], [[2.0], [3.0]]])  # one lane
>>> factor, positive = cholesky(matrix)
>>> solve(factor, np.array([[8.0], [7.0]])).ravel().round(12).tolist(), positive.tolist()
([1.25, 1.5], [True])
"""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def fold(values: Array) -> Array:
    """Return the sums over the last axis but one: (…, m, L) gives (…, L), zeros for m = 0.

    They are added one after the other in every lane: zeros at the end change nothing, nor do other lanes.

    >>> fold(np.array([[1.0], [2.0], [3.0]])).tolist()
    [6.0]
    """
    if values.shape[-1] == 1:  # NumPy would add a single column in pairs, and not one after the other
        return fold(np.concatenate([values, values], axis=-1))[..., :1]
    result: Array = np.add.reduce(np.ascontiguousarray(values), axis=-2)
    return result


def cholesky(matrix: Array) -> tuple[Array, Flags]:
    """Return the lower factors (p, p, L) of symmetric matrices (p, p, L), and which lanes are positive definite (L,).

    Only the lower triangles are read. A lane that is not positive definite has a factor that must not be used.
    """
    size, lanes = matrix.shape[0], matrix.shape[2]
    factor = np.zeros((size, size, lanes))
    positive = np.ones(lanes, dtype=np.bool_)
    rest = matrix.copy()
    for column in range(size):
        pivot = rest[column, column]
        fine = pivot > 0.0
        positive &= fine
        root = np.sqrt(np.where(fine, pivot, 1.0))
        factor[column, column] = root
        below = np.divide(rest[column + 1 :, column], root, out=factor[column + 1 :, column])
        rest[column + 1 :, column + 1 :] -= below[:, np.newaxis] * below
    return factor, positive


def forward(factor: Array, right: Array) -> Array:
    """Return the y of factor·y = right for lower factors (p, p, L) and right sides (p, …, L)."""
    y = np.array(np.broadcast_to(right, (*right.shape[:-1], max(right.shape[-1], factor.shape[-1]))))
    for row in range(len(factor)):
        y[row] /= factor[row, row]
        y[row + 1 :] -= _between(factor[row + 1 :, row], right.ndim) * y[row]
    return y


def solve(factor: Array, right: Array) -> Array:
    """Return the x (p, …, L) of matrix·x = right from the lower factors of the matrices."""
    x = forward(factor, right)
    for row in reversed(range(len(factor))):
        x[row] /= factor[row, row]
        x[:row] -= _between(factor[row, :row], right.ndim) * x[row]
    return x


def _between(rows: Array, dimensions: int) -> Array:
    """Return rows (r, L) as (r, 1, …, L)."""
    return rows.reshape(len(rows), *[1] * (dimensions - 2), rows.shape[-1])


def inverse(factor: Array) -> Array:
    """Return the inverses (p, p, L) of the matrices that have these lower factors; they are exactly symmetric."""
    size, lanes = factor.shape[0], factor.shape[2]
    found = solve(factor, np.broadcast_to(np.eye(size)[:, :, np.newaxis], (size, size, lanes)))
    for row in range(size):
        found[:row, row] = found[row, :row]
    return found


def multiply(matrix: Array, vector: Array) -> Array:
    """Return the products (p, L) of matrices (p, q, L or 1) and vectors (q, L)."""
    return fold(matrix * vector)


def dot(left: Array, right: Array) -> Array:
    """Return the scalar products (L,) of vectors (p, L)."""
    return fold(left * right)


def log_determinant(factor: Array) -> Array:
    """Return the logarithms (L,) of the determinants of the matrices that have these lower factors."""
    total = np.log(factor[0, 0])
    for row in range(1, len(factor)):
        total = total + np.log(factor[row, row])
    result: Array = 2.0 * total
    return result
