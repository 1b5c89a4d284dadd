"""Arrays of devices: what is written and what is read, drift's clock, writes, state."""

import numpy as np
import pytest

from golden_model.device_array import DeviceArray
from golden_model.devices import ConstantStep, Population, SoftBounds, Variation
from golden_model.drift import Drift

SHAPE = (3, 4, 5)
ALL = slice(0, 3)


def devices(law=None, variation=None, drift=None, start=100.0, shape=SHAPE, write=0.0, seed=0):
    law, variation = law or ConstantStep(), variation or Variation()
    population = Population.draw(law, variation, 0.0, 256, shape, seed)
    return DeviceArray(population, drift or Drift(), start, shape, seed, write)


def random(seed=0):
    return np.random.default_rng(seed)


def test_pulses_move_some_tiles_and_count_as_writes():
    array = devices()
    steps = np.zeros((1, 4, 5), np.float32)
    steps[0, 1, 2], steps[0, 3, 4] = 7, -3
    assert array.pulse(slice(1, 2), steps, random()) == 0
    assert np.array_equal(array.read(slice(1, 2)), 100 + steps)
    assert np.all(array.read(slice(0, 1)) == 100)
    assert np.array_equal(array.writes[1], np.abs(steps[0]))
    assert array.writes.sum() == 10


def test_pulses_that_move_nothing_are_counted():
    array = devices(start=255.0)
    assert array.pulse(ALL, np.full(SHAPE, 2, np.float32), random()) == 2 * 60
    assert array.pulse(ALL, np.full(SHAPE, -2, np.float32), random()) == 0


def test_programming_ends_at_the_target_or_a_bound_and_is_not_counted():
    array = devices()
    target = np.full(SHAPE, 100, np.float32)
    target[0, 0, 0], target[2, 3, 4] = 90.5, 300
    array.program(ALL, target, random())
    assert np.array_equal(array.read(ALL), np.minimum(target, 255))
    assert array.writes.sum() == 0


def test_a_reset_is_one_write_and_programming_starts_from_the_lowest_conductance():
    array = devices()
    chosen = np.zeros(SHAPE, bool)
    chosen[1] = True
    array.program(ALL, np.full(SHAPE, 30, np.float32), random(), reset=chosen)
    assert np.array_equal(array.read(ALL), np.where(chosen, 30, 100))
    assert np.array_equal(array.writes, np.where(chosen, 31, 0))


def test_write_noise_is_read_until_the_next_write_and_pulses_do_not_see_it():
    """As aihwkit's write_noise_std: the pulses move a hidden conductance, which keeps no noise."""
    shape = (1, 300, 300)
    array, tiles = devices(shape=shape, write=5.0), slice(0, 1)
    assert np.all(array.read(tiles) == 100)
    array.pulse(tiles, np.ones(shape, np.float32), random(1))
    first = array.read(tiles)
    assert np.isclose(first.mean(), 101, atol=0.1)
    assert np.isclose(first.std(), 5, rtol=0.02)
    assert np.array_equal(array.read(tiles), first)
    some = np.zeros(shape, np.float32)
    some[0, :150] = 1
    array.pulse(tiles, some, random(2))
    assert np.array_equal(array.read(tiles)[0, 150:], first[0, 150:])
    again = array.read(tiles)[0, :150]
    assert np.isclose(again.std(), 5, rtol=0.03)  # does not add up
    assert abs(np.corrcoef(again.ravel(), first[0, :150].ravel())[0, 1]) < 0.02


def test_a_write_takes_the_drifted_conductance_and_starts_its_clock_anew():
    drift = Drift(exponent=0.1, start=1.0, interval=1.0)
    array = devices(drift=drift)
    for _ in range(9):
        array.pass_time()
    drifted = 100 * 10**-0.1
    assert np.allclose(array.read(ALL), drifted, rtol=1e-5)
    steps = np.zeros(SHAPE, np.float32)
    steps[0] = 5
    array.pulse(ALL, steps, random())
    assert np.allclose(array.read(ALL)[0], drifted + 5, rtol=1e-5)
    for _ in range(90):
        array.pass_time()
    now = array.read(ALL)
    assert np.allclose(now[0], (drifted + 5) * 91**-0.1, rtol=1e-5)
    assert np.allclose(now[1:], 100 * 100**-0.1, rtol=1e-5)  # as if read for the first time


def test_stuck_devices_neither_drift_nor_have_noise():
    drift = Drift(exponent=0.1, interval=1.0)
    array = devices(variation=Variation(stuck=0.5), drift=drift, write=3.0)
    array.program(ALL, np.full(SHAPE, 50, np.float32), random())
    before = array.read(ALL)
    array.pass_time()
    array.pulse(ALL, np.full(SHAPE, 4, np.float32), random(1))
    stuck = array.read(ALL) == before
    assert 15 < stuck.sum() < 45
    assert len(np.unique(before[stuck])) > 10


@pytest.mark.parametrize("drift", [Drift(), Drift(exponent=0.1, spread=0.02)])
@pytest.mark.parametrize("write", [0.0, 2.0])
def test_a_restored_array_goes_on_to_the_same_bits(drift, write):
    variation = Variation(steps=0.2, cycles=0.3, stuck=0.1)
    steps = random(9).integers(-3, 4, SHAPE).astype(np.float32)

    def updates(array, seeds):
        for seed in seeds:
            array.pulse(ALL, steps, random(seed))
            array.pass_time()

    whole, first, second = (
        devices(SoftBounds(), variation, drift, write=write, seed=4) for _ in range(3)
    )
    updates(whole, range(8))
    updates(first, range(4))
    second.restore(first.state())
    updates(second, range(4, 8))
    assert np.array_equal(second.read(ALL), whole.read(ALL))
    assert np.array_equal(second.writes, whole.writes)
    state = whole.state()
    for name, value in second.state().items():
        assert np.array_equal(value, state[name]), name
