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
        over, under = words > self.maximum, words < self.minimum
        saturated = int(np.count_nonzero(over)) + int(np.count_nonzero(under))
        if saturated:
            words = np.clip(words, self.minimum, self.maximum)
        return words, saturated

    def quantise(self, values: ArrayLike) -> tuple[Words, int]:
        """Real `values` as words that share one exponent.

        Returns (words, exponent) with values close to words * 2**exponent, the exponent being the
        smallest at which nothing but a rounding carry saturates. All zeros have exponent 0.

        Raises ValueError for values that are not finite.
        """
        values = np.asarray(values)
        largest = float(np.max(np.abs(values), initial=0.0))
        if not np.isfinite(largest):
            raise ValueError(
                "cannot quantise values that are not finite (NaN or infinity): "
                "the training diverged or its input is damaged"
            )
        if largest == 0.0:
            return np.zeros(values.shape), 0
        exponent = int(np.frexp(largest)[1]) - (self.width - 1)
        return self.narrow(values, exponent)[0], exponent
