"""The accelerator's packets and the answers to commands in one stream of bytes."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden_model.commands import Tag

ANSWER_BYTE = data.StructLayout({"byte": 8, "last": 1})
"""A byte of an answer, and whether it ends it."""


def beat_layout(beat_bytes: int) -> data.StructLayout:
    """A beat of AXI4-Stream: its bytes, the first lowest, and whether it ends its packet."""
    return data.StructLayout({"data": 8 * beat_bytes, "last": 1})


class AnswerMerger(wiring.Component):
    """Takes whole answers and whole beats, by turns where both wait, and sends their bytes.

    A beat of `beat_bytes` is preceded by its tag, BEAT or LAST_BEAT; the bytes of an answer pass
    as they are. A byte a cycle, and a cycle before each answer and each beat.
    """

    def __init__(self, beat_bytes: int) -> None:
        self._beat_bytes = beat_bytes
        super().__init__(
            {
                "answers": In(stream.Signature(ANSWER_BYTE)),
                "beats": In(stream.Signature(beat_layout(beat_bytes))),
                "output": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """A beat shifts out of a register, its tag first."""
        m = Module()
        beat, answers = self.beats.payload, self.answers.payload
        waiting = Signal(8 * (self._beat_bytes + 1))
        count = Signal(range(self._beat_bytes + 1))
        was_beat = Signal()
        with m.FSM():
            with m.State("CHOOSE"):
                tag = Mux(beat.last, Tag.LAST_BEAT, Tag.BEAT)
                m.d.sync += [waiting[:8].eq(tag), waiting[8:].eq(beat.data), count.eq(0)]
                with m.If(self.beats.valid & ~(self.answers.valid & was_beat)):
                    m.d.comb += self.beats.ready.eq(1)
                    m.next = "BEAT"
                with m.Elif(self.answers.valid):
                    m.next = "ANSWER"
            with m.State("BEAT"):
                m.d.comb += [self.output.valid.eq(1), self.output.payload.eq(waiting[:8])]
                m.d.sync += was_beat.eq(1)
                with m.If(self.output.ready):
                    m.d.sync += [waiting.eq(waiting >> 8), count.eq(count + 1)]
                    with m.If(count == self._beat_bytes):
                        m.next = "CHOOSE"
            with m.State("ANSWER"):
                m.d.comb += [
                    self.output.valid.eq(self.answers.valid),
                    self.output.payload.eq(answers.byte),
                    self.answers.ready.eq(self.output.ready),
                ]
                m.d.sync += was_beat.eq(0)
                with m.If(self.answers.valid & self.output.ready & answers.last):
                    m.next = "CHOOSE"
        return m
