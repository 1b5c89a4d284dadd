"""Gram-Schmidt's coefficients: dot products times a reciprocal, as words and fraction bits."""

from amaranth import Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden_model import scalar
from golden_model.parameters import Parameters
from hdl.reset_less import registered
from hdl.rounding import EXPONENT, PRODUCT_BITS, lead, round_to_scalar
from hdl.shapes import SCALAR

LATENCY = 4
"""Clock cycles from a dot product to its coefficient."""

_S = scalar.SIGNIFICAND_BITS
_SHIFT_MAX = 31


class CoefficientPipeline(wiring.Component):
    """coefficient = -dot * reciprocal as a word of `fraction_bits` fraction bits.

    ratio = |dot| * reciprocal, fraction_bits = min(width - 2, width - 1 - exponent(ratio)); what
    is too large for a word saturates. `dot` and `negative` give the dot product, a scalar and its
    sign. One a cycle; golden counterpart: `fixed._gram_schmidt`.
    """

    def __init__(self, parameters: Parameters) -> None:
        self._width = parameters.width
        super().__init__(
            {
                "dot": In(SCALAR),
                "negative": In(1),
                "reciprocal": In(SCALAR),
                "coefficient": Out(signed(parameters.width)),
                "fraction_bits": Out(range(parameters.width - 1)),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Multiply, round to a scalar, find the shift, shift, a register each; round to a word."""
        m = Module()
        width = self._width
        positive = registered(m, self.negative, "negative", LATENCY)  # the coefficient

        product = Signal(PRODUCT_BITS, reset_less=True)
        power = Signal(EXPONENT, reset_less=True)
        ratio = Signal(SCALAR, reset_less=True)
        m.d.sync += [
            product.eq(self.dot.significand * self.reciprocal.significand),
            power.eq(self.dot.exponent + self.reciprocal.exponent),
            ratio.eq(round_to_scalar(m, *lead(product, power), "ratio")),
        ]

        # Below exponent 1 the fraction bits are the most there are, and the shift is the rest.
        small = Signal()
        fraction = Signal.like(self.fraction_bits)
        rest = Signal(EXPONENT)
        shift = Signal(range(_SHIFT_MAX + 1), reset_less=True)
        significand = Signal(_S, reset_less=True)
        m.d.comb += [
            small.eq(ratio.exponent < 1),
            fraction.eq(Mux(small, width - 2, width - 1 - ratio.exponent)),
            rest.eq(_S + 2 - width - ratio.exponent),
        ]
        m.d.sync += [
            shift.eq(Mux(small, Mux(rest > _SHIFT_MAX, _SHIFT_MAX, rest), _S + 1 - width)),
            significand.eq(ratio.significand),
        ]

        # A guard bit stays below the word, and the bits lost below that are sticky.
        shift_in = Signal(_S + 1)
        shifted, lost = (Signal(_S + 1, name=name, reset_less=True) for name in ("shifted", "lost"))
        m.d.comb += shift_in.eq(significand << 1)
        m.d.sync += [
            shifted.eq(shift_in >> shift),
            lost.eq(shift_in & ~(Const((1 << (_S + 1)) - 1, _S + 1) << shift)[: _S + 1]),
        ]

        # The quotient, rounded, with the other sign than the dot product: -x = ~x + 1.
        quotient, up = shifted[1:], Signal()
        largest = (1 << (width - 1)) - 1
        word = Signal(signed(width))
        m.d.comb += [
            up.eq(shifted[0] & (lost.any() | shifted[1])),
            self.saturated.eq(positive & ((quotient > largest) | ((quotient == largest) & up))),
            word.eq(Mux(positive, quotient, ~quotient) + Mux(positive, up, ~up)),
            self.fraction_bits.eq(registered(m, fraction, "fraction", 2)),
            self.coefficient.eq(Mux(self.saturated, largest, word)),
        ]
        return m
