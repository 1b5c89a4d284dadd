"""The host's side of the accelerator in a cocotb bench, through its AXI ports alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
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
from numpy.typing import NDArray

from golden_model import scalar
from golden_model.fixed import FixedState
from golden_model.formats import Words
from golden_model.parameters import Parameters
from hdl.registers import RegisterMap
from sim.job import Batch, ReadRun

_CONTAINERS = {1: np.int8, 2: np.int16, 4: np.int32}


def pack_rows(parameters: Parameters, vectors: Sequence[Words]) -> bytes:
    """Vectors of words as the rows of a stream packet, each vector starting a new row."""
    dtype = np.dtype(_CONTAINERS[parameters.stream_word_bytes]).newbyteorder("<")
    rows = []
    for vector in vectors:
        row = np.zeros(parameters.rows(len(vector)) * parameters.lanes, dtype)
        row[: len(vector)] = vector
        rows.append(row)
    return np.concatenate(rows).tobytes()


def pack_state(parameters: Parameters, state: FixedState) -> bytes:
    """The state packet."""
    return pack_rows(parameters, [*state.x.T, *state.delta.T])


def pack_block(parameters: Parameters, activations: Words, errors: Words) -> bytes:
    """A block packet."""
    samples = itertools.chain.from_iterable(zip(activations, errors, strict=True))
    return pack_rows(parameters, list(samples))


def unpack_containers(parameters: Parameters, packet: bytes) -> NDArray[np.int64]:
    """The beats of a packet, beats x lanes, as unsigned containers."""
    dtype = np.dtype(f"<u{parameters.stream_word_bytes}")
    return np.frombuffer(packet, dtype).astype(np.int64).reshape(-1, parameters.lanes)


def unpack_state(parameters: Parameters, packet: bytes, n: int, m: int, k: int) -> list[Words]:
    """X (n x k) and Delta (m x k) of a state packet, words beyond n and m included as rows."""
    dtype = np.dtype(_CONTAINERS[parameters.stream_word_bytes]).newbyteorder("<")
    words = np.frombuffer(packet, dtype).astype(np.float64)
    rows_n, rows_m = (parameters.rows(size) * parameters.lanes for size in (n, m))
    if words.size != k * (rows_n + rows_m):
        raise ValueError(f"a packet of {words.size} words, not {k * (rows_n + rows_m)}")
    return [words[: k * rows_n].reshape(k, -1).T, words[k * rows_n :].reshape(k, -1).T]


class AcceleratorDriver:
    """Reads and writes registers by name, and sends and receives packets; the array is ready."""

    def __init__(self, dut: Any, parameters: Parameters) -> None:
        self.parameters = parameters
        dut.array_ready.value = 1
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
        answer = await self.registers.read(self.map.address(name, index), 4)
        assert answer.resp == AxiResp.OKAY, f"reading {name} was answered {answer.resp}"
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
        samples = batch.samples
        sizes = {"M": batch.m, "N": batch.n, "K": batch.k, "BLOCK": max(samples, default=1),
                 "BLOCKS": len(samples), "LAST": samples[-1] if samples else 1}  # fmt: skip
        for name, value in sizes.items():
            await self.write(name, value)
        await self.write("CARRY", scalar.encode(batch.carry))
        if batch.state is not None:
            for c, weight in enumerate(batch.state.weight):
                await self.write("WEIGHT", scalar.encode(float(weight)), c)
        update = batch.update
        await self.write(
            "MODE",
            self.map["MODE"].encode(
                load=int(batch.state is not None),
                store=1,
                update=int(update is not None),
                scrambled=int(update is not None and update.scrambled),
            ),
        )
        if update is not None:
            await self.write("RATE", scalar.encode(update.rate))
            await self.write("SEED", update.seed)
            slots = {"min_log2": update.slots_min, "max_log2": update.slots_max}
            await self.write("SLOTS", self.map["SLOTS"].encode(**slots))
            timing = {"length_less_1": update.slot_length - 1, "dead": update.dead}
            await self.write("SLOT_TIMING", self.map["SLOT_TIMING"].encode(**timing))
            tile = dict(zip(("row", "column"), update.origin, strict=True))
            await self.write("TILE", self.map["TILE"].encode(**tile))

    async def configure_reads(self, run: ReadRun) -> None:
        """Write the settings of `run`."""
        reads = self.map["READ"].encode(
            transposed=int(run.transposed),
            bit_serial=int(run.reads.encoding == "bit-serial"),
            dac_bits=run.reads.dac_bits,
            sum_bits=run.reads.sum_bits,
        )
        row, column = run.origin
        for name, word in (
            ("M", run.m),
            ("N", run.n),
            ("VECTORS", len(run.vectors)),
            ("READ", reads),
            ("TILE", self.map["TILE"].encode(row=row, column=column)),
        ):
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
        packets = [pack_block(self.parameters, a, d) for a, d in batch.blocks]
        if batch.state is not None:
            packets.insert(0, pack_state(self.parameters, batch.state))
        return packets

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
