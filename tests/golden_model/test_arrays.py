"""Arrays: exact descent in float, and descent by pulses in a crossbar."""

import numpy as np
import pytest

from golden_model.arrays import Device, IdealArray, PulsedArray, UpdateCounters
from golden_model.crossbar import Writes
from golden_model.device_presets import PRESETS
from golden_model.devices import (
    DeviceError,
    ExponentialStep,
    LinearStep,
    SoftBounds,
    Variation,
)
from golden_model.layers import FullyConnected
from golden_model.optimizers import FixedOptimizer, LayerPlan, Samples
from golden_model.parameters import Parameters
from golden_model.sbpca import Factors

PARAMETERS = Parameters.preset("default")


def layer(m=6, inputs=11):
    result = FullyConnected("f", m, inputs, np.dtype(np.float32))
    result.initialise(np.random.default_rng(0))
    return result


def word_factors(m=6, n=12, images=5):
    random = np.random.default_rng(1)
    optimizer = FixedOptimizer(PARAMETERS, [LayerPlan("f", m, n, 1, 3, 2)], 0)
    errors, activations = random.standard_normal((images, m)), random.random((images, n))
    return optimizer.gradient(0, Samples(activations, errors, images))


def test_an_ideal_array_subtracts_the_rate_times_the_gradient():
    weights = layer()
    before, gradient = weights.weights.copy(), np.ones((6, 12))
    assert IdealArray(weights).descend(gradient, 0.25, seed=0) == UpdateCounters()
    assert np.allclose(weights.weights, before - 0.25)


def test_an_ideal_array_applies_factors_exactly():
    weights, random = layer(), np.random.default_rng(0)
    before = weights.weights.copy()
    factors = Factors(random.random((6, 2)), np.array([3.0, 0.5]), random.random((12, 2)))
    IdealArray(weights).descend(factors, 0.1, seed=0)
    assert np.allclose(weights.weights, before - 0.1 * factors.gradient(), atol=1e-6)


def test_a_pulsed_array_computes_with_the_nearest_states_of_its_devices():
    weights, device = layer(), Device(states=101, weight_range=4.0)
    before = weights.weights.copy()
    PulsedArray(PARAMETERS, weights, device)
    limit = 4 * np.sqrt(2 / 11)
    step = 2 * limit / 100
    assert np.abs(weights.weights - before).max() <= 0.501 * step
    states = (weights.weights + limit) / step
    assert np.allclose(states, np.rint(states), atol=1e-3)


@pytest.mark.parametrize("scrambled", [True, False])
def test_pulses_descend_on_average_by_the_rate_times_the_gradient(scrambled):
    factors, rate, updates = word_factors(), 0.02, 200
    weights = layer()
    array = PulsedArray(PARAMETERS, weights, Device(1 << 16, 1000.0, scrambled))
    before, counters = weights.weights.astype(np.float64), UpdateCounters()
    for seed in range(updates):
        counters.add(array.descend(factors, rate, seed))
    change = (weights.weights - before) / updates
    expected = -rate * factors.gradient()
    assert np.linalg.norm(change - expected) < 0.1 * np.linalg.norm(expected)
    assert counters.pulses > counters.coincidences > 0
    assert counters.clips == counters.bounded == 0


def test_an_update_takes_the_least_slots_that_are_asked_for():
    """More slots make more pulses, not more steps."""
    few, many = (
        PulsedArray(PARAMETERS, layer(), Device(1 << 16, 1000.0, min_slots=slots)).descend(
            word_factors(), 1e-4, seed=0
        )
        for slots in (1, 64)
    )
    assert many.pulses > 10 * few.pulses


@pytest.mark.parametrize("slots", [0, 3, -4])
def test_the_least_slots_are_a_power_of_two(slots):
    with pytest.raises(DeviceError, match=f"min_slots = {slots} must be a power of two"):
        Device(min_slots=slots)


def test_a_device_at_its_bound_stays_there_and_is_counted():
    weights = layer()
    array = PulsedArray(PARAMETERS, weights, Device(4, 0.1))
    report = array.descend(word_factors(), 10.0, seed=0)
    assert report.bounded > 0
    assert np.abs(weights.weights).max() <= 0.1001 * np.sqrt(2 / 11)


