"""An accelerator with its digital twin, in simulation or on a board, on which training runs.

`Harness` is what all of them offer: `sim.native`, a C++ model without Python in its cycles;
`sim.served`, cocotb on any simulator; and `sim.board`, the hardware itself. `HardwareMachine` is
`golden_model.machine.Machine` on any.
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
    """A `hdl.system.System`, clocked and reset, as its host sees it.

    Raises `SimulatorError` if the simulation hangs or ends, or a register refuses a word; of a
    board `BoardError` or `LinkError`, of writes and polls perhaps with a later call.
    """

    def write(self, address: int, word: int) -> None:
        """Write a register."""
        ...

    def read(self, addresses: Sequence[int]) -> list[int]:
        """Read registers, one after another."""
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
        """The words of cells by number, when the twin has applied all pulses.

        In the lowest bits are the conductances.
        """
        ...

    @property
    def faults(self) -> list[str]:
        """Faults that the twin has seen since reset."""
        ...

    @property
    def cycles(self) -> int:
        """Clock cycles so far."""
        ...

    @property
    def coincidences(self) -> int:
        """Coincidences of a row pulse and a column pulse on the lines so far."""
        ...

    def counters(self) -> dict[str, int]:
        """What else it has counted since the last call, by name."""
        ...

    def close(self) -> None:
        """End the simulation, whose waveforms are then complete, or leave the board alone."""
        ...


def check_written(address: int, response: int) -> None:
    """Raise `SimulatorError` unless AXI's `response` to a write says that it was done."""
    if response:
        raise SimulatorError(f"register {address:#x} did not take a word: response {response}")


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


class HardwareMachine:
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

        Its twin is that of `spec`, with no fewer tiles. Raises `SimulatorError` if it has other
        parameters.
        """
        self._parameters = parameters
        self._plans = plans
        self._placement = placement
        self._spec = spec
        self.harness = harness
        """What the machine is behind."""
        self._map = RegisterMap.of(parameters)
        self._held: int | None = None
        self._one_at_a_time = Lock()
        self._run_cycles, self._update_cycles, self._read_cycles = 0, 0, 0
        self._cycles, self._coincidences, self._seconds = 0, 0, 0.0
        wanted = parameters.as_dict()
        has = self._read(*((name.upper(), 0) for name in wanted))
        for (name, value), word in zip(wanted.items(), has, strict=True):
            if word != value:
                raise SimulatorError(
                    f"the machine has {name} = {word}, not {value}: take its parameters (--set "
                    f"{name}={word}), or build it anew"
                )

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
            scalars = [(name, rank) for name in ("WEIGHT", "SCALE") for rank in range(plan.rank)]
            saturations, *words = self._end(plan.name, ("SATURATIONS", 0), *scalars)
            x, delta = unpack_state(parameters, packet, plan.n, plan.m, plan.rank)
            weight, scale = np.array([scalar.decode(word) for word in words]).reshape(2, -1)
            result = BatchResult(
                FixedState(x[: plan.n], delta[: plan.m], weight), scale, saturations
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
            self._begin(batch, store=False)
            names = ("UPDATE_CYCLES", "PULSES", "CLIPS")
            cycles, fired, clips = self._end(plan.name, *((name, 0) for name in names))
            coincidences = self.harness.coincidences
            counters = UpdateCounters(
                pulses=fired, clips=clips, coincidences=coincidences - self._coincidences
            )
            self._update_cycles, self._coincidences = self._update_cycles + cycles, coincidences
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
        cycles, *counts = self._end(
            plan.name, ("CYCLES", 0), ("ADC_SATURATIONS", 0), ("SUM_SATURATIONS", 0)
        )
        self._read_cycles += cycles
        beats_of = unpack_containers(parameters, answers).reshape(len(codes), beats, -1)
        vectors = [VectorSums.of_packet(parameters, packet, sensed) for packet in beats_of]
        return (
            np.stack([vector.sums for vector in vectors]),
            (counts[0], counts[1]),
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
        """See `Machine`: clock cycles, those of runs, updates and reads, and seconds.

        Cycles of runs include those of updates and reads.
        """
        cycles = self.harness.cycles
        counted = {
            "cycles": cycles - self._cycles,
            "run_cycles": self._run_cycles,
            "update_cycles": self._update_cycles,
            "read_cycles": self._read_cycles,
            "seconds": self._seconds,
            **self.harness.counters(),
        }
        self._cycles, self._seconds = cycles, 0.0
        self._run_cycles, self._update_cycles, self._read_cycles = 0, 0, 0
        return counted

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
        tile = tile_row * self._spec.grid_columns + tile_column
        line = tile * p.tile_rows + inputs % p.tile_rows
        return (line * p.tile_columns + outputs % p.tile_columns).astype(np.uint32)

    def _begin(self, batch: Batch, *, store: bool) -> None:
        """Start a run of `batch`."""
        self._held = None
        for name, word, index in batch_settings(self._map, batch, store=store):
            self._write(name, word, index)
        self._write("CONTROL", self._map["CONTROL"].encode(start=1))

    def _end(self, name: str, *registers: tuple[str, int]) -> list[int]:
        """Wait until the run of layer `name` is done; words of `registers`, by name and index.

        Raises `SimulatorError` if it failed.
        """
        status = self._map["STATUS"]
        busy = next(field.mask for field in status.fields if field.name == "busy")
        self.harness.poll(self._map.address("STATUS"), busy, 0)
        error, state, cycles, *words = self._read(
            ("ERROR", 0), ("STATUS", 0), ("CYCLES", 0), *registers
        )
        wrong = [each for each, is_set in self._map["ERROR"].decode(error).items() if is_set]
        if wrong or not status.decode(state)["done"]:
            raise SimulatorError(
                f"layer {name}: the run was not done; ERROR: {', '.join(wrong) or 'none'}"
            )
        self._run_cycles += cycles
        return words

    def _read(self, *registers: tuple[str, int]) -> list[int]:
        """Words of `registers`, by name and index."""
        return self.harness.read([self._map.address(*register) for register in registers])

    def _write(self, name: str, word: int, index: int = 0) -> None:
        self.harness.write(self._map.address(name, index), word)
