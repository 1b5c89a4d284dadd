"""The command line: `eigenbar COMMAND --help` explains each command."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

# One thread for NumPy's matrix products, read when NumPy is imported: they are small, a second
# thread gains little and, where the processor is shared, waits for its turn many times as long.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from golden_model import datasets, training
from golden_model.arrays import Device
from golden_model.datasets import DatasetError
from golden_model.network import NETWORKS, NetworkError
from golden_model.parameters import PRESETS, ParameterError, Parameters
from golden_model.training_settings import (
    ARITHMETICS,
    ARRAYS,
    OPTIMIZERS,
    TrainingError,
    TrainingSettings,
    with_width,
)

USER_ERRORS = (ParameterError, DatasetError, NetworkError, TrainingError)
"""Errors whose message tells the user what to do; anything else is a defect and shows a trace."""

app = typer.Typer(
    help="Generate and model accelerators that train neural networks in analog crossbars.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
console = Console(stderr=True)


@app.callback()
def eigenbar() -> None:
    """Generate and model accelerators that train neural networks in analog crossbars."""


def _choices(names: tuple[str, ...]) -> str:
    return f"One of: {', '.join(names)}."


def chosen_parameters(preset: str, config: Path | None, settings: list[str]) -> Parameters:
    """Parameters of TOML file `config`, or of `preset`, with the NAME=VALUE `settings` applied."""
    parameters = Parameters.from_toml(config) if config else Parameters.preset(preset)
    return parameters.with_settings(settings)


@app.command()
def train(
    dataset: Annotated[str, typer.Option(help=_choices(datasets.DATASETS))] = "digits",
    network: Annotated[str, typer.Option(help=_choices(NETWORKS))] = "cnn",
    optimizer: Annotated[
        str, typer.Option(help=f"{_choices(OPTIMIZERS)} mbgd is mini-batch gradient descent.")
    ] = "sbpca",
    rank: Annotated[
        int, typer.Option(help="Outer products of an update (sbpca); a layer's is min(rank, m, n).")
    ] = 4,
    block: Annotated[
        int, typer.Option(help="Images a block (sbpca), cut to what the block buffer holds.")
    ] = 8,
    arithmetic: Annotated[
        str, typer.Option(help=f"{_choices(ARITHMETICS)} fixed: the accelerator's, to the bit.")
    ] = "fixed",
    width: Annotated[
        int | None, typer.Option(help="Bits of a word, in place of the parameters' own.")
    ] = None,
    array: Annotated[
        str,
        typer.Option(
            help=f"{_choices(ARRAYS)} ideal: weights in float, updated exactly; pulsed: weights "
            "in crossbar tiles, updated by the drivers' pulses."
        ),
    ] = "ideal",
    device_states: Annotated[
        int, typer.Option(help="Conductance states of a device (pulsed).")
    ] = Device.states,
    weight_range: Annotated[
        float,
        typer.Option(help="Largest weight, in deviations of the initial weights (pulsed)."),
    ] = Device.weight_range,
    stochastic: Annotated[
        bool, typer.Option("--stochastic", help="Stochastic instead of scrambled pulses (pulsed).")
    ] = False,
    preset: Annotated[
        str, typer.Option(help=f"Parameters of the accelerator. {_choices(tuple(PRESETS))}")
    ] = "default",
    config: Annotated[
        Path | None, typer.Option(help="TOML file of parameters, in place of a preset.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A parameter's value; repeatable."),
    ] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the training images.")] = 1,
    batch: Annotated[int, typer.Option(help="Images an update.")] = 64,
    learning_rate: Annotated[float, typer.Option(help="Step along the gradient.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Determines everything random.")] = 0,
    train_limit: Annotated[
        int | None, typer.Option(help="Train with the first so many images only.")
    ] = None,
    data_folder: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the data set's IDX files (gzip or not).",
            envvar=datasets.FOLDER_VARIABLE,
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="File that takes the state after every epoch.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the checkpoint.")] = False,
    json: Annotated[
        Path | None, typer.Option(help="File that takes the results after every epoch.")
    ] = None,
) -> None:
    """Train a network with the accelerator's arithmetic, or without it for comparison."""
    parameters = chosen_parameters(preset, config, settings or [])
    run = TrainingSettings(
        dataset=dataset,
        network=network,
        optimizer=optimizer,
        rank=rank,
        block=block,
        arithmetic=arithmetic,
        array=array,
        parameters=parameters if width is None else with_width(parameters, width),
        device=Device(device_states, weight_range, not stochastic),
        epochs=epochs,
        batch=batch,
        learning_rate=learning_rate,
        seed=seed,
        train_limit=train_limit,
    )
    data = datasets.load(dataset, data_folder)
    try:
        with TrainingProgress() as progress:
            result = training.train(
                run,
                data,
                checkpoint=checkpoint,
                resume=resume,
                results=json,
                progress=progress.show,
            )
    except KeyboardInterrupt:
        saved = checkpoint is not None and checkpoint.exists()
        console.print(
            f"interrupted; the last whole epoch is in {checkpoint}: "
            "give the same command with --resume to continue"
            if saved
            else "interrupted; no epoch was saved (--checkpoint FILE saves every epoch)",
            soft_wrap=True,
        )
        raise typer.Exit(130) from None
    for line in result["history"]:
        typer.echo(
            f"epoch {line['epoch']}: loss {line['train_loss']:.4f}, "
            f"test accuracy {100 * line['test_accuracy']:.2f} %, "
            f"{line['images_per_second']:.0f} images/s, {line['saturations']} saturations"
        )


class TrainingProgress:
    """A progress bar an epoch, on the terminal if there is one."""

    def __init__(self) -> None:
        self._bars = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} images"),
            TextColumn("loss {task.fields[loss]:.4f}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
        )
        self._task = self._bars.add_task("", epoch=1, loss=0.0, visible=False)

    def __enter__(self) -> TrainingProgress:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def show(self, state: training.Progress) -> None:
        """Draw `state`."""
        self._bars.update(
            self._task,
            epoch=state.epoch,
            completed=state.images,
            total=state.total,
            loss=state.loss,
            visible=True,
        )


def main() -> None:
    """Run the command line; a user's error becomes one line on stderr and exit status 2."""
    try:
        app()
    except USER_ERRORS as error:
        print(f"eigenbar: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
