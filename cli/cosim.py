"""`eigenbar cosim` and `eigenbar cosim-reads`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.options import (
    BuildsOption,
    ConfigOption,
    DataFolderOption,
    JsonOption,
    PresetOption,
    SeedOption,
    SettingsOption,
    SimulatorOption,
    choices,
    chosen_parameters,
)
from cli.output import check_results, console, print_table
from golden_model import datasets
from golden_model.training_settings import TrainingSettings
from sim import cosim as simulation
from sim import read_cosim as read_simulation
from sim.cosim import CosimError


def cosim(
    preset: PresetOption = None,
    config: ConfigOption = None,
    settings: SettingsOption = None,
    simulator: SimulatorOption = "verilator",
    shape: Annotated[
        str | None, typer.Option(metavar="M,N,K,B", help="Layer, rank and samples of a block.")
    ] = None,
    blocks: Annotated[int, typer.Option(help="Blocks of a batch.")] = 8,
    batches: Annotated[int, typer.Option(help="Batches, of each layer with --from-training.")] = 1,
    data: Annotated[str, typer.Option(help=choices((*simulation.DATA, "mixed")))] = "gaussian",
    from_training: Annotated[
        bool,
        typer.Option("--from-training", help="Replay batches of every layer of a CNN in training."),
    ] = False,
    dataset: Annotated[
        str, typer.Option(help=f"With --from-training. {choices(datasets.DATASETS)}")
    ] = "digits",
    images: Annotated[int, typer.Option(help="With --from-training: images of the batch.")] = 64,
    steps: Annotated[int, typer.Option(help="With --from-training: batches before it.")] = 5,
    rank: Annotated[int, typer.Option(help="With --from-training: rank.")] = 4,
    data_folder: DataFolderOption = None,
    update: Annotated[
        bool, typer.Option("--update", help="Drive the pulses of an update after each batch.")
    ] = False,
    stalls: Annotated[
        float, typer.Option(help="Probability that a channel pauses in a cycle.")
    ] = 0.0,
    seed: SeedOption = 0,
    trace: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder that takes rtl.trace and golden.trace: a line for each scalar and each "
            "tile of pulses.",
        ),
    ] = None,
    builds: BuildsOption = None,
    json: JsonOption = None,
) -> None:
    """Run the generated Verilog and compare it with the golden model on every bit."""
    parameters = chosen_parameters(preset, config, settings)
    check_results(json)
    _check_stalls(stalls)
    if from_training == (shape is not None):
        raise CosimError("give one of --shape M,N,K,B and --from-training")
    if shape is not None:
        runs = simulation.random_batches(
            parameters, _shape(shape), blocks, batches, data, seed, update=update
        )
    else:
        run = TrainingSettings(
            dataset=dataset, rank=rank, batch=images, seed=seed, parameters=parameters
        )
        data_set = datasets.load(dataset, data_folder)
        runs = simulation.training_batches(run, data_set, steps, batches, update=update)
    with console.status("") as status:
        results = simulation.cosimulate(
            parameters,
            runs,
            simulator,
            stall=stalls,
            seed=seed,
            folder=builds,
            results=json,
            trace=trace,
            progress=status.update,
        )
    print_table(
        ("batch", "m, n, k", "compared", "mismatches", "cycles", "of ideal", "slots"),
        (
            (
                row["name"],
                f"{row['m']}, {row['n']}, {row['k']}",
                f"{row['values_compared']}",
                f"{row['mismatches']}",
                f"{row['cycles']}",
                f"{row['cycles'] / row['ideal_cycles']:.3f}",
                f"{row['slots']}",
            )
            for row in results["batches"]
        ),
    )
    typer.echo(
        f"{results['values_compared']} values compared, {results['mismatches']} mismatches, "
        f"{results['cycles']} cycles for {results['ideal_cycles']} ideal, "
        f"{results['cycles_per_second']:.0f} cycles/s on {simulator}"
    )
    _tell_mismatches(results["batches"])
    if difference := results.get("first_difference"):
        typer.echo(f"traces differ first in {difference}", err=True)
    if results["mismatches"] or difference:
        raise typer.Exit(1)


def _shape(text: str) -> tuple[int, int, int, int]:
    try:
        m, n, k, b = (int(part) for part in text.split(","))
    except ValueError:
        raise CosimError(f"--shape {text!r} must be four integers M,N,K,B") from None
    return m, n, k, b


def _check_stalls(stalls: float) -> None:
    if not 0 <= stalls < 1:
        raise CosimError(f"--stalls {stalls} must be at least 0 and below 1")


def _tell_mismatches(rows: Iterable[Mapping[str, Any]]) -> None:
    for row in rows:
        for text in row["first_mismatches"]:
            typer.echo(text, err=True)


def cosim_reads(
    shape: Annotated[str, typer.Option(metavar="M,N", help="Outputs and inputs of the layer.")],
    preset: PresetOption = None,
    config: ConfigOption = None,
    settings: SettingsOption = None,
    simulator: SimulatorOption = "verilator",
    vectors: Annotated[int, typer.Option(help="Vectors of each run.")] = 2,
    dac_bits: Annotated[int, typer.Option(help="Bits of an input code, sign included.")] = 5,
    adc_bits: Annotated[int, typer.Option(help="Bits of an ADC's code.")] = 6,
    stalls: Annotated[
        float, typer.Option(help="Probability that a channel or the array pauses in a cycle.")
    ] = 0.0,
    seed: SeedOption = 0,
    builds: BuildsOption = None,
    json: JsonOption = None,
) -> None:
    """Read random vectors through an array on the generated Verilog's pins, both ways.

    Each way with both encodings of the inputs; sums, counters and cycles are compared.
    """
    parameters = chosen_parameters(preset, config, settings)
    check_results(json)
    _check_stalls(stalls)
    try:
        m, n = (int(part) for part in shape.split(","))
    except ValueError:
        raise CosimError(f"--shape {shape!r} must be two integers M,N") from None
    runs = read_simulation.random_reads(
        parameters, [(m, n)], vectors, seed, dac_bits=dac_bits, adc_bits=adc_bits
    )
    with console.status("") as status:
        results = read_simulation.cosimulate_reads(
            parameters,
            runs,
            simulator,
            stall=stalls,
            seed=seed,
            folder=builds,
            results=json,
            progress=status.update,
        )
    print_table(
        ("reads", "compared", "mismatches", "cycles", "conversions", "ADC", "sums saturated"),
        (
            (
                row["name"],
                f"{row['values_compared']}",
                f"{row['mismatches']}",
                f"{row['cycles']}",
                f"{row['drives']}",
                f"{row['adc_saturations']}",
                f"{row['sum_saturations']}",
            )
            for row in results["runs"]
        ),
    )
    typer.echo(
        f"{results['values_compared']} values compared, {results['mismatches']} mismatches, "
        f"{results['cycles']} cycles, {results['cycles_per_second']:.0f} cycles/s on {simulator}"
    )
    _tell_mismatches(results["runs"])
    if results["mismatches"]:
        raise typer.Exit(1)
