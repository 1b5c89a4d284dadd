"""The cocotb benches: batches compared with the golden model, and a host that makes mistakes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge, SimTimeoutError, with_timeout
from cocotb.utils import get_sim_time
from cocotbext.axi import AxiResp

from golden_model.batch_trace import batch_trace, end_line, update_trace
from golden_model.cost import batch_steps
from golden_model.crossbar import Crossbar
from golden_model.fixed import BatchResult, FixedState, run_batch
from golden_model.half_select import Levels, downward, select_levels
from golden_model.parameters import Parameters
from golden_model.pulses import PHASES
from hdl.sequencer import Phase
from hdl.update import update_cycles
from sim.driver import AcceleratorDriver
from sim.job import Answer, Batch, BatchAnswer, Job, Update
from sim.packets import unpack_state
from sim.runner import load_job, save_answer
from sim.trace import Trace, Write, scalar_lines, slot_lines

PERIOD_NS = 10
PATIENCE = 50_000_000
"""Nanoseconds of simulated time after which a machine that does not answer hangs."""


@dataclass
class PinMonitor:
    """Records the driver pins of every slot that comes to its last cycle."""

    dut: Any
    slots: list[tuple[int, ...]] = field(default_factory=list)
    """Rank, tile row, tile column, and the four line vectors, for each slot."""
    levels: list[tuple[int, ...]] = field(default_factory=list)
    """Levels of rows and columns, and whether it is a downward slot, for each slot."""
    timing: list[tuple[int, int]] = field(default_factory=list)
    """Clock cycles for which each slot's pins held, and since the slot before."""

    def clear(self) -> None:
        """Forget the slots so far."""
        self.slots.clear()
        self.levels.clear()
        self.timing.clear()

    async def run(self) -> None:
        """Sleep while no slot is driven; otherwise look in the middle of each cycle."""
        dut = self.dut
        pins = (dut.rank, dut.tile_row, dut.tile_column, dut.rows_positive, dut.rows_negative,
                dut.columns_positive, dut.columns_negative,
                dut.rows_level, dut.columns_level, dut.slot_down)  # fmt: skip
        held, ended = 0, -1
        before: tuple[int, ...] = ()
        while True:
            if not int(dut.slot_valid.value):
                held = 0
                await RisingEdge(dut.slot_valid)
            await FallingEdge(dut.clk)
            if not int(dut.slot_valid.value):
                continue
            seen = tuple(int(pin.value) for pin in pins)
            held = held + 1 if seen == before else 1
            before = seen
            if int(dut.slot_last.value):
                now = int(get_sim_time("ns")) // PERIOD_NS
                self.slots.append(seen[:7])
                self.levels.append(seen[7:])
                self.timing.append((held, now - held - ended))
                held, ended, before = 0, now, ()


@dataclass
class ScalarMonitor:
    """Records what the scalar unit writes, at the accelerator's trace ports."""

    dut: Any
    columns: int
    """Ranks of a group."""
    writes: list[Write] = field(default_factory=list)

    async def run(self) -> None:
        """Look whenever something is written, which takes more cycles than one."""
        dut = self.dut
        while True:
            await RisingEdge(dut.trace_valid)
            await FallingEdge(dut.clk)
            if not int(dut.trace_valid.value):
                continue
            self.writes.append(
                Write(
                    int(dut.trace_program.value),
                    int(dut.trace_side.value),
                    self.columns * int(dut.trace_group.value) + int(dut.trace_column.value),
                    int(dut.trace_register.value),
                    bool(int(dut.trace_last.value)),
                    bool(int(dut.trace_stored.value)),
                    int(dut.trace_value.value),
                    int(get_sim_time("ns")) // PERIOD_NS,
                )
            )


