"""Rounding to scalars, and products of scalars: combinational parts of several units."""

from amaranth import Module, Mux, Signal, Value, signed
from amaranth.lib import data

from golden_model import scalar
from hdl.shapes import SCALAR

EXPONENT = signed(13)
"""Shape of exponents of words and of intermediate results: no program can leave it."""

PRODUCT_BITS = 2 * scalar.SIGNIFICAND_BITS
"""Bits of the product of two significands."""

_S = scalar.SIGNIFICAND_BITS


def round_to_scalar(m: Module, fraction: Value, power: Value, name: str) -> data.View:
    """The scalar nearest to `fraction` / 2**len(fraction) * 2**`power`, ties to even.

    `fraction` has its leading bit set or counts as zero. Golden counterpart: `round_scalar`.
    """
    bits = len(fraction)
    result = Signal(SCALAR, name=f"{name}_scalar")
    rounded = Signal(_S + 1, name=f"{name}_rounded")
    exponent = Signal(EXPONENT, name=f"{name}_exponent")
    kept, rest = fraction[-_S:], fraction[: bits - _S]
    up = rest[-1] & (rest[:-1].any() | kept[0])
    m.d.comb += [
        rounded.eq(kept + up),
        exponent.eq(power + rounded[-1]),
        result.significand.eq(Mux(rounded[-1], 1 << (_S - 1), rounded)),
        result.exponent.eq(exponent),
    ]
    with m.If(exponent > scalar.EXPONENT_MAX):
        m.d.comb += [
            result.significand.eq(-1),
            result.exponent.eq(scalar.EXPONENT_MAX),
        ]
    with m.If(~fraction[-1] | (exponent < scalar.EXPONENT_MIN)):
        m.d.comb += [result.significand.eq(0), result.exponent.eq(scalar.EXPONENT_MIN)]
    return result


def round_product(m: Module, product: Value, power: Value, name: str) -> data.View:
    """The scalar nearest to a product of significands times 2**`power`, the exponents' sum.

    The leading one of a product is in one of two places. Golden counterpart: `multiply`.
    """
    high = product[PRODUCT_BITS - 1]
    return round_to_scalar(m, Mux(high, product, product << 1)[:PRODUCT_BITS], power - ~high, name)


def highest_one(m: Module, value: Value, name: str) -> Signal:
    """Bit length of `value`."""
    length = Signal(range(len(value) + 1), name=name)
    for bit in range(len(value)):
        with m.If(value[bit]):
            m.d.comb += length.eq(bit + 1)
    return length
