"""Crossbars of analog devices, and a layer's weights held in tiles of them.

An ideal device's conductance is an integer number of steps from 0 to `states` - 1. Every
coincidence of a row pulse and a column pulse moves it one step, up if the two have the same
polarity and down if not; at its bounds it stays. The rows of the array are a layer's n inputs, the
columns its m outputs. The weight of state g is `weight_range` (2 g / (states - 1) - 1). Other
devices move as their laws say (`golden_model.devices`), their conductances being real numbers of
steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden_model import scalar
from golden_model.devices import Population
from golden_model.formats import Words
from golden_model.parameters import Parameters
from golden_model.pulses import Steps, UpdatePulses

MAX_STATES = 1 << 23
"""Most states of a device: conductances and steps are exact in float32."""


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
    """Coincidences without effect, because the device was at its bound."""


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
        devices: Callable[[tuple[int, ...]], Population] | None = None,
    ) -> None:
        """Devices of `states` states for weights from -`weight_range` to `weight_range`.

        They are ideal, or what `devices` draws for the shape of all tiles. All start in the middle
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
        self._conductance = np.full(
            (self._tile_rows * self._tile_columns, parameters.tile_rows, parameters.tile_columns),
            states // 2,
            dtype=np.float32,
        )
        self._devices = None if devices is None else devices(self._conductance.shape)

    @property
    def device_step(self) -> float:
        """Change of a weight by one step of its device."""
        return 2 * self._weight_range / (self._states - 1)

    @property
    def weights(self) -> NDArray[np.float64]:
        """The weights, m x n."""
        return self._cells().astype(np.float64) * self.device_step - self._weight_range

    @property
    def signed_cells(self) -> tuple[NDArray[np.float32], float]:
        """What a read senses: each device against the reference in the middle of the range, m x n,
        in half steps, and the weight that a half step stands for.

        From -`largest_cell` to `largest_cell`, and whole numbers, for ideal devices.
        """
        return 2 * self._cells() - self.largest_cell, self.device_step / 2

    @property
    def largest_cell(self) -> int:
        """Largest difference of an ideal device to its reference, in half steps."""
        return self._states - 1

    def _cells(self) -> NDArray[np.float32]:
        """The conductances of the devices in use, m x n."""
        m, n = self._shape
        tiles = self._conductance.reshape(self._tile_rows, self._tile_columns, *self._tile_shape)
        cells = tiles.transpose(1, 3, 0, 2).reshape(
            self._tile_columns * self._tile_shape[1], self._tile_rows * self._tile_shape[0]
        )
        return cells[:m, :n]

    @property
    def _tile_shape(self) -> tuple[int, int]:
        return self._parameters.tile_rows, self._parameters.tile_columns

    def program(self, weights: ArrayLike) -> None:
        """Set the devices to the states nearest to `weights` (m x n), or to their bounds.

        Devices that are stuck stay where they are.

        Raises ValueError for another shape.
        """
        weights = np.asarray(weights, dtype=np.float64)
        if weights.shape != self._shape:
            raise ValueError(f"weights of shape {weights.shape} for a crossbar of {self._shape}")
        steps = np.rint((weights + self._weight_range) / self.device_step)
        self._conductance[:] = self._tiled(
            np.clip(steps, 0, self._states - 1).astype(np.float32), self._states // 2
        )
        if self._devices is not None:
            self._conductance[:] = self._devices.programmed(self._conductance)

    def _tiled(self, cells: NDArray[np.float32], rest: int) -> NDArray[np.float32]:
        """`cells` (m x n) in the shape of the conductances, `rest` where no weight is."""
        m, n = self._shape
        whole = np.full(
            (self._tile_columns * self._tile_shape[1], self._tile_rows * self._tile_shape[0]),
            rest,
            dtype=np.float32,
        )
        whole[:m, :n] = cells
        tiles = whole.reshape(
            self._tile_columns, self._tile_shape[1], self._tile_rows, self._tile_shape[0]
        )
        return tiles.transpose(2, 0, 3, 1).reshape(self._conductance.shape)

    def tile(self, tile_row: int, tile_column: int) -> CrossbarTile:
        """The tile that `tile_row` and `tile_column` of the drivers select."""
        index = tile_row * self._tile_columns + tile_column
        return CrossbarTile(self._conductance[index], self._states)

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
        `UpdatePulses.trains`, or
        of the hardware's pins, do to the tiles slot by slot.
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
        slots, clips, driven, coincidences, bounded = [], 0, 0, 0, 0
        for rank in pulses.ranks():
            slots.append(rank.slots)
            if rank.slots == 0:
                continue
            clips += rank.clips
            driven += rank.pulses
            coincidences += int(np.abs(rank.steps).sum(dtype=np.float64))
            bounded += self._pulse(rank.steps, np.random.default_rng([seed, len(slots)]))
        return UpdateReport(slots, clips, driven, coincidences, bounded)

    def step(self, steps: NDArray[np.float32], seed: int) -> int:
        """Move each cell by its number of `steps` (m x n), one cell at a time.

        `seed` draws the noise of the devices. Returns how many steps moved nothing, because the
        device was at its bound.
        """
        return self._pulse(self._tiled(steps, 0), np.random.default_rng([seed, 0]))

    def _pulse(self, steps: Steps, random: np.random.Generator) -> int:
        """Move the devices by the pulses of a rank; returns how many pulses moved nothing."""
        if self._devices is None:
            wanted = self._conductance + steps
            np.clip(wanted, 0, self._states - 1, out=self._conductance)
            return int(np.abs(wanted - self._conductance).sum(dtype=np.float64))
        moved = self._devices.pulsed(self._conductance, steps, random)
        still = np.abs(steps[moved == self._conductance]).sum(dtype=np.float64)
        self._conductance[:] = moved
        return int(still)

    def state(self) -> dict[str, NDArray[np.float32]]:
        """The conductances as named arrays, for a checkpoint."""
        return {"conductance": self._conductance.copy()}

    def restore(self, arrays: dict[str, NDArray[np.float32]]) -> None:
        """Continue from arrays that `state` returned."""
        self._conductance[:] = arrays["conductance"]
