"""NeuroSim's description of a device, in terms of a law here.

NeuroSim (Chen, Peng and Yu 2017, IEDM; the MLP+NeuroSim 3.0 manual, section 5) has the conductance
after x of P pulses, from the lowest on, as a share of the range

    g(x) = (1 - exp(-x / (A P))) / (1 - exp(-1 / A))

and labels the curve with a nonlinearity from -9 to 9. Its table of A against the label holds, to
its five digits, that the label is 10.1015 times the curve's largest distance from the straight
line; a test has samples of it. A pulse moves g by a linear function of g, which is `LinearStep`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from golden_model.devices import DeviceError, LinearStep

LABEL_OF_DISTANCE = 10.1015255
"""NeuroSim's label of a curve for each unit of its largest distance from the straight line."""

MAX_LABEL = 9.0
"""Largest label of NeuroSim's table."""


@dataclass(frozen=True)
class Converted:
    """A device with a law of `LinearStep`."""

    span: float
    """Range in nominal steps; a device of `arrays.Device` has the whole number nearest to it."""
    asymmetry: float
    """(up - down) / (up + down) of the steps in the middle of the range."""
    linear: LinearStep
    """The slopes."""


def constant(label: float) -> float:
    """The constant A of the curve with nonlinearity `label`, above 0.

    Raises `DeviceError` for a label outside 0 to 9.
    """
    if not 0 < label <= MAX_LABEL:
        raise DeviceError(f"nonlinearity {label} must be above 0 and at most {MAX_LABEL:g}")
    low, high = 1e-3, 1e4
    for _ in range(100):
        middle = math.sqrt(low * high)
        if LABEL_OF_DISTANCE * _distance(middle) > label:
            low = middle
        else:
            high = middle
    return middle


def _distance(a: float) -> float:
    """Largest distance of the curve of constant `a` from the straight line."""
    rise = -math.expm1(-1 / a)
    x = -a * math.log(a * rise)  # where its slope is 1
    return -math.expm1(-x / a) / rise - x


def converted(pulses: int, up: float, down: float) -> Converted:
    """The device of nonlinearities `up` and `down` that takes `pulses` from bound to bound.

    As in NeuroSim, a positive `down` retraces a curve like that of `up`, whose steps are large at
    the lowest conductance, and a negative one has its large steps at the highest. Raises
    `DeviceError` for a label of 0 or above 9.
    """
    slopes, steps = [], []
    for label, approaching in ((up, up > 0), (down, down < 0)):
        a = constant(abs(label))
        slope, pulse = math.tanh(1 / (2 * a)), 1 / (a * pulses)
        # A pulse towards the curve's asymptote shrinks the distance by exp(-pulse), one away
        # from it stretches the distance by exp(pulse).
        steps.append((-math.expm1(-pulse) if approaching else math.expm1(pulse)) / (2 * slope))
        slopes.append(slope if approaching else -slope)
    rise, fall = steps
    return Converted(2 / (rise + fall), (rise - fall) / (rise + fall), LinearStep(*slopes))
