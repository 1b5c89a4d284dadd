"""A cocotb bench that interrupts batches in every phase: by reset, abort and malformed packets."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge, with_timeout

from hdl.sequencer import Phase
from sim.bench import PATIENCE, Bench
from sim.job import Job
from sim.runner import load_job, save_answer

INTERRUPTIONS = ("reset", "abort", "short", "long")
"""What interrupts a run: the last two are packets with TLAST a beat too early, or missing."""

LATE = ("IDLE", "CHECK", "FINISH", "UPDATE", "STORE")
"""Phases in which no packet is taken: one that comes waits, and is the next run's first."""

NAMES = {phase.value: name for name, phase in Phase.__members__.items()}

ATTEMPTS = 40
"""Runs of an interruption and a phase, besides those wanted, after which they are given up."""


class Interrupter(Bench):
    """A bench that knows the phase of every cycle, and in which one a run was interrupted."""

    def __init__(self, dut: Any, job: Job) -> None:
        super().__init__(dut, job)
        self.batch = job.batches[0]
        self.random = np.random.default_rng(job.seed)
        self.phase = "IDLE"
        self.last = "IDLE"
        """The last phase but IDLE."""
        self.timeline: list[str] = []
        """Phases of the cycles of a run, from its start."""
        self.reference: list[str] = []
        """Those of a run that nothing interrupted: runs of one batch are alike."""

    async def watch(self) -> None:
        """Follow the phases; lines are idle in every cycle in which the machine is."""
        dut = self.dut
        lines = (dut.rows_positive, dut.rows_negative, dut.columns_positive, dut.columns_negative,
                 dut.rows_level, dut.columns_level, dut.slot_valid, dut.read_valid)  # fmt: skip
        while True:
            await FallingEdge(dut.clk)
            self.phase = NAMES[int(dut.status_phase.value)]
            if self.phase == "IDLE":
                assert not any(int(pin.value) for pin in lines), f"driven after {self.last}"
            else:
                self.last = self.phase
                self.timeline.append(self.phase)

    async def start_run(self) -> None:
        """Configure and start; the timeline begins anew."""
        await self.driver.configure(self.batch)
        self.timeline.clear()
        await self.driver.start()

    async def moment(self, phase: str, lead: int, cycles: int | None = None) -> None:
        """Wait for a random cycle of `phase`, of the first `cycles` of the reference timeline if
        they are given, less `lead` cycles."""
        seen = [cycle for cycle, name in enumerate(self.reference[:cycles]) if name == phase]
        target = int(self.random.choice(seen)) - lead
        while len(self.timeline) < target:
            await RisingEdge(self.dut.clk)

    async def meet(self, phase: str, lead: int) -> None:
        """Send the batch and wait for a random moment near `phase`; in WAIT, for blocks that do
        not come."""
        packets = self.driver.packets(self.batch)
        if phase != "WAIT":
            for packet in packets:
                self.driver.send(packet)
            await self.moment(phase, lead)
            return
        for packet in packets[: int(self.random.integers(1, len(packets)))]:
            self.driver.send(packet)
        sent, waited = False, int(self.random.integers(4, 20))
        while not sent or waited:
            await RisingEdge(self.dut.clk)
            sent = self.driver.source.empty() and not self.driver.source.active
            waited = waited - 1 if sent and self.phase == phase else waited

    async def hold_back(self, beats: int) -> None:
        """Pause the stream after `beats`, or one or two more."""
        dut, left = self.dut, beats
        while left > 0:
            await RisingEdge(dut.clk)
            left -= int(dut.s_axis_tvalid.value) & int(dut.s_axis_tready.value)
        self.driver.source.pause = True

    def malformed(self, kind: str, index: int) -> bytes:
        """Packet `index` of the batch, a beat too `kind`."""
        packet, row = self.driver.packets(self.batch)[index], self.parameters.stream_bytes
        return packet[:-row] if kind == "short" else packet + bytes(row)

    async def reset(self, phase: str) -> str:
        """Reset the machine and its host in `phase`; the phase in which it was."""
        if phase != "IDLE":
            await self.start_run()
            await self.meet(phase, 0)
        await FallingEdge(self.dut.clk)
        met = self.phase
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 2)
        self.dut.rst.value = 0
        self.driver.source.clear()
        self.driver.sink.clear()
        await ClockCycles(self.dut.clk, 2)
        return met

    async def abort(self, phase: str) -> str:
        """Abort a run near `phase`; the phase in which it was."""
        if phase == "IDLE":
            await self.driver.abort()
            return phase
        await self.driver.configure(self.batch)
        self.timeline.clear()
        if phase == "CHECK":  # one command right behind the other
            commands = [
                cocotb.start_soon(command) for command in (self.driver.start(), self.driver.abort())
            ]
            for command in commands:
                await command
        else:
            await self.driver.start()
            await self.meet(phase, int(self.random.integers(2, 8)))
            await self.driver.abort()
        await self.idle()
        return self.last if (await self.driver.fields("ERROR"))["aborted"] else "IDLE"

    async def malform(self, kind: str, phase: str) -> str:
        """Send a malformed packet whose end comes near `phase`; the phase in which it was told."""
        packets = self.driver.packets(self.batch)
        index = {"LOAD": 0, "PREPARE": 1, "WAIT": 1}.get(phase, 2)
        await self.start_run()
        sent = [*packets[:index], self.malformed(kind, index)]
        for packet in sent:
            self.driver.send(packet)
        await self.hold_back(sum(map(len, sent)) // self.parameters.stream_bytes - 4)
        if index < 2:
            while self.phase != phase:
                await RisingEdge(self.dut.clk)
            await ClockCycles(self.dut.clk, 1 + int(self.random.integers(20)))
        else:  # the run is that of the reference until it comes to need the packet
            weigh = self.reference.index("WEIGH")
            block = weigh + self.reference[weigh:].index("WAIT")
            await self.moment(phase, int(self.random.integers(1, 8)), block)
        self.driver.source.pause = False
        await self.idle()
        return self.last

    async def malform_the_next(self, kind: str, phase: str) -> str:
        """Send a malformed packet in `phase`, which takes none: the run then ends as it should,
        and the next one, whose first packet it is, does not."""
        wrong = self.malformed(kind, 0)
        if phase == "CHECK":  # or this run, which has yet to take its first packet
            start = cocotb.start_soon(self.start_run())
            while self.phase != phase:
                await FallingEdge(self.dut.clk)
            met = self.phase
            self.driver.send(wrong)
            await start
            return met
        if phase != "IDLE":
            await self.start_run()
            for packet in self.driver.packets(self.batch):
                self.driver.send(packet)
            await self.moment(phase, 0)
        self.driver.send(wrong)
        await FallingEdge(self.dut.clk)
        met = self.phase
        if phase != "IDLE":
            await with_timeout(self.driver.receive(), PATIENCE, "ns")
            await self.idle()
            status = await self.driver.fields("STATUS")
            assert (status["done"], status["error"]) == (1, 0), f"{kind} in {phase}: {status}"
        await self.start_run()
        return met


@cocotb.test()
async def interruptions(dut: Any) -> None:
    """Interrupt runs of a job's first batch, of two blocks at least, in every phase of a batch, so
    many times each: the job here is a pair of both.

    After each, the host sees what happened in ERROR and nothing else, lines idle, and the batch
    is bit-exact. Answers with how often each interruption met each phase.
    """
    job, times = load_job()
    bench = Interrupter(dut, job)
    await bench.begin()
    cocotb.start_soon(bench.watch())
    answer = await bench.run(bench.batch)
    assert answer.mismatches == 0, answer.first_mismatches
    bench.reference = list(bench.timeline)
    met: Counter[str] = Counter()
    phases = [name for name in Phase.__members__ if name != "READ"]
    for kind, phase in itertools.product(INTERRUPTIONS, phases):
        for _ in range(ATTEMPTS + times):
            if met[f"{kind} in {phase}"] >= times:
                break
            if kind == "reset":
                where = await bench.reset(phase)
                expected = {}
            elif kind == "abort":
                where = await bench.abort(phase)
                expected = {"aborted": 1} if where != "IDLE" else {}
            else:
                act = bench.malform_the_next if phase in LATE else bench.malform
                where = await act(kind, phase)
                expected = {f"packet_{kind}": 1}
            errors = await bench.recover(bench.batch, f"{kind} in {where}")
            assert errors == expected, f"{kind} in {where}: {errors}"
            met[f"{kind} in {where}"] += 1
    save_answer(dict(met))
