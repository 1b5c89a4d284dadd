"""The host's side of the accelerator in a cocotb bench, through its AXI ports alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiResp,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)

from golden_model import scalar
from golden_model.parameters import Parameters
from hdl.registers import RegisterMap
from sim.job import Batch, ReadRun
from sim.packets import batch_packets, batch_settings, read_settings


class AcceleratorDriver:
    """Reads and writes registers by name, and sends and receives packets."""

    def __init__(self, dut: Any, parameters: Parameters) -> None:
        self.parameters = parameters
        self.map = RegisterMap.of(parameters)
        self.registers = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.clk, dut.rst)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.clk, dut.rst)

    def stall(self, probability: float, seed: int) -> None:
        """Pause every channel at random, with `probability` in a cycle."""
        channels = [
            self.source,
            self.sink,
            self.registers.write_if.aw_channel,
            self.registers.write_if.w_channel,
            self.registers.write_if.b_channel,
            self.registers.read_if.ar_channel,
            self.registers.read_if.r_channel,
        ]
        for index, channel in enumerate(channels):
            channel.set_pause_generator(_pauses(probability, seed * len(channels) + index))

    async def read(self, name: str, index: int = 0) -> int:
        """The word in register `name`."""
        return await self.read_word(self.map.address(name, index))

    async def read_word(self, address: int) -> int:
        """The word at `address`."""
        answer = await self.registers.read(address, 4)
        assert answer.resp == AxiResp.OKAY, f"reading {address:#x} was answered {answer.resp}"
        return int.from_bytes(answer.data, "little")

    async def fields(self, name: str) -> dict[str, int]:
        """The fields of register `name`."""
        return self.map[name].decode(await self.read(name))

    async def write_word(self, address: int, word: int) -> AxiResp:
        """Write `word`; the response."""
        return (await self.registers.write(address, word.to_bytes(4, "little"))).resp

    async def write(self, name: str, word: int, index: int = 0) -> None:
        """Write `word` to register `name`, which must take it."""
        response = await self.write_word(self.map.address(name, index), word)
        assert response == AxiResp.OKAY, f"writing {name} was answered {response}"

    async def identify(self) -> None:
        """Check that this is an accelerator of the parameters that the host expects."""
        assert await self.read("ID") == self.map["ID"].fields[0].reset
        for name, value in self.parameters.as_dict().items():
            assert await self.read(name.upper()) == value, f"{name} reads back wrong"

    async def configure(self, batch: Batch) -> None:
        """Write the settings of `batch`."""
        for name, word, index in batch_settings(self.map, batch):
            await self.write(name, word, index)

    async def configure_reads(self, run: ReadRun) -> None:
        """Write the settings of `run`."""
        settings = read_settings(
            self.map,
            run.m,
            run.n,
            run.reads,
            len(run.vectors),
            run.origin,
            transposed=run.transposed,
        )
        for name, word in settings:
            await self.write(name, word)

    async def start_reads(self) -> None:
        """Start a run of reads."""
        await self.write("CONTROL", self.map["CONTROL"].encode(read=1))

    async def start(self) -> None:
        """Start a batch."""
        await self.write("CONTROL", self.map["CONTROL"].encode(start=1))

    async def abort(self) -> None:
        """Abort the run."""
        await self.write("CONTROL", self.map["CONTROL"].encode(abort=1))

    def packets(self, batch: Batch) -> list[bytes]:
        """The packets that `batch` streams in."""
        return batch_packets(self.parameters, batch)

    def send(self, packet: bytes) -> None:
        """Queue a packet."""
        self.source.send_nowait(AxiStreamFrame(packet))

    async def receive(self) -> bytes:
        """The next packet from the accelerator."""
        return bytes((await self.sink.recv()).tdata)

    async def scalars(self, name: str, count: int) -> list[float]:
        """The first `count` scalars of register array `name`."""
        return [scalar.decode(await self.read(name, c)) for c in range(count)]


def _pauses(probability: float, seed: int) -> Iterator[Any]:
    random = np.random.default_rng(seed)
    while True:
        yield from random.random(1024) < probability
