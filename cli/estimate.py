"""`eigenbar estimate`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import (
    ConfigOption,
    EnergyOption,
    JsonOption,
    LayerRanksOption,
    PresetOption,
    ReadSetOption,
    SettingsOption,
    UpdateOption,
    choices,
    chosen_parameters,
    energy_table,
    ranks_of_layers,
    reads_of,
)
from cli.output import check_results, print_table
from golden_model import datasets, estimate
from golden_model.architectures import NETWORKS
from golden_model.arrays import RANK_SEQUENTIAL
from golden_model.files import write_json
from golden_model.reads import Reads
from golden_model.training_settings import OPTIMIZERS, TrainingError, TrainingSettings


def estimate_command(
    dataset: Annotated[str, typer.Option(help=choices(datasets.DATASETS))] = "fashion-mnist",
    image: Annotated[
        str | None,
        typer.Option(metavar="C,H,W", help="Shape of the images, in place of a data set's."),
    ] = None,
    classes: Annotated[int, typer.Option(help="Classes.")] = datasets.CLASSES,
    network: Annotated[str, typer.Option(help=choices(NETWORKS))] = "cnn",
    optimizer: Annotated[str, typer.Option(help=choices(OPTIMIZERS))] = "sbpca",
    rank: Annotated[int, typer.Option(help="Outer products of an update (sbpca, svd, lrt).")] = 4,
    layer_ranks: LayerRanksOption = None,
    block: Annotated[int, typer.Option(help="Images a block (sbpca, lrt).")] = 8,
    batch: Annotated[int, typer.Option(help="Images an update.")] = 64,
    slots: Annotated[
        int | None, typer.Option(help="Slots of an update's phase; max_slots unless given.")
    ] = None,
    update: UpdateOption = RANK_SEQUENTIAL,
    read_set: ReadSetOption = None,
    energy: EnergyOption = None,
    preset: PresetOption = None,
    config: ConfigOption = None,
    settings: SettingsOption = None,
    json: JsonOption = None,
) -> None:
    """Print memory, arithmetic, cycles, pulses, reads and energy of a batch, without running it.

    docs/estimate.md and docs/energy.md have the formulas.
    """
    parameters = chosen_parameters(preset, config, settings)
    check_results(json)
    table = energy_table(energy)
    run = TrainingSettings(
        dataset=dataset,
        network=network,
        optimizer=optimizer,
        rank=rank,
        layer_ranks=None if layer_ranks is None else ranks_of_layers(layer_ranks),
        block=block,
        batch=batch,
        array="pulsed" if update != RANK_SEQUENTIAL else "ideal",
        update=update,
        reads=reads_of(Reads.mode, read_set or []),
        parameters=parameters,
    )
    shape = datasets.SHAPES[dataset] if image is None else _image_shape(image)
    slots = parameters.max_slots if slots is None else slots
    layers = estimate.estimate(run, shape, classes, slots, table)
    results = estimate.as_dict(layers, run)
    if json is not None:
        write_json(json, results)
    rows = [*results["layers"], {"name": "all", **results["batch"]}]
    names = [name for name in results["layers"][0] if name != "name"]
    print_table(
        ("", *(row["name"] for row in rows)),
        (
            (
                name.replace("_", " "),
                *("-" if row.get(name) is None else f"{row[name]:,}" for row in rows),
            )
            for name in names
        ),
    )


def _image_shape(text: str) -> tuple[int, int, int]:
    try:
        channels, height, width = (int(part) for part in text.split(","))
    except ValueError:
        raise TrainingError(f"--image {text!r} must be three integers C,H,W") from None
    if min(channels, height, width) < 1:
        raise TrainingError(f"--image {text!r} must be three integers C,H,W of at least 1")
    return channels, height, width
