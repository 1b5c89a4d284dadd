"""The board's receiver and sender of frames against the golden model's frames."""

from dataclasses import replace

import pytest

from golden_model.link import HEADER_BYTES, Frame, LinkSpec, decode, encode, stuff, unstuff
from hdl.frame_receiver import FrameReceiver
from hdl.frame_sender import FrameSender
from tests.hdl.simulate import simulate

SPEC = LinkSpec(clocks_per_bit=4, receive_bytes=64, send_bytes=64, max_payload=20)
DATA = Frame(session=7, offset=100, acknowledged=55, window=9, payload=b"abc")
VERDICTS = ("commit", "drop", "restart", "acknowledge", "go_back", "answer", "syn", "ask")


def verdicts(*frames, room=64):
    """What a receiver that expects offset 100 of session 7 says of each frame, given as `Frame` or
    as the bytes that were stuffed; and the bytes it put.
    """
    dut, found, put = FrameReceiver(SPEC.receive_bytes), [], bytearray()

    async def one(ctx, frame):
        data = frame if isinstance(frame, bytes) else unstuff(encode(frame)[:-1])
        for byte in data:
            ctx.set(dut.input.payload, byte)
            ctx.set(dut.input.valid, 1)
            await ctx.tick()
            ctx.set(dut.input.valid, 0)
            await ctx.tick().repeat(3)
        ctx.set(dut.whole, 1)
        ctx.set(dut.end, 1)
        await ctx.tick()
        ctx.set(dut.end, 0)
        await ctx.tick()
        found.append({name for name in VERDICTS if ctx.get(getattr(dut, name))})
        if ctx.get(dut.acknowledge):
            assert ctx.get(dut.acknowledged) == DATA.acknowledged
        await ctx.tick()
        assert not any(ctx.get(getattr(dut, name)) for name in VERDICTS), "for one cycle"

    async def bench(ctx):
        ctx.set(dut.room, room)
        await one(ctx, Frame(7, 0, 0, 0, syn=True))
        assert ctx.get(dut.session) == 7
        ctx.set(dut.expected, 100)
        for frame in frames:
            await one(ctx, frame)

    async def collect(ctx):
        async for _, _, valid, byte in ctx.tick().sample(dut.put, dut.byte):
            if valid:
                put.append(byte)

    simulate(dut, bench, processes=[collect])
    assert found.pop(0) == {"drop", "restart", "answer", "syn"}
    return found, bytes(put)


@pytest.mark.parametrize(
    ("frame", "verdict", "put"),
    [
        (DATA, {"commit", "acknowledge", "answer"}, b"abc"),
        (replace(DATA, payload=bytes(64)), {"commit", "acknowledge", "answer"}, bytes(64)),
        (replace(DATA, payload=bytes(65)), {"drop", "acknowledge", "answer"}, b""),
        (replace(DATA, payload=b""), {"commit", "acknowledge"}, b""),
        (replace(DATA, payload=b"", resend=True),
         {"commit", "acknowledge", "answer", "go_back"}, b""),
        (replace(DATA, offset=97), {"drop", "acknowledge", "answer"}, b""),
        (replace(DATA, offset=97, payload=b""), {"drop", "acknowledge"}, b""),
        (replace(DATA, offset=103), {"drop", "acknowledge", "answer", "ask"}, b""),
        (replace(DATA, offset=103, payload=b""), {"drop", "acknowledge", "answer", "ask"}, b""),
        (replace(DATA, session=8), {"drop"}, b""),
        (replace(DATA, session=8, syn=True), {"drop", "restart", "answer", "syn"}, b""),
        (replace(DATA, syn=True), {"drop", "answer", "syn"}, b"abc"),
        (b"", {"drop", "answer", "ask"}, b""),
        (unstuff(encode(DATA)[:-1])[:-1], {"drop", "answer", "ask"}, b"abc"),
        (unstuff(encode(DATA)[:-1]) + b"\0", {"drop", "answer", "ask"}, b"abc"),
        (unstuff(encode(DATA)[:-1])[:HEADER_BYTES], {"drop", "answer", "ask"}, b""),
        (bytes(300), {"drop", "answer", "ask"}, b""),
    ],
    ids=["in order", "as long as the room", "longer than the room", "nothing new", "resend",
         "behind", "an acknowledgement behind", "beyond a gap", "an acknowledgement beyond a gap",
         "another session", "a new session", "this session again", "empty", "short", "long",
         "only a header", "very long"],
)  # fmt: skip
def test_what_follows_from_a_frame(frame, verdict, put):
    assert verdicts(frame) == ([verdict], put)


def test_room_that_comes_with_the_payload_comes_too_late():
    """All of a payload is taken or nothing."""
    dut = FrameReceiver(SPEC.receive_bytes)

    async def bench(ctx):
        ctx.set(dut.room, 2)
        for place, byte in enumerate(unstuff(encode(replace(DATA, session=0, offset=0))[:-1])):
            if place == HEADER_BYTES + 1:
                ctx.set(dut.room, 64)
            ctx.set(dut.input.payload, byte)
            ctx.set(dut.input.valid, 1)
            assert not ctx.get(dut.put)
            await ctx.tick()
            ctx.set(dut.input.valid, 0)
            await ctx.tick().repeat(3)
        ctx.set(dut.whole, 1)
        ctx.set(dut.end, 1)
        await ctx.tick().repeat(2)
        assert ctx.get(dut.answer)
        assert (ctx.get(dut.commit), ctx.get(dut.drop)) == (0, 1)

    simulate(dut, bench)


