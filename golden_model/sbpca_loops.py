"""The blocks of `sbpca.hardware_batch` as loops, for the compiler.

Matrix products of a few columns leave a BLAS library waiting for memory, and blocks of a few
samples leave it waiting for Python. Here four samples at a time are projected and accumulated while
they are in a processor's first cache, so that a block is read twice, once for each factor. Sums may
be reordered: results are those of `sbpca` to rounding, and the same each time.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from golden_model.compiled import vectorised

Array = NDArray[np.floating]


@vectorised
def accumulate(projected: Array, factors: Array, samples: Array, sums: Array) -> None:
    """`sums` (k x d) += (projected factors^T)^T samples.

    `projected` are s x e, `factors` k x e and `samples` s x d: each sample is projected on the
    factors, and its own row of `samples` is added to row c of `sums` as often as projection c says.
    """
    ranks, zero = len(factors), sums.dtype.type(0)
    y = np.empty((4, ranks), sums.dtype)
    whole = len(samples) - len(samples) % 4
    for s in range(0, whole, 4):
        p0, p1, p2, p3 = projected[s], projected[s + 1], projected[s + 2], projected[s + 3]
        for c in range(ranks):
            factor = factors[c]
            y0, y1, y2, y3 = zero, zero, zero, zero
            for j in range(len(factor)):
                y0 += p0[j] * factor[j]
                y1 += p1[j] * factor[j]
                y2 += p2[j] * factor[j]
                y3 += p3[j] * factor[j]
            y[0, c], y[1, c], y[2, c], y[3, c] = y0, y1, y2, y3
        s0, s1, s2, s3 = samples[s], samples[s + 1], samples[s + 2], samples[s + 3]
        for c in range(ranks):
            row, y0, y1, y2, y3 = sums[c], y[0, c], y[1, c], y[2, c], y[3, c]
            for j in range(len(row)):
                row[j] += y0 * s0[j] + y1 * s1[j] + y2 * s2[j] + y3 * s3[j]
    for s in range(whole, len(samples)):
        p0, s0 = projected[s], samples[s]
        for c in range(ranks):
            factor, row = factors[c], sums[c]
            y0 = zero
            for j in range(len(factor)):
                y0 += p0[j] * factor[j]
            for j in range(len(row)):
                row[j] += y0 * s0[j]


@vectorised
def orthonormalise_rows(
    rows: Array, basis: Array, diagonal: Array, tolerance: float, work: NDArray[np.float64]
) -> None:
    """Gram-Schmidt of `rows` (k x d) in double precision, written to `basis` and `diagonal`.

    A row that keeps no more than `tolerance` of its norm leaves its row of `basis` as it is, and 0
    on the diagonal. `work` is memory of the shape of `rows`.
    """
    ranks, dimension = rows.shape
    least = np.empty(ranks, np.float64)
    for c in range(ranks):
        square = 0.0
        for j in range(dimension):
            work[c, j] = rows[c, j]
            square += work[c, j] * work[c, j]
        least[c] = tolerance * math.sqrt(square)
    for c in range(ranks):
        row = work[c]
        square = 0.0
        for j in range(dimension):
            square += row[j] * row[j]
        norm = math.sqrt(square)
        if norm <= least[c]:
            diagonal[c] = 0.0
            continue
        diagonal[c] = norm
        inverse = 1.0 / norm
        for j in range(dimension):
            row[j] *= inverse
            basis[c, j] = row[j]
        for other in range(c + 1, ranks):
            later = work[other]
            product = 0.0
            for j in range(dimension):
                product += row[j] * later[j]
            for j in range(dimension):
                later[j] -= product * row[j]


@vectorised
def stream(
    x: Array,
    delta: Array,
    t: Array,
    activations: Array,
    errors: Array,
    block: int,
    tolerance: float,
) -> None:
    """All blocks of a batch; `x` (k x n), `delta` (k x m) and the weights `t` (k) change in place.

    `activations` are samples x n and `errors` samples x m; of those that do not lie in memory
    sample by sample a block is copied.
    """
    ranks, dtype = len(t), t.dtype
    x_sums, delta_sums = np.empty_like(x), np.empty_like(delta)
    new, diagonal = np.empty_like(delta), np.empty(ranks, dtype)
    x_work, delta_work = np.empty(x.shape, np.float64), np.empty(delta.shape, np.float64)
    for start in range(0, len(activations), block):
        a = np.ascontiguousarray(activations[start : start + block])
        d = np.ascontiguousarray(errors[start : start + block])
        for c in range(ranks):
            for j in range(x.shape[1]):
                x_sums[c, j] = x[c, j] * t[c]
            for j in range(delta.shape[1]):
                delta_sums[c, j] = delta[c, j] * t[c]
                new[c, j] = delta[c, j]
        accumulate(d, delta, a, x_sums)
        orthonormalise_rows(x_sums, x, diagonal, tolerance, x_work)
        accumulate(a, x, d, delta_sums)
        orthonormalise_rows(delta_sums, new, diagonal, tolerance, delta_work)
        for c in range(ranks):
            overlap = 0.0
            for j in range(delta.shape[1]):
                overlap += new[c, j] * delta[c, j]
                delta[c, j] = new[c, j]
            rest = t[c] * (1.0 - min(overlap, 1.0))
            t[c] = diagonal[c] + rest if diagonal[c] > 0 or diagonal[c] != diagonal[c] else 0.0
