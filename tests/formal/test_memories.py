"""Proofs of components with memories hold whatever comes of a word that is read while written."""

import pytest
from amaranth import Const, Module
from amaranth.hdl import Assert
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from tests.formal.prove import past, prove


class Words(wiring.Component):
    """A memory, one address for both of its ports."""

    write: In(1)
    address: In(1)
    data: In(8)
    word: Out(8)

    def elaborate(self, platform):
        m = Module()
        m.submodules.words = words = memory.Memory(shape=8, depth=2, init=[])
        read, write = words.read_port(), words.write_port()
        m.d.comb += [
            write.en.eq(self.write),
            write.addr.eq(self.address),
            write.data.eq(self.data),
            read.addr.eq(self.address),
            self.word.eq(read.data),
        ]
        return m


def old_word_comes(m, dut, inside, unless):
    """The word that was there, but in the first cycle and after a cycle of `unless`."""
    old = past(m, inside.word(m, "words", dut.address))
    m.d.comb += Assert(~past(m, Const(1)) | past(m, unless) | (dut.word == old))


@pytest.mark.nightly
def test_any_word_comes_where_one_is_read_while_it_is_written_and_else_what_was_there():
    def always(m, dut, inside):
        old_word_comes(m, dut, inside, Const(0))

    def unless_written(m, dut, inside):
        old_word_comes(m, dut, inside, dut.write)

    assert prove(Words(), always, method="induction", depth=2).refuted
    assert prove(Words(), unless_written, method="induction", depth=2).proved
