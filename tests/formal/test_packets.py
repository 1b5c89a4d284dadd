"""Proofs of the packets: the sender's queue and the loader's ping-pong buffer."""

import pytest
from amaranth import Cat, Mux, ResetSignal, Signal
from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Assume, Cover

from golden_model.parameters import Parameters
from hdl import loader, sender
from hdl.datapath import FETCH_LATENCY
from hdl.loader import Loader
from hdl.sender import Sender
from tests.formal.prove import Status, mutant, past, prove, stream_is_held

PARAMETERS = Parameters(width=8, lanes=2, columns=2, max_rank=2, max_m=4, max_n=4, max_block=2,
                        buffer_rows=8, tile_rows=2, tile_columns=2, max_slots=2,
                        adcs=2)  # fmt: skip
DEPTH = 8


def rows_are_sent_once_and_in_their_order(m, dut, inside):
    """Each row that is fetched leaves as a beat, unchanged, after those fetched before it.

    Rows are fetched in the order of a state packet; the last beat, and no other, is marked as the
    last; the stream is held; the queue never overflows.
    """
    queue = inside.submodule("queue")
    settings = Cat(dut.rows_n, dut.rows_m, dut.ranks)
    m.d.comb += [
        Assume(~dut.start | ~dut.busy),
        *(Assume((rows >= 1) & (rows <= 2)) for rows in (dut.rows_n, dut.rows_m, dut.ranks)),
        Assume(~(dut.start | dut.busy) | (settings == past(m, settings))),
    ]
    # The rows' order: a counter a side, from the first to the last.
    issue, fetching = inside.issue, inside.fetching
    row, column, side = Signal(2), Signal(2), Signal()
    rows = Mux(side, dut.rows_m, dut.rows_n)
    last = side & (column == dut.ranks - 1) & (row == rows - 1)
    with m.If(dut.start):
        m.d.sync += [row.eq(0), column.eq(0), side.eq(0)]
    with m.Elif(issue):
        m.d.sync += row.eq(row + 1)
        with m.If(row == rows - 1):
            m.d.sync += [row.eq(0), column.eq(column + 1)]
            with m.If(column == dut.ranks - 1):
                m.d.sync += [column.eq(0), side.eq(1)]
    fetched = Signal()
    with m.If(dut.start):
        m.d.sync += fetched.eq(0)
    with m.Elif(issue & last):
        m.d.sync += fetched.eq(1)
    m.d.comb += [
        Assert(~issue | ~fetched, "nothing after the last"),
        Assert(~fetched | ~fetching),
        Assert(~fetching | (inside.last_n == dut.rows_n - 1)),
        Assert(~fetching | (inside.last_m == dut.rows_m - 1)),
        Assert(~fetching | (inside.last_rank == dut.ranks - 1)),
        Assert(~fetching | (dut.fetch_row == row)),
        Assert(~fetching | (dut.fetch_column == column)),
        Assert(~fetching | (dut.fetch_delta == side)),
        Assert(~fetching | ((row < rows) & (column < dut.ranks))),
    ]
    # Any one row, marked as it is fetched, is the beat that leaves after those ahead of it.
    arriving = inside.arriving
    m.d.comb += [
        Assert(~queue.w_en | queue.w_rdy, "there is room"),
        Assert(queue.level + sum(arriving) <= DEPTH - 1),
        Assert(queue.level == queue.inner_level + queue.r_rdy),
        Assert((queue.produce < DEPTH - 1) & (queue.consume < DEPTH - 1)),
        Assert(modulo(queue.consume + queue.inner_level) == queue.produce),
    ]
    wait = Signal(range(FETCH_LATENCY + 1))
    marked, queued = Signal(), Signal()
    ahead, address = Signal(range(DEPTH)), Signal.like(queue.produce)
    content, ending = Signal.like(queue.w_data), Signal()
    leaves = dut.output.valid & dut.output.ready
    with m.If(issue & ~marked & AnySeq(1)):
        m.d.sync += [marked.eq(1), queued.eq(0), wait.eq(0), ending.eq(last)]
    with m.If(marked & ~queued):
        m.d.sync += wait.eq(wait + 1)
        with m.If(wait == FETCH_LATENCY - 1):
            m.d.sync += [
                queued.eq(1),
                ahead.eq(queue.level - leaves),
                address.eq(queue.produce),
                content.eq(queue.w_data),
            ]
    with m.If(marked & queued & leaves):
        m.d.sync += [marked.eq(ahead != 0), ahead.eq(ahead - 1)]
    present = marked & queued & (ahead == 0) & dut.output.valid
    stored = marked & queued & ~present
    m.d.comb += [
        Assert(~present | (dut.output.payload.as_value() == content), "in order, unchanged"),
        Assert(~present | (dut.output.payload.last == ending), "the last is marked"),
        Assert(~(marked & ~queued) | arriving.bit_select(wait, 1), "on its way"),
        Assert(~(marked & ~queued) | (inside.ending.bit_select(wait, 1) == ending)),
        Assert(~(marked & ~queued) | (wait < FETCH_LATENCY)),
        Assert(~(marked & queued) | (content[-1] == ending)),
        Assert(~(marked & queued) | (ahead < queue.level)),
        Assert(~stored | (address == modulo(queue.consume + ahead - queue.r_rdy))),
        Assert(~stored | (queue.word(m, "storage", address) == content)),
    ]
    stream_is_held(m, dut.output)
    m.d.comb += Cover(present & ending & leaves & past(m, present & ~leaves))


