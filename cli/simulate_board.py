"""`eigenbar simulate-board`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import (
    BuildsOption,
    ConfigOption,
    PresetOption,
    SettingsOption,
    check_seed,
    chosen_parameters,
    tiles_of_grid,
)
from cli.output import console
from golden_model.arrays import Device
from hdl.system import twin_spec
from sim.simulated_board import SIMULATED_BAUD, SimulatedBoard, build_board, check_damage


def simulate_board(
    grid: Annotated[
        str, typer.Option(metavar="ROWS,COLUMNS", help="Tiles of the board's digital twin.")
    ],
    device_states: Annotated[int, typer.Option(help="States of its devices.")] = Device.states,
    damage: Annotated[
        float, typer.Option(help="Share of the frames that the line damages, both ways.")
    ] = 0.0,
    seed: Annotated[
        int, typer.Option(callback=check_seed, help="Determines what is damaged, and how.")
    ] = 0,
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
    spec = twin_spec(parameters, tiles_of_grid(grid), device_states)
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
