"""Drift: the formula, its two parts, spread, and what is refused."""

import numpy as np
import pytest

from golden_model.devices import DeviceError
from golden_model.drift import Drift


def updates(*values):
    return np.array(values, np.int32)


def test_a_power_law_loses_the_same_share_in_every_decade():
    drift = Drift(exponent=0.05, start=2.0, interval=0.5)
    written = np.full(4, 100, np.float32)
    left = drift.retained(written, updates(0, 36, 396, 3996), 0.05, 255)
    assert np.allclose(left, 100 * 10.0 ** (-0.05 * np.arange(4)), rtol=1e-5)


def test_an_exponential_decay_leads_to_the_conductance_at_rest():
    drift = Drift(lifetime=10.0, rest=0.5, interval=1.0)
    left = drift.retained(np.array([0, 50, 100], np.float32), updates(10, 10, 1000), 0.0, 100)
    assert np.allclose(left, [50 - 50 * np.exp(-1), 50, 50], rtol=1e-5)


def test_devices_have_exponents_of_their_own_from_the_seed():
    drift = Drift(exponent=0.05, spread=0.01)
    first, again, other = (drift.exponents((200, 300), [seed, 5]) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.isclose(first.mean(), 0.05, atol=2e-4)
    assert np.isclose(first.std(), 0.01, rtol=0.02)
    assert Drift(exponent=0.0, spread=0.1).exponents((100, 100), [0, 5]).min() == 0


def test_no_drift_is_not_active():
    assert not Drift().active
    assert Drift(lifetime=3.0).active
    assert Drift(exponent=0.1).active


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"exponent": -0.1}, "Drift: exponent = -0.1 must be from 0 to 1"),
        ({"rest": 2.0}, "Drift: rest = 2.0 must be from 0 to 1"),
        ({"lifetime": -1.0}, "Drift: lifetime = -1.0 must be finite and at least 0"),
        ({"lifetime": np.inf}, "Drift: lifetime = inf"),
        ({"start": 0.0}, "Drift: start = 0.0 must be finite and above 0 seconds"),
        ({"interval": np.nan}, "Drift: interval = nan"),
    ],
)
def test_values_out_of_range_are_refused(values, message):
    with pytest.raises(DeviceError, match=message):
        Drift(**values)
