"""An accelerator with its digital twin in simulation, on which training runs.

`Harness` is what both simulations offer: `sim.native`, a C++ model without Python in its cycles,
and `sim.served`, cocotb on any simulator. `SimulatedMachine` is `golden_model.machine.Machine` on
either.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from golden_model import scalar
from golden_model.arrays import UpdateCounters
from golden_model.fixed import BatchResult, FixedState, Samples
from golden_model.machine import Conductances, Pulses
from golden_model.optimizers import LayerPlan
from golden_model.parameters import Parameters
from golden_model.read_pins import VectorSums
from golden_model.reads import Reads, Saturations
from golden_model.sbpca import Array, blocks
from golden_model.twin import TwinSpec
from hdl.reader import MAX_VECTORS
from hdl.registers import RegisterMap
from hdl.sum_sender import parts as parts_of_a_sum
from sim.job import Batch, Update
from sim.packets import (
    batch_packets,
    batch_settings,
    pack_rows,
    read_settings,
    unpack_containers,
    unpack_state,
)
from sim.tools import SimulatorError

Cells = NDArray[np.uint32]
"""Numbers of cells of the twin, or words of cells."""

PATIENCE = 1 << 26
"""Clock cycles without an answer after which a machine hangs: more than the update of the largest
layer takes on the slowest twin."""


class Harness(Protocol):
    """A simulated `hdl.system.System`, clocked and reset, as its host sees it.

    Raises `SimulatorError` if the simulation hangs or ends.
    """

    def write(self, address: int, word: int) -> int:
        """Write a register; AXI's response, 0 if it was taken."""
        ...

    def read(self, address: int) -> int:
        """Read a register."""
        ...

    def poll(self, address: int, mask: int, value: int) -> None:
        """Read a register until its bits `mask` are `value`."""
        ...

    def exchange(self, packets: Sequence[bytes], answers: int, length: int) -> bytes:
        """Send `packets` and meanwhile receive `answers` packets of `length` bytes; all of them."""
        ...

    def converters(self, resolution: int, shift: int) -> None:
        """Set up the twin's ADCs."""
        ...

    def program(self, cells: Cells, words: Cells) -> None:
        """Program cells by number, to conductances."""
        ...

    def cells(self, cells: Cells) -> Cells:
        """The words of cells by number, when the twin has applied all pulses."""
        ...

    @property
    def faults(self) -> list[str]:
        """Faults that the twin has seen since reset."""
        ...

    @property
    def cycles(self) -> int:
        """Clock cycles simulated."""
        ...

    @property
    def coincidences(self) -> int:
        """Coincidences of a row pulse and a column pulse on the lines so far."""
        ...

    def close(self) -> None:
        """End the simulation; its waveforms are then complete."""
        ...


