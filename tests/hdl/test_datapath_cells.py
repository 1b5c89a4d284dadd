"""The array, the adder tree and the magnitude tracker compute exactly what NumPy does."""

from dataclasses import replace

import numpy as np
import pytest

from golden_model.formats import magnitude_bits
from golden_model.parameters import Parameters
from hdl import mac_array, magnitude
from hdl.adder_tree import AdderTree, latency
from tests.hdl.simulate import simulate

PARAMETERS = Parameters(width=9, lanes=4, columns=2, max_m=16, max_n=16, max_block=16,
                        buffer_rows=64, tile_rows=4, tile_columns=4, max_slots=16)  # fmt: skip


@pytest.mark.parametrize("width", [9, mac_array.RAISED_BY_MULTIPLIER])
@pytest.mark.parametrize("seed", range(3))
def test_array_accumulates_runs_raises_digits_and_begins_with_raised_words(seed, width):
    random = np.random.default_rng(seed)
    parameters = replace(PARAMETERS, width=width)
    dut = mac_array.MacArray(parameters)
    shape = (parameters.columns, parameters.lanes)
    half = 1 << (width - 1)
    expected, seen = [], []

    async def drive(ctx):
        for _ in range(20):
            steps = int(random.integers(1, 6))
            raised = int(random.integers(2))
            begin = random.integers(-half, half, shape)
            raise_by = random.integers(0, width - 1, parameters.columns)
            total = raised * (begin << raise_by[:, None])
            ctx.set(dut.raised, raised)
            ctx.set(dut.begin, begin.tolist())
            ctx.set(dut.raise_by, raise_by.tolist())
            for i in range(steps):
                while random.integers(3) == 0:
                    ctx.set(dut.step, 0)
                    await ctx.tick()
                extreme = random.integers(4) == 0
                by_row, by_scalar = random.integers(2, size=2)
                left, right = (
                    np.full(size, -half) if extreme else random.integers(-half, half, size)
                    for size in (
                        shape[1] if by_row else shape,
                        (shape[0], 1) if by_scalar else shape,
                    )
                )
                horner = i in (1, 2) and not raised
                total = (total << (width - 1) if horner else total) + left * right
                ctx.set(dut.step, 1)
                ctx.set(dut.first, int(i == 0))
                ctx.set(dut.last, int(i == steps - 1))
                ctx.set(dut.horner, int(horner))
                ctx.set(dut.by_row, int(by_row))
                ctx.set(dut.row if by_row else dut.left, left.tolist())
                ctx.set(dut.by_scalar, int(by_scalar))
                ctx.set(
                    dut.scalar if by_scalar else dut.right,
                    right[:, 0].tolist() if by_scalar else right.tolist(),
                )
                await ctx.tick()
            expected.append(total.tolist())
        ctx.set(dut.step, 0)
        await ctx.tick().repeat(mac_array.LATENCY)

    async def watch(ctx):
        while len(seen) < 20:
            await ctx.tick()
            if ctx.get(dut.valid):
                result = ctx.get(dut.result)
                seen.append([[result[c][lane] for lane in range(4)] for c in range(2)])

    simulate(dut, drive, watch)
    assert seen == expected


@pytest.mark.parametrize("levels", [1, 2, 5])
def test_adder_tree_sums_every_cycle(levels):
    random = np.random.default_rng(1)
    lanes = 8
    cycles = latency(lanes, levels)
    assert cycles == {1: 3, 2: 2, 5: 1}[levels]
    dut = AdderTree(12, lanes, 15, levels)
    values = random.integers(-2048, 2048, (30, lanes))
    values[0], values[1] = -2048, 2047
    totals = []

    async def bench(ctx):
        for i in range(len(values) + cycles):
            if i < len(values):
                ctx.set(dut.values, values[i].tolist())
            if i >= cycles:
                totals.append(ctx.get(dut.total))
            await ctx.tick()

    simulate(dut, bench)
    assert totals == values.sum(axis=1).tolist()


@pytest.mark.parametrize("width", [5, 20])
def test_magnitude_tracker_finds_the_bits_of_the_largest_value(width):
    random = np.random.default_rng(width)
    dut = magnitude.MagnitudeTracker(width, 2)
    half = 1 << (width - 1)
    groups = [np.array([pair]) for pair in ([0, 0], [0, -1], [half - 1, 0], [0, -half])]
    groups += [
        np.clip(
            random.integers(-(1 << b), 1 << b, (int(random.integers(1, 9)), 2)), -half, half - 1
        )
        for b in random.integers(0, width, 30)
    ]

    async def bench(ctx):
        for group in groups:
            for i, pair in enumerate(group.tolist()):
                ctx.set(dut.valid, 0)
                ctx.set(dut.values, [-half, half - 1])
                for _ in range(random.integers(3)):
                    await ctx.tick()
                ctx.set(dut.valid, 1)
                ctx.set(dut.first, int(i == 0))
                ctx.set(dut.values, pair)
                await ctx.tick()
            ctx.set(dut.valid, 0)
            await ctx.tick().repeat(magnitude.LATENCY - 1)
            assert ctx.get(dut.bits) == int(magnitude_bits(group))
            assert ctx.get(dut.nonzero) == int(group.any())

    simulate(dut, bench)
