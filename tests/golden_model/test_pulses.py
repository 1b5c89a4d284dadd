"""Updates as pulses: duties, slots, the statistics of both encodings, and the trains themselves."""

from dataclasses import replace
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden_model import scalar
from golden_model.parameters import Parameters
from golden_model.pulses import (
    PHASES,
    ScrambledThresholds,
    StochasticThresholds,
    UpdatePulses,
    scale_duties,
    scrambled_thresholds,
    slots_log2,
)

TINY = Parameters.preset("tiny")
scalars = st.builds(
    lambda significand, exponent: scalar.decode(significand | (exponent & 0x3FF) << 18),
    st.integers(1 << 17, (1 << 18) - 1),
    st.integers(-512, 511),
)
likely_scalars = st.builds(
    lambda significand, exponent: scalar.decode(significand | (exponent & 0x3FF) << 18),
    st.integers(1 << 17, (1 << 18) - 1),
    st.integers(-60, 10),
)


@given(kappa=scalars | likely_scalars, width=st.integers(8, 18), low=st.integers(0, 15))
def test_slots_are_the_fewest_that_clip_no_duty(kappa, width, low):
    parameters = replace(Parameters(), width=width, max_slots=128)
    log2 = slots_log2(parameters, kappa, low, 15)
    full = 1 << (width - 1)
    needed = kappa * full * full  # slots at duties 1 and 1
    assert log2 == 7 or needed <= 1 << log2
    assert log2 in (min(low, 7), 7) or needed >= 1 << (log2 - 1)
    clips = round(needed * full / (1 << log2)) > full  # a duty is rounded before it clips
    assert scale_duties(parameters, np.array([-full]), kappa, log2)[1] == clips


@given(
    kappa=likely_scalars,
    width=st.integers(8, 18),
    log2=st.integers(0, 7),
    words=st.lists(st.integers(-(1 << 17), (1 << 17) - 1), min_size=1, max_size=8),
)
def test_duties_are_exact_products_rounded_half_to_even_and_clipped(kappa, width, log2, words):
    parameters = replace(Parameters(), width=width, max_slots=128)
    words = [word >> (18 - width) for word in words]
    full = 1 << (width - 1)
    factor = Fraction(kappa) * full * full / (1 << log2)
    exact = [round(abs(word) * factor) for word in words]
    duties, clips = scale_duties(parameters, np.array(words, dtype=np.float64), kappa, log2)
    assert duties.tolist() == [min(duty, full) for duty in exact]
    assert clips == sum(duty > full for duty in exact)


@pytest.mark.parametrize("log2", range(5))
def test_scrambled_counts_are_unbiased_for_every_duty(log2):
    """Over all masks of 4 bits, the mean count of duties p and q is p q L to the last digit."""
    masks = np.arange(16)
    rows, columns = scrambled_thresholds(5, log2, masks, masks)
    duties = np.arange(17)
    row_fires = (rows[:, :, None] < duties).sum(axis=0)
    column_fires = (columns[:, :, None] < duties).sum(axis=0)
    # The masks are independent, so the sum over their pairs is a product in each slot.
    counts = row_fires.T @ column_fires
    assert np.array_equal(counts, np.outer(duties, duties) << log2)


def test_each_slot_of_the_scrambled_encoding_is_a_different_row_and_column_threshold():
    rows, columns = scrambled_thresholds(8, 5, np.array([77]), np.array([13]))
    assert len({row >> 2 for row in rows[0].tolist()}) == 32
    assert len({column >> 2 for column in columns[0].tolist()}) == 32


def count_errors(source, width, log2, tiles, duties):
    """Errors of the coincidence counts of all pairs of `duties` in the first phase of tiles."""
    rows, columns = source.tiles(tiles, log2)
    errors = []
    for row, column in zip(rows[:, 0], columns[:, 0], strict=True):
        row_fires = (row < duties).astype(np.float64)
        column_fires = (column < duties).astype(np.float64)
        full = 1 << (width - 1)
        errors.append(row_fires.T @ column_fires - np.outer(duties, duties) * (1 << log2) / full**2)
    return np.array(errors)


def test_scrambled_pulses_err_by_half_a_count_and_stochastic_pulses_by_three():
    """At 64 slots over all duties in steps of 1/64: rms 0.52 and 2.96 counts; both unbiased."""
    duties = np.arange(64) * 2**15 // 64  # a line of the tile each
    scrambled = count_errors(ScrambledThresholds(Parameters(), 5), 16, 6, 400, duties)
    stochastic = count_errors(StochasticThresholds(Parameters(), 5), 16, 6, 400, duties)
    assert np.sqrt(np.mean(scrambled**2)) == pytest.approx(0.52, abs=0.03)
    assert np.sqrt(np.mean(stochastic**2)) == pytest.approx(2.96, abs=0.1)
    assert abs(scrambled.mean()) < 0.03
    assert abs(stochastic.mean()) < 0.1


