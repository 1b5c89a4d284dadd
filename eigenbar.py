"""The command line: `eigenbar COMMAND --help` explains each command."""

from __future__ import annotations

import errno
import os
import sys
from typing import NoReturn

# One thread for NumPy's matrix products, read when NumPy is imported: they are small, a second
# thread gains little and, where the processor is shared, waits for its turn many times as long.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import typer

from cli.build import build
from cli.compare import compare
from cli.cosim import cosim, cosim_reads
from cli.demo import demo
from cli.estimate import estimate_command
from cli.generate import generate
from cli.simulate_board import simulate_board
from cli.train import train
from golden_model.architectures import NetworkError
from golden_model.datasets import DatasetError
from golden_model.devices import DeviceError
from golden_model.energy import EnergyError
from golden_model.page import ReportError
from golden_model.parameters import ParameterError
from golden_model.reads import ReadError
from golden_model.sweep import ComparisonError
from golden_model.training_settings import TrainingError
from golden_model.twin import TwinError
from hdl.boards import UnknownBoardError
from hdl.generation import GenerationError
from hdl.pll import ClockError
from hdl.toolchains import BuildError
from sim.command_stream import BoardError
from sim.cosim import CosimError
from sim.host_link import LinkError
from sim.tools import SimulatorError

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

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""What an `OSError` says of a disk that takes no more, wherever it happens."""

app = typer.Typer(
    help="Generate and model accelerators that train neural networks in analog crossbars.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def eigenbar() -> None:
    """Generate and model accelerators that train neural networks in analog crossbars."""


app.command()(generate)
app.command()(build)
app.command()(cosim)
app.command("cosim-reads")(cosim_reads)
app.command()(demo)
app.command()(train)
app.command("simulate-board")(simulate_board)
app.command("estimate")(estimate_command)
app.command()(compare)


def main() -> None:
    """Run the command line; a user's error becomes one line on stderr and exit status 2."""
    try:
        app()
    except USER_ERRORS as error:
        _fail(str(error))
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        _fail(
            f"cannot write {error.filename or 'a file'}: {error.strerror}; make room, and try again"
        )


def _fail(message: str) -> NoReturn:
    print(f"eigenbar: {message}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
