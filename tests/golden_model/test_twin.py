"""The integer twin of a crossbar: laws, bounds, spread, stuck cells, and many pulses at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden_model.crossbar import CrossbarTile
from golden_model.devices import Cells, SoftBounds
from golden_model.parameters import Parameters
from golden_model.pulses import UpdatePulses
from golden_model.reads import Reads, ReadSpec
from golden_model.twin import (
    NORMAL_DEVIATION,
    Law,
    TwinArray,
    TwinError,
    TwinSpec,
    approximate_normal,
    round_shift,
)

LAWS = st.sampled_from(Law)


def spec_of(law, **changes):
    return TwinSpec(**{"rows": 4, "columns": 6, "cells_per_cycle": 2, "law": law, **changes})


def random_lines(random, count):
    return random.integers(-1, 2, count)


def spread(array, random):
    """Ups, downs, conductances and a stuck map over all their values."""
    spec = array.spec
    array.program(random.integers(0, spec.top, array.conductance.shape, endpoint=True))
    if spec.step_bits:
        array.up[:] = random.integers(1, 1 << spec.step_bits, array.up.shape)
        array.down[:] = random.integers(1, 1 << spec.step_bits, array.down.shape)
    array.stick(random.random(array.stuck.shape) < 0.1)


@given(seed=st.integers(0, 2**32 - 1), states=st.integers(2, 40), fraction_bits=st.integers(0, 9))
def test_ideal_cells_equal_the_ideal_tile(seed, states, fraction_bits):
    random = np.random.default_rng(seed)
    array = TwinArray(spec_of(Law.IDEAL, states=states, fraction_bits=fraction_bits))
    start = random.integers(0, states, (4, 6))
    array.program(start[None] << fraction_bits)
    tile = CrossbarTile(start.astype(np.float32), states)
    for _ in range(20):
        rows, columns = random_lines(random, 4), random_lines(random, 6)
        array.apply(0, 0, rows, columns)
        tile.apply(rows > 0, rows < 0, columns > 0, columns < 0)
        assert np.array_equal(array.conductance[0], tile.conductance * array.spec.unit)


def test_a_constant_step_is_the_cells_own_up_to_the_bounds():
    array = TwinArray(spec_of(Law.CONSTANT_STEP, rows=1, columns=2, states=4, fraction_bits=4))
    array.up[:], array.down[:] = [[[10, 3]]], [[[7, 20]]]
    positions = []
    for polarity in (1, 1, -1, -1, -1):
        array.apply(0, 0, [1], [polarity, polarity])
        positions.append(array.conductance[0, 0].tolist())
    assert positions == [[42, 35], [48, 38], [41, 18], [34, 0], [27, 0]]


@given(st.integers(0, 2**20), st.integers(0, 12))
def test_shifts_round_half_to_even(value, bits):
    assert round_shift(np.array(value), bits) == round(value / 2**bits)
    assert round_shift(np.array(-value), bits) == round(-value / 2**bits)


@given(
    seed=st.integers(0, 2**32 - 1),
    states=st.integers(3, 120),
    more=st.integers(0, 2),
    upward=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_soft_bounds_follow_the_law_in_real_numbers(seed, states, more, upward):
    """Pulse after pulse one way, the rounded cells stay within half a rounding over the factor.

    A pulse brings two cells nearer by the factor 1 - up / 2**shift, and a rounding parts them by
    half a unit at most.
    """
    fraction_bits = (states - 2).bit_length() + more
    spec = spec_of(Law.SOFT_BOUNDS, states=states, fraction_bits=fraction_bits)
    array = TwinArray(spec)
    array.program(np.random.default_rng(seed).integers(0, spec.top, array.conductance.shape))
    start = array.conductance / spec.unit
    share = spec.nominal_step / 2**spec.shift
    step = share * (states - 1) / 2
    cells = Cells(low=0.0, high=states - 1.0, up=step, down=step)
    sign = 1 if upward else -1
    every = 1 + states // 8
    for count in range(every, 3 * states, every):
        array.pulse(np.full(array.conductance.shape, sign * every))
        exact = SoftBounds().pulsed(start, np.full(start.shape, sign * count), cells)
        error = np.abs(array.conductance - exact * spec.unit).max()
        assert error <= 0.5 / share + 1e-4 * spec.top


@pytest.mark.parametrize("states", [3, 16, 200, 256, 512])
def test_small_steps_do_not_stall_before_half_a_step_from_the_bound(states):
    """At the fewest fraction bits that are allowed; slow cells stall as much earlier."""
    fewest = max(1, (states - 2).bit_length() - 1)
    spec = spec_of(Law.SOFT_BOUNDS, states=states, fraction_bits=fewest)
    assert spec.stall <= 0.5
    for polarity, bound in ((1, spec.top), (-1, 0)):
        array = TwinArray(spec)
        slow = max(1, spec.nominal_step // 4)
        array.up[0, 1], array.down[0, 1] = slow, slow
        array.pulse(np.full(array.conductance.shape, polarity * 20 * states))
        distance = np.abs(array.conductance[0, :2, 0] - bound) / spec.unit
        assert distance[0] <= spec.stall
        assert distance[1] <= spec.stall * spec.nominal_step / slow


@given(
    law=LAWS,
    seed=st.integers(0, 2**32 - 1),
    m=st.integers(1, 20),
    n=st.integers(1, 20),
    scrambled=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_many_pulses_at_once_equal_slot_by_slot(law, seed, m, n, scrambled):
    parameters = Parameters.preset("tiny")
    random = np.random.default_rng(seed)
    spec = TwinSpec(
        rows=parameters.tile_rows,
        columns=parameters.tile_columns,
        grid_rows=-(-n // parameters.tile_rows),
        grid_columns=-(-m // parameters.tile_columns),
        states=40,
        law=law,
    )
    counted, pulsed = TwinArray(spec), TwinArray(spec)
    for array in (counted, pulsed):
        spread(array, np.random.default_rng(seed))
    x = random.integers(-128, 127, (n, 2), endpoint=True).astype(np.float64)
    delta = random.integers(-128, 127, (m, 2), endpoint=True).astype(np.float64)
    update = (parameters, x, delta, [9 / 2**14, 3 / 2**14])
    options = {"slots_min": 1, "slots_max": 5, "scrambled": scrambled, "seed": seed}
    for rank in UpdatePulses(*update, **options).ranks():
        counted.pulse(rank.steps)
    for train in UpdatePulses(*update, **options).trains():
        for row, column in zip(train.rows, train.columns, strict=True):
            pulsed.apply(train.tile_row, train.tile_column, row, column)
    assert np.array_equal(counted.conductance, pulsed.conductance)


@given(law=LAWS, seed=st.integers(0, 2**32 - 1))
def test_conductances_keep_their_bounds_and_stuck_cells_their_place(law, seed):
    random = np.random.default_rng(seed)
    array = TwinArray(spec_of(law, states=5))
    spread(array, random)
    start = array.conductance.copy()
    for _ in range(30):
        array.apply(0, 0, random_lines(random, 4), random_lines(random, 6))
        assert array.conductance.min() >= 0
        assert array.conductance.max() <= array.spec.top
    array.program(np.zeros_like(start))
    assert np.array_equal(array.conductance[array.stuck], start[array.stuck])
    assert not array.conductance[~array.stuck].any()


def test_slots_reach_the_tile_that_they_name():
    array = TwinArray(spec_of(Law.IDEAL, grid_rows=2, grid_columns=3))
    array.apply(1, 2, [1] * 4, [-1] * 6)
    changed = array.conductance != array.spec.middle
    assert np.argwhere(changed.any(axis=(1, 2))).tolist() == [[5]]


@pytest.mark.parametrize("law", [Law.CONSTANT_STEP, Law.SOFT_BOUNDS])
def test_drawn_cells_have_the_spread_that_is_asked_for(law):
    spec = TwinSpec(
        rows=64, columns=64, law=law, asymmetry=0.1, step_spread=0.2, asymmetry_spread=0.05
    )
    array = TwinArray(spec)
    array.draw(1)
    mean, difference = (array.up + array.down) / 2, (array.up - array.down) / 2
    assert mean.mean() == pytest.approx(spec.nominal_step, rel=0.01)
    assert mean.std() == pytest.approx(0.2 * spec.nominal_step, rel=0.05)
    assert difference.mean() == pytest.approx(0.1 * spec.nominal_step, rel=0.03)
    assert difference.std() == pytest.approx(0.05 * spec.nominal_step, rel=0.05)
    again = TwinArray(spec)
    again.draw(1)
    assert np.array_equal(again.up, array.up)
    again.draw(2)
    assert abs(np.corrcoef(again.up.ravel(), array.up.ravel())[0, 1]) < 0.05


def test_neighbouring_cells_and_seeds_are_unrelated():
    spec = TwinSpec(rows=64, columns=64, law=Law.CONSTANT_STEP, step_spread=0.2)
    first, second = TwinArray(spec), TwinArray(spec)
    first.draw(7)
    second.draw(8)
    ups = first.up[0]
    for left, right in (
        (ups[:, 1:], ups[:, :-1]),
        (ups[1:], ups[:-1]),
        (ups, second.up[0]),
    ):
        assert abs(np.corrcoef(left.ravel(), right.ravel())[0, 1]) < 0.05


def test_the_sum_of_bytes_is_nearly_normal():
    words = np.random.default_rng(0).integers(0, 2**32, 20_000)
    draws = np.array([approximate_normal(int(word)) for word in words])
    assert abs(draws.mean()) < 4
    assert draws.std() == pytest.approx(NORMAL_DEVIATION, rel=0.02)
    assert (approximate_normal(0), approximate_normal(2**32 - 1)) == (-510, 510)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": 0}, "rows = 0 must be an integer from 1 to 1024"),
        ({"states": True}, "states = True must be an integer"),
        ({"cells_per_cycle": 3}, "power of two that divides columns = 6"),
        ({"cells_per_cycle": 4}, "power of two that divides columns = 6"),
        ({"states": 4096, "fraction_bits": 7}, "conductances of 19 bits, at most 18"),
        ({"adcs": 6}, "adcs = 6 must be a power of two"),
        ({"adc_bits": 1}, "adc_bits = 1 must be an integer from 2 to 24"),
        ({"dac_bits": 17}, "dac_bits = 17 must be an integer from 2 to 16"),
        ({"step_spread": 0.1}, "ideal devices are all alike"),
        ({"law": Law.CONSTANT_STEP, "fraction_bits": 0}, "no steps but whole ones"),
        ({"law": Law.CONSTANT_STEP, "step_spread": -0.1}, "step_spread = -0.1 must be from 0 to"),
        ({"law": Law.SOFT_BOUNDS, "fraction_bits": 6}, "at least 7 bits, or fewer states"),
    ],
)
def test_impossible_twins_are_refused(changes, message):
    with pytest.raises(TwinError, match=message):
        spec_of(**({"law": Law.IDEAL} | changes))


@given(
    seed=st.integers(0, 2**32 - 1),
    law=LAWS,
    transposed=st.booleans(),
    resolution=st.integers(2, 12),
    dac_bits=st.integers(2, 8),
    fraction_bits=st.integers(6, 9),
)
@settings(deadline=None, max_examples=50)
def test_conversions_of_all_tiles_make_a_read(
    seed, law, transposed, resolution, dac_bits, fraction_bits
):
    """Codes of tiles, added along the driven lines, are what `ReadSpec` reads of all cells."""
    random = np.random.default_rng(seed)
    spec = spec_of(law, grid_rows=3, grid_columns=2, states=30, fraction_bits=fraction_bits)
    array = TwinArray(spec)
    spread(array, random)
    by_tile = array.cells.reshape(3, 2, 4, 6)
    cells = by_tile.transpose(0, 2, 1, 3).reshape(12, 12).astype(np.float64)
    cells = cells.T if transposed else cells  # 12 driven lines by 12 sensed ones
    driven_tiles, sensed_tiles = (2, 3) if transposed else (3, 2)

    reads = Reads(mode="analog", dac_bits=dac_bits, adc_bits=resolution, output_bound=0.5)
    golden = ReadSpec(reads, 12 // driven_tiles, spec.top)
    codes, *_ = golden.quantise(random.normal(size=(1, 12)))
    expected, saturations, _ = golden.read(cells.astype(golden.dtype), codes)

    sums, limited = np.zeros((sensed_tiles, 12 // sensed_tiles)), 0
    for driven, drive in enumerate(codes.reshape(driven_tiles, -1)):
        for sensed in range(sensed_tiles):
            tile = (sensed, driven) if transposed else (driven, sensed)
            code, beyond = array.read(
                *tile,
                drive,
                transposed=transposed,
                sensed=12 // sensed_tiles,
                resolution=resolution,
                shift=golden.shift,
            )
            sums[sensed] += code
            limited += np.count_nonzero(beyond)
    assert np.array_equal(sums.ravel(), expected[0])
    assert limited == saturations.adc


def test_a_read_leaves_the_cells_and_senses_the_first_lines():
    array = TwinArray(spec_of(Law.IDEAL))
    spread(array, np.random.default_rng(1))
    before = array.conductance.copy()
    every = {"transposed": False, "resolution": 12, "shift": 5}
    codes, _ = array.read(0, 0, [9, 0, -127, 3], sensed=6, **every)
    first, _ = array.read(0, 0, [9, 0, -127, 3], sensed=2, **every)
    assert first.tolist() == codes[:2].tolist()
    assert np.array_equal(array.conductance, before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"drive": [0, 128, 0, 0]}, "a drive of 128 slots: at most 127 with dac_bits = 8"),
        ({"sensed": 7}, "sensed = 7 must be from 0 to 6"),
        ({"resolution": 13}, "resolution = 13 must be from 2 to 12"),
        ({"shift": 32}, "shift = 32 must be from 0 to 31"),
    ],
)
def test_what_the_hardware_cannot_read_is_refused(change, message):
    request = {"drive": np.ones(4), "transposed": False, "sensed": 6, "resolution": 8, "shift": 0}
    with pytest.raises(TwinError, match=message):
        TwinArray(spec_of(Law.IDEAL)).read(0, 0, **{**request, **change})
