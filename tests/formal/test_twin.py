"""Proofs of the twin: slots queue in order, cells are visited once, accesses do not meet."""

from dataclasses import replace

import pytest
from amaranth import Cat, Mux, Signal
from amaranth.asserts import AnyConst, AnySeq
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import data

from golden_model.twin import Law, TwinSpec
from hdl import twin, twin_adc, twin_queue, twin_read_walk, twin_sums, twin_walk
from hdl.twin import SETTLE_CYCLES, CrossbarTwin, State, request_layout
from hdl.twin_lane import Command, access_layout, lane_depth
from hdl.twin_queue import QUEUE_DEPTH, ROOM, SlotQueue
from hdl.twin_read_walk import ReadWalk, beats_per_group, groups, visit_layout
from hdl.twin_sums import tree_latency
from hdl.twin_walk import RowWalk
from hdl.update import READY_LATENCY
from tests.formal.prove import Status, mutant, past, prove, stream_is_held

SPEC = TwinSpec(rows=2, columns=2, grid_columns=3, cells_per_cycle=1, states=4, fraction_bits=1,
                law=Law.SOFT_BOUNDS)  # fmt: skip
GROUPS = SPEC.columns // SPEC.cells_per_cycle


def slots_pass_once_and_in_their_order(m, dut, inside):
    """From the pins to the stream, if a driver stops `READY_LATENCY` slots after `ready` falls.

    A slot that pulses no cell, or that is a driver's mistake, does not pass; no other is lost.
    """
    late = Signal(range(READY_LATENCY + 1))
    comes = dut.slot_valid & dut.slot_last
    with m.If(dut.ready):
        m.d.sync += late.eq(0)
    with m.Elif(comes):
        m.d.sync += late.eq(late + 1)
    m.d.comb += Assume(dut.ready | ~comes | (late < READY_LATENCY))

    # What enters the queue two cycles after the pins.
    rows, columns = (
        dut.rows_positive | dut.rows_negative,
        dut.columns_positive | dut.columns_negative,
    )
    both = (dut.rows_positive & dut.rows_negative) | (dut.columns_positive & dut.columns_negative)
    outside = (dut.tile_row >= SPEC.grid_rows) | (dut.tile_column >= SPEC.grid_columns)
    arrived, passes, line_fault, tile_fault = Signal(), Signal(), Signal(), Signal()
    m.d.sync += [
        arrived.eq(comes),
        passes.eq(arrived & past(m, rows.any() & columns.any() & ~both.any() & ~outside)),
        line_fault.eq(line_fault | (arrived & past(m, both.any()))),
        tile_fault.eq(tile_fault | (arrived & past(m, outside))),
    ]
    base = (dut.tile_row * SPEC.grid_columns + dut.tile_column) * (SPEC.rows * GROUPS)
    fields = (base[: len(dut.slot.payload.base)], rows, dut.rows_negative)
    lines = Cat(*fields, columns, dut.columns_negative)
    queue = inside.submodule("queue")
    m.d.comb += [
        Assert(queue.w_en == passes),
        Assert(~passes | (queue.w_data == past(m, lines, 2))),
        Assert(dut.line_fault == line_fault),
        Assert(dut.tile_fault == tile_fault),
        Assert(~passes | queue.w_rdy, "there is room"),
        Assert(~dut.overflow),
        Assert(dut.waiting == (arrived | passes | dut.slot.valid)),
        # Why there is room.
        Assert(~dut.ready | (queue.level <= QUEUE_DEPTH - ROOM + 1)),
        Assert(dut.ready | (queue.level + arrived + passes + READY_LATENCY - late <= QUEUE_DEPTH)),
        Assert(late <= READY_LATENCY),
        Assert((queue.produce - queue.consume - queue.level)[:4] == 0),
    ]
    # Any one slot, marked as it enters, is the one that leaves after those ahead of it.
    marked, ahead, place = Signal(), Signal(range(QUEUE_DEPTH)), Signal.like(queue.produce)
    content = Signal.like(queue.w_data)
    taken = dut.slot.valid & dut.slot.ready
    with m.If(passes & ~marked & AnySeq(1)):
        m.d.sync += [
            marked.eq(1),
            ahead.eq(queue.level - taken),
            place.eq(queue.produce),
            content.eq(queue.w_data),
        ]
    with m.If(marked & taken):
        m.d.sync += [marked.eq(ahead != 0), ahead.eq(ahead - 1)]
    leaves = marked & dut.slot.valid & (ahead == 0)
    m.d.comb += [
        Assert(~leaves | (dut.slot.payload.as_value() == content), "in order, unchanged"),
        Assert(~marked | (ahead < queue.level), "it is still there"),
        Assert(~marked | (place == (queue.consume + ahead)[:4])),
        Assert(~marked | (queue.word(m, "storage", place) == content)),
    ]
    stream_is_held(m, dut.slot)
    m.d.comb += Cover(queue.level == QUEUE_DEPTH)
    m.d.comb += Cover(past(m, leaves & dut.slot.ready & (queue.level > 2)) & dut.ready)


