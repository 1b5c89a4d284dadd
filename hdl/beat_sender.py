"""Bytes become beats of the accelerator's packets."""

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden_model.commands import MAX_COUNT
from hdl.answer_merger import beat_layout


class BeatSender(wiring.Component):
    """Makes `count` beats of the bytes that come; with `ends` the last one ends its packet.

    `start` begins, while not `busy`, which then lasts until the last beat has been taken. A beat of
    `beat_bytes` takes as many cycles as bytes and two more; no byte is taken beyond them.
    """

    def __init__(self, beat_bytes: int) -> None:
        self._beat_bytes = beat_bytes
        super().__init__(
            {
                "start": In(1),
                "count": In(range(MAX_COUNT + 1)),
                "ends": In(1),
                "busy": Out(1),
                "bytes": In(stream.Signature(8)),
                "beats": Out(stream.Signature(beat_layout(beat_bytes))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Bytes shift into a register."""
        m = Module()
        beat = Signal(8 * self._beat_bytes)
        index = Signal(range(self._beat_bytes))
        left = Signal.like(self.count)
        ends = Signal()
        m.d.comb += [
            self.beats.payload.data.eq(beat),
            self.beats.payload.last.eq(ends & (left == 1)),
        ]
        with m.FSM() as states:
            m.d.comb += self.busy.eq(~states.ongoing("IDLE"))
            with m.State("IDLE"):
                m.d.sync += [left.eq(self.count), ends.eq(self.ends), index.eq(0)]
                with m.If(self.start):
                    m.next = "COUNT"
            with m.State("COUNT"):
                m.next = "BYTES"
                with m.If(left == 0):
                    m.next = "IDLE"
            with m.State("BYTES"):
                m.d.comb += self.bytes.ready.eq(1)
                with m.If(self.bytes.valid):
                    m.d.sync += [beat.eq(Cat(beat, self.bytes.payload) >> 8), index.eq(index + 1)]
                    with m.If(index == self._beat_bytes - 1):
                        m.d.sync += index.eq(0)
                        m.next = "BEAT"
            with m.State("BEAT"):
                m.d.comb += self.beats.valid.eq(1)
                with m.If(self.beats.ready):
                    m.d.sync += left.eq(left - 1)
                    m.next = "COUNT"
        return m
