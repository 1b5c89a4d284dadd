"""How an update becomes pulses: duties, slots and the two pulse encodings, slot by slot.

An update adds -kappa_c x_c delta_c^T, a rank at a time, to the conductances of a crossbar, in steps
of its devices: the cell where row r and column q cross takes kappa_c |x_r| |delta_q| steps on
average. Row line r fires with duty |x_r|, column line q with duty |delta_q| times what is left of
kappa after a power of two has become the number of slots; a cell steps when both its lines fire in
the same slot. Signs take four phases, so that a line carries one polarity at a time.
docs/updates.md has the formulas, the pins and the timing.

Duties are integers from 0 to 2**(width - 1), which stands for 1; a line fires in a slot if its duty
exceeds the slot's threshold, which is from 0 to 2**(width - 1) - 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden_model.formats import Words
from golden_model.parameters import Parameters
from golden_model.random_bits import (
    COLUMN_SHIFTS,
    ROW_SHIFTS,
    WORD_BITS,
    LineGenerators,
    Mixer,
)

Integers = NDArray[np.int32]
Steps = NDArray[np.float32]
"""Signed device steps, integers held exactly in float32."""

PHASES = ((1, 1), (-1, -1), (1, -1), (-1, 1))
"""Polarity of the row lines and of the column lines that may fire, in the order of the phases."""

MASK_ROUNDS = 4
"""Rounds of the mixer before each tile's masks."""

_CHUNK = 1 << 22
"""Pulses held at once when counting, a bound on memory."""

CHUNK_CELLS = 1 << 18
"""Most cells whose steps are counted at once, a bound on memory; at least one tile's."""


def slots_log2(parameters: Parameters, kappa: float, minimum: int, maximum: int) -> int:
    """Base-2 logarithm of the slots of a phase for scalar `kappa` > 0.

    As many slots as keep all column duties at or below 1, from 2**`minimum` to 2**`maximum` and at
    most `Parameters.max_slots`.
    """
    enough = math.frexp(kappa)[1] + 2 * (parameters.width - 1)
    return min(max(enough, minimum), maximum, parameters.max_slots.bit_length() - 1)


def scale_duties(
    parameters: Parameters, delta: Words, kappa: float, log2: int
) -> tuple[NDArray[np.int64], int]:
    """Column duties of words `delta` for scalar `kappa` and 2**`log2` slots.

    duty = |delta| * kappa * 2**(2 width - 2 - log2), rounded half to even and clipped to 1.
    Returns the duties and how many clipped.
    """
    full = 1 << (parameters.width - 1)
    duties = np.rint(np.ldexp(np.abs(delta) * kappa, 2 * (parameters.width - 1) - log2))
    clips = int(np.count_nonzero(duties > full))
    return np.minimum(duties, full).astype(np.int64), clips


