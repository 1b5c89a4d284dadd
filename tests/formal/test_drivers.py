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
                   buffer_rows=4, tile_rows=2, tile_columns=2, max_slots=2, adcs=2)  # fmt: skip
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
    driven if and only if the line's own duty exceeds its threshold and the phase is its polarity's,
    or both are.
    """
    slot = surviving(m, dut.fire, dut.abort, LATENCY)
    withdrawn = past(m, dut.abort | ResetSignal())
    phase, both = (past(m, port, LATENCY) for port in (dut.negative_phase, dut.both_phases))
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
        Assert(slot | ~(dut.positive | dut.negative).any(), "idle outside of slots"),
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
            Assert(
                dut.positive[line] == (slot & fires & (~phase | both) & ~own),
                "driven when it fires",
            ),
            Assert(
                dut.negative[line] == (slot & fires & (phase | both) & own), "driven when it fires"
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
        ("m.If(slots[-1] & ~self.abort)", "m.If(slots[-1])"),
        ("joined < duty.magnitude", "joined <= duty.magnitude"),
        ("negative.append(fires & polarity)", "negative.append(fires)"),
        ("self.positive.eq(0),", ""),
        (
            "negative_phases.eq(Cat(self.negative_phase | self.both_phases, negative_phases))",
            "negative_phases.eq(Cat(self.negative_phase, negative_phases))",
        ),
        (
            "positive_phases.eq(Cat(~self.negative_phase | self.both_phases, positive_phases))",
            "positive_phases.eq(~self.negative_phase | self.both_phases)",
        ),
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
    fired = [
        past(m, Cat(getattr(side, f"fires_{line}") for line in range(2)))
        for side in (rows, columns)
    ]
    update = dut.slot_valid
    both_rows = dut.rows_positive.any() & dut.rows_negative.any()
    both_columns = dut.columns_positive.any() & dut.columns_negative.any()
    sensed = Mux(past(m, dut.read.transposed, LATENCY), row, column)
    m.d.comb += [
        Assert(~(dut.rows_positive & dut.rows_negative).any(), "never both polarities"),
        Assert(~(dut.columns_positive & dut.columns_negative).any(), "never both polarities"),
        Assert(~update | ~(both_rows | both_columns), "one polarity a slot of an update"),
        Assert(~withdrawn | ~(row | column).any(), "idle after abort or reset"),
        Assert(~withdrawn | ~(dut.busy | update | dut.done), "over after abort or reset"),
        Assert(~withdrawn | ~(dut.read_valid | dut.convert), "over after abort or reset"),
        Assert(update | dut.read_valid | ~(row | column).any(), "idle outside of slots"),
        Assert(~(update & dut.read_valid), "a slot of an update or of a read"),
        Assert(~dut.convert | dut.read_valid, "converts at the end of a drive"),
        Assert(~dut.read_valid | ~sensed.any(), "a read drives one side"),
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
        ("Mux(self.abort, 0, Cat(fired, slots))", "Cat(fired, slots)"),
        ("                driver.abort.eq(self.abort),\n", ""),
        ("slots = Signal(line_driver.LATENCY,", "slots = Signal(line_driver.LATENCY - 1,"),
        ("(self.slot_valid, sequencer.fire & ~reading)", "(self.slot_valid, sequencer.fire)"),
        ("(self.read_valid, read.fire & reading)", "(self.read_valid, read.fire)"),
        ("read.fire & ~read.transposed, sequencer.fire", "read.fire, sequencer.fire"),
        ("driver.both_phases.eq(reading)", "driver.both_phases.eq(1)"),
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
