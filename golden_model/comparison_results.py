"""What a comparison's results say of each method: its best learning rate, spread and costs."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from golden_model.energy import EnergyTable
from golden_model.run_log import Line
from golden_model.setting_names import flatten
from golden_model.sweep import is_number, label, recorded_settings, relevant, varied
from golden_model.training import energy_of

RATE, SEED = "learning_rate", "seed"
"""Settings in which the runs of one method differ."""

MEASURES = ("test_accuracy", "train_loss", "images_per_second")
"""Numbers of a line of results that are no counters."""

DESCRIPTIONS = ("settings", "layers", "history", "events", "energy_parts")
"""Tables of a line of results that are no counters."""


@dataclass(frozen=True)
class Spread:
    """A number over the seeds of a method."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of `values`, one at least."""
        return cls(statistics.fmean(values), min(values), max(values))


@dataclass(frozen=True)
class Method:
    """The runs whose relevant settings differ in seed and learning rate only."""

    label: str
    """What sets this method apart from the others."""
    settings: Mapping[str, Any]
    """Its relevant settings by dotted names, without seed and learning rate."""
    rates: Mapping[float, Sequence[Line]]
    """Its results by learning rate, ascending."""

    @cached_property
    def best(self) -> float | None:
        """The learning rate of the highest mean accuracy, of those that let no run diverge.

        Rates with fewer seeds than others are passed over. None if there is no such rate.
        """
        seeds = max(map(len, self.rates.values()))
        means = {
            rate: statistics.fmean(line["test_accuracy"] for line in lines)
            for rate, lines in self.rates.items()
            if len(lines) == seeds and all(line["status"] == "done" for line in lines)
        }
        return max(means, key=means.__getitem__, default=None)

    @property
    def runs(self) -> Sequence[Line]:
        """Results at the best learning rate, one a seed."""
        return [] if self.best is None else self.rates[self.best]

    @property
    def diverged(self) -> int:
        """Runs that diverged, at any learning rate."""
        return sum(line["status"] == "diverged" for lines in self.rates.values() for line in lines)

    @property
    def accuracy(self) -> Spread:
        """Test accuracy in percent, at the best learning rate."""
        return Spread.of([100 * line["test_accuracy"] for line in self.runs])

    def cost(self, name: str) -> Spread | None:
        """Counter `name` at the best learning rate; None if a run did not count it."""
        values = [counters(line).get(name) for line in self.runs]
        known = [value for value in values if value is not None]
        return Spread.of(known) if len(known) == len(values) > 0 else None


def with_energy(lines: Iterable[Line], table: EnergyTable) -> list[Line]:
    """`lines` with the energy of their events by `table` in place of theirs."""
    return [
        line | energy_of(line, recorded_settings(line["settings"]), table)
        if line["status"] == "done"
        else line
        for line in lines
    ]


def methods(lines: Iterable[Line]) -> list[Method]:
    """The methods of the results `lines`, in the order of the settings that set them apart."""
    groups: dict[str, tuple[dict[str, Any], dict[float, list[Line]]]] = {}
    for line in sorted(lines, key=lambda line: line["settings"][SEED]):
        settings = relevant(recorded_settings(line["settings"]))
        rate = settings.pop(RATE)
        del settings[SEED]
        _, rates = groups.setdefault(repr(settings), (settings, {}))
        rates.setdefault(rate, []).append(line)
    names = varied(settings for settings, _ in groups.values()) or ["optimizer"]
    found = [
        Method(label(settings, names), settings, dict(sorted(rates.items())))
        for settings, rates in groups.values()
    ]
    return sorted(found, key=lambda method: _order(method.settings, names))


def _order(settings: Mapping[str, Any], names: Iterable[str]) -> list[tuple[int, Any]]:
    """What methods are sorted by: settings that are missing first, numbers by size, then words."""
    return [
        (0, 0) if name not in settings
        else (1, settings[name]) if is_number(settings[name])
        else (2, str(settings[name]))
        for name in names
    ]  # fmt: skip


def counters(line: Line) -> dict[str, float]:
    """The counters of `line` by dotted names: all its numbers but the `MEASURES`."""
    tables = {name: value for name, value in line.items() if name not in DESCRIPTIONS}
    return {
        name: value
        for name, value in flatten(tables).items()
        if is_number(value) and name not in MEASURES
    }
