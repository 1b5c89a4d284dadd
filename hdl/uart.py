"""A UART's two halves: characters of 8 bits, no parity, one stop bit, the lowest bit first."""

from enum import Enum, auto

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

CHARACTER_BITS = 10
"""Bits of a character on the line: start, eight of data, stop."""


class _State(Enum):
    IDLE = 0
    RECEIVE = auto()
    BREAK = auto()


class UartReceiver(wiring.Component):
    """Characters from the line `rx`, sampled in the middle of their bits.

    `output` has a character in the cycle in which it is valid, in the middle of its stop bit.
    `error` is high for a cycle instead if the stop bit was low; then nothing is received until the
    line is high. A low shorter than half a bit is no start.

    Parameters
    ----------
    clocks_per_bit : int
        Clock cycles a bit, at least 4.
    """

    def __init__(self, clocks_per_bit: int) -> None:
        self._clocks = clocks_per_bit
        super().__init__(
            {
                "rx": In(1, init=1),
                "output": Out(stream.Signature(8, always_ready=True)),
                "error": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Two registers against metastability, a counter to the next sample, a shift register."""
        m = Module()
        line = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.rx, line, init=1)
        state = Signal(_State)
        left = Signal(range(self._clocks))
        bit = Signal(range(CHARACTER_BITS))
        m.d.sync += [self.output.valid.eq(0), self.error.eq(0), left.eq(left - 1)]
        with m.Switch(state):
            with m.Case(_State.IDLE):
                m.d.sync += [left.eq(self._clocks // 2 - 1), bit.eq(0)]
                with m.If(~line):
                    m.d.sync += state.eq(_State.RECEIVE)
            with m.Case(_State.RECEIVE):
                with m.If(left == 0):
                    m.d.sync += [left.eq(self._clocks - 1), bit.eq(bit + 1)]
                    with m.If(bit == CHARACTER_BITS - 1):
                        m.d.sync += [
                            self.output.valid.eq(line),
                            self.error.eq(~line),
                            state.eq(_State.BREAK),
                        ]
                    with m.Else():
                        m.d.sync += self.output.payload.eq(Cat(self.output.payload[1:], line))
                    with m.If((bit == 0) & line):
                        m.d.sync += state.eq(_State.IDLE)
            with m.Case(_State.BREAK):
                with m.If(line):
                    m.d.sync += state.eq(_State.IDLE)
        return m


class UartTransmitter(wiring.Component):
    """Sends the characters of `input` on the line `tx`.

    A character takes `CHARACTER_BITS` bits and a clock cycle.

    Parameters
    ----------
    clocks_per_bit : int
        Clock cycles a bit.
    """

    def __init__(self, clocks_per_bit: int) -> None:
        self._clocks = clocks_per_bit
        super().__init__({"tx": Out(1, init=1), "input": In(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        """A shift register that ones follow into: the stop bit, and the idle line."""
        m = Module()
        shift = Signal(CHARACTER_BITS - 1, init=-1)
        bits = Signal(range(CHARACTER_BITS + 1))
        left = Signal(range(self._clocks))
        m.d.comb += [self.tx.eq(shift[0]), self.input.ready.eq(bits == 0)]
        with m.If(self.input.ready):
            m.d.sync += left.eq(self._clocks - 1)
            with m.If(self.input.valid):
                m.d.sync += [shift.eq(self.input.payload << 1), bits.eq(CHARACTER_BITS)]
        with m.Else():
            m.d.sync += left.eq(left - 1)
            with m.If(left == 0):
                m.d.sync += [
                    left.eq(self._clocks - 1),
                    bits.eq(bits - 1),
                    shift.eq(Cat(shift[1:], 1)),
                ]
        return m
