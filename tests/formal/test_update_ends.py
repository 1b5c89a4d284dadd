"""Proof that an update comes to its end: in every clock cycle there is less of it to come."""

import pytest
from amaranth import Cat, Mux, ResetSignal, Signal
from amaranth.hdl import Assert, Assume

from golden_model.parameters import Parameters
from golden_model.random_bits import WARM_UP_ROUNDS
from hdl import update
from hdl.column_duties import OVERHEAD
from hdl.datapath import FETCH_LATENCY
from hdl.duty_scaler import LATENCY as SCALER_LATENCY
from hdl.tile_loader import load_cycles
from hdl.update import KAPPA_LATENCY, PLAN_CYCLES, State, UpdateDriver, drain_cycles
from tests.formal.prove import Status, mutant, past, prove

PARAMETERS = Parameters(width=8, lanes=2, columns=2, max_rank=2, max_m=4, max_n=4, max_block=1,
                        buffer_rows=4, tile_rows=2, tile_columns=2, max_slots=2,
                        adcs=2)  # fmt: skip
LAST_WAITS = {
    State.WARM_UP: WARM_UP_ROUNDS,
    State.SEED_LINES: PARAMETERS.tile_rows + PARAMETERS.tile_columns,
    State.FETCH_KAPPA: KAPPA_LATENCY,
    State.PLAN: PLAN_CYCLES - 1,
    State.DRAIN: drain_cycles(PARAMETERS) - 1,
}
"""The last value of the counter in the states that count cycles."""


