"""Proofs of the drivers: which lines may be driven, when, and with which polarity."""

import pytest
from amaranth import Cat, Mux, ResetSignal, Signal
from amaranth.hdl import Assert, Assume, Cover

from golden_model.half_select import SCHEMES
from golden_model.parameters import Parameters
from golden_model.random_bits import ROW_SHIFTS, WORD_BITS
from hdl import line_driver, update
from hdl.line_driver import LATENCY, LineDriver
from hdl.update import State, UpdateDriver, drain_cycles
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
    or both are; unchanged while the slot is held.
    """
    held = past(m, dut.hold & ~dut.abort & ~ResetSignal())
    slot = surviving(m, dut.fire, dut.abort, LATENCY)
    withdrawn = past(m, dut.abort | ResetSignal())
    phase, both, minus = (
        past(m, port, LATENCY) for port in (dut.negative_phase, dut.both_phases, dut.negative_level)
    )
    select, inhibit = past(m, dut.select), past(m, dut.inhibit)
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
        Assert(~withdrawn | ~dut.levels.any(), "idle after abort or reset"),
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
            Assert(
                dut.levels.word_select(line, 2)
                == Mux(
                    slot & select,
                    Mux(
                        fires & (both | (phase == own)),
                        2 + Mux(both, own, minus),
                        inhibit & ~both,
                    ),
                    Mux(held & ~slot, past(m, dut.levels.word_select(line, 2)), 0),
                ),
                "selected when it is driven",
            ),
            *(
                Assert(
                    pins[line] == Mux(slot, fires & polarity, held & past(m, pins[line])),
                    "driven when it fires",
                )
                for pins, polarity in (
                    (dut.positive, (~phase | both) & ~own),
                    (dut.negative, (phase | both) & own),
                )
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
        (
            "self.positive.eq(0), self.negative.eq(0), self.levels",
            "self.negative.eq(0), self.levels",
        ),
        (
            "negative_phases.eq(Cat(self.negative_phase | self.both_phases, negative_phases))",
            "negative_phases.eq(Cat(self.negative_phase, negative_phases))",
        ),
        (
            "positive_phases.eq(Cat(~self.negative_phase | self.both_phases, positive_phases))",
            "positive_phases.eq(~self.negative_phase | self.both_phases)",
        ),
        ("self.negative.eq(0), self.levels.eq(0)", "self.negative.eq(0)"),
        ("self.inhibit & ~reads[-1]", "self.inhibit"),
        ("Mux(reads[-1], now_negative[line], negative_levels[-1])", "negative_levels[-1]"),
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


def _sixths(level, positive):
    """Voltage of a line of `level` in sixths of V; an inhibited one may be `positive` or not."""
    inhibit = Mux(positive, 1, -1)
    return Mux(level[1], Mux(level[0], -3, 3), Mux(level[0], inhibit, 0))


def _reads_and_updates_alternate(m, dut, inside):
    """Why no slot of an update is on its way or on the pins while a read may drive, nor the
    reverse: the ages of slots, and the cycles that the driver takes before its first and after its
    last one.

    Assumed: no read while an update runs or starts; settings rest while busy.
    """
    timing = Cat(dut.length_less_1, dut.dead, dut.levels)
    m.d.comb += [
        Assume(~dut.read.active | ~(dut.busy | dut.start)),
        Assume(~past(m, dut.busy | dut.start) | (timing == past(m, timing))),
    ]
    sequencer, state, wait = inside.submodule("sequencer"), inside.state, inside.wait
    further, pause = sequencer.further, Signal(3)  # cycles since a slot's own
    begins = sequencer.run & (sequencer.left == 0)
    with m.If(begins | (sequencer.left != 0)):
        m.d.sync += pause.eq(0)
    with m.Elif(pause != 7):
        m.d.sync += pause.eq(pause + 1)
    # The least age of slots, in cycles since they began.
    least = further + 1 + Mux(sequencer.left == 0, pause, -sequencer.left)
    stages = Cat(sequencer.fire, inside.coming)
    on_pins = 5 + dut.length_less_1 - Mux(dut.slot_last, 0, inside.left)
    draining = state == State.DRAIN
    driven = (state == State.LOAD) | (state == State.DRIVE) | draining
    settled = past(m, dut.busy & ~dut.abort & ~ResetSignal())
    m.d.comb += [
        Assert(state <= State.DRAIN),
        Assert(inside.driving == (state == State.DRIVE)),
        Assert(~settled | (further == dut.length_less_1 + dut.dead)),
        Assert((state == State.DRIVE) | (sequencer.left == 0)),
        Assert(sequencer.left <= further),
        *(Assert(~stage | (age >= least)) for age, stage in enumerate(stages, 1)),
        Assert(~dut.slot_valid | (on_pins >= least)),
        Assert(~dut.slot_valid | dut.slot_last | (inside.left >= 1)),
        Assert(~draining | (pause >= wait)),
        Assert(~draining | (wait < drain_cycles(SMALL))),
        Assert(driven | ~(stages.any() | dut.slot_valid), "no slot without an update"),
    ]
    warming = state == State.WARM_UP
    pipe = inside.read_valid_slots
    m.d.comb += [
        Assert(~warming | ~Cat(bit & (wait > stage) for stage, bit in enumerate(pipe)).any()),
        Assert((state == State.IDLE) | warming | ~pipe.any(), "no read in an update"),
    ]


def lines_are_driven_in_slots_only(m, dut, inside):
    """The pins of the update driver, with everything of it in front of them."""
    rows, columns = inside.submodule("row_driver"), inside.submodule("column_driver")
    row = dut.rows_positive | dut.rows_negative
    column = dut.columns_positive | dut.columns_negative
    withdrawn = past(m, dut.abort | ResetSignal())
    lines_now = Cat(row, column)
    update, reading = dut.slot_valid, dut.read_valid
    _reads_and_updates_alternate(m, dut, inside)
    # Which lines fire: the comparisons as they were before the slot's first cycle on the pins.
    sequencer = inside.submodule("sequencer")
    slot = surviving(m, sequencer.fire & ~dut.read.active, dut.abort, LATENCY)
    held = past(m, update & ~dut.slot_last & ~dut.abort & ~ResetSignal())
    fired = []
    for side in (rows, columns):
        kept = Signal(2)
        lines = past(m, Cat(getattr(side, f"fires_{line}") for line in range(2)))
        m.d.sync += kept.eq(Mux(slot | reading, lines, kept))
        fired.append(Mux(slot | reading, lines, kept))
    both_rows = dut.rows_positive.any() & dut.rows_negative.any()
    both_columns = dut.columns_positive.any() & dut.columns_negative.any()
    sensed = Mux(past(m, dut.read.transposed, LATENCY), row, column)
    m.d.comb += [
        Assert(~(dut.rows_positive & dut.rows_negative).any(), "never both polarities"),
        Assert(~(dut.columns_positive & dut.columns_negative).any(), "never both polarities"),
        Assert(~update | ~(both_rows | both_columns), "one polarity a slot of an update"),
        Assert(~withdrawn | ~(row | column).any(), "idle after abort or reset"),
        Assert(~withdrawn | ~(dut.busy | update | dut.done), "over after abort or reset"),
        Assert(~withdrawn | ~(reading | dut.convert), "over after abort or reset"),
        Assert(update | reading | ~(row | column).any(), "idle outside of slots"),
        Assert(~(update & reading), "a slot of an update or of a read"),
        Assert(update == (slot | held), "a slot is one that fired, to its end"),
        Assert(update | ~dut.slot_last, "a slot ends while it is on the pins"),
        Assert(~held | slot | (lines_now == past(m, lines_now)), "lines hold to the slot's end"),
        Assert(~dut.convert | reading, "converts at the end of a drive"),
        Assert(~reading | ~sensed.any(), "a read drives one side"),
    ]
    m.d.comb += [
        Assert(~withdrawn | ~Cat(dut.rows_level, dut.columns_level).any(), "ground after abort"),
        Assert(update | reading | ~Cat(dut.rows_level, dut.columns_level).any(), "ground if idle"),
    ]
    # A cell sees its row's voltage less its column's, here in sixths of the select voltage V: all
    # of it where a row and a column are driven and both have fired, half or a third elsewhere.
    volts = [
        [_sixths(levels.word_select(line, 2), dut.slot_down ^ side) for line in range(2)]
        for side, levels in enumerate((dut.rows_level, dut.columns_level))
    ]
    scheme = past(m, dut.levels)
    for r in range(2):
        for c in range(2):
            cell = volts[0][r] - volts[1][c]
            driven, both_fired = row[r] & column[c], fired[0][r] & fired[1][c]
            most = Mux(update & (scheme == SCHEMES.index("V/3")), 2, 3)
            whole = Mux(dut.slot_down, -6, 6)
            m.d.comb += [
                Assert(~driven | both_fired, "selected only if both fire"),
                Assert(
                    ~driven | (dut.slot_down == (dut.rows_negative[r] ^ dut.columns_negative[c])),
                    "the direction is that of the polarities",
                ),
                Assert(
                    Mux(driven & (scheme != 0), cell == whole, (cell <= most) & (cell >= -most))
                ),
            ]


def test_lines_are_driven_in_slots_only():
    outcome = prove(
        UpdateDriver(SMALL), lines_are_driven_in_slots_only, method="induction", depth=6
    )
    assert outcome.proved


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "Mux(self.abort, 0, Cat(sequencer.fire & ~reading, coming))",
            "Cat(sequencer.fire & ~reading, coming)",
        ),
        ("Mux(self.abort, 0, Cat(fired, slots))", "Cat(fired, slots)"),
        ("                driver.abort.eq(self.abort),\n", ""),
        ("coming = Signal(line_driver.LATENCY - 1)", "coming = Signal(line_driver.LATENCY - 2)"),
        ("driver.hold.eq(self.slot_valid & ~self.slot_last)", "driver.hold.eq(self.slot_valid)"),
        ("slots = Signal(line_driver.LATENCY,", "slots = Signal(line_driver.LATENCY - 1,"),
        ("(self.read_valid, read.fire & reading)", "(self.read_valid, read.fire)"),
        ("read.fire & ~read.transposed, sequencer.fire", "read.fire, sequencer.fire"),
        ("driver.both_phases.eq(reading)", "driver.both_phases.eq(1)"),
        ("column_driver.negative_level.eq(~down)", "column_driver.negative_level.eq(down)"),
        ('levels == SCHEMES.index("V/3")', 'levels == SCHEMES.index("V/2")'),
        ("down.eq(sequencer.row_negative ^ sequencer", "down.eq(sequencer"),
        (
            "m.d.sync += [state.eq(State.IDLE), self.done.eq(0), driving.eq(0)]",
            "m.d.sync += self.done.eq(0)",
        ),
    ],
)
def test_a_broken_update_driver_is_not_proved(old, new):
    """Its first slot comes too late after power-up for a bounded search, but induction fails."""
    broken = mutant(update, old, new)
    outcome = prove(
        broken.UpdateDriver(SMALL), lines_are_driven_in_slots_only, method="induction", depth=6
    )
    assert outcome.status in (Status.UNDECIDED, Status.REFUTED)
