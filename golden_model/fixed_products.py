"""The products of integer SBPCA over a block's samples: exact, and so in any order.

Each is written twice. Array functions leave the products to a BLAS library. Where numba is
installed, loops take their place: products of a few columns leave the library waiting for memory,
blocks of a few samples leave it waiting for Python, and its calls keep the interpreter, so that
threads wait for each other. All sums are of integers that float64 holds, so both compute the same
bits. Words of a block are held d x s, a dimension a row: loops run along the samples, of which
there are many in the layers that have few dimensions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from golden_model.compiled import AVAILABLE, compiled, vectorised
from golden_model.formats import Words
from golden_model.scalar import ROUNDER

_TURNED = 8
"""Samples whose words are turned at once: a line of a processor's cache."""


def block_words(
    values: NDArray[np.floating], by_inputs: bool, part: slice, scale: float, maximum: float
) -> Words:
    """Samples `part` of `values` as words, d x s: `values` * `scale`, rounded, up to `maximum`.

    `values` are samples x d, or d x samples if `by_inputs`.
    """
    samples = values[:, part] if by_inputs else values[part].T
    words: Words = np.multiply(samples, scale, dtype=np.float64)
    np.rint(words, out=words)
    return np.minimum(words, maximum, out=words)


def project(factors: Words, samples: Words) -> Words:
    """The projections, k x s, of `samples` (d x s) on `factors` (k x d)."""
    return factors @ samples


def accumulate(projections: Words, samples: Words) -> Words:
    """The sums, k x d, of `samples` (d x s) times their `projections` (k x s)."""
    return projections @ samples.T


def _loop_block_words(
    values: NDArray[np.floating], by_inputs: bool, part: slice, scale: float, maximum: float
) -> Words:
    if by_inputs:
        rows = values[:, part]
        words = np.empty(rows.shape, np.float64)
        for j in range(len(rows)):
            row, word = rows[j], words[j]
            for s in range(len(row)):
                word[s] = min((row[s] * scale + ROUNDER) - ROUNDER, maximum)
        return words
    samples = values[part]
    count, dimension = samples.shape
    words = np.empty((dimension, count), np.float64)
    for first in range(0, count, _TURNED):
        last = min(first + _TURNED, count)
        for j in range(dimension):
            for s in range(first, last):
                words[j, s] = min((samples[s, j] * scale + ROUNDER) - ROUNDER, maximum)
    return words


def _loop_project(factors: Words, samples: Words) -> Words:
    ranks, dimension = factors.shape
    projections = np.zeros((ranks, samples.shape[1]), np.float64)
    whole = dimension - dimension % 4
    for j in range(0, whole, 4):
        s0, s1, s2, s3 = samples[j], samples[j + 1], samples[j + 2], samples[j + 3]
        for c in range(ranks):
            row, factor = projections[c], factors[c]
            f0, f1, f2, f3 = factor[j], factor[j + 1], factor[j + 2], factor[j + 3]
            for s in range(len(row)):
                row[s] += f0 * s0[s] + f1 * s1[s] + f2 * s2[s] + f3 * s3[s]
    for j in range(whole, dimension):
        s0 = samples[j]
        for c in range(ranks):
            row, f0 = projections[c], factors[c, j]
            for s in range(len(row)):
                row[s] += f0 * s0[s]
    return projections


def _loop_accumulate(projections: Words, samples: Words) -> Words:
    ranks, dimension = len(projections), len(samples)
    sums = np.empty((ranks, dimension), np.float64)
    whole = dimension - dimension % 4
    for j in range(0, whole, 4):
        s0, s1, s2, s3 = samples[j], samples[j + 1], samples[j + 2], samples[j + 3]
        for c in range(ranks):
            row = projections[c]
            sum0, sum1, sum2, sum3 = 0.0, 0.0, 0.0, 0.0
            for s in range(len(row)):
                y = row[s]
                sum0 += y * s0[s]
                sum1 += y * s1[s]
                sum2 += y * s2[s]
                sum3 += y * s3[s]
            sums[c, j], sums[c, j + 1], sums[c, j + 2], sums[c, j + 3] = sum0, sum1, sum2, sum3
    for j in range(whole, dimension):
        s0 = samples[j]
        for c in range(ranks):
            row, sum0 = projections[c], 0.0
            for s in range(len(row)):
                sum0 += row[s] * s0[s]
            sums[c, j] = sum0
    return sums


if AVAILABLE:
    block_words = compiled(_loop_block_words)
    project = vectorised(_loop_project)
    accumulate = vectorised(_loop_accumulate)
