"""Drawing a cell of the crossbar's digital twin from random words."""

from functools import reduce
from operator import add

from amaranth import Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from golden_model.random_bits import WORD_BITS
from golden_model.twin import NORMAL_RANGE, SPREAD_FRACTION_BITS, TwinSpec
from hdl.twin_lane import cell_layout, round_shift

LATENCY = 4
"""Clock cycles from the random words to the cell."""


class CellDraw(wiring.Component):
    """A fresh cell from two random words of a mixer: in the middle, not stuck, with its own steps.

    up = nominal + size + tilt and down = nominal + size - tilt, where `a` draws the size and `b`
    the tilt, each a sum of its word's bytes times a constant, rounded. Golden counterpart:
    `twin.TwinArray.draw`. Latency `LATENCY` cycles, a cell a cycle.
    """

    def __init__(self, spec: TwinSpec) -> None:
        self._spec = spec
        super().__init__({"a": In(WORD_BITS), "b": In(WORD_BITS), "cell": Out(cell_layout(spec))})

    def elaborate(self, platform: object) -> Module:
        """Sums of bytes; products; sizes and tilts; limits."""
        m = Module()
        spec = self._spec
        m.d.comb += self.cell.conductance.eq(spec.middle)
        if not spec.step_bits:
            return m
        size_factor, tilt_factor, mean_tilt = spec.draw_factors
        size = self._scaled(m, "size", self.a, size_factor)
        tilt = self._scaled(m, "tilt", self.b, tilt_factor)
        wide = spec.step_bits + SPREAD_FRACTION_BITS
        sizes = Signal(signed(wide))
        tilts = Signal(signed(wide))
        m.d.sync += [sizes.eq(spec.nominal_step + size), tilts.eq(mean_tilt + tilt)]
        least, most = spec.steps_allowed
        for step, value in ((self.cell.up, sizes + tilts), (self.cell.down, sizes - tilts)):
            m.d.sync += step.eq(Mux(value < least, least, Mux(value > most, most, value)))
        return m

    def _scaled(self, m: Module, name: str, word: Value, factor: int) -> Value:
        """The word's sum of bytes less its mean, times `factor`, rounded off its fraction bits."""
        total = Signal(signed(bits_for(NORMAL_RANGE) + 1), name=f"{name}_normal")
        product = Signal(signed(len(total) + bits_for(factor)), name=f"{name}_product")
        m.d.sync += [
            total.eq(reduce(add, (word.word_select(byte, 8) for byte in range(4))) - NORMAL_RANGE),
            product.eq(total * factor),
        ]
        return round_shift(product, SPREAD_FRACTION_BITS)