def an_update_comes_to_its_end(m, dut, inside):
    """From every reachable state: what is left of an update falls in every clock cycle until it is
    idle, but for those in which the array is not ready for a slot, when it rests. What is left is,
    by weight: ranks; what the rank has yet to do; its tiles; whether the tile is loaded; cycles of
    the state, which in DRIVE are phases, slots, and cycles of the slot.

    Assumed: settings within the maxima that rest while busy, kappa with the rank it belongs to.
    """
    duties, loader = inside.submodule("column_duties"), inside.submodule("loader")
    slots = inside.submodule("sequencer")
    state, wait = inside.state, inside.wait
    settings = Cat(dut.m, dut.n, dut.k, dut.slots_min, dut.slots_max, dut.scrambled,
                   dut.length_less_1, dut.dead)  # fmt: skip
    planned = ((state == State.FETCH_KAPPA) & (wait == KAPPA_LATENCY)) | (state >= State.PLAN)
    m.d.comb += [
        Assume((dut.m >= 1) & (dut.m <= 4) & (dut.n >= 1) & (dut.n <= 4)),
        Assume((dut.k >= 1) & (dut.k <= 2)),
        Assume(~past(m, dut.busy | dut.start) | (settings == past(m, settings))),
        Assume(~past(m, planned) | (dut.kappa.as_value() == past(m, dut.kappa))),
    ]
    rows_n, rows_m = (dut.n + 1) >> 1, (dut.m + 1) >> 1
    settled = past(m, dut.busy & ~dut.abort & ~ResetSignal())
    m.d.comb += [
        Assert(state <= State.DRAIN),
        Assert(inside.driving == (state == State.DRIVE)),
        Assert((state == State.IDLE) | (dut.rank < dut.k)),
        Assert(~settled | (duties.rows == rows_m)),
        Assert(~settled | (loader.rows_n == rows_n)),
        Assert(~settled | (loader.rows_m == rows_m)),
    ]

    # The column duties: where they are follows from the cycles since they began.
    words = rows_m * PARAMETERS.lanes
    age = Signal(5)
    scaling = state == State.SCALE
    m.d.sync += age.eq(Mux(scaling & ~dut.abort & ~duties.done, age + 1, 0))
    scaler = duties.submodule("scaler")
    pipeline = [*duties.signal("valid", FETCH_LATENCY), *scaler.signal("valid", SCALER_LATENCY)]
    begun = len(pipeline)
    written = Cat(duties.write_lane, duties.write_row)
    m.d.comb += [
        Assert(scaling | (age == 0)),
        Assert(~scaling | (age <= words + begun)),
        Assert(duties.active == (scaling & (age < words))),
        Assert(~duties.active | (duties.index == age)),
        *(
            Assert(valid == (scaling & (age > stage) & (age <= words + stage)))
            for stage, valid in enumerate(pipeline)
        ),
        Assert(~scaling | (age >= words + begun) | (written == Mux(age < begun, 0, age - begun))),
        Assert(duties.done == (scaling & (age == words + begun))),
    ]

    # Tiles and slots. Here a tile has a row of lanes on either side.
    tiling = (state == State.LOAD) | (state == State.DRIVE)
    asked = (state == State.DRIVE) | ((state == State.LOAD) & (loader.request >= 1))
    told = (state == State.DRIVE) | ((state == State.LOAD) & (loader.request >= 2))
    next_column = loader.next_column_base
    driving = state == State.DRIVE
    m.d.comb += [
        Assert(~tiling | (loader.row_base < rows_n)),
        Assert(~tiling | (loader.column_base < rows_m)),
        Assert(~scaling | (age <= 1) | ((loader.row_base == 0) & (loader.column_base == 0))),
        Assert(~scaling | (age == 0) | ((loader.next_row_base == 0) & (next_column == 0))),
        Assert(~told | (loader.next_row_base == loader.row_base + loader.last_column)),
        Assert(~told | (next_column == Mux(loader.last_column, 0, loader.column_base + 1))),
        Assert(~asked | (loader.last_row == (loader.row_base + 1 >= rows_n))),
        Assert(~asked | (loader.last_column == (loader.column_base + 1 >= rows_m))),
        Assert((state == State.LOAD) | (loader.request == 0)),
        Assert(driving | ((slots.slot == 0) & (slots.phase == 0) & (slots.left == 0))),
        Assert(slots.left <= slots.further),
        Assert(slots.free == (slots.left == 0)),
        Assert(slots.ending == (slots.left == 1)),
        Assert(~(settled & past(m, settled)) | (slots.one == (slots.further == 0))),
        Assert(~(settled & past(m, settled)) | (slots.two == (slots.further == 1))),
        Assert(~tiling | (slots.single == (slots.highest == 0))),
        Assert(~tiling | (slots.end == (slots.slot == slots.highest))),
        Assert(~settled | (slots.further == dut.length_less_1 + dut.dead)),
        Assert(~driving | (slots.slot <= slots.highest)),
        Assert(~driving | (slots.highest <= 1)),
    ]

    rank, cycles = Signal(2), Signal(len(slots.further) + 4)
    of_slot = Signal(len(slots.further) + 1)
    m.d.comb += of_slot.eq(Mux(slots.left == 0, slots.further + 1, slots.left))
    doing, loading = Signal(3), Signal()
    row, column = Signal(2), Signal(2)
    m.d.comb += rank.eq(dut.k - 1 - dut.rank)
    with m.Switch(state):
        for order, (waiting, last) in enumerate(LAST_WAITS.items()):
            with m.Case(waiting):
                m.d.comb += [doing.eq((6, 5, 4, 3, 0)[order]), cycles.eq(last - wait)]
                m.d.comb += Assert(wait <= last)
        with m.Case(State.SCALE):
            m.d.comb += [doing.eq(2), cycles.eq(words + begun - age)]
        with m.Case(State.LOAD, State.DRIVE):
            m.d.comb += [
                doing.eq(1),
                row.eq(rows_n - 1 - loader.row_base),
                column.eq(rows_m - 1 - loader.column_base),
                loading.eq(state == State.LOAD),
                cycles.eq(
                    Mux(
                        driving,
                        Cat(of_slot, (slots.highest - slots.slot)[0], 3 - slots.phase),
                        load_cycles(PARAMETERS) - 1 - loader.request,
                    )
                ),
            ]
    left = Cat(cycles, loading, column, row, doing, rank)
    rests = past(m, driving & ~dut.ready & (slots.left == 0))
    m.d.comb += [
        Assert(begun == OVERHEAD - 1),
        Assert(~settled | ~dut.busy | rests | (left < past(m, left))),
        Assert(~settled | ~rests | (left == past(m, left))),
        Assert(~settled | dut.busy | past(m, left == 0), "not before its end"),
        Assert(~settled | (dut.busy != dut.done)),
    ]


def test_an_update_comes_to_its_end():
    outcome = prove(
        UpdateDriver(PARAMETERS), an_update_comes_to_its_end, method="induction", depth=5
    )
    assert outcome.proved


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("self.rank.eq(self.rank + 1)", "self.rank.eq(self.rank)"),
        ("Mux(loader.last, State.DRAIN, State.LOAD)", "State.LOAD"),
        ("with m.If(columns.done)", "with m.If(0)"),
        ("loader.next.eq(sequencer.last)", "loader.next.eq(0)"),
    ],
)
def test_an_update_that_never_ends_is_not_proved(old, new):
    broken = mutant(update, old, new)
    outcome = prove(
        broken.UpdateDriver(PARAMETERS), an_update_comes_to_its_end, method="induction", depth=5
    )
    assert outcome.status in (Status.UNDECIDED, Status.REFUTED)
