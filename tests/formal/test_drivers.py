"""Proofs of the drivers: which lines may be driven, when, and with which polarity."""

import pytest
from amaranth import Cat, Mux, ResetSignal, Signal
from amaranth.hdl import Assert, Cover

from golden_model.parameters import Parameters
from golden_model.random_bits import ROW_SHIFTS, WORD_BITS
from hdl import line_driver, update
from hdl.line_driver import LATENCY, LineDriver
from hdl.update import UpdateDriver
from tests.formal.prove import Status, mutant, past, prove

SMALL = Parameters(width=8, lanes=2, columns=1, max_rank=1, max_m=2, max_n=2, max_block=1,
                   buffer_rows=4, tile_rows=2, tile_columns=2, max_slots=2)  # fmt: skip
LINES = 4


def surviving(m, fire, abort, cycles):
    """`fire` some cycles ago, if neither an abort nor a reset has withdrawn it since."""
    for _ in range(cycles):
        later = Signal()
        m.d.sync += later.eq(fire & ~abort)
        fire = later
    return fire


def a_line_is_driven_exactly_when_it_fires(m, dut, inside):
    """Idle outside of slots and from the cycle after abort or reset on; one polarity; in a slot
    driven if and only if the line's own duty exceeds its threshold and the phase is its polarity's;
    unchanged while the slot is held.
    """
    held = past(m, dut.hold & ~dut.abort & ~ResetSignal())
    slot = surviving(m, dut.fire, dut.abort, LATENCY)
    withdrawn = past(m, dut.abort | ResetSignal())
    phase = past(m, dut.negative_phase, LATENCY)
    shared = past(m, Mux(dut.scrambled, dut.threshold, 0), 4)
    generators = inside.submodule("generators")
    turn = Signal(range(LINES // SMALL.lanes))
    with m.If(dut.abort):
        m.d.sync += turn.eq(0)
    with m.Elif(dut.load):
        m.d.sync += turn.eq(Mux(turn == LINES // SMALL.lanes - 1, 0, turn + 1))
    m.d.comb += [
        Assert(inside.turn == 1 << turn),
        Assert(~(dut.positive & dut.negative).any(), "never both polarities"),
        Assert(~withdrawn | ~(dut.positive | dut.negative).any(), "idle after abort or reset"),
        Assert(slot | held | ~(dut.positive | dut.negative).any(), "idle outside of slots"),
    ]
    for line in range(LINES):
        duty = Signal.like(dut.duties[0], name=f"loaded_{line}", reset_less=True)
        with m.If(dut.load & (turn == line // SMALL.lanes)):
            m.d.sync += duty.eq(dut.duties[line % SMALL.lanes])
        drawn = getattr(generators, f"state_{line}")[WORD_BITS - (SMALL.width - 1) :]
        fires = (shared ^ past(m, drawn, 3)) < past(m, duty.magnitude, 2)
        own = past(m, duty.negative, 2)
        m.d.comb += [
            Assert(getattr(inside, f"duty_{line}") == duty.as_value()),
            *(
                Assert(
                    pins[line] == Mux(slot, fires & polarity, held & past(m, pins[line])),
                    "driven when it fires",
                )
                for pins, polarity in ((dut.positive, ~phase & ~own), (dut.negative, phase & own))
            ),
        ]
    m.d.comb += Cover(dut.positive.all() & past(m, dut.negative.any()))


def test_a_line_is_driven_exactly_when_it_fires():
    outcome = prove(
        LineDriver(SMALL, LINES, ROW_SHIFTS),
        a_line_is_driven_exactly_when_it_fires,
        method="induction",
        depth=6,
    )
    assert outcome.proved


@pytest.mark.nightly
def test_lines_of_both_polarities_can_be_driven():
    outcome = prove(
        LineDriver(SMALL, LINES, ROW_SHIFTS),
        a_line_is_driven_exactly_when_it_fires,
        method="reach",
        depth=12,
    )
    assert outcome.proved


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Mux(self.abort, 0, Cat(self.fire, slots))", "Cat(self.fire, slots)"),
        ("self.abort | ~(slots[-1] | self.hold)", "~(slots[-1] | self.hold)"),
        ("self.abort | ~(slots[-1] | self.hold)", "self.abort"),
        ("joined < duty.magnitude", "joined <= duty.magnitude"),
        ("negative.append(fires & polarity)", "negative.append(fires)"),
        ("[self.positive.eq(0), self.negative.eq(0)]", "self.negative.eq(0)"),
        ("phases.eq(Cat(self.negative_phase, phases))", "phases.eq(self.negative_phase)"),
        ("turn.eq(turn.rotate_left(1))", "turn.eq(1)"),
    ],
)
def test_a_broken_line_driver_is_refuted(old, new):
    broken = mutant(line_driver, old, new)
    outcome = prove(
        broken.LineDriver(SMALL, LINES, ROW_SHIFTS),
        a_line_is_driven_exactly_when_it_fires,
        method="induction",
        depth=8,
    )
    assert outcome.refuted


def lines_are_driven_in_slots_only(m, dut, inside):
    """The pins of the update driver, with everything of it in front of them."""
    rows, columns = inside.submodule("row_driver"), inside.submodule("column_driver")
    row = dut.rows_positive | dut.rows_negative
    column = dut.columns_positive | dut.columns_negative
    withdrawn = past(m, dut.abort | ResetSignal())
    lines_now = Cat(row, column)
    # Which lines fire: the comparisons as they were before the slot's first cycle on the pins.
    slot = surviving(m, inside.submodule("sequencer").fire, dut.abort, LATENCY)
    held = past(m, dut.slot_valid & ~dut.slot_last & ~dut.abort & ~ResetSignal())
    fired = []
    for side in (rows, columns):
        kept = Signal(2)
        lines = past(m, Cat(getattr(side, f"fires_{line}") for line in range(2)))
        m.d.sync += kept.eq(Mux(slot, lines, kept))
        fired.append(Mux(slot, lines, kept))
    m.d.comb += [
        Assert(~(dut.rows_positive & dut.rows_negative).any(), "never both polarities"),
        Assert(~(dut.columns_positive & dut.columns_negative).any(), "never both polarities"),
        Assert(~(dut.rows_positive.any() & dut.rows_negative.any()), "one polarity a slot"),
        Assert(~(dut.columns_positive.any() & dut.columns_negative.any()), "one polarity a slot"),
        Assert(~withdrawn | ~(row | column).any(), "idle after abort or reset"),
        Assert(~withdrawn | ~(dut.busy | dut.slot_valid | dut.done), "over after abort or reset"),
        Assert(dut.slot_valid | ~(row | column).any(), "idle outside of slots"),
        Assert(dut.slot_valid == (slot | held), "a slot is one that fired, to its end"),
        Assert(dut.slot_valid | ~dut.slot_last, "a slot ends while it is on the pins"),
        Assert(~held | slot | (lines_now == past(m, lines_now)), "lines hold to the slot's end"),
    ]
    # The whole voltage is on the cell where a driven row crosses a driven column.
    for r in range(2):
        for c in range(2):
            m.d.comb += Assert(
                ~(row[r] & column[c]) | (fired[0][r] & fired[1][c]), "selected only if both fire"
            )


def test_lines_are_driven_in_slots_only():
    outcome = prove(
        UpdateDriver(SMALL), lines_are_driven_in_slots_only, method="induction", depth=6
    )
    assert outcome.proved


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Mux(self.abort, 0, Cat(sequencer.fire, coming))", "Cat(sequencer.fire, coming)"),
        ("                driver.abort.eq(self.abort),\n", ""),
        ("coming = Signal(line_driver.LATENCY - 1)", "coming = Signal(line_driver.LATENCY - 2)"),
        ("driver.hold.eq(self.slot_valid & ~self.slot_last)", "driver.hold.eq(self.slot_valid)"),
        ("m.d.sync += [state.eq(State.IDLE), self.done.eq(0)]", "m.d.sync += self.done.eq(0)"),
    ],
)
def test_a_broken_update_driver_is_not_proved(old, new):
    """Its first slot comes too late after power-up for a bounded search, but induction fails."""
    broken = mutant(update, old, new)
    outcome = prove(
        broken.UpdateDriver(SMALL), lines_are_driven_in_slots_only, method="induction", depth=6
    )
    assert outcome.status in (Status.UNDECIDED, Status.REFUTED)
