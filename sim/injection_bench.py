"""Cocotb benches that interrupt batches and runs of reads in every phase of them: by reset, by
abort, and by malformed packets."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge, with_timeout

from hdl.sequencer import Phase
from sim.bench import PATIENCE, Bench
from sim.job import Job
from sim.packets import unpack_containers
from sim.read_bench import ReadBench
from sim.runner import load_job, save_answer

INTERRUPTIONS = ("reset", "abort", "short", "long")
"""What interrupts a run: the last two are packets with TLAST a beat too early, or missing."""

READ_PHASES = ("IDLE", "CHECK", "LOAD", "READ", "STORE")
"""Phases of a run of reads."""

BATCH_PHASES = tuple(name for name in Phase.__members__ if name != "READ")
"""Phases of a batch."""

LATE = ("IDLE", "CHECK", "FINISH", "UPDATE", "STORE")
"""Phases in which no packet is taken: one that comes waits, and is the next run's first."""

NAMES = {phase.value: name for name, phase in Phase.__members__.items()}

ATTEMPTS = 40
"""Runs of an interruption and a phase, besides those wanted, after which they are given up."""


class Watched(Bench):
    """A bench that knows the phase of every cycle, and in which one a run was interrupted."""

    def __init__(self, dut: Any, job: Job) -> None:
        super().__init__(dut, job)
        self.random = np.random.default_rng(job.seed)
        self.phase = "IDLE"
        self.last = "IDLE"
        """The last phase but IDLE."""
        self.timeline: list[str] = []
        """Phases of the cycles of a run, from its start."""
        self.reference: list[str] = []
        """Those of a run that nothing interrupted: runs of one job are alike."""

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

    async def moment(self, phase: str, lead: int, cycles: int | None = None) -> None:
        """Wait for a random cycle of `phase`, of the first `cycles` of the reference timeline if
        they are given, less `lead` cycles."""
        seen = [cycle for cycle, name in enumerate(self.reference[:cycles]) if name == phase]
        target = int(self.random.choice(seen)) - lead
        while len(self.timeline) < target:
            await RisingEdge(self.dut.clk)

    async def hold_back(self, beats: int) -> None:
        """Pause the stream after `beats`, or one or two more."""
        dut, left = self.dut, beats
        while left > 0:
            await RisingEdge(dut.clk)
            left -= int(dut.s_axis_tvalid.value) & int(dut.s_axis_tready.value)
        self.driver.source.pause = True

    async def reset_all(self) -> str:
        """Reset the machine and its host; the phase in which it was."""
        await FallingEdge(self.dut.clk)
        met = self.phase
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 2)
        self.dut.rst.value = 0
        self.driver.source.clear()
        self.driver.sink.clear()
        return met

    async def interrupt(self, kind: str, phase: str) -> tuple[str, dict[str, int]]:
        """Interrupt a run near `phase`: the phase that was met, and what ERROR must have."""
        raise NotImplementedError

    async def go_on(self, mistake: str) -> dict[str, int]:
        """What ERROR has after `mistake`; then a run, which must be bit-exact."""
        raise NotImplementedError

    async def interrupt_all(self, phases: Iterable[str], times: int) -> dict[str, int]:
        """Interrupt runs in every one of the `phases`, so many times each, in every way: how often
        each interruption met each phase."""
        met: Counter[str] = Counter()
        for kind, phase in itertools.product(INTERRUPTIONS, phases):
            for _ in range(ATTEMPTS + times):
                if met[f"{kind} in {phase}"] >= times:
                    break
                where, expected = await self.interrupt(kind, phase)
                errors = await self.go_on(f"{kind} in {where}")
                assert errors == expected, f"{kind} in {where}: {errors}"
                met[f"{kind} in {where}"] += 1
        return dict(met)