def test_duties_between_the_slots_cost_scrambled_pulses_little():
    """The offset that lets fine duties fire adds its own spread: 0.64 counts instead of 0.52."""
    duties = (np.arange(64) + 0.5) * 2**15 // 64
    errors = count_errors(ScrambledThresholds(Parameters(), 5), 16, 6, 400, duties)
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(0.64, abs=0.05)


def test_a_duty_below_one_slot_fires_in_expectation():
    """A duty of 1/512 on 4 slots against a full one: 4/512 counts an update."""
    source = ScrambledThresholds(Parameters(), 11)
    rows, _ = source.tiles(20_000, 2)
    counts = (rows < 2**15 // 512).sum()
    assert counts == pytest.approx(20_000 * 4 / 512, rel=0.25)


def test_without_fresh_masks_small_updates_stall():
    """One mask for all updates: the same update leaves the cell alone every time."""
    duty, updates, log2 = 2**15 // 64, 800, 2
    fresh_rows, fresh_columns = ScrambledThresholds(Parameters(), 3).tiles(updates, log2)
    one = ScrambledThresholds(Parameters(), 3).masks()
    stale_rows, stale_columns = scrambled_thresholds(
        16, log2, np.full(updates, one[0]), np.full(updates, one[1])
    )
    fresh = np.count_nonzero((fresh_rows < duty) & (fresh_columns < 2**15))
    stale = np.count_nonzero((stale_rows < duty) & (stale_columns < 2**15))
    assert stale == 0
    assert fresh == pytest.approx(updates * 4 / 64, rel=0.4)


def test_without_any_mask_counts_are_biased_upwards():
    duties = (np.arange(64) + 0.5) * 2**15 // 64
    rows, columns = scrambled_thresholds(16, 6, np.array([0]), np.array([0]))
    counts = (rows[0][:, None] < duties).astype(int).T @ (columns[0][:, None] < duties)
    bias = counts - np.outer(duties, duties) * 64 / 2**30
    assert bias.mean() > 0.4


def random_update(parameters, seed, m, n, k, exponent, scrambled, **settings):
    """A random update of an m x n layer with signed words over the whole range."""
    random = np.random.default_rng(seed)
    low, high = parameters.word.minimum, parameters.word.maximum
    x = random.integers(low, high, (n, k), endpoint=True).astype(np.float64)
    delta = random.integers(low, high, (m, k), endpoint=True).astype(np.float64)
    kappas = [
        scalar.round_scalar(
            float(random.uniform(0.5, 1)) * 2.0 ** (exponent - 2 * parameters.width)
        )
        for _ in range(k)
    ]
    settings = {"slots_min": 0, "slots_max": 15, "seed": seed} | settings
    return x, delta, kappas, {"scrambled": scrambled} | settings


@pytest.mark.parametrize("scrambled", [True, False])
def test_pulses_follow_words_signs_and_phases(scrambled):
    x, delta, kappas, settings = random_update(TINY, 1, 12, 20, 2, 6, scrambled)
    trains = list(UpdatePulses(TINY, x, delta, kappas, **settings).trains())
    assert [(t.rank, t.tile_row, t.tile_column) for t in trains] == [
        (c, r, q) for c in range(2) for r in range(3) for q in range(2)
    ]
    for train in trains:
        slots = len(train.rows) // 4
        rows = np.zeros(8)
        columns = np.zeros(8)
        inside = x[8 * train.tile_row :, train.rank][:8]
        rows[: len(inside)] = np.sign(inside)
        inside = delta[8 * train.tile_column :, train.rank][:8]
        columns[: len(inside)] = -np.sign(inside)
        for phase, (row_polarity, column_polarity) in enumerate(PHASES):
            part = slice(phase * slots, (phase + 1) * slots)
            assert np.isin(train.rows[part], (0, row_polarity)).all()
            assert np.isin(train.columns[part], (0, column_polarity)).all()
            assert not train.rows[part][:, rows != row_polarity].any()
            assert not train.columns[part][:, columns != column_polarity].any()


@given(
    seed=st.integers(0, 2**32 - 1),
    m=st.integers(1, 20),
    n=st.integers(1, 20),
    k=st.integers(1, 3),
    exponent=st.integers(-3, 9),
    scrambled=st.booleans(),
)
def test_counted_steps_equal_the_coincidences_of_the_trains(seed, m, n, k, exponent, scrambled):
    x, delta, kappas, settings = random_update(TINY, seed, m, n, k, exponent, scrambled)
    kappas[seed % k] *= seed % 3 > 0
    steps = [np.zeros((-(-n // 8) * -(-m // 8), 8, 8)) for _ in range(k)]
    pulses, coincidences = [0] * k, [0] * k
    for train in UpdatePulses(TINY, x, delta, kappas, **settings).trains():
        tile = train.tile_row * -(-m // 8) + train.tile_column
        steps[train.rank][tile] = train.rows.astype(int).T @ train.columns
        pulses[train.rank] += np.count_nonzero(train.rows) + np.count_nonzero(train.columns)
        coincidences[train.rank] += int(
            np.abs(train.rows.astype(int)).T.dot(np.abs(train.columns)).sum()
        )
    counted = list(UpdatePulses(TINY, x, delta, kappas, **settings).ranks())
    assert [rank.pulses for rank in counted] == pulses
    assert [rank.coincidences for rank in counted] == coincidences
    assert all(np.array_equal(rank.steps, s) for rank, s in zip(counted, steps, strict=True))
    assert [rank.slots == 0 for rank in counted] == [kappa == 0 for kappa in kappas]


@pytest.mark.parametrize("bound", ["_CHUNK", "CHUNK_CELLS"])
@pytest.mark.parametrize("scrambled", [True, False])
def test_counting_in_chunks_changes_nothing(scrambled, bound, monkeypatch):
    x, delta, kappas, settings = random_update(TINY, 8, 20, 30, 2, 6, scrambled)
    update = partial(UpdatePulses, TINY, x, delta, kappas, **settings)
    whole = list(update().ranks())
    monkeypatch.setattr(f"golden_model.pulses.{bound}", {"_CHUNK": 5000, "CHUNK_CELLS": 150}[bound])
    assert max(len(part.steps) for part in update().parts()) < len(whole[0].steps)
    parts = list(update().ranks())
    for one, other in zip(whole, parts, strict=True):
        assert np.array_equal(one.steps, other.steps)
        assert (one.pulses, one.coincidences) == (other.pulses, other.coincidences)


@pytest.mark.parametrize("scrambled", [True, False])
def test_the_mean_update_is_the_product_of_the_factors(scrambled):
    x, delta, kappas, settings = random_update(TINY, 21, 8, 8, 1, 3, scrambled)
    expected = -kappas[0] * np.outer(x[:, 0], delta[:, 0])
    total = np.zeros((8, 8))
    updates = 2000
    for seed in range(updates):
        (rank,) = UpdatePulses(TINY, x, delta, kappas, **(settings | {"seed": seed})).ranks()
        total += rank.steps[0]
    assert np.abs(expected).max() > 0.5
    assert np.abs(total / updates - expected).max() < 0.12


def test_the_seed_alone_decides_the_random_numbers():
    x, delta, kappas, settings = random_update(TINY, 4, 8, 8, 1, 6, False)

    def steps(**changes):
        return next(UpdatePulses(TINY, x, delta, kappas, **(settings | changes)).ranks()).steps

    assert np.array_equal(steps(seed=1), steps(seed=1))
    assert not np.array_equal(steps(seed=1), steps(seed=2))


def test_numbers_of_ranks_that_differ_are_refused():
    with pytest.raises(ValueError, match="x has 2 ranks, delta 1 and kappas 1"):
        UpdatePulses(
            TINY,
            np.zeros((4, 2)),
            np.zeros((4, 1)),
            [0.0],
            slots_min=0,
            slots_max=4,
            scrambled=True,
            seed=0,
        )


def test_phases_take_the_polarities_in_the_documented_order():
    x, delta = np.array([[127.0], [-127.0]]), np.array([[127.0], [-127.0]])
    kappa = scalar.round_scalar(2.0**-12)
    pulses = UpdatePulses(TINY, x, delta, [kappa], slots_min=3, slots_max=3, scrambled=True, seed=1)
    (train,) = pulses.trains()
    rows, columns = (lines.reshape(4, 8, -1) for lines in (train.rows, train.columns))
    # Row polarity is that of x, column polarity the opposite of delta's: docs/updates.md.
    assert [set(np.unique(phase)) - {0} for phase in rows] == [{1}, {-1}, {1}, {-1}]
    assert [set(np.unique(phase)) - {0} for phase in columns] == [{1}, {-1}, {-1}, {1}]
