"""Rounding to scalars, and products of scalars: combinational parts of several units."""

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data

from golden_model import scalar
from hdl.shapes import SCALAR

EXPONENT = signed(13)
"""Shape of exponents of words and of intermediate results: no program can leave it."""

PRODUCT_BITS = 2 * scalar.SIGNIFICAND_BITS
"""Bits of the product of two significands."""

_S = scalar.SIGNIFICAND_BITS
_MIN, _MAX = scalar.EXPONENT_MIN, scalar.EXPONENT_MAX


def round_to_scalar(
    m: Module, fraction: Value, power: Value, name: str, *, offset: int = 0
) -> data.View:
    """The scalar nearest to `fraction` / 2**len(fraction) * 2**(`power` + `offset`), ties to even.

    `fraction` has its leading bit set or counts as zero. Golden counterpart: `round_scalar`. What
    the exponent may become is worked out beside the rounding, whose carry only selects.
    """
    bits = len(fraction)
    result = Signal(SCALAR, name=f"{name}_scalar")
    rounded = Signal(_S + 1, name=f"{name}_rounded")
    kept, rest = fraction[-_S:], fraction[: bits - _S]
    carry = rounded[-1]
    large = Mux(carry, power > _MAX - 1 - offset, power > _MAX - offset)
    small = Mux(carry, power < _MIN - 1 - offset, power < _MIN - offset)
    m.d.comb += [
        rounded.eq(kept + (rest[-1] & (rest[:-1].any() | kept[0]))),
        # A carry leaves zeros below it, so the leading bit is one with it and without.
        result.significand.eq(Cat(rounded[: _S - 1], 1)),
        result.exponent.eq(Mux(carry, power + (1 + offset), power + offset)),
    ]
    with m.If(large):
        m.d.comb += [result.significand.eq(-1), result.exponent.eq(_MAX)]
    with m.If(~fraction[-1] | small):
        m.d.comb += [result.significand.eq(0), result.exponent.eq(_MIN)]
    return result


def round_product(m: Module, product: Value, power: Value, name: str) -> data.View:
    """The scalar nearest to a product of significands times 2**`power`, the exponents' sum.

    The leading one of a product is in one of two places: both are rounded, and one is taken. Golden
    counterpart: `multiply`.
    """
    high = round_to_scalar(m, product, power, f"{name}_high")
    low = round_to_scalar(m, product[:-1], power, f"{name}_low", offset=-1)
    result = Signal(SCALAR, name=f"{name}_scalar")
    m.d.comb += result.eq(Mux(product[PRODUCT_BITS - 1], high, low))
    return result


def highest_one(m: Module, value: Value, name: str) -> Signal:
    """Bit length of `value`."""
    length = Signal(range(len(value) + 1), name=name)
    for bit in range(len(value)):
        with m.If(value[bit]):
            m.d.comb += length.eq(bit + 1)
    return length


def leading_zeros(m: Module, value: Value, name: str) -> Signal:
    """Zeros above the highest one of `value`; as many as it has bits if there is none."""
    zeros = Signal(range(len(value) + 1), name=name)
    m.d.comb += zeros.eq(len(value))
    for bit in range(len(value)):
        with m.If(value[bit]):
            m.d.comb += zeros.eq(len(value) - 1 - bit)
    return zeros
