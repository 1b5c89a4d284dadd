"""Proofs of reads: codes are taken for what they are, drives wait for codes, packets are whole."""

import pytest
from amaranth import Array, Cat, Const, Module, Mux, ResetSignal, Signal, Value
from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import wiring

from golden_model.parameters import Parameters
from hdl import code_receiver, reader, sum_sender
from hdl.code_receiver import CodeReceiver
from hdl.line_driver import LATENCY
from hdl.reader import State
from hdl.sum_sender import SumSender, parts
from hdl.update import UpdateDriver
from tests.formal.prove import Status, mutant, past, prove, stream_is_held

PARAMETERS = Parameters(
    width=8, lanes=2, columns=1, max_rank=1, max_m=4, max_n=4, max_block=1, buffer_rows=4,
    tile_rows=4, tile_columns=4, max_slots=2, adcs=2, adc_bits=2,
)  # fmt: skip
SHORT = Parameters(
    width=8, lanes=2, columns=1, max_rank=1, max_m=4, max_n=4, max_block=1, buffer_rows=4,
    tile_rows=2, tile_columns=2, max_slots=2, adcs=1, adc_bits=2,
)  # fmt: skip


def codes_count_for_the_conversion_that_asked(m, dut, inside):
    """Every beat is told a cycle later: valid if a conversion awaits it, during which no abort
    came, with the lines that it belongs to; unexpected if none does. The last of them ends it.

    Assumed: at most 4 lines; a conversion begins when the codes of the one before have come.
    """
    owed, counts, begun = Signal(3), Signal(), Signal(3)
    taken = past(m, dut.adc_valid & ~ResetSignal())
    m.d.comb += [
        Assume(dut.sensed <= 4),
        Assume(~dut.convert | ~dut.pending),
        Assert(inside.taken == taken),
        Assert(inside.left == owed),
        Assert(~owed.any() | (inside.discarded == ~counts)),
        Assert(~owed.any() | (dut.beat == (begun - owed) >> 1)),
        Assert((owed <= begun) & (begun <= 4)),
        Assert((owed == begun) | (owed == begun - 2) | (owed == 0)),
        Assert(dut.pending == (owed != 0)),
        Assert(~owed.any() | (inside.ending == (owed <= 2))),
        Assert(dut.valid == (taken & (owed != 0) & counts)),
        Assert(dut.unexpected == (taken & (owed == 0))),
        Assert(dut.done == (taken & (owed != 0) & (owed <= 2))),
        Assert(dut.inside == Cat(owed > 0, owed > 1)),
        Assert(~taken | (dut.codes.as_value() == past(m, dut.adc_codes))),
        Assert((dut.saturated & ~dut.inside) == 0),
        Cover(dut.done & dut.valid & (begun == 3)),
    ]
    with m.If(dut.convert):
        m.d.sync += [owed.eq(dut.sensed), begun.eq(dut.sensed), counts.eq(1)]
    with m.Elif(taken & (owed != 0)):
        m.d.sync += owed.eq(Mux(owed > 2, owed - 2, 0))
    with m.If(dut.abort):
        m.d.sync += counts.eq(0)


def test_codes_count_for_the_conversion_that_asked():
    outcome = prove(
        CodeReceiver(PARAMETERS),
        codes_count_for_the_conversion_that_asked,
        method="induction",
        depth=3,
    )
    assert outcome.proved


@pytest.mark.nightly
def test_a_conversion_of_two_beats_can_end():
    outcome = prove(
        CodeReceiver(PARAMETERS), codes_count_for_the_conversion_that_asked, method="reach", depth=8
    )
    assert outcome.proved


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("taken & self.pending & ~discarded", "taken & self.pending"),
        ("m.d.sync += discarded.eq(1)", "m.d.sync += left.eq(0)"),
        ("(left <= 2 * adcs)", "(left < 2 * adcs)"),
        ("(self.sensed <= adcs)", "(self.sensed < adcs)"),
        ("left > lane for lane", "left >= lane for lane"),
        ("self.unexpected.eq(taken & ~self.pending)", "self.unexpected.eq(taken)"),
    ],
)
def test_a_broken_receiver_is_not_proved(old, new):
    outcome = prove(
        mutant(code_receiver, old, new).CodeReceiver(PARAMETERS),
        codes_count_for_the_conversion_that_asked,
        method="induction",
        depth=3,
    )
    assert outcome.status in (Status.UNDECIDED, Status.REFUTED)


