"""Streaming batch principal component analysis (SBPCA) in floating point, in its two forms.

A layer with activations A (samples x n) and errors D (samples x m) has the mean gradient
G = D^T A / samples. SBPCA keeps G ~= Delta diag(sigma) X^T of rank k, refreshed block by block
while the samples stream by (Huang, Hoskins, Daniels, Stiles, Adam, ACM JETC 2023,
doi 10.1145/3577214). `reference_batch` is the published form, `hardware_batch` the division-free
form that the accelerator computes; docs/algorithm.md derives that they are equal.

Cases the published form leaves open, defined here for both forms and for the hardware:

* a block shorter than the others weighs as many samples as it has;
* the previous factors weigh as many samples as a block has, or the batch if that is smaller
  (`history_samples`), unless a momentum is asked for;
* a column that orthonormalisation leaves without a residual keeps its previous direction, and its
  weight becomes zero; so a batch whose errors are all zero leaves the state valid;
* weights start at zero, where only the hardware form is defined as published; the reference form
  takes the limit, in which such a column consists of the new data alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden_model import compiled, sbpca_loops

Array = NDArray[np.floating]

RESIDUAL_TOLERANCE = 1024.0
"""A residual below this many machine epsilons of its column's norm counts as none."""


CHOLESKY_RESIDUAL = {4: 1e-6, 8: 1e-2}
"""Least share of its squared norm that every column must keep for a Cholesky factorisation to be as
exact as Gram-Schmidt, by bytes of a number: it errs by about 1e-16 over this share."""


@dataclass
class Factors:
    """A factorisation delta diag(weight) x^T of a layer's mean gradient."""

    delta: Array
    """Error factors, m x k."""
    weight: Array
    """Weight of each rank, k, never negative."""
    x: Array
    """Activation factors, n x k."""

    def gradient(self) -> Array:
        """The m x n matrix that the factors stand for."""
        return (self.delta * self.weight) @ self.x.T


@dataclass
class FloatState:
    """What SBPCA carries from batch to batch."""

    x: Array
    """Activation factors, n x k, orthonormal columns."""
    delta: Array
    """Error factors, m x k, orthonormal columns."""
    sigma: Array
    """Weight of each rank in the mean gradient, k."""


def initial_state(m: int, n: int, rank: int, seed: int) -> FloatState:
    """Random orthonormal factors of weight zero for an m x n layer.

    Raises ValueError unless 1 <= rank <= min(m, n).
    """
    if not 1 <= rank <= min(m, n):
        raise ValueError(
            f"rank {rank} of a {m} x {n} layer must be from 1 to {min(m, n)}: "
            "use min(rank, m, n) for small layers"
        )
    random = np.random.default_rng(seed)
    x = np.linalg.qr(random.standard_normal((n, rank)))[0]
    delta = np.linalg.qr(random.standard_normal((m, rank)))[0]
    return FloatState(x, delta, np.zeros(rank))


def check_blocks(samples: int, block: int) -> None:
    """Raise ValueError for a batch or a block without samples."""
    if samples < 1 or block < 1:
        raise ValueError(f"a batch of {samples} samples in blocks of {block}: both must be >= 1")


def blocks(samples: int, block: int) -> Iterator[slice]:
    """Slices of at most `block` samples that cover `samples`, the last one possibly shorter."""
    check_blocks(samples, block)
    for start in range(0, samples, block):
        yield slice(start, min(start + block, samples))


def history_samples(samples: int, block: int, momentum: float | None) -> float:
    """Samples that the previous batch's factors weigh in a batch of `samples`.

    As many as a block has (as published) if `momentum` is None; otherwise so many that their share
    of the result is `momentum`: G' = momentum * G + (1 - momentum) * (mean of the batch).
    """
    if momentum is None:
        return float(min(block, samples))
    return samples * momentum / (1.0 - momentum)


def orthonormalise(columns: Array, previous: Array) -> tuple[Array, Array]:
    """Q and diag(R) >= 0 of the QR factorisation of `columns` (d x k).

    A column without a residual takes its direction from `previous` and has R = 0; later columns
    are not made orthogonal to it.
    """
    independent = _orthonormalise_independent(columns)
    return _gram_schmidt(columns, previous) if independent is None else independent


def _orthonormalise_independent(columns: Array) -> tuple[Array, Array] | None:
    """Q and diag(R) by a Cholesky factorisation of the columns' products, in float64.

    R^T R = M^T M and Q = M R^-1: three small products, where Gram-Schmidt goes column by column.
    The error of Q grows with the square of the columns' condition, so None is returned, for
    Gram-Schmidt to do, where a column keeps too little of its norm, or is zero or not finite.
    """
    wide = columns.astype(np.float64, copy=False)
    products = wide.T @ wide
    try:
        lower = np.linalg.cholesky(products)
    except np.linalg.LinAlgError:
        return None
    diagonal = lower.diagonal()
    # Written so that a norm that is not finite fails.
    least = CHOLESKY_RESIDUAL[columns.dtype.itemsize] * products.diagonal()
    if not bool((diagonal * diagonal > least).all()):
        return None
    basis = wide @ np.linalg.inv(lower).T
    dtype = columns.dtype
    return basis.astype(dtype, copy=False), diagonal.astype(dtype)


