"""The scalar unit's programs equal the golden model's scalar expressions on every bit."""

import math

import numpy as np
import pytest

from golden_model import scalar
from golden_model.parameters import Parameters
from hdl.scalar_programs import Name
from hdl.scalar_unit import ScalarUnit
from tests.hdl.core_bench import as_scalar, read
from tests.hdl.simulate import simulate

PARAMETERS = Parameters(width=16, lanes=4, columns=3, max_rank=6, max_m=64, max_n=64, max_block=16,
                        buffer_rows=64, tile_rows=4, tile_columns=4,
                        grid_columns=16, max_slots=16)  # fmt: skip
RANKS = 5
EXTREMES = [0.0, 1.0, scalar.LARGEST, scalar.SMALLEST, 2.0**-300]


class Bench:
    """Runs programs on the unit, and answers what it asks for each rank."""

    def __init__(self, ctx, dut):
        self.ctx, self.dut = ctx, dut
        self.histories = {}
        self.overlaps = [0] * RANKS
        self.residuals = [0] * RANKS
        self.vanished = [False] * RANKS
        last_group, last_column = divmod(RANKS - 1, PARAMETERS.columns)
        ctx.set(dut.last_group, last_group)
        ctx.set(dut.last_column, last_column)

    async def run(self, name, side=0, rank=None):
        """Run a program for every rank, or for one, up to the cycle after `done`."""
        ctx, dut = self.ctx, self.dut
        group, column = divmod(rank or 0, PARAMETERS.columns)
        ctx.set(dut.program, Name[name])
        ctx.set(dut.side, side)
        ctx.set(dut.single, rank is not None)
        ctx.set(dut.group, group)
        ctx.set(dut.column, column)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        for _ in range(1000):
            if ctx.get(dut.done):
                await ctx.tick()
                return
            now = ctx.get(dut.rank_group) * PARAMETERS.columns + ctx.get(dut.rank_column)
            if now < RANKS:
                overlap = self.overlaps[now]
                ctx.set(dut.overlap, as_scalar(scalar.round_scalar(abs(overlap))))
                ctx.set(dut.overlap_negative, overlap < 0)
                ctx.set(dut.residual, self.residuals[now])
                ctx.set(dut.vanished, self.vanished[now])
                if ctx.get(dut.history_write):
                    self.histories[now] = read(ctx.get(dut.result))
            await ctx.tick()
        raise AssertionError(f"program {name} did not end")

    async def norm(self, name, side, rank, square):
        """Run NORM or PIVOT for a sum of squares; its norm and the reciprocal of that."""
        square = scalar.round_scalar(square)
        root = scalar.reciprocal_square_root(square)
        self.ctx.set(self.dut.square, as_scalar(square))
        self.ctx.set(self.dut.root, as_scalar(root))
        await self.run(name, side, rank)
        return scalar.multiply(square, root), root

    def values(self, output):
        """An output by rank."""
        columns = PARAMETERS.columns
        return [read(self.ctx.get(output[r // columns][r % columns])) for r in range(RANKS)]


@pytest.mark.parametrize("seed", range(4))
def test_a_batch_of_programs(seed):
    random = np.random.default_rng(seed)
    dut = ScalarUnit(PARAMETERS)

    async def testbench(ctx):
        bench = Bench(ctx, dut)
        weights = [scalar.round_scalar(2 ** random.uniform(-60, 60)) for _ in range(RANKS)]
        if seed == 1:
            weights = EXTREMES
        carry, rate = (scalar.round_scalar(random.uniform(0, 2)) for _ in range(2))
        ctx.set(dut.host_weight, [[as_scalar(w) for w in [*weights, 0.0][:3]],
                                  [as_scalar(w) for w in [*weights, 0.0][3:]]])  # fmt: skip
        ctx.set(dut.carry, as_scalar(carry))
        ctx.set(dut.rate, as_scalar(rate))
        await bench.run("CARRY")
        weights = [scalar.multiply(w, carry) for w in weights]
        assert bench.values(dut.weight) == weights

        norms, inverses = [[], []], [[], []]
        for side in (0, 1):
            for rank in range(RANKS):
                square = 0.0 if seed == 2 and rank == side else 2 ** random.uniform(0, 40)
                norm, inverse = await bench.norm("NORM", side, rank, square)
                norms[side].append(norm)
                inverses[side].append(inverse)

        for side in (0, 1):
            await bench.run("HISTORY", side)
            for rank in range(RANKS):
                history = scalar.multiply(weights[rank], inverses[side][rank])
                history = scalar.multiply(history, norms[1 - side][rank])
                assert bench.histories[rank] == history
            previous = list(inverses[side])
            for rank in range(RANKS):
                square = 0.0 if seed == 3 and rank == 2 else 2 ** random.uniform(0, 40)
                norm, inverse = await bench.norm("PIVOT", side, rank, square)
                if square:
                    norms[side][rank], inverses[side][rank] = norm, inverse

        bench.overlaps = [int(2 ** random.uniform(0, 40)) * (-1) ** r for r in range(RANKS)]
        bench.overlaps[4] = 0
        bench.residuals = [int(random.integers(-60, 60)) for _ in range(RANKS)]
        bench.vanished = [rank == 1 for rank in range(RANKS)]
        await bench.run("WEIGHT", 1)
        for rank, dot in enumerate(bench.overlaps):
            overlap = scalar.multiply(scalar.round_scalar(abs(dot)), inverses[1][rank])
            overlap = scalar.multiply(overlap, previous[rank])
            rest = scalar.add(1.0, overlap) if dot < 0 else scalar.subtract(1.0, overlap)
            diagonal = scalar.multiply(norms[1][rank], inverses[0][rank])
            diagonal = scalar.round_scalar(math.ldexp(diagonal, bench.residuals[rank]))
            weights[rank] = scalar.add(diagonal, scalar.multiply(weights[rank], rest))
            if rank == 1:
                weights[rank] = 0.0
        assert bench.values(dut.weight) == weights
        await bench.run("SCALE", 0)
        scales = [
            scalar.multiply(scalar.multiply(weights[r], inverses[0][r]), inverses[1][r])
            for r in range(RANKS)
        ]
        assert bench.values(dut.scale) == scales
        assert bench.values(dut.update) == [scalar.multiply(rate, scale) for scale in scales]

    simulate(dut, testbench)


def test_results_at_the_ends_of_the_range_are_those_of_the_golden_model():
    cases = [(scalar.LARGEST, 4.0), (scalar.SMALLEST, 0.25), (0.0, 2.0), (2.0**400, 2.0**400),
             (2.0**-400, 2.0**-400)]  # fmt: skip
    dut = ScalarUnit(PARAMETERS)

    async def testbench(ctx):
        bench = Bench(ctx, dut)
        for weight, carry in cases:
            ctx.set(dut.host_weight, [[as_scalar(weight)] * 3] * 2)
            ctx.set(dut.carry, as_scalar(carry))
            await bench.run("CARRY")
            assert bench.values(dut.weight) == [scalar.multiply(weight, carry)] * RANKS

    simulate(dut, testbench)
