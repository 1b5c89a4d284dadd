"""The board's sender of frames: when to send one, and its bytes."""

from enum import Enum, auto

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from golden_model.link import CRC_BYTES, HEADER, HEADER_BYTES, RESEND, SYN, LinkSpec
from hdl.byte_ring import OFFSET
from hdl.cobs import BYTE
from hdl.frame_receiver import CRC, HEADER_LAYOUT
from hdl.uart import CHARACTER_BITS


class _State(Enum):
    IDLE = 0
    HEADER = auto()
    PAYLOAD = auto()
    CRC = auto()


class FrameSender(wiring.Component):
    """Sends a frame to a `hdl.cobs.CobsEncoder` whenever that is ready and

    - an `answer` is due, with SYN if `syn` and with RESEND if `ask`: pulses, which are remembered;
    - a whole payload waits, or less of it and no byte has `arrived` for the time of a character;
    - half of the receive ring, or more, has become free since a frame has last told its `window`.

    Every frame takes the payload that waits, `length` bytes from offset `sent` on, and tells
    `expected` and `window` as they are when it begins. `advance` and `data`, read at `address`, are
    those of a `SendRing`. `clear` forgets what an earlier session left to do; a frame under way is
    finished, in the earlier session's name. A byte takes two cycles.
    """

    def __init__(self, spec: LinkSpec) -> None:
        self._spec = spec
        super().__init__(
            {
                "clear": In(1),
                "answer": In(1),
                "syn": In(1),
                "ask": In(1),
                "session": In(HEADER["session"]),
                "expected": In(OFFSET),
                "taken": In(OFFSET),
                "window": In(bits_for(spec.receive_bytes)),
                "arrived": In(1),
                "sent": In(OFFSET),
                "length": In(range(spec.max_payload + 1)),
                "advance": Out(1),
                "address": Out(OFFSET),
                "data": In(8),
                "output": Out(stream.Signature(BYTE)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The header in a shift register, so that all of it is of one moment."""
        m = Module()
        m.submodules.crc = check = CRC.create()
        header = Signal(HEADER_LAYOUT)
        state = Signal(_State)
        length = Signal.like(self.length)
        left = Signal(range(max(self._spec.max_payload, HEADER_BYTES)))
        covered = Signal()  # the byte at the output is one that the CRC covers
        due = Signal()
        syn = Signal()
        ask = Signal()
        m.d.comb += [
            self.advance.eq(
                (state == _State.IDLE)
                & self.output.ready
                & ~self.output.valid
                & ~self.clear
                & (due | self._payload_is_due(m) | self._window_is_due(m))
            ),
            check.start.eq(state == _State.IDLE),
            check.data.eq(self.output.payload.byte),
            check.valid.eq(self.output.valid & self.output.ready & covered),
        ]
        with m.If(self.advance | self.clear):
            m.d.sync += [due.eq(0), syn.eq(0), ask.eq(0)]
        for pulse, remembered in ((self.answer, due), (self.syn, syn), (self.ask, ask)):
            with m.If(pulse):
                m.d.sync += remembered.eq(1)

        with m.If(self.output.ready):
            m.d.sync += self.output.valid.eq(0)
        with m.If(state == _State.IDLE):
            m.d.sync += [
                header.session.eq(self.session),
                header.flags.eq(Mux(syn, SYN, 0) | Mux(ask, RESEND, 0)),
                header.length.eq(self.length),
                header.offset.eq(self.sent),
                header.acknowledged.eq(self.expected),
                header.window.eq(self.window),
                length.eq(self.length),
                self.address.eq(self.sent),
                left.eq(HEADER_BYTES - 1),
            ]
            with m.If(self.advance):
                m.d.sync += state.eq(_State.HEADER)
        with m.Elif(~self.output.valid):
            byte = self.output.payload.byte
            m.d.sync += [
                self.output.valid.eq(1),
                self.output.payload.last.eq((state == _State.CRC) & (left == 0)),
                covered.eq(state != _State.CRC),
                left.eq(left - 1),
            ]
            with m.Switch(state):
                with m.Case(_State.HEADER):
                    m.d.sync += [
                        byte.eq(header.as_value()[:8]),
                        header.eq(header.as_value()[8:]),
                    ]
                    with m.If(left == 0):
                        m.d.sync += [left.eq(length - 1), state.eq(_State.PAYLOAD)]
                        with m.If(length == 0):
                            m.d.sync += [left.eq(CRC_BYTES - 1), state.eq(_State.CRC)]
                with m.Case(_State.PAYLOAD):
                    m.d.sync += [byte.eq(self.data), self.address.eq(self.address + 1)]
                    with m.If(left == 0):
                        m.d.sync += [left.eq(CRC_BYTES - 1), state.eq(_State.CRC)]
                with m.Case(_State.CRC):
                    m.d.sync += byte.eq(check.crc.word_select(~left[:2], 8))
                    with m.If(left == 0):
                        m.d.sync += state.eq(_State.IDLE)
        return m

    def _payload_is_due(self, m: Module) -> Value:
        """A whole payload, or all there is if no more comes."""
        patience = CHARACTER_BITS * self._spec.clocks_per_bit
        quiet = Signal(range(patience + 1))
        with m.If(self.arrived):
            m.d.sync += quiet.eq(patience)
        with m.Elif(quiet != 0):
            m.d.sync += quiet.eq(quiet - 1)
        due = Signal()
        m.d.comb += due.eq(
            (self.length == self._spec.max_payload) | ((self.length != 0) & (quiet == 0))
        )
        return due

    def _window_is_due(self, m: Module) -> Value:
        """Half of the ring has been taken since a frame told the window."""
        told = Signal(OFFSET)
        grown = Signal(OFFSET)
        due = Signal()
        m.d.comb += grown.eq(self.taken - told)
        m.d.sync += due.eq(grown >= self._spec.receive_bytes // 2)
        with m.If(self.clear):
            m.d.sync += told.eq(0)
        with m.Elif(self.advance):
            m.d.sync += told.eq(self.taken)
        return due
