"""The FPGA boards that `eigenbar build` knows: what is on them, and which machine is made for them.

Devices, pins and clocks are amaranth-boards', under whose names the boards go. Here stands what
that package cannot know: which of the pins the machine uses, its clock and its parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from amaranth.build import Platform, Resource, Subsignal
from amaranth_boards.arty_a7 import ArtyA7_35Platform
from amaranth_boards.ecpix5 import ECPIX585Platform
from amaranth_boards.icebreaker import ICEBreakerPlatform
from amaranth_boards.icesugar_pro import ICESugarProPlatform
from amaranth_boards.tang_primer_20k import TangPrimer20kDockPlatform
from amaranth_boards.ulx3s import ULX3S_85F_Platform


class UnknownBoardError(ValueError):
    """There is no board of a name."""


class Family(Enum):
    """Families of FPGAs."""

    ECP5 = "ecp5"
    ICE40 = "ice40"
    GOWIN = "gowin"
    XILINX7 = "xilinx7"


Led = tuple[str, int] | tuple[str, int, str]
"""Name and number of an LED's resource, and the colour of one of several."""


@dataclass(frozen=True)
class Pin:
    """A pin of the FPGA as a board uses it."""

    port: str
    """The port of `hdl.board_top.BoardTop` that it carries."""
    site: str
    """Its name in the FPGA's package."""
    inverted: bool
    """Whether low is active."""
    attributes: tuple[tuple[str, str], ...]
    """Names and values of what its buffer is set to, in the terms of the family's tools."""


@dataclass(frozen=True)
class BoardSpec:
    """A board, and the machine that is made for it unless another is asked for. Immutable."""

    name: str
    platform: type[Platform]
    """amaranth-boards' description."""
    family: Family
    machine_mhz: float
    """Clock of the machine unless another is asked for."""
    preset: str
    """Preset of the machine's parameters unless others are asked for."""
    leds: tuple[Led, Led]
    """LEDs of BoardTop's ports `running` and `fault`."""

    @cached_property
    def _description(self) -> Platform:
        return self.platform()

    @property
    def device(self) -> str:
        """The FPGA, as amaranth-boards calls it; of Gowin with package and speed grade."""
        found = self._description
        return found.part if self.family is Family.GOWIN else found.device

    @property
    def chip(self) -> str:
        """The FPGA without package and speed grade."""
        found = self._description
        return found.family if self.family is Family.GOWIN else found.device

    @property
    def package(self) -> str:
        """The FPGA's package, as amaranth-boards calls it."""
        return self._description.package

    @property
    def speed(self) -> str | None:
        """The FPGA's speed grade; None where there is only one."""
        return getattr(self._description, "speed", None)

    @property
    def clock_mhz(self) -> float:
        """Frequency of the oscillator."""
        return self._description.default_clk_frequency / 1e6

    @cached_property
    def pins(self) -> tuple[Pin, ...]:
        """The pins that the machine uses: `clk`, `uart_rx`, `uart_tx`, `running`, `fault`."""
        found = self._description
        uart = found.lookup("uart")
        running, fault = (found.lookup(*led[:2]) for led in self.leds)
        return (
            _pin("clk", found.lookup(found.default_clk)),
            _pin("uart_rx", uart, "rx"),
            _pin("uart_tx", uart, "tx"),
            _pin("running", running, *self.leds[0][2:]),
            _pin("fault", fault, *self.leds[1][2:]),
        )

    def pin(self, port: str) -> Pin:
        """The pin that carries `port`."""
        return next(pin for pin in self.pins if pin.port == port)


def _pin(port: str, resource: Resource, part: str | None = None) -> Pin:
    """The one pin of `resource`, or of its signal `part`."""
    described: Subsignal = resource
    attributes = dict(resource.attrs)
    if part is not None:
        described = next(signal for signal in resource.ios if signal.name == part)
        attributes |= described.attrs
    (pins,) = described.ios
    (site,) = pins.names
    values = tuple((name, str(value)) for name, value in attributes.items())
    return Pin(port, site, pins.invert, values)


BOARDS = {
    board.name: board
    for board in (
        BoardSpec(
            name="ulx3s_85f",
            platform=ULX3S_85F_Platform,
            family=Family.ECP5,
            machine_mhz=50,
            preset="small",
            leds=(("led", 0), ("led", 1)),
        ),
        BoardSpec(
            name="ecpix5_85",
            platform=ECPIX585Platform,
            family=Family.ECP5,
            machine_mhz=50,
            preset="small",
            leds=(("rgb_led", 0, "g"), ("rgb_led", 0, "r")),
        ),
        BoardSpec(
            name="icesugar_pro",
            platform=ICESugarProPlatform,
            family=Family.ECP5,
            machine_mhz=50,
            preset="tiny",
            leds=(("rgb_led", 0, "g"), ("rgb_led", 0, "r")),
        ),
        BoardSpec(
            name="icebreaker",
            platform=ICEBreakerPlatform,
            family=Family.ICE40,
            machine_mhz=24,
            preset="tiny",
            leds=(("led_g", 0), ("led_r", 0)),
        ),
        BoardSpec(
            name="tang_primer_20k",
            platform=TangPrimer20kDockPlatform,
            family=Family.GOWIN,
            machine_mhz=27,
            preset="tiny",
            leds=(("led", 0), ("led", 1)),
        ),
        BoardSpec(
            name="arty_a7_35",
            platform=ArtyA7_35Platform,
            family=Family.XILINX7,
            machine_mhz=50,
            preset="tiny",
            leds=(("led", 0), ("led", 1)),
        ),
    )
}
"""The boards by name."""


def board_named(name: str) -> BoardSpec:
    """The board `name`; raises `UnknownBoardError` if there is none."""
    if name not in BOARDS:
        raise UnknownBoardError(f"unknown board {name!r}; choose one of: {', '.join(BOARDS)}")
    return BOARDS[name]
