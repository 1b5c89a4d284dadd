"""Update laws: how far the conductance of a device moves when it is pulsed.

Conductances are in steps: from 0 to `states` - 1, a step being what one pulse moves an ideal device
in the middle of its range. A law gives the move of a single pulse as a function of the conductance;
`Law.pulsed` gives that of n pulses of one polarity, exactly as if they had come one by one.

The laws are those that simulators of analog training use, aihwkit's devices of the same names
(Rasch et al. 2021, arXiv:2104.02184) and NeuroSim's exponential one (Chen, Peng and Yu 2018, IEEE
TCAD 37, 3067; its curve is `SoftBounds` with bounds of its own for each direction).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Conductance = NDArray[np.floating]


class DeviceError(ValueError):
    """A device's parameter is outside its range."""


@dataclass(frozen=True)
class Cells:
    """What the cells of an array are like: numbers for all of them, or arrays of their shape."""

    low: float | Conductance
    """Lowest conductance."""
    high: float | Conductance
    """Highest conductance."""
    up: float | Conductance
    """Step of a pulse up in the middle of the range."""
    down: float | Conductance
    """Step of a pulse down in the middle of the range."""


class Law(Protocol):
    """How one pulse moves a conductance, and how many do."""

    def pulsed(self, conductance: Conductance, steps: Conductance, cells: Cells) -> Conductance:
        """The conductances after |`steps`| pulses each, up where positive and down where negative.

        Without noise; within the bounds of the cells.
        """
        ...


@dataclass(frozen=True)
class ConstantStep:
    """Every pulse moves the device by the same step until it meets a bound."""

    def pulsed(self, conductance: Conductance, steps: Conductance, cells: Cells) -> Conductance:
        """See `Law`."""
        moved = conductance + np.where(steps > 0, cells.up, cells.down) * steps
        return np.clip(moved, cells.low, cells.high).astype(np.float32)


@dataclass(frozen=True)
class LinearStep:
    """The step falls linearly towards the bound that it moves to.

    With v from -1 at the lowest to 1 at the highest conductance a pulse moves it by
    up (1 - slope_up v), or down by down (1 + slope_down v). n pulses have a closed form, because
    each maps v linearly.
    """

    slope_up: float = 0.5
    """Share of the middle's step that a pulse up has lost at the highest conductance, 0 to 1."""
    slope_down: float = 0.5
    """Share of the middle's step that a pulse down has lost at the lowest conductance, 0 to 1."""

    def __post_init__(self) -> None:
        _check_range(self, 0.0, 1.0)

    def pulsed(self, conductance: Conductance, steps: Conductance, cells: Cells) -> Conductance:
        """See `Law`."""
        span = np.subtract(cells.high, cells.low)
        place = (conductance - cells.low) / span  # 0 to 1, u = (v + 1) / 2
        upward = _approach(place, steps, np.divide(cells.up, span), self.slope_up)
        downward = 1 - _approach(1 - place, -steps, np.divide(cells.down, span), self.slope_down)
        moved = np.where(steps > 0, upward, downward)
        result = np.where(steps == 0, conductance, moved * span + cells.low)
        return np.clip(result, cells.low, cells.high).astype(np.float32)


@dataclass(frozen=True)
class SoftBounds(LinearStep):
    """The step vanishes at the bound that it moves to: `LinearStep` of slope 1.

    Conductance against pulses is an exponential approach to the bound, which is what
    filamentary RRAM shows (Fusi and Abbott 2007 for synapses; Frascaroli et al. 2018 for devices).
    """

    slope_up: float = 1.0
    slope_down: float = 1.0


@dataclass(frozen=True)
class ExponentialStep:
    """The step falls exponentially towards the bound, as measured in RRAM by Gong et al. 2018.

    With v from -1 to 1 over the range and z = stretch v + shift, a pulse up moves by
    up max(0, 1 - scale_up exp(rate_up z)), a pulse down by
    down max(0, 1 - scale_down exp(-rate_down z)) (Nature Communications 9, 2102; the defaults
    are those of aihwkit's ExpStepDevice, which fit its device).
    """

    scale_up: float = 0.00081
    """Loss of a pulse up at z = 0."""
    scale_down: float = 0.36833
    """Loss of a pulse down at z = 0."""
    rate_up: float = 12.44625
    """Growth of the loss with z, up."""
    rate_down: float = 12.78785
    """Growth of the loss with -z, down."""
    stretch: float = 0.244
    """How far z goes from the middle to a bound."""
    shift: float = 0.2425
    """z in the middle of the range."""

    def __post_init__(self) -> None:
        _check_range(self, 0.0, 100.0)

    def pulsed(self, conductance: Conductance, steps: Conductance, cells: Cells) -> Conductance:
        """See `Law`. No closed form: as many rounds as the most pulses of a cell."""
        middle = np.add(cells.high, cells.low) / 2
        half = np.subtract(cells.high, cells.low) / 2
        moved = conductance.astype(np.float64)
        upward, left = steps > 0, np.abs(steps)
        for pulse in range(int(left.max(initial=0))):
            z = self.stretch * (moved - middle) / half + self.shift
            rise = np.multiply(cells.up, 1 - self.scale_up * np.exp(self.rate_up * z))
            fall = np.multiply(cells.down, 1 - self.scale_down * np.exp(-self.rate_down * z))
            step = np.where(upward, np.maximum(rise, 0), -np.maximum(fall, 0))
            moved += np.where(pulse < left, step, 0)
            np.clip(moved, cells.low, cells.high, out=moved)
        return moved.astype(np.float32)