def test_slots_pass_once_and_in_their_order():
    outcome = prove(
        SlotQueue(SPEC), slots_pass_once_and_in_their_order, method="induction", depth=4
    )
    assert outcome.proved


@pytest.mark.nightly
def test_the_queue_can_be_filled_and_emptied():
    """To the last place, after `ready` has fallen."""
    outcome = prove(SlotQueue(SPEC), slots_pass_once_and_in_their_order, method="reach", depth=24)
    assert outcome.proved


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ROOM = READY_LATENCY + 4", "ROOM = READY_LATENCY + 3"),
        ("& ~both & ~outside", "& ~outside"),
        ("self.slot_valid & self.slot_last", "self.slot_valid"),
        ("queue.r_en.eq(self.slot.ready)", "queue.r_en.eq(1)"),
        ("slot.row_negative.eq(self.rows_negative)", "slot.row_negative.eq(self.rows_positive)"),
    ],
)
def test_a_broken_queue_is_not_proved(old, new):
    broken = mutant(twin_queue, old, new)
    outcome = prove(
        broken.SlotQueue(SPEC), slots_pass_once_and_in_their_order, method="induction", depth=4
    )
    assert outcome.status in (Status.UNDECIDED, Status.REFUTED)


def every_group_of_a_row_that_fires_is_visited_once(spec):
    """Any row and group: visited once if the row fires, not at all if not, with its lines."""
    groups = spec.columns // spec.cells_per_cycle

    def properties(m, dut, inside):
        row = AnyConst(range(spec.rows))
        group = AnyConst(range(groups))
        m.d.comb += [Assume(row < spec.rows), Assume(group < groups)]
        busy = dut.busy | past(m, dut.busy) | past(m, dut.busy, 2)
        m.d.comb += Assume(~dut.start | (~busy & dut.slot.rows.any()))
        m.d.comb += Assume(dut.slot.base + spec.rows * groups <= lane_depth(spec))

        here = dut.busy & (inside.lowest == 1 << row) & (inside.group == group)
        todo, slot = Signal(), Signal(dut.slot.shape())
        with m.If(dut.start):
            m.d.sync += [todo.eq(dut.slot.rows.bit_select(row, 1)), slot.eq(dut.slot)]
        with m.Elif(here):
            m.d.sync += todo.eq(0)
        first = (inside.pending & (inside.pending - 1)) == (inside.pending ^ (1 << row))
        passed = inside.pending.bit_select(row, 1) & first & (inside.group > group)
        m.d.comb += [
            Assert(~here | todo, "visited once at most"),
            Assert(dut.busy | ~todo, "visited before the end"),
            Assert(todo == (inside.pending.bit_select(row, 1) & ~passed)),
            Assert(inside.group < groups),
            Assert(slot.base + spec.rows * groups <= lane_depth(spec)),
            Assert(inside.walked == slot.as_value()),
        ]
        visited = Signal()
        m.d.sync += visited.eq(dut.busy)
        valid = Signal()
        m.d.sync += valid.eq(visited)
        lanes = data.ArrayLayout(spec.cells_per_cycle, groups)
        fires = data.View(lanes, slot.columns)[group]
        negative = data.View(lanes, slot.column_negative)[group]
        row_negative = slot.row_negative.bit_select(row, 1)
        upward = ~(negative ^ row_negative.replicate(spec.cells_per_cycle))
        m.d.comb += [
            Cover(valid & ~visited & past(m, here, 2) & dut.pulse.any()),
            Assert(dut.valid == valid),
            Assert(~(valid & past(m, here, 2)) | (dut.address == slot.base + row * groups + group)),
            Assert(~(valid & past(m, here, 2)) | (dut.pulse == fires)),
            Assert(~(valid & past(m, here, 2)) | (dut.upward == upward)),
        ]

    return properties


