"""The loader and the sender: packets into the memories and out of them, with random stalls."""

import numpy as np
import pytest

from golden_model.parameters import Parameters
from hdl.datapath import FETCH_LATENCY
from hdl.loader import Loader
from hdl.sender import Sender
from tests.hdl.simulate import simulate

PARAMETERS = Parameters(width=8, lanes=4, columns=2, max_m=10, max_n=16, max_block=8,
                        buffer_rows=32, tile_rows=4, tile_columns=4, max_slots=16)  # fmt: skip
N, M = 9, 6
ROWS_N, ROWS_M = PARAMETERS.rows(N), PARAMETERS.rows(M)


def random_rows(count, random):
    return random.integers(-128, 128, (count, PARAMETERS.lanes))


def masked(rows, size):
    """`rows` of one vector with the lanes beyond `size` zero."""
    flat = rows.reshape(-1).copy()
    flat[size:] = 0
    return flat.reshape(-1, PARAMETERS.lanes)


class LoaderBench:
    """A loader whose writes go to arrays."""

    def __init__(self, ranks=2, block=3, last=2, blocks=3, load=1):
        self.dut = Loader(PARAMETERS)
        self.settings = {
            "n": N, "m": M, "rows_n": ROWS_N, "rows_m": ROWS_M, "ranks": ranks,
            "block": block, "last": last, "blocks": blocks, "load": load,
        }  # fmt: skip
        self.buffer = np.zeros((2 * PARAMETERS.buffer_rows, PARAMETERS.lanes), int)
        self.factors = {}
        self.short = self.long = 0

    async def start(self, ctx):
        for name, value in self.settings.items():
            ctx.set(getattr(self.dut, name), value)
        ctx.set(self.dut.start, 1)
        await self.tick(ctx)
        ctx.set(self.dut.start, 0)

    async def tick(self, ctx):
        """A clock cycle; what is written in it goes to the arrays."""
        dut = self.dut
        row = [ctx.get(dut.write_data[lane]) for lane in range(PARAMETERS.lanes)]
        if ctx.get(dut.buffer_write):
            self.buffer[ctx.get(dut.buffer_address)] = row
        if ctx.get(dut.factor_write):
            place = (
                ctx.get(dut.factor_delta), ctx.get(dut.factor_column), ctx.get(dut.factor_row)
            )  # fmt: skip
            self.factors[place] = row
        await ctx.tick()
        self.short += ctx.get(dut.short)
        self.long += ctx.get(dut.long)

    async def send(self, ctx, rows, random, last=True, patience=50):
        """Send a packet with random pauses; returns the beats taken before patience ran out."""
        dut = self.dut
        for index, row in enumerate(rows):
            while random.integers(3) == 0:
                ctx.set(dut.input.valid, 0)
                await self.tick(ctx)
            ctx.set(dut.input.payload.words, row.tolist())
            ctx.set(dut.input.payload.last, int(last and index == len(rows) - 1))
            ctx.set(dut.input.valid, 1)
            for _ in range(patience):
                taken = ctx.get(dut.input.ready)
                await self.tick(ctx)
                if taken:
                    break
            else:
                ctx.set(dut.input.valid, 0)
                return index
        ctx.set(dut.input.valid, 0)
        return len(rows)


def test_state_and_blocks_go_to_their_memories():
    random = np.random.default_rng(0)
    bench = LoaderBench()
    state = random_rows(2 * (ROWS_N + ROWS_M), random)
    blocks = [random_rows(samples * (ROWS_N + ROWS_M), random) for samples in (3, 3, 2)]

    async def host(ctx):
        await bench.start(ctx)
        assert await bench.send(ctx, state, random) == len(state)
        assert ctx.get(bench.dut.state_loaded)
        for block in blocks[:2]:
            assert await bench.send(ctx, block, random) == len(block)
        assert ctx.get(bench.dut.full) == 0b11
        await bench.tick(ctx)  # writes the last beat
        first = bench.buffer.copy()
        assert await bench.send(ctx, blocks[2], random) == 0, "both halves are full"
        ctx.set(bench.dut.release, 0b01)
        await bench.tick(ctx)
        ctx.set(bench.dut.release, 0)
        assert await bench.send(ctx, blocks[2], random) == len(blocks[2])
        assert ctx.get(bench.dut.full) == 0b11
        await bench.tick(ctx)  # writes the last beat
        for half, block, memory in ((0, blocks[0], first), (1, blocks[1], bench.buffer),
                                    (0, blocks[2], bench.buffer)):  # fmt: skip
            at = half * PARAMETERS.buffer_rows
            for sample in block.reshape(-1, ROWS_N + ROWS_M, PARAMETERS.lanes):
                assert np.array_equal(memory[at : at + ROWS_N], masked(sample[:ROWS_N], N))
                at += ROWS_N
                assert np.array_equal(memory[at : at + ROWS_M], masked(sample[ROWS_N:], M))
                at += ROWS_M
        vectors = [state[: 2 * ROWS_N].reshape(2, ROWS_N, -1),
                   state[2 * ROWS_N :].reshape(2, ROWS_M, -1)]  # fmt: skip
        for errors, size in enumerate((N, M)):
            for column, vector in enumerate(vectors[errors]):
                for row, words in enumerate(masked(vector, size)):
                    assert bench.factors[errors, column, row] == words.tolist()
        assert (bench.short, bench.long) == (0, 0)

    simulate(bench.dut, host)


