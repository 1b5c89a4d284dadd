"""Proof that a run of reads comes to its end, if vectors and codes come and sums are taken."""

import pytest
from amaranth import Cat, Const, Mux, ResetSignal, Signal
from amaranth.hdl import Assert, Assume, Cover

from golden_model.parameters import Parameters
from hdl import code_receiver, partial_sums, read_walk, reader, sum_sender
from hdl.line_driver import LATENCY
from hdl.reader import CHECK_CYCLES, FILL_CYCLES, Reader, State
from hdl.sum_sender import parts
from tests.formal.prove import Status, mutant, past, prove
from tests.formal.test_reads import COUNTS, FETCH, IDLE, SUMS, drives_wait_for_codes, machine

PARAMETERS = Parameters(
    width=8, lanes=2, columns=1, max_rank=1, max_m=8, max_n=4, max_block=1, buffer_rows=8,
    tile_rows=2, tile_columns=4, max_slots=2, adcs=1, adc_bits=2,
)  # fmt: skip
SETTLE_CYCLES = partial_sums.latency(PARAMETERS)
FETCHES = PARAMETERS.lanes // PARAMETERS.adcs
LINES = max(PARAMETERS.tile_rows, PARAMETERS.tile_columns)
WALK_CYCLES = 3
"""Clock cycles after that of `first` or `next` from which on all of the walk's registers hold."""