def test_every_group_of_a_row_that_fires_is_visited_once():
    for spec in (SPEC, replace(SPEC, rows=3, columns=4, cells_per_cycle=2)):
        outcome = prove(
            RowWalk(spec),
            every_group_of_a_row_that_fires_is_visited_once(spec),
            method="induction",
            depth=4,
        )
        assert outcome.proved


@pytest.mark.nightly
def test_a_walk_comes_to_its_last_group():
    outcome = prove(
        RowWalk(SPEC),
        every_group_of_a_row_that_fires_is_visited_once(SPEC),
        method="reach",
        depth=12,
    )
    assert outcome.proved


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("group == groups - 1", "group == groups - 2"),
        ("pending.eq(pending ^ lowest)", "pending.eq(pending >> 1)"),
        ("~(negative ^ row_negative.replicate(lanes))", "~negative"),
        ("self.valid.eq(visited)", "self.valid.eq(self.busy)"),
    ],
)
def test_a_broken_walk_is_refuted(old, new):
    broken = mutant(twin_walk, old, new)
    outcome = prove(
        broken.RowWalk(SPEC),
        every_group_of_a_row_that_fires_is_visited_once(SPEC),
        method="induction",
        depth=8,
    )
    assert outcome.refuted


def every_group_that_a_read_sums_is_visited_once(spec):
    """Any row and group: visited once if one line of it is driven and one sensed, else not at all.

    The last visit of a sensed unit is followed by its end before the next one begins, and the ADCs
    have their cycles between the ends of a forward read.
    """
    lanes = spec.cells_per_cycle
    tile = spec.rows * groups(spec)

    def properties(m, dut, inside):
        row = AnyConst(range(spec.rows))
        group = AnyConst(range(groups(spec)))
        m.d.comb += [Assume(row < spec.rows), Assume(group < groups(spec))]
        settings = Cat(dut.transposed, dut.sensed, dut.base)
        used = dut.busy | past(m, dut.busy)
        lines = Mux(dut.transposed, spec.rows, spec.columns)
        m.d.comb += [
            Assume(~dut.start | ~dut.busy),
            Assume((dut.sensed > 0) & (dut.sensed <= lines)),
            Assume(dut.base + tile <= lane_depth(spec)),
            Assume(~used | (settings == past(m, settings))),
        ]

        # The group as the walk counts it: by its sensed unit, then by its driven one.
        sensed_unit = Mux(dut.transposed, row, group)
        driven_unit = Mux(dut.transposed, group, row)
        last_unit = Mux(dut.transposed, dut.sensed - 1, (dut.sensed - 1) // lanes)
        by_columns = dut.driven.word_select(group, lanes).any()
        driven = Mux(dut.transposed, by_columns, dut.driven.bit_select(row, 1))
        here = dut.busy & (inside.sensed_unit == sensed_unit) & (inside.lowest == 1 << driven_unit)
        todo, was_driven = Signal(), Signal()
        with m.If(dut.start):
            m.d.sync += [todo.eq(driven & (sensed_unit <= last_unit)), was_driven.eq(driven)]
        with m.Elif(here):
            m.d.sync += todo.eq(0)
        pending = inside.pending.bit_select(driven_unit, 1)
        ahead = (inside.sensed_unit < sensed_unit) | (inside.sensed_unit == sensed_unit) & pending
        m.d.comb += [
            Assert(~here | todo, "visited once at most"),
            Assert(dut.busy | ~todo, "visited before the end"),
            Assert(~(dut.busy & inside.ends & todo) | here | (inside.sensed_unit < sensed_unit)),
            Assert(~dut.busy | (todo == (was_driven & (sensed_unit <= last_unit) & ahead))),
            Assert(~dut.busy | (inside.all_units.bit_select(driven_unit, 1) == was_driven)),
            Assert(~dut.busy | ((inside.pending & ~inside.all_units) == 0)),
            Assert(inside.rest == inside.pending & (inside.pending - 1)),
            Assert(inside.all_but_lowest == inside.all_units & (inside.all_units - 1)),
            Assert(~dut.busy | (inside.sensed_unit <= last_unit)),
            Cover(dut.start & past(m, here, 3) & past(m, dut.busy, 4)),
        ]
        # What the lanes and the sums are told two cycles later.
        busy, ends, closes = Signal(), Signal(), Signal()
        last = inside.ends & (inside.sensed_unit == last_unit)
        m.d.sync += [busy.eq(dut.busy), ends.eq(inside.ends), closes.eq(last)]
        was_here, was_busy, was_end, was_close = Signal(), Signal(), Signal(), Signal()
        place = past(m, dut.base + row * groups(spec) + group)
        m.d.sync += [
            was_here.eq(busy & past(m, here)),
            was_busy.eq(busy),
            was_end.eq(busy & ends),
            was_close.eq(busy & closes),
        ]
        m.d.comb += [
            Assert(~was_here | dut.visit.visits & (dut.address == place)),
            Assert(~was_here | (dut.visit.unit == past(m, driven_unit))),
            Assert(~dut.visit.visits | was_busy),
            Assert(dut.visit.ends == was_end),
            Assert(dut.visit.closes == was_close),
        ]
        if beats_per_group(spec) > 1:
            since = Signal(range(beats_per_group(spec)))
            with m.If(dut.start | (dut.busy & inside.ends)):
                m.d.sync += since.eq(0)
            with m.Elif(dut.busy & (since != beats_per_group(spec) - 1)):
                m.d.sync += since.eq(since + 1)
            in_time = dut.transposed | (since == beats_per_group(spec) - 1)
            m.d.comb += [
                Assert(~(dut.busy & inside.ends) | in_time, "the ADCs have their cycles"),
                Assert(~dut.busy | (inside.spent == since)),
            ]

    return properties


READ_SPECS = (
    replace(SPEC, adcs=1),
    replace(SPEC, rows=3, columns=4, cells_per_cycle=2, adcs=1),
    replace(SPEC, rows=2, columns=8, cells_per_cycle=2, adcs=4),
)


def test_every_group_that_a_read_sums_is_visited_once():
    for spec in READ_SPECS:
        outcome = prove(
            ReadWalk(spec),
            every_group_that_a_read_sums_is_visited_once(spec),
            method="induction",
            depth=4,
        )
        assert outcome.proved


@pytest.mark.nightly
def test_a_read_comes_to_its_last_group():
    outcome = prove(
        ReadWalk(READ_SPECS[1]),
        every_group_that_a_read_sums_is_visited_once(READ_SPECS[1]),
        method="reach",
        depth=16,
    )
    assert outcome.proved


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("pending.eq(all_units)", "pending.eq(driven_units)"),
        ("rest.eq(rest & (rest - 1))", "rest.eq(rest >> 1)"),
        ("ends.eq(~rest.any() &", "ends.eq(rest.any() &"),
        ("closes.eq(ends & (sensed_unit == last_unit))", "closes.eq(sensed_unit == last_unit)"),
        ("self.base + row * groups(spec)", "self.base + number * groups(spec)"),
        ("spent == beats - 1", "spent == 0"),
    ],
)
def test_a_broken_read_walk_is_refuted(old, new):
    broken = mutant(twin_read_walk, old, new)
    outcome = prove(
        broken.ReadWalk(READ_SPECS[1]),
        every_group_that_a_read_sums_is_visited_once(READ_SPECS[1]),
        method="induction",
        depth=8,
    )
    assert outcome.refuted


