"""`eigenbar generate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import ConfigOption, JsonOption, PresetOption, SettingsOption, chosen_parameters
from cli.output import check_results, console
from golden_model.files import write_json
from hdl import generation
from hdl.verilog import Design


def generate(
    out: Annotated[Path, typer.Option(help="Folder for the files; made if need be.")],
    preset: PresetOption = None,
    config: ConfigOption = None,
    settings: SettingsOption = None,
    json: JsonOption = None,
) -> None:
    """Write Verilog, parameters, register documentation and a description of the ports."""
    parameters = chosen_parameters(preset, config, settings)
    check_results(json)
    with console.status("generating Verilog"):
        paths = generation.generate(parameters, out)
    for path in paths:
        typer.echo(path)
    if json is not None:
        files = [str(path) for path in paths]
        write_json(json, {"files": files, **generation.describe(Design.of(parameters))})
