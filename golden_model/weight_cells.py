"""What a weight is made of: an ideal device, a device against a reference, or a pair of devices.

A crossbar hands each its pulses and reads it in steps. docs/devices.md says how the drivers' four
phases reach the two devices of a pair.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from golden_model.device_array import Counts, DeviceArray
from golden_model.devices import Conductance, DeviceError

Arrays = dict[str, NDArray[Any]]


class WeightCells(Protocol):
    """The cells of a crossbar's weights, (tiles x tile rows x tile columns)."""

    readings: int
    """How many readings apart the lowest and the highest weight are."""
    step: int
    """How many readings one coincidence is worth."""
    centred: bool
    """Whether reading 0 is weight 0, otherwise it is the lowest weight."""

    @property
    def writes(self) -> list[Counts]:
        """Pulses and refreshes that the cells have taken, an array for each device of a weight."""
        ...

    def read(self, tiles: slice) -> Conductance:
        """What `tiles` read as, in steps."""
        ...

    def pulse(self, tiles: slice, steps: Conductance, random: np.random.Generator) -> int:
        """Apply |`steps`| coincidences to each cell of `tiles`, up or down by their sign.

        Returns how many moved nothing. `steps` may be overwritten.
        """
        ...

    def program(self, tiles: slice, readings: Conductance, random: np.random.Generator) -> None:
        """Write `tiles` such that they read `readings`, whole numbers, as nearly as they can.

        A training begins there: it does not count as writes.
        """
        ...

    def end_update(self, parts: list[slice], random: np.random.Generator) -> None:
        """All ranks of an update are done; `parts` are the tiles, some at a time."""
        ...

    def state(self) -> Arrays:
        """Everything that changes, as named arrays, for a checkpoint."""
        ...

    def restore(self, arrays: Arrays) -> None:
        """Continue from arrays that `state` returned."""
        ...


