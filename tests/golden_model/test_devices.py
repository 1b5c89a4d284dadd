"""Update laws: many pulses do what single ones do, bounds hold, spread is what was asked for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden_model.devices import (
    Cells,
    ConstantStep,
    DeviceError,
    ExponentialStep,
    LinearStep,
    Population,
    SoftBounds,
    Variation,
)

LAWS = [ConstantStep(), LinearStep(0.3, 0.8), SoftBounds(), ExponentialStep()]
TOP = 255
CELLS = Cells(0.0, float(TOP), 1.0, 1.0)


def array(values):
    return np.array(values, dtype=np.float32)


@pytest.mark.parametrize("law", LAWS)
@given(
    start=st.floats(0, TOP, width=32),
    steps=st.integers(-300, 300),
    up=st.floats(0.25, 4),
    down=st.floats(0.25, 4),
)
def test_many_pulses_do_what_single_ones_do(law, start, steps, up, down):
    cells = Cells(0.0, float(TOP), up, down)
    at_once = law.pulsed(array([start]), array([steps]), cells)
    one_by_one = array([start]).astype(np.float64)
    for _ in range(abs(steps)):
        one_by_one = law.pulsed(one_by_one, array([np.sign(steps)]), cells)
    assert np.allclose(at_once, one_by_one, atol=0.02)


@pytest.mark.parametrize("law", LAWS)
@given(start=st.floats(0, TOP, width=32), steps=st.integers(-1000, 1000))
def test_conductances_move_their_way_within_the_bounds(law, start, steps):
    (moved,) = law.pulsed(array([start]), array([steps]), CELLS)
    assert 0 <= moved <= TOP
    assert (moved - np.float32(start)) * steps >= 0
    assert steps or moved == np.float32(start)


@pytest.mark.parametrize("law", LAWS[:3])
def test_a_step_in_the_middle_is_one(law):
    moved = law.pulsed(array([TOP / 2] * 2), array([1, -1]), CELLS)
    assert np.allclose(moved - TOP / 2, [1, -1])


def test_linear_steps_fall_to_what_the_slope_leaves_at_the_bound():
    law = LinearStep(0.25, 0.75)
    near = law.pulsed(array([TOP - 2, 2]), array([1, -1]), CELLS)
    assert np.allclose(near - array([TOP - 2, 2]), [0.75, -0.25], atol=0.02)


def test_soft_bounds_approach_their_bound_exponentially():
    counts = np.arange(0, 400, 50)
    moved = SoftBounds().pulsed(np.zeros(len(counts), np.float32), array(counts), CELLS)
    assert np.allclose(moved, TOP * (1 - (1 - 2 / TOP) ** counts), atol=0.01)


def test_an_exponential_step_is_that_of_the_formula():
    law = ExponentialStep()
    moved = law.pulsed(array([TOP / 2] * 2), array([1, -1]), CELLS)
    rise = 1 - 0.00081 * np.exp(12.44625 * 0.2425)
    fall = 1 - 0.36833 * np.exp(-12.78785 * 0.2425)
    assert np.allclose(moved - TOP / 2, [rise, -fall], atol=1e-4)


def test_cells_have_bounds_and_steps_of_their_own():
    cells = Cells(array([10, 0]), array([20, TOP]), array([1, 2]), array([1, 1]))
    assert ConstantStep().pulsed(array([19, 100]), array([3, 3]), cells).tolist() == [20, 106]
    soft = SoftBounds().pulsed(array([15, TOP / 2]), array([1, 1]), cells)
    assert np.allclose(soft, [16, TOP / 2 + 2], atol=1e-4)


def test_variation_spreads_steps_bounds_and_asymmetry():
    variation = Variation(steps=0.1, asymmetry=0.05, bounds=0.02, stuck=0.03)
    cells, stuck_at = variation.cells(256, 0.2, (200, 500), seed=1)
    size, tilt = (cells.up + cells.down) / 2, (cells.up - cells.down) / (cells.up + cells.down)
    assert np.isclose(size.mean(), 1, atol=0.002)
    assert np.isclose(size.std(), 0.1, rtol=0.02)
    assert np.isclose(tilt.mean(), 0.2, atol=0.002)
    assert np.isclose(tilt.std(), 0.05, rtol=0.02)
    assert np.isclose(cells.low.std(), 0.02 * TOP, rtol=0.02)
    assert np.isclose(cells.high.mean(), TOP, rtol=0.001)
    stuck = stuck_at[~np.isnan(stuck_at)]
    assert np.isclose(len(stuck) / stuck_at.size, 0.03, rtol=0.1)
    assert np.isclose(stuck.mean(), TOP / 2, rtol=0.05)  # anywhere


def test_the_same_seed_gives_the_same_devices_and_another_seed_others():
    variation = Variation(steps=0.1)
    first, again, other = (variation.cells(256, 0.0, (8, 8), seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(first.up, again.up)
    assert not np.array_equal(first.up, other.up)


def test_devices_without_variation_are_all_alike():
    cells, stuck_at = Variation().cells(256, 0.0, (3, 3), seed=0)
    for name, value in (("low", 0), ("high", TOP), ("up", 1), ("down", 1)):
        assert np.all(getattr(cells, name) == value)
    assert np.isnan(stuck_at).all()


@pytest.mark.parametrize("count", [1, 16])
def test_noise_of_many_pulses_grows_with_the_root_of_their_number(count):
    start, steps = np.full(100_000, 100, np.float32), np.full(100_000, count, np.float32)
    devices = Population(ConstantStep(), CELLS, np.full(100_000, np.nan), cycles=0.3)
    moved = devices.pulsed(start, steps, np.random.default_rng(0)) - start
    assert np.isclose(moved.mean(), count, rtol=0.01)
    assert np.isclose(moved.std(), 0.3 * np.sqrt(count), rtol=0.02)


def test_a_device_without_pulses_has_no_noise():
    start = array([5, 6, 7])
    devices = Population(SoftBounds(), CELLS, np.full(3, np.nan), cycles=0.3)
    moved = devices.pulsed(start, array([0, 0, 0]), np.random.default_rng(0))
    assert np.array_equal(moved, start)


def test_stuck_devices_never_move():
    devices = Population.draw(ConstantStep(), Variation(stuck=0.5), 0.0, 256, (20, 20), seed=0)
    start = devices.programmed(np.full((20, 20), 100, np.float32))
    moved = devices.pulsed(start, np.full((20, 20), 7, np.float32), np.random.default_rng(0))
    stuck = ~np.isnan(devices.stuck_at)
    assert np.array_equal(moved, np.where(stuck, devices.stuck_at, 107).astype(np.float32))
    assert 100 < stuck.sum() < 300


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LinearStep(slope_up=1.5), r"LinearStep: slope_up = 1.5 must be from 0 to 1"),
        (lambda: SoftBounds(slope_down=np.nan), "SoftBounds: slope_down = nan"),
        (lambda: Variation(stuck=-0.1), "Variation: stuck = -0.1 must be from 0 to 1"),
        (lambda: ExponentialStep(rate_up=1e9), "ExponentialStep: rate_up"),
    ],
)
def test_parameters_outside_their_range_are_refused(make, message):
    with pytest.raises(DeviceError, match=message):
        make()
