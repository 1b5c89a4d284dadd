"""Rounding to scalars, and products of scalars: combinational parts of several units."""

from amaranth import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data

from golden_model import scalar
from hdl.shapes import SCALAR

EXPONENT = signed(13)
"""Shape of exponents of words and of intermediate results: no program can leave it."""

PRODUCT_BITS = 2 * scalar.SIGNIFICAND_BITS
"""Bits of the product of two significands."""

_S = scalar.SIGNIFICAND_BITS
_MIN, _MAX = scalar.EXPONENT_MIN, scalar.EXPONENT_MAX


def round_to_scalar(m: Module, fraction: Value, power: Value, name: str) -> data.View:
    """The scalar nearest to `fraction` / 2**len(fraction) * 2**`power`, ties to even.

    `fraction` has its leading bit set or counts as zero. Golden counterpart: `round_scalar`. The
    significand rounded up and what the exponent may become are worked out beside whether to round
    up, which only selects.
    """
    bits = len(fraction)
    result = Signal(SCALAR, name=f"{name}_scalar")
    kept, rest = fraction[-_S:], fraction[: bits - _S]
    up = Signal(name=f"{name}_up")
    higher = Signal(_S, name=f"{name}_higher")
    carry = up & kept.all()
    large, small = Signal(name=f"{name}_large"), Signal(name=f"{name}_small")
    m.d.comb += [
        up.eq(rest[-1] & (rest[:-1].any() | kept[0])),
        higher.eq(kept + 1),
        large.eq(Mux(carry, power > _MAX - 1, power > _MAX)),
        small.eq(Mux(carry, power < _MIN - 1, power < _MIN)),
        # A carry leaves zeros below it, so the leading bit is one with it and without.
        result.significand.eq(Cat(Mux(up, higher, kept)[: _S - 1], 1)),
        result.exponent.eq(Mux(carry, power + 1, power)),
    ]
    with m.If(large):
        m.d.comb += [result.significand.eq(-1), result.exponent.eq(_MAX)]
    with m.If(~fraction[-1] | small):
        m.d.comb += [result.significand.eq(0), result.exponent.eq(_MIN)]
    return result


def lead(product: Value, power: Value) -> tuple[Value, Value]:
    """A product of significands with its leading one at the top, and its power of two.

    `product` has `PRODUCT_BITS`, and its leading one, unless it is zero, in one of two places;
    `power` is the sum of the exponents. `round_to_scalar` takes both results. The product is best
    a register right behind the multiplier, which may have one. Golden counterpart: `multiply`,
    before it rounds.
    """
    high = product[PRODUCT_BITS - 1]
    return Mux(high, product, product << 1)[:PRODUCT_BITS], Mux(high, power, power - 1)


def _place(bits: Value) -> tuple[Value, Value]:
    """Place of the highest one among `bits`, 2, 4, 8, ..., and whether there is any."""
    if len(bits) == 2:
        return bits[1], bits.any()
    half = len(bits) // 2
    (low, any_low), (high, any_high) = _place(bits[:half]), _place(bits[half:])
    return Cat(Mux(any_high, high, low), any_high), any_low | any_high


def leading_zeros(value: Value) -> Value:
    """Zeros above the highest one of `value`; as many as it has bits if there is none.

    A tree, as deep as the number has bits.
    """
    # Ones below fill up to a power of two, one of them at least: the highest place is found then.
    padding = (1 << len(value).bit_length()) - len(value)
    place, _ = _place(Cat(Const(-1, padding), value))
    return ~place


def leading_zero_bytes(value: Value) -> Value:
    """Whole bytes of zeros above the highest one of `value`; all of them if there is none."""
    count = -(-len(value) // 8)
    tops = [value[max(0, len(value) - 8 * (i + 1)) : len(value) - 8 * i] for i in range(count)]
    return leading_zeros(Cat(top.any() for top in reversed(tops)))


def highest_one(value: Value) -> Value:
    """Bit length of `value`. A tree, as deep as the number has bits."""
    # Above a one, the place of the highest one is the length; zeros above fill a power of two.
    place, _ = _place(
        Cat(Const(1, 1), value, Const(0, (1 << len(value).bit_length()) - len(value) - 1))
    )
    return place
