"""The cocotb bench of reads: an array on the pins, and a host that reads through it."""

from __future__ import annotations

import time
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge, with_timeout
from cocotb.utils import get_sim_time

from golden_model.read_pins import PinReads
from hdl.reader import read_cycles
from hdl.sequencer import Phase
from sim.bench import PATIENCE, PERIOD_NS, Bench, line_levels
from sim.job import Job, ReadAnswer, ReadRun
from sim.packets import pack_rows, unpack_containers
from sim.runner import load_job, save_answer


class PinArray:
    """The crossbar on the read pins: integrates what is driven, and answers conversions.

    With `stall` it waits before each beat of codes, at random.
    """

    def __init__(self, dut: Any, job: Job) -> None:
        self.dut, self.parameters, self.stall = dut, job.parameters, job.stall
        self.random = np.random.default_rng(job.seed)
        self.reads: PinReads | None = None
        self.origin = (0, 0)
        self.answer = 3
        """Clock cycles from a conversion to its first codes, without pauses."""
        self.drives = 0
        """Conversions seen."""
        self.owed = 0
        """Beats of codes yet to send."""
        self.faults: list[str] = []
        """What no array may ever see."""

    async def run(self) -> None:
        """Sleep while no line is driven; otherwise look in the middle of each cycle."""
        dut, p = self.dut, self.parameters
        while True:
            if not int(dut.read_valid.value):
                await RisingEdge(dut.read_valid)
            await FallingEdge(dut.clk)
            if not int(dut.read_valid.value):
                continue
            assert self.reads is not None, "read before there is an array"
            rows, columns = (
                line_levels([int(pin.value) for pin in pins], lines)
                for pins, lines in (
                    ((dut.rows_positive, dut.rows_negative), p.tile_rows),
                    ((dut.columns_positive, dut.columns_negative), p.tile_columns),
                )
            )
            driven, idle = (columns, rows) if self.reads.transposed else (rows, columns)
            if idle.any() or driven.all(axis=0).any() or int(dut.slot_valid.value):
                self.faults.append(f"lines {rows.tolist()}, {columns.tolist()} in a read")
            self.reads.slot(driven[0] - driven[1])
            if int(dut.convert.value) and not int(dut.sensed.value) and driven.any():
                self.faults.append("lines driven to clear the integrators")
            if int(dut.convert.value):
                await self._answer(self.reads)

    async def _answer(self, reads: PinReads) -> None:
        dut, p = self.dut, self.parameters
        self.drives += 1
        sensed = int(dut.sensed.value)
        tiles = [
            int(pin.value) - first
            for pin, first in zip((dut.tile_row, dut.tile_column), self.origin, strict=True)
        ]
        driven_tile, sensed_tile = reversed(tiles) if reads.transposed else tiles
        codes, saturated = reads.convert(driven_tile, sensed_tile, sensed)
        if bool(int(dut.read_transposed.value)) != reads.transposed:
            self.faults.append("read_transposed is wrong")
        padding = -sensed % p.adcs  # what comes there must not count
        words = np.append(codes, self.random.integers(-2, 2, padding)) & ((1 << p.adc_bits) - 1)
        flags = np.append(saturated, np.ones(padding, np.bool_))
        self.owed = -(-sensed // p.adcs)
        if not sensed:
            return
        await ClockCycles(dut.clk, self.answer - 1)
        for first in range(0, sensed, p.adcs):
            await RisingEdge(dut.clk)
            while self.random.random() < self.stall:
                dut.adc_valid.value = 0
                await RisingEdge(dut.clk)
            beat = slice(first, first + p.adcs)
            dut.adc_valid.value = 1
            dut.adc_codes.value = sum(
                int(word) << p.adc_bits * lane for lane, word in enumerate(words[beat])
            )
            dut.adc_saturated.value = sum(
                int(flag) << lane for lane, flag in enumerate(flags[beat])
            )
            self.owed -= 1
            if int(dut.read_valid.value):
                self.faults.append("lines driven while codes are to come")
        await RisingEdge(dut.clk)
        dut.adc_valid.value = 0


class ReadBench(Bench):
    """A clocked, reset accelerator with its host and its array."""

    def __init__(self, dut: Any, job: Job) -> None:
        super().__init__(dut, job)
        self.array = PinArray(dut, job)
        self.stalled = job.stall > 0

    async def begin(self) -> None:
        """Start the clock, reset, and identify the accelerator; the array is there."""
        await super().begin()
        self.integrating = cocotb.start_soon(self.array.run())

    def restart_array(self) -> None:
        """Reset the array: it forgets the codes that it owes."""
        self.integrating.cancel()
        self.array.owed = 0
        self.dut.adc_valid.value = 0
        self.integrating = cocotb.start_soon(self.array.run())

    async def prepare(self, run: ReadRun) -> None:
        """Write the settings of `run`, and put its cells into the array."""
        await self.driver.configure_reads(run)
        self.array.reads = PinReads(
            self.parameters, run.reads, run.cells, run.largest, transposed=run.transposed
        )
        self.array.origin = run.origin

    def packets(self, run: ReadRun) -> list[bytes]:
        """The packets that `run` streams in."""
        return [pack_rows(self.parameters, [vector]) for vector in run.vectors]

    async def read(self, run: ReadRun) -> ReadAnswer:
        """Do `run`, whose settings were written, and compare all it answers."""
        driver, array, parameters = self.driver, self.array, self.parameters
        answer = ReadAnswer(name=run.name)
        drives, faults = array.drives, len(array.faults)
        waits = self.stalled or array.owed > 0  # the first drive, for codes of an aborted run
        self.monitor.slots.clear()
        await driver.start_reads()
        for packet in self.packets(run):
            driver.send(packet)
        assert array.reads is not None
        for number, expected in enumerate(array.reads.answers(run.vectors)):
            packet = await with_timeout(driver.receive(), PATIENCE, "ns")
            seen = unpack_containers(parameters, packet)
            want = expected.packet(parameters)
            answer.values_compared += want.size
            if seen.shape != want.shape:
                answer.mismatch(f"packet {number} has shape {seen.shape}, should have {want.shape}")
            elif (seen != want).any():
                answer.mismatch(f"packet {number}", int(np.count_nonzero(seen != want)))
            answer.adc_saturations += expected.adc
            answer.sum_saturations += expected.saturated
        answer.drives = array.drives - drives
        answer.cycles = await driver.read("CYCLES")
        phases = [
            await driver.read("PHASE_CYCLES", phase.value) for phase in Phase.__members__.values()
        ]
        answer.compare("sum of PHASE_CYCLES", sum(phases), answer.cycles)
        if not waits:
            cycles = read_cycles(
                parameters, run.reads, run.m, run.n, transposed=run.transposed,
                vectors=len(run.vectors), answer=array.answer,
            )  # fmt: skip
            answer.compare("CYCLES", answer.cycles, cycles)
        for name, count in (
            ("ADC_SATURATIONS", answer.adc_saturations),
            ("SUM_SATURATIONS", answer.sum_saturations),
            ("ERROR", 0),
        ):
            answer.compare(name, await driver.read(name), count)
        answer.compare("STATUS.done", (await driver.fields("STATUS"))["done"], 1)
        answer.compare("faults at the pins", array.faults[faults:], [])
        answer.compare("slots of updates", len(self.monitor.slots), 0)
        return answer


@cocotb.test()
async def reads(dut: Any) -> None:
    """Do the job's runs of reads, each before a batch, if there is one; answer with the answers."""
    job: Job = load_job()
    bench = ReadBench(dut, job)
    began = time.perf_counter()
    await bench.begin()
    answers = []
    for place, run in enumerate(job.reads):
        await bench.prepare(run)
        answers.append(await bench.read(run))
        for batch in job.batches[place : place + 1]:
            await bench.driver.write("TILE", 0)
            compared = await bench.run(batch)
            answers[-1].values_compared += compared.values_compared
            for text in compared.first_mismatches:
                answers[-1].mismatch(text)
    seconds = time.perf_counter() - began
    save_answer((answers, int(get_sim_time("ns") / PERIOD_NS), seconds))


@cocotb.test()
async def mistakes(dut: Any) -> None:
    """Mistakes of a host that reads; after each, the job's first run must still be bit-exact.

    Answers with {mistake: what the host saw}.
    """
    job: Job = load_job()
    bench = ReadBench(dut, job)
    driver, array, run = bench.driver, bench.array, job.reads[0]
    random = np.random.default_rng(job.seed)
    seen: dict[str, dict[str, int]] = {}
    await bench.begin()

    async def recover(mistake: str) -> None:
        seen[mistake] = await bench.settle(mistake)
        await driver.configure_reads(run)  # the array stays as it is, integrators and all
        answer = await bench.read(run)
        assert answer.mismatches == 0, f"after {mistake}: {answer.first_mismatches}"

    await bench.prepare(run)
    packets = bench.packets(run)
    row = bench.parameters.stream_bytes
    for index, packet in enumerate(packets):
        for name, wrong in (("short", packet[:-row]), ("long", packet + bytes(row))):
            await driver.start_reads()
            for good in packets[:index]:
                driver.send(good)
            driver.send(wrong)
            await recover(f"packet {index} too {name}")

    encode = driver.map["READ"].encode
    for name, value in (
        ("M", bench.parameters.max_m + 1), ("N", 0), ("VECTORS", 0),
        ("READ", encode(dac_bits=1, sum_bits=24)), ("READ", encode(dac_bits=8, sum_bits=33)),
        ("READ", encode(dac_bits=bench.parameters.width + 1, sum_bits=24)),
        ("TILE", driver.map["TILE"].encode(row=bench.parameters.grid_rows)),
    ):  # fmt: skip
        await driver.write(name, value)
        await driver.start_reads()
        await recover(f"{name} = {value:#x}")

    await driver.start_reads()
    await driver.start()
    await driver.start_reads()
    for packet in packets:
        driver.send(packet)
    while not driver.sink.count():
        await ClockCycles(dut.clk, 10)
    await recover("starts while busy")

    dut.adc_valid.value = 1
    await ClockCycles(dut.clk, 2)
    dut.adc_valid.value = 0
    await recover("codes without a conversion")

    array.answer = 40  # so that an abort comes before codes
    cycles = read_cycles(
        bench.parameters, run.reads, run.m, run.n, transposed=run.transposed,
        vectors=len(run.vectors), answer=array.answer,
    )  # fmt: skip
    for number in range(12):
        await driver.start_reads()
        for packet in packets:
            driver.send(packet)
        await ClockCycles(
            dut.clk, int(random.integers(1, cycles if number % 3 == 2 else cycles // 2))
        )
        if number % 3 == 0:
            await with_timeout(RisingEdge(dut.read_valid), PATIENCE, "ns")
        elif number % 3 == 1:
            await with_timeout(RisingEdge(dut.convert), PATIENCE, "ns")
        await driver.abort()
        await FallingEdge(dut.clk)
        await FallingEdge(dut.clk)
        assert not int(dut.read_valid.value), "lines are driven after an abort"
        owed = array.owed
        await recover(f"abort {number}, {owed} beats owed" if owed else f"abort {number}")
    assert not array.faults, array.faults[:3]
    save_answer(seen)
