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

import numpy as np
from numpy.typing import NDArray

from golden_model import scalar
from golden_model.compiled import compiled
from golden_model.fixed_products import accumulate, block_words, project
from golden_model.formats import NO_LEAST, Words, fill_row, fill_rows
from golden_model.parameters import Parameters
from golden_model.sbpca import Factors, check_blocks, history_samples, initial_state

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


@dataclass(frozen=True)
class Samples:
    """Activations or errors that become words as they are streamed."""

    values: NDArray[np.floating]
    """Samples x d."""
    exponent: int = 0
    """A word stands for so many powers of two: none for values that are words already."""

    @property
    def layout(self) -> tuple[NDArray[np.floating], bool, float]:
        """The arguments of `block_words` that say what the values are, wherever they lie."""
        values, scale = self.values, math.ldexp(1.0, -self.exponent)
        if values.dtype not in (np.float32, np.float64):
            values = values.astype(np.float64)
        if values.flags.f_contiguous and not values.flags.c_contiguous:
            return values.T, True, scale
        return np.ascontiguousarray(values), False, scale


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
        self._parameters = parameters
        self._x = _Side(state.x)
        self._delta = _Side(state.delta)
        self._weight = np.array([scalar.multiply(weight, carry) for weight in state.weight])
        self.saturations = 0

    def stream(self, activations: Samples, errors: Samples, block: int) -> None:
        """Absorb `activations` and `errors` in blocks of `block` samples, the last one shorter."""
        self.saturations += _stream(
            self._x.words,
            self._x.inverse,
            self._x.norm,
            self._delta.words,
            self._delta.inverse,
            self._delta.norm,
            self._weight,
            *activations.layout,
            *errors.layout,
            block,
            self._parameters.width,
            self._parameters.history_bits,
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


@compiled
def _stream(
    x: Words,
    x_inverse: Scalars,
    x_norm: Scalars,
    delta: Words,
    delta_inverse: Scalars,
    delta_norm: Scalars,
    weight: Scalars,
    activations: NDArray[np.floating],
    a_by_inputs: bool,
    a_scale: float,
    errors: NDArray[np.floating],
    d_by_inputs: bool,
    d_scale: float,
    block: int,
    width: int,
    history_bits: int,
) -> int:
    """All blocks: factors, norms and weights change in place; returns how many words saturated.

    `activations` and `errors` are laid out and scaled as `block_words` has it.
    """
    maximum, saturations, ranks = float((1 << (width - 1)) - 1), 0, len(weight)
    samples = activations.shape[1] if a_by_inputs else activations.shape[0]
    overlaps, previous_inverse = np.empty(ranks), np.empty(ranks)
    for start in range(0, samples, block):
        part = slice(start, start + block)
        a = block_words(activations, a_by_inputs, part, a_scale, maximum)
        d = block_words(errors, d_by_inputs, part, d_scale, maximum)

        columns, _, saturated = _iterate(
            x, x_inverse, delta, delta_norm, d, a, weight, width, history_bits
        )
        saturations += saturated
        _, _, saturated = _orthogonalise(columns, x, x_inverse, x_norm, width)
        saturations += saturated
        x[:] = columns

        columns, shifts, saturated = _iterate(
            delta, delta_inverse, x, x_norm, a, d, weight, width, history_bits
        )
        saturations += saturated
        previous_inverse[:] = delta_inverse
        exponents, vanished, saturated = _orthogonalise(
            columns, delta, delta_inverse, delta_norm, width
        )
        saturations += saturated
        for c in range(ranks):
            overlaps[c] = np.dot(columns[c], delta[c])
        delta[:] = columns
        _update_weights(
            weight,
            overlaps,
            exponents + shifts,
            vanished,
            delta_norm,
            delta_inverse,
            previous_inverse,
            x_inverse,
        )
    return saturations


@compiled
def _iterate(
    own: Words,
    own_inverse: Scalars,
    other: Words,
    other_norm: Scalars,
    projected: Words,
    accumulated: Words,
    weight: Scalars,
    width: int,
    history_bits: int,
) -> tuple[Words, Integers, int]:
    """Half a power iteration: the wide columns of `own`, the shifts of the projections, and how
    many words saturated.

    columns = own diag(history) + accumulated^T y with y = projected @ other, narrowed to words.
    The projections give up low bits only where the history would outgrow its digits.
    """
    history, least = _histories(weight, own_inverse, other_norm, history_bits)
    projections = project(other, projected)
    shifts = np.empty(len(weight), np.int64)
    saturated = fill_rows(projections, width, least, shifts)
    columns = accumulate(projections, accumulated)
    for c in range(len(weight)):
        columns[c] += own[c] * np.rint(math.ldexp(history[c], -int(shifts[c])))
    return columns, shifts, saturated


@compiled
def _orthogonalise(
    words: Words, previous: Words, inverse: Scalars, norm: Scalars, width: int
) -> tuple[Integers, NDArray[np.bool_], int]:
    """Orthogonalise wide columns `words` in place by right-looking modified Gram-Schmidt.

    Returns the exponents of the residuals, which of them vanished, and how many words saturated. A
    column that vanished keeps the words that it had in `previous`, and its norm.
    """
    exponents = np.empty(len(words), np.int64)
    least = np.full(len(words), NO_LEAST, np.int64)
    saturated = fill_rows(words, width, least, exponents)
    vanished = np.zeros(len(words), np.bool_)
    saturated += _gram_schmidt(words, previous, inverse, norm, exponents, vanished, width)
    return exponents, vanished, saturated


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
        batch.stream(Samples(activations), Samples(errors), max(1, len(activations)))
    return batch.result()


BatchRunner = Callable[[FixedState, Samples, Samples, int, float], BatchResult]
"""What computes a batch: of the state before it, activations, errors, samples a block and CARRY."""


def golden_runner(parameters: Parameters) -> BatchRunner:
    """The golden model of the accelerator with `parameters`."""

    def run(
        state: FixedState, activations: Samples, errors: Samples, block: int, carry: float
    ) -> BatchResult:
        batch = FixedBatch(parameters, state, carry)
        batch.stream(activations, errors, block)
        return batch.result()

    return run


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
        self._run = run or golden_runner(parameters)
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
        check_blocks(samples, block)
        limit = self._parameters.block_limit(m, activations.shape[1])
        block = min(block, samples)
        if block > limit:
            raise ValueError(f"a block of {block} samples exceeds the buffer's {limit} samples")
        word = self._parameters.word
        a = Samples(activations, word.exponent_of(activations))
        d = Samples(errors, word.exponent_of(errors))
        exponent = a.exponent + d.exponent
        history = history_samples(samples, block, self._momentum)
        result = self._run(self.words, a, d, block, self.units.carry(history, exponent))
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
