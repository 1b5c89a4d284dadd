"""SBPCA in integers: exactly what the accelerator computes, bit for bit.

The form is `golden_model.sbpca.hardware_batch`. Factors are block floating point: a column of
words scaled so that its largest magnitude fills a word, with its norm kept beside it as a scalar.
A direction is all that a column means, so no column is ever divided by its norm, and words lose no
bits to being small parts of a unit vector. docs/arithmetic.md walks through every width, rounding
and exponent in the order of the datapath.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from golden_model import scalar
from golden_model.compiled import compiled
from golden_model.formats import Words, fill_row
from golden_model.parameters import Parameters
from golden_model.sbpca import Factors, blocks, history_samples, initial_state

Scalars = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass
class FixedState:
    """What the accelerator carries from batch to batch for one layer."""

    x: Words
    """Activation factors, n x k words."""
    delta: Words
    """Error factors, m x k words."""
    weight: Scalars
    """Weights t, k scalars: the summed gradient over the norms of x and delta."""


@dataclass
class BatchResult:
    """What the accelerator returns for a batch."""

    state: FixedState
    """State after the batch."""
    scale: Scalars
    """tau, k scalars: the weighed sum of d a^T is about sum_c tau_c delta_c x_c^T, in words."""
    saturations: int
    """Words that saturated in a narrowing."""


def fill_words(parameters: Parameters, columns: NDArray[np.floating]) -> Words:
    """Real `columns` as words, each column scaled by a power of two until it fills its words."""
    words = [parameters.word.quantise(column)[0] for column in columns.astype(np.float64).T]
    return np.stack(words, axis=1)


def initial_fixed_state(parameters: Parameters, m: int, n: int, rank: int, seed: int) -> FixedState:
    """Random orthonormal factors of weight zero, as words."""
    state = initial_state(m, n, rank, seed)
    return FixedState(
        fill_words(parameters, state.x), fill_words(parameters, state.delta), np.zeros(rank)
    )


class _Side:
    """One factor, a row of words a rank, and the norms of its ranks."""

    def __init__(self, words: Words) -> None:
        self.words = words.T.copy()
        ranks = len(self.words)
        self.inverse = np.zeros(ranks)
        self.norm = np.zeros(ranks)
        for c, square in enumerate(np.sum(self.words * self.words, axis=1).tolist()):
            self.inverse[c], self.norm[c] = _norms(square)


class FixedBatch:
    """One batch of one layer on the accelerator, block by block."""

    def __init__(self, parameters: Parameters, state: FixedState, carry: float) -> None:
        """Start from `state` with its weights multiplied by scalar `carry`."""
        self._word = parameters.word
        self._history_bits = parameters.history_bits
        self._x = _Side(state.x)
        self._delta = _Side(state.delta)
        self._weight = np.array([scalar.multiply(weight, carry) for weight in state.weight])
        self.saturations = 0

    def block(self, activations: Words, errors: Words) -> None:
        """Absorb a block of `activations` (samples x n words) and `errors` (samples x m words)."""
        columns, _ = self._iterate(self._x, self._delta, errors, activations)
        self._orthogonalise(columns, self._x)

        previous, previous_inverse = self._delta.words, self._delta.inverse.copy()
        columns, shifts = self._iterate(self._delta, self._x, activations, errors)
        exponents, vanished = self._orthogonalise(columns, self._delta)
        overlaps = np.einsum("cr,cr->c", self._delta.words, previous)
        _update_weights(
            self._weight,
            overlaps,
            exponents + shifts,
            vanished,
            self._delta.norm,
            self._delta.inverse,
            previous_inverse,
            self._x.inverse,
        )

    def result(self) -> BatchResult:
        """State, scales and counters after the blocks so far."""
        scale = [
            scalar.multiply(scalar.multiply(weight, x), delta)
            for weight, x, delta in zip(
                self._weight, self._x.inverse, self._delta.inverse, strict=True
            )
        ]
        state = FixedState(self._x.words.T, self._delta.words.T, self._weight)
        return BatchResult(state, np.array(scale), self.saturations)

    def _iterate(
        self, own: _Side, other: _Side, projected: Words, accumulated: Words
    ) -> tuple[Words, Integers]:
        """Half a power iteration: the wide columns of `own`, and the shift of the projections.

        columns = own diag(history) + accumulated^T y with y = projected @ other, narrowed to words.
        The projections give up low bits only where the history would outgrow its digits.
        """
        history, least = _histories(self._weight, own.inverse, other.norm, self._history_bits)
        projections = other.words @ projected.T
        _, shifts, saturated = self._word.fill(projections, least=least, out=projections)
        self.saturations += saturated
        columns = projections @ accumulated
        columns += own.words * np.rint(np.ldexp(history, -shifts))[:, None]
        return columns, shifts

    def _orthogonalise(self, words: Words, side: _Side) -> tuple[Integers, NDArray[np.bool_]]:
        """Orthogonalise wide columns `words` into `side` by right-looking modified Gram-Schmidt.

        `words` is overwritten and becomes that of `side`. Returns the exponents of the residuals,
        and which vanished: such a column keeps the words and the norm that it had in `side`.
        """
        _, exponents, saturated = self._word.fill(words, out=words)
        vanished = np.zeros(len(words), dtype=np.bool_)
        self.saturations += saturated + _gram_schmidt(
            words, side.words, side.inverse, side.norm, exponents, vanished, self._word.width
        )
        side.words = words
        return exponents, vanished


@compiled
def _norms(square: float) -> tuple[float, float]:
    """Reciprocal of the norm, and norm, from the sum of squares."""
    square = scalar.round_scalar(square)
    inverse = scalar.reciprocal_square_root(square)
    return inverse, scalar.multiply(square, inverse)


@compiled
def _histories(
    weight: Scalars, inverse: Scalars, norm: Scalars, history_bits: int
) -> tuple[Scalars, Integers]:
    """The history's factor of each rank, and the least shift at which it fits its digits."""
    history, least = np.empty(len(weight)), np.empty(len(weight), np.int64)
    for c in range(len(weight)):
        history[c] = scalar.multiply(scalar.multiply(weight[c], inverse[c]), norm[c])
        least[c] = scalar.exponent(history[c]) - history_bits
    return history, least