class Interrupter(Watched):
    """A bench that interrupts batches."""

    def __init__(self, dut: Any, job: Job) -> None:
        super().__init__(dut, job)
        self.batch = job.batches[0]

    async def start_run(self) -> None:
        """Configure and start; the timeline begins anew."""
        await self.driver.configure(self.batch)
        self.timeline.clear()
        await self.driver.start()

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

    def malformed(self, kind: str, index: int) -> bytes:
        """Packet `index` of the batch, a beat too `kind`."""
        packet, row = self.driver.packets(self.batch)[index], self.parameters.stream_bytes
        return packet[:-row] if kind == "short" else packet + bytes(row)

    async def reset(self, phase: str) -> str:
        """Reset the machine and its host in `phase`; the phase in which it was."""
        if phase != "IDLE":
            await self.start_run()
            await self.meet(phase, 0)
        met = await self.reset_all()
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

    async def interrupt(self, kind: str, phase: str) -> tuple[str, dict[str, int]]:
        """Interrupt a batch near `phase`."""
        if kind == "reset":
            return await self.reset(phase), {}
        if kind == "abort":
            where = await self.abort(phase)
            return where, {"aborted": 1} if where != "IDLE" else {}
        act = self.malform_the_next if phase in LATE else self.malform
        return await act(kind, phase), {f"packet_{kind}": 1}

    async def go_on(self, mistake: str) -> dict[str, int]:
        """What ERROR has after `mistake`; then the batch."""
        return await self.recover(self.batch, mistake)


