"""The steps of every pass, in their number and order."""

import pytest

from golden_model.cost import block_steps
from golden_model.parameters import Parameters
from hdl.passes import Kind, Left, PassEngine, Target
from tests.hdl.simulate import simulate

PARAMETERS = Parameters(width=8, lanes=4, columns=2, max_m=10, max_n=16, max_block=8,
                        buffer_rows=32, tile_rows=4, tile_columns=4, max_slots=16)  # fmt: skip
ROWS_N, ROWS_M = 3, 2
SAMPLES = 5


def steps(kind, side, bank=0):
    """Run a pass; returns its steps."""
    dut = PassEngine(PARAMETERS)
    seen = []

    async def host(ctx):
        for name, value in {"rows_n": ROWS_N, "rows_m": ROWS_M, "samples": SAMPLES}.items():
            ctx.set(getattr(dut, name), value)
        ctx.set(dut.order, {"kind": kind, "side": side, "bank": bank})
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        for _ in range(1000):
            step = ctx.get(dut.out)
            if not step.step:
                break
            seen.append(step)
            await ctx.tick()

    simulate(dut, host)
    return seen


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("kind", Kind)
def test_a_pass_ends_with_its_only_final_step(kind, side):
    final = [step.final for step in steps(kind, side)]
    assert final == [0] * (len(final) - 1) + [1]


def test_the_passes_of_a_block_add_up_to_its_steps():
    total = 0
    for side in (0, 1):
        passes = [Kind.PROJECT, Kind.ACCUMULATE, Kind.DOT, Kind.SUBTRACT, Kind.DOT]
        total += sum(len(steps(kind, side)) for kind in passes)
    total += len(steps(Kind.OVERLAP, 1))
    assert total == block_steps(PARAMETERS, 4 * ROWS_M, 4 * ROWS_N, 2, SAMPLES)


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("bank", [0, 1])
def test_projection_reads_every_sample_with_the_other_factor(side, bank):
    seen = steps(Kind.PROJECT, side, bank)
    other_rows, other_base, sample_base = (
        (ROWS_M, PARAMETERS.rows(PARAMETERS.max_n), ROWS_N) if side == 0 else (ROWS_N, 0, 0)
    )
    places = [
        (bank * PARAMETERS.buffer_rows + sample * (ROWS_N + ROWS_M) + sample_base + row,
         other_base + row, sample, int(row == 0), int(row == other_rows - 1))
        for sample in range(SAMPLES)
        for row in range(other_rows)
    ]  # fmt: skip
    assert [(s.buffer, s.factor, s.result, s.first, s.last) for s in seen] == places
    assert {s.target for s in seen} == {Target.PROJECTIONS}


@pytest.mark.parametrize("side", [0, 1])
def test_accumulation_takes_the_history_digit_by_digit_then_every_sample(side):
    own_rows, own_base, sample_base = (
        (ROWS_N, 0, 0) if side == 0 else (ROWS_M, PARAMETERS.rows(PARAMETERS.max_n), ROWS_N)
    )
    digits = PARAMETERS.history_digits
    seen = steps(Kind.ACCUMULATE, side)
    assert len(seen) == own_rows * (digits + SAMPLES)
    for row in range(own_rows):
        run = seen[row * (digits + SAMPLES) : (row + 1) * (digits + SAMPLES)]
        assert [s.first for s in run] == [1] + [0] * (digits + SAMPLES - 1)
        assert [s.last for s in run] == [0] * (digits + SAMPLES - 1) + [1]
        history, data = run[:digits], run[digits:]
        assert [(s.left, s.factor, s.digit) for s in history] == [
            (Left.FACTOR, own_base + row, digits - 1 - digit) for digit in range(digits)
        ]
        assert [s.horner for s in run] == [0] + [1] * (digits - 1) + [0] * SAMPLES
        assert [(s.left, s.buffer, s.sample) for s in data] == [
            (Left.BUFFER, sample * (ROWS_N + ROWS_M) + sample_base + row, sample)
            for sample in range(SAMPLES)
        ]
        assert {s.result for s in run} == {row}
