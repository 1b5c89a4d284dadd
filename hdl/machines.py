"""What goes on a board: components with a UART's `rx` and `tx`, and `fault`."""

from __future__ import annotations

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

    What is returned raises `BuildError` where the clock has no divisor for that rate.
    """

    def make(clock_mhz: float) -> Board:
        clocks = clock_mhz * 1e6 / baud
        error = abs(round(clocks) / clocks - 1)
        if clocks < 4 or error > BAUD_TOLERANCE:
            raise BuildError(
                f"{baud} baud are not to be had of {clock_mhz:g} MHz, {clocks:.2f} cycles a bit: "
                f"at least 4, and within {BAUD_TOLERANCE:.0%} of a whole number, are needed; "
                f"choose another --baud, such as {round(clock_mhz * 1e6) // max(4, round(clocks))}"
            )
        return Board(parameters, twin, LinkSpec(clocks_per_bit=round(clocks)))

    return make
