"""`eigenbar train`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from cli.options import (
    BuildsOption,
    ConfigOption,
    DataFolderOption,
    EnergyOption,
    LayerRanksOption,
    PresetOption,
    ReadSetOption,
    SeedOption,
    SettingsOption,
    UpdateOption,
    choices,
    chosen_parameters,
    energy_table,
    ranks_of_layers,
    reads_of,
    settings_below,
)
from cli.output import console
from golden_model import datasets, parallel, setting_names, training
from golden_model.architectures import NETWORKS
from golden_model.arrays import IDEAL, RANK_SEQUENTIAL, Device
from golden_model.device_presets import PRESETS as DEVICE_PRESETS
from golden_model.devices import LAWS, DeviceError, Variation
from golden_model.reads import MODES, Reads
from golden_model.training_settings import (
    ARITHMETICS,
    ARRAYS,
    HARDWARE,
    OPTIMIZERS,
    SCHEDULES,
    TrainingError,
    TrainingSettings,
    with_width,
)
from sim import rtl_training
from sim.board_port import DEFAULT_BAUD
from sim.command_stream import BoardError
from sim.rtl_training import HARNESSES, BoardAt, Hardware, Simulation
from sim.tools import SIMULATORS, SimulatorError


def train(
    dataset: Annotated[str, typer.Option(help=choices(datasets.DATASETS))] = "digits",
    network: Annotated[str, typer.Option(help=choices(NETWORKS))] = "cnn",
    optimizer: Annotated[
        str, typer.Option(help=f"{choices(OPTIMIZERS)} mbgd is mini-batch gradient descent.")
    ] = "sbpca",
    rank: Annotated[
        int,
        typer.Option(
            help="Outer products of an update (sbpca, svd, lrt); min(rank, m, n) a layer."
        ),
    ] = 4,
    layer_ranks: LayerRanksOption = None,
    block: Annotated[
        int, typer.Option(help="Images a block (sbpca, lrt), cut to what the block buffer holds.")
    ] = 8,
    momentum: Annotated[
        float | None,
        typer.Option(
            help="Share of the last batch's factors in the next (sbpca, sbe); "
            "without it they weigh one block, as published."
        ),
    ] = None,
    arithmetic: Annotated[
        str,
        typer.Option(
            help=f"{choices(ARITHMETICS)} fixed: the accelerator's, to the bit; rtl: the same, "
            "computed by the simulated hardware with a digital twin as its array; board: by a "
            "board at --port."
        ),
    ] = "fixed",
    width: Annotated[
        int | None, typer.Option(help="Bits of a word, in place of the parameters' own.")
    ] = None,
    array: Annotated[
        str | None,
        typer.Option(
            help=f"{choices(ARRAYS)} ideal: weights in float, updated exactly; pulsed: weights "
            "in crossbar tiles, updated by the drivers' pulses. ideal unless given; pulsed in rtl "
            "and board."
        ),
    ] = None,
    update: UpdateOption = RANK_SEQUENTIAL,
    reads: Annotated[
        str,
        typer.Option(
            help=f"{choices(MODES)} Exact products, or through DACs and ADCs (pulsed); --read-set "
            "has their properties."
        ),
    ] = Reads.mode,
    read_set: ReadSetOption = None,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="PRESET",
            help=f"A published device (pulsed). {choices(tuple(DEVICE_PRESETS))} "
            "The options below change single settings of it.",
        ),
    ] = None,
    device_states: Annotated[
        int | None, typer.Option(help=f"States of a device, {Device.states} unless given (pulsed).")
    ] = None,
    weight_range: Annotated[
        float | None,
        typer.Option(
            help="Largest weight, in deviations of the initial weights, "
            f"{Device.weight_range:g} unless given (pulsed)."
        ),
    ] = None,
    device_law: Annotated[
        str | None,
        typer.Option(
            help=f"How a pulse moves a device, {IDEAL} unless given (pulsed). "
            f"{choices((IDEAL, *LAWS))}"
        ),
    ] = None,
    device_asymmetry: Annotated[
        float | None,
        typer.Option(help="(up - down) / (up + down) of a device's steps (not ideal)."),
    ] = None,
    device_variation: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="What differs among devices and pulses (not ideal): "
            f"{', '.join(field.name for field in fields(Variation))}; repeatable.",
        ),
    ] = None,
    device_set: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Any setting of the device by dotted name, such as cell=pair, rounding=nearest, "
            "linear.slope_up=0.2, drift.exponent=0.05 or refresh.period=10; repeatable.",
        ),
    ] = None,
    stochastic: Annotated[
        bool, typer.Option("--stochastic", help="Stochastic instead of scrambled pulses (pulsed).")
    ] = False,
    preset: PresetOption = None,
    config: ConfigOption = None,
    settings: SettingsOption = None,
    epochs: Annotated[int, typer.Option(help="Passes over the training images.")] = 1,
    batch: Annotated[int, typer.Option(help="Images an update.")] = 64,
    learning_rate: Annotated[float, typer.Option(help="Step along the gradient.")] = 0.1,
    schedule: Annotated[
        str,
        typer.Option(
            help=f"{choices(SCHEDULES)} How the learning rate goes on: step multiplies it by "
            "--decay after every --decay-epochs, cosine lowers it to zero."
        ),
    ] = "constant",
    decay: Annotated[float, typer.Option(help="Factor of the learning rate (step).")] = 0.5,
    decay_epochs: Annotated[int, typer.Option(help="Epochs between two factors (step).")] = 1,
    seed: SeedOption = 0,
    train_limit: Annotated[
        int | None, typer.Option(help="Train with the first so many images only.")
    ] = None,
    data_folder: DataFolderOption = None,
    harness: Annotated[
        str | None,
        typer.Option(
            help=f"What simulates (rtl), native unless given. {choices(HARNESSES)} native: "
            "Verilator in C++, for long runs; cocotb: any simulator."
        ),
    ] = None,
    simulator: Annotated[
        str | None,
        typer.Option(help=f"Of cocotb (rtl), verilator unless given. {choices(SIMULATORS)}"),
    ] = None,
    waves: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.fst", help="Record all signals, FST or VCD, with a GTKWave view (rtl)."
        ),
    ] = None,
    builds: BuildsOption = None,
    port: Annotated[
        str | None,
        typer.Option(help="Serial port of the board, or a URL that pyserial knows (board)."),
    ] = None,
    baud: Annotated[
        int | None,
        typer.Option(help=f"Bits a second of the board's UART, {DEFAULT_BAUD} unless given."),
    ] = None,
    energy: EnergyOption = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="File that takes the state after every epoch.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the checkpoint.")] = False,
    threads: Annotated[
        int, typer.Option(help="Threads; the results are the same bits for any number.")
    ] = 1,
    json: Annotated[
        Path | None, typer.Option(help="File that takes the results after every epoch.")
    ] = None,
) -> None:
    """Train a network with the accelerator's arithmetic, or without it for comparison."""
    if threads < 1:
        raise TrainingError(f"--threads {threads} must be at least 1")
    parallel.set_threads(threads)
    parameters = chosen_parameters(preset, config, settings)
    array = array or ("pulsed" if arithmetic in HARDWARE else "ideal")
    if device is not None and array != "pulsed":
        raise DeviceError(f"--device {device} goes with --array pulsed: give both")
    given = {
        "states": device_states,
        "weight_range": weight_range,
        "scrambled": False if stochastic else None,
        "law": device_law,
        "asymmetry": device_asymmetry,
    }
    run = TrainingSettings(
        dataset=dataset,
        network=network,
        optimizer=optimizer,
        rank=rank,
        layer_ranks=None if layer_ranks is None else ranks_of_layers(layer_ranks),
        block=block,
        momentum=momentum,
        arithmetic=arithmetic,
        array=array,
        update=update,
        reads=reads_of(reads, read_set or []),
        parameters=parameters if width is None else with_width(parameters, width),
        device=_device(device, given, device_variation or [], device_set or []),
        epochs=epochs,
        batch=batch,
        learning_rate=learning_rate,
        schedule=schedule,
        decay=decay,
        decay_epochs=decay_epochs,
        seed=seed,
        train_limit=train_limit,
    )
    table = energy_table(energy)
    hardware = _hardware(run, harness, simulator, waves, builds, port, baud)
    train_it = partial(rtl_training.train, hardware=hardware) if hardware else training.train
    data = datasets.load(dataset, data_folder)
    try:
        with TrainingProgress() as progress:
            result = train_it(
                run,
                data,
                checkpoint=checkpoint,
                resume=resume,
                results=json,
                progress=progress.show,
                energy=table,
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
    if optimizer not in ("mbgd", "sgd"):
        for layer in result["layers"]:
            typer.echo(
                f"{layer['name']}: {layer['m']} x {layer['n']}, rank {layer['rank']}, "
                f"blocks of {layer['block']} samples"
            )
    for line in result["history"]:
        typer.echo(
            f"epoch {line['epoch']}: loss {line['train_loss']:.4f}, "
            f"test accuracy {100 * line['test_accuracy']:.2f} %, "
            f"{line['images_per_second']:.0f} images/s, {line['saturations']} saturations"
        )
    if "machine" in result:
        machine = result["machine"]
        typer.echo(
            f"machine: {machine['cycles']} clock cycles, "
            f"{machine['cycles_per_second']:.0f} cycles/s"
        )
        if "frames_sent" in machine:
            typer.echo(
                f"link: {machine['frames_sent']} frames sent, {machine['frames_resent']} of them "
                f"again; {machine['frames_received']} received, {machine['frames_discarded']} "
                f"discarded, {machine['frames_damaged']} damaged"
            )
    if reads == "analog":
        counted = result["reads"]
        typer.echo(
            f"reads: {result['events']['adc_conversions']} ADC conversions, "
            f"{counted['adc_saturations']} saturated, "
            f"{counted['repeated_forward'] + counted['repeated_transposed']} reads repeated, "
            f"{counted['input_clips']} inputs clipped, {counted['sum_saturations']} sums saturated"
        )
    if array == "pulsed":
        parts = result["energy_parts"]
        typer.echo(
            f"energy: {result['energy']:.4g} nJ an image, most of it "
            + ", ".join(
                f"{name.replace('_', ' ')} {100 * parts[name] / result['energy']:.0f} %"
                for name in sorted(parts, key=parts.__getitem__, reverse=True)[:3]
            )
        )


def _hardware(
    run: TrainingSettings,
    harness: str | None,
    simulator: str | None,
    waves: Path | None,
    builds: Path | None,
    port: str | None,
    baud: int | None,
) -> Hardware | None:
    """What computes as `run` says; None for the golden model."""
    options = {"harness": harness, "simulator": simulator, "waves": waves, "port": port,
               "baud": baud}  # fmt: skip
    of_boards = ("port", "baud")
    for option, value in options.items():
        arithmetic = "board" if option in of_boards else "rtl"
        if value is not None and run.arithmetic != arithmetic:
            raise SimulatorError(
                f"--{option} {value} goes with --arithmetic {arithmetic}: give both"
            )
    if run.arithmetic == "rtl":
        return Simulation(harness or HARNESSES[0], simulator or SIMULATORS[0], waves, builds)
    if run.arithmetic == "board":
        if port is None:
            raise BoardError("--arithmetic board needs --port, the serial port of the board")
        return BoardAt(port, DEFAULT_BAUD if baud is None else baud)
    return None


def _device(
    preset: str | None, given: Mapping[str, object], variation: Iterable[str], texts: Iterable[str]
) -> Device:
    """The device of `preset`, or the default one, with `given` values that are not None.

    The NAME=VALUE texts of `variation` and of any settings, `texts`, take precedence.
    """
    values = {name: value for name, value in given.items() if value is not None}
    names = [field.name for field in fields(Variation)]
    for text in variation:
        name, _, number = text.partition("=")
        try:
            values[f"variation.{name.strip()}"] = float(number)
        except ValueError:
            name = ""
        if name.strip() not in names:
            raise DeviceError(
                f"--device-variation {text!r} must be NAME=NUMBER with one of: {', '.join(names)}"
            )
    values |= settings_below("device", "--device-set", texts, DeviceError)
    base = TrainingSettings(device=Device() if preset is None else Device.preset(preset))
    named = {f"device.{name}": value for name, value in values.items()}
    return setting_names.with_values(base, named).device


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
