"""Conductances of consecutive cells of the twin, from bytes and as bytes."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden_model.commands import FIELDS, Opcode, Tag, cell_bytes, field_bytes
from golden_model.twin import TwinSpec
from hdl.answer_merger import ANSWER_BYTE
from hdl.twin import cell_count, request_layout
from hdl.twin_lane import Command, cell_layout

CELL_BITS = 8 * FIELDS[Opcode.CELLS]["cell"]
COUNT_BITS = 8 * FIELDS[Opcode.CELLS]["count"]


class CellAccessor(wiring.Component):
    """Programs `count` cells from number `cell` on with the bytes that come, or reads them.

    `start` begins, while not `busy`. A read is answered by a CELLS of `golden_model.commands`.
    Cells that do not exist are left out, and read as 0; afterwards `missed` tells that there were
    any, and `first_missed` the first. A cell takes the twin's `ACCESS_CYCLES`, a cycle for each of
    its `cell_bytes`, and 3 more.
    """

    def __init__(self, spec: TwinSpec) -> None:
        self._spec = spec
        super().__init__(
            {
                "start": In(1),
                "program": In(1),
                "cell": In(CELL_BITS),
                "count": In(COUNT_BITS),
                "busy": Out(1),
                "missed": Out(1),
                "first_missed": Out(CELL_BITS),
                "bytes": In(stream.Signature(8)),
                "answers": Out(stream.Signature(ANSWER_BYTE)),
                "request": Out(stream.Signature(request_layout(spec))),
                "response": In(stream.Signature(cell_layout(spec))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """One cell after another; its bytes, or those of the answer's head, in a shift register."""
        m = Module()
        size, head = cell_bytes(self._spec), 1 + field_bytes(Tag.CELLS)
        shifted = Signal(8 * max(size, head))
        index = Signal(range(max(size, head)))
        program = Signal()
        cell, left = Signal.like(self.cell), Signal.like(self.count)
        exists = Signal()
        request, answer = self.request.payload, self.answers.payload
        m.d.comb += [
            request.command.eq(Mux(program, Command.PROGRAM, Command.READ)),
            request.cell.eq(cell),
            request.word.conductance.eq(shifted),
            answer.byte.eq(shifted[:8]),
        ]
        m.d.sync += exists.eq(cell < cell_count(self._spec))

        def say(count: int, following: str) -> None:
            """Answer with `count` bytes, then go on to state `following`."""
            m.d.comb += self.answers.valid.eq(1)
            with m.If(self.answers.ready):
                m.d.sync += [shifted.eq(shifted >> 8), index.eq(index + 1)]
                with m.If(index == count - 1):
                    m.d.sync += index.eq(0)
                    m.next = following

        with m.FSM() as states:
            m.d.comb += self.busy.eq(~states.ongoing("IDLE"))
            with m.State("IDLE"):
                m.d.sync += [program.eq(self.program), cell.eq(self.cell), left.eq(self.count)]
                m.d.sync += shifted.eq(Cat(Const(Tag.CELLS, 8), self.count))
                with m.If(self.start):
                    m.d.sync += self.missed.eq(0)
                    m.next = "HEAD"
                    with m.If(self.program):
                        m.next = "COUNT"
            with m.State("HEAD"):
                m.d.comb += answer.last.eq((index == head - 1) & (left == 0))
                say(head, "COUNT")
            with m.State("COUNT"):
                m.next = "REQUEST"
                with m.If(left == 0):
                    m.next = "IDLE"
                with m.Elif(program):
                    m.next = "BYTES"
            with m.State("BYTES"):
                m.d.comb += self.bytes.ready.eq(1)
                with m.If(self.bytes.valid):
                    m.d.sync += shifted.word_select(index, 8).eq(self.bytes.payload)
                    m.d.sync += index.eq(index + 1)
                    with m.If(index == size - 1):
                        m.d.sync += index.eq(0)
                        m.next = "REQUEST"
            with m.State("REQUEST"):
                m.d.comb += self.request.valid.eq(exists)
                with m.If(~exists):
                    m.d.sync += [shifted.eq(0), self.missed.eq(1)]
                    with m.If(~self.missed):
                        m.d.sync += self.first_missed.eq(cell)
                    m.next = "SAY"
                    with m.If(program):
                        m.next = "NEXT"
                with m.Elif(self.request.ready):
                    m.next = "RESPONSE"
                    with m.If(program):
                        m.next = "NEXT"
            with m.State("RESPONSE"):
                m.d.comb += self.response.ready.eq(1)
                m.d.sync += shifted.eq(self.response.payload.conductance)
                with m.If(self.response.valid):
                    m.next = "SAY"
            with m.State("SAY"):
                m.d.comb += answer.last.eq((index == size - 1) & (left == 1))
                say(size, "NEXT")
            with m.State("NEXT"):
                m.d.sync += [cell.eq(cell + 1), left.eq(left - 1)]
                m.next = "COUNT"
        return m
