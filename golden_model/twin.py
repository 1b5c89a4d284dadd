"""The digital twin of a crossbar: devices in integers, whose moves hardware computes to the bit.

A conductance is an unsigned integer in units of 2**-`fraction_bits` steps, a step being what one
pulse moves an ideal device. With g a conductance, top = (states - 1) 2**fraction_bits the highest,
and up and down two integers of the cell's own, a pulse moves a cell by

    ideal           2**fraction_bits                                    either way
    constant-step   up                              or down
    soft-bounds     round(up (top - g) / 2**shift)  or round(down g / 2**shift)

and no further than its bound, 0 or top; a cell that is stuck does not move. Rounding is half to
even, as everywhere. The laws in real numbers, with their sources, are in `golden_model.devices`.
One coincidence is one pulse, and slots apply in their order.

A read drives the lines of one side of a tile and converts the sums of the other side, of cells as
signed numbers 2 g - top: steps 2 and 3 of `golden_model.reads`. docs/twin.md has the hardware.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden_model.formats import WordFormat
from golden_model.random_bits import Mixer
from golden_model.reads import MAX_ADC_BITS, MAX_DAC_BITS

Cells = NDArray[np.int64]
"""An integer for each cell, (tiles x rows x columns)."""

DRAW_ROUNDS = 4
"""Rounds of the mixer for each cell."""

NORMAL_RANGE = 510
"""Largest magnitude of `approximate_normal`."""

NORMAL_DEVIATION = math.sqrt(4 * (256**2 - 1) / 12)
"""Standard deviation of `approximate_normal`: that of a sum of four random bytes."""

SPREAD_FRACTION_BITS = 12
"""Fraction bits of the factors by which drawn numbers are scaled."""

OPERAND_BITS = 18
"""Most bits of a conductance and of a cell's step: a multiplier's operands on the FPGAs in view."""

MAX_STATES = 1 << OPERAND_BITS
"""Most states of a device."""

SHIFT_MAX = 31
"""Largest right shift of a sum on its way to a code."""


class TwinError(ValueError):
    """A twin's parameter is outside its range, or at odds with another."""


class Law(Enum):
    """How far a pulse moves a cell, by the names that `golden_model.devices` uses."""

    IDEAL = "ideal"
    CONSTANT_STEP = "constant-step"
    SOFT_BOUNDS = "soft-bounds"


