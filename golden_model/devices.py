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
from dataclasses import dataclass, fields, replace
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

    def sizes(
        self, conductance: Conductance, cells: Cells
    ) -> tuple[float | Conductance, float | Conductance]:
        """How far a pulse up and a pulse down move devices at `conductance`, bounds aside."""
        ...


@dataclass(frozen=True)
class ConstantStep:
    """Every pulse moves the device by the same step until it meets a bound."""

    def pulsed(self, conductance: Conductance, steps: Conductance, cells: Cells) -> Conductance:
        """See `Law`."""
        moved = conductance + np.where(steps > 0, cells.up, cells.down) * steps
        return np.clip(moved, cells.low, cells.high).astype(np.float32)

    def sizes(
        self, conductance: Conductance, cells: Cells
    ) -> tuple[float | Conductance, float | Conductance]:
        """See `Law`."""
        return cells.up, cells.down


@dataclass(frozen=True)
class LinearStep:
    """The step falls linearly towards the bound that it moves to.

    With v from -1 at the lowest to 1 at the highest conductance a pulse moves it by
    up (1 - slope_up v), or down by down (1 + slope_down v). n pulses have a closed form, because
    each maps v linearly. A negative slope makes steps grow towards the bound instead: pulses down
    then retrace the curve of the pulses up.
    """

    slope_up: float = 0.5
    """Share of the middle's step that a pulse up has lost at the highest conductance, -1 to 1."""
    slope_down: float = 0.5
    """Share of the middle's step that a pulse down has lost at the lowest conductance, -1 to 1."""

    def __post_init__(self) -> None:
        check_range(self, -1.0, 1.0)

    def pulsed(self, conductance: Conductance, steps: Conductance, cells: Cells) -> Conductance:
        """See `Law`."""
        span = np.subtract(cells.high, cells.low)
        place = (conductance - cells.low) / span  # 0 to 1, u = (v + 1) / 2
        upward = _approach(place, steps, np.divide(cells.up, span), self.slope_up)
        downward = 1 - _approach(1 - place, -steps, np.divide(cells.down, span), self.slope_down)
        moved = np.where(steps > 0, upward, downward)
        result = np.where(steps == 0, conductance, moved * span + cells.low)
        return np.clip(result, cells.low, cells.high).astype(np.float32)

    def sizes(
        self, conductance: Conductance, cells: Cells
    ) -> tuple[float | Conductance, float | Conductance]:
        """See `Law`."""
        v = _relative(conductance, cells)
        return cells.up * (1 - self.slope_up * v), cells.down * (1 + self.slope_down * v)


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
        check_range(self, -100.0, 100.0)

    def pulsed(self, conductance: Conductance, steps: Conductance, cells: Cells) -> Conductance:
        """See `Law`. No closed form: as many rounds as the most pulses of a cell."""
        moved = conductance.astype(np.float64)
        upward, left = steps > 0, np.abs(steps)
        for pulse in range(int(left.max(initial=0))):
            rise, fall = self.sizes(moved, cells)
            moved += np.where(pulse < left, np.where(upward, rise, np.negative(fall)), 0)
            np.clip(moved, cells.low, cells.high, out=moved)
        return moved.astype(np.float32)

    def sizes(
        self, conductance: Conductance, cells: Cells
    ) -> tuple[float | Conductance, float | Conductance]:
        """See `Law`."""
        z = self.stretch * _relative(conductance, cells) + self.shift
        rise = cells.up * np.maximum(1 - self.scale_up * np.exp(self.rate_up * z), 0)
        fall = cells.down * np.maximum(1 - self.scale_down * np.exp(-self.rate_down * z), 0)
        return rise, fall


def _relative(conductance: Conductance, cells: Cells) -> Conductance:
    """Where `conductance` is in the range: -1 at the lowest, 1 at the highest."""
    middle, half = np.add(cells.high, cells.low) / 2, np.subtract(cells.high, cells.low) / 2
    relative: Conductance = (conductance - middle) / half
    return relative