def modulo(value):
    """`value` modulo the rows of the queue's memory, of which it is less than twice."""
    return Mux(value >= DEPTH - 1, value - (DEPTH - 1), value)


def test_rows_are_sent_once_and_in_their_order():
    outcome = prove(
        Sender(PARAMETERS), rows_are_sent_once_and_in_their_order, method="induction", depth=4
    )
    assert outcome.proved


@pytest.mark.nightly
def test_a_packet_comes_to_its_last_beat():
    outcome = prove(
        Sender(PARAMETERS), rows_are_sent_once_and_in_their_order, method="reach", depth=12
    )
    assert outcome.proved


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("queue.level < _DEPTH - FETCH_LATENCY - 1", "queue.level < _DEPTH - 1"),
        ("beat.last.eq(ending[-1])", "beat.last.eq(ending[0])"),
        (
            "with m.If(end):\n                m.d.sync += fetching.eq(0)",
            "with m.If(0):\n                pass",
        ),
        ("queue.r_en.eq(self.output.ready)", "queue.r_en.eq(1)"),
    ],
)
def test_a_broken_sender_is_not_proved(old, new):
    broken = mutant(sender, old, new)
    outcome = prove(
        broken.Sender(PARAMETERS),
        rows_are_sent_once_and_in_their_order,
        method="induction",
        depth=4,
    )
    assert outcome.status in (Status.UNDECIDED, Status.REFUTED)


IDLE, STATE, BLOCK = range(3)


