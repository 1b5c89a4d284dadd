"""Reads of a tiled crossbar: DACs on the driven lines, ADCs on the sensed ones, sums over tiles.

A forward read y = W x drives the rows and senses the columns of the array, a transposed read
x = W^T d drives the columns and senses the rows. Both are the same computation on a matrix of
cells, the differences of devices to their reference in half steps, signed:

1. DAC. A vector becomes codes of `dac_bits` bits, sign and magnitude, from -full to full with
   full = 2**(`dac_bits` - 1) - 1, in units of a power of two. The sign is the polarity with which
   its line is driven, so both signs are driven at once.
2. Analog sum. A sensed line of a tile adds code times cell over the tile's driven lines.
3. ADC. The sum, divided by 2**`shift`, rounded half to even and saturated, is a two's complement
   code of `adc_bits` bits.
4. Partial sums. The codes of the tiles along the driven lines add up, in the order of the tiles, in
   a register of `sum_bits` bits that saturates.

With whole cells and no noise steps 2 to 4 are integers, exactly, which hardware can equal to the
bit. Noise, if asked for, is added to the drive of the lines and in front of the ADCs, nowhere else.

With pulse-width inputs a line is driven in proportion to its code, and each sensed line of a tile
is converted once. With bit-serial inputs the lines are driven for one bit of the magnitudes at a
time, each of which is converted; the codes are shifted and added per tile before step 4.

The scheme, with dynamic scaling of inputs ("noise management"), repeated reads of what saturated
("bound management") and bounds relative to full inputs and weights, is that of aihwkit's analog
matrix-vector product (Rasch et al. 2021, arXiv:2104.02184; `IOParameters`). Powers of two in place
of real scales, and tiles with a conversion each, are what a digital periphery needs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden_model.formats import EXACT_BITS, WordFormat

Array = NDArray[np.floating]

MODES = ("ideal", "analog")
ENCODINGS = ("pulse-width", "bit-serial")

MAX_DAC_BITS = 16
"""Most bits of an input code."""

MAX_ADC_BITS = 24
"""Most bits of an ADC's code."""

FLOAT32_BITS = 24
"""Integers of magnitude up to 2**24 are exact in float32."""

LEAST_EXPONENT = -90
"""Vectors below 2**-90 are scaled as if they were that large, so that no scale overflows."""


class ReadError(ValueError):
    """A parameter of reads is outside its range, or at odds with another."""