def conversions_only_read(m, dut, inside, stages):
    """While the reader has the lanes, whose accesses are the `stages`, no cell is written.

    A conversion is one token on its way: the walk, then its last step, then the last codes. What is
    before the token's place in the pipeline is empty, and without a conversion there is no token.
    """
    assert tree_latency(SPEC) == 0
    converting = inside.state == State.CONVERT
    reader = inside.submodule("reader")
    walk, sums, bank = (reader.submodule(name) for name in ("walk", "sums", "bank"))
    layout = visit_layout(SPEC)
    steps = [
        data.View(layout, signal)
        for signal in (
            walk.step,
            walk.visit,
            *(sums.signal(f"visit_{stage}") for stage in range(1, twin_sums.LATENCY + 1)),
        )
    ]
    # In the order of the pipeline: whether there is anything, and whether it is the token.
    places = [(walk.busy, walk.busy)]
    places += [(step.visits | step.ends | step.closes, step.closes) for step in steps]
    places += [(bank.sending, bank.sending & bank.closing)]
    ends = range(1, twin_adc.LATENCY)
    places += [
        (bank.signal(f"sends_{stage}") | bank.signal(f"ends_{stage}"), bank.signal(f"ends_{stage}"))
        for stage in ends
    ]
    tokens = Cat(token for _, token in places)
    m.d.comb += [
        *(Assert(~step.closes | step.ends) for step in steps),
        Assert(converting == tokens.any()),
        Assert((tokens & (tokens - 1)) == 0, "one token"),
        Assert(~converting | reader.submodule("counter").converting, "converting until done"),
        Assert(~dut.adc_valid | (converting & ~dut.ready), "codes are of a conversion"),
        Cover(past(m, bank.done) & dut.idle),
    ]
    for number, (anything, _) in enumerate(places):
        m.d.comb += [
            Assert(~anything | converting),
            Assert(~(anything & tokens[number + 1 :].any()), "nothing follows the last step"),
        ]
    for stage, step in zip(stages[1:5], steps[2:], strict=True):
        m.d.comb += Assert(~converting | (stage.valid == step.visits))
    finished = tokens[-len(ends) :].any()
    m.d.comb += Assert(~finished | ~stages[5].valid, "the lanes are done before the codes are")
    for stage in stages[1:]:
        reads = stage.command == Command.READ
        m.d.comb += Assert(~(converting & stage.valid) | reads, "conductances stay")


