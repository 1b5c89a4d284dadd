"""Narrowing wide integers to words: shift, round half to even, saturate."""

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hdl.reset_less import reset_less

LATENCY = 4
"""Clock cycles from a value and its bits to its word."""


def shift_max(value_bits: int, width: int) -> int:
    """Largest useful `bits`: at it every value rounds to zero."""
    return value_bits + width - 1


class Narrower(wiring.Component):
    """A wide integer as a word: word = round(value / 2**(bits - (width - 1))), saturated.

    `bits` is the number of magnitude bits that should just fill a word, as found by
    `MagnitudeTracker`; a smaller number shifts left. The quotient must fit a word before it is
    rounded, so that only a rounding carry saturates. Golden counterpart: `WordFormat.narrow`.

    Latency `LATENCY` cycles, one value a cycle.

    Parameters
    ----------
    value_bits : int
        Width of the signed value.
    width : int
        Width of the word.
    """

    def __init__(self, value_bits: int, width: int) -> None:
        self.value_bits = value_bits
        self.width = width
        self.shift_bits = bits_for(shift_max(value_bits, width))
        super().__init__(
            {
                "value": In(signed(value_bits)),
                "bits": In(self.shift_bits),
                "word": Out(signed(width)),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Three stages of shifts that collect a sticky bit, then one that rounds."""
        m = Module()
        # One fraction bit, the guard, stays below the quotient; bits lost below it are sticky.
        value = Cat(Const(0, self.width), self.value).as_signed()
        sticky, bits = Const(0, 1), self.bits
        levels = list(reversed(range(self.shift_bits)))
        third = -(-len(levels) // 3)
        for stage in range(3):
            for level in levels[stage * third : (stage + 1) * third]:
                amount = 1 << level
                kept = self.width + amount
                shifted = (value >> amount)[:kept].as_signed()
                sticky = sticky | (bits[level] & value[:amount].any())
                value = Mux(bits[level], shifted, value[:kept].as_signed()).as_signed()
            value_q = Signal(signed(len(value)), name=f"value_{stage}", reset_less=True)
            sticky_q = Signal(name=f"sticky_{stage}", reset_less=True)
            bits_q = Signal(self.shift_bits, name=f"bits_{stage}", reset_less=True)
            m.d.sync += [value_q.eq(value), sticky_q.eq(sticky), bits_q.eq(bits)]
            value, sticky, bits = value_q, sticky_q, bits_q
        quotient = value[1:].as_signed()
        round_up = value[0] & (sticky | value[1])
        largest = (1 << (self.width - 1)) - 1
        saturated = round_up & (quotient == largest)
        word, word_saturated = reset_less(m, self.word), reset_less(m, self.saturated)
        m.d.sync += [
            word.eq(Mux(saturated, largest, quotient + round_up)),
            word_saturated.eq(saturated),
        ]
        return m
