"""Cocotb bench of `twin_harness`: updates one after another, and the conductances they leave."""

from dataclasses import dataclass

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

from golden_model import scalar
from golden_model.formats import Words
from golden_model.parameters import Parameters
from sim.runner import load_job, save_answer


@dataclass
class Update:
    """Settings of an update of one rank."""

    kappa: float
    slots_max: int
    scrambled: bool
    seed: int


@dataclass
class Group:
    """Updates with the same factors, after which conductances are read."""

    x: Words
    delta: Words
    updates: list[Update]


@dataclass
class Job:
    """A draw of the cells, then groups of updates."""

    parameters: Parameters
    seed: int
    cells: int
    groups: list[Group]


class Host:
    """Drives the harness's ports, with clock edges apart from changes."""

    def __init__(self, dut, parameters):
        self.dut = dut
        self.parameters = parameters

    async def pulse(self, port):
        """Set `port` for one clock cycle."""
        port.value = 1
        await FallingEdge(self.dut.clk)
        port.value = 0

    async def write_factor(self, words, delta):
        lanes, width = self.parameters.lanes, self.parameters.width
        padded = np.zeros(-(-len(words) // lanes) * lanes, dtype=np.int64)
        padded[: len(words)] = words
        self.dut.write_delta.value = delta
        for row, values in enumerate(padded.reshape(-1, lanes).tolist()):
            self.dut.write_row.value = row
            self.dut.write_data.value = sum(
                (value % (1 << width)) << (lane * width) for lane, value in enumerate(values)
            )
            await self.pulse(self.dut.write)

    async def update(self, update):
        dut = self.dut
        dut.kappa.value = scalar.encode(update.kappa)
        dut.slots_max.value = update.slots_max
        dut.scrambled.value = update.scrambled
        dut.seed.value = update.seed
        await self.pulse(dut.start)
        await RisingEdge(dut.done)
        await FallingEdge(dut.clk)

    async def settle(self):
        await FallingEdge(self.dut.clk)
        if not self.dut.idle.value:
            await RisingEdge(self.dut.idle)
            await FallingEdge(self.dut.clk)

    async def conductances(self, cells):
        await self.settle()
        result = []
        for cell in range(cells):
            self.dut.cell.value = cell
            await self.pulse(self.dut.read)
            await RisingEdge(self.dut.read_valid)
            await FallingEdge(self.dut.clk)
            result.append(int(self.dut.conductance.value))
            await FallingEdge(self.dut.clk)
        return result


@cocotb.test
async def updates(dut):
    """Conductances after each group of updates."""
    job = load_job()
    host = Host(dut, job.parameters)
    for port in ("start", "write", "draw", "read", "slots_min"):
        getattr(dut, port).value = 0
    dut.k.value = 1
    dut.rst.value = 1
    Clock(dut.clk, 10, unit="ns").start()
    for _ in range(3):
        await FallingEdge(dut.clk)
    dut.rst.value = 0
    dut.seed.value = job.seed
    await host.pulse(dut.draw)
    await host.settle()
    conductances = []
    for group in job.groups:
        dut.n.value, dut.m.value = len(group.x), len(group.delta)
        await host.write_factor(group.x, 0)
        await host.write_factor(group.delta, 1)
        for update in group.updates:
            await host.update(update)
        conductances.append(await host.conductances(job.cells))
        assert int(dut.faults.value) == 0
    save_answer(conductances)
