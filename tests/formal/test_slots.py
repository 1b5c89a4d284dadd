"""Proof of the slots of an update: four phases of them, with their thresholds and polarities."""

import pytest
from amaranth import Array, Cat, Const, Mux, ResetSignal, Signal
from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Assume, Cover

from golden_model.parameters import Parameters
from golden_model.pulses import PHASES
from hdl import slot_sequencer
from hdl.random_bits import reversed_bits
from hdl.slot_sequencer import SlotSequencer
from tests.formal.prove import mutant, past, prove

PARAMETERS = Parameters(width=8, lanes=2, columns=1, max_rank=1, max_m=2, max_n=2, max_block=1,
                        buffer_rows=4, tile_rows=2, tile_columns=2, max_slots=4,
                        adcs=2)  # fmt: skip
BITS = PARAMETERS.width - 1


def every_slot_has_its_place(m, dut, inside):
    """The slots that are run are numbers 0 to L - 1 of the phases ++, --, +-, -+, and then anew;
    each fires in the cycle after its first, with its thresholds, unless an abort or a reset
    withdraws it, and takes 1 + `further` cycles.

    Assumed: the number of slots and their length rest; none is run in the first three cycles after
    a reset.
    """
    log2, further = AnyConst(2), AnyConst(len(dut.further))
    settled = past(m, ~ResetSignal())
    rested = settled & past(m, settled) & past(m, settled, 2)
    m.d.comb += [
        Assume(log2 <= 2),
        Assume(dut.log2 == log2),
        Assume(dut.further == further),
        Assume(~dut.run | rested),
    ]
    number, phase = Signal(2), Signal(2)
    highest = ((1 << log2) - 1)[:2]
    elapsed = Signal.like(dut.further)  # cycles of the slot under way; 0 between slots
    begins = dut.run & (elapsed == 0)
    ends = (begins | (elapsed != 0)) & (elapsed == further)
    with m.If(dut.abort | ends):
        m.d.sync += elapsed.eq(0)
    with m.Elif(begins | (elapsed != 0)):
        m.d.sync += elapsed.eq(elapsed + 1)
    with m.If(dut.abort):
        m.d.sync += [number.eq(0), phase.eq(0)]
    with m.Elif(ends):
        m.d.sync += number.eq(Mux(number == highest, 0, number + 1))
        m.d.sync += phase.eq(phase + (number == highest))
    row = (number << (BITS - log2)[:3])[:BITS]
    column = reversed_bits(Cat(number, Const(0, BITS - 2)))
    fire = past(m, begins & ~dut.abort & ~ResetSignal())
    negative = [Array(Const(pair[side] < 0, 1) for pair in PHASES)[phase] for side in range(2)]
    m.d.comb += [
        Assert(dut.last == (ends & (number == inside.highest) & (phase == 3))),
        Assert(elapsed <= further),
        Assert(inside.left == Mux(elapsed == 0, 0, further - elapsed + 1)),
        Assert(inside.free == (inside.left == 0)),
        Assert(inside.ending == (inside.left == 1)),
        Assert(~settled | (inside.one == (further == 0))),
        Assert(~settled | (inside.two == (further == 1))),
        Assert(~settled | ~past(m, settled) | (inside.single == (highest == 0))),
        Assert(~rested | (inside.end == (number == highest))),
        Assert(rested | ((elapsed == 0) & (number == 0))),
        Assert(~settled | (inside.highest == highest)),
        Assert(~settled | (inside.step == (Const(1, BITS + 1) << (BITS - log2)[:3])[:BITS])),
        Assert(inside.slot == number),
        Assert(inside.phase == phase),
        Assert(number <= highest),
        Assert(inside.row == row),
        Assert(dut.fire == fire),
        Assert(~fire | (dut.row_threshold == past(m, row ^ dut.row_mask))),
        Assert(~fire | (dut.column_threshold == past(m, column ^ dut.column_mask))),
        Assert(~fire | (dut.row_negative == past(m, negative[0]))),
        Assert(~fire | (dut.column_negative == past(m, negative[1]))),
        Cover((log2 == 2) & past(m, dut.last & (further == 1))),
    ]


def test_every_slot_has_its_place():
    outcome = prove(
        SlotSequencer(PARAMETERS), every_slot_has_its_place, method="induction", depth=3
    )
    assert outcome.proved


@pytest.mark.nightly
def test_all_slots_can_be_run():
    outcome = prove(SlotSequencer(PARAMETERS), every_slot_has_its_place, method="reach", depth=40)
    assert outcome.proved


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("self.fire.eq(0), left.eq(0)", "left.eq(0)"),
        ("self.fire.eq(0), left.eq(0)", "self.fire.eq(0)"),
        ("begins.eq(self.run & free)", "begins.eq(self.run)"),
        ("ending.eq(left == 2)", "ending.eq(left == 3)"),
        ("slot.eq(0), end.eq(single), phase", "slot.eq(0), end.eq(0), phase"),
        ("slot.eq(0), end.eq(single), row", "slot.eq(0), end.eq(0), row"),
        ("with m.If(ends)", "with m.If(begins)"),
        ("reversed_bits(slot) ^", "slot ^"),
        ("row.eq(row + step)", "row.eq(row + 1)"),
        ("highest.eq((1 << log2) - 1)", "highest.eq(1 << log2)"),
    ],
)
def test_broken_slots_are_refuted(old, new):
    broken = mutant(slot_sequencer, old, new)
    outcome = prove(
        broken.SlotSequencer(PARAMETERS), every_slot_has_its_place, method="induction", depth=6
    )
    assert outcome.refuted
