"""How many of many lines are high."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

FAN_IN = 8
"""Numbers that a stage adds up."""


def latency(lines: int) -> int:
    """Clock cycles from the lines to their count."""
    stages = 0
    while lines > 1:
        lines = -(-lines // FAN_IN)
        stages += 1
    return stages


class PopulationCount(wiring.Component):
    """count = how many of `line_count` lines were high, `latency(line_count)` cycles ago.

    A tree of sums, `FAN_IN` a stage; a count a cycle.
    """

    def __init__(self, line_count: int) -> None:
        self._lines = line_count
        super().__init__({"lines": In(line_count), "count": Out(bits_for(line_count))})

    def elaborate(self, platform: object) -> Module:
        """A register for each sum."""
        m = Module()
        level = [self.lines[line] for line in range(self._lines)]
        depth = 0
        while len(level) > 1:
            sums = []
            for first in range(0, len(level), FAN_IN):
                total = sum(level[first + 1 : first + FAN_IN], level[first])
                register = Signal(total.shape(), name=f"sum_{depth}_{first}")
                m.d.sync += register.eq(total)
                sums.append(register)
            level, depth = sums, depth + 1
        m.d.comb += self.count.eq(level[0])
        return m
