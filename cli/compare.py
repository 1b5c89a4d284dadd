"""`eigenbar compare`."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from cli.options import (
    DataFolderOption,
    EnergyOption,
    choices,
    energy_table,
)
from cli.output import console, print_table
from golden_model import comparison, comparison_report, datasets, scheduling, setting_names
from golden_model.architectures import NETWORKS
from golden_model.comparison_results import with_energy
from golden_model.device_presets import PRESETS as DEVICE_PRESETS
from golden_model.energy import EnergyTable
from golden_model.run_log import Line, read_lines
from golden_model.sweep import (
    BASE,
    ComparisonError,
    Sweep,
    label,
    parse_seeds,
    recorded_settings,
    relevant,
    varied,
)
from golden_model.training_settings import ARITHMETICS, ARRAYS, OPTIMIZERS, TrainingSettings

ENCODINGS = {"scrambled": True, "stochastic": False}
"""Pulse encodings, and what they mean for `Device.scrambled`."""


def _values_option(help_: str) -> object:
    return typer.Option(metavar="VALUE,...", help=help_)


def compare(
    out: Annotated[Path, typer.Option(help="Folder for results and report; made if need be.")],
    sweep: Annotated[
        Path | None, typer.Argument(help="TOML file of the runs; docs/compare.md describes it.")
    ] = None,
    dataset: Annotated[str | None, _values_option(choices(datasets.DATASETS))] = None,
    network: Annotated[str | None, _values_option(choices(NETWORKS))] = None,
    optimizer: Annotated[str | None, _values_option(choices(OPTIMIZERS))] = None,
    rank: Annotated[str | None, _values_option("Outer products of an update.")] = None,
    width: Annotated[str | None, _values_option("Bits of a word.")] = None,
    block: Annotated[str | None, _values_option("Images a block.")] = None,
    arithmetic: Annotated[str | None, _values_option(choices(ARITHMETICS))] = None,
    array: Annotated[str | None, _values_option(choices(ARRAYS))] = None,
    encoding: Annotated[
        str | None, _values_option(f"Pulses (pulsed). {choices(tuple(ENCODINGS))}")
    ] = None,
    device: Annotated[
        str | None,
        _values_option(f"Published devices (pulsed). {choices(tuple(DEVICE_PRESETS))}"),
    ] = None,
    device_states: Annotated[
        str | None, _values_option("Conductance states of a device (pulsed).")
    ] = None,
    learning_rate: Annotated[str | None, _values_option("Step along the gradient.")] = None,
    batch: Annotated[str | None, _values_option("Images an update.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.")] = None,
    train_limit: Annotated[
        int | None, typer.Option(help="Train with the first so many images only.")
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE,...", help="Values of any setting, by dotted name; repeatable."
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(metavar="0-2,7", help="Seeds, of every combination; 0 unless given."),
    ] = None,
    processes: Annotated[
        int | None, typer.Option(help="Processes that train; as many as cores unless given.")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Train on the Dask cluster of this scheduler."),
    ] = None,
    data_folder: DataFolderOption = None,
    energy: EnergyOption = None,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Write the report of the results in --out anew.")
    ] = False,
) -> None:
    """Train every combination of settings, in parallel; continues where it was interrupted.

    VALUE,... are values to combine. They take the place of the sweep file's, in each of its groups.
    """
    table = energy_table(energy)
    if report_only:
        _report(read_lines(out / comparison.RUNS_FILE), out, table)
        return
    given = {
        "dataset": dataset, "network": network, "optimizer": optimizer, "rank": rank,
        "parameters.width": width, "block": block, "arithmetic": arithmetic, "array": array,
        "device": device, "device.states": device_states, "learning_rate": learning_rate,
        "batch": batch,
        "epochs": None if epochs is None else str(epochs),
        "train_limit": None if train_limit is None else str(train_limit),
    }  # fmt: skip
    for text in vary or []:
        name, separator, values = text.partition("=")
        if not separator:
            raise ComparisonError(f"--vary {text!r} must have the form NAME=VALUE,...")
        given[name.strip()] = values
    axes: dict[str, list[object]] = {
        name: [setting_names.parse(name, value) for value in text.split(",")]
        for name, text in given.items()
        if text is not None
    }
    if encoding is not None:
        axes["device.scrambled"] = [_scrambled(name) for name in encoding.split(",")]
    chosen = (Sweep.from_toml(sweep) if sweep else Sweep(BASE, [{}], [0])).with_axes(axes)
    if seeds is not None:
        chosen = replace(chosen, seeds=parse_seeds(seeds))
    runs = chosen.runs()
    with console.status("checking the runs"):
        comparison.check_runs(runs, data_folder)
    comparison_report.check_report(out)
    with _executor(scheduler, processes) as executor, comparison.open_log(out) as log:
        if log.removed:
            console.print(f"{log.path}: removed an unfinished last line of {log.removed} bytes")
        missing = comparison.missing_runs(runs, log)
        try:
            with ComparisonProgress(runs, len(missing)) as progress:
                comparison.do_runs(missing, executor, log, data_folder, progress.show)
        except KeyboardInterrupt:
            console.print(
                f"interrupted; the results so far are in {log.path}: "
                "give the same command again to continue",
                soft_wrap=True,
            )
            raise typer.Exit(130) from None
    _report(log.lines, out, table)


def _report(lines: Sequence[Line], folder: Path, energy: EnergyTable) -> None:
    """Write the report of the results `lines` to `folder`, energies by table `energy`, and print
    its table.
    """
    methods = comparison_report.write_report(with_energy(lines, energy), folder)
    shown = slice(6)  # so many columns fit a terminal
    print_table(
        comparison_report.HEADER[shown],
        (row[shown] for row in comparison_report.table_rows(methods)),
    )
    typer.echo(f"results: {folder / comparison.RUNS_FILE}")
    typer.echo(f"report:  {folder / comparison_report.PAGE}")


def _scrambled(encoding: str) -> bool:
    if encoding.strip() not in ENCODINGS:
        raise ComparisonError(f"encoding {encoding!r} is unknown; {choices(tuple(ENCODINGS))}")
    return ENCODINGS[encoding.strip()]


def _executor(scheduler: str | None, processes: int | None) -> AbstractContextManager[Executor]:
    """What does the runs: a cluster, or processes of this machine."""
    if scheduler is None:
        return scheduling.local_processes(
            scheduling.usable_cores() if processes is None else processes
        )
    if processes is not None:
        raise ComparisonError("--scheduler and --processes exclude each other: give one of them")
    return scheduling.dask_cluster(scheduler)


class ComparisonProgress:
    """A progress bar of the runs, and a line for each that ends."""

    def __init__(self, runs: Sequence[TrainingSettings], missing: int) -> None:
        self._names = varied(map(relevant, runs)) or ["dataset"]
        self._bars = Progress(
            TextColumn("runs"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
            speed_estimate_period=24 * 3600,  # runs may take hours
        )
        self._task = self._bars.add_task("", total=len(runs), completed=len(runs) - missing)

    def __enter__(self) -> ComparisonProgress:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def show(self, line: Line) -> None:
        """Count the run whose results are `line`."""
        if line["status"] == "diverged":
            outcome = f"diverged: {line['reason']}"
        else:
            outcome = f"test accuracy {100 * line['test_accuracy']:.2f} %"
        run = label(relevant(recorded_settings(line["settings"])), self._names)
        self._bars.console.print(f"{run}: {outcome}", soft_wrap=True, highlight=False)
        self._bars.advance(self._task)
