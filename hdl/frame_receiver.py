"""The board's receiver of frames: checks each, and says what follows from it."""

from enum import Enum, auto

from amaranth import Cat, Module, Signal
from amaranth.lib import crc, data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from golden_model.link import CRC_BYTES, HEADER, HEADER_BYTES, MAX_PAYLOAD, RESEND, SYN
from hdl.byte_ring import OFFSET

HEADER_LAYOUT = data.StructLayout(HEADER)
"""A frame's header, its first byte lowest."""

CRC = crc.catalog.CRC32_ISO_HDLC(data_width=8)
"""The CRC of Ethernet and zlib, a byte a cycle."""


class State(Enum):
    """The part of the frame that comes next."""

    HEADER = 0
    CHECK = auto()
    PAYLOAD = auto()
    CRC = auto()
    COMPLETE = auto()
    EXCESS = auto()


class FrameReceiver(wiring.Component):
    """Takes the bytes of a `hdl.cobs.CobsDecoder`, which must come four cycles apart or more.

    `put`, `commit` and `drop` are those of a `ReceiveRing`, whose `end` and `room` are inputs. The
    payload of a frame of the session, at offset `end`, that fits is put, and committed once the
    frame proves undamaged. Two cycles after the `end` of a frame, for one cycle,

    - `restart`: it begins a new session, whose number is now `session`;
    - `acknowledge`, of offset `acknowledged`, and `go_back` if it says RESEND;
    - `answer`: the other end waits for a frame, with SYN if `syn`, with RESEND if `ask`. Once asked
      to send again, it is not asked a second time before a frame in order has come, for what is
      under way behind the one that was lost is lost as well.

    An undamaged frame of another session changes nothing, unless it begins one. One that begins
    the session that is under way, a duplicate, is only answered.
    """

    def __init__(self, receive_bytes: int) -> None:
        super().__init__(
            {
                "input": In(stream.Signature(8, always_ready=True)),
                "end": In(1),
                "whole": In(1),
                "expected": In(OFFSET),
                "room": In(bits_for(receive_bytes)),
                "put": Out(1),
                "byte": Out(8),
                "commit": Out(1),
                "drop": Out(1),
                "session": Out(HEADER["session"]),
                "restart": Out(1),
                "acknowledge": Out(1),
                "acknowledged": Out(HEADER["acknowledged"]),
                "go_back": Out(1),
                "answer": Out(1),
                "syn": Out(1),
                "ask": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The header in a shift register, checked while its last byte's successor is on the line;
        the verdict when the frame ends.
        """
        m = Module()
        m.submodules.crc = check = CRC.create()
        header = Signal(HEADER_LAYOUT)
        state = Signal(State)
        left = Signal(range(MAX_PAYLOAD + 1), init=HEADER_BYTES - 1)
        ahead = Signal(OFFSET)
        ours = Signal()
        fits = Signal()
        in_order = Signal()
        taking = Signal()
        m.d.comb += [
            check.start.eq(self.end),
            check.data.eq(self.input.payload),
            check.valid.eq(self.input.valid),
            self.put.eq(self.input.valid & taking & (state == State.PAYLOAD)),
            self.byte.eq(self.input.payload),
            self.acknowledged.eq(header.acknowledged),
        ]
        m.d.sync += [
            ahead.eq(header.offset - self.expected),
            ours.eq(header.session == self.session),
            in_order.eq(ahead == 0),
            taking.eq(ours & fits & in_order),
        ]
        with m.Switch(state):
            with m.Case(State.HEADER):
                with m.If(self.input.valid):
                    m.d.sync += [
                        header.eq(Cat(header.as_value()[8:], self.input.payload)),
                        left.eq(left - 1),
                    ]
                    with m.If(left == 0):
                        m.d.sync += state.eq(State.CHECK)
            with m.Case(State.CHECK):
                # Once: room may come while the payload does, but its first bytes are then lost.
                m.d.sync += [
                    fits.eq(header.length <= self.room),
                    left.eq(header.length - 1),
                    state.eq(State.PAYLOAD),
                ]
                with m.If(header.length == 0):
                    m.d.sync += [left.eq(CRC_BYTES - 1), state.eq(State.CRC)]
            with m.Case(State.PAYLOAD):
                with m.If(self.input.valid):
                    m.d.sync += left.eq(left - 1)
                    with m.If(left == 0):
                        m.d.sync += [left.eq(CRC_BYTES - 1), state.eq(State.CRC)]
            with m.Case(State.CRC):
                with m.If(self.input.valid):
                    m.d.sync += left.eq(left - 1)
                    with m.If(left == 0):
                        m.d.sync += state.eq(State.COMPLETE)
            with m.Case(State.COMPLETE):
                with m.If(self.input.valid):
                    m.d.sync += state.eq(State.EXCESS)
        ended = Signal()
        good = Signal()
        m.d.sync += ended.eq(self.end)
        with m.If(self.end):
            m.d.sync += [
                good.eq(self.whole & check.match_detected & (state == State.COMPLETE)),
                state.eq(State.HEADER),
                left.eq(HEADER_BYTES - 1),
            ]

        # The verdict: what follows from the frame that has ended.
        asked = Signal()
        lost = Signal()
        syn = Signal()
        resend = Signal()
        empty = Signal()
        gap = Signal()
        m.d.comb += [
            gap.eq(~in_order & ~ahead[-1]),
            syn.eq((header.flags & SYN).any()),
            resend.eq((header.flags & RESEND).any()),
            empty.eq(header.length == 0),
        ]
        for output in (self.commit, self.restart, self.acknowledge, self.go_back, self.answer,
                       self.syn, self.ask):  # fmt: skip
            m.d.sync += output.eq(0)
        m.d.sync += self.drop.eq(ended)
        with m.If(ended & ~good):
            m.d.comb += lost.eq(1)
        with m.Elif(ended & syn):
            m.d.sync += [self.answer.eq(1), self.syn.eq(1)]
            with m.If(~ours):
                m.d.sync += [self.session.eq(header.session), self.restart.eq(1), asked.eq(0)]
        with m.Elif(ended & ours):
            m.d.comb += lost.eq(gap)
            m.d.sync += [
                self.commit.eq(taking),
                self.drop.eq(~taking),
                self.acknowledge.eq(1),
                self.go_back.eq(resend),
                self.answer.eq(resend | ~(empty | gap)),
            ]
            with m.If(in_order):
                m.d.sync += asked.eq(0)
        with m.If(lost & ~asked):
            m.d.sync += [asked.eq(1), self.answer.eq(1), self.ask.eq(1)]
        return m
