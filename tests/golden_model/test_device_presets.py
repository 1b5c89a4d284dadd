"""Presets: they step as the models of their sources do, and the documentation has their numbers."""

from pathlib import Path

import numpy as np
import pytest

from golden_model.arrays import Device
from golden_model.device_presets import table
from golden_model.devices import Cells, DeviceError

DOCUMENT = Path(__file__).parents[2] / "docs" / "devices.md"


def sizes(name, places):
    """Sizes of pulses up and down at `places`, 0 to 1 of the range, as shares of the range."""
    device = Device.preset(name)
    top = device.states - 1
    cells = Cells(0.0, float(top), 1 + device.asymmetry, 1 - device.asymmetry)
    rise, fall = device.update_law.sizes(places * top, cells)
    return rise / top, fall / top


PLACES = np.linspace(0.05, 0.95, 10)


def aihwkit_exponential(w, low, high, dw, up_down, a, b, gamma, scales):
    """ExpStepDevice of aihwkit's documentation."""
    z = 2 * a * w / (high - low) + b
    up = dw * (1 + up_down) * np.maximum(1 - scales[0] * np.exp(gamma * z), 0)
    down = dw * (1 - up_down) * np.maximum(1 - scales[1] * np.exp(-gamma * z), 0)
    return up / (high - low), down / (high - low)


def aihwkit_linear(w, low, high, dw, gammas):
    """LinearStepDevice of aihwkit's documentation, without asymmetry."""
    up, down = dw * (1 - gammas[0] * w / high), dw * (1 - gammas[1] * w / low)
    return up / (high - low), down / (high - low)


def test_rram_steps_as_aihwkits_fit():
    w = 2 * PLACES - 1
    expected = aihwkit_exponential(
        w, -1, 1, 0.00135, 0.259359, -0.5, -0.5, 5.0, (-1.18445, -0.081404)
    )
    assert np.allclose(sizes("rram", PLACES), expected, rtol=1e-3)


def test_pcm_steps_as_aihwkits_fit():
    expected = aihwkit_exponential(2 * PLACES, 0, 2, 0.01, 0.0, -1.0, 0.0, 2.5, (-27.235, -2.235))
    assert np.allclose(sizes("pcm", PLACES)[0], expected[0], rtol=1e-3)


@pytest.mark.parametrize(
    ("name", "low", "high", "dw", "gammas"),
    [
        ("ecram", -0.8276, 1.1724, 0.002, (0.1153, 0.5085)),
        ("ecram-oxide", -0.8286, 1.1714, 2.8214e-4, (0.4152, 0.7342)),
    ],
)
def test_ecram_steps_as_aihwkits_fits(name, low, high, dw, gammas):
    w = low + (high - low) * PLACES
    assert np.allclose(sizes(name, PLACES), aihwkit_linear(w, low, high, dw, gammas), rtol=1e-3)


def test_ecrams_symmetry_point_is_aihwkits_zero():
    rise, fall = sizes("ecram", np.array([0.8276 / 2]))
    assert np.allclose(rise, fall, rtol=1e-6)


def test_fefet_takes_32_pulses_from_bound_to_bound():
    device = Device.preset("fefet")
    top = float(device.states - 1)
    cells = Cells(0.0, top, 1 + device.asymmetry, 1 - device.asymmetry)
    law = device.update_law
    rising = law.pulsed(np.zeros(3, np.float32), np.array([30, 31, 33]), cells)
    falling = law.pulsed(np.full(3, top, np.float32), -np.array([30, 31, 33]), cells)
    assert rising[0] < rising[1] < top == rising[2]
    assert falling[0] > falling[1] > 0 == falling[2]


def test_an_unknown_preset_is_refused():
    with pytest.raises(DeviceError, match="unknown device preset 'flash'; choose one of: rram"):
        Device.preset("flash")


def test_the_documentation_has_the_settings_and_the_sources():
    """After a change of the presets, put what `table` returns into docs/devices.md."""
    assert table() in DOCUMENT.read_text(encoding="utf-8")
