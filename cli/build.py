"""`eigenbar build`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from cli.options import ConfigOption, SettingsOption, choices, chosen_parameters, tiles_of_grid
from cli.output import console, print_table
from golden_model.arrays import Device
from golden_model.parameters import PRESETS
from hdl import build as board_build
from hdl import vivado
from hdl.boards import BOARDS, Family, board_named
from hdl.machines import Loopback, hosted
from hdl.system import twin_spec
from sim.board_port import DEFAULT_BAUD


def build(
    board: Annotated[str, typer.Option(help=choices(tuple(BOARDS)))],
    out: Annotated[Path, typer.Option(help="Folder for bitstream and results; made if need be.")],
    preset: Annotated[
        str | None,
        typer.Option(
            help=f"Parameters of the machine, the board's own unless given. "
            f"{choices(tuple(PRESETS))}"
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
        tiles = tiles_of_grid(grid) if grid else (parameters.grid_rows, parameters.grid_columns)
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
