"""The UART's halves: every byte passes, and what is no character is told apart."""

import pytest
from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.uart import CHARACTER_BITS, UartReceiver, UartTransmitter
from tests.hdl.simulate import simulate


class Loop(wiring.Component):
    """A transmitter whose line, through a gap of bits that `line` inverts, is a receiver's."""

    def __init__(self, clocks):
        self._clocks = clocks
        super().__init__(
            {
                "input": In(stream.Signature(8)),
                "invert": In(1),
                "output": Out(stream.Signature(8, always_ready=True)),
                "error": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.transmitter = transmitter = UartTransmitter(self._clocks)
        m.submodules.receiver = receiver = UartReceiver(self._clocks)
        wiring.connect(m, wiring.flipped(self.input), transmitter.input)
        wiring.connect(m, receiver.output, wiring.flipped(self.output))
        m.d.comb += [
            receiver.rx.eq(transmitter.tx ^ self.invert),
            self.error.eq(receiver.error),
        ]
        return m


async def send(ctx, dut, byte):
    ctx.set(dut.input.payload, byte)
    ctx.set(dut.input.valid, 1)
    await ctx.tick().until(dut.input.ready)
    ctx.set(dut.input.valid, 0)


def record(dut, received, errors):
    """A process that notes each received byte and each error."""

    async def process(ctx):
        ticks = ctx.tick().sample(dut.output.valid, dut.output.payload, dut.error)
        async for _, _, valid, byte, error in ticks:
            if valid:
                received.append(byte)
            errors.extend([1] * error)

    return process


@pytest.mark.parametrize("clocks", [4, 7])
def test_every_byte_passes_back_to_back(clocks):
    dut, received, errors = Loop(clocks), [], []

    async def bench(ctx):
        for byte in range(256):
            await send(ctx, dut, byte)
        await ctx.tick().repeat((CHARACTER_BITS + 2) * clocks)

    simulate(dut, bench, processes=[record(dut, received, errors)])
    assert received == list(range(256))
    assert not errors


@pytest.mark.parametrize("share", [1.04, 0.96])
def test_a_clock_four_percent_off_is_near_enough(share):
    """The middle of the last bit, 9.5 from the start, is then 0.4 of a bit from where it is."""
    clocks, received, errors = 100, [], []
    dut = UartReceiver(clocks)

    async def bench(ctx):
        for byte in (0x00, 0xFF, 0x55, 0xAA, 0x01, 0x80):
            for bit in (0, *(byte >> place & 1 for place in range(8)), 1):
                ctx.set(dut.rx, bit)
                await ctx.tick().repeat(round(clocks * share))
        await ctx.tick().repeat(clocks)

    simulate(dut, bench, processes=[record(dut, received, errors)])
    assert received == [0x00, 0xFF, 0x55, 0xAA, 0x01, 0x80]
    assert not errors


def test_a_low_stop_bit_is_an_error_and_a_break_is_one_error():
    clocks, received, errors = 4, [], []
    dut = UartReceiver(clocks)

    async def character(ctx, bits):
        for bit in bits:
            ctx.set(dut.rx, bit)
            await ctx.tick().repeat(clocks)

    async def bench(ctx):
        await character(ctx, [0, 1, 1, 1, 1, 1, 1, 1, 1, 0])
        await character(ctx, [1, 1])
        assert (received, errors) == ([], [1])
        await character(ctx, [0] * 40)
        await character(ctx, [1, 1])
        assert (received, errors) == ([], [1, 1])
        await character(ctx, [0, 1, 0, 1, 0, 0, 0, 0, 0, 1])
        await character(ctx, [1])
        assert (received, errors) == ([5], [1, 1])

    simulate(dut, bench, processes=[record(dut, received, errors)])


def test_a_low_shorter_than_half_a_bit_is_no_start():
    clocks, received, errors = 8, [], []
    dut = UartReceiver(clocks)

    async def bench(ctx):
        for length in range(1, clocks // 2 + 1):
            ctx.set(dut.rx, 0)
            await ctx.tick().repeat(length)
            ctx.set(dut.rx, 1)
            await ctx.tick().repeat(12 * clocks)

    simulate(dut, bench, processes=[record(dut, received, errors)])
    assert received == errors == []
