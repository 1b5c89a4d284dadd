"""Scalars: exact rounding, bounds, the reciprocal square root's error, register words."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden_model import scalar

BITS = scalar.SIGNIFICAND_BITS
scalars = st.one_of(
    st.just(0.0),
    st.builds(
        lambda m, e: math.ldexp(m, e - BITS),
        st.integers(1 << (BITS - 1), (1 << BITS) - 1),
        st.integers(scalar.EXPONENT_MIN, scalar.EXPONENT_MAX),
    ),
)


def exactly_rounded(value: Fraction) -> float:
    """The scalar nearest to an exact value, ties to even, by integer arithmetic alone."""
    if value <= 0:
        return 0.0
    power = 0
    while value >= Fraction(2) ** power:
        power += 1
    while value < Fraction(2) ** (power - 1):
        power -= 1
    significand = round(value * Fraction(2) ** (BITS - power))
    result = Fraction(significand) * Fraction(2) ** (power - BITS)
    if result < Fraction(scalar.SMALLEST):
        return 0.0
    return float(min(result, Fraction(scalar.LARGEST)))


@given(scalars, scalars)
def test_operations_round_the_exact_result_once(a, b):
    x, y = Fraction(a), Fraction(b)
    assert scalar.multiply(a, b) == exactly_rounded(x * y)
    assert scalar.add(a, b) == exactly_rounded(x + y)
    assert scalar.subtract(a, b) == exactly_rounded(x - y)


@given(scalars, st.integers(-40, 40))
def test_sums_of_near_scalars_round_once(a, gap):
    b = scalar.round_scalar(math.ldexp(a, gap) * 1.2345) if abs(gap) < 40 else a
    assert scalar.add(a, b) == exactly_rounded(Fraction(a) + Fraction(b))
    assert scalar.subtract(a, b) == exactly_rounded(Fraction(a) - Fraction(b))


@pytest.mark.parametrize("power", [0, 1])
def test_reciprocal_square_root_is_within_its_bound_for_every_significand(power):
    """Even and odd powers behave alike up to a power of two, so this is the whole range."""
    worst = 0.0
    for significand in range(1 << (BITS - 1), 1 << BITS):
        value = math.ldexp(significand, power - BITS)
        worst = max(worst, abs(scalar.reciprocal_square_root(value) * math.sqrt(value) - 1))
    assert worst < scalar.RSQRT_ERROR


@given(scalars.filter(bool))
def test_reciprocal_square_root_scales_with_powers_of_four(value):
    root = scalar.reciprocal_square_root(value)
    fraction, power = math.frexp(value)
    reduced = math.ldexp(fraction, power & 1)
    assert root == math.ldexp(scalar.reciprocal_square_root(reduced), -(power >> 1))


def test_reciprocal_square_root_of_zero_is_zero():
    assert scalar.reciprocal_square_root(0.0) == 0.0


@given(scalars)
def test_register_words_round_trip(value):
    assert scalar.decode(scalar.encode(value)) == value


def test_a_significand_without_its_leading_bit_reads_as_zero():
    assert scalar.decode(1 << (BITS - 2)) == 0.0


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf, 1 + 2.0**-30])
def test_only_scalars_can_be_encoded(bad):
    with pytest.raises(ValueError, match="round_scalar"):
        scalar.encode(bad)
