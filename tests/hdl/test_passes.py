"""The steps of every pass, in their number and order, and how passes follow each other."""

import pytest

from golden_model.cost import block_steps
from golden_model.parameters import Parameters
from hdl.passes import Kind, Left, PassEngine, Right, Target, factor_bases, spacing
from tests.hdl.simulate import simulate

PARAMETERS = Parameters(width=8, lanes=4, columns=2, max_rank=4, max_m=10, max_n=16, max_block=8,
                        buffer_rows=32, tile_rows=4, tile_columns=4, max_slots=16)  # fmt: skip
ROWS_N, ROWS_M = 3, 2
SAMPLES = 5
GROUPS = 2
X_BASE, DELTA_BASE, _ = factor_bases(PARAMETERS)


def run_passes(*orders):
    """Run passes, each offered as soon as the one before is taken; their steps, cycle by cycle."""
    dut = PassEngine(PARAMETERS)
    seen = []

    async def host(ctx):
        for name, value in {"rows_n": ROWS_N, "rows_m": ROWS_M, "samples": SAMPLES}.items():
            ctx.set(getattr(dut, name), value)
        await ctx.tick()  # sizes rest before the first pass
        waiting = list(orders)
        idle = 0
        while idle < 20:
            ctx.set(dut.start, bool(waiting))
            if waiting:
                ctx.set(dut.order, waiting[0])
                if ctx.get(dut.ready):
                    waiting.pop(0)
            await ctx.tick()
            step = ctx.get(dut.out)
            seen.append(step)
            idle = 0 if step.step or waiting else idle + 1

    simulate(dut, host)
    return seen


def steps(kind, side, **order):
    """The steps of one pass."""
    return [step for step in run_passes({"kind": kind, "side": side, **order}) if step.step]


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("kind", Kind)
def test_a_pass_ends_with_its_only_final_step(kind, side):
    final = [step.final for step in steps(kind, side)]
    assert final == [0] * (len(final) - 1) + [1]


def test_the_passes_of_a_block_add_up_to_its_steps():
    total = 0
    for side in (0, 1):
        passes = [Kind.PROJECT, Kind.ACCUMULATE] * GROUPS
        passes += [Kind.DOT, Kind.DOT, Kind.SUBTRACT, Kind.SUBTRACT]  # rank 0 of 3
        passes += [Kind.DOT, Kind.DOT, Kind.SUBTRACT]  # rank 1, the last of its group
        passes += [Kind.DOT]  # rank 2, alone in the other
        total += sum(len(steps(kind, side)) for kind in passes)
    total += GROUPS * len(steps(Kind.OVERLAP, 1))
    assert total == block_steps(PARAMETERS, 4 * ROWS_M, 4 * ROWS_N, 3, SAMPLES)


def test_passes_follow_each_other_without_a_gap():
    seen = run_passes(*({"kind": kind, "side": 0} for kind in (Kind.PROJECT, Kind.ACCUMULATE)))
    taken = [step.step for step in seen]
    count = SAMPLES * ROWS_M + ROWS_N * (PARAMETERS.history_digits + SAMPLES)
    assert taken == [1] * count + [0] * (len(taken) - count)


def test_short_passes_begin_spaced_apart():
    seen = run_passes(*[{"kind": Kind.DOT, "side": 1}] * 3)
    begins = [cycle for cycle, step in enumerate(seen) if step.step and step.first]
    assert begins == [0, spacing(PARAMETERS), 2 * spacing(PARAMETERS)]


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("bank", [0, 1])
@pytest.mark.parametrize("group", [0, 1])
def test_projection_reads_every_sample_with_the_other_factor(side, bank, group):
    seen = steps(Kind.PROJECT, side, bank=bank, group=group)
    other_rows, other_base, sample_base = (
        (ROWS_M, DELTA_BASE, ROWS_N) if side == 0 else (ROWS_N, X_BASE, 0)
    )
    places = [
        (bank * PARAMETERS.buffer_rows + sample * (ROWS_N + ROWS_M) + sample_base + row,
         other_base + GROUPS * row + group, sample, int(row == 0), int(row == other_rows - 1))
        for sample in range(SAMPLES)
        for row in range(other_rows)
    ]  # fmt: skip
    assert [(s.buffer, s.factor, s.result, s.first, s.last) for s in seen] == places
    assert [s.begin for s in seen] == [1] * other_rows + [0] * (len(seen) - other_rows)
    assert {s.target for s in seen} == {Target.PROJECTIONS}


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("group", [0, 1])
def test_accumulation_takes_the_history_digit_by_digit_then_every_sample(side, group):
    own_rows, own_base, sample_base = (
        (ROWS_N, X_BASE, 0) if side == 0 else (ROWS_M, DELTA_BASE, ROWS_N)
    )
    digits = PARAMETERS.history_digits
    seen = steps(Kind.ACCUMULATE, side, group=group)
    assert len(seen) == own_rows * (digits + SAMPLES)
    for row in range(own_rows):
        run = seen[row * (digits + SAMPLES) : (row + 1) * (digits + SAMPLES)]
        assert [s.first for s in run] == [1] + [0] * (digits + SAMPLES - 1)
        assert [s.last for s in run] == [0] * (digits + SAMPLES - 1) + [1]
        history, data = run[:digits], run[digits:]
        assert [(s.left, s.factor, s.digit) for s in history] == [
            (Left.FACTOR, own_base + GROUPS * row + group, digits - 1 - digit)
            for digit in range(digits)
        ]
        assert [s.horner for s in run] == [0] + [1] * (digits - 1) + [0] * SAMPLES
        assert [(s.left, s.buffer, s.sample) for s in data] == [
            (Left.BUFFER, sample * (ROWS_N + ROWS_M) + sample_base + row, sample)
            for sample in range(SAMPLES)
        ]
        assert {(s.result, s.group, s.begin) for s in run} == {(row, group, int(row == 0))}


@pytest.mark.parametrize(("in_group", "left"), [(1, Left.PIVOT_COLUMN), (0, Left.PIVOT)])
@pytest.mark.parametrize("side", [0, 1])
def test_dot_products_commit_the_pivot_of_the_activations_at_once(side, in_group, left):
    seen = steps(Kind.DOT, side, in_group=in_group, pivot=1)
    assert {(s.left, s.right) for s in seen} == {(left, Right.RESIDUAL)}
    assert {s.commit for s in seen} == {0b10 if in_group and side == 0 else 0}


def test_overlaps_commit_the_group():
    assert {s.commit for s in steps(Kind.OVERLAP, 1, columns=0b01)} == {0b01}


def test_subtraction_takes_a_step_a_row():
    seen = steps(Kind.SUBTRACT, 0, group=1)
    assert [(s.row, s.result, s.first, s.last, s.subtract) for s in seen] == [
        (row, row, 1, 1, 1) for row in range(ROWS_N)
    ]


def test_only_the_last_step_releases_the_buffer():
    seen = steps(Kind.ACCUMULATE, 1, release=1, bank=1)
    assert [s.release for s in seen] == [0] * (len(seen) - 1) + [1]
