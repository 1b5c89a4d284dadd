"""A machine for a board's first test: it sends back what it receives."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class Loopback(wiring.Component):
    """A machine for `hdl.board_top.BoardTop`: `tx` is `rx` a cycle later, `fault` is off."""

    def __init__(self) -> None:
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "fault": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """One register."""
        m = Module()
        m.d.sync += self.tx.eq(self.rx)
        return m
