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
    symmetry_point,
)

LAWS = [
    ConstantStep(),
    LinearStep(0.3, 0.8),
    SoftBounds(),
    ExponentialStep(),
    LinearStep(0.6, -0.5),
    ExponentialStep(-1.2, -0.08, 5.0, 5.0, -0.5, -0.5),
]
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
    variation = Variation(steps=0.1, asymmetry=0.05, low=0.02, high=0.05, stuck=0.03)
    cells = variation.cells(256, 0.2, (200, 500), seed=1)
    size, tilt = (cells.up + cells.down) / 2, (cells.up - cells.down) / (cells.up + cells.down)
    assert np.isclose(size.mean(), 1, atol=0.002)
    assert np.isclose(size.std(), 0.1, rtol=0.02)
    assert np.isclose(tilt.mean(), 0.2, atol=0.002)
    assert np.isclose(tilt.std(), 0.05, rtol=0.02)
    assert np.isclose(cells.low.std(), 0.02 * TOP, rtol=0.02)
    assert np.isclose(cells.high.mean(), TOP, rtol=0.001)
    assert np.isclose(cells.high.std(), 0.05 * TOP, rtol=0.02)
    stuck_at = variation.stuck_at(256, (200, 500), seed=1)
    stuck = stuck_at[~np.isnan(stuck_at)]
    assert np.isclose(len(stuck) / stuck_at.size, 0.03, rtol=0.1)
    assert np.isclose(stuck.mean(), TOP / 2, rtol=0.05)  # anywhere


def test_the_same_seed_gives_the_same_devices_and_another_seed_others():
    variation = Variation(steps=0.1)
    first, again, other = (variation.cells(256, 0.0, (8, 8), seed) for seed in (1, 1, 2))
    assert np.array_equal(first.up, again.up)
    assert not np.array_equal(first.up, other.up)


def test_a_spread_is_the_same_whichever_others_there_are():
    alone, together = Variation(high=0.1), Variation(steps=0.3, low=0.2, high=0.1, stuck=0.5)
    first, second = (spread.cells(256, 0.0, (8, 8), seed=3) for spread in (alone, together))
    assert np.array_equal(first.high, second.high)


def test_devices_without_variation_are_one_number_for_all():
    assert Variation().cells(256, 0.0, (3, 3), seed=0) == Cells(0.0, float(TOP), 1.0, 1.0)
    assert Variation().stuck_at(256, (3, 3), seed=0) is None


@pytest.mark.parametrize("count", [1, 16])
def test_noise_of_many_pulses_grows_with_the_root_of_their_number(count):
    start, steps = np.full(100_000, 100, np.float32), np.full(100_000, count, np.float32)
    devices = Population(ConstantStep(), CELLS, TOP, cycles=0.3)
    moved = devices.pulsed(start, steps, np.random.default_rng(0)) - start
    assert np.isclose(moved.mean(), count, rtol=0.01)
    assert np.isclose(moved.std(), 0.3 * np.sqrt(count), rtol=0.02)


def test_noise_drawn_at_once_is_that_of_single_noisy_pulses():
    random, start = np.random.default_rng(0), np.full(100_000, 60, np.float32)
    devices = Population(SoftBounds(), CELLS, TOP, cycles=0.3, additive=0.5)
    at_once = devices.pulsed(start, np.full_like(start, 20), random)
    one_by_one = start
    for _ in range(20):
        one_by_one = devices.pulsed(one_by_one, np.ones_like(start), random)
    assert np.isclose(at_once.mean(), one_by_one.mean(), atol=0.05)
    # Later pulses pull the noise of the earlier ones in: (1 - 2 / 255)**20 at most.
    assert np.isclose(at_once.std(), one_by_one.std(), rtol=0.1)


@pytest.mark.parametrize("start", [5, 100, 250])
def test_additive_noise_is_the_same_anywhere_in_the_range(start):
    """NeuroSim's cycle-to-cycle variation: sigma times the root of the number of pulses."""
    start = np.full(100_000, start, np.float32)
    devices = Population(ConstantStep(), Cells(-500.0, 500.0, 1.0, 1.0), TOP, additive=2.0)
    moved = devices.pulsed(start, np.full_like(start, 9), np.random.default_rng(0)) - start
    assert np.isclose(moved.std(), 2 * np.sqrt(9), rtol=0.02)


def test_additive_noise_is_stated_as_a_share_of_the_range():
    devices = Population.draw(ConstantStep(), Variation(additive=0.01), 0.0, 256, (2, 2), seed=0)
    assert devices.additive == 0.01 * TOP


@pytest.mark.parametrize("noise", [{"cycles": 0.3}, {"additive": 2.0}])
def test_a_device_without_pulses_has_no_noise(noise):
    start = array([5, 6, 7])
    devices = Population(SoftBounds(), CELLS, TOP, **noise)
    moved = devices.pulsed(start, array([0, 0, 0]), np.random.default_rng(0))
    assert np.array_equal(moved, start)