def what_is_left_to_send(m, inside, sensed):
    """Invariants of the sender of sums, and what is left of its packet, 0 when it is idle. By
    weight: rows of sums; whether the row is yet to be sent; fetches, or parts of its sums."""
    state, fetch, part, following = inside.state, inside.fetch, inside.part, inside.next_row
    rows = (sensed + PARAMETERS.lanes - 1) // PARAMETERS.lanes
    row = Signal(4)
    m.d.comb += [
        row.eq((following - Mux(state == FETCH, fetch, FETCHES)) // FETCHES),
        Assert((state == FETCH) | (fetch == 0)),
        Assert((state == SUMS) | (part == 0) | (state == IDLE)),
        Assert((state != FETCH) | ((fetch <= FETCHES) & (following >= fetch))),
        Assert((state != FETCH) | ((following - fetch) % FETCHES == 0)),
        Assert((state != SUMS) | ((following >= FETCHES) & (following % FETCHES == 0))),
        Assert(((state != FETCH) & (state != SUMS)) | (row < rows)),
    ]
    left = Signal(8)
    with m.Switch(state):
        with m.Case(FETCH):
            m.d.comb += left.eq(Cat((FETCHES - fetch)[:2], Const(1, 1), rows - row))
        with m.Case(SUMS):
            m.d.comb += left.eq(Cat((parts(PARAMETERS) - 1 - part)[:2], Const(0, 1), rows - row))
        with m.Case(COUNTS):
            m.d.comb += left.eq(1)
    return left


def a_run_of_reads_comes_to_its_end(m, dut, inside):
    """From every reachable state: what is left of a run falls in every clock cycle until the reader
    is idle, but for those in which it waits, when it rests. It waits for a beat of a vector, for
    the array to be ready for a drive, for codes that a conversion owes, and for its own beats to be
    taken; for nothing else. An abort and a packet of wrong length leave a packet out to finish at
    most. A run that is over was refused or aborted, or its packet's fault was told, or `finished`.

    What is left is, by weight: the check of the settings, and the conversion that clears the
    integrators; vectors; stages of a vector; sensed tiles, driven tiles, bits; stages of a
    conversion; and cycles of the stage, which are rows, slots, codes, or beats of the packet out.

    Assumed, besides what the proof of drives assumes, whose invariants are taken over: m and n are
    within the maxima if `sizes_valid`.
    """
    drives_wait_for_codes(m, dut, inside)
    reading = inside.submodule("reader")
    walk, receiver = reading.submodule("walk"), reading.submodule("receiver")
    sender = reading.submodule("sender")
    converts = inside.submodule("lines").convert_slots
    settings = dut.settings
    state, clearing, wait = reading.state, reading.clearing, reading.wait
    row, slot, vectors_left = reading.signal("row", 2), reading.slot, reading.vectors_left
    sent = reading.signal("sent", 1)
    sending = sender.state != IDLE

    def at(*states):
        return Cat(state == one for one in states).any()

    sizes_valid = (settings.m >= 1) & (settings.m <= PARAMETERS.max_m)
    sizes_valid &= (settings.n >= 1) & (settings.n <= PARAMETERS.max_n)
    m.d.comb += Assume(~dut.sizes_valid | sizes_valid)

    # The settings, as the walk has them.
    driven = Mux(settings.transposed, settings.m, settings.n)
    sensed = Mux(settings.transposed, settings.n, settings.m)
    driven_rows = (driven + PARAMETERS.lanes - 1) // PARAMETERS.lanes
    tile_rows = (
        Mux(settings.transposed, PARAMETERS.tile_columns, PARAMETERS.tile_rows) // PARAMETERS.lanes
    )
    tile_lines = Mux(settings.transposed, PARAMETERS.tile_rows, PARAMETERS.tile_columns)
    last_bit = Mux(settings.bit_serial, settings.dac_bits - 2, 0)[: len(walk.bit)]
    checked, valid = ~at(State.IDLE, State.CHECK), at(State.CHECK) & dut.sizes_valid
    m.d.comb += [
        Assert(~checked | sizes_valid),
        Assert(~at(State.CHECK) | (wait < CHECK_CYCLES)),
        Assert(~at(State.CHECK) | (wait == 0) | (walk.driven_lines == driven)),
        Assert(~at(State.CHECK) | (wait == 0) | (walk.sensed_lines == sensed)),
        Assert(~at(State.CHECK) | (wait == 0) | (walk.last_bit == last_bit)),
        Assert(~valid | (wait <= 1) | (walk.driven_rows == driven_rows)),
        Assert(~(checked | sending) | (walk.sensed_lines == sensed)),
        Assert(~checked | (walk.driven_lines == driven)),
        Assert(~checked | (walk.driven_rows == driven_rows)),
        Assert(~checked | (walk.last_bit == last_bit)),
        Assert(~sending | sizes_valid),
        Assert(~at(State.CHECK) | (wait <= 1) | ~reading.allowed | dut.sizes_valid),
        Assert(~at(State.CHECK) | (wait <= 1) | ~reading.allowed | (dut.vectors >= 1)),
    ]

    # The walk.
    bit, line, driven_row = walk.bit, walk.line, walk.driven_row
    of_line = sensed - line
    final = bit == last_bit
    last_driven, last_sensed = driven_row + tile_rows >= driven_rows, of_line <= tile_lines
    whole = Cat(line, driven_row, bit)
    following = Cat(walk.next_line, walk.next_driven_row, walk.next_bit)
    onward = Mux(
        ~final,
        Cat(line, driven_row, (bit + 1)[: len(bit)]),
        Mux(
            ~last_driven,
            Cat(line, (driven_row + tile_rows)[: len(driven_row)]),
            Mux(last_sensed, 0, (line + tile_lines)[: len(line)]),
        ),
    )
    age = Signal(range(WALK_CYCLES + 1))
    with m.If(walk.next | walk.first):
        m.d.sync += age.eq(0)
    with m.Elif(age != WALK_CYCLES):
        m.d.sync += age.eq(age + 1)
    driving = at(State.DRIVE, State.ANSWER)
    m.d.comb += [
        Assert(~at(State.CHECK) | (age == wait)),
        Assert(~at(State.FILL) | (age >= row)),
        Assert(~at(State.DRIVE) | (age >= 2)),
        Assert(~at(State.ANSWER) | (age == WALK_CYCLES)),
        Assert(~checked | (bit <= last_bit)),
        Assert(~checked | (driven_row < driven_rows)),
        Assert(~checked | ((line < sensed) & (line % tile_lines == 0))),
        Assert(
            at(State.IDLE) | (~clearing & at(State.FILL, State.DRIVE, State.ANSWER)) | (whole == 0)
        ),
        Assert(~driving | (walk.final == final)),
        Assert(~driving | (walk.last_driven == last_driven)),
        Assert(~driving | (walk.left == of_line)),
        Assert(~driving | (age < 2) | (walk.last_sensed == last_sensed)),
        Assert(~driving | (age < 2) | (walk.sensed == Mux(last_sensed, of_line, tile_lines))),
        Assert(~at(State.ANSWER) | (following == onward)),
    ]

    # The states.
    counted = at(State.CHECK, State.SETTLE, State.SEND)
    reads = at(State.FILL, State.DRIVE, State.ANSWER)
    m.d.comb += [
        Assert(counted | (wait == 0)),
        Assert(~at(State.SETTLE) | (wait < SETTLE_CYCLES)),
        Assert(~at(State.SEND) | (wait <= 1)),
        Assert(~sending | at(State.IDLE) | (at(State.SEND) & (wait != 0))),
        Assert(~at(State.CHECK) | clearing),
        Assert(~at(State.LOAD, State.SETTLE, State.SEND) | ~clearing),
        Assert(at(State.IDLE, State.LOAD, State.FILL) | (row == 0)),
        Assert(~at(State.LOAD) | (row < driven_rows)),
        Assert(~at(State.FILL) | (row < tile_rows + FILL_CYCLES)),
        Assert(~at(State.DRIVE) | (slot <= reading.last_slot)),
        Assert(~at(State.DRIVE) | (reading.slot_end == (slot == reading.last_slot))),
        # Slots of a conversion on their way to the pins; then its codes.
        Assert((converts & (converts - 1)) == 0),
        Assert(~at(State.ANSWER) | clearing | converts.any() | receiver.pending),
        Assert(receiver.left <= LINES),
        # Vectors.
        Assert(~sent | at(State.IDLE, State.LOAD)),
        Assert(~at(State.CHECK) | (vectors_left == dut.vectors)),
        Assert(~checked | (vectors_left > sent)),
        Assert(
            ~at(State.DRIVE, State.ANSWER, State.SETTLE, State.SEND)
            | (reading.final_vector == (vectors_left == 1))
        ),
    ]

    # What is left.
    to_send = what_is_left_to_send(m, sender, sensed)
    codes = Cat(Const(0, 1), receiver.left) - receiver.taken
    cycles, conversion = Signal(9), Signal(2)
    part, stage = Signal(2), Signal(2)
    m.d.comb += stage.eq(Mux(at(State.CHECK), 3, Mux(clearing & reads, 2, checked)))
    with m.Switch(state):
        with m.Case(State.IDLE):
            m.d.comb += cycles.eq(to_send)
        with m.Case(State.CHECK):
            m.d.comb += cycles.eq(CHECK_CYCLES - 1 - wait)
        with m.Case(State.LOAD):
            m.d.comb += [part.eq(3), cycles.eq(driven_rows - row)]
        with m.Case(State.FILL):
            m.d.comb += [part.eq(2), conversion.eq(2), cycles.eq(tile_rows + FILL_CYCLES - 1 - row)]
        with m.Case(State.DRIVE):
            slots = Mux(clearing, 0, reading.last_slot - slot)
            pending = Mux(receiver.pending, codes, 0)
            m.d.comb += [part.eq(2), conversion.eq(1), cycles.eq(slots + pending)]
        with m.Case(State.ANSWER):
            coming = Mux(receiver.pending, codes, 0)
            for index in range(LATENCY):
                coming = Mux(converts[index], 2 * LINES + LATENCY - index, coming)
            m.d.comb += [part.eq(2), cycles.eq(coming)]
        with m.Case(State.SETTLE):
            m.d.comb += [part.eq(1), cycles.eq(SETTLE_CYCLES - 1 - wait)]
        with m.Case(State.SEND):
            m.d.comb += cycles.eq(Mux(wait == 0, 511, to_send))
    to_walk = Cat(last_bit - bit, (driven_rows - driven_row)[:3], of_line[:4])
    left = Cat(
        cycles,
        conversion,
        Mux(reads, to_walk, 0),
        part,
        Mux(checked, vectors_left - sent, 0)[: len(vectors_left)],
        stage,
    )

    # What it waits for.
    receiving = receiver.pending & ~receiver.taken & ~dut.adc_valid
    pauses = [
        at(State.LOAD) & ~dut.input.valid,
        at(State.DRIVE) & (slot == 0) & receiving,
        at(State.DRIVE) & (slot == 0) & ~receiver.pending & ~dut.ready,
        at(State.ANSWER) & receiving,
    ]
    held = dut.output.valid & ~dut.output.ready
    rests = (Cat(pauses).any() & ~dut.abort) | (held & (at(State.IDLE) | ~dut.abort))
    rested, went_on = past(m, rests), past(m, dut.busy & ~ResetSignal())
    over = past(m, dut.finished | dut.refused | dut.abort | at(State.IDLE)) | dut.short | dut.long
    end = row + 1 == driven_rows
    wrong = at(State.LOAD) & dut.input.valid & (dut.input.payload.last != end) & ~dut.abort
    was_wrong = past(m, wrong & ~ResetSignal())
    m.d.comb += [
        Assert(dut.busy == (left != 0)),
        Assert(~went_on | rested | (left < past(m, left)), "it goes on"),
        Assert(~went_on | ~rested | (left == past(m, left)), "it rests"),
        Assert(~went_on | dut.busy | over, "its end is told"),
        Assert((dut.short | dut.long) == was_wrong, "a packet of wrong length is told"),
        Assert(~was_wrong | at(State.IDLE), "and ends the run"),
        Assert(~dut.finished | (vectors_left == 1), "all vectors have been read"),
    ]


def the_least_run_ends(m, dut, inside):
    """The reader alone reads a vector of one code with one line, by drivers that take their time;
    all else moves as soon as it may."""
    settings, drive = dut.settings, dut.drive
    m.d.comb += [
        Assume((settings.m == 1) & (settings.n == 1) & (settings.dac_bits == 2)),
        Assume(~settings.bit_serial & ~settings.transposed & (settings.sum_bits == 2)),
        Assume(dut.sizes_valid & (dut.vectors == 1)),
        Assume(dut.ready & dut.input.valid & dut.output.ready & ~ResetSignal() & ~dut.abort),
        Assume(dut.convert == past(m, drive.fire & drive.convert, LATENCY)),
        Cover(dut.finished),
    ]


def test_a_run_of_reads_comes_to_its_end():
    outcome = prove(
        machine(parameters=PARAMETERS), a_run_of_reads_comes_to_its_end, method="induction", depth=5
    )
    assert outcome.proved


@pytest.mark.nightly
def test_a_run_of_reads_can_come_to_its_end():
    outcome = prove(Reader(PARAMETERS), the_least_run_ends, method="reach", depth=40)
    assert outcome.proved


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("module", "part", "old", "new"),
    [
        (reader, "", "Mux(walk.last, State.SETTLE, State.FILL)", "State.FILL"),
        (reader, "", "vectors_left.eq(vectors_left - 1)", "vectors_left.eq(vectors_left)"),
        (reader, "", "walk.next.eq(1)", "walk.next.eq(0)"),
        (reader, "", "[clearing.eq(0), state.eq(State.LOAD)]", "state.eq(State.LOAD)"),
        (reader, "", "& (self.vectors >= 1)", "& 1"),
        (reader, "", "final_vector.eq(vectors_left == 1)", "final_vector.eq(vectors_left == 0)"),
        (reader, "", "m.Elif(receiver.done)", "m.Elif(receiver.valid)"),
        (reader, "", "walk.first.eq(begin)", "walk.first.eq(0)"),
        (reader, "", "self.busy.eq(active | sender.busy)", "self.busy.eq(active)"),
        (reader, "", "self.input.payload.last != end", "self.input.payload.last & ~end"),
        (read_walk, "ReadWalk", "last_sensed.eq(left <= tile", "last_sensed.eq(left < tile"),
        (read_walk, "ReadWalk", "sensed_tile + 1, line + tile_lines)", "sensed_tile + 1, line)"),
        (read_walk, "ReadWalk", "further_bit = (self.bit + 1,", "further_bit = (self.bit,"),
        (code_receiver, "CodeReceiver", "self.pending & ending)", "self.pending & discarded)"),
        (sum_sender, "SumSender", "Mux(next_row < rows, _State.FETCH", "Mux(1, _State.FETCH"),
        (sum_sender, "SumSender", "part.eq(part + 1)", "part.eq(part)"),
    ],
)
def test_a_reader_that_stops_is_not_proved(monkeypatch, module, part, old, new):
    broken = mutant(module, old, new)
    if part:
        monkeypatch.setattr(reader, part, getattr(broken, part))
        broken = reader
    outcome = prove(
        machine(broken, PARAMETERS), a_run_of_reads_comes_to_its_end, method="induction", depth=5
    )
    assert outcome.status in (Status.UNDECIDED, Status.REFUTED)
