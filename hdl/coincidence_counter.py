"""Counting the coincidences that slots make on a tile."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.population_count import PopulationCount, latency

COUNTER_BITS = 64


class CoincidenceCounter(wiring.Component):
    """count = cells pulsed: rows that fire times columns that fire, summed over all slots.

    A slot counts once, in its last cycle (`slot_last`), on the `row_count` x `column_count` lines
    of the drivers; how many cells of the tile it moves is up to the array. A slot a cycle;
    `counter_latency` cycles from it to the count that includes it.
    """

    def __init__(self, row_count: int, column_count: int) -> None:
        self._sides = {"rows": row_count, "columns": column_count}
        super().__init__(
            {
                f"{side}_{polarity}": In(lines)
                for side, lines in self._sides.items()
                for polarity in ("positive", "negative")
            }
            | {"slot_last": In(1), "count": Out(COUNTER_BITS)}
        )

    def elaborate(self, platform: object) -> Module:
        """Two counts of lines, side by side; the product; the sum."""
        m = Module()
        most = max(latency(lines) for lines in self._sides.values())
        fired = []
        for side, lines in self._sides.items():
            m.submodules[side] = population = PopulationCount(lines)
            fires = getattr(self, f"{side}_positive") | getattr(self, f"{side}_negative")
            held = Signal(lines, name=f"{side}_fire")
            m.d.sync += held.eq(fires & self.slot_last.replicate(lines))
            m.d.comb += population.lines.eq(held)
            count = population.count
            for stage in range(most - latency(lines) + 1):  # both sides take as long
                later = Signal.like(count, name=f"{side}_count_{stage}")
                m.d.sync += later.eq(count)
                count = later
            fired.append(count)
        product = Signal(len(fired[0]) + len(fired[1]))
        m.d.sync += [product.eq(fired[0] * fired[1]), self.count.eq(self.count + product)]
        return m


def counter_latency(row_count: int, column_count: int) -> int:
    """Clock cycles from a slot's last one to the count that includes it."""
    return 4 + max(latency(row_count), latency(column_count))
