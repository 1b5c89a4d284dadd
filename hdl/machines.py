"""What goes on a board: components with a UART's `rx` and `tx`, and `fault`."""

from __future__ import annotations

import math
from collections.abc import Callable

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden_model.link import LinkSpec
from golden_model.parameters import Parameters
from golden_model.twin import TwinSpec
from hdl.board import Board
from hdl.toolchains import BuildError

Machine = Callable[[float], wiring.Component]
"""What makes a machine, told its clock in MHz."""

BAUD_TOLERANCE = 0.02
"""Largest relative error of the UART's rate, of which the two ends may differ by some 5 %: the last
of ten bits is then still sampled inside itself."""


class Loopback(wiring.Component):
    """A machine for a board's first test: `tx` is `rx` a cycle later, `fault` is off."""

    def __init__(self) -> None:
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "fault": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """One register."""
        m = Module()
        m.d.sync += self.tx.eq(self.rx)
        return m


def hosted(parameters: Parameters, twin: TwinSpec, baud: int) -> Machine:
    """The machine of `parameters` with its `twin`, for a host at `baud` bits a second.

    What is returned raises `BuildError` where the clock does not give that rate.
    """
    return lambda mhz: Board(parameters, twin, LinkSpec(clocks_per_bit=clocks_per_bit(mhz, baud)))


def clocks_per_bit(clock_mhz: float, baud: int) -> int:
    """Cycles of a bit; raises `BuildError` if they are too few, or too far from a whole number."""
    if baud < 1:
        raise BuildError(f"baud = {baud} must be at least 1 bit a second")
    clocks = clock_mhz * 1e6 / baud
    if clocks < 4 or abs(round(clocks) / clocks - 1) > BAUD_TOLERANCE:
        possible = math.floor(clock_mhz * 1e6 / max(4, round(clocks)))
        raise BuildError(
            f"{clock_mhz:g} MHz do not give {baud} baud: {clocks:.2f} cycles a bit, which must be "
            f"at least 4 and within {BAUD_TOLERANCE:.0%} of a whole number; choose another "
            f"--baud, such as {possible}"
        )
    return round(clocks)
