"""Dot products become scalars, norms and coefficients as in the golden model, on every bit."""

import math

import numpy as np
import pytest

from golden_model import scalar
from golden_model.parameters import Parameters
from hdl import norm
from hdl.converter import Converter
from hdl.norm import NormUnit
from hdl.orthogonaliser import READY_LEAD, Orthogonaliser
from tests.hdl.core_bench import as_scalar, read
from tests.hdl.simulate import simulate


def parameters(width=16, columns=3, max_rank=9):
    return Parameters(width=width, lanes=4, columns=columns, max_rank=max_rank, max_m=64, max_n=64,
                      max_block=16, buffer_rows=64, tile_rows=4, tile_columns=4,
                      max_slots=16)  # fmt: skip


def random_dots(random, bits, count):
    magnitudes = [int(2 ** random.uniform(0, bits - 1.01)) for _ in range(count)]
    return [m * int(random.choice([-1, 1])) for m in magnitudes]


@pytest.mark.parametrize("width", [8, 18])
def test_converter_rounds_a_dot_product_a_cycle(width):
    p = parameters(width, columns=4)
    random = np.random.default_rng(width)
    dut = Converter(p)
    most = 1 << (p.dot_bits - 1)
    groups = [random_dots(random, p.dot_bits, 4) for _ in range(30)]
    groups += [[0, 1, -1, -most], [most - 1, 2**18 - 1, -(2**17) - 1, 2**17 + 1]]
    firsts = [int(random.integers(4)) for _ in groups]
    seen = []

    async def drive(ctx):
        for index, (dots, first) in enumerate(zip(groups, firsts, strict=True)):
            ctx.set(dut.dots, dots)
            ctx.set(dut.first, first)
            ctx.set(dut.tag, {"group": index % 3})
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            for _ in range(4 - first - 1):  # the next as soon as it may
                await ctx.tick()

    async def watch(ctx):
        while len(seen) < sum(4 - first for first in firsts):
            await ctx.tick()
            if ctx.get(dut.valid):
                seen.append(
                    (ctx.get(dut.tag_out).group, ctx.get(dut.column), ctx.get(dut.begin),
                     read(ctx.get(dut.value)), ctx.get(dut.negative))
                )  # fmt: skip

    simulate(dut, drive, watch)
    assert seen == [
        (i % 3, c, int(c == first), scalar.round_scalar(abs(dots[c])), int(dots[c] < 0))
        for i, (dots, first) in enumerate(zip(groups, firsts, strict=True))
        for c in range(first, 4)
    ]


def test_norm_unit_takes_the_golden_reciprocal_square_root():
    random = np.random.default_rng(0)
    dut = NormUnit()
    values = [0.0, 1.0, 2.0, 4.0, math.ldexp(1 - 2.0**-18, 40), math.ldexp(0.5, 1)]
    values += [scalar.round_scalar(2.0 ** random.uniform(0, 52)) for _ in range(500)]

    async def bench(ctx):
        for value in values:
            ctx.set(dut.square, as_scalar(value))
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            ctx.set(dut.square, as_scalar(3.0))
            await ctx.tick().repeat(norm.LATENCY - 1)
            root = scalar.reciprocal_square_root(value)
            assert ctx.get(dut.done)
            assert read(ctx.get(dut.kept)) == value
            assert read(ctx.get(dut.root)) == root
            assert read(ctx.get(dut.reciprocal)) == scalar.multiply(root, root)

    simulate(dut, bench)


def coefficient(p, dot, reciprocal):
    """What Gram-Schmidt takes of the pivot: a word, its fraction bits, and whether it saturated."""
    ratio = scalar.multiply(scalar.round_scalar(abs(dot)), reciprocal)
    fraction = min(p.width - 2, p.width - 1 - scalar.exponent(ratio))
    word, saturated = p.word.narrow(-math.copysign(ratio, dot), -fraction)
    return int(word), fraction, saturated


@pytest.mark.parametrize("pivot", range(8))
@pytest.mark.parametrize(("width", "columns"), [(8, 3), (16, 4), (18, 1)])
def test_coefficients_of_all_later_ranks_stand_when_ready(width, columns, pivot):
    p = parameters(width, columns, 9)
    random = np.random.default_rng([width, pivot])
    dut = Orthogonaliser(p)
    k = 8
    last_group, last_column = divmod(k - 1, columns)
    bound = 1 << (p.dot_bits - width)
    dots = [int(random.integers(-bound, bound)) for _ in range(p.groups(9) * columns)]
    dots[pivot] = 0 if pivot == 3 else int(random.integers(bound, 4 * bound))
    square = scalar.round_scalar(dots[pivot])
    root = scalar.reciprocal_square_root(square)
    reciprocal = scalar.multiply(root, root)
    pivot_group, pivot_column = divmod(pivot, columns)
    ready = {}
    saturations = []

    async def bench(ctx):
        ctx.set(dut.last_group, last_group)
        ctx.set(dut.last_column, last_column)
        cycle = 0
        normed = False

        async def tick():
            nonlocal cycle, normed
            await ctx.tick()
            cycle += 1
            saturations.append(ctx.get(dut.saturated))
            normed |= bool(ctx.get(dut.norm_done))
            if ctx.get(dut.ready):
                ready[ctx.get(dut.ready_group)] = cycle
            for group, since in ready.items():
                if cycle == since + READY_LEAD:
                    check(ctx, group)

        for group in range(pivot_group, last_group + 1):
            ctx.set(dut.dots, dots[group * columns : (group + 1) * columns])
            ctx.set(dut.first, pivot_column if group == pivot_group else 0)
            ctx.set(dut.tag, {"group": group, "gram": 1, "pivot": group == pivot_group,
                              "last": pivot == k - 1})  # fmt: skip
            ctx.set(dut.start, 1)
            await tick()
            ctx.set(dut.start, 0)
            for _ in range(int(random.integers(max(columns, 4), 40))):
                await tick()
        for _ in range(60):
            await tick()
        assert normed
        assert read(ctx.get(dut.square)) == square
        assert read(ctx.get(dut.root)) == root

    def check(ctx, group):
        for column in range(columns):
            rank = group * columns + column
            if pivot < rank < k:
                word, fraction, _ = coefficient(p, dots[rank], reciprocal)
                assert ctx.get(dut.coefficient[group][column]) == word
                assert ctx.get(dut.fraction_bits[group][column]) == fraction

    simulate(dut, bench)
    assert set(ready) == set(range((pivot + 1) // columns, last_group + 1) if pivot < k - 1 else ())
    assert sum(saturations) == sum(
        coefficient(p, dots[rank], reciprocal)[2] for rank in range(pivot + 1, k)
    )


def test_negative_coefficients_saturate_and_count():
    p = parameters(8, 2, 2)
    dut = Orthogonaliser(p)
    dots = [2**12, -(2**13) + 2]  # a ratio that rounds to 2; a word with 6 fraction bits ends below
    saturations = []

    async def bench(ctx):
        ctx.set(dut.last_column, 1)
        ctx.set(dut.dots, dots)
        ctx.set(dut.tag, {"gram": 1, "pivot": 1})
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        for _ in range(40):
            await ctx.tick()
            saturations.append(ctx.get(dut.saturated))
        root = scalar.reciprocal_square_root(float(dots[0]))
        word, fraction, saturated = coefficient(p, dots[1], scalar.multiply(root, root))
        assert ctx.get(dut.coefficient[0][1]) == word
        assert ctx.get(dut.fraction_bits[0][1]) == fraction
        assert sum(saturations) == saturated == 1

    simulate(dut, bench)
