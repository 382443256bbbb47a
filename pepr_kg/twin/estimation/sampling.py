"""Random numbers that belong to a patient: the same key and seed give the same numbers in every cohort, order, block
and process.

>>> generator(7, "p1").standard_normal() == generator(7, "p1").standard_normal()
True
"""

import hashlib

import numpy as np

from pepr_kg.twin.estimation.algebra import Array
from pepr_kg.twin.estimation.normal import ndtri


def generator(seed: int, key: str, *path: int) -> np.random.Generator:
    """Return the generator of a patient's `key` under `seed`; `path` tells the uses apart (the number of a step, say).

    NumPy's SeedSequence (O'Neill 2015) mixes the seed, the path and the SHA-256 of the key.
    """
    words = np.frombuffer(hashlib.sha256(key.encode()).digest(), dtype="<u4")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *path, *words.tolist()])))


def latin_hypercube(rng: np.random.Generator, draws: int, dimensions: int) -> Array:
    """Return `draws` points (draws, dimensions) of the unit cube, one in each of `draws` slices along every axis.

    Means over such points vary less than over independent ones (McKay, Beckman & Conover, Technometrics 1979;21:239).

    >>> points = latin_hypercube(np.random.default_rng(1), 4, 2)
    >>> sorted((points[:, 0] * 4).astype(int).tolist())
    [0, 1, 2, 3]
    """
    slices = np.empty((draws, dimensions))
    for axis in range(dimensions):
        slices[:, axis] = rng.permutation(draws)
    return (slices + rng.random((draws, dimensions))) / draws


def standard_normals(rng: np.random.Generator, draws: int, dimensions: int, *, stratified: bool = False) -> Array:
    """Return standard normal numbers (draws, dimensions): independent, or the quantiles of a Latin hypercube."""
    if stratified:
        return ndtri(latin_hypercube(rng, draws, dimensions))
    return rng.standard_normal((draws, dimensions))