@dataclass(frozen=True)
class TwinSpec:
    """A twin: its size, its devices and its speed, for the model and the hardware alike.

    Immutable; construction raises `TwinError` for what cannot be built.
    """

    rows: int
    """Row lines of a tile."""
    columns: int
    """Column lines of a tile."""
    grid_rows: int = 1
    """Rows of tiles."""
    grid_columns: int = 1
    """Columns of tiles."""
    states: int = 256
    """Conductance states of an ideal device."""
    fraction_bits: int = 7
    """Bits of a conductance below a step."""
    law: Law = Law.IDEAL
    """How far a pulse moves a cell."""
    asymmetry: float = 0.0
    """Mean of (up - down) / (up + down)."""
    step_spread: float = 0.0
    """Standard deviation of a cell's step, relative to the nominal one."""
    asymmetry_spread: float = 0.0
    """Standard deviation of (up - down) / (up + down) from cell to cell."""
    cells_per_cycle: int = 8
    """Cells of a row that the hardware updates or reads in a clock cycle, a power of two."""
    dac_bits: int = 8
    """Bits of a line's drive in a read, its sign among them: a drive has up to
    2**(`dac_bits` - 1) - 1 slots."""
    adcs: int = 4
    """ADCs side by side, codes a clock cycle, a power of two."""
    adc_bits: int = 12
    """Bits of an ADC's code, two's complement: its highest resolution."""

    def __post_init__(self) -> None:
        for name, low, high in (
            ("rows", 1, 1024),
            ("columns", 1, 1024),
            ("grid_rows", 1, 4096),
            ("grid_columns", 1, 4096),
            ("states", 2, MAX_STATES),
            ("fraction_bits", 0, OPERAND_BITS - 1),
            ("cells_per_cycle", 1, 1024),
            ("dac_bits", 2, MAX_DAC_BITS),
            ("adcs", 1, 64),
            ("adc_bits", 2, MAX_ADC_BITS),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise TwinError(f"{name} = {value!r} must be an integer from {low} to {high}")
        for name in ("asymmetry", "step_spread", "asymmetry_spread"):
            share, least = getattr(self, name), -0.9 if name == "asymmetry" else 0.0
            if not least <= share <= 0.9:
                raise TwinError(f"{name} = {share} must be from {least:g} to 0.9")
        if self.cells_per_cycle & (self.cells_per_cycle - 1) or self.columns % self.cells_per_cycle:
            raise TwinError(
                f"cells_per_cycle = {self.cells_per_cycle} must be a power of two that divides "
                f"columns = {self.columns}: a row is updated in whole groups of cells"
            )
        if self.adcs & (self.adcs - 1):
            raise TwinError(f"adcs = {self.adcs} must be a power of two")
        if self.conductance_bits > OPERAND_BITS:
            raise TwinError(
                f"states = {self.states} and fraction_bits = {self.fraction_bits} make "
                f"conductances of {self.conductance_bits} bits, at most {OPERAND_BITS} fit a "
                "multiplier: lower one of them"
            )
        if self.law is Law.IDEAL:
            self._check_ideal()
        elif self.fraction_bits < 1:
            raise TwinError(
                f"fraction_bits = 0 leaves law {self.law.value} no steps but whole ones"
            )
        if self.law is Law.SOFT_BOUNDS and self.stall > 0.5:
            raise TwinError(
                f"fraction_bits = {self.fraction_bits} makes soft bounds of {self.states} states "
                f"stall {self.stall:.3g} steps from a bound, at most 0.5 is allowed: at least "
                f"{(self.states - 2).bit_length() - 1} bits, or fewer states"
            )

    def _check_ideal(self) -> None:
        for name in ("asymmetry", "step_spread", "asymmetry_spread"):
            if getattr(self, name):
                raise TwinError(
                    f"{name} = {getattr(self, name)}: ideal devices are all alike; choose law "
                    f"{Law.CONSTANT_STEP.value} or {Law.SOFT_BOUNDS.value}, or 0"
                )

    @property
    def tiles(self) -> int:
        """Number of tiles."""
        return self.grid_rows * self.grid_columns

    @property
    def unit(self) -> int:
        """A step in units of a conductance."""
        return 1 << self.fraction_bits

    @property
    def top(self) -> int:
        """Highest conductance."""
        return (self.states - 1) << self.fraction_bits

    @property
    def middle(self) -> int:
        """Conductance of a fresh cell: the middle state, of an even number the upper of the two."""
        return (self.states // 2) << self.fraction_bits

    @property
    def conductance_bits(self) -> int:
        """Bits of a conductance."""
        return self.top.bit_length()

    @property
    def longest_drive(self) -> int:
        """Slots of the longest drive of a read, and a line's largest drive."""
        return (1 << (self.dac_bits - 1)) - 1

    @property
    def sum_bits(self) -> int:
        """Bits of the sum that a sensed line gives, its sign among them."""
        lines = max(self.rows, self.columns)
        return (lines * self.longest_drive * self.top).bit_length() + 1

    @property
    def shift(self) -> int:
        """Right shift of soft bounds' products, such that a nominal step takes fraction_bits."""
        return self.fraction_bits + (self.states - 1).bit_length() - 1

    @property
    def nominal_step(self) -> int:
        """A cell's up and down without spread or asymmetry: one step, in the middle of the range.

        For soft bounds a factor, 2**(shift + 1) / (states - 1) rounded; 0 for ideal devices, which
        need none.
        """
        if self.law is Law.SOFT_BOUNDS:
            return round((1 << (self.shift + 1)) / (self.states - 1))
        return 0 if self.law is Law.IDEAL else self.unit

    @property
    def nominal_steps(self) -> tuple[int, int]:
        """A cell's up and down without spread."""
        if self.law is Law.IDEAL:
            return 0, 0
        tilt = self.draw_factors[2]
        steps = np.array([self.nominal_step + tilt, self.nominal_step - tilt])
        up, down = self.limited_step(steps).tolist()
        return up, down

    @property
    def step_bits(self) -> int:
        """Bits of a cell's up and of its down: up to about twice the nominal ones."""
        return 0 if self.law is Law.IDEAL else self.nominal_step.bit_length() + 1

    @property
    def stall(self) -> float:
        """Distance from a bound, in steps, at which soft bounds round a nominal move to zero."""
        return (1 << (self.shift - 1)) / self.nominal_step / self.unit

    @property
    def steps_allowed(self) -> tuple[int, int]:
        """Smallest and largest up or down that is drawn; the smallest a hundredth of nominal."""
        return max(1, round(self.nominal_step / 100)), (1 << self.step_bits) - 1

    @property
    def draw_factors(self) -> tuple[int, int, int]:
        """Integers by which drawn cells differ: factor of the size, of the tilt, mean tilt.

        up and down are nominal + size + tilt and nominal + size - tilt, with size = round(normal *
        factor / 2**SPREAD_FRACTION_BITS), tilt the same with its factor and the mean added.
        """
        scale = self.nominal_step * (1 << SPREAD_FRACTION_BITS) / NORMAL_DEVIATION
        return (
            round(self.step_spread * scale),
            round(self.asymmetry_spread * scale),
            round(self.asymmetry * self.nominal_step),
        )

    def limited_step(self, value: Cells) -> Cells:
        """`value` within what a drawn up or down may be."""
        return np.clip(value, *self.steps_allowed)

    def move(self, conductance: Cells, upward: NDArray[np.bool_], step: Cells) -> Cells:
        """Conductances after one pulse each, up where `upward` and down elsewhere.

        `step` is each cell's up or down. Nothing sticks here.
        """
        distance = np.where(upward, self.top - conductance, conductance)
        if self.law is Law.IDEAL:
            wanted = np.full_like(distance, self.unit)
        elif self.law is Law.CONSTANT_STEP:
            wanted = step
        else:
            wanted = round_shift(step * distance, self.shift)
        moved = np.minimum(wanted, distance)
        return conductance + np.where(upward, moved, -moved)


def round_shift(values: Cells, bits: int) -> Cells:
    """`values` / 2**`bits`, rounded half to even."""
    if bits == 0:
        return values
    return (values + (1 << (bits - 1)) - 1 + ((values >> bits) & 1)) >> bits


def approximate_normal(word: int) -> int:
    """The sum of a random word's four bytes less its mean: nearly normally distributed.

    From -`NORMAL_RANGE` to `NORMAL_RANGE`, with standard deviation `NORMAL_DEVIATION`.
    """
    return sum(word.to_bytes(4, "little")) - NORMAL_RANGE


class TwinArray:
    """The cells of a twin, and what pulses do to them."""

    def __init__(self, spec: TwinSpec) -> None:
        """Fresh cells without spread: in the middle, none stuck."""
        self.spec = spec
        shape = (spec.tiles, spec.rows, spec.columns)
        self.conductance: Cells = np.full(shape, spec.middle, dtype=np.int64)
        up, down = spec.nominal_steps
        self.up: Cells = np.full(shape, up, dtype=np.int64)
        self.down: Cells = np.full(shape, down, dtype=np.int64)
        self.stuck: NDArray[np.bool_] = np.zeros(shape, dtype=bool)

    def draw(self, seed: int) -> None:
        """Fresh cells of their own ups and downs: in the middle, none stuck.

        A function of the 32-bit `seed` and the cell's place alone.
        """
        spec = self.spec
        mixer = Mixer(seed)
        normals = np.empty((self.conductance.size, 2), dtype=np.int64)
        for cell in range(len(normals)):
            mixer.advance(DRAW_ROUNDS)
            normals[cell] = approximate_normal(mixer.a), approximate_normal(mixer.b)
        size_factor, tilt_factor, mean_tilt = spec.draw_factors
        size = spec.nominal_step + round_shift(normals[:, 0] * size_factor, SPREAD_FRACTION_BITS)
        tilt = mean_tilt + round_shift(normals[:, 1] * tilt_factor, SPREAD_FRACTION_BITS)
        shape = self.conductance.shape
        if spec.step_bits:
            self.up = spec.limited_step(size + tilt).reshape(shape)
            self.down = spec.limited_step(size - tilt).reshape(shape)
        self.conductance[:] = spec.middle
        self.stuck[:] = False

    def stick(self, where: ArrayLike) -> None:
        """Make the cells stuck that the map `where`, of the cells' shape, names, and no others."""
        self.stuck[:] = where

    def program(self, conductance: ArrayLike) -> None:
        """Set the conductances, limited to their range, of all cells that are not stuck."""
        limited = np.clip(conductance, 0, self.spec.top)
        self.conductance[:] = np.where(self.stuck, self.conductance, limited)

    def apply(self, tile_row: int, tile_column: int, rows: ArrayLike, columns: ArrayLike) -> None:
        """One slot on a tile: polarity of each row and column line, 1, -1, or 0 if not driven."""
        rows, columns = np.asarray(rows, dtype=np.int64), np.asarray(columns, dtype=np.int64)
        tile = tile_row * self.spec.grid_columns + tile_column
        fired = np.flatnonzero(rows)
        self._pulse((tile, fired), np.outer(rows[fired], columns))

    def pulse(self, steps: ArrayLike) -> None:
        """|`steps`| pulses each, up where positive, down where negative; of the cells' shape.

        The same as slot by slot whenever a cell's pulses all have one sign, as those of a rank do
        (`pulses.RankSteps`): cells do not see each other.
        """
        left = np.asarray(steps).astype(np.int64)
        for _ in range(int(np.abs(left).max(initial=0))):
            self._pulse(..., left)
            left -= np.sign(left)

    @property
    def cells(self) -> Cells:
        """Cells as reads see them, 2 g - top: from -top to top, in halves of a conductance."""
        return 2 * self.conductance - self.spec.top

    def read(
        self,
        tile_row: int,
        tile_column: int,
        drive: ArrayLike,
        *,
        transposed: bool,
        sensed: int,
        resolution: int,
        shift: int,
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """A conversion of a tile: codes of the first `sensed` lines, and which are limited.

        `drive` is the slots for which each line was driven, signed: of all rows, or of all columns
        if `transposed`. A code is the line's sum / 2**`shift`, rounded half to even and limited to
        `resolution` bits. Raises `TwinError` for what the hardware cannot be asked for.
        """
        spec, drive = self.spec, np.asarray(drive, dtype=np.int64)
        lines = spec.rows if transposed else spec.columns
        if np.abs(drive).max(initial=0) > spec.longest_drive:
            raise TwinError(
                f"a drive of {np.abs(drive).max()} slots: at most {spec.longest_drive} with "
                f"dac_bits = {spec.dac_bits}"
            )
        for name, value, low, high in (
            ("sensed", sensed, 0, lines),
            ("resolution", resolution, 2, spec.adc_bits),
            ("shift", shift, 0, SHIFT_MAX),
        ):
            if not low <= value <= high:
                raise TwinError(f"{name} = {value} must be from {low} to {high}")
        tile = self.cells[tile_row * spec.grid_columns + tile_column]
        sums = (tile if transposed else tile.T) @ drive
        code = WordFormat(resolution)
        rounded = round_shift(sums[:sensed], shift)
        limited = np.clip(rounded, code.minimum, code.maximum)
        return limited, limited != rounded

    def _pulse(self, cells: Any, polarity: Cells) -> None:
        """One pulse at each of the `cells` (an index) whose `polarity` is not 0."""
        conductance = self.conductance[cells]
        upward = polarity > 0
        step = np.where(upward, self.up[cells], self.down[cells])
        moved = self.spec.move(conductance, upward, step)
        still = (polarity == 0) | self.stuck[cells]
        self.conductance[cells] = np.where(still, conductance, moved)