def accesses_do_not_meet(m, dut, inside):
    """A cell that is accessed has been written by every earlier access to it; a READ is answered
    once, and its answer held; once `idle`, an access finds all slots applied. Conversions write no
    cell and end with one `done`, after the last visit and with the last codes.

    That a slot's base is that of a tile follows from `slots_pass_once_and_in_their_order`.
    """
    walk, lane = inside.submodule("walk"), inside.submodule("lane_0")
    base = walk.walked[: len(walk.address)]
    tile = SPEC.rows * GROUPS
    m.d.comb += [
        Assume(walk.slot[: len(walk.address)] + tile <= lane_depth(SPEC)),
        Assert(base + tile <= lane_depth(SPEC)),
    ]
    stages = [data.View(access_layout(SPEC), getattr(lane, f"access_{n}")) for n in range(6)]

    def address(row, group):
        """In a lane, of a group of a row, which is given as one bit of all rows."""
        return base + (row == 2) * GROUPS + group

    # Accesses under way, the latest first: whatever the walk has in hand, then the lane's stages.
    under_way = [
        (walk.busy, address(walk.lowest, walk.group)),
        (walk.visited, address(walk.row, walk.row_group)),
        *((stage.valid, stage.address) for stage in stages),
    ]
    for number, (later, place) in enumerate(under_way):
        for earlier, other in under_way[number + 1 :]:
            rise = (place > other) | (inside.state == State.CONVERT)
            m.d.comb += Assert(~(later & earlier) | rise, "addresses rise")
    none = ~Cat(stage.valid for stage in stages[1:]).any()
    command = data.View(request_layout(SPEC), inside.request).command
    reading = command == Command.READ
    state, wait = inside.state, inside.wait
    accessing = (state == State.ACCESS) | (state == State.SETTLE)
    m.d.comb += [
        Assert(~dut.idle | ~Cat(stage.valid for stage in stages[:5]).any(), "idle is idle"),
        # Which accesses may be under way in which state.
        Assert(~walk.busy | (state == State.SWEEP)),
        Assert(~walk.visited | (state == State.SWEEP)),
        Assert(~walk.valid | (state == State.SWEEP) | ((state == State.SETTLE) & (wait == 0))),
        Assert((wait == 0) | (state == State.SETTLE) | inside.drawing),
        Assert((state != State.SETTLE) | (wait < SETTLE_CYCLES)),
        Assert(~inside.drawing | (command == Command.LOAD) | (state == State.IDLE)),
        Assert((state != State.SWEEP) | (command == Command.PULSE)),
        Assert((state != State.CONVERT) | reading),
        Assert((state != State.RESPOND) | (reading & ~inside.drawing)),
        Assert(
            none
            | (state == State.SWEEP)
            | (state == State.SETTLE)
            | (state == State.IDLE)
            | (state == State.CONVERT)
        ),
        Assert((state != State.IDLE) | ~Cat(stage.valid for stage in stages[1:5]).any()),
    ]
    for number, stage in enumerate(stages[1:], 1):
        settled = Mux(command == Command.PULSE, wait <= number, wait == number - 1)
        m.d.comb += Assert(~stage.valid | (state != State.SETTLE) | settled)
    conversions_only_read(m, dut, inside, stages)
    waiting = Signal()
    with m.If(dut.request.valid & dut.request.ready):
        m.d.sync += waiting.eq(dut.request.payload.command == Command.READ)
    with m.Elif(dut.response.valid & dut.response.ready):
        m.d.sync += waiting.eq(0)
    m.d.comb += [
        Assert(waiting == (reading & (accessing | (state == State.RESPOND)))),
        Assert(~dut.response.valid | waiting, "answers follow requests"),
        Assert(~(dut.request.valid & dut.request.ready & waiting), "one request at a time"),
    ]
    stream_is_held(m, dut.response)
    m.d.comb += Cover(past(m, dut.response.valid & ~dut.response.ready))


