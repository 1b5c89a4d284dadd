"""Constraints of a board's pins and clock, as the tools of its family read them.

The files in the folder constraints/ are what is used. This module says what they must hold: the
pins of `BoardSpec`, which a test compares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from hdl.boards import BoardSpec, Family, Pin

FOLDER = Path(__file__).parents[1] / "constraints"
"""The constraint files, in a checkout and in an installation alike."""


def constraints_file(board: BoardSpec) -> Path:
    """The file of `board`."""
    return FOLDER / f"{board.name}.{_WRITERS[board.family][0]}"


def constraints_text(board: BoardSpec) -> str:
    """What the file of `board` must hold."""
    _, comment, write = _WRITERS[board.family]
    platform = board.platform
    heading = (
        f"{comment} Pins and clock of BoardTop on {board.name}, as amaranth-boards has them:\n"
        f"{comment} {platform.__module__}.{platform.__name__}\n"
    )
    return heading + "".join(f"{line}\n" for line in write(board))


def _lpf(board: BoardSpec) -> Iterator[str]:
    yield "BLOCK RESETPATHS;"
    yield "BLOCK ASYNCPATHS;"
    for pin in board.pins:
        yield f'LOCATE COMP "{pin.port}" SITE "{pin.site}";'
        yield f'IOBUF PORT "{pin.port}" {_settings(pin)};'
    yield f'FREQUENCY PORT "clk" {board.clock_mhz:g} MHZ;'


def _pcf(board: BoardSpec) -> Iterator[str]:
    for pin in board.pins:
        pull_up = "-pullup yes " if ("PULLUP", "1") in pin.attributes else ""
        yield f"set_io {pull_up}{pin.port} {pin.site}"
    yield f"set_frequency clk {board.clock_mhz:g}"


def _cst(board: BoardSpec) -> Iterator[str]:
    yield f"// The format has no clocks: clk has {board.clock_mhz:g} MHz."
    for pin in board.pins:
        yield f'IO_LOC "{pin.port}" {pin.site};'
        yield f'IO_PORT "{pin.port}" {_settings(pin)};'


def _xdc(board: BoardSpec) -> Iterator[str]:
    for pin in board.pins:
        settings = (("PACKAGE_PIN", pin.site), *pin.attributes)
        listed = " ".join(f"{name} {value}" for name, value in settings)
        yield f"set_property -dict {{ {listed} }} [get_ports {{ {pin.port} }}]"
    # The voltage of the configuring bank, which the tools ask for, as amaranth-boards states it.
    yield "set_property CFGBVS VCCO [current_design]"
    yield "set_property CONFIG_VOLTAGE 3.3 [current_design]"
    yield f"create_clock -name clk -period {1000 / board.clock_mhz:g} [get_ports {{ clk }}]"


def _settings(pin: Pin) -> str:
    return " ".join(f"{name}={value}" for name, value in pin.attributes)


_WRITERS: dict[Family, tuple[str, str, Callable[[BoardSpec], Iterator[str]]]] = {
    Family.ECP5: ("lpf", "#", _lpf),
    Family.ICE40: ("pcf", "#", _pcf),
    Family.GOWIN: ("cst", "//", _cst),
    Family.XILINX7: ("xdc", "#", _xdc),
}
"""Suffix, start of a comment, and writer of a family's files."""
