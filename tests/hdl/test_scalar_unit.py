"""The scalar unit's programs equal the golden model's scalar expressions on every bit."""

import math

import numpy as np
import pytest

from golden_model import scalar
from golden_model.parameters import Parameters
from hdl.scalar_programs import Name
from hdl.scalar_unit import ScalarUnit
from tests.hdl.simulate import simulate

EXTREMES = [0.0, 1.0, scalar.LARGEST, scalar.SMALLEST, 2.0**-300, 2.0**300]


def parameters(width):
    return Parameters(width=width, lanes=4, columns=3, max_m=64, max_n=64, max_block=16,
                      buffer_rows=64, tile_rows=4, tile_columns=4, max_slots=16)  # fmt: skip


def as_scalar(value):
    word = scalar.encode(value)
    return {"significand": word & 0x3FFFF, "exponent": word >> 18}


def read(view):
    word = int(view.significand) | ((int(view.exponent) & 0x3FF) << 18)
    return scalar.decode(word)


class Bench:
    """Runs programs on the unit and reads its outputs."""

    def __init__(self, ctx, dut, ranks):
        self.ctx, self.dut, self.ranks = ctx, dut, ranks
        self.saturations = 0
        ctx.set(dut.ranks, ranks)

    async def run(self, name, side=0, first_column=0):
        ctx, dut = self.ctx, self.dut
        ctx.set(dut.program, Name[name])
        ctx.set(dut.side, side)
        ctx.set(dut.first_column, first_column)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        for _ in range(3000):
            self.saturations += ctx.get(dut.saturations)
            if ctx.get(dut.done):
                return
            await ctx.tick()
        raise AssertionError(f"program {name} did not end")

    def dots(self, values):
        self.ctx.set(self.dut.dots, [int(v) for v in values])


def random_dots(random, bits, count):
    magnitudes = [int(2 ** random.uniform(0, bits - 1.01)) for _ in range(count)]
    return [m * int(random.choice([-1, 1])) for m in magnitudes]


@pytest.mark.parametrize("width", [8, 16, 18])
@pytest.mark.parametrize("seed", range(3))
def test_a_batch_of_programs(width, seed):
    p = parameters(width)
    random = np.random.default_rng(seed)
    k = p.columns
    dut = ScalarUnit(p)

    async def testbench(ctx):
        bench = Bench(ctx, dut, k)
        weights = [scalar.round_scalar(2 ** random.uniform(-60, 60)) for _ in range(k)]
        carry, rate = (scalar.round_scalar(random.uniform(0, 2)) for _ in range(2))
        if seed == 1:
            weights[0], weights[1] = (float(random.choice(EXTREMES)) for _ in range(2))
        ctx.set(dut.host_weight, [as_scalar(w) for w in weights])
        ctx.set(dut.carry, as_scalar(carry))
        ctx.set(dut.rate, as_scalar(rate))
        await bench.run("CARRY")
        weights = [scalar.multiply(w, carry) for w in weights]
        assert [read(ctx.get(dut.weight[c])) for c in range(k)] == weights

        inverse, norm = [[], []], [[], []]
        for side in (0, 1):
            squares = [abs(d) for d in random_dots(random, p.dot_bits, k)]
            if seed == 2:
                squares[side] = 0
            bench.dots(squares)
            await bench.run("NORM", side)
            for square in squares:
                s = scalar.round_scalar(square)
                inverse[side].append(scalar.reciprocal_square_root(s))
                norm[side].append(scalar.multiply(s, inverse[side][-1]))

        for side in (0, 1):
            await bench.run("HISTORY", side)
            magnitude = [int(random.integers(0, p.dot_bits)) for _ in range(k)]
            ctx.set(dut.magnitude, magnitude)
            await bench.run("ALIGN", side)
            for c in range(k):
                history = scalar.multiply(
                    scalar.multiply(weights[c], inverse[side][c]), norm[1 - side][c]
                )
                natural = magnitude[c] - (width - 1)
                shift = max(natural, scalar.exponent(history) - p.history_bits)
                assert ctx.get(dut.projection_shift[c]) == shift
                assert ctx.get(dut.history[c]) == round(math.ldexp(history, -shift))
                limit = dut.projection_bits_max
                assert ctx.get(dut.projection_bits[c]) == min(shift + width - 1, limit)

            previous = list(inverse[side])
            for j in range(k):
                dots = random_dots(random, p.dot_bits, k)
                # Coefficients are bounded by filled words, so are these.
                dots[j] = abs(dots[j]) | (1 << (p.dot_bits - width))
                if seed == 2 and j == 1:
                    dots[j] = 0
                if seed == 1 and j + 1 < k:
                    dots[-1] = -(1 << (p.dot_bits - 4)) + 1
                bench.dots(dots)
                before = bench.saturations
                await bench.run("COEFFICIENTS", side, j)
                square = scalar.round_scalar(dots[j])
                root = scalar.reciprocal_square_root(square)
                if dots[j]:
                    inverse[side][j] = root
                    norm[side][j] = scalar.multiply(square, root)
                saturated = 0
                for c in range(j + 1, k):
                    ratio = scalar.multiply(
                        scalar.round_scalar(abs(dots[c])), scalar.multiply(root, root)
                    )
                    fraction = min(width - 2, width - 1 - scalar.exponent(ratio))
                    if fraction < 0:
                        continue
                    words, count = p.word.narrow(-math.copysign(ratio, dots[c]), -fraction)
                    saturated += count
                    assert ctx.get(dut.coefficient[c]) == int(words)
                    assert ctx.get(dut.fraction_bits[c]) == fraction
                await ctx.tick()
                if seed != 1:
                    assert bench.saturations - before == saturated

        dots = random_dots(random, p.dot_bits, k)
        residual = [int(random.integers(-60, 60)) for _ in range(k)]
        bench.dots(dots)
        ctx.set(dut.residual, residual)
        ctx.set(dut.vanished, 0b010)
        await bench.run("WEIGHT", 1)
        for c in range(k):
            overlap = scalar.multiply(
                scalar.multiply(scalar.round_scalar(abs(dots[c])), inverse[1][c]), previous[c]
            )
            rest = scalar.add(1.0, overlap) if dots[c] < 0 else scalar.subtract(1.0, overlap)
            diagonal = scalar.round_scalar(
                math.ldexp(scalar.multiply(norm[1][c], inverse[0][c]), residual[c])
            )
            weights[c] = scalar.add(diagonal, scalar.multiply(weights[c], rest))
            if c == 1:
                weights[c] = 0.0
            assert read(ctx.get(dut.weight[c])) == weights[c]
        await bench.run("SCALE", 0)
        for c in range(k):
            scale = scalar.multiply(scalar.multiply(weights[c], inverse[0][c]), inverse[1][c])
            assert read(ctx.get(dut.scale[c])) == scale
            assert read(ctx.get(dut.update[c])) == scalar.multiply(rate, scale)

    simulate(dut, testbench)
