"""Counting the pulses on many lines."""

from amaranth import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl import population_count
from hdl.population_count import PopulationCount

COUNTER_BITS = 32


def latency(lines: int) -> int:
    """Clock cycles from the lines to the counter that includes them."""
    return population_count.latency(lines) + 1


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
        """The lines' count, and the sum of counts."""
        m = Module()
        m.submodules.population = population = PopulationCount(self._lines)
        m.d.comb += population.lines.eq(self.lines)
        # The lines of the clear's cycle, and those before, come until then.
        clearing = Signal(population_count.latency(self._lines))
        m.d.sync += clearing.eq(Cat(self.clear, clearing))
        total = Signal(self._count_bits + 1)
        m.d.comb += total.eq(self.count + population.count)
        with m.If(self.clear | clearing.any()):
            m.d.sync += self.count.eq(0)
        with m.Elif(total[-1]):
            m.d.sync += self.count.eq(~0)
        with m.Else():
            m.d.sync += self.count.eq(total)
        return m
