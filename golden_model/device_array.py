"""The state of an array of devices: what was written, what is read, and how often it was written.

Arrays are (tiles x tile rows x tile columns); operations take some of the tiles, which bounds the
memory they take beside the state.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from golden_model.devices import Conductance, Population
from golden_model.drift import Drift

Counts = NDArray[np.int32]
"""Writes of each cell, up to 2**31 - 1."""

DRIFT_STREAM = 5
"""Which of a seed's streams draws the exponents of the drift (`Variation` takes those before)."""


class DeviceArray:
    """Devices that follow a law, forget by drift, and are read with what their write left over."""

    def __init__(
        self,
        population: Population,
        drift: Drift,
        start: float | Conductance,
        shape: tuple[int, ...],
        seed: int,
        write: float = 0.0,
    ) -> None:
        """Devices of `population`, programmed to `start` at update 0.

        `write` is the deviation of what is read from what was written, in steps. `seed` draws the
        exponents of the drift.
        """
        self._population = population
        self._drift = drift
        self._write = write
        self._exponents = drift.exponents(shape, [seed, DRIFT_STREAM]) if drift.active else 0.0
        self._update = 0
        self._conductance = np.array(np.broadcast_to(start, shape), np.float32)
        self._conductance[:] = population.programmed(self._conductance)
        self._written = np.zeros(shape, np.int32) if drift.active else None
        self._deviation = np.zeros(shape, np.float32) if write else None
        self.writes: Counts = np.zeros(shape, np.int32)
        """Pulses, resets and programming after them that each cell has taken."""

    @property
    def lowest(self) -> float | Conductance:
        """The lowest conductance of each device: where a reset leaves it."""
        return self._population.cells.low

    def read(self, tiles: slice) -> Conductance:
        """The conductances of `tiles`, as the array would compute with them."""
        present = self._present(tiles)
        if self._deviation is not None:
            present = present + self._deviation[tiles]
        return self._population.part(tiles).mobile(present)

    def _present(self, tiles: slice) -> Conductance:
        """What was written to `tiles`, as it has drifted."""
        conductance = self._conductance[tiles]
        if self._written is None:
            return conductance
        exponents = self._exponents
        return self._drift.retained(
            conductance,
            self._update - self._written[tiles],
            exponents[tiles] if isinstance(exponents, np.ndarray) else exponents,
            self._population.top,
        )

    def pulse(self, tiles: slice, steps: Conductance, random: np.random.Generator) -> int:
        """Apply |`steps`| pulses to each cell of `tiles`, up where positive, down where negative.

        Returns how many pulses moved nothing.
        """
        before = self._present(tiles)
        moved = self._population.part(tiles).pulsed(before, steps, random)
        pulses = np.abs(steps)
        self.writes[tiles] += pulses.astype(np.int32)
        still = int(pulses[moved == before].sum(dtype=np.float64))
        self._put(tiles, moved, steps != 0, random)
        return still

    def program(
        self,
        tiles: slice,
        target: Conductance,
        random: np.random.Generator,
        *,
        reset: NDArray[np.bool_] | None = None,
    ) -> None:
        """Write `target` to the cells of `tiles`, without error within their bounds.

        Without `reset` that is where a training begins, and does not count as writes. With it only
        the cells that are true are written: a reset to the lowest conductance, which counts as
        one, and as many more as nominal steps from there, rounded up.
        """
        population = self._population.part(tiles)
        written = population.programmed(target)
        if reset is None:
            self._put(tiles, written, np.ones(written.shape, bool), random)
            return
        counts = 1 + np.ceil(written - population.cells.low).astype(np.int32)
        self.writes[tiles] += np.where(reset, counts, 0)
        self._put(tiles, written, reset, random)

    def _put(
        self,
        tiles: slice,
        conductance: Conductance,
        chosen: NDArray[np.bool_],
        random: np.random.Generator,
    ) -> None:
        """Make `conductance` what was written to the `chosen` cells of `tiles`, now."""
        np.copyto(self._conductance[tiles], conductance, where=chosen)
        if self._written is not None:
            np.copyto(self._written[tiles], self._update, where=chosen)
        if self._deviation is not None:
            drawn = random.standard_normal(conductance.shape, dtype=np.float32)
            drawn *= np.float32(self._write)
            np.copyto(self._deviation[tiles], drawn, where=chosen)

    def pass_time(self) -> None:
        """An update has ended: time passes by the drift's interval."""
        self._update += 1

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Everything that changes, as named arrays, for a checkpoint."""
        arrays: dict[str, NDArray[np.generic]] = {
            "conductance": self._conductance.copy(),
            "writes": self.writes.copy(),
        }
        if self._written is not None:
            arrays |= {"written": self._written.copy(), "update": np.array(self._update)}
        if self._deviation is not None:
            arrays["deviation"] = self._deviation.copy()
        return arrays

    def restore(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        """Continue from arrays that `state` returned."""
        self._conductance[:] = arrays["conductance"]
        self.writes[:] = arrays["writes"]
        if self._written is not None:
            self._written[:] = arrays["written"]
            self._update = int(arrays["update"])
        if self._deviation is not None:
            self._deviation[:] = arrays["deviation"]