@dataclass(frozen=True)
class Placement:
    """Where a network's layers lie in one grid of tiles."""

    origins: tuple[tuple[int, int], ...]
    """Row and column of the first tile of each layer."""
    grid: tuple[int, int]
    """Rows and columns of tiles."""

    @staticmethod
    def of(plans: Sequence[LayerPlan], parameters: Parameters) -> Placement:
        """Side by side in rows as wide as the widest layer.

        Raises `SimulatorError` for more tiles than the drivers of `parameters` address.
        """
        sizes = [
            (-(-plan.n // parameters.tile_rows), -(-plan.m // parameters.tile_columns))
            for plan in plans
        ]
        width = max(columns for _, columns in sizes)
        origins, row, column, height = [], 0, 0, 0
        for rows, columns in sizes:
            if column + columns > width:
                row, column, height = row + height, 0, 0
            origins.append((row, column))
            column, height = column + columns, max(height, rows)
        grid = (row + height, width)
        for name, needed in zip(("grid_rows", "grid_columns"), grid, strict=True):
            if needed > getattr(parameters, name):
                raise SimulatorError(
                    f"the network takes {grid[0]} x {grid[1]} tiles, more than {name} = "
                    f"{getattr(parameters, name)} of the drivers: raise {name} "
                    f"(--set {name}={needed}) or take larger tiles"
                )
        return Placement(tuple(origins), grid)


class SimulatedMachine:
    """See `golden_model.machine.Machine`. All layers share the accelerator, one after another."""

    def __init__(
        self,
        parameters: Parameters,
        plans: Sequence[LayerPlan],
        placement: Placement,
        spec: TwinSpec,
        harness: Harness,
    ) -> None:
        """The layers of `plans`, placed as `placement` says, on the machine in `harness`.

        Its twin is that of `spec`.
        """
        self._parameters = parameters
        self._plans = plans
        self._placement = placement
        self._spec = spec
        self.harness = harness
        """The simulation."""
        self._map = RegisterMap.of(parameters)
        self._held: int | None = None
        self._one_at_a_time = Lock()
        self._run_cycles, self._update_cycles, self._read_cycles = 0, 0, 0
        self._cycles, self._seconds = 0, 0.0
        for name, value in parameters.as_dict().items():
            if self._read(name.upper()) != value:
                raise SimulatorError(f"the machine has another {name} than {value}")

    def factorise(
        self,
        layer: int,
        state: FixedState,
        activations: Samples,
        errors: Samples,
        block: int,
        carry: float,
    ) -> BatchResult:
        """See `Machine`: the state goes in and comes back, as layers take turns."""
        plan, parameters = self._plans[layer], self._parameters
        word = parameters.word
        samples = [
            (
                word.words(activations.values[part], activations.exponent),
                word.words(errors.values[part], errors.exponent),
            )
            for part in blocks(len(errors.values), block)
        ]
        batch = Batch(plan.name, plan.m, plan.n, plan.rank, samples, state, carry)
        rows = parameters.rows(plan.n) + parameters.rows(plan.m)
        with self._at_work():
            self._begin(batch, store=True)
            packet = self.harness.exchange(
                batch_packets(parameters, batch), 1, plan.rank * rows * parameters.stream_bytes
            )
            self._end(plan.name)
            x, delta = unpack_state(parameters, packet, plan.n, plan.m, plan.rank)
            result = BatchResult(
                FixedState(x[: plan.n], delta[: plan.m], self._scalars("WEIGHT", plan.rank)),
                self._scalars("SCALE", plan.rank),
                self._read("SATURATIONS"),
            )
        self._held = layer
        return result

    def update(self, layer: int, pulses: Pulses) -> UpdateCounters:
        """See `Machine`. A run of no blocks, on the factors and weights that it finds."""
        if self._held != layer:
            raise ValueError(f"layer {layer} is not the one that the machine ran last")
        plan = self._plans[layer]
        update = Update(
            pulses.rate,
            pulses.slots_min,
            pulses.slots_max,
            pulses.scrambled,
            pulses.seed,
            origin=self._placement.origins[layer],
        )
        batch = Batch(plan.name, plan.m, plan.n, plan.rank, [], None, 1.0, update)
        with self._at_work():
            before = self.harness.coincidences
            self._begin(batch, store=False)
            self._end(plan.name)
            self._update_cycles += self._read("UPDATE_CYCLES")
            counters = UpdateCounters(
                pulses=self._read("PULSES"),
                clips=self._read("CLIPS"),
                coincidences=self.harness.coincidences - before,
            )
        return counters

    def read(
        self, layer: int, codes: Array, reads: Reads, shift: int, *, transposed: bool
    ) -> tuple[Array, Saturations, NDArray[np.bool_]]:
        """See `Machine`: a run for as many vectors as fit the register."""
        with self._at_work():
            parts = [
                self._read_vectors(
                    layer, codes[start : start + MAX_VECTORS], reads, shift, transposed
                )
                for start in range(0, len(codes), MAX_VECTORS)
            ]
        sums, counts, saturated = zip(*parts, strict=True)
        adc, partial = np.sum(counts, axis=0).tolist()
        return np.concatenate(sums), Saturations(adc, partial), np.concatenate(saturated)

    def _read_vectors(
        self, layer: int, codes: Array, reads: Reads, shift: int, transposed: bool
    ) -> tuple[Array, tuple[int, int], NDArray[np.bool_]]:
        plan, parameters = self._plans[layer], self._parameters
        sensed = plan.n - 1 if transposed else plan.m
        origin = self._placement.origins[layer]
        beats = parameters.rows(sensed) * parts_of_a_sum(parameters) + 1
        self._held = None
        self.harness.converters(reads.adc_bits, shift)
        n = sensed if transposed else plan.n
        settings = read_settings(
            self._map, plan.m, n, reads, len(codes), origin, transposed=transposed
        )
        for name, word in settings:
            self._write(name, word)
        self._write("CONTROL", self._map["CONTROL"].encode(read=1))
        packets = [pack_rows(parameters, [vector]) for vector in codes]
        answers = self.harness.exchange(packets, len(codes), beats * parameters.stream_bytes)
        self._end(plan.name)
        counts = self._read("ADC_SATURATIONS"), self._read("SUM_SATURATIONS")
        self._read_cycles += self._read("CYCLES")
        beats_of = unpack_containers(parameters, answers).reshape(len(codes), beats, -1)
        vectors = [VectorSums.of_packet(parameters, packet, sensed) for packet in beats_of]
        return (
            np.stack([vector.sums for vector in vectors]),
            counts,
            np.array([vector.adc > 0 for vector in vectors]),
        )

    def program(self, layer: int, conductances: Conductances) -> None:
        """See `Machine`."""
        with self._at_work():
            self.harness.program(self._cells(layer), conductances.astype(np.uint32))

    def conductances(self, layer: int) -> Conductances:
        """See `Machine`."""
        with self._at_work():
            words = self.harness.cells(self._cells(layer))
        if faults := self.harness.faults:
            raise SimulatorError(f"the twin reports: {', '.join(faults)}")
        mask = (1 << self._spec.conductance_bits) - 1
        return (words & np.uint32(mask)).astype(np.int64)

    def counters(self) -> dict[str, Any]:
        """See `Machine`: clock cycles simulated, those of runs, updates and reads, and seconds.

        Cycles of runs include those of updates and reads.
        """
        cycles = self.harness.cycles
        counted = {
            "simulated_cycles": cycles - self._cycles,
            "run_cycles": self._run_cycles,
            "update_cycles": self._update_cycles,
            "read_cycles": self._read_cycles,
            "seconds": self._seconds,
        }
        self._cycles, self._seconds = cycles, 0.0
        self._run_cycles, self._update_cycles, self._read_cycles = 0, 0, 0
        return counted

    def close(self) -> None:
        """End the simulation."""
        self.harness.close()

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """For one caller at a time, and timed."""
        with self._one_at_a_time:
            began = time.perf_counter()
            yield
            self._seconds += time.perf_counter() - began

    def _cells(self, layer: int) -> Cells:
        """The number in the twin of each weight's cell, m x n."""
        plan, p = self._plans[layer], self._parameters
        row, column = self._placement.origins[layer]
        inputs, outputs = np.arange(plan.n), np.arange(plan.m)[:, None]
        tile_row = row + inputs // p.tile_rows
        tile_column = column + outputs // p.tile_columns
        tile = tile_row * self._placement.grid[1] + tile_column
        line = tile * p.tile_rows + inputs % p.tile_rows
        return (line * p.tile_columns + outputs % p.tile_columns).astype(np.uint32)

    def _begin(self, batch: Batch, *, store: bool) -> None:
        """Start a run of `batch`."""
        self._held = None
        for name, word, index in batch_settings(self._map, batch, store=store):
            self._write(name, word, index)
        self._write("CONTROL", self._map["CONTROL"].encode(start=1))

    def _end(self, name: str) -> None:
        """Wait until the run of layer `name` is done; raises `SimulatorError` if it failed."""
        status = self._map["STATUS"]
        busy = next(field.mask for field in status.fields if field.name == "busy")
        self.harness.poll(self._map.address("STATUS"), busy, 0)
        errors = self._map["ERROR"].decode(self._read("ERROR"))
        wrong = [error for error, is_set in errors.items() if is_set]
        if wrong or not status.decode(self._read("STATUS"))["done"]:
            raise SimulatorError(
                f"layer {name}: the run was not done; ERROR: {', '.join(wrong) or 'none'}"
            )
        self._run_cycles += self._read("CYCLES")

    def _read(self, name: str, index: int = 0) -> int:
        return self.harness.read(self._map.address(name, index))

    def _write(self, name: str, word: int, index: int = 0) -> None:
        response = self.harness.write(self._map.address(name, index), word)
        if response:
            raise SimulatorError(f"writing {name} was answered with response {response}")

    def _scalars(self, name: str, count: int) -> NDArray[np.float64]:
        return np.array([scalar.decode(self._read(name, index)) for index in range(count)])