def line_levels(vectors: Sequence[int], lines: int) -> np.ndarray:
    """Line vectors as a (slots x lines) array of zeros and ones."""
    octets = -(-lines // 8)
    data = b"".join(vector.to_bytes(octets, "little") for vector in vectors)
    bits = np.unpackbits(
        np.frombuffer(data, np.uint8).reshape(-1, octets), axis=1, bitorder="little"
    )
    return bits[:, :lines].astype(np.int8)


def pack_levels(levels: Levels) -> list[int]:
    """Levels of lines, slots x lines, as on the pins: two bits a line, line 0 lowest."""
    bits = np.stack((levels & 1, levels >> 1), axis=-1).reshape(len(levels), -1)
    packed = np.packbits(bits.astype(np.uint8), axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in packed]


def compare_update(
    parameters: Parameters,
    batch: Batch,
    update: Update,
    expected: BatchResult,
    monitor: PinMonitor,
    answer: BatchAnswer,
) -> None:
    """Compare the pins of an update slot by slot, and what they do to a crossbar."""
    slots = monitor.slots
    kappas, state = update.kappas(expected), expected.state
    origin = update.origin
    pulses = update.pulses(parameters, expected)
    driven, golden = (Crossbar(parameters, batch.m, batch.n, 1.0, update.states) for _ in range(2))
    weights = np.random.default_rng(update.seed).uniform(-1, 1, (batch.m, batch.n))
    for crossbar in (driven, golden):
        crossbar.program(weights)
    position = 0
    for train in pulses.trains():
        count = len(train.rows)
        seen = slots[position : position + count]
        position += count
        if len(seen) < count:
            break
        place = (train.rank, train.tile_row, train.tile_column)
        wrong = sum(slot[:3] != place for slot in seen)
        vectors = list(zip(*(slot[3:] for slot in seen), strict=True))
        pins = [
            line_levels(vector, lines)
            for vector, lines in zip(
                vectors,
                (parameters.tile_rows,) * 2 + (parameters.tile_columns,) * 2,
                strict=True,
            )
        ]
        wants = [train.rows > 0, train.rows < 0, train.columns > 0, train.columns < 0]
        for pin, want in zip(pins, wants, strict=True):
            wrong += int(np.count_nonzero((pin != want).any(axis=1)))
        down = downward(count // len(PHASES))
        levels = select_levels(train.rows, train.columns, down, update.levels)
        wrong += sum(
            level != want
            for level, want in zip(
                monitor.levels[position - count : position],
                zip(*(pack_levels(side) for side in levels), down, strict=True),
                strict=True,
            )
        )
        answer.values_compared += 6 * count
        if wrong:
            answer.mismatch(f"pulses of rank, tile row, tile column {place}", wrong)
        tile = driven.tile(train.tile_row - origin[0], train.tile_column - origin[1])
        for slot in zip(*pins, strict=True):
            tile.apply(*slot)
    answer.compare("number of slots", len(slots), position)
    wrong = sum(held != update.slot_length or idle < update.dead for held, idle in monitor.timing)
    answer.values_compared += 2 * len(slots)
    if wrong:
        answer.mismatch("length of a slot or dead time before it", wrong)
    report = golden.update(state.x, state.delta, kappas, **update.encoding)
    wrong = int(np.count_nonzero(driven.weights != golden.weights))
    answer.values_compared += driven.weights.size
    if wrong:
        answer.mismatch("conductances after the update", wrong)
    answer.slots, answer.pulses, answer.clips = len(slots), report.pulses, report.clips
    answer.update_cycles = update_cycles(
        parameters,
        batch.m,
        batch.n,
        report.slots,
        update.scrambled,
        update.slot_length + update.dead,
    )


class Bench:
    """A clocked, reset accelerator with its host; the array is ready and has no codes to send."""

    def __init__(self, dut: Any, job: Job) -> None:
        self.dut = dut
        self.parameters = job.parameters
        self.driver = AcceleratorDriver(dut, job.parameters)
        dut.array_ready.value = 1
        for pin in (dut.adc_valid, dut.adc_codes, dut.adc_saturated):
            pin.value = 0
        self.monitor = PinMonitor(dut)
        self.scalars: ScalarMonitor | None = None
        if job.trace:
            self.scalars = ScalarMonitor(dut, job.parameters.columns)
        self.trace = Trace()
        """All batches so far, if the job asks for it."""
        self.held: FixedState | None = None
        if job.stall:
            self.driver.stall(job.stall, job.seed)

    async def begin(self) -> None:
        """Start the clock, reset, and identify the accelerator."""
        Clock(self.dut.clk, PERIOD_NS, unit="ns").start()
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 4)
        self.dut.rst.value = 0
        await ClockCycles(self.dut.clk, 2)
        cocotb.start_soon(self.monitor.run())
        if self.scalars is not None:
            cocotb.start_soon(self.scalars.run())
        await self.driver.identify()

    async def run(self, batch: Batch) -> BatchAnswer:
        """Run `batch` and compare everything it answers with the golden model."""
        driver, parameters = self.driver, self.parameters
        answer = BatchAnswer.of(parameters, batch)
        self.monitor.clear()
        if self.scalars is not None:
            self.scalars.writes.clear()
        await driver.configure(batch)
        await driver.start()
        for packet in driver.packets(batch):
            driver.send(packet)
        packet = await with_timeout(driver.receive(), PATIENCE, "ns")

        state = batch.state or self.held
        assert state is not None, "the first batch must load a state"
        expected = run_batch(parameters, state, batch.blocks, batch.carry)
        self.held = expected.state
        words = unpack_state(parameters, packet, batch.n, batch.m, batch.k)
        for name, seen, want in zip(
            ("X", "Delta"), words, (expected.state.x, expected.state.delta), strict=True
        ):
            padded = np.zeros_like(seen)
            padded[: len(want)] = want
            answer.values_compared += seen.size
            wrong = np.argwhere(seen != padded)
            if len(wrong):
                row, rank = wrong[0]
                answer.mismatch(
                    f"{name}[{row}, {rank}] is {seen[row, rank]:.0f}, "
                    f"should be {padded[row, rank]:.0f}",
                    len(wrong),
                )
        for name, scalars in (("WEIGHT", expected.state.weight), ("SCALE", expected.scale)):
            for c, value in enumerate(await driver.scalars(name, batch.k)):
                answer.compare(f"{name}[{c}]", value, float(scalars[c]))
        answer.saturations = await driver.read("SATURATIONS")
        answer.compare("SATURATIONS", answer.saturations, expected.saturations)
        if self.scalars is not None:
            self.trace.add(self._traced(batch, state, expected, self.scalars, answer.saturations))
        answer.compare("ERROR", await driver.read("ERROR"), 0)
        answer.compare("STATUS.done", (await driver.fields("STATUS"))["done"], 1)
        updating = await driver.read("UPDATE_CYCLES")
        answer.cycles = await driver.read("CYCLES") - updating
        answer.multiply_cycles = await driver.read("MULTIPLY_CYCLES")
        steps = batch_steps(parameters, batch.m, batch.n, batch.k, batch.samples)
        answer.compare("MULTIPLY_CYCLES", answer.multiply_cycles, steps)
        phases = {
            phase.name: await driver.read("PHASE_CYCLES", phase.value)
            for phase in Phase.__members__.values()
        }
        answer.phase_cycles = {name: cycles for name, cycles in phases.items() if cycles}
        answer.compare("sum of PHASE_CYCLES", sum(phases.values()), answer.cycles + updating)
        if batch.update is not None:
            compare_update(parameters, batch, batch.update, expected, self.monitor, answer)
            answer.compare("UPDATE_CYCLES", updating, answer.update_cycles)
            answer.compare("CLIPS", await driver.read("CLIPS"), answer.clips)
            answer.compare("PULSES", await driver.read("PULSES"), answer.pulses)
        else:
            answer.compare("slots without an update", len(self.monitor.slots), 0)
        return answer

    async def idle(self) -> None:
        """Wait until no run is under way."""
        for _ in range(10_000):
            if not (await self.driver.fields("STATUS"))["busy"]:
                return
        raise SimTimeoutError("the accelerator did not return to idle")

    async def settle(self, mistake: str) -> dict[str, int]:
        """The bits of ERROR that are set after `mistake`, when the machine is idle and its lines
        are; clears them and the streams."""
        driver, dut = self.driver, self.dut
        await self.idle()
        errors = await driver.fields("ERROR")
        for _ in range(10_000):
            if driver.source.empty() and not driver.source.active:
                break
            await ClockCycles(dut.clk, 10)
        else:
            raise SimTimeoutError(f"the accelerator does not take what is left after {mistake}")
        assert not any(
            int(pin.value)
            for pin in (
                dut.rows_positive, dut.rows_negative, dut.columns_positive, dut.columns_negative
            )
        ), f"lines are driven after {mistake}"  # fmt: skip
        await driver.write("ERROR", sum(field.mask for field in driver.map["ERROR"].fields))
        while not driver.sink.empty():
            driver.sink.recv_nowait()
        return {name: value for name, value in errors.items() if value}

    async def recover(self, batch: Batch, mistake: str) -> dict[str, int]:
        """What `settle` returns; then runs `batch`, which must be bit-exact."""
        errors = await self.settle(mistake)
        answer = await self.run(batch)
        assert answer.mismatches == 0, f"after {mistake}: {answer.first_mismatches}"
        return errors

    def _traced(
        self,
        batch: Batch,
        state: FixedState,
        expected: BatchResult,
        scalars: ScalarMonitor,
        saturations: int,
    ) -> Trace:
        """The trace of `batch`, which began with `state`, from both sides."""
        parameters, name, update = self.parameters, batch.name, batch.update
        trace = Trace()
        for line, cycle in scalar_lines(name, scalars.writes, kappa=update is not None):
            trace.rtl.append(line)
            trace.cycles.append(cycle)
        slots = [*slot_lines(name, self.monitor.slots), end_line(name, saturations)]
        trace.rtl += slots
        trace.cycles += [None] * len(slots)
        rate = None if update is None else update.rate
        trace.golden += batch_trace(parameters, name, state, batch.blocks, batch.carry, rate)
        if update is not None:
            trace.golden += update_trace(name, update.pulses(parameters, expected))
        trace.golden.append(end_line(name, expected.saturations))
        return trace


@cocotb.test()
async def batches(dut: Any) -> None:
    """Run all batches of the job; answer with an `Answer`."""
    job: Job = load_job()
    bench = Bench(dut, job)
    began = time.perf_counter()
    await bench.begin()
    answers = [await bench.run(batch) for batch in job.batches]
    cycles = int(get_sim_time("ns") / PERIOD_NS)
    save_answer(Answer(answers, cycles, time.perf_counter() - began, bench.trace))


@cocotb.test()
async def mistakes(dut: Any) -> None:
    """Make every mistake a host can; after each, the job's first batch must still be bit-exact.

    Answers with {mistake: what the host saw}.
    """
    job: Job = load_job()
    bench = Bench(dut, job)
    driver, batch = bench.driver, job.batches[0]
    random = np.random.default_rng(job.seed)
    seen: dict[str, dict[str, int]] = {}
    await bench.begin()

    async def recover(mistake: str) -> None:
        seen[mistake] = await bench.recover(batch, mistake)

    row = bench.parameters.stream_bytes
    packets = driver.packets(batch)
    for index, packet in enumerate(packets):
        for name, wrong in (("short", packet[:-row]), ("long", packet + bytes(row))):
            await driver.configure(batch)
            await driver.start()
            for good in packets[:index]:
                driver.send(good)
            driver.send(wrong)
            await recover(f"packet {index} too {name}")

    for name, value in (
        ("M", job.parameters.max_m + 1), ("N", job.parameters.max_n + 1), ("M", 0),
        ("K", job.parameters.max_rank + 1), ("BLOCK", job.parameters.max_block + 1), ("LAST", 0),
        ("TILE", job.parameters.grid_rows), ("TILE", job.parameters.grid_columns << 16),
    ):  # fmt: skip
        await driver.configure(batch)
        await driver.write(name, value)
        await driver.start()
        await recover(f"{name} = {value}")

    address = driver.map.address("ID")
    response = await driver.write_word(address, 1)
    assert response == AxiResp.SLVERR, f"writing ID was answered {response}"
    await recover("write to a read-only register")

    await driver.configure(batch)
    await driver.start()
    assert await driver.write_word(driver.map.address("M"), 1) == AxiResp.SLVERR
    assert await driver.write_word(driver.map.address("CONTROL"), 1) == AxiResp.OKAY
    await driver.abort()
    await recover("settings and start while busy, then abort")

    async def abort_a_run(moment: str, delay: int, *, in_update: bool) -> None:
        await driver.configure(batch)
        await driver.start()
        for packet in packets:
            driver.send(packet)
        if in_update:
            await with_timeout(RisingEdge(dut.slot_valid), PATIENCE, "ns")
        await ClockCycles(dut.clk, delay + 1)
        await driver.abort()
        await FallingEdge(dut.clk)
        await FallingEdge(dut.clk)
        assert not int(dut.slot_valid.value), f"slots are driven after {moment}"
        await recover(moment)

    for delay in random.integers(0, 4000, 6):
        await abort_a_run(f"abort after {delay} cycles", int(delay), in_update=False)
    for delay in random.integers(0, 60, 3):
        await abort_a_run(f"abort {delay} cycles into the pulses", int(delay), in_update=True)
    save_answer(seen)
