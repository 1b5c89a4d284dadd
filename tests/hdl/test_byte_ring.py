"""The link's rings against queues, at random, and at their edges."""

import numpy as np

from hdl.byte_ring import ReceiveRing, SendRing
from tests.hdl.simulate import simulate

SIZE = 8


async def pulse(ctx, *signals):
    for signal in signals:
        ctx.set(signal, 1)
    await ctx.tick()
    for signal in signals:
        ctx.set(signal, 0)


def test_committed_bytes_leave_in_order_and_dropped_ones_never():
    dut, random = ReceiveRing(SIZE), np.random.default_rng(1)
    committed, taken = [], []

    async def frames(ctx):
        for _ in range(300):
            payload = [int(byte) for byte in random.integers(0, 256, random.integers(SIZE + 1))]
            while ctx.get(dut.room) < len(payload):
                await ctx.tick()
            for byte in payload:
                ctx.set(dut.byte, byte)
                await pulse(ctx, dut.put)
            if random.integers(3):
                committed.extend(payload)
                await pulse(ctx, dut.commit)
            else:
                await pulse(ctx, dut.drop)
            assert ctx.get(dut.end) == len(committed)
        while len(taken) < len(committed):
            await ctx.tick()

    async def take(ctx):
        ticks = ctx.tick().sample(dut.output.valid & dut.output.ready, dut.output.payload)
        async for _, _, passes, byte in ticks:
            if passes:
                taken.append(byte)
            ctx.set(dut.output.ready, int(random.integers(3) == 0))

    simulate(dut, frames, processes=[take])
    assert taken == committed


def test_room_counts_what_is_not_committed_as_free_and_all_of_the_ring_is_used():
    dut = ReceiveRing(SIZE)

    async def bench(ctx):
        for _ in range(SIZE):
            assert ctx.get(dut.room) == SIZE
            await pulse(ctx, dut.put)
        await pulse(ctx, dut.commit)
        assert ctx.get(dut.room) == 0
        ctx.set(dut.output.ready, 1)
        await ctx.tick().repeat(3 * SIZE)
        assert (ctx.get(dut.room), ctx.get(dut.taken)) == (SIZE, SIZE)

    simulate(dut, bench)


def test_a_cleared_receive_ring_offers_nothing_and_begins_at_zero():
    dut = ReceiveRing(SIZE)

    async def bench(ctx):
        for byte in (1, 2, 3):
            ctx.set(dut.byte, byte)
            await pulse(ctx, dut.put)
        await pulse(ctx, dut.commit)
        await ctx.tick().repeat(3)
        assert ctx.get(dut.output.valid)
        await pulse(ctx, dut.clear)
        assert not ctx.get(dut.output.valid)
        ctx.set(dut.byte, 9)
        await pulse(ctx, dut.put)
        await pulse(ctx, dut.commit)
        await ctx.tick().repeat(3)
        assert (ctx.get(dut.output.payload), ctx.get(dut.end), ctx.get(dut.taken)) == (9, 1, 0)

    simulate(dut, bench)


async def fill(ctx, dut, data):
    for byte in data:
        ctx.set(dut.input.payload, byte)
        ctx.set(dut.input.valid, 1)
        await ctx.tick().until(dut.input.ready)
        ctx.set(dut.input.valid, 0)
    await ctx.tick().repeat(2)


async def acknowledge(ctx, dut, offset, *with_signals):
    ctx.set(dut.acknowledged, offset)
    await ctx.tick().repeat(2)
    await pulse(ctx, dut.acknowledge, *with_signals)
    await ctx.tick().repeat(2)


async def content(ctx, dut, offset, count):
    found = []
    for place in range(offset, offset + count):
        ctx.set(dut.address, place)
        await ctx.tick()
        found.append(ctx.get(dut.data))
    return found


def test_bytes_are_kept_until_they_are_acknowledged_whatever_has_been_sent():
    dut, data = SendRing(SIZE, 3), list(range(1, 9))

    async def bench(ctx):
        await fill(ctx, dut, data)
        assert not ctx.get(dut.input.ready), "full"
        for sent, length in ((0, 3), (3, 3), (6, 2), (8, 0)):
            assert (ctx.get(dut.sent), ctx.get(dut.length)) == (sent, length)
            await pulse(ctx, dut.advance)
            assert ctx.get(dut.length) == 0, "until it counts from the new place"
            await ctx.tick().repeat(2)
        assert not ctx.get(dut.input.ready), "nothing has been acknowledged"
        assert await content(ctx, dut, 0, SIZE) == data
        await acknowledge(ctx, dut, 5)
        await fill(ctx, dut, [9, 10, 11, 12, 13])
        assert not ctx.get(dut.input.ready)
        assert await content(ctx, dut, 5, SIZE) == [6, 7, 8, 9, 10, 11, 12, 13]

    simulate(dut, bench)


def test_sending_goes_back_to_the_first_byte_not_acknowledged():
    dut = SendRing(SIZE, 3)

    async def bench(ctx):
        await fill(ctx, dut, range(8))
        for _ in range(2):
            await pulse(ctx, dut.advance)
            await ctx.tick().repeat(2)
        await pulse(ctx, dut.go_back)
        await ctx.tick().repeat(2)
        assert (ctx.get(dut.sent), ctx.get(dut.length)) == (0, 3)
        await pulse(ctx, dut.advance)
        await acknowledge(ctx, dut, 2, dut.go_back)
        assert (ctx.get(dut.sent), ctx.get(dut.length)) == (2, 3), "with an acknowledgement"

    simulate(dut, bench)


def test_an_acknowledgement_of_what_was_sent_before_going_back_moves_on():
    dut = SendRing(SIZE, 3)

    async def bench(ctx):
        await fill(ctx, dut, range(8))
        for _ in range(2):
            await pulse(ctx, dut.advance)
            await ctx.tick().repeat(2)
        await pulse(ctx, dut.go_back)
        await ctx.tick()
        await acknowledge(ctx, dut, 6)
        await ctx.tick()
        assert (ctx.get(dut.sent), ctx.get(dut.length)) == (6, 2)

    simulate(dut, bench)


def test_an_acknowledgement_outside_of_the_ring_is_passed_over():
    dut = SendRing(SIZE, 3)

    async def bench(ctx):
        await fill(ctx, dut, range(4))
        await pulse(ctx, dut.advance)
        await acknowledge(ctx, dut, 2)
        for offset in (1, 5, 0x8002):
            await acknowledge(ctx, dut, offset)
            await pulse(ctx, dut.go_back)
            await ctx.tick().repeat(2)
            assert (ctx.get(dut.sent), ctx.get(dut.length)) == (2, 2)

    simulate(dut, bench)


def test_a_cleared_send_ring_is_empty_and_begins_at_zero():
    dut = SendRing(SIZE, 3)

    async def bench(ctx):
        await fill(ctx, dut, range(8))
        await pulse(ctx, dut.advance)
        await pulse(ctx, dut.clear)
        await ctx.tick().repeat(2)
        assert (ctx.get(dut.sent), ctx.get(dut.length)) == (0, 0)
        await fill(ctx, dut, [7, 8])
        assert (ctx.get(dut.sent), ctx.get(dut.length)) == (0, 2)
        assert await content(ctx, dut, 0, 2) == [7, 8]

    simulate(dut, bench)