def _approach(
    place: Conductance, steps: Conductance, step: float | Conductance, slope: float
) -> Conductance:
    """`place`, 0 to 1, after `steps` >= 0 steps of `step` (1 + slope - 2 slope place).

    Their distance from (1 + slope) / (2 slope) changes by a constant factor each: that is at or
    above 1 and they approach it, or for a negative slope at or below 0 and they leave it.
    """
    count = np.maximum(steps, 0)
    if slope == 0:
        return place + count * step
    goal = (1 + slope) / (2 * slope)
    factor = np.maximum(1 - 2 * slope * np.asarray(step, np.float64), 0)
    # A growing distance ends beyond the bounds, where the caller cuts: any large number will do.
    return goal - (goal - place) * np.minimum(factor**count, _FAR)


_FAR = 1e30
"""More than any ratio of two conductances."""


def check_range(
    owner: object, lowest: float, highest: float, **others: tuple[float, float]
) -> None:
    """Raise `DeviceError` unless all fields of dataclass `owner` are in their range.

    It is from `lowest` to `highest`, but for the fields that `others` name.
    """
    for field in fields(owner):  # type: ignore[arg-type]
        value = getattr(owner, field.name)
        low, high = others.get(field.name, (lowest, highest))
        if not (math.isfinite(value) and low <= value <= high):
            raise DeviceError(
                f"{type(owner).__name__}: {field.name} = {value} must be from {low:g} to {high:g}"
            )


def symmetry_point(law: Law, cells: Cells, shape: tuple[int, ...]) -> Conductance:
    """Where a pulse up and a pulse down are equally large, for each device of an array.

    Pulses of both polarities in turn lead a device there. That is a bound where one polarity's
    are the larger everywhere, and the middle where both are equal everywhere. Found by bisection,
    to less than a hundredth of a step.
    """
    low, high = (np.array(np.broadcast_to(b, shape), np.float32) for b in (cells.low, cells.high))
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        rise, fall = law.sizes(middle, cells)
        np.copyto(low, middle, where=np.greater_equal(rise, fall))
        np.copyto(high, middle, where=np.less_equal(rise, fall))
    return (low + high) / 2


BISECTIONS = 24
"""Halvings of a range: as many as float32 has bits."""


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
    low: float = 0.0
    """Standard deviation of a device's lowest conductance, as a share of the range."""
    high: float = 0.0
    """Standard deviation of a device's highest conductance, as a share of the range."""
    cycles: float = 0.0
    """Relative standard deviation of a step from pulse to pulse, up to `MAX_CYCLES`."""
    additive: float = 0.0
    """Standard deviation that every pulse adds whatever its step, as a share of the range."""
    write: float = 0.0
    """Standard deviation of what is read about what was written, as a share of the range, until
    the device is written again; the pulses move what was written."""
    stuck: float = 0.0
    """Share of the devices that never move, at random conductances."""

    def __post_init__(self) -> None:
        check_range(self, 0.0, 1.0, cycles=(0.0, MAX_CYCLES))

    def cells(self, states: int, asymmetry: float, shape: tuple[int, ...], seed: int) -> Cells:
        """Devices of `states` states and (up - down) / (up + down) = `asymmetry`.

        A step is at least a hundredth of the nominal one and a range at least a tenth. The same
        seed gives the same devices, and each spread its own, whichever others there are. What all
        devices have in common is one number.
        """
        top = float(states - 1)
        size, tilt, low, high = (
            scattered(mean, deviation, shape, [seed, index])
            for index, (mean, deviation) in enumerate(
                [(1.0, self.steps), (asymmetry, self.asymmetry), (0.0, self.low), (1.0, self.high)]
            )
        )
        up, down = (_least(size * (1 + sign * tilt), 0.01) for sign in (1, -1))
        return Cells(-_least(-low, -0.45) * top, _least(high, 0.55) * top, up, down)

    def stuck_at(self, states: int, shape: tuple[int, ...], seed: int) -> Conductance | None:
        """Where a device sticks that never moves, NaN for the others; None if all move."""
        if not self.stuck:
            return None
        random = np.random.default_rng([seed, _STUCK])
        place = random.random(shape, dtype=np.float32) * np.float32(states - 1)
        place[random.random(shape, dtype=np.float32) >= self.stuck] = np.nan
        return place


MAX_CYCLES = 10.0
"""Largest relative deviation of a step from pulse to pulse."""

_STUCK = 4
"""Which of a seed's streams draws the stuck devices; those before draw the spreads."""


