"""Coincidences are counted as the simulation's harnesses count them: in each slot's last cycle."""

import numpy as np
import pytest

from hdl.coincidence_counter import CoincidenceCounter, counter_latency
from tests.hdl.simulate import simulate


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (4, 9), (64, 8), (70, 100)])
def test_each_slot_counts_rows_times_columns_once(rows, columns):
    random = np.random.default_rng(rows)
    dut = CoincidenceCounter(rows, columns)

    async def drive(ctx):
        total = 0
        for _ in range(50):
            fired = {}
            for side, lines in (("rows", rows), ("columns", columns)):
                polarity = random.choice(["positive", "negative"])
                levels = random.integers(0, 2, lines)
                fired[side] = int(levels.sum())
                word = sum(1 << line for line in np.flatnonzero(levels).tolist())
                for each in ("positive", "negative"):
                    ctx.set(getattr(dut, f"{side}_{each}"), word if each == polarity else 0)
            last = int(random.integers(2))
            total += last * fired["rows"] * fired["columns"]
            ctx.set(dut.slot_last, last)
            await ctx.tick()
        ctx.set(dut.slot_last, 0)
        await ctx.tick().repeat(counter_latency(rows, columns) - 1)
        assert ctx.get(dut.count) == total > 0

    simulate(dut, drive)
