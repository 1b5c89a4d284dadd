"""Number formats: words, block floating point, and the one rounding rule.

Every rounding in Eigenbar is *round half to even* (IEEE 754 roundTiesToEven) and every narrowing
saturates and is counted. Words are two's complement integers. Arrays hold them as integer-valued
float64, because float64 products and sums of integers below 2**53 are exact and run at BLAS speed;
`Parameters` proves at construction that no product or sum of a configuration leaves that range.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden_model.compiled import compiled, extremes

Words = NDArray[np.float64]
"""An array of integers held exactly in float64."""

NO_LEAST = -(1 << 16)
"""A least shift that is none: below that of any numbers."""

EXACT_BITS = 53
"""Integers of magnitude up to 2**53 are exact in float64."""


def magnitude_bits(values: ArrayLike, axis: int | None = None) -> NDArray[np.int64]:
    """Bits below the sign that two's complement needs for the largest of integer `values`.

    That is the bit length of max(v, -1 - v): 0 for 0 and -1, 15 for 2**15 - 1 and for -2**15.
    The hardware finds it as the highest one in the OR of all `v ^ sign(v)`.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.size == 0:
        return np.zeros(values.sum(axis=axis).shape, dtype=np.int64)
    largest = np.maximum(values.max(axis=axis), -1.0 - values.min(axis=axis))
    return np.frexp(largest)[1].astype(np.int64)


@dataclass(frozen=True)
class WordFormat:
    """A two's complement word of `width` bits, and narrowing to it."""

    width: int
    """Bits of a word, the sign among them."""

    @property
    def minimum(self) -> int:
        """The most negative word, -2**(width-1)."""
        return -(1 << (self.width - 1))

    @property
    def maximum(self) -> int:
        """The largest word, 2**(width-1) - 1."""
        return (1 << (self.width - 1)) - 1

    def shift_for(self, bits: ArrayLike) -> NDArray[np.int64]:
        """Right shift that makes values of `magnitude_bits` `bits` fill a word (left if < 0)."""
        return np.asarray(bits, dtype=np.int64) - (self.width - 1)

    def narrow(self, values: ArrayLike, shift: ArrayLike = 0) -> tuple[Words, int]:
        """`values` / 2**`shift`, rounded half to even and saturated.

        Returns the words and how many of them saturated. `shift` broadcasts against `values`.
        """
        scale = np.exp2(-np.asarray(shift, dtype=np.float64))
        words = np.rint(np.multiply(values, scale, dtype=np.float64))
        if not words.size or (words.max() <= self.maximum and words.min() >= self.minimum):
            return words, 0
        clipped = np.clip(words, self.minimum, self.maximum)
        return clipped, int(np.count_nonzero(words != clipped))

    def exponent_of(self, values: NDArray[np.floating]) -> int:
        """The exponent that real `values` share as words; 0 if all are zero.

        It is the smallest at which nothing but a rounding carry saturates. Raises ValueError for
        values that are not finite.
        """
        largest = float(max(values.max(initial=0.0), -values.min(initial=0.0)))
        if not math.isfinite(largest):
            raise ValueError(
                "cannot quantise values that are not finite (NaN or infinity): "
                "the training diverged or its input is damaged"
            )
        return math.frexp(largest)[1] - (self.width - 1) if largest else 0

    def quantise(self, values: NDArray[np.floating]) -> tuple[Words, int]:
        """Real `values` as words that share one exponent: words * 2**exponent are close to them.

        Returns (words, exponent). Raises ValueError for values that are not finite.
        """
        exponent = self.exponent_of(values)
        return self.words(values, exponent), exponent

    def words(self, values: NDArray[np.floating], exponent: int) -> Words:
        """Real `values` as words at an exponent no smaller than their `exponent_of`."""
        words: Words = np.multiply(values, np.exp2(-float(exponent)), dtype=np.float64)
        np.rint(words, out=words)
        return np.minimum(words, self.maximum, out=words)


@compiled
def fill_rows(rows: Words, width: int, least: NDArray[np.int64], shifts: NDArray[np.int64]) -> int:
    """Narrow each of `rows` of integers to words by `fill_row`, in place.

    A row's shift, written to `shifts`, is no smaller than its `least`. Returns how many words
    saturated.
    """
    saturated = 0
    for row in range(len(rows)):
        shifts[row], count = fill_row(rows[row], width, 1.0, least[row])
        saturated += count
    return saturated


@compiled
def fill_row(row: Words, width: int, unit: float, least: int = NO_LEAST) -> tuple[int, int]:
    """Narrow a row of multiples of `unit` by the shift at which its largest fills a word, in place.

    The shift is no smaller than `least`. Returns (shift, saturated): only a rounding carry of the
    largest can saturate.
    """
    low, high = extremes(row)
    largest = max(high, -unit - low)
    shift = max(math.frexp(largest)[1] - (width - 1), int(least))
    scale = math.ldexp(1.0, -shift)
    row *= scale
    np.rint(row, row)
    maximum = (1 << (width - 1)) - 1
    if largest * scale < maximum + 0.5:
        return shift, 0
    beyond = row > maximum  # the largest rounded up to a carry, to even
    row[beyond] = maximum
    return shift, int(np.count_nonzero(beyond))