class ReadInterrupter(Watched, ReadBench):
    """A bench that interrupts reads, of any of the job's runs. Its ADCs answer late."""

    def __init__(self, dut: Any, job: Job) -> None:
        super().__init__(dut, job)
        self.job = job
        self.array.answer = 12
        self.references: list[list[str]] = []
        """The reference of each of the runs."""
        self.run_read = job.reads[0]
        """The run that is interrupted."""
        self.wanted: list[np.ndarray] = []
        """The packets of sums of the run."""
        self.late = 0
        """Resets after which the array sent codes, after all."""

    async def refer(self) -> None:
        """Do every run, and keep its timeline."""
        for run in self.job.reads:
            await self.prepare(run)
            self.timeline.clear()
            answer = await self.read(run)
            assert answer.mismatches == 0, answer.first_mismatches
            self.references.append(list(self.timeline))

    async def choose(self) -> list[bytes]:
        """Configure any of the runs; its packets."""
        place = int(self.random.integers(len(self.job.reads)))
        self.run_read, self.reference = self.job.reads[place], self.references[place]
        await self.prepare(self.run_read)
        assert self.array.reads is not None
        answers = self.array.reads.answers(self.run_read.vectors)
        self.wanted = [answer.packet(self.parameters) for answer in answers]
        self.timeline.clear()
        return self.packets(self.run_read)

    def start_run(self, packets: Iterable[bytes]) -> Any:
        """Send `packets` and start; the task of starting."""
        for packet in packets:
            self.driver.send(packet)
        return cocotb.start_soon(self.driver.start_reads())

    def check_sent(self) -> int:
        """How many packets have been sent, all of them right."""
        count = self.driver.sink.count()
        for want in self.wanted[:count]:
            seen = unpack_containers(self.parameters, bytes(self.driver.sink.recv_nowait().tdata))
            assert np.array_equal(seen, want), "a packet sent in an interrupted run is wrong"
        assert count <= len(self.wanted)
        return count

    async def hold_load(self, packets: list[bytes]) -> None:
        """Wait in the loading of any vector, before or amid its packet, which is held back."""
        vector = int(self.random.integers(len(packets)))
        rows = len(packets[0]) // self.parameters.stream_bytes
        await self.hold_back(vector * rows + int(self.random.integers(rows - 1)))
        while loads(self.timeline) <= vector:
            await RisingEdge(self.dut.clk)
        await ClockCycles(self.dut.clk, 1 + int(self.random.integers(20)))

    async def reset(self, phase: str) -> tuple[str, dict[str, int]]:
        """Reset the machine in `phase`, and the array with it or not: codes that it then sends,
        after all, are told."""
        packets = await self.choose()
        if phase != "IDLE":
            starting = self.start_run(packets)
            if phase == "LOAD":
                await self.hold_load(packets)
            else:
                await self.moment(phase, 0)
            starting.cancel()
        met = await self.reset_all()
        self.driver.source.pause = False
        array, dut = self.array, self.dut
        if self.random.random() < 0.5:
            self.restart_array()
        await FallingEdge(dut.clk)
        late = array.owed > 0 or int(dut.adc_valid.value) == 1
        self.late += late
        while array.owed:
            await RisingEdge(dut.clk)
        await ClockCycles(dut.clk, 4)
        return met, {"adc": 1} if late else {}

    async def abort(self, phase: str) -> tuple[str, dict[str, int]]:
        """Abort a run near `phase`; a packet of sums once begun is finished, and what was sent is
        right."""
        packets = await self.choose()
        if phase != "IDLE":
            starting = self.start_run(packets)
            if phase == "LOAD":
                await self.hold_load(packets)
            elif phase != "CHECK":  # there one command comes right behind the other
                await self.moment(phase, int(self.random.integers(2, 8)))
            if phase == "STORE" and self.random.random() < 0.5:
                self.driver.sink.pause = True
        aborting = cocotb.start_soon(self.driver.abort())
        if phase != "IDLE":
            await starting
        await aborting
        self.driver.sink.pause = False
        await self.idle()
        self.driver.source.pause = False
        aborted = (await self.driver.fields("ERROR"))["aborted"]
        self.check_sent()
        return (self.last, {"aborted": 1}) if aborted else ("IDLE", {})

    async def malform(self, kind: str, phase: str) -> tuple[str, dict[str, int]]:
        """Send a malformed packet in `phase`. The run ends when it comes to load it; a run that has
        its vectors ends as it should, and the next one does not."""
        packets = await self.choose()
        row = self.parameters.stream_bytes
        if phase in ("READ", "STORE"):
            cycle = int(self.random.choice([c for c, n in enumerate(self.reference) if n == phase]))
            index = loads(self.reference[: cycle + 1])
        else:
            cycle, index = 0, int(self.random.integers(len(packets))) if phase == "LOAD" else 0
        packet = packets[index % len(packets)]
        wrong = packet[:-row] if kind == "short" else packet + bytes(row)
        good = packets[:index]
        if phase == "IDLE":
            self.driver.send(wrong)
            await ClockCycles(self.dut.clk, int(self.random.integers(20)))
            met = self.phase
            await self.start_run([])
        elif phase == "LOAD":
            starting = self.start_run([*good, wrong])
            await self.hold_back((len(packet) * index + len(wrong)) // row - 4)
            await ClockCycles(self.dut.clk, 1 + int(self.random.integers(20)))
            self.driver.source.pause = False
            await starting
            met = phase
        else:
            starting = self.start_run(good)
            while len(self.timeline) <= cycle:
                await FallingEdge(self.dut.clk)
            met = self.phase
            self.driver.send(wrong)
            await starting
        await self.idle()
        assert self.check_sent() == index, f"packets sent before one too {kind} in {met}"
        if index == len(packets):
            status = await self.driver.fields("STATUS")
            assert (status["done"], status["error"]) == (1, 0), f"{kind} in {met}: {status}"
            await self.start_run([])
            await self.idle()
        assert self.last == "LOAD"
        return met, {f"packet_{kind}": 1}

    async def interrupt(self, kind: str, phase: str) -> tuple[str, dict[str, int]]:
        """Interrupt a run of reads near `phase`."""
        if kind == "reset":
            return await self.reset(phase)
        return await (self.abort(phase) if kind == "abort" else self.malform(kind, phase))

    async def go_on(self, mistake: str) -> dict[str, int]:
        """What ERROR has after `mistake`; then at times a batch, and the run that was interrupted,
        from the array as it is, integrators and all."""
        errors = await self.settle(mistake)
        for batch in self.job.batches:
            if self.random.random() < 0.25:
                await self.driver.write("TILE", 0)
                compared = await self.run(batch)
                assert compared.mismatches == 0, f"after {mistake}: {compared.first_mismatches}"
        await self.driver.configure_reads(self.run_read)
        answer = await self.read(self.run_read)
        assert answer.mismatches == 0, f"after {mistake}: {answer.first_mismatches}"
        return errors


def loads(timeline: list[str]) -> int:
    """How many vectors have begun to be loaded."""
    return sum(now == "LOAD" != before for before, now in itertools.pairwise(timeline))


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
    save_answer(await bench.interrupt_all(BATCH_PHASES, times))


@cocotb.test()
async def interrupted_reads(dut: Any) -> None:
    """As `interruptions`, of a job's runs of reads, in every phase of a run; the job's batches,
    each of which loads a state, come in between at times."""
    job, times = load_job()
    bench = ReadInterrupter(dut, job)
    await bench.begin()
    cocotb.start_soon(bench.watch())
    await bench.refer()
    met = await bench.interrupt_all(READ_PHASES, times)
    assert not bench.array.faults, bench.array.faults[:3]
    save_answer({**met, "codes after a reset": bench.late})