def sums_leave_whole_and_in_order(m, dut, inside):
    """A packet has the parts of every row of sums, the lowest first, sums beyond the vector zero,
    and then the counts, marked as the last; valid held and payload stable.

    Assumed: the memory answers in the next cycle; 1 to 4 sums that rest with the counts while busy;
    started when idle.
    """
    memory = [AnyConst(32) for _ in range(4)]
    settings = Cat(dut.sensed, dut.adc_saturations, dut.sum_saturations)
    beat, taken = Signal(4), dut.output.valid & dut.output.ready
    payload = dut.output.payload
    row, part = beat[2:], beat[:2]
    end = row == (dut.sensed + 1) >> 1

    def number(index):
        """What is to be sent in place `index`."""
        word = Array(memory)[index[:2]]
        return Mux(index < dut.sensed, word, 0)

    m.d.comb += [
        Assume((dut.sensed >= 1) & (dut.sensed <= 4)),
        Assume(~past(m, dut.busy | dut.start) | (settings == past(m, settings))),
        Assume(~dut.start | ~dut.busy),
        Assume(dut.fetch_data.as_value() == Array(memory)[past(m, dut.fetch_row)]),
        Assert(dut.busy | (beat == 0)),
        Assert(~dut.output.valid | dut.busy),
        Assert(~dut.output.valid | (payload.last == end)),
        Assert(row <= (dut.sensed + 1) >> 1),
        Cover(taken & payload.last & (dut.sensed == 3)),
    ]
    stream_is_held(m, dut.output)
    with m.If(ResetSignal()):
        m.d.sync += beat.eq(0)
    with m.Elif(taken):
        m.d.sync += beat.eq(Mux(payload.last, 0, beat + 1))
    for lane in range(2):
        count = (dut.adc_saturations, dut.sum_saturations)[lane]
        limited = Mux(count > 255, 255, count)
        left = Signal(32, name=f"left_{lane}")
        m.d.comb += [
            left.eq(number(Cat(Const(lane, 1), row)) >> (part << 3)),
            Assert(
                ~dut.output.valid
                | (Value.cast(payload.words)[8 * lane :][:8] == Mux(end, limited, left)[:8])
            ),
            Assert((inside.state != SUMS) | (inside.sums[32 * lane :][:32] == left)),
        ]
    # Where it is, by state: what is fetched arrives in the next cycle; a whole row is sent.
    state, fetch, following = inside.state, inside.fetch, inside.next_row
    arrived = Cat(Const(0, 1), row) + fetch - 1
    m.d.comb += [
        Assert((state == IDLE) == ~dut.busy),
        Assert((state == IDLE) | (inside.part == part)),
        Assert((state != FETCH) | ((part == 0) & ~end & (fetch <= 2))),
        Assert((state != FETCH) | (following == (row << 1) + fetch)),
        Assert((state != FETCH) | (fetch == 0) | (past(m, dut.fetch_row) == arrived[:2])),
        Assert((state != FETCH) | (fetch == 0) | (inside.inside == (arrived < dut.sensed))),
        Assert((state != FETCH) | (fetch != 2) | (inside.sums[32:] == number(row << 1))),
        Assert((state != SUMS) | (~end & (fetch == 0) & (following == (row << 1) + 2))),
        Assert((state != COUNTS) | (end & (part == 0))),
    ]


IDLE, FETCH, SUMS, COUNTS = range(4)
SENDING = Parameters(
    width=8, lanes=2, columns=1, max_rank=1, max_m=4, max_n=4, max_block=1, buffer_rows=4,
    tile_rows=2, tile_columns=2, max_slots=2, adcs=1,
)  # fmt: skip


def test_sums_leave_whole_and_in_order():
    assert parts(SENDING) == 4
    outcome = prove(SumSender(SENDING), sums_leave_whole_and_in_order, method="induction", depth=3)
    assert outcome.proved


@pytest.mark.nightly
def test_a_packet_of_sums_can_end():
    outcome = prove(SumSender(SENDING), sums_leave_whole_and_in_order, method="reach", depth=20)
    assert outcome.proved


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("arrived = Mux(inside, self.fetch_data, 0)", "arrived = self.fetch_data"),
        ("Cat(sums, arrived)[p.adcs * SUM_BITS :]", "Cat(arrived, sums)[: p.lanes * SUM_BITS]"),
        ("sums[lane] >> container", "sums[lane]"),
        ("count[container:].any()", "count[container]"),
        ("Mux(next_row < rows, _State.FETCH, _State.COUNTS)", "_State.COUNTS"),
    ],
)
def test_a_broken_sum_sender_is_not_proved(old, new):
    outcome = prove(
        mutant(sum_sender, old, new).SumSender(SENDING),
        sums_leave_whole_and_in_order,
        method="induction",
        depth=3,
    )
    assert outcome.status in (Status.UNDECIDED, Status.REFUTED)


