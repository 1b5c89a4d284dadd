"""The parts of the update driver that its pins do not show completely."""

import numpy as np
import pytest

from golden_model.parameters import Parameters
from hdl.pulse_counter import PulseCounter, latency
from hdl.random_bits import Mixer
from hdl.update import update_cycles
from tests.hdl.simulate import simulate


@pytest.mark.parametrize("lines", [2, 8, 9, 64, 70])
def test_the_counter_adds_up_the_lines_after_its_latency(lines):
    random = np.random.default_rng(lines)
    dut = PulseCounter(lines)

    async def drive(ctx):
        total = 0
        for _ in range(5):
            levels = random.integers(0, 2, lines)
            total += int(levels.sum())
            ctx.set(dut.lines, int(sum(1 << line for line in np.flatnonzero(levels).tolist())))
            await ctx.tick()
        ctx.set(dut.lines, 0)
        await ctx.tick().repeat(latency(lines) - 1)
        assert ctx.get(dut.count) == total

    simulate(dut, drive)


def test_the_counter_stays_at_its_largest_value():
    dut = PulseCounter(8, count_bits=6)

    async def drive(ctx):
        ctx.set(dut.lines, 0xFF)
        for count in (0, 0, 8, 16, 24, 32, 40, 48, 56, 63, 63, 63):
            assert ctx.get(dut.count) == count
            await ctx.tick()

    simulate(dut, drive)


def test_clearing_the_counter_forgets_pulses_on_their_way():
    dut = PulseCounter(70)

    async def drive(ctx):
        ctx.set(dut.lines, (1 << 70) - 1)
        await ctx.tick().repeat(10)
        ctx.set(dut.lines, 0)
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        for _ in range(10):
            assert ctx.get(dut.count) == 0
            await ctx.tick()

    simulate(dut, drive)


def test_the_mixer_holds_between_rounds_and_restarts_on_load():
    dut = Mixer()

    async def drive(ctx):
        ctx.set(dut.seed, 12345)
        words = []
        for _ in range(2):
            ctx.set(dut.load, 1)
            await ctx.tick()
            ctx.set(dut.load, 0)
            ctx.set(dut.advance, 1)
            await ctx.tick().repeat(8)
            ctx.set(dut.advance, 0)
            await ctx.tick().repeat(3)
            words.append((ctx.get(dut.a), ctx.get(dut.b)))
        assert words[0] == words[1]

    simulate(dut, drive)


def test_cycles_of_the_documented_updates():
    for slots, cycles in ((64, 27_769), (8, 4_473)):
        assert update_cycles(Parameters(), 128, 784, [slots] * 4, scrambled=True) == cycles
