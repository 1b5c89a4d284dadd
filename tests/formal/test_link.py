"""Proofs of the host link: its rings keep what they must, and are never overrun."""

import pytest
from amaranth import Module, Mux, ResetSignal, Signal
from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib.wiring import Component, In

from golden_model.link import CRC_BYTES, HEADER_BYTES
from hdl import byte_ring, frame_receiver
from hdl.byte_ring import OFFSET, ReceiveRing, SendRing
from hdl.frame_receiver import HEADER_LAYOUT, FrameReceiver, State
from tests.formal.prove import Status, mutant, past, prove

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


class Receiving(Component):
    """A receiver of frames with its ring."""

    def __init__(self, receiver):
        self.receiver, self.ring = receiver, ReceiveRing(SIZE)
        super().__init__(
            {
                "valid": In(1),
                "payload": In(8),
                "end": In(1),
                "whole": In(1),
                "ready": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = self.receiver
        m.submodules.ring = ring = self.ring
        m.d.comb += [
            receiver.input.valid.eq(self.valid),
            receiver.input.payload.eq(self.payload),
            receiver.end.eq(self.end),
            receiver.whole.eq(self.whole),
            receiver.expected.eq(ring.end),
            receiver.room.eq(ring.room),
            ring.put.eq(receiver.put),
            ring.byte.eq(receiver.byte),
            ring.commit.eq(receiver.commit),
            ring.drop.eq(receiver.drop),
            ring.clear.eq(receiver.restart),
            ring.output.ready.eq(self.ready),
        ]
        return m


def payloads_are_put_whole_and_within_the_room(m, dut, inside):
    """Whatever bytes come, what is put fits between what is committed and what has been taken; what
    is committed is all of a payload whose header has the session, and the offset that was waited
    for. Never two of put, commit and drop at once. Assumed: bytes and ends of frames four cycles
    apart.
    """
    receiver, ring = inside.submodule("receiver"), inside.submodule("ring")
    header, state, left = HEADER_LAYOUT(receiver.header), receiver.state, receiver.left
    taking, end = receiver.taking, dut.ring.end
    put, held = distance(m, ring.tentative, end), distance(m, end, dut.ring.taken)
    verdict = dut.receiver.commit | dut.receiver.drop
    event = dut.valid | dut.end
    since = Signal(range(8), init=7, reset_less=True)  # cycles since the last event, at most 7
    with m.If(event):
        m.d.sync += since.eq(1)
    with m.Elif(since != 7):
        m.d.sync += since.eq(since + 1)
    m.d.comb += [
        Assume(~(dut.valid & dut.end)),
        Assume(~event | (since >= 4)),
        Assert(since != 0),
        Assert(~dut.ring.output.valid | (held != 0)),
        Assert(dut.ring.room == SIZE - held),
        Assert(put + held <= SIZE, "no overrun"),
        Assert(~dut.receiver.put | (put < dut.ring.room)),
        Assert(dut.receiver.put + dut.receiver.commit + dut.receiver.drop <= 1),
        Assert(~dut.receiver.commit | (put == header.length), "all of it"),
        Assert(~dut.receiver.commit | (header.offset == end), "at its offset"),
        Assert(~dut.receiver.commit | (header.session == dut.receiver.session)),
    ]
    # How far the header's checks have come: each is right a cycle after what it depends on.
    begins = (state == State.HEADER) & (left == HEADER_BYTES - 1)
    payload = state == State.PAYLOAD
    first = payload & (left == header.length - 1)
    beyond = (state == State.CRC) | (state == State.COMPLETE) | (state == State.EXCESS)
    fresh = first | ((state == State.CRC) & (left == CRC_BYTES - 1) & (header.length == 0))
    proved = receiver.ended & receiver.good
    checked = payload | beyond | proved
    late = [checked & (~fresh | (since >= cycles)) for cycles in range(5)]
    m.d.comb += [
        Assert(state <= State.EXCESS),
        Assert(~receiver.ended | ((since == 1) & begins)),
        Assert(~(verdict | dut.receiver.restart) | ((since == 2) & begins)),
        Assert((state != State.CHECK) | (since == 1)),
        Assert(~fresh | (since >= 2)),
        Assert(~payload | (left < header.length)),
        Assert((state != State.CRC) | (left < CRC_BYTES)),
        Assert((state != State.HEADER) | (left < HEADER_BYTES)),
        Assert(~checked | ~receiver.fits | (header.length <= dut.ring.room)),
        Assert(~late[2] | (receiver.ours == (header.session == dut.receiver.session))),
        Assert(~late[2] | (receiver.ahead == (header.offset - end)[:OFFSET])),
        Assert(~late[3] | (receiver.in_order == (receiver.ahead == 0))),
        Assert(~late[4] | (taking == (receiver.ours & receiver.fits & receiver.in_order))),
    ]
    waits = (state == State.HEADER) & ~(begins & (since < 3))
    m.d.comb += [
        Assert(~(waits | (state == State.CHECK) | fresh) | (put == 0)),
        Assert(~payload | fresh | (put == Mux(taking, header.length - 1 - left, 0))),
        Assert(~(beyond | proved) | fresh | ~taking | (put == header.length)),
    ]


@pytest.mark.parametrize(
    ("ring", "sizes", "properties"),
    [
        (ReceiveRing, (SIZE,), committed_bytes_leave_once_in_order_unchanged),
        (SendRing, (SIZE, MAX), bytes_are_kept_until_acknowledged),
    ],
)
def test_a_ring_keeps_what_it_must(ring, sizes, properties):
    assert prove(ring(*sizes), properties, method="induction", depth=4).proved


def test_payloads_are_put_whole_and_within_the_room():
    outcome = prove(
        Receiving(FrameReceiver(SIZE)),
        payloads_are_put_whole_and_within_the_room,
        method="induction",
        depth=6,
    )
    assert outcome.proved


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("ring", "sizes", "properties"),
    [
        (ReceiveRing, (SIZE,), committed_bytes_leave_once_in_order_unchanged),
        (SendRing, (SIZE, MAX), bytes_are_kept_until_acknowledged),
    ],
)
def test_a_ring_can_be_full_and_wrap(ring, sizes, properties):
    assert prove(ring(*sizes), properties, method="reach", depth=30).proved


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("self.room.eq(self.taken + self._size - self.end)", "self.room.eq(self._size)"),
        ("self.end.eq(tentative)", "self.end.eq(tentative + 1)"),
        ("tentative.eq(self.end)", "tentative.eq(self.taken)"),
        ("fetched.eq(self.taken != self.end)", "fetched.eq(1)"),
        ("fetched.eq(self.taken != self.end)", "fetched.eq(self.taken != tentative)"),
        ("self.taken.eq(self.taken + 1), fetched.eq(0), self.output.valid.eq(0)",
         "self.taken.eq(self.taken + 1), fetched.eq(0)"),
        ("self.taken.eq(self.taken + 1), fetched.eq(0), self.output.valid.eq(0)",
         "self.taken.eq(self.taken + 1), self.output.valid.eq(0)"),
        ("self.output.valid.eq(fetched)", "self.output.valid.eq(self.taken != self.end)"),
        ("read.addr.eq(self.taken)", "read.addr.eq(self.taken + 1)"),
        ("self.taken.eq(0), fetched.eq(0),\n", "self.taken.eq(0),\n"),
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


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("header.length <= self.room", "header.length <= self.room + 1"),
        ("in_order.eq(ahead == 0),",
         "in_order.eq(ahead == 0), fits.eq(header.length <= self.room),"),
        ("taking.eq(ours & fits & in_order)", "taking.eq(ours & in_order)"),
        ("taking.eq(ours & fits & in_order)", "taking.eq(fits & in_order)"),
        ("taking.eq(ours & fits & in_order)", "taking.eq(ours & fits)"),
        ("(state == State.COMPLETE)", "(state != State.HEADER)"),
        ("self.drop.eq(~taking)", "self.drop.eq(1)"),
        ("self.drop.eq(ended)", "self.drop.eq(ended & ~good)"),
        ("left.eq(header.length - 1)", "left.eq(header.length)"),
    ],
)  # fmt: skip
def test_a_broken_receiver_of_frames_is_not_proved(old, new):
    broken = mutant(frame_receiver, old, new).FrameReceiver(SIZE)
    properties = payloads_are_put_whole_and_within_the_room
    outcome = prove(Receiving(broken), properties, method="induction", depth=6)
    assert outcome.status in (Status.REFUTED, Status.UNDECIDED)
