"""The command line: `eigenbar COMMAND --help` explains each command."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

# One thread for NumPy's matrix products, read when NumPy is imported: they are small, a second
# thread gains little and, where the processor is shared, waits for its turn many times as long.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from golden_model import (
    comparison,
    comparison_report,
    datasets,
    estimate,
    parallel,
    scheduling,
    setting_names,
    training,
)
from golden_model.architectures import NETWORKS, NetworkError
from golden_model.arrays import IDEAL, RANK_SEQUENTIAL, UPDATES, Device
from golden_model.comparison_results import with_energy
from golden_model.datasets import DatasetError
from golden_model.device_presets import PRESETS as DEVICE_PRESETS
from golden_model.devices import LAWS, DeviceError, Variation
from golden_model.energy import EnergyError, EnergyTable
from golden_model.files import why_unwritable, write_json
from golden_model.page import ReportError
from golden_model.parameters import PRESETS, ParameterError, Parameters
from golden_model.reads import MODES, ReadError, Reads
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
from golden_model.twin import TwinError
from hdl import build as board_build
from hdl import generation, vivado
from hdl.boards import BOARDS, Family, UnknownBoardError, board_named
from hdl.generation import GenerationError
from hdl.machines import Loopback, hosted
from hdl.pll import ClockError
from hdl.system import twin_spec
from hdl.toolchains import BuildError
from hdl.verilog import Design
from sim import cosim as simulation
from sim import read_cosim as read_simulation
from sim import rtl_training
from sim.board_port import DEFAULT_BAUD
from sim.command_stream import BoardError
from sim.cosim import CosimError
from sim.demo import Demo, run_demo
from sim.host_link import LinkError
from sim.report import HEADER, table_rows
from sim.rtl_training import HARNESSES, BoardAt, Hardware, Simulation
from sim.runner import BUILDS
from sim.simulated_board import SIMULATED_BAUD, SimulatedBoard, build_board, check_damage
from sim.tools import SIMULATORS, SimulatorError

USER_ERRORS = (
    ParameterError,
    DatasetError,
    DeviceError,
    EnergyError,
    NetworkError,
    TrainingError,
    ComparisonError,
    ReadError,
    ReportError,
    GenerationError,
    TwinError,
    UnknownBoardError,
    BuildError,
    ClockError,
    CosimError,
    SimulatorError,
    BoardError,
    LinkError,
)
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


PresetOption = Annotated[
    str | None,
    typer.Option(
        help=f"Parameters of the accelerator, default unless given. {_choices(tuple(PRESETS))}"
    ),
]
ConfigOption = Annotated[
    Path | None, typer.Option(help="TOML file of parameters, in place of a preset.")
]
SettingsOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A parameter's value; repeatable."),
]
JsonOption = Annotated[Path | None, typer.Option(help="File that takes the results as JSON.")]
SimulatorOption = Annotated[str, typer.Option(help=_choices(SIMULATORS))]
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
        help=f"{_choices(UPDATES)} The accelerator's outer products one after another, or the "
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


def print_table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print a table, narrow enough for 80 columns; numbers, in all but the first, to the right."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for index, name in enumerate(header):
        table.add_column(name, justify="right" if index else "left", no_wrap=index > 0)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def check_results(path: Path | None) -> None:
    """Raise `GenerationError` now, rather than when the work is done, if `path` is unwritable."""
    if path is not None and (reason := why_unwritable(path)):
        raise GenerationError(reason)


@app.command()
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


@app.command()
def build(
    board: Annotated[str, typer.Option(help=_choices(tuple(BOARDS)))],
    out: Annotated[Path, typer.Option(help="Folder for bitstream and results; made if need be.")],
    preset: Annotated[
        str | None,
        typer.Option(
            help=f"Parameters of the machine, the board's own unless given. "
            f"{_choices(tuple(PRESETS))}"
        ),
    ] = None,
    config: ConfigOption = None,
    settings: SettingsOption = None,
    seeds: Annotated[
        int, typer.Option(help="Placements to try, side by side on all cores; the fastest is kept.")
    ] = 4,
    clock: Annotated[
        float | None,
        typer.Option(metavar="MHZ", help="The machine's clock, the board's own unless given."),
    ] = None,
    grid: Annotated[
        str | None,
        typer.Option(
            metavar="ROWS,COLUMNS",
            help="Tiles of the digital twin, all that the drivers can address unless given.",
        ),
    ] = None,
    device_states: Annotated[int, typer.Option(help="States of its devices.")] = Device.states,
    baud: Annotated[int, typer.Option(help="Bits a second of the UART.")] = DEFAULT_BAUD,
    loopback: Annotated[
        bool,
        typer.Option(
            "--loopback",
            help="In place of the machine, send back what the UART receives: a first test of "
            "board, cable and programmer.",
        ),
    ] = False,
) -> None:
    """Make the bitstream of an FPGA board; continues where it was interrupted.

    Generates the machine, synthesises it with Yosys, places and routes it with nextpnr, packs it.
    Fails, telling by how much, if it does not fit the FPGA or misses its clock. For Arty A7, writes
    the project files of Vivado. Needs the extra fpga.
    """
    chosen = board_named(board)
    parameters = chosen_parameters(preset if preset or config else chosen.preset, config, settings)
    if loopback:
        job = board_build.Job(chosen, lambda mhz: Loopback(), {}, seeds, clock)
    else:
        tiles = _grid(grid) if grid else (parameters.grid_rows, parameters.grid_columns)
        twin = twin_spec(parameters, tiles, device_states)
        about = {
            "parameters": parameters.as_dict(),
            "grid": list(tiles),
            "device_states": device_states,
            "baud": baud,
        }
        job = board_build.Job(chosen, hosted(parameters, twin, baud), about, seeds, clock)
    if chosen.family is Family.XILINX7:
        for path in vivado.write_project(job, out)["files"]:
            typer.echo(path)
        return
    try:
        with BuildProgress() as progress:
            results = board_build.build(job, out, progress.show)
    except KeyboardInterrupt:
        console.print("interrupted: give the same command again to continue")
        raise typer.Exit(130) from None
    print_table(
        ("", "used", "available"),
        (
            (resource, f"{count['used']}", f"{count['available']}")
            for resource, count in results["utilization"].items()
        ),
    )
    typer.echo(
        f"{results['fmax_mhz']:g} MHz of {results['constraint_mhz']:g} MHz, seed {results['seed']}"
    )
    typer.echo(f"bitstream: {results['bitstream']}   results: {out / board_build.RESULTS}")


class BuildProgress:
    """A progress bar of a build's steps, and a line for each seed."""

    def __init__(self) -> None:
        self._bars = Progress(
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} steps"),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=console,
        )
        self._task = self._bars.add_task("", total=None, visible=False)

    def __enter__(self) -> BuildProgress:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def show(self, text: str, done: int, steps: int) -> None:
        """Tell `text`, with `done` of `steps` steps at an end."""
        self._bars.update(self._task, description=text, completed=done, total=steps, visible=True)


