"""Number formats: words, block floating point, and the one rounding rule.

Every rounding in Eigenbar is *round half to even* (IEEE 754 roundTiesToEven) and every narrowing
saturates and is counted. Words are two's complement integers. Arrays hold them as integer-valued
float64, because float64 products and sums of integers below 2**53 are exact and run at BLAS speed;
`Parameters` proves at construction that no product or sum of a configuration leaves that range.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Words = NDArray[np.float64]
"""An array of integers held exactly in float64."""

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
        values = np.asarray(values, dtype=np.float64)
        words = np.rint(values * np.exp2(-np.asarray(shift, dtype=np.float64)))
        if not words.size or (words.max() <= self.maximum and words.min() >= self.minimum):
            return words, 0
        clipped = np.clip(words, self.minimum, self.maximum)
        return clipped, int(np.count_nonzero(words != clipped))

    def fill(
        self,
        values: Words,
        *,
        least: Sequence[int] | None = None,
        fraction_bits: Sequence[int] | None = None,
        out: Words | None = None,
    ) -> tuple[Words, list[int], int]:
        """Each row of `values` narrowed by the shift at which its largest fills a word.

        A row holds integers, or multiples of 2**-`fraction_bits`; its shift is no smaller than its
        `least`. Returns (words, shifts, saturated), the words in `out` if that is given, which may
        be `values`. Only a rounding carry of the largest can saturate.
        """
        digits, carry = self.width - 1, self.maximum + 0.5  # which rounds up, to even
        lowest = np.minimum.reduce(values, axis=1).tolist()
        shifts, scales, saturates = [], [], False
        # Rows are few, so plain numbers cost less than NumPy's calls.
        for row, high in enumerate(np.maximum.reduce(values, axis=1).tolist()):
            unit = 1.0 if fraction_bits is None else 0.5 ** fraction_bits[row]
            low = -unit - lowest[row]
            shift = math.frexp(high if high > low else low)[1] - digits
            if least is not None and shift < least[row]:
                shift = least[row]
            scale = math.ldexp(1.0, -shift)
            saturates |= high * scale >= carry
            shifts.append(shift)
            scales.append(scale)
        words: Words = np.multiply(values, np.array(scales)[:, None], out=out)
        np.rint(words, out=words)
        if not saturates:
            return words, shifts, 0
        saturated = int(np.count_nonzero(words > self.maximum))
        return np.minimum(words, self.maximum, out=words), shifts, saturated

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
        return self.narrow(values, exponent)[0], exponent
