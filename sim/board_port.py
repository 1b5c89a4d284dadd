"""The serial port of a board, opened for training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from golden_model.link import OVERHEAD_BYTES, LinkSpec
from golden_model.parameters import Parameters
from golden_model.twin import TwinSpec
from sim.board import BoardHarness
from sim.command_stream import BoardError
from sim.host_link import HostLink

DEFAULT_BAUD = 1_000_000
"""Bits a second of a board's UART."""

PATIENCE_S = 600
"""Seconds for which a board may compute before it answers: a simulated one is slow."""

BIT_TIMES = 10
"""Bits that a byte takes on the line."""


@contextmanager
def open_board(
    name: str, baud: int, parameters: Parameters, needed: TwinSpec
) -> Iterator[BoardHarness]:
    """A board at serial port `name` of this computer, or at a URL that pyserial knows.

    Raises `BoardError` for a port that cannot be opened, and what `BoardHarness` raises.
    """
    if baud < 1:
        raise BoardError(f"baud = {baud} must be at least 1 bit a second")
    try:
        import serial
    except ImportError as error:
        raise BoardError(
            "a board needs pyserial; install the extra: pip install 'eigenbar[board]'"
        ) from error
    try:
        # Two hosts on one port would take each other's frames.
        options: dict[str, Any] = {} if "://" in name else {"exclusive": True}
        port = serial.serial_for_url(name, baudrate=baud, **options)
    except (OSError, OverflowError, ValueError) as error:
        raise BoardError(f"cannot open port {name}: {error}{_ports()}") from error
    frame = (OVERHEAD_BYTES + LinkSpec().max_payload) * BIT_TIMES / baud
    try:
        with closing(port):
            link = HostLink(port, LinkSpec(), timeout=max(0.1, 6 * frame), patience=PATIENCE_S)
            with closing(BoardHarness(link, parameters, needed)) as harness:
                yield harness
    except serial.SerialException as error:
        raise BoardError(f"port {name} failed: {error}") from error


def _ports() -> str:
    """The serial ports that there are, as the end of an error message."""
    from serial.tools import list_ports

    names = sorted(port.device for port in list_ports.comports())
    return f"; ports here: {', '.join(names)}" if names else "; no serial port was found here"
