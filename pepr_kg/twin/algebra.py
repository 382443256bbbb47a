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

    Neighbours are added in pairs, then the pairs, and so on: the error grows with log m, and zeros at the end change
    nothing.

    >>> fold(np.array([[1.0], [2.0], [3.0]])).tolist()
    [6.0]
    """
    if values.shape[-2] == 0:
        return np.zeros((*values.shape[:-2], values.shape[-1]))
    while (count := values.shape[-2]) > 1:
        half = count // 2
        pairs = np.empty((*values.shape[:-2], count - half, values.shape[-1]))
        np.add(values[..., 0 : 2 * half : 2, :], values[..., 1 : 2 * half : 2, :], out=pairs[..., :half, :])
        if count % 2:
            pairs[..., half, :] = values[..., -1, :]
        values = pairs
    result: Array = values[..., 0, :]
    return result


def cholesky(matrix: Array) -> tuple[Array, Flags]:
    """Return the lower factors (p, p, L) of symmetric matrices (p, p, L), and which lanes are positive definite (L,).

    Only the lower triangles are read. A lane that is not positive definite has a factor that must not be used.
    """
    size, lanes = matrix.shape[0], matrix.shape[2]
    factor = np.zeros_like(matrix)
    positive = np.ones(lanes, dtype=np.bool_)
    for column in range(size):
        pivot = matrix[column, column].copy()
        for before in range(column):
            pivot -= factor[column, before] * factor[column, before]
        positive &= pivot > 0.0
        root = np.sqrt(np.where(pivot > 0.0, pivot, 1.0))
        factor[column, column] = root
        for row in range(column + 1, size):
            entry = matrix[row, column].copy()
            for before in range(column):
                entry -= factor[row, before] * factor[column, before]
            factor[row, column] = entry / root
    return factor, positive


def forward(factor: Array, right: Array) -> Array:
    """Return the y of factor·y = right for lower factors (p, p, L) and right sides (p, L)."""
    y = np.empty(np.broadcast_shapes(right.shape, factor.shape[1:]))
    for row in range(len(factor)):
        entry = right[row].copy()
        for column in range(row):
            entry = entry - factor[row, column] * y[column]
        y[row] = entry / factor[row, row]
    return y


def solve(factor: Array, right: Array) -> Array:
    """Return the x (p, L) of matrix·x = right from the lower factors of the matrices."""
    x = forward(factor, right)
    for row in reversed(range(len(factor))):
        entry = x[row].copy()
        for below in range(row + 1, len(factor)):
            entry -= factor[below, row] * x[below]
        x[row] = entry / factor[row, row]
    return x


def inverse(factor: Array) -> Array:
    """Return the inverses (p, p, L) of the matrices that have these lower factors; they are exactly symmetric."""
    size, lanes = factor.shape[0], factor.shape[2]
    found = np.empty((size, size, lanes))
    for column in range(size):
        unit = np.zeros((size, lanes))
        unit[column] = 1.0
        found[:, column] = solve(factor, unit)
    for row in range(size):
        for column in range(row):
            found[column, row] = found[row, column]
    return found


def multiply(matrix: Array, vector: Array) -> Array:
    """Return the products (p, L) of matrices (p, q, L or 1) and vectors (q, L)."""
    rows = [matrix[row, 0] * vector[0] for row in range(len(matrix))]
    for row, _ in enumerate(rows):
        for column in range(1, len(vector)):
            rows[row] = rows[row] + matrix[row, column] * vector[column]
    return np.array(rows)


def dot(left: Array, right: Array) -> Array:
    """Return the scalar products (L,) of vectors (p, L)."""
    total: Array = left[0] * right[0]
    for row in range(1, len(left)):
        total = total + left[row] * right[row]
    return total


def log_determinant(factor: Array) -> Array:
    """Return the logarithms (L,) of the determinants of the matrices that have these lower factors."""
    total = np.log(factor[0, 0])
    for row in range(1, len(factor)):
        total = total + np.log(factor[row, row])
    result: Array = 2.0 * total
    return result
