"""Column duties from error words: a multiplication, a shift, rounding and clipping."""

from amaranth import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from golden_model.scalar import SIGNIFICAND_BITS

LATENCY = 7
"""Clock cycles from a word to its duty."""


def line_duty(width: int) -> data.StructLayout:
    """A line's duty, from 0 to 2**(width - 1), and whether its polarity is negative."""
    return data.StructLayout({"magnitude": width, "negative": 1})


def magnitude(word: Value) -> Value:
    """|word| of a signed word, as unsigned bits of the same width."""
    return Mux(word[-1], -word, word)[: len(word)]


def shift_max(width: int) -> int:
    """Largest useful `shift`: at it every product rounds to zero."""
    return width + SIGNIFICAND_BITS + 1


class DutyScaler(wiring.Component):
    """duty = |word| * significand * 2 / 2**shift, rounded half to even and clipped to 1.

    Duty 2**(width - 1) stands for 1. `clipped` tells that the duty was larger. The polarity is the
    opposite of the word's sign. Golden counterpart: `pulses.scale_duties`, with shift =
    SIGNIFICAND_BITS + 1 + log2(slots) - (exponent of kappa + 2 width - 2), from 0 to `shift_max`,
    beyond which duties no longer change: a nonzero word's product is at least
    2**(SIGNIFICAND_BITS - 1), so that at shift 0 every one of them clips.

    Latency `LATENCY` cycles, one word a cycle. One multiplier, with registers before and after.

    Parameters
    ----------
    width : int
        Bits of a word.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        super().__init__(
            {
                "significand": In(SIGNIFICAND_BITS),
                "shift": In(bits_for(shift_max(width))),
                "valid": In(1),
                "word": In(signed(width)),
                "duty_valid": Out(1),
                "duty": Out(line_duty(width)),
                "clipped": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The word; magnitude; product; shift by bytes; shift by bits; rounding; clipping."""
        m = Module()
        valid = Signal(LATENCY)
        negative = Signal(LATENCY - 2)
        word = Signal.like(self.word)
        m.d.sync += [
            word.eq(self.word),
            valid.eq(Cat(self.valid, valid)),
            negative.eq(Cat(word > 0, negative)),
        ]
        m.d.comb += self.duty_valid.eq(valid[-1])

        factor = Signal(self._width)
        product = Signal(self._width + SIGNIFICAND_BITS)
        m.d.sync += [factor.eq(magnitude(word)), product.eq(factor * self.significand)]

        # Doubled as the formula says, and once more so that bit 0 of the quotient is the guard.
        wide = Cat(Const(0, 2), product)
        coarse, fine = self.shift[3:], self.shift[:3]
        by_bytes, bytes_sticky = Signal(len(wide)), Signal()
        with m.Switch(coarse):
            for count in range((shift_max(self._width) >> 3) + 1):
                with m.Case(count):
                    m.d.sync += [
                        by_bytes.eq(wide >> 8 * count),
                        bytes_sticky.eq(wide[: 8 * count].any()),
                    ]
        quotient, sticky = Signal(len(wide)), Signal()
        with m.Switch(fine):
            for count in range(8):
                with m.Case(count):
                    m.d.sync += [
                        quotient.eq(by_bytes >> count),
                        sticky.eq(bytes_sticky | by_bytes[:count].any()),
                    ]
        full = 1 << (self._width - 1)
        rounded = Signal(len(quotient))
        m.d.sync += rounded.eq(quotient[1:] + (quotient[0] & (sticky | quotient[1])))
        clipped = rounded > full
        m.d.sync += [
            self.duty.magnitude.eq(Mux(clipped, full, rounded)),
            self.duty.negative.eq(negative[-1]),
            self.clipped.eq(clipped),
        ]
        return m
