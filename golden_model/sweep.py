"""Sweeps: which training runs a comparison takes, each with an identity of its own."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from golden_model.arrays import CELLS, IDEAL, Device
from golden_model.device_presets import PRESETS
from golden_model.devices import LAWS, DeviceError
from golden_model.files import read_toml
from golden_model.parameters import ParameterError
from golden_model.reads import ReadError
from golden_model.setting_names import flatten, with_values
from golden_model.training_settings import HARDWARE, TrainingError, TrainingSettings

BASE = TrainingSettings(dataset="digits")
"""The settings of a sweep that names none: the data set needs no files."""

MAX_SEEDS = 10_000
"""Seeds that a range may have: more are a slip of the keyboard, and would fill the memory."""

WIDTH, SLOTS = "parameters.width", "parameters.max_slots"
"""Settings that go together: words of a width tell so many slots apart."""

UNUSED: Sequence[tuple[Mapping[str, str], Sequence[str]]] = (
    (
        {},
        (
            "parameters.grid_rows",
            "parameters.grid_columns",
            "parameters.adcs",  # reads in training have bits of their own
            "parameters.adc_bits",
        ),
    ),
    (
        {"array": "ideal"},
        ("device", "update", "reads", SLOTS, "parameters.tile_rows", "parameters.tile_columns"),
    ),
    ({"array": "ideal", "arithmetic": "float"}, (WIDTH,)),
    *(
        ({"array": "ideal", "optimizer": optimizer}, ("parameters",))
        for optimizer in ("mbgd", "sgd", "svd")
    ),
    *(
        ({"array": "ideal", "optimizer": optimizer}, (WIDTH,))
        for optimizer in ("lrt", "lrt-unbiased")
    ),
    *(
        ({"optimizer": optimizer}, ("rank", "layer_ranks", "block", "momentum", "arithmetic"))
        for optimizer in ("mbgd", "sgd")
    ),
    ({"optimizer": "svd"}, ("block", "momentum", "arithmetic")),
    *(
        ({"optimizer": optimizer}, ("momentum", "arithmetic"))
        for optimizer in ("lrt", "lrt-unbiased")
    ),
    ({"update": "rank-sum"}, (SLOTS, "device.scrambled")),
    (
        {"reads.mode": "ideal"},
        (
            "reads.input_noise",
            "reads.output_noise",
            "reads.input_bound",
            "reads.output_bound",
            "reads.retries",
        ),
    ),
    (
        {"device.law": "ideal"},
        tuple(
            f"device.{name}"
            for name in ("asymmetry", "variation", "rounding", "drift", "reference")
        ),
    ),
    *(({"device.law": law}, ("device.linear",)) for law in (IDEAL, *LAWS) if law != "linear-step"),
    *(
        ({"device.law": law}, ("device.exponential",))
        for law in (IDEAL, *LAWS)
        if law != "exponential-step"
    ),
    ({"device.cell": "single"}, ("device.refresh",)),
    *(({"device.cell": cell}, ("device.reference",)) for cell in CELLS if cell != "single"),
    ({"optimizer": "sbe"}, ("rank", "layer_ranks", "block")),
    *(({"schedule": schedule}, ("decay", "decay_epochs")) for schedule in ("constant", "cosine")),
)
"""Settings, whole dataclasses or single fields, that runs of the settings before them ignore."""


class ComparisonError(ValueError):
    """A comparison cannot be done as asked, or its folder cannot be used."""


Axes = Mapping[str, Sequence[Any]]
"""Values of each dotted setting name; a group has a run for each combination."""


@dataclass(frozen=True)
class Sweep:
    """The runs of a comparison."""

    base: TrainingSettings
    """Settings of all runs, where a group does not say otherwise."""
    groups: Sequence[Axes]
    """Each the product of its axes; runs that two groups share are done once."""
    seeds: Sequence[int]
    """Seeds with which every combination is repeated."""

    @classmethod
    def from_toml(cls, path: Path) -> Sweep:
        """The sweep in TOML file `path`; docs/compare.md describes it.

        Raises `ComparisonError` for a file that cannot be read and for a key or value that is not
        allowed.
        """
        table = read_toml(path, ComparisonError)
        try:
            return _sweep(table)
        except (ComparisonError, DeviceError, ReadError, TrainingError, ParameterError) as error:
            raise ComparisonError(f"{path}: {error}") from error

    def with_axes(self, axes: Axes) -> Sweep:
        """This sweep with `axes` in every group, in place of the group's own of these names."""
        return replace(self, groups=[{**group, **axes} for group in self.groups])

    def runs(self) -> list[TrainingSettings]:
        """The settings of each run, all of the first seed before the next; none twice.

        Raises `ComparisonError` for a combination that is not allowed, which it names.
        """
        found: dict[str, TrainingSettings] = {}
        for seed in self.seeds:
            for number, group in enumerate(self.groups, start=1):
                for values in itertools.product(*group.values()):
                    run = self._combination(number, {**dict(zip(group, values, strict=True)),
                                                     "seed": seed})  # fmt: skip
                    found.setdefault(identity(run), run)
        return list(found.values())

    def _combination(self, group: int, values: Mapping[str, Any]) -> TrainingSettings:
        try:
            run = with_values(self.base, values)
            if run.arithmetic in HARDWARE:
                raise TrainingError(
                    f"arithmetic = {run.arithmetic} is trained by `eigenbar train` alone: compare "
                    "fixed, which gives the same results"
                )
            return run
        except (DeviceError, ReadError, TrainingError, ParameterError) as error:
            combination = ", ".join(f"{name} = {value}" for name, value in values.items())
            where = f"group {group}, " if len(self.groups) > 1 else ""
            raise ComparisonError(f"{error} (in {where}{combination})") from error