@dataclass(frozen=True)
class Reads:
    """How a crossbar is read. Immutable; raises `ReadError` for a value that is not allowed."""

    mode: str = "ideal"
    """`ideal`, exact products with the weights, or `analog`, through DACs and ADCs."""
    encoding: str = "pulse-width"
    """`pulse-width`, a conversion a read, or `bit-serial`, one for each bit of the magnitudes."""
    dac_bits: int = 8
    """Bits of an input code, its sign among them."""
    adc_bits: int = 8
    """Bits of an ADC code, two's complement."""
    sum_bits: int = 24
    """Bits of the register that adds up the codes of the tiles, two's complement."""
    input_noise: float = 0.0
    """Standard deviation of a line's drive, in full inputs; one draw for the row (or column) of
    tiles that the line crosses."""
    output_noise: float = 0.0
    """Standard deviation of an analog sum, in full inputs times the largest cell."""
    input_bound: float | None = None
    """Full input, raised to a power of two, beyond which inputs are clipped; without one each
    vector is scaled by the power of two at which its largest value fills a code."""
    output_bound: float = 4.0
    """Full scale of the ADCs, in full inputs times the largest cell, raised so that a code counts
    for a power of two, and so that it counts for 1 at least."""
    retries: int = 0
    """Times that a vector of which an ADC saturated is read again with its codes halved
    (pulse-width)."""

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("mode", self.mode, MODES),
            ("encoding", self.encoding, ENCODINGS),
        ):
            if value not in choices:
                raise ReadError(f"reads {name} = {value!r} is unknown; choose one of: "
                                f"{', '.join(choices)}")  # fmt: skip
        for name, low, high in (
            ("dac_bits", 2, MAX_DAC_BITS),
            ("adc_bits", 2, MAX_ADC_BITS),
            ("sum_bits", 2, 40),
            ("retries", 0, 16),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise ReadError(f"reads {name} = {value!r} must be an integer from {low} to {high}")
        for name in ("input_noise", "output_noise"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ReadError(f"reads {name} = {value} must be a finite number of at least 0")
        for name in ("input_bound", "output_bound"):
            value = getattr(self, name)
            if value is not None and not 2.0**LEAST_EXPONENT <= value <= 2.0**-LEAST_EXPONENT:
                raise ReadError(
                    f"reads {name} = {value} must be a number from 2^{LEAST_EXPONENT} to "
                    f"2^{-LEAST_EXPONENT}"
                )
        if self.sum_bits < self.tile_bits:
            raise ReadError(
                f"reads sum_bits = {self.sum_bits} cannot hold what one tile gives: "
                f"at least {self.tile_bits} with these converters"
            )
        if self.retries and self.encoding == "bit-serial":
            raise ReadError(
                f"reads retries = {self.retries} go with encoding = pulse-width: halved codes "
                "move a bit-serial read's bits by one place, and the sums of a bit stay as large"
            )

    @property
    def conversions(self) -> int:
        """ADC conversions of a sensed line of a tile in a read."""
        return self.dac_bits - 1 if self.encoding == "bit-serial" else 1

    @property
    def tile_bits(self) -> int:
        """Bits of what a sensed line of a tile gives, after the shifts of a bit-serial read."""
        return self.adc_bits + (self.conversions if self.conversions > 1 else 0)


@dataclass
class Saturations:
    """What saturated in reads, added up."""

    adc: int = 0
    """ADC codes."""
    sums: int = 0
    """Partial sums."""


class ReadSpec:
    """A read as integers: what the converters of a tile and the adder behind them compute.

    All of it is exact: products and sums of a tile are bounded by its lines, the codes and the
    cells, and held in float32 up to 2**24, otherwise in float64 up to 2**53.
    """

    def __init__(self, reads: Reads, lines: int, largest: int) -> None:
        """Reads of tiles of `lines` driven lines with cells from -`largest` to `largest`.

        Raises `ReadError` for a tile whose sums float64 does not hold exactly.
        """
        self.reads = reads
        self.lines = lines
        self.full = (1 << (reads.dac_bits - 1)) - 1
        """Largest code of an input."""
        self.drive = 1 if reads.encoding == "bit-serial" else self.full
        """Largest drive of a line in a conversion."""
        self.unit = self.drive * largest
        """A full input times the largest cell."""
        bound = math.frexp(math.nextafter(reads.output_bound * self.unit, 0))[1]
        self.shift = max(0, bound - (reads.adc_bits - 1))
        """A code stands for sums of 2**shift."""
        bits = max((lines * self.unit).bit_length(), reads.sum_bits, reads.tile_bits)
        if bits > EXACT_BITS:
            raise ReadError(
                f"sums of up to {bits} bits are not exact in the golden model (limit "
                f"{EXACT_BITS}): lower dac_bits, sum_bits, the lines of a tile or the states of a "
                "device"
            )
        self.dtype = np.dtype(np.float32 if bits <= FLOAT32_BITS else np.float64)
        """What holds codes, cells and sums exactly."""
        self._code = WordFormat(reads.adc_bits)
        self._sum = WordFormat(reads.sum_bits)

    def quantise(self, vectors: Array) -> tuple[Array, Array, int]:
        """The DAC: codes of `vectors` (a row each), what a code of each counts for, and clips.

        Codes round half to even; those beyond full are clipped and counted. Without an input bound
        only the rounding of a vector's largest values can clip.
        """
        if self.reads.input_bound is None:
            largest = np.maximum(
                vectors.max(axis=1, initial=0.0), -vectors.min(axis=1, initial=0.0)
            )
            exponents = np.maximum(np.frexp(largest)[1], LEAST_EXPONENT)
        else:
            exponent = math.frexp(math.nextafter(self.reads.input_bound, 0))[1]
            exponents = np.full(len(vectors), exponent)
        exponents = exponents - (self.reads.dac_bits - 1)
        codes = np.multiply(vectors, np.exp2(-exponents)[:, None], dtype=self.dtype)
        np.rint(codes, out=codes)
        clips = 0
        if codes.max(initial=0) > self.full or codes.min(initial=0) < -self.full:
            clips = int(np.count_nonzero(np.abs(codes) > self.full))
            np.clip(codes, -self.full, self.full, out=codes)
        return codes, np.exp2(exponents), clips

    def read(
        self, cells: Array, codes: Array, random: np.random.Generator | None = None
    ) -> tuple[Array, Saturations, NDArray[np.bool_]]:
        """The sums of `codes` (vectors x inputs) through `cells` (inputs x outputs).

        Inputs fill tiles of `lines`; codes and cells are of `dtype`; noise is drawn from `random`,
        if any. Returns the sums (vectors x outputs), in units of 2**`shift`; what saturated; and
        the vectors of which an ADC did.
        """
        result = np.zeros((len(codes), cells.shape[1]), self.dtype)
        saturations, saturated = Saturations(), np.zeros(len(codes), np.bool_)
        tiles = range(0, len(cells), self.lines)
        sums_can_saturate = len(tiles) << (self.reads.tile_bits - 1) > self._sum.maximum
        for first in tiles:
            tile = slice(first, first + self.lines)
            for bit, drive in self._drives(codes[:, tile], random):
                sums = drive @ cells[tile]
                if self.reads.output_noise and random is not None:
                    noise = random.standard_normal(sums.shape, dtype=np.float32)
                    sums += self.reads.output_noise * self.unit * noise
                beyond = self._convert(sums)
                if beyond is not None:
                    saturations.adc += int(np.count_nonzero(beyond))
                    saturated |= beyond.any(axis=1)
                if bit:
                    sums *= 2.0**bit
                result += sums
            if sums_can_saturate:
                held = np.clip(result, self._sum.minimum, self._sum.maximum)
                saturations.sums += int(np.count_nonzero(held != result))
                result = held
        return result, saturations, saturated

    def convert(self, sums: Array) -> tuple[Array, NDArray[np.bool_]]:
        """The ADC alone: the codes of `sums`, and which of them saturated."""
        codes = np.array(sums, self.dtype)
        beyond = self._convert(codes)
        return codes, np.zeros(codes.shape, np.bool_) if beyond is None else beyond

    def _drives(
        self, codes: Array, random: np.random.Generator | None
    ) -> Iterator[tuple[int, Array]]:
        """What the lines are driven with, and the place of that bit: once, or bit by bit."""
        bits = range(self.reads.conversions)
        if len(bits) > 1:
            signs, magnitudes = np.sign(codes), np.abs(codes).astype(np.int16)
        for bit in bits:
            drive = codes if len(bits) == 1 else signs * ((magnitudes >> bit) & 1)
            if self.reads.input_noise and random is not None:
                noise = random.standard_normal(drive.shape, dtype=np.float32)
                drive = drive + (self.reads.input_noise * self.drive * noise).astype(self.dtype)
            yield bit, drive

    def _convert(self, sums: Array) -> NDArray[np.bool_] | None:
        """The ADC: `sums` become codes in place; returns which saturated, None if none did."""
        if self.shift:
            sums *= 0.5**self.shift
        np.rint(sums, out=sums)
        low, high = self._code.minimum, self._code.maximum
        if sums.max(initial=0) <= high and sums.min(initial=0) >= low:
            return None
        beyond = (sums > high) | (sums < low)
        np.clip(sums, low, high, out=sums)
        return beyond
