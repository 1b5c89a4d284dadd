"""Sum over lanes, in pipeline stages of one or more levels."""

from amaranth import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2


def latency(lanes: int, levels: int = 1) -> int:
    """Clock cycles from the values to their sum."""
    return -(-ceil_log2(lanes) // levels)


class AdderTree(wiring.Component):
    """total = sum of `lanes` signed values (a power of two of them), exactly.

    A pipeline stage adds `levels` levels of pairs. Latency `latency(lanes, levels)` cycles, one sum
    a cycle. The caller chooses `total_bits` such that the sum fits.
    """

    def __init__(self, value_bits: int, lanes: int, total_bits: int, levels: int = 1) -> None:
        super().__init__(
            {
                "values": In(data.ArrayLayout(signed(value_bits), lanes)),
                "total": Out(signed(total_bits)),
            }
        )
        self._lanes = lanes
        self._levels = levels

    def elaborate(self, platform: object) -> Module:
        """Pairs of values, pairs of sums, and so on."""
        m = Module()
        level = [self.values[lane] for lane in range(self._lanes)]
        depth = 0
        while len(level) > 1:
            sums = []
            depth += 1
            for i in range(0, len(level), 2):
                total = level[i] + level[i + 1]
                held = Signal(total.shape(), name=f"sum_{depth - 1}_{i}", reset_less=True)
                if depth % self._levels and len(level) > 2:
                    m.d.comb += held.eq(total)
                else:
                    m.d.sync += held.eq(total)
                sums.append(held)
            level = sums
        m.d.comb += self.total.eq(level[0])
        return m