def scrambled_thresholds(
    width: int, log2: int, row_masks: NDArray[np.int64], column_masks: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Thresholds of the scrambled low-discrepancy encoding, (tiles x slots) for masks (tiles).

    In slot i of 2**`log2` the rows' threshold is i at the top of `width` - 1 bits, the columns' is
    i with its bits reversed there, each XOR its mask: a Hammersley set, scrambled by the masks.
    """
    slots = np.arange(1 << log2)
    reverse = np.zeros_like(slots)
    for bit in range(log2):
        reverse |= ((slots >> bit) & 1) << (log2 - 1 - bit)
    shift = width - 1 - log2
    rows = (slots << shift) ^ np.asarray(row_masks)[:, None]
    columns = (reverse << shift) ^ np.asarray(column_masks)[:, None]
    return rows, columns


class ScrambledThresholds:
    """Thresholds of the scrambled encoding: two fresh masks a tile, the same in all phases."""

    def __init__(self, parameters: Parameters, seed: int) -> None:
        """Start the masks' generator at 32-bit `seed`."""
        self._width = parameters.width
        self._mixer = Mixer(seed)

    def masks(self) -> tuple[int, int]:
        """The next tile's masks of the rows and the columns, `width` - 1 bits each."""
        self._mixer.advance(MASK_ROUNDS)
        shift = WORD_BITS - (self._width - 1)
        return self._mixer.a >> shift, self._mixer.b >> shift

    def tiles(self, count: int, log2: int) -> tuple[Integers, Integers]:
        """Thresholds of the next `count` tiles, (tiles x 1 x slots x 1) for rows and columns."""
        row_masks, column_masks = np.array([self.masks() for _ in range(count)]).T
        rows, columns = scrambled_thresholds(self._width, log2, row_masks, column_masks)
        return (
            rows.astype(np.int32)[:, None, :, None],
            columns.astype(np.int32)[:, None, :, None],
        )


class StochasticThresholds:
    """Thresholds of the stochastic encoding: a fresh random number a line and slot."""

    def __init__(self, parameters: Parameters, seed: int) -> None:
        """Seed a generator a line of a tile, the rows' first, from 32-bit `seed`."""
        mixer = Mixer(seed)
        self._shift = np.uint32(WORD_BITS - (parameters.width - 1))
        self._rows = LineGenerators(mixer.line_seeds(parameters.tile_rows), ROW_SHIFTS)
        self._columns = LineGenerators(mixer.line_seeds(parameters.tile_columns), COLUMN_SHIFTS)

    def tiles(self, count: int, log2: int) -> tuple[Integers, Integers]:
        """Thresholds of the next `count` tiles, (tiles x 4 x slots x lines) for rows and columns.

        They are the top bits of the generators, which advance in every slot of every phase.
        """
        rows, columns = (
            (generators.draws(count, log2 + 2) >> self._shift)
            .astype(np.int32)
            .reshape(count, len(PHASES), 1 << log2, -1)
            for generators in (self._rows, self._columns)
        )
        return rows, columns


@dataclass(frozen=True)
class RankLines:
    """What the lines of all tiles are to do for one rank."""

    log2: int
    """Base-2 logarithm of the slots of a phase."""
    rows: Integers
    """Row duties, (tile rows x lines), negative where the polarity is."""
    columns: Integers
    """Column duties, (tile columns x lines), negative where the polarity is."""
    clips: int
    """Column duties that clipped."""


def rank_lines(
    parameters: Parameters, x: Words, delta: Words, kappa: float, minimum: int, maximum: int
) -> RankLines:
    """Slots and signed duties for words `x` (n) and `delta` (m) of a rank and scalar `kappa` > 0.

    Rows take the sign of x, columns the opposite of delta's, so that equal polarities mean a step
    up and the weights descend. Lines beyond n and m have duty 0.
    """
    log2 = slots_log2(parameters, kappa, minimum, maximum)
    duties, clips = scale_duties(parameters, delta, kappa, log2)
    return RankLines(
        log2,
        _tiled(x, parameters.tile_rows),
        _tiled(-np.sign(delta) * duties, parameters.tile_columns),
        clips,
    )


def _tiled(values: NDArray[np.float64], lines: int) -> Integers:
    tiles = -(-len(values) // lines)
    result = np.zeros(tiles * lines, dtype=np.int32)
    result[: len(values)] = values
    return result.reshape(tiles, lines)


@dataclass(frozen=True)
class TilePulses:
    """The pulses that update one tile with one rank."""

    rank: int
    tile_row: int
    tile_column: int
    rows: NDArray[np.int8]
    """Polarity of each row line in each slot of the four phases, (4 slots x tile_rows)."""
    columns: NDArray[np.int8]
    """Polarity of each column line in each slot of the four phases, (4 slots x tile_columns)."""


@dataclass(frozen=True)
class RankSteps:
    """What the pulses of one rank do to tiles, all of them or some."""

    rank: int
    """Which rank."""
    slots: int
    """Slots of a phase; 0 for a rank whose kappa is zero, which takes no pulses."""
    clips: int
    """Column duties that clipped, in all tiles."""
    pulses: int
    """Pulses on lines, in these tiles."""
    coincidences: int
    """Coincidences of a row pulse and a column pulse, in these tiles."""
    tiles: slice
    """Which tiles, tile rows outermost."""
    steps: Steps
    """Steps of each cell, (tiles x tile_rows x tile_columns)."""


class UpdatePulses:
    """The pulses of one update: all ranks, and for each rank all tiles, tile rows outermost."""

    def __init__(
        self,
        parameters: Parameters,
        x: Words,
        delta: Words,
        kappas: Sequence[float],
        *,
        slots_min: int,
        slots_max: int,
        scrambled: bool,
        seed: int,
        origin: tuple[int, int] = (0, 0),
    ) -> None:
        """Prepare the update -sum_c kappas[c] x_c delta_c^T.

        `x` (n x k) and `delta` (m x k) are words, `kappas` k scalars, `slots_min` and `slots_max`
        logarithms to base 2, `origin` the row and the column of the layer's first tile in a grid
        of several layers' tiles, which changes no pulse. Raises ValueError if the numbers of ranks
        differ.
        """
        if not x.shape[1] == delta.shape[1] == len(kappas):
            raise ValueError(
                f"x has {x.shape[1]} ranks, delta {delta.shape[1]} and kappas {len(kappas)}: "
                "all three must agree"
            )
        self._parameters = parameters
        source = ScrambledThresholds if scrambled else StochasticThresholds
        self._source = source(parameters, seed)
        self._ranks = [
            rank_lines(parameters, x[:, c], delta[:, c], float(kappa), slots_min, slots_max)
            if kappa
            else None
            for c, kappa in enumerate(kappas)
        ]
        self._origin = origin
        self._tiles = (
            -(-x.shape[0] // parameters.tile_rows),
            -(-delta.shape[0] // parameters.tile_columns),
        )

    def trains(self) -> Iterator[TilePulses]:
        """The pulses slot by slot, in the order in which the drivers send them."""
        tile_rows, tile_columns = self._tiles
        for rank, lines in enumerate(self._ranks):
            if lines is None:
                continue
            for tile in range(tile_rows * tile_columns):
                tile_row, tile_column = divmod(tile, tile_columns)
                rows, columns = self._pulses(lines, tile, tile + 1)
                yield TilePulses(
                    rank,
                    self._origin[0] + tile_row,
                    self._origin[1] + tile_column,
                    rows.reshape(-1, rows.shape[-1]),
                    columns.reshape(-1, columns.shape[-1]),
                )

    def ranks(self) -> Iterator[RankSteps]:
        """The steps that each rank's pulses cause in all tiles."""
        parameters = self._parameters
        tiles = self._tiles[0] * self._tiles[1]
        empty = np.zeros((tiles, parameters.tile_rows, parameters.tile_columns), dtype=np.float32)
        parts = self.parts()
        for rank, lines in enumerate(self._ranks):
            if lines is None:
                yield RankSteps(rank, 0, 0, 0, 0, slice(0, tiles), empty)
                continue
            steps, pulses, coincidences = np.empty_like(empty), 0, 0
            for part in parts:
                steps[part.tiles] = part.steps
                pulses += part.pulses
                coincidences += part.coincidences
                if part.tiles.stop == tiles:
                    break
            yield RankSteps(
                rank, 1 << lines.log2, lines.clips, pulses, coincidences, slice(0, tiles), steps
            )

    def parts(self) -> Iterator[RankSteps]:
        """The steps that the pulses cause, by products of pulse trains, some tiles at a time.

        Rank by rank in the drivers' order of tiles, without those of kappa zero. A cell takes
        steps of one sign, in one phase of the four, so its steps are the coincidences of its
        lines' signed pulses over all of them.
        """
        parameters = self._parameters
        tiles = self._tiles[0] * self._tiles[1]
        lines_of_tile = max(parameters.tile_rows, parameters.tile_columns)
        most = max(1, CHUNK_CELLS // (parameters.tile_rows * parameters.tile_columns))
        for rank, lines in enumerate(self._ranks):
            if lines is None:
                continue
            chunk = max(1, min(most, _CHUNK // ((4 << lines.log2) * lines_of_tile)))
            for first in range(0, tiles, chunk):
                last = min(first + chunk, tiles)
                steps, driven, coincidences = self._count(lines, first, last)
                yield RankSteps(
                    rank,
                    1 << lines.log2,
                    lines.clips,
                    driven,
                    coincidences,
                    slice(first, last),
                    steps,
                )

    def _fire(
        self, lines: RankLines, first: int, last: int
    ) -> tuple[Integers, Integers, NDArray[np.bool_], NDArray[np.bool_]]:
        """Duties (tiles x 1 x 1 x lines), and whether they exceed the thresholds of each slot."""
        tiles = np.arange(first, last)
        row_thresholds, column_thresholds = self._source.tiles(len(tiles), lines.log2)
        rows = lines.rows[tiles // self._tiles[1], None, None]
        columns = lines.columns[tiles % self._tiles[1], None, None]
        return rows, columns, row_thresholds < np.abs(rows), column_thresholds < np.abs(columns)

    def _pulses(
        self, lines: RankLines, first: int, last: int
    ) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        """Polarities of lines in tiles `first` to `last`, (tiles x 4 x slots x lines)."""
        rows, columns, row_fires, column_fires = self._fire(lines, first, last)
        polarity = np.array(PHASES, dtype=np.int8).reshape(1, len(PHASES), 1, 2)
        return (
            polarity[..., :1] * (row_fires & (np.sign(rows) == polarity[..., :1])),
            polarity[..., 1:] * (column_fires & (np.sign(columns) == polarity[..., 1:])),
        )

    def _count(self, lines: RankLines, first: int, last: int) -> tuple[Steps, int, int]:
        """Steps (tiles x rows x columns), line pulses and coincidences of some tiles."""
        rows, columns, row_fires, column_fires = self._fire(lines, first, last)
        if row_fires.shape[1] == 1:  # the same in all phases: each line fires in two of the four
            row_counts = np.count_nonzero(row_fires[:, 0], axis=2)
            column_counts = np.count_nonzero(column_fires[:, 0], axis=2)
            row_pulses = row_fires[:, 0] * np.sign(rows[:, 0], dtype=np.float32)
            column_pulses = column_fires[:, 0] * np.sign(columns[:, 0], dtype=np.float32)
            driven = 2 * (int(row_counts.sum()) + int(column_counts.sum()))
        else:
            polarity = np.array(PHASES, dtype=np.float32).reshape(1, len(PHASES), 1, 2)
            row_polarity = polarity[..., :1] * (np.sign(rows) == polarity[..., :1])
            column_polarity = polarity[..., 1:] * (np.sign(columns) == polarity[..., 1:])
            row_pulses = (row_fires * row_polarity).reshape(last - first, -1, rows.shape[-1])
            column_pulses = (column_fires * column_polarity).reshape(
                last - first, -1, columns.shape[-1]
            )
            row_counts, column_counts = (
                np.einsum("tsl,tsl->ts", pulses, pulses).astype(np.int64)  # squares of -1, 0, 1
                for pulses in (row_pulses, column_pulses)
            )
            driven = int(row_counts.sum()) + int(column_counts.sum())
        steps: Steps = np.matmul(row_pulses.transpose(0, 2, 1), column_pulses, dtype=np.float32)
        # Every line that fires in a slot meets all that fire across it: the one sum over cells
        # that needs no pass over them.
        coincidences = int(np.vdot(row_counts, column_counts))
        return steps, driven, coincidences
