"""Sum over lanes, one pipeline stage a level."""

from amaranth import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2


def latency(lanes: int) -> int:
    """Clock cycles from the values to their sum."""
    return ceil_log2(lanes)


class AdderTree(wiring.Component):
    """total = sum of `lanes` signed values (a power of two of them), exactly.

    Latency `latency(lanes)` cycles, one sum a cycle. The caller chooses `total_bits` such that the
    sum fits.
    """

    def __init__(self, value_bits: int, lanes: int, total_bits: int) -> None:
        super().__init__(
            {
                "values": In(data.ArrayLayout(signed(value_bits), lanes)),
                "total": Out(signed(total_bits)),
            }
        )
        self._lanes = lanes

    def elaborate(self, platform: object) -> Module:
        """Pairs of values, pairs of sums, and so on."""
        m = Module()
        level = [self.values[lane] for lane in range(self._lanes)]
        depth = 0
        while len(level) > 1:
            sums = []
            for i in range(0, len(level), 2):
                total = level[i] + level[i + 1]
                register = Signal(total.shape(), name=f"sum_{depth}_{i}")
                m.d.sync += register.eq(total)
                sums.append(register)
            level, depth = sums, depth + 1
        m.d.comb += self.total.eq(level[0])
        return m
