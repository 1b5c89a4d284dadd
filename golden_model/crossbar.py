"""Crossbars of analog devices, and a layer's weights held in tiles of them.

An ideal device's conductance is an integer number of steps from 0 to `states` - 1. Every
coincidence of a row pulse and a column pulse moves it one step, up if the two have the same
polarity and down if not; at its bounds it stays. The rows of the array are a layer's n inputs, the
columns its m outputs. The weight of state g is `weight_range` (2 g / (states - 1) - 1). Other
devices move as their laws say (`golden_model.devices`), their conductances being real numbers of
steps, and a weight may be two of them (`golden_model.weight_cells`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden_model import scalar
from golden_model.formats import Words
from golden_model.parallel import parts
from golden_model.parameters import Parameters
from golden_model.pulses import CHUNK_CELLS, UpdatePulses
from golden_model.weight_cells import Arrays, IdealCells, WeightCells

MAX_STATES = 1 << 23
"""Most states of a device: conductances and steps are exact in float32."""

_PROGRAMMING, _REFRESH, _RANKS = 16, 17, 18
"""Which of a seed's streams draws what: programming, refresh, and from there on each rank. The
streams below are those of what the devices are like (`device_array`)."""


class CrossbarTile:
    """An array of ideal bounded devices that answers the pulses of its lines."""

    def __init__(self, conductance: NDArray[np.float32], states: int) -> None:
        """Devices at `conductance` (rows x columns, steps), which is changed in place."""
        self.conductance = conductance
        self._maximum = states - 1

    def apply(
        self,
        rows_positive: ArrayLike,
        rows_negative: ArrayLike,
        columns_positive: ArrayLike,
        columns_negative: ArrayLike,
    ) -> None:
        """Answer one slot: for each line whether its positive and its negative pin is high.

        Raises ValueError if both pins of a line are high, which would damage a real array.
        """
        rows = _polarity(rows_positive, rows_negative, "row")
        columns = _polarity(columns_positive, columns_negative, "column")
        self.conductance += np.outer(rows, columns)
        np.clip(self.conductance, 0, self._maximum, out=self.conductance)


def _polarity(positive: ArrayLike, negative: ArrayLike, kind: str) -> NDArray[np.float32]:
    positive, negative = np.asarray(positive, dtype=bool), np.asarray(negative, dtype=bool)
    both = np.flatnonzero(positive & negative)
    if both.size:
        raise ValueError(f"both polarities drive {kind} line {both[0]}")
    return positive.astype(np.float32) - negative


@dataclass(frozen=True)
class UpdateReport:
    """What an update did."""

    slots: list[int]
    """Slots of a phase for each rank; 0 for a rank whose kappa is zero."""
    clips: int
    """Column duties that clipped."""
    pulses: int
    """Pulses on lines."""
    coincidences: int
    """Coincidences of a row pulse and a column pulse."""
    bounded: int
    """Pulses of a device without effect, mostly because it was at its bound."""


@dataclass(frozen=True)
class Writes:
    """How often the devices of the weights have been written since they were programmed: by pulses
    and by refreshes."""

    worst: int
    """Writes of the device with the most of them."""
    total: int
    """Writes of all devices together."""
    devices: int
    """Devices of all weights."""


def update_rate(learning_rate: float, exponent: int, weighed: float, device_step: float) -> float:
    """RATE: device steps per unit of (scale * |x word| * |delta word|), as a scalar.

    The mean gradient is 2**`exponent` / `weighed` * sum_c tau_c delta_c x_c^T, where `exponent`
    adds up those of the activation and the error words and `weighed` counts the samples; the weight
    is to change by -`learning_rate` times it, and a step changes it by `device_step`.
    """
    return scalar.round_scalar(math.ldexp(learning_rate / (weighed * device_step), exponent))


class Crossbar:
    """The m x n weights of a layer in tiles of devices."""

    def __init__(
        self,
        parameters: Parameters,
        m: int,
        n: int,
        weight_range: float,
        states: int,
        cells: Callable[[tuple[int, ...]], WeightCells] | None = None,
    ) -> None:
        """Devices of `states` states for weights from -`weight_range` to `weight_range`.

        They are ideal, or what `cells` makes for the shape of all tiles. All start in the middle
        (of an even number of states, the upper of the two). Raises ValueError for sizes, a range or
        states that make no array.
        """
        if m < 1 or n < 1:
            raise ValueError(f"a crossbar of {m} x {n} weights: both must be at least 1")
        if not 2 <= states <= MAX_STATES:
            raise ValueError(f"{states} states of a device must be from 2 to {MAX_STATES}")
        if not (weight_range > 0 and math.isfinite(weight_range)):
            raise ValueError(f"weight range {weight_range} must be a finite number above 0")
        self._parameters = parameters
        self._shape = (m, n)
        self._states = states
        self._weight_range = weight_range
        self._tile_rows = -(-n // parameters.tile_rows)
        self._tile_columns = -(-m // parameters.tile_columns)
        shape = (self._tile_rows * self._tile_columns, *self._tile_shape)
        self._cells: WeightCells = IdealCells(states, shape) if cells is None else cells(shape)

    @property
    def device_step(self) -> float:
        """Change of a weight by a step of its device, or of each of its devices."""
        return self._cells.step * self._reading

    @property
    def _reading(self) -> float:
        """Change of a weight by one reading of its cell."""
        return 2 * self._weight_range / self._cells.readings

    @property
    def weights(self) -> NDArray[np.float64]:
        """The weights, m x n."""
        weights = np.empty(self._shape)
        self.read(weights)
        return weights

    @property
    def writes(self) -> Writes:
        """How often the devices have been written."""
        counts = self._cells.writes
        return Writes(
            max(int(count.max()) for count in counts),
            sum(int(count.sum(dtype=np.int64)) for count in counts),
            self._shape[0] * self._shape[1] * len(counts),
        )

    def read(self, weights: NDArray[np.floating]) -> None:
        """Put the weights, rounded to its type, into the array `weights` (m x n)."""
        lowest = 0.0 if self._cells.centred else self._weight_range
        for inputs, readings in self._readings():
            strip = readings.astype(np.float64)
            strip *= self._reading
            strip -= lowest
            weights[:, inputs] = strip

    @property
    def signed_cells(self) -> tuple[NDArray[np.float32], float]:
        """What a read senses: each cell against its reference, m x n, and what weight a unit is.

        A unit is a step of a pair or against a device's own reference, and half a step against the
        middle of the range. From -`largest_cell` to `largest_cell`, and whole numbers, for ideal
        devices.
        """
        cells = np.empty(self._shape, np.float32)
        for inputs, readings in self._readings():
            cells[:, inputs] = readings
        if self._cells.centred:
            return cells, self._reading
        cells *= 2
        cells -= self.largest_cell
        return cells, self._reading / 2

    @property
    def conductances(self) -> NDArray[np.int64]:
        """The states of ideal devices, m x n."""
        cells, _ = self.signed_cells
        return (cells.astype(np.int64) + self.largest_cell) // 2

    def load(self, conductances: NDArray[np.integer]) -> None:
        """Bring ideal devices to the states `conductances`, m x n, as another array has them."""
        random = np.random.default_rng(0)  # ideal devices draw nothing
        for tiles, inputs in self._strips():
            strip = self._strip(conductances[:, inputs].astype(np.float32), self._states // 2)
            self._cells.program(tiles, strip, random)

    @property
    def largest_cell(self) -> int:
        """Largest difference of an ideal device to its reference, in units of `signed_cells`."""
        return self._states - 1

    def _readings(self) -> Iterator[tuple[slice, NDArray[np.floating]]]:
        """The inputs of each tile row, and the readings of their cells, m x inputs."""
        for tiles, inputs in self._strips():
            readings = self._cells.read(tiles).transpose(0, 2, 1)
            strip = readings.reshape(-1, readings.shape[2])
            yield inputs, strip[: self._shape[0], : inputs.stop - inputs.start]

    def _strips(self) -> Iterator[tuple[slice, slice]]:
        """The tiles of each tile row, with the inputs whose weights they hold."""
        n, rows = self._shape[1], self._tile_shape[0]
        for row in range(self._tile_rows):
            tiles = slice(row * self._tile_columns, (row + 1) * self._tile_columns)
            yield tiles, slice(row * rows, min((row + 1) * rows, n))

    @property
    def _tile_shape(self) -> tuple[int, int]:
        return self._parameters.tile_rows, self._parameters.tile_columns

    def program(self, weights: ArrayLike, seed: int = 0) -> None:
        """Set the devices to the states nearest to `weights` (m x n), or to their bounds.

        Devices that are stuck stay where they are, and so do those of no weight. `seed` draws what
        write noise leaves over.

        Raises ValueError for another shape.
        """
        weights = np.asarray(weights, dtype=np.float64)
        if weights.shape != self._shape:
            raise ValueError(f"weights of shape {weights.shape} for a crossbar of {self._shape}")
        random = np.random.default_rng([seed, _PROGRAMMING])
        lowest = 0.0 if self._cells.centred else self._weight_range
        idle = 0 if self._cells.centred else self._states // 2
        limit = self._cells.readings
        for tiles, inputs in self._strips():
            readings = np.rint((weights[:, inputs] + lowest) / self._reading)
            strip = self._strip(np.clip(readings, -limit, limit), idle)
            self._cells.program(tiles, strip, random)

    def _strip(self, values: NDArray[np.floating], idle: float) -> NDArray[np.float32]:
        """`values` (m x inputs of a tile row) in the shape of its tiles, `idle` in other cells."""
        rows, columns = self._tile_shape
        strip = np.full((self._tile_columns * columns, rows), idle, dtype=np.float32)
        strip[: self._shape[0], : values.shape[1]] = values
        return strip.reshape(self._tile_columns, columns, rows).transpose(0, 2, 1)

    def tile(self, tile_row: int, tile_column: int) -> CrossbarTile:
        """The tile that `tile_row` and `tile_column` of the drivers select.

        Raises TypeError unless the devices are ideal.
        """
        if not isinstance(self._cells, IdealCells):
            raise TypeError("only ideal devices answer their pulses slot by slot")
        index = tile_row * self._tile_columns + tile_column
        return CrossbarTile(self._cells.conductance[index], self._states)

    def update(
        self,
        x_words: Words,
        delta_words: Words,
        kappas: Sequence[float],
        *,
        slots_min: int,
        slots_max: int,
        scrambled: bool,
        seed: int,
    ) -> UpdateReport:
        """Apply -sum_c kappas[c] x_c delta_c^T device steps by pulses, a rank after another.

        `seed` draws the pulses, and the noise of the devices.

        `x_words` is n x k, `delta_words` m x k, `kappas` k scalars; `slots_min` and `slots_max` are
        logarithms to base 2. With ideal devices the result is to the bit what the pulses of
        `UpdatePulses.trains`, or of the hardware's pins, do to the tiles slot by slot.
        """
        m, n = self._shape
        if len(x_words) != n or len(delta_words) != m:
            raise ValueError(
                f"factors of {len(x_words)} inputs and {len(delta_words)} outputs for a crossbar "
                f"of {n} inputs and {m} outputs"
            )
        pulses = UpdatePulses(
            self._parameters,
            x_words,
            delta_words,
            kappas,
            slots_min=slots_min,
            slots_max=slots_max,
            scrambled=scrambled,
            seed=seed,
        )
        slots = [0] * len(kappas)
        clips, driven, coincidences, bounded = 0, 0, 0, 0
        random = np.random.default_rng([seed, _REFRESH])
        for part in pulses.parts():
            if part.tiles.start == 0:
                slots[part.rank] = part.slots
                clips += part.clips
                random = np.random.default_rng([seed, _RANKS + part.rank])
            driven += part.pulses
            coincidences += part.coincidences
            bounded += self._cells.pulse(part.tiles, part.steps, random)
        self._end_update(seed)
        return UpdateReport(slots, clips, driven, coincidences, bounded)

    def step(self, steps: NDArray[np.float32], seed: int) -> int:
        """Move each cell by its number of `steps` (m x n), one cell at a time.

        `seed` draws the noise of the devices. Returns how many steps moved nothing, because the
        device was at its bound.
        """
        random, bounded = np.random.default_rng([seed, _RANKS]), 0
        for tiles, inputs in self._strips():
            part = self._strip(steps[:, inputs], 0)
            bounded += self._cells.pulse(tiles, part, random)
        self._end_update(seed)
        return bounded

    def _end_update(self, seed: int) -> None:
        tiles = self._tile_rows * self._tile_columns
        most = max(1, CHUNK_CELLS // (self._tile_shape[0] * self._tile_shape[1]))
        self._cells.end_update(parts(tiles, most), np.random.default_rng([seed, _REFRESH]))

    def state(self) -> Arrays:
        """What training changes as named arrays, for a checkpoint."""
        return self._cells.state()

    def restore(self, arrays: Arrays) -> None:
        """Continue from arrays that `state` returned."""
        self._cells.restore(arrays)
