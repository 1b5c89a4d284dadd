"""Consistent overhead byte stuffing: bytes to and from frames without zeros, each ended by one.

For frames of up to 253 bytes: see `golden_model.link.stuff`, which these equal.
"""

from enum import Enum, auto

from amaranth import Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

BYTE = data.StructLayout({"byte": 8, "last": 1})
"""A byte of a frame, and whether it is the frame's last."""

BUFFER_BYTES = 256
"""Most bytes of a frame as it leaves: the first code and the end included."""


class CobsDecoder(wiring.Component):
    """Bytes of frames out of stuffed bytes; throughput one a cycle, latency one cycle.

    `end` is high for a cycle after a frame's last byte, with `whole` if it ended with a run and
    nothing was `lost` in it. The end of a frame without bytes is passed over. A cycle in which
    `lost` is high stands for a byte that was not received.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "input": In(stream.Signature(8, always_ready=True)),
                "lost": In(1),
                "output": Out(stream.Signature(8, always_ready=True)),
                "end": Out(1),
                "whole": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """A counter of the run; the zero that a code stands for comes with the next code."""
        m = Module()
        left = Signal(8)
        begun = Signal()
        damaged = Signal()
        byte = self.input.payload
        m.d.sync += [self.output.valid.eq(0), self.end.eq(0)]
        with m.If(self.lost):
            m.d.sync += [begun.eq(1), damaged.eq(1)]
        with m.Elif(self.input.valid):
            with m.If(byte == 0):
                m.d.sync += [
                    self.end.eq(begun),
                    self.whole.eq((left == 0) & ~damaged),
                    left.eq(0),
                    begun.eq(0),
                    damaged.eq(0),
                ]
            with m.Else():
                m.d.sync += [
                    left.eq(Mux(left == 0, byte, left) - 1),
                    begun.eq(1),
                    self.output.valid.eq(begun),
                    self.output.payload.eq(Mux(left == 0, 0, byte)),
                ]
        return m


class _State(Enum):
    TAKE = 0
    CODE = auto()
    END = auto()
    FETCH = auto()
    OFFER = auto()


class CobsEncoder(wiring.Component):
    """A frame of 1 to 253 bytes into stuffed bytes and the zero that ends them.

    Takes a whole frame, a byte a cycle, before it sends the first byte, then sends a byte every
    two cycles at most, and is `ready` for the next frame after the last.
    """

    def __init__(self) -> None:
        super().__init__({"input": In(stream.Signature(BYTE)), "output": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        """A run's code goes to the place that was left for it when the run ends; then the place
        of the zero that ended it is the next code's.
        """
        m = Module()
        m.submodules.buffer = buffer = memory.Memory(shape=8, depth=BUFFER_BYTES, init=[])
        write, read = buffer.write_port(), buffer.read_port()
        state = Signal(_State)
        code = Signal(range(BUFFER_BYTES))
        end = Signal(range(BUFFER_BYTES), init=1)
        start = Signal(range(BUFFER_BYTES))
        byte = self.input.payload.byte
        closes = Signal()
        m.d.comb += [
            self.input.ready.eq(state == _State.TAKE),
            closes.eq((state == _State.CODE) | ((state == _State.TAKE) & (byte == 0))),
            self.output.valid.eq(state == _State.OFFER),
            self.output.payload.eq(read.data),
            read.addr.eq(start),
        ]
        # Registers before the memory. What is written while there is no byte is overwritten.
        m.d.sync += [
            write.en.eq((state == _State.TAKE) | (state == _State.CODE) | (state == _State.END)),
            write.addr.eq(Mux(closes, code, end)),
            write.data.eq(Mux(closes, end - code, Mux(state == _State.END, 0, byte))),
        ]
        with m.Switch(state):
            with m.Case(_State.TAKE):
                with m.If(self.input.valid):
                    m.d.sync += end.eq(end + 1)
                    with m.If(byte == 0):
                        m.d.sync += code.eq(end)
                    with m.If(self.input.payload.last):
                        m.d.sync += state.eq(_State.CODE)
            with m.Case(_State.CODE):
                m.d.sync += state.eq(_State.END)
            with m.Case(_State.END):
                m.d.sync += state.eq(_State.FETCH)
            with m.Case(_State.FETCH):
                m.d.sync += state.eq(_State.OFFER)
            with m.Case(_State.OFFER):
                with m.If(self.output.ready):
                    m.d.sync += [start.eq(start + 1), state.eq(_State.FETCH)]
                    with m.If(start == end):
                        m.d.sync += [start.eq(0), code.eq(0), end.eq(1), state.eq(_State.TAKE)]
        return m