@compiled
def _gram_schmidt(
    words: Words,
    previous: Words,
    inverse: Scalars,
    norm: Scalars,
    exponents: Integers,
    vanished: NDArray[np.bool_],
    width: int,
) -> int:
    """Orthogonalise the rows of `words` in place; returns how many words saturated.

    Norms, exponents and what vanished are written to the other arguments. What saturates of a
    coefficient is its negative, the word that the hardware multiplies by.
    """
    maximum, saturations = float((1 << (width - 1)) - 1), 0
    for j in range(len(words)):
        current = words[j]
        square = np.dot(current, current)
        if square == 0.0:
            words[j] = previous[j]
            vanished[j] = True
            continue
        inverse[j], norm[j] = _norms(square)
        reciprocal = scalar.multiply(inverse[j], inverse[j])
        for other in range(j + 1, len(words)):
            dot = np.dot(words[other], current)
            ratio = scalar.multiply(scalar.round_scalar(abs(dot)), reciprocal)
            bits = min(width - 2, width - 1 - scalar.exponent(ratio))
            coefficient = np.rint(math.ldexp(ratio, bits))
            if dot < 0 and coefficient > maximum:
                coefficient = maximum
                saturations += 1
            unit = math.ldexp(1.0, -bits)
            signed = coefficient * unit if dot > 0 else -coefficient * unit
            words[other] -= signed * current
            shift, saturated = fill_row(words[other], width, unit)
            exponents[other] += shift
            saturations += saturated
    return saturations


@compiled
def _update_weights(
    weight: Scalars,
    overlaps: NDArray[np.float64],
    exponents: Integers,
    vanished: NDArray[np.bool_],
    norm: Scalars,
    inverse: Scalars,
    previous_inverse: Scalars,
    x_inverse: Scalars,
) -> None:
    """t' = diag(R) + t (1 - new . previous), in place; zero where the residual vanished."""
    for c in range(len(weight)):
        if vanished[c]:
            weight[c] = 0.0
            continue
        overlap = scalar.multiply(
            scalar.multiply(scalar.round_scalar(abs(overlaps[c])), inverse[c]),
            previous_inverse[c],
        )
        rest = scalar.add(1.0, overlap) if overlaps[c] < 0 else scalar.subtract(1.0, overlap)
        diagonal = scalar.multiply(norm[c], x_inverse[c])
        diagonal = scalar.round_scalar(math.ldexp(diagonal, int(exponents[c])))
        weight[c] = scalar.add(diagonal, scalar.multiply(weight[c], rest))


def run_batch(
    parameters: Parameters,
    state: FixedState,
    samples: Iterable[tuple[Words, Words]],
    carry: float,
) -> BatchResult:
    """The accelerator's answer to a batch of blocks (activations, errors) of words."""
    batch = FixedBatch(parameters, state, carry)
    for activations, errors in samples:
        batch.block(
            activations.astype(np.float64, copy=False), errors.astype(np.float64, copy=False)
        )
    return batch.result()


