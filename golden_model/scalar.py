"""Scalars: the small floating-point format of the scalar unit, and its reciprocal square root.

A scalar is zero or f * 2**e with 1/2 <= f < 1 given to `SIGNIFICAND_BITS` bits and
`EXPONENT_MIN` <= e <= `EXPONENT_MAX`. It has no sign: weights, norms and rates are never negative.
Results round half to even; below the smallest scalar they become zero, above the largest they
become the largest. Here scalars are held in float64, which represents every one of them, and in
which the exact product or sum of two is either representable or rounds to the same scalar.
"""

from __future__ import annotations

import math

import numpy as np

from golden_model.compiled import compiled

SIGNIFICAND_BITS = 18
"""Bits of a scalar's significand: one FPGA multiplier operand."""

EXPONENT_BITS = 10
"""Bits of a scalar's two's complement exponent."""

EXPONENT_MAX = (1 << (EXPONENT_BITS - 1)) - 1
EXPONENT_MIN = -(1 << (EXPONENT_BITS - 1))

LARGEST = math.ldexp(1 - 2.0**-SIGNIFICAND_BITS, EXPONENT_MAX)
SMALLEST = math.ldexp(0.5, EXPONENT_MIN)

_SIGNIFICAND = 2.0**SIGNIFICAND_BITS
ROUNDER = 1.5 * 2.0**52
"""Float64 has no fraction bits here: adding it, and taking it away, rounds half to even."""

RSQRT_INDEX_BITS = 9
"""Address bits of the reciprocal square root's table."""

RSQRT_ENTRY_BITS = 12
"""Bits of an entry of the table."""


@compiled
def round_scalar(value: float) -> float:
    """The scalar nearest to a non-negative float64 `value`."""
    fraction, power = math.frexp(value)
    significand = (fraction * _SIGNIFICAND + ROUNDER) - ROUNDER
    rounded = math.ldexp(significand, power - SIGNIFICAND_BITS)
    if SMALLEST <= rounded <= LARGEST:
        return rounded
    return 0.0 if rounded < SMALLEST else LARGEST


@compiled
def multiply(left: float, right: float) -> float:
    """Product of scalars, rounded to a scalar."""
    return round_scalar(left * right)


@compiled
def add(left: float, right: float) -> float:
    """Sum of scalars, rounded to a scalar."""
    return round_scalar(left + right)


@compiled
def subtract(left: float, right: float) -> float:
    """Difference of scalars, rounded to a scalar; zero where it would be negative."""
    return round_scalar(max(left - right, 0.0))


@compiled
def exponent(value: float) -> int:
    """The exponent e of a scalar f * 2**e; `EXPONENT_MIN` for zero."""
    return math.frexp(value)[1] if value else EXPONENT_MIN


def _rsqrt_table() -> tuple[int, ...]:
    """1/sqrt at the middle of each interval of [1/4, 1), in units of 2**-(RSQRT_ENTRY_BITS - 1).

    The lower half of the table serves [1/2, 1), the upper half [1/4, 1/2).
    """
    half = 1 << (RSQRT_INDEX_BITS - 1)
    middles = [0.5 + (i + 0.5) / (2 * half) for i in range(half)]
    points = middles + [middle / 2 for middle in middles]
    return tuple(round((1 << (RSQRT_ENTRY_BITS - 1)) / math.sqrt(point)) for point in points)


RSQRT_TABLE = _rsqrt_table()
"""Seeds of the reciprocal square root, from 1 to 2 in units of 2**-(RSQRT_ENTRY_BITS - 1)."""

_RSQRT_SEEDS = np.array(RSQRT_TABLE) / (1 << (RSQRT_ENTRY_BITS - 1))

RSQRT_ERROR = 2.0**-16
"""Bound of the relative error of `reciprocal_square_root`."""


@compiled
def reciprocal_square_root(value: float) -> float:
    """1 / sqrt(v) of a scalar, by a table and one Newton step; 0 for 0.

    With v = u * 4**h and 1/4 <= u < 1 the seed s comes from the leading bits of u, and the result
    is s * (3 - u * s * s) / 2 * 2**-h, each product and the difference rounded to a scalar.
    The relative error is below `RSQRT_ERROR` for every scalar (tested for every significand).
    """
    if value == 0.0:
        return 0.0
    fraction, power = math.frexp(value)
    half = -(-power // 2)
    index = int(fraction * (1 << RSQRT_INDEX_BITS)) & ((1 << (RSQRT_INDEX_BITS - 1)) - 1)
    index |= (power & 1) << (RSQRT_INDEX_BITS - 1)
    seed = float(_RSQRT_SEEDS[index])
    u = math.ldexp(value, -2 * half)
    correction = subtract(3.0, multiply(u, multiply(seed, seed)))
    return math.ldexp(multiply(seed, correction), -1 - half)


def encode(value: float) -> int:
    """A scalar as the 32-bit word of a register: significand in bits 17:0, exponent above.

    Raises ValueError for a number that is not a scalar; `round_scalar` makes one.
    """
    if not (value >= 0 and math.isfinite(value)) or round_scalar(value) != value:
        raise ValueError(f"{value!r} is not a scalar; use round_scalar() on a number >= 0 first")
    if value == 0:
        return 0
    fraction, power = math.frexp(value)
    significand = int(fraction * (1 << SIGNIFICAND_BITS))
    return significand | ((power & ((1 << EXPONENT_BITS) - 1)) << SIGNIFICAND_BITS)


def decode(word: int) -> float:
    """The scalar in the register word `word`, the inverse of `encode`.

    A significand without its leading bit reads as zero, as in the hardware.
    """
    significand = word & ((1 << SIGNIFICAND_BITS) - 1)
    if significand < 1 << (SIGNIFICAND_BITS - 1):
        return 0.0
    power = (word >> SIGNIFICAND_BITS) & ((1 << EXPONENT_BITS) - 1)
    if power > EXPONENT_MAX:
        power -= 1 << EXPONENT_BITS
    return math.ldexp(significand, power - SIGNIFICAND_BITS)
