"""Rank-sum updates: unbiased, whatever the gradient's form, and by whole steps."""

import numpy as np
import pytest

from golden_model import rank_sum
from golden_model.arrays import Device, IdealArray, PulsedArray
from golden_model.layers import FullyConnected
from golden_model.parameters import Parameters
from golden_model.rank_sum import device_steps
from golden_model.sbpca import Factors


def factors(m=7, n=12, k=3):
    random = np.random.default_rng(0)
    return Factors(random.normal(size=(m, k)), random.random(k), random.normal(size=(n, k)))


def test_steps_are_the_wanted_ones_rounded_up_or_down_to_whole_numbers():
    wanted = -3.7 * factors().gradient()
    steps = device_steps(factors(), 3.7, 1000, seed=0)
    assert np.array_equal(steps, np.rint(steps))
    assert (np.abs(steps - wanted) < 1).all()
    whole = device_steps(np.array([[2.0, -3.0]]), 1.0, 1000, seed=1)
    assert whole.tolist() == [[-2.0, 3.0]]


def test_the_mean_of_many_updates_is_the_change_however_small():
    wanted = -0.01 * factors().gradient()
    count = 20_000
    mean = sum(device_steps(factors(), 0.01, 1000, seed) for seed in range(count)) / count
    assert np.abs(mean - wanted).max() < 5 * np.sqrt(np.abs(wanted).max() / count)


def test_factors_and_their_product_are_the_same_update():
    whole = device_steps(factors().gradient(), 0.3, 1000, seed=5)
    assert np.array_equal(device_steps(factors(), 0.3, 1000, seed=5), whole)
    assert not np.array_equal(device_steps(factors(), 0.3, 1000, seed=6), whole)


def test_chunks_change_no_bit(monkeypatch):
    whole = device_steps(factors(), 0.3, 1000, seed=5)
    monkeypatch.setattr(rank_sum, "_CHUNK", 30)
    assert np.array_equal(device_steps(factors(), 0.3, 1000, seed=5), whole)


def test_no_cell_is_asked_for_more_steps_than_it_has():
    assert np.abs(device_steps(factors(), 1e12, 63, seed=0)).max() == 63


@pytest.mark.parametrize("gradient", [factors(6, 12), factors(6, 12).gradient()])
def test_a_pulsed_array_descends_as_an_ideal_one_in_the_mean(gradient):
    exact, pulsed = (FullyConnected("f", 6, 11, np.dtype(np.float64)) for _ in range(2))
    array = PulsedArray(Parameters(), pulsed, Device(4096, 4.0), update="rank-sum")
    exact.weights[:] = pulsed.weights
    for seed in range(300):
        IdealArray(exact).descend(gradient, 3e-4, seed)
        counters = array.descend(gradient, 3e-4, seed)
    step = 2 * 4.0 * np.sqrt(2 / 11) / 4095
    assert np.abs(pulsed.weights - exact.weights).max() < 5 * step * np.sqrt(300) / 2
    assert np.abs(exact.weights).max() > 100 * step
    assert counters.pulses == 2 * counters.coincidences
    assert 0 < counters.cell_writes <= min(72, counters.coincidences)


def test_steps_beyond_a_bound_are_counted():
    layer = FullyConnected("f", 2, 3, np.dtype(np.float32))
    array = PulsedArray(Parameters(), layer, Device(11, 1.0), update="rank-sum")
    gradient = np.zeros((2, 4))
    gradient[1, 2] = 1e9  # from state 5 of 0 to 10 down 5, of 11 steps at most
    counters = array.descend(gradient, 1.0, seed=0)
    assert (counters.coincidences, counters.bounded, counters.cell_writes) == (11, 6, 1)


@pytest.mark.parametrize("law", ["soft-bounds", "exponential-step"])
def test_devices_of_any_law_answer_the_steps(law):
    layer = FullyConnected("f", 6, 11, np.dtype(np.float32))
    array = PulsedArray(Parameters(), layer, Device(256, 1.0, law=law), update="rank-sum")
    before = layer.weights.copy()
    array.descend(factors(6, 12), 0.05, seed=0)
    change = layer.weights - before
    moved = np.abs(change) > 1e-4
    assert moved.any()
    assert (np.sign(change) == -np.sign(factors(6, 12).gradient()))[moved].all()
