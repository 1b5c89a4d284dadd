"""Number formats: words, block floating point, and the one rounding rule.

Every rounding in Eigenbar is *round half to even* (IEEE 754 roundTiesToEven) and every narrowing
saturates and is counted. Words are two's complement integers. Arrays hold them as integer-valued
float64, because float64 products and sums of integers below 2**53 are exact and run at BLAS speed;
`Parameters` proves at construction that no product or sum of a configuration leaves that range.
"""

from __future__ import annotations

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
        words = np.rint(np.asarray(values) * np.exp2(-np.asarray(shift, dtype=np.float64)))
        if not words.size or (words.max() <= self.maximum and words.min() >= self.minimum):
            return words, 0
        clipped = np.clip(words, self.minimum, self.maximum)
        return clipped, int(np.count_nonzero(words != clipped))

    def fill(self, values: Words) -> tuple[Words, NDArray[np.int64], int]:
        """Each row of integer `values` narrowed by the shift at which its largest fills a word.

        Returns (words, shifts, saturated). Only a rounding carry of the largest can saturate.
        """
        top, bottom = values.max(axis=1), values.min(axis=1)
        shift = np.frexp(np.maximum(top, -1.0 - bottom))[1].astype(np.int64) - (self.width - 1)
        scale = np.ldexp(1.0, -shift)
        words = values * scale[:, None]
        np.rint(words, out=words)
        if np.rint(top * scale).max() <= self.maximum:
            return words, shift, 0
        saturated = int(np.count_nonzero(words > self.maximum))
        return np.minimum(words, self.maximum, out=words), shift, saturated

    def quantise(self, values: NDArray[np.floating]) -> tuple[Words, int]:
        """Real `values` as words that share one exponent.

        Returns (words, exponent) with values close to words * 2**exponent, the exponent being the
        smallest at which nothing but a rounding carry saturates. All zeros have exponent 0.
        The words have the precision of `values`: float32 holds words exactly, but not their sums.

        Raises ValueError for values that are not finite.
        """
        values = np.asarray(values)
        largest = float(max(values.max(initial=0.0), -values.min(initial=0.0)))
        if not np.isfinite(largest):
            raise ValueError(
                "cannot quantise values that are not finite (NaN or infinity): "
                "the training diverged or its input is damaged"
            )
        if largest == 0.0:
            return np.zeros_like(values), 0
        exponent = int(np.frexp(largest)[1]) - (self.width - 1)
        words = values * values.dtype.type(2.0**-exponent)
        np.rint(words, out=words)
        return np.minimum(words, self.maximum, out=words), exponent