class IdealCells:
    """Devices that count their pulses exactly, within their bounds."""

    step = 1
    centred = False

    def __init__(self, states: int, shape: tuple[int, ...]) -> None:
        """Devices of `states` states, all in the middle (the upper one of two)."""
        self.readings = states - 1
        self.conductance = np.full(shape, states // 2, dtype=np.float32)
        self._writes: Counts = np.zeros(shape, np.int32)

    @property
    def writes(self) -> list[Counts]:
        """See `WeightCells`."""
        return [self._writes]

    def read(self, tiles: slice) -> Conductance:
        """See `WeightCells`."""
        return self.conductance[tiles]

    def pulse(self, tiles: slice, steps: Conductance, random: np.random.Generator) -> int:
        """See `WeightCells`."""
        conductance, top = self.conductance[tiles], np.float32(self.readings)
        conductance += steps
        lost = 0
        if conductance.min() < 0 or conductance.max() > top:
            wanted = conductance.copy()
            np.clip(conductance, 0, top, out=conductance)
            wanted -= conductance
            lost = int(np.abs(wanted, out=wanted).sum(dtype=np.float64))
        self._writes[tiles] += np.abs(steps, out=steps).astype(np.int32)
        return lost

    def program(self, tiles: slice, readings: Conductance, random: np.random.Generator) -> None:
        """See `WeightCells`."""
        self.conductance[tiles] = np.clip(readings, 0, self.readings)

    def end_update(self, parts: list[slice], random: np.random.Generator) -> None:
        """See `WeightCells`."""

    def state(self) -> Arrays:
        """See `WeightCells`."""
        return {"conductance": self.conductance.copy(), "writes": self._writes.copy()}

    def restore(self, arrays: Arrays) -> None:
        """See `WeightCells`."""
        self.conductance[:] = arrays["conductance"]
        self._writes[:] = arrays["writes"]


class ReferencedCells:
    """A device a weight, against a reference that never changes."""

    step = 1

    def __init__(
        self, devices: DeviceArray, top: int, reference: Conductance | None = None
    ) -> None:
        """Weights of `devices` with a range of `top` steps.

        The reference is in the middle of the range, or of each device its own, `reference`.
        """
        self.readings = top
        self.centred = reference is not None
        self._devices = devices
        self._reference = reference

    @property
    def writes(self) -> list[Counts]:
        """See `WeightCells`."""
        return [self._devices.writes]

    def read(self, tiles: slice) -> Conductance:
        """See `WeightCells`."""
        conductance = self._devices.read(tiles)
        return conductance if self._reference is None else conductance - self._reference[tiles]

    def pulse(self, tiles: slice, steps: Conductance, random: np.random.Generator) -> int:
        """See `WeightCells`."""
        return self._devices.pulse(tiles, steps, random)

    def program(self, tiles: slice, readings: Conductance, random: np.random.Generator) -> None:
        """See `WeightCells`."""
        if self._reference is None:
            readings = np.clip(readings, 0, self.readings)
        else:
            readings = readings + self._reference[tiles]
        self._devices.program(tiles, readings, random)

    def end_update(self, parts: list[slice], random: np.random.Generator) -> None:
        """See `WeightCells`."""
        self._devices.pass_time()

    def state(self) -> Arrays:
        """See `WeightCells`."""
        return dict(self._devices.state())

    def restore(self, arrays: Arrays) -> None:
        """See `WeightCells`."""
        self._devices.restore(arrays)


@dataclass(frozen=True)
class Refresh:
    """When the devices of a pair are reset and their difference written anew.

    The criterion is that of aihwkit's OneSidedUnitCell, the thresholds its defaults. Raises
    `DeviceError` for a value out of range.
    """

    period: int | None = None
    """Updates from one refresh to the next; 0 for none, None for 1 with one-sided pairs, which
    cannot do without, and for none with others."""
    upper: float = 0.75
    """The larger conductance of the pair is above this share of the range, and"""
    lower: float = 0.25
    """the smaller one above this, so that a refresh gains something."""

    def __post_init__(self) -> None:
        whole = isinstance(self.period, int) and not isinstance(self.period, bool)
        if self.period is not None and not (whole and self.period >= 0):
            raise DeviceError(
                f"Refresh: period = {self.period!r} must be an integer of at least 0 updates"
            )
        if not 0 <= self.lower <= self.upper <= 1:
            raise DeviceError(
                f"Refresh: lower = {self.lower} and upper = {self.upper} must be from 0 to 1, "
                "lower not above upper"
            )


class PairedCells:
    """Two devices a weight, which is their difference, `plus` minus `minus`.

    Of a pair of devices that move both ways, a step up pulses `plus` up and `minus` down, a step
    down the reverse. One-sided pairs are only pulsed up: `plus` by steps up, `minus` by steps
    down.
    """

    centred = True

    def __init__(
        self, plus: DeviceArray, minus: DeviceArray, top: int, refresh: Refresh, *, one_sided: bool
    ) -> None:
        """Pairs of devices with a range of `top` steps each."""
        self.readings = 2 * top
        self.step = 1 if one_sided else 2
        self._plus, self._minus = plus, minus
        self._top = top
        self._refresh = refresh
        self._period = int(one_sided) if refresh.period is None else refresh.period
        self._one_sided = one_sided
        self._updates = 0

    @property
    def writes(self) -> list[Counts]:
        """See `WeightCells`."""
        return [self._plus.writes, self._minus.writes]

    def read(self, tiles: slice) -> Conductance:
        """See `WeightCells`."""
        return self._plus.read(tiles) - self._minus.read(tiles)

    def pulse(self, tiles: slice, steps: Conductance, random: np.random.Generator) -> int:
        """See `WeightCells`. Moved nothing: a pulse of one of the two devices."""
        if self._one_sided:
            ups, downs = np.maximum(steps, 0), np.maximum(-steps, 0)
        else:
            ups, downs = steps, -steps
        still = self._plus.pulse(tiles, ups, random)
        return still + self._minus.pulse(tiles, downs, random)

    def program(self, tiles: slice, readings: Conductance, random: np.random.Generator) -> None:
        """See `WeightCells`."""
        plus, minus = self._targets(readings)
        self._plus.program(tiles, plus, random)
        self._minus.program(tiles, minus, random)

    def _targets(self, readings: Conductance) -> tuple[Conductance, Conductance]:
        """Conductances that differ by `readings`: around the middle, or one of them the lowest."""
        limited = np.clip(readings, -self._top, self._top)
        if self._one_sided:
            return np.maximum(limited, 0), np.maximum(-limited, 0)
        plus = np.floor((self._top + limited) / 2)
        return plus, plus - limited

    def end_update(self, parts: list[slice], random: np.random.Generator) -> None:
        """See `WeightCells`. Refreshes the pairs that need it, as often as is stated."""
        self._plus.pass_time()
        self._minus.pass_time()
        self._updates += 1
        if self._period and self._updates % self._period == 0:
            for tiles in parts:
                self._renew(tiles, random)

    def _renew(self, tiles: slice, random: np.random.Generator) -> None:
        """Reset the pairs of `tiles` that are near their upper bound, and write them anew."""
        plus, minus = self._plus.read(tiles), self._minus.read(tiles)
        needed = np.maximum(plus, minus) > self._refresh.upper * self._top
        needed &= np.minimum(plus, minus) > self._refresh.lower * self._top
        if not needed.any():
            return
        targets = self._targets(plus - minus)
        self._plus.program(tiles, targets[0], random, reset=needed)
        self._minus.program(tiles, targets[1], random, reset=needed)

    def state(self) -> Arrays:
        """See `WeightCells`."""
        arrays: Arrays = {f"plus.{name}": array for name, array in self._plus.state().items()}
        arrays |= {f"minus.{name}": array for name, array in self._minus.state().items()}
        return arrays | {"updates": np.array(self._updates)}

    def restore(self, arrays: Arrays) -> None:
        """See `WeightCells`."""
        for name, devices in (("plus.", self._plus), ("minus.", self._minus)):
            devices.restore(
                {
                    key.removeprefix(name): array
                    for key, array in arrays.items()
                    if key.startswith(name)
                }
            )
        self._updates = int(arrays["updates"])