BatchRunner = Callable[[FixedState, Iterable[tuple[Words, Words]], float], BatchResult]
"""`run_batch` on a certain accelerator, of state, samples and carry."""


@dataclass(frozen=True)
class Units:
    """What tau of the last batch stands for, which the host keeps from batch to batch."""

    weighed: float = 1.0
    """Samples that tau stands for: the mean gradient is 2**exponent / weighed * tau."""
    exponent: int = 0
    """Exponents of the batch's activations and errors, added up."""

    def carry(self, history: float, exponent: int) -> float:
        """CARRY, a scalar, for a next batch of `exponent` in which tau weighs `history` samples."""
        return scalar.round_scalar(math.ldexp(history / self.weighed, self.exponent - exponent))


class FixedSbpca:
    """SBPCA of one layer in the accelerator's integers, warm from batch to batch."""

    def __init__(
        self,
        parameters: Parameters,
        m: int,
        n: int,
        rank: int,
        seed: int = 0,
        momentum: float | None = None,
        run: BatchRunner | None = None,
    ) -> None:
        """Start an m x n layer at random factors of weight zero; see `sbpca.history_samples`.

        Batches are computed here, or by `run`.
        Raises ValueError for a layer or a rank larger than `parameters` can hold. The rank may
        exceed `parameters.columns`.
        """
        if m > parameters.max_m or n > parameters.max_n:
            raise ValueError(
                f"a {m} x {n} layer exceeds max_m x max_n = {parameters.max_m} x "
                f"{parameters.max_n}: use a larger preset or raise them"
            )
        if rank > parameters.max_rank:
            raise ValueError(f"rank {rank} exceeds max_rank = {parameters.max_rank}: raise it")
        self._parameters = parameters
        self._momentum = momentum
        self._run = run or partial(run_batch, parameters)
        self.words = initial_fixed_state(parameters, m, n, rank, seed)
        self.scale = np.zeros(rank)
        """tau of the last batch, k scalars."""
        self.units = Units()
        """What `scale` stands for."""
        self.saturations = 0
        """Words saturated so far."""

    def factorise(
        self, activations: NDArray[np.floating], errors: NDArray[np.floating], block: int
    ) -> Factors:
        """Factors of the mean gradient of `activations` (samples x n) and `errors` (samples x m).

        Both are quantised to words, each with one exponent for the batch. Raises ValueError for a
        block larger than the block buffer, and for samples that are not finite.
        """
        samples, m = errors.shape
        limit = self._parameters.block_limit(m, activations.shape[1])
        block = min(block, samples)
        if block > limit:
            raise ValueError(f"a block of {block} samples exceeds the buffer's {limit} samples")
        word = self._parameters.word
        a_exponent, d_exponent = word.exponent_of(activations), word.exponent_of(errors)
        # Block by block, because a block stays in a processor's cache.
        streamed = (
            (
                word.words(activations[part], a_exponent),
                word.words(errors[part], d_exponent),
            )
            for part in blocks(samples, block)
        )
        return self._batch(streamed, samples, a_exponent + d_exponent, block)

    def factorise_words(self, a: Words, d: Words, exponent: int, block: int) -> Factors:
        """`factorise` of words whose products are in units of 2**exponent."""
        streamed = ((a[part], d[part]) for part in blocks(len(a), block))
        return self._batch(streamed, len(a), exponent, block)

    def _batch(
        self, streamed: Iterable[tuple[Words, Words]], samples: int, exponent: int, block: int
    ) -> Factors:
        """Factors of a batch of `samples`, words that are `streamed` in blocks of `block`."""
        history = history_samples(samples, block, self._momentum)
        carry = self.units.carry(history, exponent)
        result = self._run(self.words, streamed, carry)
        self.words, self.scale = result.state, result.scale
        self.units = Units(history + samples, exponent)
        self.saturations += result.saturations
        weight = np.ldexp(result.scale, exponent) / self.units.weighed
        return Factors(result.state.delta, weight, result.state.x)

    def state(self) -> dict[str, NDArray[np.float64]]:
        """The state as named arrays, for a checkpoint."""
        return {
            "x": self.words.x,
            "delta": self.words.delta,
            "weight": self.words.weight,
            "units": np.array(
                [self.units.weighed, self.units.exponent, self.saturations], dtype=np.float64
            ),
        }

    def restore(self, arrays: dict[str, NDArray[np.float64]]) -> None:
        """Continue from arrays that `state` returned."""
        self.words = FixedState(arrays["x"], arrays["delta"], arrays["weight"])
        weighed, exponent, saturations = arrays["units"]
        self.units = Units(float(weighed), int(exponent))
        self.saturations = int(saturations)
