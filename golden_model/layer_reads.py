"""Training through the crossbar: the forward and transposed reads of a layer's array.

What the layer's digital side then has of a vector is what the DACs made of it, activations and
errors alike. Reads go in chunks of vectors, which bounds their memory. Noise is drawn from a seed,
the layer, the step and the place of the vectors in the batch, so it is the same for any number of
threads and after a resumption.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden_model.counters import Counters
from golden_model.parameters import Parameters
from golden_model.reads import Array, Reads, ReadSpec, Saturations

_CHUNK = 1 << 18
"""Inputs and outputs of the vectors read at once: they stay in a processor's cache."""

TRAINING, TESTING = 0, 1
"""What a read is for, the first number of its step."""

FORWARD, TRANSPOSED = 0, 1
"""Directions of a read, part of what seeds its noise."""


@dataclass
class ReadCounters(Counters):
    """What the reads of training did, added up."""

    input_clips: int = 0
    """Inputs that a DAC clipped."""
    adc_saturations: int = 0
    """ADC codes that saturated, those of repeated reads too."""
    sum_saturations: int = 0
    """Partial sums that saturated, likewise."""
    repeated_forward: int = 0
    """Vectors read forward once more because an ADC saturated."""
    repeated_transposed: int = 0
    """The same of transposed reads."""


class LayerReads:
    """The reads of one layer's array."""

    def __init__(
        self, reads: Reads, parameters: Parameters, largest_cell: int, seed: Sequence[int]
    ) -> None:
        """Reads of tiles with cells from -`largest_cell` to `largest_cell`; `load` brings them.

        `seed` determines the noise, with what `begin` is told. Raises `ReadError` for reads that
        the golden model cannot hold exactly.
        """
        self._specs = (
            ReadSpec(reads, parameters.tile_rows, largest_cell),
            ReadSpec(reads, parameters.tile_columns, largest_cell),
        )
        self._retries = reads.retries
        self._noisy = reads.input_noise > 0 or reads.output_noise > 0
        self._seed = list(seed)
        self._step: list[int] = []
        self._counted: list[ReadCounters] = []

    def load(self, cells: NDArray[np.floating], unit: float) -> None:
        """Read from `cells`, m x n, from now on; they stand for weights of `cells` * `unit`."""
        self._unit = unit
        forward, transposed = self._specs
        self._cells = (
            np.ascontiguousarray(cells.T, forward.dtype),
            np.ascontiguousarray(cells[:, :-1], transposed.dtype),
        )

    def begin(self, step: Iterable[int]) -> None:
        """Draw the noise of `step`, numbers that tell one batch from all others, from now on.

        The first of them is `TRAINING` or `TESTING`.
        """
        self._step = list(step)

    def forward(self, activations: Array, place: int) -> Array:
        """y = W x for each row x of `activations` (samples x n), which become what was driven.

        `place` tells these rows from the others of the step.
        """
        return self._read(FORWARD, activations, place)

    def transposed(self, errors: Array, place: int) -> Array:
        """W^T d for each row d of `errors` (samples x m), samples x (n - 1): the bias has no input.

        `errors` become what was driven; `place` tells these rows from the others of the step.
        """
        return self._read(TRANSPOSED, errors, place)

    def drive(self, errors: Array) -> None:
        """Make `errors` (samples x m) what the DACs of a transposed read would have driven."""
        codes, scales, clips = self._specs[TRANSPOSED].quantise(errors)
        np.multiply(codes, scales[:, None], out=errors, casting="same_kind")
        self._counted.append(ReadCounters(input_clips=clips))

    def counted(self) -> ReadCounters:
        """What the reads since the last call did; call it when none is under way."""
        total = ReadCounters()
        for counters in self._counted:
            total.add(counters)
        self._counted = []
        return total

    def _read(self, direction: int, vectors: Array, place: int) -> Array:
        cells, counters = self._cells[direction], ReadCounters()
        random = None
        if self._noisy:
            random = np.random.default_rng([*self._seed, *self._step, direction, place])
        outputs = np.empty((len(vectors), cells.shape[1]), vectors.dtype)
        chunk = max(1, _CHUNK // sum(cells.shape))
        for start in range(0, len(vectors), chunk):
            rows = slice(start, start + chunk)
            outputs[rows] = self._read_chunk(direction, vectors[rows], counters, random)
        self._counted.append(counters)
        return outputs

    def _read_chunk(
        self,
        direction: int,
        vectors: Array,
        counters: ReadCounters,
        random: np.random.Generator | None,
    ) -> Array:
        spec = self._specs[direction]
        codes, scales, clips = spec.quantise(vectors)
        np.multiply(codes, scales[:, None], out=vectors, casting="same_kind")
        sums, saturations, saturated = self._sums(direction, codes, random)
        counters.input_clips += clips
        counters.adc_saturations += saturations.adc
        counters.sum_saturations += saturations.sums
        for _ in range(self._retries):
            again = np.flatnonzero(saturated)
            if not len(again):
                break
            codes[again] = np.rint(codes[again] * 0.5)
            scales[again] *= 2
            sums[again], saturations, saturated[again] = self._sums(direction, codes[again], random)
            counters.adc_saturations += saturations.adc
            counters.sum_saturations += saturations.sums
            if direction == FORWARD:
                counters.repeated_forward += len(again)
            else:
                counters.repeated_transposed += len(again)
        factors = scales * (self._unit * 2.0**spec.shift)
        return sums * factors[:, None]

    def _sums(
        self, direction: int, codes: Array, random: np.random.Generator | None
    ) -> tuple[Array, Saturations, NDArray[np.bool_]]:
        """What `ReadSpec.read` returns for `codes` (vectors x inputs)."""
        return self._specs[direction].read(self._cells[direction], codes, random)