def _approach(
    place: Conductance, steps: Conductance, step: float | Conductance, slope: float
) -> Conductance:
    """`place`, 0 to 1, after `steps` >= 0 steps of `step` (1 + slope - 2 slope place).

    They approach (1 + slope) / (2 slope), at or above 1, by a constant factor each.
    """
    count = np.maximum(steps, 0)
    if slope == 0:
        return place + count * step
    goal = (1 + slope) / (2 * slope)
    factor = np.maximum(1 - 2 * slope * np.asarray(step, np.float64), 0)
    return goal - (goal - place) * factor**count


def _check_range(law: object, low: float, high: float) -> None:
    for field in fields(law):  # type: ignore[arg-type]
        value = getattr(law, field.name)
        if not (math.isfinite(value) and low <= value <= high):
            raise DeviceError(
                f"{type(law).__name__}: {field.name} = {value} must be from {low:g} to {high:g}"
            )


LAWS: Mapping[str, Law] = {
    "constant-step": ConstantStep(),
    "linear-step": LinearStep(),
    "soft-bounds": SoftBounds(),
    "exponential-step": ExponentialStep(),
}
"""Laws by name, with the parameters that they have by default."""


@dataclass(frozen=True)
class Variation:
    """What differs from device to device, and from pulse to pulse."""

    steps: float = 0.0
    """Relative standard deviation of a device's step."""
    asymmetry: float = 0.0
    """Standard deviation of (up - down) / (up + down) of a device."""
    bounds: float = 0.0
    """Standard deviation of each bound of a device, as a share of the range."""
    cycles: float = 0.0
    """Relative standard deviation of a step from pulse to pulse."""
    stuck: float = 0.0
    """Share of the devices that never move, at random conductances."""

    def __post_init__(self) -> None:
        _check_range(self, 0.0, 1.0)

    def cells(
        self, states: int, asymmetry: float, shape: tuple[int, ...], seed: int
    ) -> tuple[Cells, Conductance]:
        """Devices of `states` states and (up - down) / (up + down) = `asymmetry`; where they stick.

        Where a device sticks is a conductance, NaN for those that move. A step is at least a
        hundredth of the nominal one and a range at least a tenth. The same seed gives the same
        devices.
        """
        random = np.random.default_rng(seed)
        normal = [random.standard_normal(shape, dtype=np.float32) for _ in range(4)]
        stuck = np.where(random.random(shape) < self.stuck, random.random(shape), np.nan)
        size = 1 + self.steps * normal[0]
        tilt = asymmetry + self.asymmetry * normal[1]
        top = states - 1
        low = np.minimum(self.bounds * normal[2], 0.45) * top
        high = np.maximum(1 + self.bounds * normal[3], 0.55) * top
        up, down = (np.maximum(size * (1 + sign * tilt), 0.01) for sign in (1, -1))
        cells = Cells(*(a.astype(np.float32) for a in (low, high, up, down)))
        return cells, (stuck * top).astype(np.float32)


@dataclass
class Population:
    """The devices of an array, drawn once: a law, and what each device makes of it."""

    law: Law
    """How a pulse moves a device."""
    cells: Cells
    """What the devices are like."""
    stuck_at: Conductance
    """Where a device sticks that never moves, NaN for the others."""
    cycles: float
    """Relative standard deviation of a step from pulse to pulse."""

    @classmethod
    def draw(
        cls,
        law: Law,
        variation: Variation,
        asymmetry: float,
        states: int,
        shape: tuple[int, ...],
        seed: int,
    ) -> Population:
        """Devices for an array of `shape`; see `Variation.cells`."""
        cells, stuck_at = variation.cells(states, asymmetry, shape, seed)
        return cls(law, cells, stuck_at, variation.cycles)

    def programmed(self, conductance: Conductance) -> Conductance:
        """Where the devices end that are programmed to `conductance`, without error."""
        return self._mobile(np.clip(conductance, self.cells.low, self.cells.high))

    def _mobile(self, conductance: Conductance) -> Conductance:
        """`conductance`, and that of the stuck devices in place of theirs."""
        return np.where(np.isnan(self.stuck_at), conductance, self.stuck_at)

    def pulsed(
        self, conductance: Conductance, steps: Conductance, random: np.random.Generator
    ) -> Conductance:
        """The conductances after |`steps`| pulses each, every step with its own noise.

        The noise of n pulses is drawn at once: a move of n equal steps s has the standard
        deviation sqrt(n) s `cycles`, and unequal ones count as if each were their mean.
        """
        moved = self.law.pulsed(conductance, steps, self.cells)
        if self.cycles:
            noise = random.standard_normal(moved.shape, dtype=np.float32)
            count = np.maximum(np.abs(steps), 1)
            moved = moved + self.cycles * (moved - conductance) / np.sqrt(count) * noise
            moved = np.clip(moved, self.cells.low, self.cells.high)
        return self._mobile(moved)