def test_a_frame_with_any_bit_flipped_is_dropped_and_the_next_is_taken():
    data = unstuff(encode(DATA)[:-1])
    frames = []
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        frames += [bytes(damaged), DATA]
    found, _ = verdicts(*frames)
    assert all(verdict == {"drop", "answer", "ask"} for verdict in found[::2])
    assert all(verdict == {"commit", "acknowledge", "answer"} for verdict in found[1::2])


def test_what_was_lost_is_asked_for_once_until_a_frame_is_in_order():
    gap = replace(DATA, offset=200)
    found, _ = verdicts(gap, gap, b"damaged", DATA, gap, b"damaged")
    assert ["ask" in verdict for verdict in found] == [True, False, False, False, True, False]
    assert ["answer" in verdict for verdict in found] == [True, False, False, True, True, False]


def sent(prepare, count):
    """The first `count` frames of a sender whose inputs `prepare` drives."""
    dut, frames, current = FrameSender(SPEC), [], bytearray()

    async def bench(ctx):
        ctx.set(dut.session, 7)
        ctx.set(dut.output.ready, 1)
        await prepare(ctx, dut)
        while len(frames) < count:
            await ctx.tick()

    async def collect(ctx):
        ticks = ctx.tick().sample(dut.output.valid & dut.output.ready, dut.output.payload)
        async for _, _, valid, payload in ticks:
            if valid:
                current.append(payload.byte)
                if payload.last:
                    frames.append(bytes(current))
                    current.clear()

    async def remember(ctx):
        async for _, _, address in ctx.tick().sample(dut.address):
            ctx.set(dut.data, address % 251)

    simulate(dut, bench, processes=[collect, remember])
    return [decode(stuff(frame)) for frame in frames]


@pytest.mark.parametrize("length", [0, 1, 19, 20])
@pytest.mark.parametrize("flags", [(), ("syn",), ("ask",), ("syn", "ask")])
def test_an_answer_carries_what_waits_and_tells_of_this_moment(length, flags):
    async def prepare(ctx, dut):
        ctx.set(dut.output.ready, 0)
        ctx.set(dut.expected, 0x1234)
        ctx.set(dut.window, 33)
        ctx.set(dut.sent, 0xFFF8)
        ctx.set(dut.length, length)
        for signal in (dut.answer, *(getattr(dut, flag) for flag in flags)):
            ctx.set(signal, 1)
        await ctx.tick()
        for signal in (dut.answer, dut.syn, dut.ask):
            ctx.set(signal, 0)
        ctx.set(dut.output.ready, 1)
        assert ctx.get(dut.advance)
        await ctx.tick()
        ctx.set(dut.expected, 0)
        ctx.set(dut.length, 0)
        await ctx.tick().repeat(200)

    payload = bytes((0xFFF8 + place) % 65536 % 251 for place in range(length))
    assert sent(prepare, 1) == [
        Frame(7, 0xFFF8, 0x1234, 33, payload, syn="syn" in flags, resend="ask" in flags)
    ]


async def advanced(ctx, dut, cycles):
    """Whether a frame begins within so many cycles."""
    for _ in range(cycles):
        if ctx.get(dut.advance):
            return True
        await ctx.tick()
    return False


def test_a_whole_payload_is_sent_at_once_and_less_when_no_more_comes():
    async def prepare(ctx, dut):
        ctx.set(dut.arrived, 1)
        await ctx.tick()
        ctx.set(dut.length, SPEC.max_payload - 1)
        assert not await advanced(ctx, dut, 200), "more is coming"
        ctx.set(dut.arrived, 0)
        assert not await advanced(ctx, dut, 38)
        assert await advanced(ctx, dut, 5), "a character's time has passed"
        await ctx.tick()
        ctx.set(dut.length, 0)
        ctx.set(dut.arrived, 1)
        await ctx.tick().repeat(200)
        ctx.set(dut.length, SPEC.max_payload)
        assert await advanced(ctx, dut, 2)
        await ctx.tick()
        ctx.set(dut.length, 0)

    assert [len(frame.payload) for frame in sent(prepare, 2)] == [19, 20]


def test_a_window_is_told_when_half_of_the_ring_has_become_free():
    async def prepare(ctx, dut):
        for taken in (31, 63, 0xFFFF):
            ctx.set(dut.taken, taken)
            ctx.set(dut.window, 64)
            begun = await advanced(ctx, dut, 200)
            assert begun == (taken != 31)
            if begun:
                await ctx.tick().repeat(200)

    assert [frame.window for frame in sent(prepare, 2)] == [64, 64]


def test_what_an_earlier_session_left_to_do_is_forgotten():
    async def prepare(ctx, dut):
        ctx.set(dut.output.ready, 0)
        ctx.set(dut.ask, 1)
        await ctx.tick()
        ctx.set(dut.ask, 0)
        for signal in (dut.clear, dut.answer, dut.syn):
            ctx.set(signal, 1)
        ctx.set(dut.output.ready, 1)
        assert not ctx.get(dut.advance)
        await ctx.tick()
        for signal in (dut.clear, dut.answer, dut.syn):
            ctx.set(signal, 0)
        await ctx.tick().repeat(200)

    assert sent(prepare, 1) == [Frame(7, 0, 0, 0, syn=True)]
