"""The narrower equals the golden model's narrowing."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from golden_model.formats import WordFormat, magnitude_bits
from hdl.narrow import LATENCY, Narrower, shift_max


def run(dut, values, bits):
    words, saturated = [], []

    async def bench(ctx):
        for i in range(len(values) + LATENCY):
            if i < len(values):
                ctx.set(dut.value, int(values[i]))
                ctx.set(dut.bits, int(bits[i]))
            if i >= LATENCY:
                words.append(ctx.get(dut.word))
                saturated.append(ctx.get(dut.saturated))
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    return words, saturated


def expect(dut, values, bits):
    word = WordFormat(dut.width)
    answers = [word.narrow(v, b - (dut.width - 1)) for v, b in zip(values, bits, strict=True)]
    return [int(w) for w, _ in answers], [s for _, s in answers]


@pytest.mark.parametrize("width", [3, 4])
def test_every_value_and_shift_of_a_small_narrower(width):
    dut = Narrower(6, width)
    cases = [
        (value, bits)
        for value in range(-32, 32)
        for bits in range(int(magnitude_bits([value])), shift_max(6, width) + 1)
    ]
    values, bits = zip(*cases, strict=True)
    assert run(dut, values, bits) == expect(dut, values, bits)


@pytest.mark.parametrize(("value_bits", "width"), [(47, 16), (37, 8), (53, 18), (43, 16)])
def test_wide_values_near_ties_and_limits(value_bits, width):
    random = np.random.default_rng(value_bits)
    dut = Narrower(value_bits, width)
    values, bits = [], []
    for _ in range(600):
        own = int(random.integers(0, value_bits))
        value = int(random.integers(0, 2)) - 1 if own == 0 else 0
        if own:
            value = int(random.integers(1 << (own - 1), 1 << own))
            half = own - width
            if half > 0 and random.integers(2):
                value = (value >> half << half) + int(random.integers(-1, 2))
            value = min(value, (1 << (value_bits - 1)) - 1)
            value = -value - 1 if random.integers(2) else value
        extra = int(random.integers(0, 4)) if random.integers(2) else 0
        values.append(value)
        bits.append(min(int(magnitude_bits([value])) + extra, shift_max(value_bits, width)))
    assert run(dut, values, bits) == expect(dut, values, bits)
