"""Performing a host's commands on a machine: bytes in, accesses and beats out, answers back."""

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden_model.commands import FIELDS, Error, Opcode, Tag, field_bytes
from golden_model.parameters import Parameters
from golden_model.twin import TwinSpec
from hdl.answer_merger import ANSWER_BYTE, beat_layout
from hdl.beat_sender import BeatSender
from hdl.cell_accessor import CellAccessor
from hdl.lite_manager import ACCESS, RESPONSE
from hdl.twin import request_layout
from hdl.twin_lane import cell_layout

FIELD_BYTES = max(field_bytes(opcode) for opcode in Opcode)
"""Bytes of the fields of the longest command."""


def _layout(kind: Opcode | Tag) -> data.StructLayout:
    return data.StructLayout({name: 8 * size for name, size in FIELDS[kind].items()})


class LinkExecutor(wiring.Component):
    """Performs `golden_model.commands`, one after another, and answers those that are answered.

    Registers are accessed through a `LiteManager` at `access` and `response`, cells through the
    twin's host port at `request` and `cells`; `beats` go to the accelerator. What the accelerator
    sends does not pass here (`AnswerMerger`), so that it goes on while a command waits.

    `errors` has bit `Error` - 1 for each kind of mistake since reset. After an unknown opcode all
    bytes are taken and nothing is done any more.

    A command that the machine does not take, such as beats for an idle accelerator, holds up those
    behind it until reset. Else a byte a cycle while fields come, and then of WRITE and READ some 10
    cycles, of others what `BeatSender` and `CellAccessor` say.
    """

    def __init__(self, parameters: Parameters, spec: TwinSpec) -> None:
        self._spec = spec
        self._beat_bytes = parameters.stream_bytes
        super().__init__(
            {
                "commands": In(stream.Signature(8)),
                "answers": Out(stream.Signature(ANSWER_BYTE)),
                "access": Out(stream.Signature(ACCESS)),
                "response": In(stream.Signature(RESPONSE)),
                "beats": Out(stream.Signature(beat_layout(self._beat_bytes))),
                "request": Out(stream.Signature(request_layout(spec))),
                "cells": In(stream.Signature(cell_layout(spec))),
                "errors": Out(len(Error)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The command's bytes are collected, then it is performed by what it belongs to."""
        m = Module()
        m.submodules.sender = sender = BeatSender(self._beat_bytes)
        m.submodules.accessor = accessor = CellAccessor(self._spec)
        opcode = Signal(8)
        header = Signal(8 * FIELD_BYTES)
        fields = {each: data.View(_layout(each), header[: _layout(each).size]) for each in Opcode}
        index, last = Signal(range(FIELD_BYTES)), Signal(range(FIELD_BYTES))
        word, error = _layout(Tag.WORD), _layout(Tag.ERROR)
        said = Signal(8 + max(word.size, error.size))  # an answer: its tag, then its fields
        said_bytes = len(said) // 8
        said_index = Signal(range(said_bytes))

        def is_one(*opcodes: Opcode) -> Value:
            return Cat(opcode == each for each in opcodes).any()

        def report(kind: Error, detail: Value) -> None:
            """Answer with an ERROR."""
            m.d.sync += said.eq(Cat(Const(Tag.ERROR, 8), error.const({"error": kind}).as_value()))
            m.d.sync += said[-error["detail"].width :].eq(detail)
            m.d.sync += self.errors[kind - 1].eq(1)
            m.next = "SAY"

        wiring.connect(m, wiring.flipped(self.beats), sender.beats)
        wiring.connect(m, wiring.flipped(self.request), accessor.request)
        wiring.connect(m, wiring.flipped(self.cells), accessor.response)
        write, wait, cells = (fields[each] for each in (Opcode.WRITE, Opcode.WAIT, Opcode.CELLS))
        result = Signal(RESPONSE)
        m.d.comb += [
            self.access.payload.write.eq(is_one(Opcode.WRITE)),
            self.access.payload.address.eq(write.address),
            self.access.payload.word.eq(write.word),
            sender.count.eq(fields[Opcode.SEND].count),
            sender.ends.eq(is_one(Opcode.SEND_LAST)),
            sender.bytes.payload.eq(self.commands.payload),
            accessor.program.eq(is_one(Opcode.PROGRAM)),
            accessor.cell.eq(cells.cell),
            accessor.count.eq(cells.count),
            accessor.bytes.payload.eq(self.commands.payload),
        ]

        with m.FSM():
            with m.State("OPCODE"):
                m.d.comb += self.commands.ready.eq(1)
                m.d.sync += [opcode.eq(self.commands.payload), index.eq(0)]
                with m.If(self.commands.valid):
                    m.next = "FIELDS"
                    with m.Switch(self.commands.payload):
                        for each in Opcode:
                            with m.Case(each):
                                m.d.sync += last.eq(field_bytes(each) - 1)
                        with m.Default():
                            report(Error.OPCODE, self.commands.payload)
            with m.State("FIELDS"):
                m.d.comb += self.commands.ready.eq(1)
                with m.If(self.commands.valid):
                    m.d.sync += header.word_select(index, 8).eq(self.commands.payload)
                    m.d.sync += index.eq(index + 1)
                    with m.If(index == last):
                        m.next = "BEGIN"
            with m.State("BEGIN"):
                with m.If(is_one(Opcode.SEND, Opcode.SEND_LAST)):
                    m.d.comb += sender.start.eq(1)
                    m.next = "SEND"
                with m.Elif(is_one(Opcode.PROGRAM, Opcode.CELLS)):
                    m.d.comb += accessor.start.eq(1)
                    m.next = "CELLS"
                with m.Else():
                    m.next = "ACCESS"
            with m.State("ACCESS"):
                m.d.comb += self.access.valid.eq(1)
                with m.If(self.access.ready):
                    m.d.sync += wait.reads.eq(wait.reads - 1)
                    m.next = "RESPONSE"
            with m.State("RESPONSE"):
                m.d.comb += self.response.ready.eq(1)
                m.d.sync += result.eq(self.response.payload)
                with m.If(self.response.valid):
                    m.next = "JUDGE"
            with m.State("JUDGE"):
                wrong, other = result.code != 0, (result.word & wait.mask) != wait.value
                with m.If(is_one(Opcode.WRITE) & wrong):
                    report(Error.REFUSED, write.address)
                with m.Elif(is_one(Opcode.WRITE)):
                    m.next = "OPCODE"
                with m.Elif(is_one(Opcode.WAIT) & ~wrong & other & (wait.reads != 0)):
                    m.next = "ACCESS"
                with m.Else():
                    code = data.View(word, said[8:]).response
                    m.d.sync += [said[:8].eq(Tag.WORD), code.eq(result.code)]
                    m.d.sync += data.View(word, said[8:]).word.eq(result.word)
                    m.next = "SAY"
            with m.State("SEND"):
                m.d.comb += [
                    sender.bytes.valid.eq(self.commands.valid),
                    self.commands.ready.eq(sender.bytes.ready),
                ]
                with m.If(~sender.busy):
                    m.next = "OPCODE"
            with m.State("CELLS"):
                m.d.comb += [
                    accessor.bytes.valid.eq(self.commands.valid),
                    self.commands.ready.eq(accessor.bytes.ready),
                    self.answers.valid.eq(accessor.answers.valid),
                    self.answers.payload.eq(accessor.answers.payload),
                    accessor.answers.ready.eq(self.answers.ready),
                ]
                with m.If(~accessor.busy):
                    m.next = "OPCODE"
                    with m.If(accessor.missed):
                        report(Error.CELL, accessor.first_missed)
            with m.State("SAY"):
                done = said_index == said_bytes - 1
                m.d.comb += [
                    self.answers.valid.eq(1),
                    self.answers.payload.byte.eq(said[:8]),
                    self.answers.payload.last.eq(done),
                ]
                with m.If(self.answers.ready):
                    m.d.sync += [said.eq(said >> 8), said_index.eq(Mux(done, 0, said_index + 1))]
                    with m.If(done):
                        m.next = "OPCODE"
                        with m.If(self.errors[Error.OPCODE - 1]):
                            m.next = "LOST"
            with m.State("LOST"):
                m.d.comb += self.commands.ready.eq(1)
        return m