@pytest.mark.parametrize("packet", [0, 1, 2])
@pytest.mark.parametrize("wrong", ["short", "long"])
def test_a_packet_of_the_wrong_length_stops_the_loader(packet, wrong):
    random = np.random.default_rng(packet)
    bench = LoaderBench()
    sizes = [2 * (ROWS_N + ROWS_M), 3 * (ROWS_N + ROWS_M), 3 * (ROWS_N + ROWS_M)]

    async def host(ctx):
        await bench.start(ctx)
        for size in sizes[:packet]:
            await bench.send(ctx, random_rows(size, random), random)
        beats = sizes[packet] - (wrong == "short")
        await bench.send(ctx, random_rows(beats, random), random, last=wrong == "short")
        for _ in range(2):
            await bench.tick(ctx)
        assert (bench.short, bench.long) == ((1, 0) if wrong == "short" else (0, 1))
        assert not ctx.get(bench.dut.input.ready)
        ctx.set(bench.dut.drain, 1)
        assert await bench.send(ctx, random_rows(9, random), random) == 9
        await bench.start(ctx)
        ctx.set(bench.dut.drain, 0)
        state = random_rows(sizes[0], random)
        assert await bench.send(ctx, state, random) == sizes[0]
        assert ctx.get(bench.dut.state_loaded)

    simulate(bench.dut, host)


def test_a_batch_that_loads_no_state_begins_with_its_blocks():
    random = np.random.default_rng(1)
    bench = LoaderBench(blocks=1, last=3, load=0)

    async def host(ctx):
        await bench.start(ctx)
        assert ctx.get(bench.dut.state_loaded)
        block = random_rows(3 * (ROWS_N + ROWS_M), random)
        assert await bench.send(ctx, block, random) == len(block)
        assert ctx.get(bench.dut.full) == 0b01
        assert await bench.send(ctx, block, random) == 0, "the batch has one block"
        assert bench.factors == {}

    simulate(bench.dut, host)


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("readiness", [0.05, 0.7, 1.0])
def test_the_sender_sends_all_rows_in_order(ranks, readiness):
    random = np.random.default_rng(ranks)
    rows_n, rows_m = PARAMETERS.rows(PARAMETERS.max_n), PARAMETERS.rows(PARAMETERS.max_m)
    dut = Sender(PARAMETERS)
    factors = {
        (delta, column, row): random_rows(1, random)[0].tolist()
        for delta, rows in enumerate((rows_n, rows_m))
        for column in range(ranks)
        for row in range(rows)
    }
    beats = []

    async def memory(ctx):
        """Answer fetches as the datapath does."""
        pending = [None] * FETCH_LATENCY
        async for _, _, delta, column, row in ctx.tick().sample(
            dut.fetch_delta, dut.fetch_column, dut.fetch_row
        ):
            pending = [(delta, column, row), *pending[:-1]]
            words = factors.get(pending[-1])
            if words is not None:
                ctx.set(dut.fetch_data, words)

    async def receive(ctx):
        for name, value in {"rows_n": rows_n, "rows_m": rows_m, "ranks": ranks}.items():
            ctx.set(getattr(dut, name), value)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        while ctx.get(dut.busy):
            ctx.set(dut.output.ready, int(random.random() < readiness))
            if ctx.get(dut.output.valid & dut.output.ready):
                payload = ctx.get(dut.output.payload)
                words = [payload.words[lane] for lane in range(PARAMETERS.lanes)]
                beats.append((words, payload.last))
            await ctx.tick()

    simulate(dut, receive, processes=[memory])
    assert [words for words, _ in beats] == list(factors.values())
    assert [last for _, last in beats] == [0] * (len(beats) - 1) + [1]