def test_stuck_devices_never_move():
    devices = Population.draw(ConstantStep(), Variation(stuck=0.5), 0.0, 256, (20, 20), seed=0)
    start = devices.programmed(np.full((20, 20), 100, np.float32))
    moved = devices.pulsed(start, np.full((20, 20), 7, np.float32), np.random.default_rng(0))
    stuck = ~np.isnan(devices.stuck_at)
    assert np.array_equal(moved, np.where(stuck, devices.stuck_at, 107).astype(np.float32))
    assert 100 < stuck.sum() < 300


def test_a_train_ends_at_the_nearest_state():
    devices = Population(SoftBounds(), CELLS, TOP, rounding="nearest")
    start, steps = array([40, 40, 40, 250]), array([0, 3, -3, 1])
    moved = devices.pulsed(start, steps, np.random.default_rng(0))
    exact = SoftBounds().pulsed(start, steps, CELLS)
    assert np.array_equal(moved, np.rint(exact))
    assert moved[3] == 250  # a step below half a state is lost


def test_a_train_ends_at_either_state_such_that_the_mean_stays():
    devices = Population(SoftBounds(), CELLS, TOP, rounding="stochastic")
    start = np.full(100_000, 250, np.float32)
    moved = devices.pulsed(start, np.ones_like(start), np.random.default_rng(0))
    (exact,) = SoftBounds().pulsed(start[:1], np.ones(1), CELLS)
    assert set(moved) == {250, 251}
    assert np.isclose(moved.mean(), exact, atol=0.005)


@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
def test_states_lie_within_a_devices_own_bounds(rounding):
    cells = Cells(array([2.5, 0]), array([20.5, 10]), array([1.5, 1]), array([1.5, 1]))
    devices = Population(ConstantStep(), cells, TOP, rounding=rounding)
    random = np.random.default_rng(0)
    assert devices.pulsed(array([18, 5]), array([9, 9]), random).tolist() == [20, 10]
    assert devices.pulsed(array([5, 5]), array([-9, -9]), random).tolist() == [3, 0]


def test_a_part_of_the_devices_moves_as_in_the_whole():
    variation = Variation(steps=0.2, asymmetry=0.1, low=0.1, high=0.1, stuck=0.2)
    devices = Population.draw(SoftBounds(), variation, 0.0, 256, (4, 5, 6), seed=0)
    start = np.random.default_rng(1).uniform(0, TOP, (4, 5, 6)).astype(np.float32)
    steps = np.full_like(start, 3)
    whole = devices.pulsed(start, steps, np.random.default_rng(0))
    part = devices.part(slice(1, 3)).pulsed(start[1:3], steps[1:3], np.random.default_rng(0))
    assert np.array_equal(part, whole[1:3])


@pytest.mark.parametrize("law", LAWS)
def test_sizes_are_those_of_single_pulses(law):
    start = np.linspace(10, TOP - 10, 30, dtype=np.float32)
    cells = Cells(0.0, float(TOP), 1.2, 0.7)
    rise, fall = law.sizes(start, cells)
    one = np.ones_like(start)
    assert np.allclose(law.pulsed(start, one, cells) - start, rise, atol=1e-3)
    assert np.allclose(start - law.pulsed(start, -one, cells), fall, atol=1e-3)


@pytest.mark.parametrize("law", LAWS[1:4])
def test_pulses_of_both_polarities_in_turn_lead_to_the_symmetry_point(law):
    """Zero-shifting (Kim et al. 2019) finds it that way."""
    cells = Cells(array([0, 10]), array([TOP, 200]), array([0.6, 1.2]), array([0.5, 1.0]))
    point = symmetry_point(law, cells, (2,))
    moved = array([TOP / 2, 100])
    for _ in range(3000):
        for step in (1, -1):
            moved = law.pulsed(moved, array([step, step]), cells)
    assert np.allclose(moved, point, atol=1)  # within the pair of pulses


@pytest.mark.parametrize(("up", "down", "point"), [(1, 1, TOP / 2), (1.1, 1, TOP), (1, 1.1, 0)])
def test_constant_steps_are_symmetric_everywhere_or_at_a_bound(up, down, point):
    cells = Cells(0.0, float(TOP), up, down)
    assert np.allclose(symmetry_point(ConstantStep(), cells, (3,)), point, atol=0.01)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LinearStep(slope_up=1.5), r"LinearStep: slope_up = 1.5 must be from -1 to 1"),
        (lambda: SoftBounds(slope_down=np.nan), "SoftBounds: slope_down = nan"),
        (lambda: Variation(stuck=-0.1), "Variation: stuck = -0.1 must be from 0 to 1"),
        (lambda: Variation(cycles=11), "Variation: cycles = 11 must be from 0 to 10"),
        (lambda: Variation(write=2), "Variation: write = 2 must be from 0 to 1"),
        (lambda: ExponentialStep(rate_up=1e9), "ExponentialStep: rate_up"),
    ],
)
def test_parameters_outside_their_range_are_refused(make, message):
    with pytest.raises(DeviceError, match=message):
        make()
