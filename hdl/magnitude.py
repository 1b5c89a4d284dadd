"""Largest magnitude of a stream of wide results, as a number of bits."""

from functools import reduce
from operator import or_

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hdl.rounding import highest_one

LATENCY = 3
"""Clock cycles from the last values to `bits` and `nonzero`."""


class MagnitudeTracker(wiring.Component):
    """Magnitude bits of the largest of all values since those that came with `first`.

    bits = bit length of max(v, -1 - v), the width below the sign that the values need; found as
    the highest one of the OR of all v ^ sign(v). Golden counterpart: `formats.magnitude_bits`.
    `nonzero` tells whether any value was not zero. Several lanes a cycle; latency `LATENCY`, `bits`
    being a few gates away from its registers.

    Parameters
    ----------
    value_bits : int
        Width of the signed values.
    lanes : int
        Values a cycle.
    """

    def __init__(self, value_bits: int, lanes: int) -> None:
        super().__init__(
            {
                "valid": In(1),
                "first": In(1),
                "values": In(data.ArrayLayout(signed(value_bits), lanes)),
                "bits": Out(bits_for(value_bits - 1)),
                "nonzero": Out(1),
            }
        )
        self._value_bits = value_bits
        self._lanes = lanes

    def elaborate(self, platform: object) -> Module:
        """OR over the lanes, OR over time, highest one."""
        m = Module()
        top = self._value_bits - 1
        values = [self.values[lane] for lane in range(self._lanes)]
        magnitudes = [Mux(value[-1], ~value[:top], value[:top]) for value in values]
        # Above the magnitude stands the sign: -1 has no magnitude bits but is not zero.
        lanes_or = Signal(self._value_bits, reset_less=True)
        seen = Signal(self._value_bits, reset_less=True)
        restart = Signal()
        with m.If(self.valid):
            m.d.sync += lanes_or.eq(
                Cat(reduce(or_, magnitudes), Cat(value[-1] for value in values).any())
            )
        with m.Else():
            m.d.sync += lanes_or.eq(0)
        m.d.sync += restart.eq(self.valid & self.first)
        m.d.sync += seen.eq(Mux(restart, 0, seen) | lanes_or)
        m.d.sync += self.nonzero.eq(seen.any())

        # The highest one of each byte, then the highest byte
        length = Signal.like(self.bits)
        for low in range(0, top, 8):
            byte = seen[low : min(low + 8, top)]
            place = Signal(4, name=f"place_{low}", reset_less=True)
            occupied = Signal(name=f"any_{low}", reset_less=True)
            m.d.sync += [place.eq(highest_one(byte)), occupied.eq(byte.any())]
            with m.If(occupied):
                m.d.comb += length.eq(place + low)
        m.d.comb += self.bits.eq(length)
        return m
