"""Proofs of the host link: its rings keep what they must, and are never overrun."""

import pytest
from amaranth import ResetSignal, Signal
from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Assume, Cover

from hdl import byte_ring
from hdl.byte_ring import OFFSET, ReceiveRing, SendRing
from tests.formal.prove import mutant, past, prove

SIZE = 4
MAX = 3
"""Bytes of a payload in the proof of the ring of bytes to send."""


def distance(m, late, early):
    """`late` - `early`, modulo the offsets."""
    result = Signal(OFFSET)
    m.d.comb += result.eq(late - early)
    return result


def committed_bytes_leave_once_in_order_unchanged(m, dut, inside):
    """Any byte that is put, if it is committed, leaves at its offset, unchanged, unless cleared;
    one that is dropped, or not yet committed, does not. The ring is never overrun. The stream is
    held, but for a clear. Assumed: no byte is put beyond `room`, nor in the cycle of a commit or
    drop, which do not come together.
    """
    output, ending = dut.output, dut.clear | ResetSignal()
    tentative = inside.tentative
    put, held = distance(m, tentative, dut.end), distance(m, dut.end, dut.taken)
    m.d.comb += [
        Assume(dut.put + dut.commit + dut.drop <= 1),
        Assume(~dut.put | (put < dut.room)),
        Assert(put + held <= SIZE, "no overrun"),
        Assert(dut.room == SIZE - held),
        Assert(~output.valid | (held != 0)),
    ]
    waited = past(m, output.valid & ~output.ready & ~ending)
    m.d.comb += [
        Assert(~waited | output.valid, "valid is held"),
        Assert(~waited | (output.payload == past(m, output.payload)), "the payload is stable"),
    ]
    # Any one byte, marked as it is put: where it is, what it is, and whether it is committed.
    marked, committed = Signal(), Signal()
    offset, content = Signal(OFFSET), Signal(8)
    leaves = output.valid & output.ready
    with m.If(ending | (dut.drop & ~committed)):
        m.d.sync += [marked.eq(0), committed.eq(0)]
    with m.Elif(dut.put & ~marked & AnySeq(1)):
        m.d.sync += [
            marked.eq(1), committed.eq(0), offset.eq(tentative), content.eq(dut.byte)
        ]  # fmt: skip
    with m.Elif(marked & dut.commit):
        m.d.sync += committed.eq(1)
    with m.If(marked & committed & leaves & (dut.taken == offset)):
        m.d.sync += marked.eq(0)
    ahead = distance(m, offset, dut.taken)
    present = marked & output.valid & (ahead == 0)
    m.d.comb += [
        Assert(~marked | ~committed | (ahead < held), "it leaves, after those before it"),
        Assert(~marked | committed | (ahead >= held), "not before it is committed"),
        Assert(~marked | (ahead < put + held)),
        Assert(~present | (output.payload == content), "unchanged"),
        Assert(~marked | (inside.word(m, "bytes", offset[: SIZE.bit_length() - 1]) == content)),
        Cover(present & leaves & (offset == SIZE + 1) & past(m, held == SIZE, 3)),
    ]


