"""Counting the pulses on many lines."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

FAN_IN = 8
"""Numbers that a stage adds up."""

COUNTER_BITS = 32


def latency(lines: int) -> int:
    """Clock cycles from the lines to the counter that includes them."""
    levels = 1
    while lines > 1:
        lines = -(-lines // FAN_IN)
        levels += 1
    return levels


class PulseCounter(wiring.Component):
    """count = cycles in which a line was high, summed over all `lines`, since `clear`.

    Stays at its largest value instead of wrapping. Latency `latency(lines)` cycles.

    Parameters
    ----------
    line_count : int
        Number of lines.
    count_bits : int
        Bits of the counter.
    """

    def __init__(self, line_count: int, count_bits: int = COUNTER_BITS) -> None:
        self._lines = line_count
        self._count_bits = count_bits
        super().__init__({"clear": In(1), "lines": In(line_count), "count": Out(count_bits)})

    def elaborate(self, platform: object) -> Module:
        """A tree of sums, `FAN_IN` a stage, and the counter."""
        m = Module()
        level = [self.lines[line] for line in range(self._lines)]
        depth = 0
        while len(level) > 1:
            sums = []
            for first in range(0, len(level), FAN_IN):
                total = sum(level[first + 1 : first + FAN_IN], level[first])
                register = Signal(total.shape(), name=f"sum_{depth}_{first}")
                m.d.sync += register.eq(total)
                with m.If(self.clear):
                    m.d.sync += register.eq(0)
                sums.append(register)
            level, depth = sums, depth + 1
        total = Signal(self._count_bits + 1)
        m.d.comb += total.eq(self.count + level[0])
        with m.If(self.clear):
            m.d.sync += self.count.eq(0)
        with m.Elif(total[-1]):
            m.d.sync += self.count.eq(~0)
        with m.Else():
            m.d.sync += self.count.eq(total)
        return m
