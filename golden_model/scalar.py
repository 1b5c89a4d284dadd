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
from numpy.typing import ArrayLike, NDArray

SIGNIFICAND_BITS = 18
"""Bits of a scalar's significand: one FPGA multiplier operand."""

EXPONENT_BITS = 10
"""Bits of a scalar's two's complement exponent."""

EXPONENT_MAX = (1 << (EXPONENT_BITS - 1)) - 1
EXPONENT_MIN = -(1 << (EXPONENT_BITS - 1))

LARGEST = math.ldexp(1 - 2.0**-SIGNIFICAND_BITS, EXPONENT_MAX)
SMALLEST = math.ldexp(0.5, EXPONENT_MIN)

_DROPPED = 53 - SIGNIFICAND_BITS  # low bits of a float64 significand that a scalar has not

RSQRT_INDEX_BITS = 9
"""Address bits of the reciprocal square root's table."""

RSQRT_ENTRY_BITS = 12
"""Bits of an entry of the table."""


def round_scalar(values: ArrayLike) -> NDArray[np.float64]:
    """The scalars nearest to non-negative float64 `values`, element by element."""
    bits = np.array(values, dtype=np.float64, ndmin=1).view(np.int64)
    # The carry out of the significand increments the float64 exponent, as it should.
    bits += ((bits >> _DROPPED) & 1) + ((1 << (_DROPPED - 1)) - 1)
    bits &= -(1 << _DROPPED)
    rounded = np.minimum(bits.view(np.float64), LARGEST)
    return np.where(rounded < SMALLEST, 0.0, rounded).reshape(np.shape(values))


def multiply(left: ArrayLike, right: ArrayLike) -> NDArray[np.float64]:
    """Product of scalars, rounded to a scalar."""
    return round_scalar(np.multiply(left, right))


def add(left: ArrayLike, right: ArrayLike) -> NDArray[np.float64]:
    """Sum of scalars, rounded to a scalar."""
    return round_scalar(np.add(left, right))


def subtract(left: ArrayLike, right: ArrayLike) -> NDArray[np.float64]:
    """Difference of scalars, rounded to a scalar; zero where it would be negative."""
    return round_scalar(np.maximum(np.subtract(left, right), 0.0))


def exponent(values: ArrayLike) -> NDArray[np.int64]:
    """The exponents e of scalars f * 2**e; `EXPONENT_MIN` for zero."""
    exponents = np.frexp(np.asarray(values, dtype=np.float64))[1].astype(np.int64)
    return np.where(np.asarray(values) == 0, EXPONENT_MIN, exponents)


def _rsqrt_table() -> NDArray[np.int64]:
    """1/sqrt at the middle of each interval of [1/4, 1), in units of 2**-RSQRT_ENTRY_BITS.

    The upper half of the table serves [1/2, 1), the lower half [1/4, 1/2).
    """
    half = 1 << (RSQRT_INDEX_BITS - 1)
    middle = (0.5 + (np.arange(half) + 0.5) / (2 * half),) * 2
    points = np.concatenate([middle[0] / 2, middle[1]])
    return np.rint(2.0 ** (RSQRT_ENTRY_BITS - 1) / np.sqrt(points)).astype(np.int64)


RSQRT_TABLE = _rsqrt_table()
"""Seeds of the reciprocal square root; entry / 2**(RSQRT_ENTRY_BITS-1) is the seed in (1, 2]."""


def reciprocal_square_root(values: ArrayLike) -> NDArray[np.float64]:
    """1 / sqrt(v) of scalars, by a table and one Newton step; 0 for 0.

    With v = u * 4**h and 1/4 <= u < 1 the seed s comes from the leading bits of u, and the result
    is s * (3 - u * s * s) / 2 * 2**-h, each product and the difference rounded to a scalar.
    The relative error is below `RSQRT_ERROR` for every scalar (tested for every significand).
    """
    values = np.asarray(values, dtype=np.float64)
    fraction, exponents = np.frexp(values)
    halves = -(-exponents // 2)
    odd = (exponents & 1).astype(np.int64)
    lead = np.floor(fraction * (1 << RSQRT_INDEX_BITS)).astype(np.int64)
    index = (lead & ((1 << (RSQRT_INDEX_BITS - 1)) - 1)) | ((1 - odd) << (RSQRT_INDEX_BITS - 1))
    seed = RSQRT_TABLE[index] * 2.0 ** -(RSQRT_ENTRY_BITS - 1)
    u = np.ldexp(values, -2 * halves)
    correction = subtract(3.0, multiply(u, multiply(seed, seed)))
    return np.where(values == 0, 0.0, round_scalar(np.ldexp(multiply(seed, correction), -1 - halves)))


RSQRT_ERROR = 2.0**-16
"""Bound of the relative error of `reciprocal_square_root`."""


def encode(value: float) -> int:
    """A scalar as the 32-bit word of a register: significand in bits 17:0, exponent above.

    Raises ValueError for a number that is not a scalar; `round_scalar` makes one.
    """
    if not (value >= 0 and math.isfinite(value)) or float(round_scalar(value)) != value:
        raise ValueError(f"{value!r} is not a scalar; use round_scalar() on a number >= 0 first")
    if value == 0:
        return 0
    fraction, power = math.frexp(value)
    significand = int(fraction * (1 << SIGNIFICAND_BITS))
    return significand | ((power & ((1 << EXPONENT_BITS) - 1)) << SIGNIFICAND_BITS)


def decode(word: int) -> float:
    """The scalar in the register word `word`, the inverse of `encode`."""
    significand = word & ((1 << SIGNIFICAND_BITS) - 1)
    power = (word >> SIGNIFICAND_BITS) & ((1 << EXPONENT_BITS) - 1)
    if power > EXPONENT_MAX:
        power -= 1 << EXPONENT_BITS
    return math.ldexp(significand, power - SIGNIFICAND_BITS)