@app.command()
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
    data: Annotated[str, typer.Option(help=_choices((*simulation.DATA, "mixed")))] = "gaussian",
    from_training: Annotated[
        bool,
        typer.Option("--from-training", help="Replay batches of every layer of a CNN in training."),
    ] = False,
    dataset: Annotated[
        str, typer.Option(help=f"With --from-training. {_choices(datasets.DATASETS)}")
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
    seed: Annotated[int, typer.Option(help="Determines everything random.")] = 0,
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


@app.command("cosim-reads")
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
    seed: Annotated[int, typer.Option(help="Determines everything random.")] = 0,
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


@app.command()
def demo(
    preset: PresetOption = None,
    config: ConfigOption = None,
    settings: SettingsOption = None,
    simulator: SimulatorOption = "verilator",
    epochs: Annotated[int, typer.Option(help="Passes over the training images.")] = 10,
    rank: Annotated[int, typer.Option(help="Outer products of an update.")] = 4,
    seed: Annotated[int, typer.Option(help="Determines everything random.")] = 0,
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


@app.command()
def train(
    dataset: Annotated[str, typer.Option(help=_choices(datasets.DATASETS))] = "digits",
    network: Annotated[str, typer.Option(help=_choices(NETWORKS))] = "cnn",
    optimizer: Annotated[
        str, typer.Option(help=f"{_choices(OPTIMIZERS)} mbgd is mini-batch gradient descent.")
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
            help=f"{_choices(ARITHMETICS)} fixed: the accelerator's, to the bit; rtl: the same, "
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
            help=f"{_choices(ARRAYS)} ideal: weights in float, updated exactly; pulsed: weights "
            "in crossbar tiles, updated by the drivers' pulses. ideal unless given; pulsed in rtl "
            "and board."
        ),
    ] = None,
    update: UpdateOption = RANK_SEQUENTIAL,
    reads: Annotated[
        str,
        typer.Option(
            help=f"{_choices(MODES)} Exact products, or through DACs and ADCs (pulsed); --read-set "
            "has their properties."
        ),
    ] = Reads.mode,
    read_set: ReadSetOption = None,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="PRESET",
            help=f"A published device (pulsed). {_choices(tuple(DEVICE_PRESETS))} "
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
            f"{_choices((IDEAL, *LAWS))}"
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
            help=f"{_choices(SCHEDULES)} How the learning rate goes on: step multiplies it by "
            "--decay after every --decay-epochs, cosine lowers it to zero."
        ),
    ] = "constant",
    decay: Annotated[float, typer.Option(help="Factor of the learning rate (step).")] = 0.5,
    decay_epochs: Annotated[int, typer.Option(help="Epochs between two factors (step).")] = 1,
    seed: Annotated[int, typer.Option(help="Determines everything random.")] = 0,
    train_limit: Annotated[
        int | None, typer.Option(help="Train with the first so many images only.")
    ] = None,
    data_folder: DataFolderOption = None,
    harness: Annotated[
        str | None,
        typer.Option(
            help=f"What simulates (rtl), native unless given. {_choices(HARNESSES)} native: "
            "Verilator in C++, for long runs; cocotb: any simulator."
        ),
    ] = None,
    simulator: Annotated[
        str | None,
        typer.Option(help=f"Of cocotb (rtl), verilator unless given. {_choices(SIMULATORS)}"),
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
        layer_ranks=None if layer_ranks is None else _ranks(layer_ranks),
        block=block,
        momentum=momentum,
        arithmetic=arithmetic,
        array=array,
        update=update,
        reads=_reads(reads, read_set or []),
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
    table = _energy_table(energy)
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
        return BoardAt(port, baud or DEFAULT_BAUD)
    return None


@app.command("simulate-board")
def simulate_board(
    grid: Annotated[
        str, typer.Option(metavar="ROWS,COLUMNS", help="Tiles of the board's digital twin.")
    ],
    device_states: Annotated[int, typer.Option(help="States of its devices.")] = Device.states,
    damage: Annotated[
        float, typer.Option(help="Share of the frames that the line damages, both ways.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Determines what is damaged, and how.")] = 0,
    preset: PresetOption = None,
    config: ConfigOption = None,
    settings: SettingsOption = None,
    builds: BuildsOption = None,
) -> None:
    """Simulate a board behind a serial port of this computer, for `train --arithmetic board`.

    Runs until it is interrupted. train says how many tiles a network takes if there are too few.
    """
    parameters = chosen_parameters(preset, config, settings)
    check_damage(damage)
    spec = twin_spec(parameters, _grid(grid), device_states)
    with console.status("building the board"):
        program = build_board(parameters, spec, builds)
    with SimulatedBoard(program, damage, seed) as board:
        typer.echo(f"--port {board.port} --baud {SIMULATED_BAUD}")
        try:
            board.wait()
        except KeyboardInterrupt:
            passed = board.close()
            typer.echo(
                f"to the board {passed.to_board} frames, {passed.to_board_damaged} of them "
                f"damaged; to the host {passed.to_host}, {passed.to_host_damaged} damaged"
            )


def _grid(text: str) -> tuple[int, int]:
    try:
        rows, columns = (int(part) for part in text.split(","))
    except ValueError:
        raise SimulatorError(f"--grid {text!r} must be two integers ROWS,COLUMNS") from None
    return rows, columns


@app.command("estimate")
def estimate_command(
    dataset: Annotated[str, typer.Option(help=_choices(datasets.DATASETS))] = "fashion-mnist",
    image: Annotated[
        str | None,
        typer.Option(metavar="C,H,W", help="Shape of the images, in place of a data set's."),
    ] = None,
    classes: Annotated[int, typer.Option(help="Classes.")] = datasets.CLASSES,
    network: Annotated[str, typer.Option(help=_choices(NETWORKS))] = "cnn",
    optimizer: Annotated[str, typer.Option(help=_choices(OPTIMIZERS))] = "sbpca",
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
    table = _energy_table(energy)
    run = TrainingSettings(
        dataset=dataset,
        network=network,
        optimizer=optimizer,
        rank=rank,
        layer_ranks=None if layer_ranks is None else _ranks(layer_ranks),
        block=block,
        batch=batch,
        array="pulsed" if update != RANK_SEQUENTIAL else "ideal",
        update=update,
        reads=_reads(Reads.mode, read_set or []),
        parameters=parameters,
    )
    shape = datasets.SHAPES[dataset] if image is None else _image_shape(image)
    layers = estimate.estimate(run, shape, classes, slots or parameters.max_slots, table)
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


def _reads(mode: str, texts: Iterable[str]) -> Reads:
    return Reads(**{"mode": mode} | _settings_below("reads", "--read-set", texts, ReadError))


def _settings_below(
    owner: str, option: str, texts: Iterable[str], error: type[Exception]
) -> dict[str, Any]:
    """The values of the NAME=VALUE `texts` of `option`, settings of `owner`, by NAME."""
    values = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            raise error(f"{option} {text!r} must have the form NAME=VALUE")
        values[name.strip()] = setting_names.parse(f"{owner}.{name.strip()}", value)
    return values


def _energy_table(path: Path | None) -> EnergyTable:
    return EnergyTable() if path is None else EnergyTable.from_toml(path)


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
    values |= _settings_below("device", "--device-set", texts, DeviceError)
    base = TrainingSettings(device=Device() if preset is None else Device.preset(preset))
    named = {f"device.{name}": value for name, value in values.items()}
    return setting_names.with_values(base, named).device


def _ranks(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise TrainingError(f"--layer-ranks {text!r} must be integers K,K,...") from None


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


ENCODINGS = {"scrambled": True, "stochastic": False}
"""Pulse encodings, and what they mean for `Device.scrambled`."""


def _values_option(help_: str) -> object:
    return typer.Option(metavar="VALUE,...", help=help_)


@app.command()
def compare(
    out: Annotated[Path, typer.Option(help="Folder for results and report; made if need be.")],
    sweep: Annotated[
        Path | None, typer.Argument(help="TOML file of the runs; docs/compare.md describes it.")
    ] = None,
    dataset: Annotated[str | None, _values_option(_choices(datasets.DATASETS))] = None,
    network: Annotated[str | None, _values_option(_choices(NETWORKS))] = None,
    optimizer: Annotated[str | None, _values_option(_choices(OPTIMIZERS))] = None,
    rank: Annotated[str | None, _values_option("Outer products of an update.")] = None,
    width: Annotated[str | None, _values_option("Bits of a word.")] = None,
    block: Annotated[str | None, _values_option("Images a block.")] = None,
    arithmetic: Annotated[str | None, _values_option(_choices(ARITHMETICS))] = None,
    array: Annotated[str | None, _values_option(_choices(ARRAYS))] = None,
    encoding: Annotated[
        str | None, _values_option(f"Pulses (pulsed). {_choices(tuple(ENCODINGS))}")
    ] = None,
    device: Annotated[
        str | None,
        _values_option(f"Published devices (pulsed). {_choices(tuple(DEVICE_PRESETS))}"),
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
    table = _energy_table(energy)
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
        raise ComparisonError(f"encoding {encoding!r} is unknown; {_choices(tuple(ENCODINGS))}")
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


def main() -> None:
    """Run the command line; a user's error becomes one line on stderr and exit status 2."""
    try:
        app()
    except USER_ERRORS as error:
        print(f"eigenbar: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