def beats_are_stored_once_and_in_their_order(m, dut, inside):
    """Each beat of a state packet, and of each block, is written once, in the cycle after it was
    taken, to the place that follows the last one's; a half of the buffer that is full is not
    written until it is released.

    Lanes beyond a vector's end are written as zero. The packet's length is that of the registers.
    """
    state, input_ = inside.state, dut.input
    settings = Cat(
        dut.load, dut.n, dut.m, dut.rows_n, dut.rows_m, dut.ranks, dut.block, dut.last, dut.blocks
    )
    started = Signal()
    m.d.sync += started.eq(dut.start | (started & (state != IDLE)))
    m.d.comb += [
        Assume((dut.n >= 1) & (dut.n <= 4) & (dut.rows_n == (dut.n + 1) >> 1)),
        Assume((dut.m >= 1) & (dut.m <= 4) & (dut.rows_m == (dut.m + 1) >> 1)),
        Assume((dut.ranks >= 1) & (dut.ranks <= 2)),
        Assume((dut.block >= 1) & (dut.block <= 2) & (dut.last >= 1) & (dut.last <= dut.block)),
        Assume(dut.blocks >= 1),
        Assume(~dut.start | (state == IDLE)),
        Assume(~dut.start | past(m, ~ResetSignal())),
        Assume(~(started | dut.start) | (settings == past(m, settings))),
        Assert((state == IDLE) | started),
    ]
    beat = input_.valid & input_.ready & ~ResetSignal()

    # A state packet's places: rows of each rank's X, then of each rank's Delta.
    row, rank, side = Signal(2), Signal(2), Signal()
    rows = Mux(side, dut.rows_m, dut.rows_n)
    writing = (state == STATE) & beat
    state_end = side & (rank == dut.ranks - 1) & (row == rows - 1)
    with m.If(dut.start):
        m.d.sync += [row.eq(0), rank.eq(0), side.eq(0)]
    with m.Elif(writing):
        m.d.sync += row.eq(row + 1)
        with m.If(row == rows - 1):
            m.d.sync += [row.eq(0), rank.eq(rank + 1)]
            with m.If(rank == dut.ranks - 1):
                m.d.sync += [rank.eq(0), side.eq(1)]
    m.d.comb += [
        Assert(dut.factor_write == past(m, writing)),
        Assert(~dut.factor_write | (dut.factor_row == past(m, row))),
        Assert(~dut.factor_write | (dut.factor_column == past(m, rank))),
        Assert(~dut.factor_write | (dut.factor_delta == past(m, side))),
        Assert((state != STATE) | ((row < rows) & (rank < dut.ranks))),
        Assert((state != STATE) | ((inside.row == row) & (inside.vector == rank))),
        Assert((state != STATE) | (inside.errors == side)),
    ]

    # A block's places: from row 0 of its half on.
    offset, half, left = Signal(4), Signal(), Signal.like(dut.blocks)
    full = Signal(2)
    samples = Mux(left == 1, dut.last, dut.block)
    stored = (state == BLOCK) & beat
    block_end = offset == samples * (dut.rows_n + dut.rows_m) - 1
    m.d.sync += full.eq(full & ~dut.release)
    with m.If(dut.start):
        m.d.sync += [offset.eq(0), half.eq(0), left.eq(dut.blocks), full.eq(0)]
    with m.Elif(stored):
        m.d.sync += offset.eq(offset + 1)
        with m.If(block_end):
            m.d.sync += [offset.eq(0), half.eq(~half), left.eq(left - 1)]
            m.d.sync += full.eq((full & ~dut.release) | (1 << half))
    size = dut.rows_n + dut.rows_m
    m.d.comb += [
        Assert(dut.buffer_write == past(m, stored)),
        Assert(
            ~dut.buffer_write | (dut.buffer_address == past(m, Cat(offset[:3], half))),
            "place after place",
        ),
        Assert(~stored | ~full.bit_select(half, 1), "a full half is not written"),
        Assert(~stored | (left != 0), "no beat after the last block"),
        Assert(dut.full == full),
        Assert((state != BLOCK) | (inside.blocks_left == left)),
        Assert((state != BLOCK) | (inside.bank == half)),
        Assert((state != BLOCK) | (inside.address == offset)),
        Assert(
            (state != BLOCK)
            | (offset == inside.vector * size + Mux(inside.errors, dut.rows_n, 0) + inside.row)
        ),
        Assert((state != BLOCK) | (left == 0) | (inside.vector < samples)),
        Assert((state != BLOCK) | (inside.row < Mux(inside.errors, dut.rows_m, dut.rows_n))),
        Assert((state != STATE) | ((offset == 0) & (half == 0) & (inside.bank == 0))),
        Assert((state != STATE) | ((left == dut.blocks) & (inside.blocks_left == left))),
        Assert((state != STATE) | (inside.address == 0)),
        Assert(~beat | writing | stored | (dut.drain & (state == IDLE))),
        Assert(~inside.opened | (state != BLOCK) | (left != 0)),
        Assert(~inside.opened | (state != BLOCK) | ~full.bit_select(half, 1)),
        Assert(~inside.opened | (state != BLOCK) | (inside.last_vector == samples - 1)),
        Assert((state == IDLE) | (inside.final_block == (left == 1))),
        Assert((state == IDLE) | (inside.last_sample_of_block == dut.block - 1)),
        Assert((state == IDLE) | (inside.last_sample_of_final_block == dut.last - 1)),
        Assert((state == IDLE) | (inside.single_sample_of_block == (dut.block == 1))),
        Assert((state == IDLE) | (inside.single_sample_of_final_block == (dut.last == 1))),
        Assert((state != STATE) | (inside.last_vector == dut.ranks - 1)),
        Assert((state != STATE) | (inside.vector_end == (inside.vector == dut.ranks - 1))),
        Assert(
            (state != BLOCK)
            | ~inside.opened
            | (inside.vector_end == (inside.vector == samples - 1))
        ),
        Assert(
            (state == IDLE)
            | (inside.row_end == (inside.row == Mux(inside.errors, dut.rows_m, dut.rows_n) - 1))
        ),
        Assert((state != BLOCK) | inside.opened | ((offset == 0) & ~inside.errors)),
        Assert((state != STATE) | ~inside.opened),
        Assert(state <= BLOCK),
    ]
    # A packet's end is where it must be, or the loader stops and says so.
    end = Mux(state == STATE, state_end, block_end)
    wrong = past(m, (writing | stored) & (input_.payload.last != end) & ~ResetSignal())
    early = past(m, input_.payload.last)
    m.d.comb += [
        Assert(dut.short == (wrong & early)),
        Assert(dut.long == (wrong & ~early)),
        Assert(~wrong | (state == IDLE) | past(m, dut.start)),
    ]
    m.d.comb += Cover((full == 3) & (state == IDLE) & (dut.block == 2) & past(m, dut.load))
    dimension = Mux(inside.errors, dut.m, dut.n)
    for lane in range(PARAMETERS.lanes):
        beyond = inside.row * PARAMETERS.lanes + lane >= dimension
        word = Mux(beyond, 0, input_.payload.words[lane])
        written = dut.factor_write | dut.buffer_write
        m.d.comb += Assert(~written | (dut.write_data[lane] == past(m, word)))
    for name, size, rows in (("n", dut.n, dut.rows_n), ("m", dut.m, dut.rows_m)):
        m.d.comb += Assert((state == IDLE) | (getattr(inside, f"last_row_{name}") == rows - 1))
        m.d.comb += Assert((state == IDLE) | (getattr(inside, f"single_row_{name}") == (rows == 1)))
        for lane in range(PARAMETERS.lanes):
            beyond = (rows - 1) * PARAMETERS.lanes + lane >= size
            lanes_beyond = getattr(inside, f"lanes_beyond_{name}")
            m.d.comb += Assert((state == IDLE) | (lanes_beyond[lane] == beyond))


def test_beats_are_stored_once_and_in_their_order():
    outcome = prove(
        Loader(PARAMETERS), beats_are_stored_once_and_in_their_order, method="induction", depth=3
    )
    assert outcome.proved


@pytest.mark.nightly
def test_both_halves_of_the_buffer_can_be_filled():
    outcome = prove(
        Loader(PARAMETERS), beats_are_stored_once_and_in_their_order, method="reach", depth=16
    )
    assert outcome.proved


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("(blocks_left != 0) & ~self.full.bit_select(bank, 1)", "blocks_left != 0"),
        ("bank.eq(~bank),", ""),
        ("final_block.eq(blocks_left == 2)", "final_block.eq(0)"),
        ("begin_vector(~errors)", "begin_vector(errors)"),
        ("(remaining != 0) & (remaining <= lane)", "(remaining < lane)"),
        ("address.eq(address + 1)", "address.eq(address)"),
    ],
)
def test_a_broken_loader_is_not_proved(old, new):
    broken = mutant(loader, old, new)
    outcome = prove(
        broken.Loader(PARAMETERS),
        beats_are_stored_once_and_in_their_order,
        method="induction",
        depth=3,
    )
    assert outcome.status in (Status.UNDECIDED, Status.REFUTED)
