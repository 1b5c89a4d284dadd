"""Proofs of components with memories hold whatever comes of a word that is read while written."""

import pytest
from amaranth import Const
from amaranth.hdl import Assert

from tests.formal.prove import past, prove
from tests.hdl.words import Words

WORDS = 8, 2


def old_word_comes(m, dut, inside, unless):
    """The word that was there, but in the first cycle and after a cycle of `unless`."""
    old = past(m, inside.word(m, "words", dut.place))
    m.d.comb += Assert(~past(m, Const(1)) | past(m, unless) | (dut.word == old))


@pytest.mark.nightly
def test_any_word_comes_where_one_is_read_while_it_is_written_and_else_what_was_there():
    def always(m, dut, inside):
        old_word_comes(m, dut, inside, Const(0))

    def unless_written(m, dut, inside):
        old_word_comes(m, dut, inside, dut.write & (dut.address == dut.place))

    assert prove(Words(*WORDS), always, method="induction", depth=2).refuted
    assert prove(Words(*WORDS), unless_written, method="induction", depth=2).proved
