"""Options that commands share, and what their texts mean."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from golden_model import datasets, setting_names
from golden_model.arrays import UPDATES
from golden_model.energy import EnergyTable
from golden_model.parameters import PRESETS, ParameterError, Parameters
from golden_model.reads import ReadError, Reads
from golden_model.training_settings import TrainingError
from sim.runner import BUILDS
from sim.tools import SIMULATORS, SimulatorError


def choices(names: tuple[str, ...]) -> str:
    """What an option's help says of the `names` that it takes."""
    return f"One of: {', '.join(names)}."


def check_seed(seed: int) -> int:
    """The `seed` of a command; raises `ParameterError` for a negative one."""
    if seed < 0:
        raise ParameterError(f"seed = {seed} must be an integer of at least 0")
    return seed


PresetOption = Annotated[
    str | None,
    typer.Option(
        help=f"Parameters of the accelerator, default unless given. {choices(tuple(PRESETS))}"
    ),
]
ConfigOption = Annotated[
    Path | None, typer.Option(help="TOML file of parameters, in place of a preset.")
]
SettingsOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A parameter's value; repeatable."),
]
SeedOption = Annotated[int, typer.Option(callback=check_seed, help="Determines everything random.")]
JsonOption = Annotated[Path | None, typer.Option(help="File that takes the results as JSON.")]
SimulatorOption = Annotated[str, typer.Option(help=choices(SIMULATORS))]
BuildsOption = Annotated[
    Path | None, typer.Option(help=f"Folder that keeps simulator builds; {BUILDS} unless given.")
]
LayerRanksOption = Annotated[
    str | None,
    typer.Option(metavar="K,K,...", help="A rank for each layer with weights, in turn."),
]
UpdateOption = Annotated[
    str,
    typer.Option(
        help=f"{choices(UPDATES)} The accelerator's outer products one after another, or the "
        "change summed outside the array and written cell by cell, of any optimizer (pulsed)."
    ),
]
ReadSetOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        help=f"Of reads: {', '.join(field.name for field in fields(Reads) if field.name != 'mode')}"
        "; repeatable.",
    ),
]
EnergyOption = Annotated[
    Path | None,
    typer.Option("--energy", help="TOML file of what events cost, in place of the table's."),
]
DataFolderOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the data set's files, searched alone; docs/data.md lists their forms.",
        envvar=datasets.FOLDER_VARIABLE,
    ),
]


def chosen_parameters(
    preset: str | None, config: Path | None, settings: list[str] | None
) -> Parameters:
    """Parameters of TOML file `config`, or of `preset`, with the NAME=VALUE `settings` applied."""
    if preset and config:
        raise ParameterError("--preset and --config exclude each other: give one of them")
    parameters = Parameters.from_toml(config) if config else Parameters.preset(preset or "default")
    return parameters.with_settings(settings or [])


def tiles_of_grid(text: str) -> tuple[int, int]:
    """Rows and columns of tiles in `text`; raises `SimulatorError` for anything else."""
    try:
        rows, columns = (int(part) for part in text.split(","))
    except ValueError:
        raise SimulatorError(f"--grid {text!r} must be two integers ROWS,COLUMNS") from None
    return rows, columns


def ranks_of_layers(text: str) -> tuple[int, ...]:
    """The ranks in `text`; raises `TrainingError` for anything else."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise TrainingError(f"--layer-ranks {text!r} must be integers K,K,...") from None


def reads_of(mode: str, texts: Iterable[str]) -> Reads:
    """Reads of `mode` with the NAME=VALUE `texts`; raises `ReadError` for others."""
    return Reads(**{"mode": mode} | settings_below("reads", "--read-set", texts, ReadError))


def settings_below(
    owner: str, option: str, texts: Iterable[str], error: type[Exception]
) -> dict[str, Any]:
    """The values of the NAME=VALUE `texts` of `option`, settings of `owner`, by NAME.

    Raises `error` for a text of another form.
    """
    values = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            raise error(f"{option} {text!r} must have the form NAME=VALUE")
        values[name.strip()] = setting_names.parse(f"{owner}.{name.strip()}", value)
    return values


def energy_table(path: Path | None) -> EnergyTable:
    """What events cost: of TOML file `path`, or the default table."""
    return EnergyTable() if path is None else EnergyTable.from_toml(path)
