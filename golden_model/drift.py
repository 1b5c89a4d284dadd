"""Retention: how a conductance changes while nobody writes the device.

    g(t) = rest + (g - rest) * ((t + start) / start)**-exponent * exp(-t / lifetime)

with g the conductance that the last write left, t the time since, and `exponent` a number of the
device's own. The power law is that of phase-change memory (Joshi et al. 2020, Nature Communications
11, 2473; Oh et al. 2019, whose model aihwkit has), the exponential that of a leak. Time passes by a
stated interval an update. A write takes the conductance as it has become, moves it, and starts t
anew, as aihwkit's drift does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden_model.devices import Conductance, DeviceError, scattered


@dataclass(frozen=True)
class Drift:
    """How devices lose their conductance. Raises `DeviceError` for a value out of range."""

    exponent: float = 0.0
    """Mean exponent of the power law; 0 for none."""
    spread: float = 0.0
    """Standard deviation of a device's exponent; exponents are at least 0."""
    start: float = 1.0
    """Time after a write at which the power law begins, in seconds."""
    lifetime: float = 0.0
    """Time constant of the exponential decay, in seconds; 0 for no decay."""
    rest: float = 0.0
    """Conductance that both lead to, as a share of the range."""
    interval: float = 1e-3
    """Time from one update to the next, in seconds."""

    def __post_init__(self) -> None:
        limits = {"exponent": 1.0, "spread": 1.0, "rest": 1.0, "lifetime": math.inf}
        for name, high in limits.items():
            value = getattr(self, name)
            if not (math.isfinite(value) and 0 <= value <= high):
                allowed = "finite and at least 0" if high == math.inf else f"from 0 to {high:g}"
                raise DeviceError(f"Drift: {name} = {value} must be {allowed}")
        for name in ("start", "interval"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise DeviceError(f"Drift: {name} = {value} must be finite and above 0 seconds")

    @property
    def active(self) -> bool:
        """Whether any conductance changes."""
        return bool(self.exponent or self.spread or self.lifetime)

    def exponents(self, shape: tuple[int, ...], seed: list[int]) -> float | Conductance:
        """The exponent of each device of an array, or the one of all."""
        drawn = scattered(self.exponent, self.spread, shape, seed)
        return np.maximum(drawn, 0, out=drawn) if isinstance(drawn, np.ndarray) else drawn

    def retained(
        self,
        conductance: Conductance,
        updates: NDArray[np.int32],
        exponents: float | Conductance,
        top: float,
    ) -> Conductance:
        """What `conductance` has become, `updates` after the last write; `top` is the range."""
        time = updates.astype(np.float32) * np.float32(self.interval)
        left = np.exp(-np.asarray(exponents, np.float32) * np.log1p(time / np.float32(self.start)))
        if self.lifetime:
            left *= np.exp(-time / np.float32(self.lifetime))
        rest = np.float32(self.rest * top)
        return rest + (conductance - rest) * left
