"""A board in simulation: its design as a C++ model, its UART as a serial port of this computer.

Nothing that talks to it can tell it from a board, but by its speed: pseudo-terminals are POSIX's,
and know no baud rate. On the way the line damages as many frames as it is told to.
"""

from __future__ import annotations

import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from golden_model.link import LinkSpec
from golden_model.parameters import Parameters
from golden_model.twin import TwinSpec
from hdl.board import Board
from hdl.verilog import to_verilog
from sim.runner import MODEL_OPTIMISATION, MODEL_OPTIONS, TOP, build_once, model_commands
from sim.tools import SimulatorError, environment

SOURCE = Path(__file__).with_name("board.cpp")

LINK = LinkSpec(clocks_per_bit=4)
"""The simulated board's link: as few clock cycles a bit as there may be, each takes time."""

SIMULATED_BAUD = 19_200
"""Bits a second that the simulated UART takes at least, by which a host chooses its patience."""


@dataclass(frozen=True)
class LineStatistics:
    """Frames that have passed the line of a simulated board, and how many of them were damaged."""

    to_board: int
    to_board_damaged: int
    to_host: int
    to_host_damaged: int


def build_board(parameters: Parameters, spec: TwinSpec, folder: Path | None = None) -> Path:
    """The program that simulates the board of `parameters` and the twin of `spec`, built or found.

    Raises `SimulatorError` if Verilator, or what it needs, is missing or fails.
    """
    variables = environment("verilator")
    code = SOURCE.read_text()
    defines = [f"-DEIGENBAR_CLOCKS_PER_BIT={LINK.clocks_per_bit}"]

    def commands(source: Path) -> list[list[str]]:
        main = source.with_name("board.cpp")
        main.write_text(code)
        return model_commands([main, source], TOP, variables["PATH"], compiler=defines)

    recipe = repr((code, defines, MODEL_OPTIONS, MODEL_OPTIMISATION)).encode()
    text = to_verilog(Board(parameters, spec, LINK))
    return build_once(text, commands, "board", recipe, variables, folder) / TOP


def check_damage(share: float) -> None:
    """Raise `SimulatorError` if `share` is no share of the frames."""
    if not 0 <= share <= 1:
        raise SimulatorError(f"damage = {share} must be a share of the frames, from 0 to 1")


class SimulatedBoard:
    """A running board. As a context manager it ends with the context.

    Parameters
    ----------
    program
        What `build_board` has built.
    damage
        Share of the frames that the line damages, both ways, 0 to 1.
    seed
        Determines what is damaged, and how.
    """

    def __init__(self, program: Path, damage: float = 0.0, seed: int = 0) -> None:
        check_damage(damage)
        self._process = subprocess.Popen(
            [str(program), str(damage), str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = self._line()
        """Name of the serial port."""

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            self._ended()
        return line

    def _ended(self) -> NoReturn:
        raise SimulatorError(f"the simulated board ended with status {self._process.wait()}")

    def __enter__(self) -> SimulatedBoard:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.close()

    def wait(self) -> None:
        """Wait for good: raises `SimulatorError` when the simulation ends by itself."""
        self._ended()

    def close(self) -> LineStatistics:
        """End the simulation; what passed its line. Raises `SimulatorError` if it ended before."""
        assert self._process.stdin is not None
        with suppress(OSError):  # it ended by itself
            self._process.stdin.close()
        counts = map(int, self._line().split())
        self._process.wait()
        return LineStatistics(*counts)
