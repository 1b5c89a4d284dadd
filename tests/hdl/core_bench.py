"""A batch on the core, beside the golden integer model."""

import numpy as np

from golden_model import scalar
from golden_model.cost import batch_steps
from golden_model.fixed import FixedState, fill_words, run_batch
from hdl.core import Core
from tests.hdl.simulate import simulate


def as_scalar(value):
    word = scalar.encode(value)
    return {"significand": word & 0x3FFFF, "exponent": word >> 18}


def read(view):
    word = int(view.significand) | ((int(view.exponent) & 0x3FF) << 18)
    return scalar.decode(word)


def beats(parameters, vectors):
    """Rows of `lanes` words of each vector, the last row padded with words that must not count."""
    rows = []
    for vector in vectors:
        padded = np.full(parameters.rows(len(vector)) * parameters.lanes, -3)
        padded[: len(vector)] = vector
        rows += padded.reshape(-1, parameters.lanes).tolist()
    return rows


def packets(parameters, state, blocks):
    """The stream packets of a batch."""
    yield beats(parameters, [*state.x.T, *state.delta.T])
    for a, d in blocks:
        yield beats(parameters, [v for sample in zip(a, d, strict=True) for v in sample])


def run_core(parameters, state, blocks, block, carry, random):
    """What the core answers: factors, weights, scales, saturations."""
    dut = Core(parameters)
    (n, k), m = state.x.shape, len(state.delta)
    answer = {}

    async def host(ctx):
        for name, value in {
            "m": m, "n": n, "k": k, "block": block, "blocks": len(blocks),
            "last": len(blocks[-1][0]), "load": 1, "store": 1, "slots_valid": 1, "tiles_valid": 1,
        }.items():  # fmt: skip
            ctx.set(getattr(dut, name), value)
        padding = [0.0] * (parameters.max_rank - k)
        weights = [*state.weight.tolist(), *padding]
        ctx.set(dut.host_weight, [as_scalar(w) for w in weights])
        ctx.set(dut.carry, as_scalar(carry))
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        for packet in packets(parameters, state, blocks):
            for i, row in enumerate(packet):
                while random.integers(4) == 0:
                    ctx.set(dut.input.valid, 0)
                    await ctx.tick()
                ctx.set(dut.input.payload.words, row)
                ctx.set(dut.input.payload.last, int(i == len(packet) - 1))
                ctx.set(dut.input.valid, 1)
                await ctx.tick().until(dut.input.ready)
        ctx.set(dut.input.valid, 0)

    async def receive(ctx):
        rows = []
        while True:
            ctx.set(dut.output.ready, int(random.integers(3) > 0))
            _, _, valid, ready, payload = await ctx.tick().sample(
                dut.output.valid, dut.output.ready, dut.output.payload
            )
            if valid and ready:
                rows.append([payload.words[lane] for lane in range(parameters.lanes)])
                if payload.last:
                    break
        while ctx.get(dut.busy):
            await ctx.tick()
        words = np.array(rows)
        split = k * parameters.rows(n)
        answer["x"] = words[:split].reshape(k, -1).T
        answer["delta"] = words[split:].reshape(k, -1).T
        answer["weight"] = [read(ctx.get(dut.weight[c])) for c in range(k)]
        answer["scale"] = [read(ctx.get(dut.scale[c])) for c in range(k)]
        answer["saturations"] = ctx.get(dut.saturations)
        answer["multiply_cycles"] = ctx.get(dut.multiply_cycles)
        answer["cycles"] = ctx.get(dut.cycles)
        answer["phase_cycles"] = [ctx.get(count) for count in dut.phase_cycles]

    simulate(dut, host, receive)
    return answer


def random_batch(parameters, m, n, k, sizes, kind, random):
    """State and blocks of words with the properties `kind` names."""
    low, high = parameters.word.minimum, parameters.word.maximum
    state = FixedState(
        fill_words(parameters, random.standard_normal((n, k))),
        fill_words(parameters, random.standard_normal((m, k))),
        np.array([scalar.round_scalar(2.0 ** random.integers(-5, 25)) for _ in range(k)]),
    )
    if kind == "first":
        state.weight[:] = 0.0
    blocks = []
    for b in sizes:
        a, d = (random.integers(low, high + 1, (b, size)).astype(float) for size in (n, m))
        if kind == "minimum":
            a[:], d[:] = low, low
        elif kind == "maximum":
            a[:], d[:] = high, high
        elif kind == "zero":
            d[:] = 0
        elif kind == "rank-one":
            d[:] = np.outer(np.sign(d[:, 0]), d[0])
            a[:] = a[0]
        elif kind == "sparse":
            a *= random.integers(4, size=a.shape) == 0
            d = np.sign(d) * (random.integers(3, size=d.shape) == 0)
        blocks.append((a, d))
    return state, blocks


KINDS = ["first", "plain", "minimum", "maximum", "zero", "rank-one", "sparse"]


def assert_batch_equals_golden_model(parameters, m, n, k, sizes, kind, random):
    """Run a random batch of blocks of `sizes` samples on both; every bit must be the same."""
    state, blocks = random_batch(parameters, m, n, k, sizes, kind, random)
    carry = scalar.round_scalar(0.3)
    expected = run_batch(parameters, state, blocks, carry)
    answer = run_core(parameters, state, blocks, sizes[0], carry, random)
    assert np.array_equal(answer["x"][:n], expected.state.x)
    assert np.array_equal(answer["delta"][:m], expected.state.delta)
    assert not answer["x"][n:].any()
    assert not answer["delta"][m:].any()
    assert answer["weight"] == expected.state.weight.tolist()
    assert answer["scale"] == expected.scale.tolist()
    assert answer["saturations"] == expected.saturations
    assert answer["multiply_cycles"] == batch_steps(parameters, m, n, k, sizes)
    assert sum(answer["phase_cycles"]) == answer["cycles"]
