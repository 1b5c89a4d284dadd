"""The history in the projections' units, as in the golden model, on every bit."""

import math

import numpy as np
import pytest

from golden_model import scalar
from golden_model.parameters import Parameters
from hdl.aligner import Aligner
from tests.hdl.core_bench import as_scalar
from tests.hdl.simulate import simulate

EXTREMES = [0.0, 1.0, scalar.LARGEST, scalar.SMALLEST, 2.0**-300, 2.0**300]


@pytest.mark.parametrize("columns", [1, 2, 4, 8])
@pytest.mark.parametrize("width", [8, 16, 18])
def test_history_and_projections_share_an_exponent(width, columns):
    p = Parameters(width=width, lanes=4, columns=columns, max_rank=3 * columns, max_m=64, max_n=64,
                   max_block=16, buffer_rows=64, tile_rows=4, tile_columns=4,
                   max_slots=16)  # fmt: skip
    random = np.random.default_rng([width, columns])
    dut = Aligner(p)
    histories = [scalar.round_scalar(2.0 ** random.uniform(-60, 60)) for _ in range(3 * columns)]
    histories[: len(EXTREMES)] = EXTREMES[: 3 * columns]
    magnitudes = [int(random.integers(0, p.dot_bits)) for _ in histories]

    async def bench(ctx):
        ctx.set(dut.write, 1)
        for rank, history in enumerate(histories):
            ctx.set(dut.write_group, rank // columns)
            ctx.set(dut.write_column, rank % columns)
            ctx.set(dut.write_data, as_scalar(history))
            await ctx.tick()
        ctx.set(dut.write, 0)
        for group in range(3):
            ranks = range(group * columns, (group + 1) * columns)
            ctx.set(dut.group, group)
            ctx.set(dut.magnitude, [magnitudes[rank] for rank in ranks])
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            while not ctx.get(dut.ready):
                await ctx.tick()
            await ctx.tick().repeat(6)
            for column, rank in enumerate(ranks):
                natural = magnitudes[rank] - (width - 1)
                raised = scalar.exponent(histories[rank]) - p.history_bits
                bits = min(max(natural, raised) + width - 1, dut.bits_max)
                assert ctx.get(dut.projection_bits[column]) == bits
            await ctx.tick().repeat(3)
            for column, rank in enumerate(ranks):
                shift = max(
                    magnitudes[rank] - (width - 1),
                    scalar.exponent(histories[rank]) - p.history_bits,
                )
                assert ctx.get(dut.shift[group][column]) == shift
                history = round(math.ldexp(histories[rank], -shift))
                assert ctx.get(dut.history[column]) == history

    simulate(dut, bench)