def scattered(
    mean: float, deviation: float, shape: tuple[int, ...], seed: list[int]
) -> float | Conductance:
    """Normal numbers of `mean` and `deviation` for the devices of `shape`; without one, `mean`."""
    if not deviation:
        return mean
    drawn = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    drawn *= np.float32(deviation)
    drawn += np.float32(mean)
    return drawn


def _least(values: float | Conductance, least: float) -> float | Conductance:
    return np.maximum(values, np.float32(least)) if isinstance(values, np.ndarray) else max(
        values, least
    )  # fmt: skip


ROUNDINGS = ("none", "nearest", "stochastic")
"""What becomes of a conductance between two levels after a train of pulses: it stays, goes to the
nearer one, or to either, such that the mean stays."""


@dataclass
class Population:
    """The devices of an array, drawn once: a law, and what each device makes of it."""

    law: Law
    """How a pulse moves a device."""
    cells: Cells
    """What the devices are like."""
    top: float
    """The range, in steps."""
    stuck_at: Conductance | None = None
    """Where a device sticks that never moves, NaN for the others; None if all move."""
    cycles: float = 0.0
    """Relative standard deviation of a step from pulse to pulse."""
    additive: float = 0.0
    """Standard deviation that every pulse adds, in steps."""
    rounding: str = "none"
    """One of `ROUNDINGS`; levels are the whole steps."""

    @classmethod
    def draw(
        cls,
        law: Law,
        variation: Variation,
        asymmetry: float,
        states: int,
        shape: tuple[int, ...],
        seed: int,
        rounding: str = "none",
    ) -> Population:
        """Devices for an array of `shape`; see `Variation.cells`."""
        top = float(states - 1)
        return cls(
            law,
            variation.cells(states, asymmetry, shape, seed),
            top,
            variation.stuck_at(states, shape, seed),
            variation.cycles,
            variation.additive * top,
            rounding,
        )

    def part(self, tiles: slice) -> Population:
        """The devices of `tiles` of the array, without a copy."""
        cells = self.cells
        return replace(
            self,
            cells=Cells(*(_part(a, tiles) for a in (cells.low, cells.high, cells.up, cells.down))),
            stuck_at=None if self.stuck_at is None else self.stuck_at[tiles],
        )

    def programmed(self, conductance: Conductance) -> Conductance:
        """Where the devices end that are programmed to `conductance`, without error."""
        limited: Conductance = np.clip(conductance, self.cells.low, self.cells.high)
        return self.mobile(limited.astype(np.float32, copy=False))

    def mobile(self, conductance: Conductance) -> Conductance:
        """`conductance`, and that of the stuck devices in place of theirs."""
        if self.stuck_at is None:
            return conductance
        return np.where(np.isnan(self.stuck_at), conductance, self.stuck_at)

    def pulsed(
        self, conductance: Conductance, steps: Conductance, random: np.random.Generator
    ) -> Conductance:
        """The conductances after |`steps`| pulses each, every step with its own noise.

        The noise of n pulses is drawn at once: a move of n equal steps s has the standard
        deviation sqrt(n) s `cycles`, and unequal ones count as if each were their mean; `additive`
        gives sqrt(n) `additive`. Levels are taken after the train.
        """
        moved = self.law.pulsed(conductance, steps, self.cells)
        if self.cycles or self.additive:
            count = np.abs(steps)
            deviation = self.cycles * (moved - conductance) / np.sqrt(np.maximum(count, 1))
            if self.additive:
                deviation = np.hypot(deviation, self.additive * np.sqrt(count))
            deviation *= random.standard_normal(moved.shape, dtype=np.float32)
            moved = np.clip(moved + deviation, self.cells.low, self.cells.high)
        if self.rounding != "none":
            levels = self._levels(moved, random)
            moved = np.where(steps != 0, levels, moved)
        return self.mobile(moved.astype(np.float32, copy=False))

    def _levels(self, conductance: Conductance, random: np.random.Generator) -> Conductance:
        """Whole steps, within the bounds."""
        if self.rounding == "nearest":
            level = np.rint(conductance)
        else:
            level = np.floor(conductance + random.random(conductance.shape, dtype=np.float32))
        return np.clip(level, np.ceil(self.cells.low), np.floor(self.cells.high))


def _part(values: float | Conductance, tiles: slice) -> float | Conductance:
    return values[tiles] if isinstance(values, np.ndarray) else values
