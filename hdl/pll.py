"""Phase-locked loops: the machine's clock from a board's oscillator, on each family of FPGAs.

With r the divider of the reference, f that of the feedback and o that of the output, a loop holds

    pfd = input / r      vco = pfd f o,  output = pfd f     (feedback from the output)
                         vco = pfd f,    output = vco / o   (feedback from the oscillator)

with each frequency in a range of its own. The ranges are those of the tools that the projects which
documented the FPGAs wrote for this purpose:

    ECP5        ecppll of Project Trellis (libtrellis/tools/ecppll.cpp)
    iCE40       icepll of Project IceStorm (icepll/icepll.cc), feedback SIMPLE
    GW2A C8/I7  gowin_pll of Project Apicula (apycula/gowin_pll.py), after Gowin's DS226
    7 series    LiteX (litex/soc/cores/clock/xilinx_s7.py), speed grade 1; its input is held to what
                boards have
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from amaranth import Const, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.boards import Family

Range = tuple[float, float]
"""Lowest and highest MHz."""

TOLERANCE = 1e-9
"""Relative error of a frequency in floating point."""


class ClockError(ValueError):
    """No setting of the loop gives the clock asked for."""


@dataclass(frozen=True)
class PllLimits:
    """What a family's loop can do; frequencies in MHz."""

    input: Range
    pfd: Range
    vco: Range
    output: Range
    reference: Sequence[int]
    """Dividers of the reference."""
    feedback: Sequence[int]
    """Dividers of the feedback."""
    divider: Sequence[int]
    """Dividers of the output."""
    from_output: bool
    """Whether the feedback is the output's."""


LIMITS = {
    Family.ECP5: PllLimits(
        input=(8, 400),
        pfd=(3.125, 400),
        vco=(400, 800),
        output=(10, 400),
        reference=range(1, 129),
        feedback=range(1, 81),
        divider=range(1, 129),
        from_output=True,
    ),
    Family.ICE40: PllLimits(
        input=(10, 133),
        pfd=(10, 133),
        vco=(533, 1066),
        output=(16, 275),
        reference=range(1, 17),
        feedback=range(1, 129),
        divider=(2, 4, 8, 16, 32, 64),
        from_output=False,
    ),
    Family.GOWIN: PllLimits(
        input=(3, 500),
        pfd=(3, 500),
        vco=(500, 1250),
        output=(3.90625, 625),
        reference=range(1, 65),
        feedback=range(1, 65),
        divider=(2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128),
        from_output=True,
    ),
    Family.XILINX7: PllLimits(
        input=(19, 200),
        pfd=(19, 200),
        vco=(800, 1600),
        output=(6.25, 400),
        reference=range(1, 57),
        feedback=range(2, 65),
        divider=range(1, 129),
        from_output=False,
    ),
}
"""The limits of each family."""


@dataclass(frozen=True)
class PllSetting:
    """Dividers of a loop, and the frequencies in MHz that they give."""

    input_mhz: float
    output_mhz: float
    vco_mhz: float
    reference: int
    feedback: int
    divider: int

    @property
    def pfd_mhz(self) -> float:
        """Frequency at which the phases are compared."""
        return self.input_mhz / self.reference


def pll_setting(family: Family, input_mhz: float, wanted_mhz: float) -> PllSetting:
    """The setting whose output comes nearest to `wanted_mhz` from below.

    Of several the one that compares at the highest frequency, and so follows its reference the
    closest, with the oscillator nearest to the middle of its range. Raises `ClockError` outside the
    limits.
    """
    limits = LIMITS[family]
    low, high = limits.output
    if not low <= wanted_mhz <= high:
        raise ClockError(
            f"a clock of {wanted_mhz:g} MHz is outside what the PLL of an {family.value} gives: "
            f"choose from {low:g} to {high:g} MHz, or the oscillator's {input_mhz:g} MHz itself"
        )
    middle = sum(limits.vco) / 2
    settings = list(_settings(limits, input_mhz, wanted_mhz))
    if not settings:
        raise ClockError(
            f"the PLL of an {family.value} makes no clock near {wanted_mhz:g} MHz from "
            f"{input_mhz:g} MHz; choose another with --clock"
        )
    return max(
        settings,
        key=lambda s: (round(s.output_mhz, 6), -s.reference, -abs(s.vco_mhz - middle)),
    )


def _settings(limits: PllLimits, input_mhz: float, highest: float) -> Iterator[PllSetting]:
    """All settings within `limits` whose output is at most `highest` MHz."""
    for reference in limits.reference:
        pfd = input_mhz / reference
        if not (_within(input_mhz, limits.input) and _within(pfd, limits.pfd)):
            continue
        for feedback, divider in product(limits.feedback, limits.divider):
            vco = pfd * feedback * (divider if limits.from_output else 1)
            output = vco / divider
            if _within(vco, limits.vco) and _within(output, (limits.output[0], highest)):
                yield PllSetting(input_mhz, output, vco, reference, feedback, divider)


