"""Training settings by dotted names, such as `rank`, `parameters.width` or `device.states`.

The names are those of the fields of `TrainingSettings` and of the dataclasses in it, so a new field
has its name here at once. A name may also stand for a whole nested dataclass: `parameters` takes
the name of a preset, or a table of some of its fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, get_args, get_origin, get_type_hints

from golden_model.parameters import Parameters
from golden_model.training_settings import TrainingError, TrainingSettings, with_width


def flatten(table: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of nested `table` by dotted names."""
    flat: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{inner}": entry for inner, entry in flatten(value).items()}
        else:
            flat[name] = value
    return flat


def with_values(settings: TrainingSettings, values: Mapping[str, Any]) -> TrainingSettings:
    """`settings` with the `values` of dotted names in place of its own.

    `parameters.width` brings no more slots than its words can tell apart (`with_width`), unless
    `parameters.max_slots` is among the values. Raises `TrainingError` for an unknown name or a
    value of another type, and what the dataclasses raise for values that are not allowed.
    """
    return _replaced(settings, values, "")


def parse(name: str, text: str) -> Any:
    """The value of setting `name` that `text` writes, of the setting's type.

    Raises `TrainingError` for an unknown name, and for text that is no such value.
    """
    *path, last = name.split(".")
    owner: Any = TrainingSettings()
    for depth, part in enumerate(path):
        _check_name(owner, part, ".".join(path[:depth]))
        owner = getattr(owner, part)
    _check_name(owner, last, ".".join(path))
    if is_dataclass(getattr(owner, last)):
        return text
    types = _types(owner, last)
    readings: tuple[tuple[type, Any], ...] = (
        (type(None), {"none": None}.__getitem__),
        (bool, {"true": True, "false": False}.__getitem__),
        (int, lambda digits: int(digits, 0)),
        (float, float),
        (str, str),
    )
    for kind, read in readings:
        if kind in types:
            try:
                return read(text.strip())
            except (KeyError, ValueError):
                continue
    raise _type_error(name, text, types)


def _replaced(owner: Any, changes: Mapping[str, Any], prefix: str) -> Any:
    """Dataclass `owner` with `changes`, names below `prefix` with their values."""
    own: dict[str, Any] = {}
    nested: dict[str, dict[str, Any]] = {}
    for name, value in changes.items():
        head, _, rest = name.partition(".")
        _check_name(owner, head, prefix)
        full = f"{prefix}.{head}".lstrip(".")
        current = getattr(owner, head)
        if rest:
            nested.setdefault(head, {})[rest] = value
        elif is_dataclass(current) and isinstance(value, Mapping):
            nested.setdefault(head, {}).update(flatten(value))
        elif is_dataclass(current):
            own[head] = _whole(full, current, value)
        else:
            own[head] = _converted(full, value, _types(owner, head))
    for head, inner in nested.items():
        full = f"{prefix}.{head}".lstrip(".")
        own[head] = _replaced(own.get(head, getattr(owner, head)), inner, full)
    if isinstance(owner, Parameters) and "width" in own:
        owner = with_width(owner, own["width"])
    return replace(owner, **own)


def _check_name(owner: Any, name: str, prefix: str) -> None:
    if not is_dataclass(owner):
        raise TrainingError(f"setting {prefix} is one value, {prefix}.{name} does not exist")
    known = [field.name for field in fields(owner)]
    if name not in known:
        full = f"{prefix}.{name}".lstrip(".")
        where = f" of {prefix}" if prefix else ""
        raise TrainingError(f"unknown setting {full!r}; choose from those{where}: "
                            f"{', '.join(known)}")  # fmt: skip


def _whole(name: str, current: Any, value: Any) -> Any:
    """The dataclass of the class of `current` that `value` stands for, such as a preset's name."""
    if isinstance(value, type(current)):
        return value
    if isinstance(value, str) and hasattr(current, "preset"):
        return current.preset(value)
    preset = "the name of a preset or " if hasattr(current, "preset") else ""
    raise TrainingError(
        f"{name} = {value!r} must be {preset}a table of some of: "
        f"{', '.join(field.name for field in fields(current))}"
    )


def _types(owner: Any, name: str) -> tuple[type, ...]:
    """The types that field `name` of dataclass `owner` may have."""
    hint = get_type_hints(type(owner))[name]
    options = get_args(hint) if get_origin(hint) not in (None, tuple, list) else (hint,)
    return tuple(get_origin(option) or option for option in options)


def _converted(name: str, value: Any, types: tuple[type, ...]) -> Any:
    """`value` if it is of one of `types`; integers become floats and lists tuples if need be."""
    if type(value) in types:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and float in types:
        return float(value)
    if isinstance(value, list) and tuple in types:
        return tuple(value)
    raise _type_error(name, value, types)


def _type_error(name: str, value: object, types: tuple[type, ...]) -> TrainingError:
    words = {int: "an integer", float: "a number", bool: "true or false", str: "a string",
             tuple: "a list", type(None): "none"}  # fmt: skip
    allowed = " or ".join(words.get(kind, kind.__name__) for kind in types)
    return TrainingError(f"{name} = {value!r} must be {allowed}")