def test_accesses_do_not_meet():
    outcome = prove(CrossbarTwin(SPEC), accesses_do_not_meet, method="induction", depth=4)
    assert outcome.proved


@pytest.mark.nightly
def test_an_answer_can_wait_and_a_conversion_ends():
    outcome = prove(CrossbarTwin(SPEC), accesses_do_not_meet, method="reach", depth=18)
    assert outcome.proved


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SETTLE_CYCLES = twin_lane.LATENCY - 1", "SETTLE_CYCLES = twin_lane.LATENCY - 2"),
        ("m.Case(State.SWEEP), m.If(~walk.busy)", "m.Case(State.SWEEP)"),
        ("with m.If(self.response.ready)", "with m.If(1)"),
        ("with m.Elif(draw_waits)", "with m.If(draw_waits)"),
        ("m.Case(State.CONVERT), m.If(reader.done)", "m.Case(State.CONVERT), m.If(reader.read)"),
        ("request.command.eq(Command.READ)", "request.command.eq(Command.PULSE)"),
    ],
)
def test_a_broken_twin_is_not_proved(old, new):
    broken = mutant(twin, old, new)
    outcome = prove(broken.CrossbarTwin(SPEC), accesses_do_not_meet, method="induction", depth=4)
    assert outcome.status in (Status.UNDECIDED, Status.REFUTED)
