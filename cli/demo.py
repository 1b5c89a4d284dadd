"""`eigenbar demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import (
    BuildsOption,
    ConfigOption,
    JsonOption,
    PresetOption,
    SeedOption,
    SettingsOption,
    SimulatorOption,
    chosen_parameters,
)
from cli.output import check_results, console, print_table
from golden_model.files import write_json
from sim.demo import Demo, run_demo
from sim.report import HEADER, table_rows


def demo(
    preset: PresetOption = None,
    config: ConfigOption = None,
    settings: SettingsOption = None,
    simulator: SimulatorOption = "verilator",
    epochs: Annotated[int, typer.Option(help="Passes over the training images.")] = 10,
    rank: Annotated[int, typer.Option(help="Outer products of an update.")] = 4,
    seed: SeedOption = 0,
    out: Annotated[Path, typer.Option(help="Folder for Verilog, results and report.")] = Path(
        "results"
    ),
    builds: BuildsOption = None,
    json: JsonOption = None,
) -> None:
    """Train a CNN, generate the accelerator, replay a training batch on it, and report."""
    chosen = Demo(
        chosen_parameters(preset, config, settings),
        epochs=epochs,
        rank=rank,
        seed=seed,
        simulator=simulator,
    )
    check_results(json)
    with console.status("training") as status:
        results = run_demo(chosen, out, builds=builds, progress=status.update)
    if json is not None:
        write_json(json, results)
    print_table(HEADER, table_rows(results))
    typer.echo(f"Verilog: {out / 'verilog'}   results: {out / 'demo.json'}")
    typer.echo(f"report:  {out / 'demo.html'}")
    if results["cosimulation"]["mismatches"]:
        raise typer.Exit(1)
