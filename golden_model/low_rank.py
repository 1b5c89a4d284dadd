"""Low-rank gradients to compare SBPCA with: the truncated SVD, and LRT.

`truncated_svd` is the best approximation of a rank that there is, and needs the whole gradient.
`Lrt` is low-rank training by Gural, Nadeau, Tikekar and Murmann (2020, arXiv:2009.03887): a
batch's factors grow by each block of samples and are cut back to rank r, biased (the largest r
singular values stay) or unbiased (the expectation of what stays is what was there; the estimator of
least variance by Benzing, Gauy, Mujika, Martinsson and Steger 2019, arXiv:1902.03993, "OK").
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from golden_model.sbpca import Array, Factors, blocks


def truncated_svd(gradient: Array, rank: int) -> Factors:
    """The best approximation of rank `rank` of `gradient` (m x n) in any unitary norm."""
    delta, weight, x = np.linalg.svd(gradient, full_matrices=False)
    return Factors(delta[:, :rank], weight[:rank], x[:rank].T)


def sum_is_smaller(m: int, n: int, rank: int, samples: int) -> bool:
    """Whether the m x n sum of a block and the factors so far takes no more than their columns.

    `rank` + `samples` columns on each side then span one side whole: orthogonalising them finds
    nothing that the singular value decomposition of the sum itself does not.
    """
    return rank + samples >= min(m, n)


class Lrt:
    """Low-rank training of one layer; every batch starts from nothing.

    As published a block is one sample. Larger blocks, which convolutions need (a sample an output
    position), append their samples together and cut back once. The published skipping of updates
    by the condition number and the normalisation by the largest magnitude are left out: plain
    steps, like all optimisers here.
    """

    def __init__(self, m: int, n: int, rank: int, *, unbiased: bool, seed: int) -> None:
        """For an m x n layer; `seed` draws the signs of the unbiased reduction.

        Raises ValueError unless 1 <= rank <= min(m, n).
        """
        if not 1 <= rank <= min(m, n):
            raise ValueError(f"rank {rank} of a {m} x {n} layer must be from 1 to {min(m, n)}")
        self._m, self._n, self._rank = m, n, rank
        self._unbiased = unbiased
        self._seed = seed
        self._batches = 0

    def factorise(self, activations: Array, errors: Array, block: int) -> Factors:
        """Factors of the mean gradient of `activations` (samples x n) and `errors` (samples x m).

        Raises ValueError for samples that are not finite.
        """
        if not (np.isfinite(activations).all() and np.isfinite(errors).all()):
            raise ValueError("activations and errors must be finite numbers")
        random = np.random.default_rng([self._seed, self._batches])
        self._batches += 1
        dtype = activations.dtype
        delta = np.zeros((self._m, 0), dtype)
        x = np.zeros((self._n, 0), dtype)
        for part in blocks(len(activations), block):
            delta, x = self._absorb(delta, x, errors[part], activations[part], random)
        norms = np.linalg.norm(delta, axis=0)
        directions = np.divide(delta, norms, out=np.zeros_like(delta), where=norms > 0)
        return Factors(directions, norms / len(activations), x)

    def _absorb(
        self, delta: Array, x: Array, errors: Array, activations: Array, random: np.random.Generator
    ) -> tuple[Array, Array]:
        """delta x^T + errors^T activations, cut back to the rank: delta with the weights, and x."""
        if sum_is_smaller(self._m, self._n, self._rank, len(errors)):
            total = delta @ x.T
            total += errors.T @ activations
            u, values, v = np.linalg.svd(total, full_matrices=False)
            return self._cut(u, values, v.T, random)
        # Both sides are orthogonalised, so the singular values are those of a small core.
        left, left_core = np.linalg.qr(np.concatenate([delta, errors.T], axis=1))
        right, right_core = np.linalg.qr(np.concatenate([x, activations.T], axis=1))
        u, values, v = np.linalg.svd(left_core @ right_core.T, full_matrices=False)
        delta, x = self._cut(u, values, v.T, random)
        return left @ delta, right @ x

    def _cut(
        self, u: Array, values: Array, v: Array, random: np.random.Generator
    ) -> tuple[Array, Array]:
        """u diag(values) v^T, its singular values in falling order, cut back to the rank."""
        rank = min(self._rank, len(values))
        if not self._unbiased:
            return u[:, :rank] * values[:rank], v[:, :rank]
        basis, weights = unbiased_reduction(values.astype(np.float64), rank, random)
        basis = basis.astype(values.dtype)
        return (u @ basis) * weights.astype(values.dtype), v @ basis

    def state(self) -> dict[str, NDArray[np.integer]]:
        """What is carried from batch to batch: how many there were, from which the signs follow."""
        return {"batches": np.array(self._batches)}

    def restore(self, arrays: dict[str, NDArray[np.integer]]) -> None:
        """Continue from arrays that `state` returned."""
        self._batches = int(arrays["batches"])


def unbiased_reduction(
    values: NDArray[np.float64], rank: int, random: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Q (q x rank, orthonormal columns) and w (rank) with E[Q diag(w) Q^T] = diag(`values`).

    `values` are q singular values in falling order. The largest stay as they are; the others, of
    sum s, share the k remaining ranks at weight s / k each: a random projection of rank k whose
    diagonal is values * k / s, which no unbiased estimator of this rank betters in variance
    (Benzing et al. 2019, Theorem 1). Random signs cancel its other entries in expectation.
    """
    q = len(values)
    if rank >= q:
        return np.eye(q), values
    sums = np.cumsum(values[::-1])[::-1]
    ranks_left = rank - np.arange(rank)
    # True for the last rank always: one rank can carry all that is left.
    kept = int(np.argmax(values[:rank] * ranks_left <= sums[:rank]))
    k, total = rank - kept, sums[kept]
    basis = np.eye(q, rank)
    weights = np.concatenate([values[:kept], np.full(k, total / k)])
    if total > 0:
        columns = orthonormal_columns(values[kept:] / total * k, k)
        signs = random.choice([-1.0, 1.0], size=(len(columns), 1))
        basis[kept:, kept:] = signs * columns
    return basis, weights


def orthonormal_columns(row_norms: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """A matrix of k orthonormal columns whose rows have the squared norms `row_norms`.

    `row_norms` are from 0 to 1 and add up to k, which by the Schur-Horn theorem is all it takes.
    Plane rotations of two rows give one of them its norm at a time and keep the columns
    orthonormal (Bendel and Mickey 1978).
    """
    count = len(row_norms)
    columns = np.eye(count, k)
    wanted = row_norms.tolist()
    norms = [1.0] * k + [0.0] * (count - k)
    high, low = k - 1, k  # rows that still have norm 1, and norm 0, from here outwards
    while high >= 0 and low < count:
        excess, lack = norms[high] - wanted[high], wanted[low] - norms[low]
        target, other = (high, low) if excess <= lack else (low, high)
        # The two rows are orthogonal: one of them is still the unit vector or the zero it began as.
        spread = norms[high] - norms[low]
        share = min(max((wanted[target] - norms[low]) / spread, 0.0), 1.0) if spread > 0 else 1.0
        cosine, sine = math.sqrt(share), math.sqrt(1.0 - share)
        columns[target], columns[other] = (
            cosine * columns[high] + sine * columns[low],
            sine * columns[high] - cosine * columns[low],
        )
        norms[target], norms[other] = wanted[target], norms[high] + norms[low] - wanted[target]
        if target == high:
            high -= 1
        else:
            low += 1
    return columns