def test_no_driver_applies_a_whole_gradient():
    array = PulsedArray(PARAMETERS, layer(), Device())
    with pytest.raises(TypeError, match="not by ndarray"):
        array.descend(np.ones((6, 12)), 0.1, seed=0)


@pytest.mark.parametrize(
    "make", [IdealArray, lambda weights: PulsedArray(PARAMETERS, weights, Device())]
)
def test_a_restored_array_has_the_same_weights(make):
    first, second = layer(), layer()
    array = make(first)
    array.descend(word_factors(), 0.1, seed=3)
    make(second).restore(array.state())
    assert np.array_equal(first.weights, second.weights)


def test_devices_that_are_not_ideal_follow_their_law():
    """Towards the bound soft bounds move less than ideal devices do, away from it more."""
    changes = {}
    for law in ("ideal", "constant-step", "soft-bounds"):
        weights = layer()
        weights.weights[:] = 0.5
        array = PulsedArray(PARAMETERS, weights, Device(1024, 1.0, law=law))
        before = weights.weights.copy()
        array.descend(word_factors(), 0.05, seed=3)
        changes[law] = weights.weights - before
    assert np.allclose(changes["constant-step"], changes["ideal"], atol=1e-6)
    smaller = np.abs(changes["soft-bounds"]) < np.abs(changes["ideal"])
    moved = np.abs(changes["ideal"]) > 0.005
    assert np.array_equal(smaller[moved], changes["ideal"][moved] > 0)


def test_law_parameters_are_settings():
    laws = [
        Device(law="linear-step", linear=LinearStep(0.1, 0.2)).update_law,
        Device(law="exponential-step").update_law,
        Device(law="soft-bounds").update_law,
    ]
    assert laws == [LinearStep(0.1, 0.2), ExponentialStep(), SoftBounds()]


@pytest.mark.parametrize("name", PRESETS)
def test_published_devices_descend(name):
    """On average, if slowly or in large steps; see docs/devices.md."""
    factors, weights = word_factors(), layer()
    array = PulsedArray(PARAMETERS, weights, Device.preset(name))
    before = weights.weights.copy()
    for seed in range(60):
        array.descend(factors, 0.05, seed)
    change, expected = weights.weights - before, -factors.gradient()
    cosine = np.vdot(change, expected) / np.linalg.norm(change) / np.linalg.norm(expected)
    assert cosine > 0.2
    assert array.writes.worst >= 1


@pytest.mark.parametrize("name", PRESETS)
def test_published_devices_go_on_from_a_checkpoint_to_the_same_bits(name):
    weights = [layer() for _ in range(3)]
    whole, first, second = (PulsedArray(PARAMETERS, w, Device.preset(name), 7) for w in weights)
    for seed in range(6):
        whole.descend(word_factors(), 0.05, seed)
    for seed in range(3):
        first.descend(word_factors(), 0.05, seed)
    second.restore(first.state())
    for seed in range(3, 6):
        second.descend(word_factors(), 0.05, seed)
    assert np.array_equal(weights[0].weights, weights[2].weights)
    assert whole.writes == second.writes


def test_an_ideal_array_has_no_devices_to_write():
    assert IdealArray(layer()).writes == Writes(0, 0, 0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cell": "triple"}, "device cell = 'triple' is unknown; choose from single, pair, one-"),
        ({"rounding": "up"}, "device rounding = 'up' is unknown; choose from none, nearest"),
        ({"reference": "none"}, "device reference = 'none' is unknown; choose from middle"),
    ],
)
def test_unknown_words_are_refused(values, message):
    with pytest.raises(DeviceError, match=message):
        Device(**values)


@pytest.mark.parametrize("variation", [{"steps": 0.3}, {"cycles": 0.3}, {"stuck": 0.3}])
def test_variation_is_drawn_from_the_seed(variation):
    device = Device(1024, 2.0, law="constant-step", variation=Variation(**variation))
    results = []
    for seed in (0, 0, 1):
        weights = layer()
        array = PulsedArray(PARAMETERS, weights, device, seed)
        array.descend(word_factors(), 0.05, seed)
        results.append(weights.weights.copy())
    assert np.array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])
