"""Training on a machine: what it takes of an accelerator with its array, and a layer's part in it.

The machine computes, bit for bit, what `golden_model.fixed.FixedBatch` and `Crossbar.update` do: a
batch of a layer's samples becomes factors, and factors become pulses into the layer's cells. What
stands around them in training is the same code, so a run on a machine gives the results of
`arithmetic = fixed` on a pulsed array of ideal devices. `sim.machine` is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from golden_model.arrays import Device, PulsedArray, UpdateCounters
from golden_model.fixed import BatchResult, FixedState, Samples
from golden_model.layer_reads import TESTING, TRANSPOSED, LayerReads
from golden_model.layers import WeightLayer
from golden_model.optimizers import WordFactors
from golden_model.parameters import Parameters
from golden_model.reads import Reads, Saturations
from golden_model.sbpca import Array

Conductances = NDArray[np.int64]
"""States of a layer's ideal devices, m x n."""


@dataclass(frozen=True)
class Pulses:
    """How an update is pulsed: the accelerator's settings of the same names."""

    rate: float
    """RATE, a scalar: device steps, see `crossbar.update_rate`."""
    slots_min: int
    """Logarithm to base 2 of the fewest slots of a phase."""
    slots_max: int
    """Logarithm to base 2 of the most slots of a phase."""
    scrambled: bool
    """Scrambled low-discrepancy pulses, otherwise stochastic ones."""
    seed: int
    """SEED."""


class Machine(Protocol):
    """An accelerator and the array that holds the cells of a network's weight layers, by number."""

    def factorise(
        self,
        layer: int,
        state: FixedState,
        activations: Samples,
        errors: Samples,
        block: int,
        carry: float,
    ) -> BatchResult:
        """`fixed.BatchRunner` of `layer`."""
        ...

    def update(self, layer: int, pulses: Pulses) -> UpdateCounters:
        """Pulse the factors that `factorise` of this layer, the machine's last run, has left.

        Counts what hardware counts: pulses, clips and coincidences.
        """
        ...

    def read(
        self, layer: int, codes: Array, reads: Reads, shift: int, *, transposed: bool
    ) -> tuple[Array, Saturations, NDArray[np.bool_]]:
        """`ReadSpec.read` of `codes` (vectors x inputs) through the cells of `layer`.

        `transposed` reads leave out the last input, the bias. A code counts for 2**`shift`.
        """
        ...

    def program(self, layer: int, conductances: Conductances) -> None:
        """Set the cells of `layer`."""
        ...

    def conductances(self, layer: int) -> Conductances:
        """The cells of `layer`, when all pulses have been applied."""
        ...

    def counters(self) -> dict[str, Any]:
        """What the machine did since the last call, for the results of an epoch."""
        ...


class MachineReads(LayerReads):
    """The reads of a layer's array on a machine; those of testing the golden model computes."""

    def __init__(
        self,
        machine: Machine,
        number: int,
        reads: Reads,
        parameters: Parameters,
        largest_cell: int,
        seed: Sequence[int],
    ) -> None:
        """See `LayerReads`; the layer has `number` in the machine."""
        super().__init__(reads, parameters, largest_cell, seed)
        self._machine, self._number = machine, number

    def _sums(
        self, direction: int, codes: Array, random: np.random.Generator | None
    ) -> tuple[Array, Saturations, NDArray[np.bool_]]:
        if self._step[0] == TESTING:
            return super()._sums(direction, codes, random)
        spec = self._specs[direction]
        sums, saturations, saturated = self._machine.read(
            self._number, codes, spec.reads, spec.shift, transposed=direction == TRANSPOSED
        )
        return sums.astype(spec.dtype), saturations, saturated


class MachineArray(PulsedArray):
    """Weights in the cells of a machine; the crossbar beside them is a copy, which training reads.

    How often each cell was written the machine does not count.
    """

    def __init__(
        self,
        machine: Machine,
        number: int,
        parameters: Parameters,
        layer: WeightLayer,
        device: Device,
        seed: int = 0,
        *,
        reads: Reads | None = None,
    ) -> None:
        """Program the weights of `layer`, which has `number` in the machine, as `PulsedArray`."""
        self._machine, self._number = machine, number
        super().__init__(parameters, layer, device, seed, reads=reads)
        machine.program(number, self._crossbar.conductances)

    def _layer_reads(self, reads: Reads, parameters: Parameters, seed: Sequence[int]) -> LayerReads:
        largest = self._crossbar.largest_cell
        return MachineReads(self._machine, self._number, reads, parameters, largest, seed)

    def _pulse(self, gradient: WordFactors, rate: float, seed: int) -> UpdateCounters:
        counters = self._machine.update(
            self._number,
            Pulses(rate, self._slots_min, self._slots_max, self._scrambled, seed),
        )
        self._crossbar.load(self._machine.conductances(self._number))
        return counters

    def restore(self, arrays: dict[str, Array]) -> None:
        """See `WeightArray`."""
        super().restore(arrays)
        self._machine.program(self._number, self._crossbar.conductances)