def _within(frequency: float, limits: Range) -> bool:
    low, high = limits
    return low * (1 - TOLERANCE) <= frequency <= high * (1 + TOLERANCE)


class Pll(wiring.Component):
    """The loop of `family` at `setting`: a primitive of the FPGA.

    `clock_in` is the oscillator's pin, `clock` the output, and `locked` is asynchronous: low until
    the output is steady.
    """

    def __init__(self, family: Family, setting: PllSetting) -> None:
        self._family = family
        self._setting = setting
        super().__init__({"clock_in": In(1), "clock": Out(1), "locked": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """The primitive."""
        m = Module()
        make = _PRIMITIVES[self._family]
        m.submodules.primitive = make(self._setting, self.clock_in, self.clock, self.locked)
        return m


def _ecp5(setting: PllSetting, clock_in: Signal, clock: Signal, locked: Signal) -> Instance:
    return Instance(
        "EHXPLLL",
        a_ICP_CURRENT="12", a_LPF_RESISTOR="8",  # the loop's filter, as ecppll sets it
        a_MFG_ENABLE_FILTEROPAMP="1", a_MFG_GMCREF_SEL="2",
        p_CLKI_DIV=setting.reference,
        p_CLKFB_DIV=setting.feedback,
        p_CLKOP_DIV=setting.divider,
        p_CLKOP_CPHASE=setting.divider // 2,  # half a period, as ecppll sets it
        p_FEEDBK_PATH="CLKOP",
        p_CLKOP_ENABLE="ENABLED",
        i_CLKI=clock_in, i_CLKFB=clock, o_CLKOP=clock, o_LOCK=locked,
        i_RST=Const(0), i_STDBY=Const(0), i_ENCLKOP=Const(0), i_PLLWAKESYNC=Const(0),
        i_PHASESEL0=Const(0), i_PHASESEL1=Const(0), i_PHASEDIR=Const(1),
        i_PHASESTEP=Const(1), i_PHASELOADREG=Const(1),
    )  # fmt: skip


_ICE40_FILTER_MHZ = (17, 26, 44, 66, 101)
"""Frequencies of comparison from which the loop's filter takes its next range."""


def _ice40(setting: PllSetting, clock_in: Signal, clock: Signal, locked: Signal) -> Instance:
    # The oscillator's pin is the loop's own pad, which it must then take its input from.
    return Instance(
        "SB_PLL40_PAD",
        p_FEEDBACK_PATH="SIMPLE",
        p_DIVR=Const(setting.reference - 1, 4),
        p_DIVF=Const(setting.feedback - 1, 7),
        p_DIVQ=Const(setting.divider.bit_length() - 1, 3),
        p_FILTER_RANGE=Const(1 + sum(setting.pfd_mhz >= f for f in _ICE40_FILTER_MHZ), 3),
        i_PACKAGEPIN=clock_in, o_PLLOUTGLOBAL=clock, o_LOCK=locked,
        i_RESETB=Const(1), i_BYPASS=Const(0),
    )  # fmt: skip


def _gowin(setting: PllSetting, clock_in: Signal, clock: Signal, locked: Signal) -> Instance:
    return Instance(
        "rPLL",
        p_DEVICE="GW2A-18C",
        p_FCLKIN=f"{setting.input_mhz:g}",
        p_IDIV_SEL=setting.reference - 1,
        p_FBDIV_SEL=setting.feedback - 1,
        p_ODIV_SEL=setting.divider,
        i_CLKIN=clock_in, o_CLKOUT=clock, o_LOCK=locked,
        i_RESET=Const(0), i_RESET_P=Const(0), i_CLKFB=Const(0), i_FBDSEL=Const(0, 6),
        i_IDSEL=Const(0, 6), i_ODSEL=Const(0, 6), i_PSDA=Const(0, 4), i_DUTYDA=Const(0, 4),
        i_FDLY=Const(0, 4),
    )  # fmt: skip


def _xilinx7(setting: PllSetting, clock_in: Signal, clock: Signal, locked: Signal) -> Instance:
    feedback = Signal()
    return Instance(
        "PLLE2_BASE",
        p_CLKIN1_PERIOD=1000 / setting.input_mhz,
        p_DIVCLK_DIVIDE=setting.reference,
        p_CLKFBOUT_MULT=setting.feedback,
        p_CLKOUT0_DIVIDE=setting.divider,
        i_CLKIN1=clock_in, o_CLKFBOUT=feedback, i_CLKFBIN=feedback, o_CLKOUT0=clock,
        o_LOCKED=locked, i_RST=Const(0), i_PWRDWN=Const(0),
    )  # fmt: skip


_PRIMITIVES: dict[Family, Callable[[PllSetting, Signal, Signal, Signal], Instance]] = {
    Family.ECP5: _ecp5,
    Family.ICE40: _ice40,
    Family.GOWIN: _gowin,
    Family.XILINX7: _xilinx7,
}