def bytes_are_kept_until_acknowledged(m, dut, inside):
    """Any byte that comes in lies at its offset, unchanged, until an acknowledgement beyond it or a
    clear. The ring is never overrun. A frame never takes more than there is: `sent` + `length` does
    not pass the last byte; nor is `sent` behind what is acknowledged for more than a cycle.
    Assumed: acknowledgements with an offset that has been there for two cycles, three cycles apart
    and as far from a clear.
    """
    first, end = inside.first, inside.end
    calm = ~(dut.acknowledge | dut.clear | ResetSignal())
    m.d.comb += [
        Assume(~dut.acknowledge | (dut.acknowledged == past(m, dut.acknowledged))),
        Assume(~dut.acknowledge | (dut.acknowledged == past(m, dut.acknowledged, 2))),
        Assume(~dut.acknowledge | (past(m, calm) & past(m, calm, 2))),
    ]
    level = distance(m, end, first)
    pending = distance(m, end, dut.sent)
    flying = distance(m, dut.sent, first)
    moved = past(m, dut.acknowledge & ~dut.clear & ~ResetSignal())
    m.d.comb += [
        Assert(level <= SIZE, "no overrun"),
        Assert(~dut.input.ready | (level < SIZE)),
        Assert(pending <= SIZE),
        Assert((flying <= level) | moved, "at once where the acknowledgement is"),
        Assert(flying[-1] | (flying <= level)),
        Assert(dut.length <= pending, "no more than there is"),
        Assert(dut.length <= MAX),
    ]
    # What `valid` says of the offset that an acknowledgement may come with next.
    settled = past(m, calm) & past(m, calm, 2)
    stable = (dut.acknowledged == past(m, dut.acknowledged)) & (
        dut.acknowledged == past(m, dut.acknowledged, 2)
    )
    freed = distance(m, dut.acknowledged, first)
    m.d.comb += Assert(~(settled & stable) | ~inside.valid | (freed <= level))
    # Any one byte, marked as it comes in.
    marked, offset, content = Signal(), Signal(OFFSET), Signal(8)
    passed = Signal()
    m.d.comb += passed.eq(dut.acknowledge & inside.valid & (freed > distance(m, offset, first)))
    with m.If(dut.clear | ResetSignal() | passed):
        m.d.sync += marked.eq(0)
    with m.Elif(dut.arrived & ~marked & AnySeq(1)):
        m.d.sync += [marked.eq(1), offset.eq(end), content.eq(dut.input.payload)]
    asked = past(m, dut.address)
    m.d.comb += [
        Assert(~marked | (distance(m, offset, first) < level), "kept"),
        Assert(~marked | (inside.word(m, "bytes", offset[: SIZE.bit_length() - 1]) == content)),
        Assert(~(marked & past(m, marked)) | (asked != offset) | (dut.data == content)),
        Cover(marked & (offset == SIZE + 1) & (level == SIZE) & (dut.sent == offset)),
    ]


@pytest.mark.parametrize(
    ("dut", "properties"),
    [
        (ReceiveRing(SIZE), committed_bytes_leave_once_in_order_unchanged),
        (SendRing(SIZE, MAX), bytes_are_kept_until_acknowledged),
    ],
)
def test_a_ring_keeps_what_it_must(dut, properties):
    assert prove(dut, properties, method="induction", depth=4).proved


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("dut", "properties"),
    [
        (ReceiveRing(SIZE), committed_bytes_leave_once_in_order_unchanged),
        (SendRing(SIZE, MAX), bytes_are_kept_until_acknowledged),
    ],
)
def test_a_ring_can_be_full_and_wrap(dut, properties):
    assert prove(dut, properties, method="reach", depth=30).proved


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("self.room.eq(self.taken + self._size - self.end)", "self.room.eq(self._size)"),
        ("self.end.eq(tentative)", "self.end.eq(tentative + 1)"),
        ("tentative.eq(self.end)", "tentative.eq(self.taken)"),
        ("self.output.valid.eq(self.taken != self.end)", "self.output.valid.eq(1)"),
        ("self.output.valid.eq(self.taken != self.end)",
         "self.output.valid.eq(self.taken != tentative)"),
        ("self.taken.eq(self.taken + 1), self.output.valid.eq(0)", "self.taken.eq(self.taken + 1)"),
        ("read.addr.eq(self.taken)", "read.addr.eq(self.taken + 1)"),
        ("self.end.eq(0), self.taken.eq(0), self.output.valid.eq(0)",
         "self.end.eq(0), self.taken.eq(0)"),
    ],
)  # fmt: skip
def test_a_broken_receive_ring_is_refuted(old, new):
    broken = mutant(byte_ring, old, new).ReceiveRing(SIZE)
    outcome = prove(
        broken, committed_bytes_leave_once_in_order_unchanged, method="bounded", depth=14
    )
    assert outcome.refuted


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("~self.arrived & (level != self._size)", "level != self._size"),
        ("~self.arrived & (level != self._size)", "~self.arrived"),
        ("valid.eq(freed <= level)", "valid.eq(1)"),
        ("with m.If(returning | behind):", "with m.If(returning):"),
        ("self.sent.eq(self.sent + self.length), self.length.eq(0)",
         "self.sent.eq(self.sent + self.length)"),
        ("self.sent.eq(first), self.length.eq(0)", "self.sent.eq(first - 1), self.length.eq(0)"),
        ("write.addr.eq(end)", "write.addr.eq(self.sent)"),
        ("end.eq(0), self.length.eq(0)", "end.eq(0)"),
    ],
)  # fmt: skip
def test_a_broken_send_ring_is_refuted(old, new):
    broken = mutant(byte_ring, old, new).SendRing(SIZE, MAX)
    outcome = prove(broken, bytes_are_kept_until_acknowledged, method="bounded", depth=14)
    assert outcome.refuted
