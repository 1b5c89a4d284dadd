"""COBS in hardware, equal to that of the golden model."""

import itertools

import numpy as np

from golden_model.link import stuff, unstuff
from hdl.cobs import CobsDecoder, CobsEncoder
from tests.hdl.simulate import simulate

SHORT = [
    bytes(values)
    for length in range(1, 5)
    for values in itertools.product((0, 1, 2, 255), repeat=length)
]
"""Every string of up to four of these bytes."""


def frames():
    """The short ones, and those as long as a frame can be."""
    random = np.random.default_rng(1)
    long = [bytes(random.integers(0, top, 253, dtype=np.uint8)) for top in (1, 2, 3, 256)]
    return [*SHORT, b"\1" * 253, b"\1" * 252 + b"\0", b"\0" + b"\1" * 252, *long]


def test_the_encoder_sends_what_the_model_stuffs():
    dut, sent = CobsEncoder(), bytearray()
    random = np.random.default_rng(2)

    async def bench(ctx):
        for frame in frames():
            for place, byte in enumerate(frame):
                ctx.set(dut.input.payload.byte, byte)
                ctx.set(dut.input.payload.last, place == len(frame) - 1)
                ctx.set(dut.input.valid, 1)
                await ctx.tick().until(dut.input.ready)
                ctx.set(dut.input.valid, 0)
                if random.integers(4) == 0:
                    await ctx.tick().repeat(2)
            await ctx.tick().until(dut.input.ready)

    async def receive(ctx):
        ticks = ctx.tick().sample(dut.output.valid & dut.output.ready, dut.output.payload)
        async for _, _, passes, byte in ticks:
            if passes:
                sent.append(byte)
            ctx.set(dut.output.ready, int(random.integers(3) != 0))

    simulate(dut, bench, processes=[receive])
    assert bytes(sent) == b"".join(stuff(frame) + b"\0" for frame in frames())


def decoded(characters):
    """What a decoder makes of `characters`, None for one that is lost: (bytes, whole) a frame."""
    dut, found = CobsDecoder(), []

    async def bench(ctx):
        frame = bytearray()
        for character in [*characters, 0]:
            ctx.set(dut.lost, character is None)
            ctx.set(dut.input.valid, character is not None)
            ctx.set(dut.input.payload, character or 0)
            await ctx.tick()
            if ctx.get(dut.output.valid):
                frame.append(ctx.get(dut.output.payload))
            if ctx.get(dut.end):
                found.append((bytes(frame), bool(ctx.get(dut.whole))))
                frame.clear()

    simulate(dut, bench)
    return found


def test_the_decoder_finds_what_the_model_stuffed():
    characters = b"".join(stuff(frame) + b"\0" for frame in frames())
    assert decoded(characters) == [(frame, True) for frame in frames()]


def test_a_frame_is_whole_exactly_where_the_model_can_unstuff_it():
    for length in range(1, 5):
        damaged = [bytes(values) for values in itertools.product((1, 2, 3), repeat=length)]
        found = decoded(b"".join(stuffed + b"\0" for stuffed in damaged))
        assert [whole for _, whole in found] == [unstuff(each) is not None for each in damaged]
        assert all(
            unstuff(each) in (None, data) for each, (data, _) in zip(damaged, found, strict=True)
        )


def test_a_lost_character_spoils_its_frame_alone():
    good = stuff(b"good") + b"\0"
    assert decoded([*good, *good[:3], None, *good[3:], *good]) == [
        (b"good", True),
        (b"good", False),
        (b"good", True),
    ]
    assert decoded([None, 0, *good]) == [(b"", False), (b"good", True)]


def test_zeros_without_a_frame_between_them_are_passed_over():
    assert decoded(b"\0\0\0" + stuff(b"a") + b"\0\0\0") == [(b"a", True)]
