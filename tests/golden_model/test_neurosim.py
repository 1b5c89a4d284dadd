"""NeuroSim's nonlinearity labels: the table of A, and the curves of the converted law."""

import numpy as np
import pytest

from golden_model import neurosim
from golden_model.devices import Cells, DeviceError


@pytest.mark.parametrize(
    ("label", "a"),
    [(0.01, 126.269), (0.5, 2.5199), (1.46, 0.8487), (2.4, 0.4992), (4.88, 0.2003),
     (6.01, 0.1351), (8.5, 0.0369)],
)  # fmt: skip
def test_labels_have_the_constants_of_neurosims_table(label, a):
    assert neurosim.constant(label) == pytest.approx(a, abs=6e-5, rel=1e-5)


def curve(label, x):
    """NeuroSim's conductance after a share `x` of all pulses, for a label of either sign."""
    a = np.copysign(neurosim.constant(abs(label)), label)
    return np.expm1(-x / a) / np.expm1(-1 / a)


@pytest.mark.parametrize(("up", "down"), [(1.75, 1.46), (2.4, -4.88), (0.04, -0.63), (-1.0, 0.5)])
def test_single_pulses_follow_neurosims_curves(up, down):
    pulses = 32
    device = neurosim.converted(pulses, up, down)
    cells = Cells(0.0, device.span, 1 + device.asymmetry, 1 - device.asymmetry)
    counts = np.arange(pulses + 1, dtype=np.float32)
    rising = device.linear.pulsed(np.zeros(pulses + 1, np.float32), counts, cells)
    falling = device.linear.pulsed(np.full(pulses + 1, device.span, np.float32), -counts, cells)
    assert np.allclose(rising / device.span, curve(up, counts / pulses), atol=1e-5)
    assert np.allclose(falling / device.span, curve(down, 1 - counts / pulses), atol=1e-5)


@pytest.mark.parametrize("label", [0.0, 9.5])
def test_other_labels_are_refused(label):
    with pytest.raises(DeviceError, match=f"nonlinearity {label} must be above 0 and at most 9"):
        neurosim.converted(10, label, 1.0)