class ReadMachine(wiring.Component):
    """The reader and the line drivers, as the accelerator connects them; no update is started."""

    def __init__(self, reader_, lines):
        self.reader, self.lines = reader_, lines
        super().__init__(
            {
                name: member
                for name, member in reader_.signature.members.items()
                if name not in ("drive", "convert")
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.reader, m.submodules.lines = self.reader, self.lines
        wiring.connect(m, self.reader.drive, self.lines.read)
        for name, member in self.signature.members.items():
            inner, outer = getattr(self.reader, name), getattr(self, name)
            if name in ("input", "output"):
                wiring.connect(m, inner, wiring.flipped(outer))
            elif member.flow == wiring.In:
                m.d.comb += inner.eq(outer)
            else:
                m.d.comb += outer.eq(inner)
        m.d.comb += [
            self.lines.abort.eq(self.abort),
            self.reader.convert.eq(self.lines.convert),
        ]
        return m


def drives_wait_for_codes(m, dut, inside):
    """No line is driven while codes are to come, of this run or of an aborted one; a drive begins
    when the array is ready; it goes on without a gap, and ends with the one slot that converts, or
    with an abort or a reset. In the cycle after these the reader is idle, but for a packet out.

    Assumed: settings that rest while busy; no start while busy.
    """
    lines, reading = dut.lines, inside.submodule("reader")
    state, slot, clearing = reading.state, reading.slot, reading.clearing
    receiver = reading.submodule("receiver")
    pending = receiver.left != 0
    reads = inside.submodule("lines").read_valid_slots
    converts = inside.submodule("lines").convert_slots
    full, dac_bits = reading.full, dut.settings.dac_bits
    last_slot = Mux(dut.settings.bit_serial, 0, full - 1)[: len(full)]
    dac_bits_valid = (dac_bits >= 2) & (dac_bits <= SHORT.width)
    settled = past(m, (dut.busy | dut.start) & ~ResetSignal())
    kept = past(m, ~dut.abort & ~ResetSignal())
    settings = Cat(dut.settings.as_value(), dut.vectors, dut.sizes_valid)
    driving, answering = state == State.DRIVE, state == State.ANSWER
    began = lines.read_valid & ~past(m, lines.read_valid)
    ended = ~lines.read_valid & past(m, lines.read_valid)
    m.d.comb += [
        Assume(~past(m, dut.busy | dut.start) | (settings == past(m, settings))),
        Assume(~(dut.start & dut.busy)),
        Assert(~(lines.read_valid & pending), "no line is driven while codes are to come"),
        Assert(~began | past(m, dut.ready, LATENCY), "a drive begins when the array is ready"),
        Assert(~ended | ~kept | past(m, lines.convert), "a drive ends with its conversion"),
        Assert(~past(m, lines.convert) | ended, "and a conversion ends the drive"),
        Assert(kept | (state == State.IDLE)),
        Assert(reading.active == (state != State.IDLE)),
        # Slots on their way to the pins: those of one drive, in a row, its conversion last.
        Assert(~(reads.any() & pending)),
        Assert((converts & ~reads) == 0),
        Assert(~converts.any() | answering),
        Assert(~reads.any() | driving | (answering & converts.any())),
        Assert(~(driving & (slot != 0)) | (reads[0] & ~pending)),
        Assert(~(driving & (slot == 0)) | ~reads.any()),
        *(
            Assert(~reads[older] | Mux(reads[older - 1], ~converts[older], converts[older]))
            for older in range(1, LATENCY)
        ),
        Assert(~reads[0] | Mux(converts[0], answering, driving & (slot != 0))),
        Assert(~(answering & clearing) | converts.any()),
        Assert(
            (slot == 0)
            | (state == State.IDLE)
            | (driving & ~clearing & ~dut.settings.bit_serial & (slot < full))
        ),
        Assert(~settled | (full == ((1 << (dac_bits - 1)[:4]) - 1)[: len(full)])),
        Assert(~(settled & past(m, settled)) | (reading.last_slot == last_slot)),
        Assert((state <= State.CHECK) | past(m, settled)),
        Assert(~settled | ~reading.allowed | dac_bits_valid),
        Assert((state <= State.CHECK) | dac_bits_valid),
        Assert(receiver.pending == pending),
        Assert(~pending | (receiver.ending == (receiver.left <= SHORT.adcs))),
    ]
    m.d.comb += Cover(driving & pending & ~past(m, dut.abort))  # a run waits for an aborted one's
    # The array was ready when the first slot of those on their way was fired.
    for age in range(LATENCY):
        first = reads[age] & (~reads[age + 1] if age + 1 < LATENCY else ~past(m, reads[age]))
        m.d.comb += Assert(~first | past(m, dut.ready, age + 1))


def machine(reader_module=reader, parameters=SHORT):
    return ReadMachine(reader_module.Reader(parameters), UpdateDriver(parameters))


def test_drives_wait_for_codes():
    assert prove(machine(), drives_wait_for_codes, method="induction", depth=5).proved


@pytest.mark.nightly
def test_a_run_can_have_to_wait_for_the_codes_of_an_aborted_one():
    assert prove(machine(), drives_wait_for_codes, method="reach", depth=30).proved


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("self.ready & ~receiver.pending", "self.ready"),
        ("self.ready & ~receiver.pending", "~receiver.pending"),
        ("(slot == last_slot)", "(slot == full)"),
        ("state.eq(State.IDLE), active.eq(0), wait.eq(0)", "active.eq(0), wait.eq(0)"),
        ("with m.If(self.convert):", "with m.If(1):"),
    ],
)
def test_a_broken_reader_is_not_proved(old, new):
    outcome = prove(
        machine(mutant(reader, old, new)), drives_wait_for_codes, method="induction", depth=5
    )
    assert outcome.status in (Status.UNDECIDED, Status.REFUTED)