def parse_seeds(text: str) -> list[int]:
    """Seeds written as numbers and ranges, such as `0-2,7`; raises `ComparisonError`."""
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        try:
            low = int(first)
            high = int(last) if dash else low
        except ValueError:
            low, high = 0, -1
        if high < low:
            raise ComparisonError(
                f"seeds = {text!r} must be numbers from 0 or ranges of them, such as 0-2,7"
            )
        if high - low >= MAX_SEEDS:
            raise ComparisonError(f"seeds = {text!r} are too many: at most {MAX_SEEDS} in a range")
        seeds += range(low, high + 1)
    return seeds


def relevant(settings: TrainingSettings) -> dict[str, Any]:
    """By dotted names, those of `settings` that its results depend on."""
    values = _leaves(settings)
    ignored = tuple(
        f"{name}."
        for condition, names in UNUSED
        if all(values[name] == value for name, value in condition.items())
        for name in names
    )
    return {name: value for name, value in values.items() if not f"{name}.".startswith(ignored)}


def identity(settings: TrainingSettings) -> str:
    """A run's name: equal for equal relevant settings, different otherwise."""
    text = json.dumps(relevant(settings), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def varied(runs: Iterable[Mapping[str, Any]]) -> list[str]:
    """The dotted names that the relevant settings of `runs` have different values of.

    Those of words and truth values come first. Of two that vary together the derived one is left
    out: slots, where the width sets them.
    """
    given = list(runs)
    values: dict[str, set[Any]] = {}
    for run in given:
        for name, value in run.items():
            values.setdefault(name, set()).add(value)
    pairs = {(run.get(WIDTH), run[SLOTS]) for run in given if SLOTS in run}
    names = [
        name
        for name in _leaves(BASE)
        if len(values.get(name, ())) > 1
        and not (name == SLOTS and len(pairs) == len({width for width, _ in pairs}))
    ]
    return sorted(names, key=lambda name: not any(is_word(value) for value in values[name]))


def is_number(value: object) -> bool:
    """Whether `value` is a number, truth values being none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_word(value: object) -> bool:
    """Whether `value` is a word or a truth value."""
    return isinstance(value, (str, bool))


def label(run: Mapping[str, Any], names: Iterable[str]) -> str:
    """What relevant settings `run` have of `names`, in words such as `sbpca, rank 4, width 8`.

    Where several settings of devices are named, a published device goes by its own name.
    """
    names = [name for name in names if run.get(name) is not None]
    devices = [name for name in names if name.startswith("device.")]
    preset = _published_device(run) if len(devices) > 1 else None
    if preset is None:
        return ", ".join(_words(name, run[name]) for name in names)
    return ", ".join(
        preset if name == devices[0] else _words(name, run[name])
        for name in names
        if name not in devices[1:]
    )


def _published_device(run: Mapping[str, Any]) -> str | None:
    """The preset that the devices of relevant settings `run` are of."""
    for name in PRESETS:
        leaves = _leaves(Device.preset(name))
        if all(run.get(f"device.{field}", value) == value for field, value in leaves.items()):
            return name
    return None


def _words(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return short_name(name) if value else f"not {short_name(name)}"
    return f"{short_name(name)} {value}"


def short_name(name: str) -> str:
    """The last part of dotted `name`, in words."""
    return name.rpartition(".")[2].replace("_", " ")


def recorded_settings(values: Mapping[str, Any]) -> TrainingSettings:
    """The settings whose `as_dict` is `values`; fields that it lacks have their defaults."""
    return with_values(TrainingSettings(), flatten(values))


def _leaves(owner: Any) -> dict[str, Any]:
    """The fields of dataclass `owner` by dotted names, those of nested dataclasses too."""
    leaves: dict[str, Any] = {}
    for field in fields(owner):
        value = getattr(owner, field.name)
        if is_dataclass(value):
            leaves |= {f"{field.name}.{name}": leaf for name, leaf in _leaves(value).items()}
        else:
            leaves[field.name] = value
    return leaves


def _sweep(table: Mapping[str, Any]) -> Sweep:
    """The sweep of a TOML document."""
    known = ("seeds", "settings", "group")
    for name in table:
        if name not in known:
            raise ComparisonError(f"unknown key {name!r}; choose from: {', '.join(known)}")
    settings, groups = table.get("settings", {}), table.get("group", [{}])
    if not isinstance(settings, dict):
        raise ComparisonError("settings must be a table: [settings]")
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        raise ComparisonError("group must be a table, as often as need be: [[group]]")
    for place, values in (("[settings]", settings), *(("[[group]]", group) for group in groups)):
        if "seed" in values:
            raise ComparisonError(f"seed does not belong in {place}: give seeds = [...] at the top")
    return Sweep(
        with_values(BASE, flatten(settings)), [_axes(group) for group in groups], _seeds(table)
    )


def _axes(group: Mapping[str, Any]) -> Axes:
    """The axes of a TOML table: a list is an axis, any other value an axis of one."""
    axes = {
        name: value if isinstance(value, list) else [value]
        for name, value in flatten(group).items()
    }
    for name, values in axes.items():
        if not values:
            raise ComparisonError(f"{name} = [] has no value to take: give one at least")
    return axes


def _seeds(table: Mapping[str, Any]) -> list[int]:
    seeds = table.get("seeds", [0])
    if isinstance(seeds, str):
        return parse_seeds(seeds)
    if not isinstance(seeds, list) or not seeds or not all(type(seed) is int for seed in seeds):
        raise ComparisonError(
            f"seeds = {seeds!r} must be a list of integers, or a string such as '0-2,7'"
        )
    return seeds