def _gram_schmidt(columns: Array, previous: Array) -> tuple[Array, Array]:
    """`orthonormalise` by right-looking modified Gram-Schmidt."""
    work = columns.copy()
    tolerance = RESIDUAL_TOLERANCE * np.finfo(work.dtype).eps * np.linalg.norm(work, axis=0)
    basis = previous.copy()
    diagonal = np.zeros(work.shape[1], dtype=work.dtype)
    for j in range(work.shape[1]):
        norm = np.linalg.norm(work[:, j])
        if norm <= tolerance[j]:
            continue
        diagonal[j] = norm
        basis[:, j] = work[:, j] / norm
        work[:, j + 1 :] -= np.outer(basis[:, j], basis[:, j] @ work[:, j + 1 :])
    return basis, diagonal


def reference_batch(
    state: FloatState,
    activations: Array,
    errors: Array,
    block: int,
    momentum: float | None = None,
) -> FloatState:
    """One batch in the published form: three passes over a block's samples, divisions by sigma."""
    x, delta, sigma = state.x, state.delta, state.sigma
    weighed = history_samples(len(activations), block, momentum)
    for part in blocks(len(activations), block):
        a, d = activations[part], errors[part]
        total = weighed + len(a)
        history = np.where(sigma > 0, weighed / total, 0.0)
        scale = np.where(sigma > 0, total * sigma, 1.0)
        x, _ = orthonormalise(history * x + a.T @ (d @ delta) / scale, x)
        new, diagonal = orthonormalise(history * delta + d.T @ (a @ x) / scale, delta)
        quotient = np.sum((d @ new) * (a @ x), axis=0) / total
        sigma = np.where(diagonal > 0, weighed / total * sigma + quotient, 0.0)
        delta, weighed = new, total
    return FloatState(x, delta, sigma)


def hardware_batch(
    state: FloatState,
    activations: Array,
    errors: Array,
    block: int,
    momentum: float | None = None,
) -> FloatState:
    """One batch in the form the accelerator computes: two passes, no division by sigma.

    With t = sigma times the samples weighed so far, diag(R) of the error factors already holds
    the Rayleigh quotient: t' = diag(R) + t (1 - diag(Delta'^T Delta)), which is never negative.
    """
    if compiled.AVAILABLE and activations.dtype == errors.dtype == state.sigma.dtype:
        return _compiled_batch(state, activations, errors, block, momentum)
    x, delta = state.x, state.delta
    weighed = history_samples(len(activations), block, momentum)
    t = weighed * state.sigma
    for part in blocks(len(activations), block):
        a, d = activations[part], errors[part]
        x, _ = orthonormalise(x * t + a.T @ (d @ delta), x)
        new, diagonal = orthonormalise(delta * t + d.T @ (a @ x), delta)
        overlap = np.minimum(np.sum(new * delta, axis=0), 1.0)
        t = np.where(diagonal > 0, diagonal + t * (1.0 - overlap), 0.0)
        delta, weighed = new, weighed + len(a)
    return FloatState(x, delta, t / weighed)


def _compiled_batch(
    state: FloatState, activations: Array, errors: Array, block: int, momentum: float | None
) -> FloatState:
    """`hardware_batch` by `sbpca_loops`."""
    count, dtype = len(activations), state.sigma.dtype
    check_blocks(count, block)
    weighed = history_samples(count, block, momentum)
    t = (weighed * state.sigma).astype(dtype)
    x, delta = (np.array(factors.T, dtype, order="C") for factors in (state.x, state.delta))
    tolerance = RESIDUAL_TOLERANCE * float(np.finfo(dtype).eps)
    sbpca_loops.stream(x, delta, t, activations, errors, block, tolerance)
    return FloatState(x.T, delta.T, t / dtype.type(weighed + count))


class FloatSbpca:
    """SBPCA of one layer in floating point, warm from batch to batch (the hardware form)."""

    def __init__(
        self, m: int, n: int, rank: int, seed: int = 0, momentum: float | None = None
    ) -> None:
        """Start an m x n layer at random factors of weight zero; see `history_samples`."""
        self._momentum = momentum
        self._state = initial_state(m, n, rank, seed)

    def factorise(self, activations: Array, errors: Array, block: int) -> Factors:
        """Factors of the mean gradient of `activations` (samples x n) and `errors` (samples x m).

        Computes in the arrays' precision, in blocks of `block` samples.
        """
        dtype = activations.dtype
        state = self._state
        self._state = hardware_batch(
            FloatState(
                state.x.astype(dtype, copy=False),
                state.delta.astype(dtype, copy=False),
                state.sigma.astype(dtype, copy=False),
            ),
            activations,
            errors,
            block,
            self._momentum,
        )
        return Factors(self._state.delta, self._state.sigma, self._state.x)

    def state(self) -> dict[str, Array]:
        """The state as named arrays, for a checkpoint."""
        return {"x": self._state.x, "delta": self._state.delta, "sigma": self._state.sigma}

    def restore(self, arrays: dict[str, Array]) -> None:
        """Continue from arrays that `state` returned."""
        self._state = FloatState(arrays["x"], arrays["delta"], arrays["sigma"])
