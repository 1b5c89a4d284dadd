"""Devices of published measurements, as settings of `arrays.Device`, each number with its source.

aihwkit is IBM's analog hardware acceleration kit (Rasch et al. 2021, arXiv:2104.02184), whose
presets are fits to the papers named; a conductance there is a weight from `w_min` to `w_max` and
its nominal step `dw_min`, so `states` = (w_max - w_min) / dw_min + 1.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from golden_model import neurosim
from golden_model.devices import ExponentialStep, LinearStep, Variation
from golden_model.drift import Drift
from golden_model.weight_cells import Refresh


@dataclass(frozen=True)
class Preset:
    """A device with its sources."""

    summary: str
    """What it is, in a few words."""
    settings: Mapping[str, Any]
    """Fields of `arrays.Device` that differ from their defaults."""
    source: str
    """The measurement, and who fitted it."""
    assumed: str
    """What the source does not say, or the model here has otherwise."""


def _shifted(
    step: float, low: float, high: float, loss_up: float, loss_down: float
) -> dict[str, Any]:
    """aihwkit's LinearStepDevice of a range from `low` < 0 to `high` > 0, in settings here.

    Its steps are `step` (1 - `loss_up` w / high) up and `step` (1 - `loss_down` w / low) down,
    slopes counted from weight 0; here they count from the middle of the range.
    """
    middle, half = (high + low) / 2, (high - low) / 2
    up = 1 - loss_up * middle / high
    down = 1 - loss_down * middle / low
    return {
        "states": round(4 * half / (step * (up + down))) + 1,
        "law": "linear-step",
        "asymmetry": (up - down) / (up + down),
        "linear": LinearStep(loss_up * half / (high * up), -loss_down * half / (low * down)),
    }


_FEFET = neurosim.converted(32, 1.75, 1.46)

PRESETS: Mapping[str, Preset] = {
    "rram": Preset(
        "filamentary HfO2 RRAM, exponential steps",
        {
            "states": 1482,
            "law": "exponential-step",
            "asymmetry": 0.259359,
            "exponential": ExponentialStep(-1.18445, -0.081404, 5.0, 5.0, -0.5, -0.5),
            "variation": Variation(
                steps=0.2, asymmetry=0.05, low=0.15, high=0.15, cycles=5.0, write=0.050625
            ),
        },
        "Gong et al. 2018 (Nature Communications 9, 2102), fitted by aihwkit's "
        "ReRamESPresetDevice: dw_min 0.00135, up_down, A, gamma, a, b; spreads dw_min_dtod 0.2, "
        "up_down_dtod 0.05, w_max_dtod and w_min_dtod 0.3; noise dw_min_std 5, write_noise_std "
        "75 (of dw_min)",
        "A device's own bounds shift its curve here; w_max and w_min, each 1, are half a range",
    ),
    "pcm": Preset(
        "Ge2Sb2Te5 phase-change memory, one-sided pairs with refresh and drift",
        {
            "states": 201,
            "law": "exponential-step",
            "exponential": ExponentialStep(-27.235, -2.235, 2.5, 2.5, -1.0, -1.0),
            "variation": Variation(steps=0.2, asymmetry=0.05, high=0.1, cycles=0.6, additive=0.045),
            "drift": Drift(exponent=0.049, spread=0.008, start=20.0, interval=1e-3),
            "cell": "one-sided-pair",
            "refresh": Refresh(period=1, upper=0.75, lower=0.25),
        },
        "Nandakumar et al. 2020 (Frontiers in Neuroscience 14, 406), fitted by aihwkit's "
        "PCMPresetDevice: dw_min 0.01 of a range of 2, A, gamma, a, b; dw_min_dtod 0.2, "
        "up_down_dtod 0.05, w_max_dtod 0.1, dw_min_std 0.6; refresh of PCMPresetUnitCell; drift of "
        "PCMLikeNoiseModel (Nandakumar et al. 2019, ICECS): exponent, spread and start at the "
        "highest conductance",
        "The part of the noise that does not scale with the step, 0.6 (0.042 + 0.108 w), is that "
        "of w = 1, the middle, everywhere; a reset is exact; the exponent does not grow towards "
        "low conductances; 1 ms an update",
    ),
    "fefet": Preset(
        "HfZrO2 ferroelectric transistor, 32 pulses a range",
        {
            "states": round(_FEFET.span) + 1,
            "law": "linear-step",
            "asymmetry": _FEFET.asymmetry,
            "linear": _FEFET.linear,
            "variation": Variation(additive=0.005),
        },
        "Jerry et al. 2017 (IEDM), as benchmarked by NeuroSim (MLP+NeuroSim 3.0 manual, table II): "
        "32 conductance states, nonlinearities 1.75 up and 1.46 down, cycle-to-cycle deviation "
        "below 0.5 % of the range",
        "The deviation is 0.5 %; devices are alike; the drivers' equal pulses stand for ones of "
        "varying voltage, of which the manual gives averages; the on/off ratio of 45 cancels in "
        "the reference",
    ),
    "ecram": Preset(
        "lithium electrochemical memory, about 1000 nearly linear steps",
        {
            **_shifted(0.002, -0.8276, 1.1724, 0.1153, 0.5085),
            "variation": Variation(
                steps=0.1, asymmetry=0.01, low=0.02069, high=0.02931, cycles=0.3
            ),
            "reference": "symmetry",
        },
        "Tang et al. 2018 (IEDM), fitted by aihwkit's EcRamPresetDevice: dw_min 0.002, w_min "
        "-0.8276, w_max 1.1724, gamma_up 0.1153, gamma_down 0.5085; dw_min_dtod 0.1, up_down_dtod "
        "0.01, w_min_dtod and w_max_dtod 0.05, dw_min_std 0.3",
        "Slopes have no spread (gamma_up_dtod and gamma_down_dtod are 0.05 there) and follow a "
        "device's own bounds; the reference is exactly each device's symmetry point",
    ),
    "ecram-oxide": Preset(
        "metal-oxide electrochemical memory, some 7000 steps",
        {
            **_shifted(2.8214e-4, -0.8286, 1.1714, 0.4152, 0.7342),
            "variation": Variation(
                steps=0.1, asymmetry=0.01, low=0.020715, high=0.029285, cycles=2.0
            ),
            "reference": "symmetry",
        },
        "Kim et al. 2019 (IEDM), fitted by aihwkit's EcRamMOPresetDevice: dw_min 2.8214e-4, w_min "
        "-0.8286, w_max 1.1714, gamma_up 0.4152, gamma_down 0.7342; dw_min_dtod 0.1, up_down_dtod "
        "0.01, w_min_dtod and w_max_dtod 0.05, dw_min_std 2",
        "As for ecram",
    ),
}
"""Presets by name."""


def table() -> str:
    """The presets and their sources in Markdown, as docs/devices.md has them."""
    rows = ["| `--device` | device | settings |", "|---|---|---|"]
    for name, preset in PRESETS.items():
        rows.append(f"| `{name}` | {preset.summary} | {', '.join(_leaves('', preset.settings))} |")
    sources = [
        textwrap.fill(f"`{name}`: {preset.source}. Assumed: {preset.assumed}.", 100)
        for name, preset in PRESETS.items()
    ]
    return "\n".join(rows) + "\n\n" + "\n\n".join(sources) + "\n"


def _leaves(prefix: str, settings: Mapping[str, Any]) -> list[str]:
    """`settings` as NAME=VALUE with dotted names, those of dataclasses that are not default."""
    found = []
    for name, value in settings.items():
        if is_dataclass(value) and not isinstance(value, type):
            default = type(value)()
            changed = {
                field.name: getattr(value, field.name)
                for field in fields(value)
                if getattr(value, field.name) != getattr(default, field.name)
            }
            found += _leaves(f"{prefix}{name}.", changed)
        else:
            text = f"{value:.6g}" if isinstance(value, float) else f"{value}"
            found.append(f"`{prefix}{name}={text}`")
    return found
