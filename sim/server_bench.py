"""The cocotb bench behind `sim.served`: a machine that does what its host asks."""

from __future__ import annotations

from collections.abc import Sequence
from multiprocessing.connection import Client
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge, SimTimeoutError, with_timeout
from cocotb.utils import get_sim_time

from hdl.system import FAULTS
from hdl.twin_lane import Command
from sim.driver import AcceleratorDriver
from sim.job import Serve
from sim.machine import PATIENCE, Cells
from sim.runner import load_job, save_answer

PERIOD_NS = 10


class Server:
    """The calls of `sim.machine.Harness`. Ports change with the falling edge of the clock."""

    def __init__(self, dut: Any, job: Serve) -> None:
        self._dut = dut
        self._driver = AcceleratorDriver(dut, job.parameters)
        self._coincidences = 0

    async def begin(self) -> None:
        """Start the clock and reset."""
        dut = self._dut
        for port in ("draw", "seed", "resolution", "shift", "request_valid", "response_ready"):
            getattr(dut, port).value = 0
        Clock(dut.clk, PERIOD_NS, unit="ns").start()
        dut.rst.value = 1
        await ClockCycles(dut.clk, 4)
        dut.rst.value = 0
        await ClockCycles(dut.clk, 2)
        cocotb.start_soon(self._count_coincidences())

    async def _count_coincidences(self) -> None:
        """Sleep while no slot is driven."""
        dut = self._dut
        while True:
            if not int(dut.slot_valid.value):
                await RisingEdge(dut.slot_valid)
            await FallingEdge(dut.clk)
            if int(dut.slot_last.value):
                rows, columns = (
                    (int(positive.value) | int(negative.value)).bit_count()
                    for positive, negative in (
                        (dut.rows_positive, dut.rows_negative),
                        (dut.columns_positive, dut.columns_negative),
                    )
                )
                self._coincidences += rows * columns

    async def write(self, address: int, word: int) -> int:
        """Write a register; AXI's response."""
        return int(await self._driver.write_word(address, word))

    async def read(self, addresses: Sequence[int]) -> list[int]:
        """See `Harness`."""
        return [await self._driver.read_word(address) for address in addresses]

    async def poll(self, address: int, mask: int, value: int) -> None:
        """See `Harness`: ever less often, since each look takes Python some cycles."""
        wait, waited = 16, 0
        while await self._driver.read_word(address) & mask != value:
            if waited > PATIENCE:
                raise SimTimeoutError(f"register {address:#x} did not become {value}")
            await ClockCycles(self._dut.clk, wait)
            waited += wait
            wait = min(2 * wait, 1024)

    async def exchange(self, packets: Sequence[bytes], answers: int, length: int) -> bytes:
        """See `Harness`."""
        for packet in packets:
            self._driver.send(packet)
        received = []
        for _ in range(answers):
            packet = await with_timeout(self._driver.receive(), PATIENCE * PERIOD_NS, "ns")
            assert len(packet) == length, f"a packet of {len(packet)} bytes came, not {length}"
            received.append(packet)
        await self._driver.source.wait()
        return b"".join(received)

    async def converters(self, resolution: int, shift: int) -> None:
        """See `Harness`."""
        self._dut.resolution.value = resolution
        self._dut.shift.value = shift

    async def _request(self, command: str, cell: int, word: int) -> None:
        """Have the twin take a request; called, and done, at a falling edge."""
        dut = self._dut
        dut.request_command.value = Command.__members__[command].value
        dut.request_cell.value = cell
        dut.request_word.value = word
        dut.request_valid.value = 1
        if not int(dut.request_ready.value):
            await RisingEdge(dut.request_ready)
            await FallingEdge(dut.clk)
        await FallingEdge(dut.clk)
        dut.request_valid.value = 0

    async def program(self, cells: Cells, words: Cells) -> None:
        """See `Harness`."""
        await FallingEdge(self._dut.clk)
        for cell, word in zip(cells.ravel().tolist(), words.ravel().tolist(), strict=True):
            await self._request("PROGRAM", cell, word)
        await self._rest()

    async def cells(self, cells: Cells) -> Cells:
        """See `Harness`."""
        dut = self._dut
        await self._rest()
        dut.response_ready.value = 1
        words = []
        for cell in cells.ravel().tolist():
            await self._request("READ", cell, 0)
            if not int(dut.response_valid.value):
                await RisingEdge(dut.response_valid)
                await FallingEdge(dut.clk)
            words.append(int(dut.response_word.value))
            await FallingEdge(dut.clk)
        return np.array(words, np.uint32).reshape(cells.shape)

    async def _rest(self) -> None:
        """Wait until the twin is idle, and for a falling edge."""
        dut = self._dut
        await FallingEdge(dut.clk)
        if not int(dut.idle.value):
            await with_timeout(RisingEdge(dut.idle), PATIENCE * PERIOD_NS, "ns")
            await FallingEdge(dut.clk)

    async def faults(self) -> list[str]:
        """See `Harness`."""
        word = int(self._dut.faults.value)
        return [name for bit, name in enumerate(FAULTS) if word >> bit & 1]

    async def cycles(self) -> int:
        """See `Harness`."""
        return int(get_sim_time("ns") // PERIOD_NS)

    async def coincidences(self) -> int:
        """See `Harness`."""
        return self._coincidences


@cocotb.test()
async def serve(dut: Any) -> None:
    """Do what the host asks until it asks for nothing."""
    job: Serve = load_job()
    server = Server(dut, job)
    await server.begin()
    with Client(job.address, "AF_UNIX") as host:
        while (request := host.recv()) is not None:
            function, arguments = request
            host.send(await getattr(server, function)(*arguments))
    save_answer(None)
