"""Random bits of the pulse generators, a function of a 32-bit seed alone.

Two generators, chosen for their cost in logic: a `Mixer`, from which all seeds and masks come, and
a `LineGenerators` array, one xorshift register a crossbar line, for stochastic pulses.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Draws = NDArray[np.uint32]
"""Random 32-bit numbers."""

WORD_BITS = 32
WORD_MASK = (1 << WORD_BITS) - 1

MIXER_KEY = 0x9E3779B9
"""Round key of the mixer: the golden ratio's fraction, a number without structure."""

MIXER_START = 0x243F6A88
"""Second half of the mixer's first state: the fraction of pi."""

WARM_UP_ROUNDS = 8
"""Rounds after which every bit of the mixer's state depends on every bit of the seed."""

ROW_SHIFTS = (7, 25, 12)
COLUMN_SHIFTS = (8, 9, 23)
"""Shifts left, right, left of the xorshift generators. Both reach all 2**32 - 1 nonzero states, by
different recurrences, so that a row and a column never run through the same sequence."""


class Mixer:
    """The round function of the Speck cipher with 32-bit words, under a constant key.

    Per round a' = ((a >>> 8) + b) XOR key and b' = (b <<< 3) XOR a', with rotations: one adder, and
    nonlinear, so that neighbouring seeds lead to unrelated states (Beaulieu et al., "The Simon and
    Speck families of lightweight block ciphers", 2013).
    """

    def __init__(self, seed: int) -> None:
        """Start from 32-bit `seed` and mix it in; raises ValueError if it has more bits."""
        if not 0 <= seed <= WORD_MASK:
            raise ValueError(f"seed {seed} must be from 0 to {WORD_MASK} (32 bits)")
        self.a = seed
        self.b = MIXER_START
        self.advance(WARM_UP_ROUNDS)

    def advance(self, rounds: int) -> None:
        """Do `rounds` rounds."""
        a, b = self.a, self.b
        for _ in range(rounds):
            a = ((((a >> 8) | (a << 24)) + b) & WORD_MASK) ^ MIXER_KEY
            b = (((b << 3) | (b >> 29)) & WORD_MASK) ^ a
        self.a, self.b = a, b

    def line_seeds(self, lines: int) -> Draws:
        """States for `lines` xorshift generators: a after each of as many rounds, 1 where it is 0.

        A xorshift register of zeros would stay so.
        """
        seeds = np.empty(lines, dtype=np.uint32)
        for line in range(lines):
            self.advance(1)
            seeds[line] = self.a or 1
        return seeds


def xorshift(states: Draws, shifts: tuple[int, int, int]) -> None:
    """Advance xorshift `states` by a step in place (Marsaglia, J. Stat. Softw. 8(14), 2003)."""
    left, right, again = (np.uint32(shift) for shift in shifts)
    states ^= states << left
    states ^= states >> right
    states ^= states << again


@lru_cache(maxsize=128)
def _jump_tables(shifts: tuple[int, int, int], log2_steps: int) -> Draws:
    """Tables (4 bytes x 256 values) whose entries for a state's bytes XOR to its later state.

    A step is linear over GF(2), so the state 2**`log2_steps` steps on is the sum of what becomes of
    each of its bits alone.
    """
    if log2_steps == 0:
        images = np.uint32(1) << np.arange(WORD_BITS, dtype=np.uint32)
        xorshift(images, shifts)
    else:
        half = _jump_tables(shifts, log2_steps - 1)
        bits = np.uint32(1) << np.arange(WORD_BITS, dtype=np.uint32)
        images = _look_up(half, _look_up(half, bits))
    tables = np.zeros((4, 256), dtype=np.uint32)
    for byte in range(4):
        for bit in range(8):
            tables[byte, 1 << bit : 2 << bit] = tables[byte, : 1 << bit] ^ images[8 * byte + bit]
    return tables


def _look_up(tables: Draws, states: Draws) -> Draws:
    result = tables[0][states & np.uint32(0xFF)]
    for byte in range(1, 4):
        result ^= tables[byte][(states >> np.uint32(8 * byte)) & np.uint32(0xFF)]
    return result


class LineGenerators:
    """A xorshift register for each of some lines, all advancing together."""

    def __init__(self, seeds: Draws, shifts: tuple[int, int, int]) -> None:
        """Start the registers at `seeds`, none of them 0."""
        self._states = seeds.copy()
        self._shifts = shifts

    def draws(self, blocks: int, log2_length: int) -> Draws:
        """The next states, `blocks` times 2**`log2_length` of them a line.

        Returns them in the shape (blocks, length, lines). All blocks are computed side by side, for
        speed: their first states follow from doubling jumps.
        """
        starts = self._states[None]
        jump = log2_length
        while len(starts) < blocks:
            starts = np.concatenate([starts, _look_up(_jump_tables(self._shifts, jump), starts)])
            jump += 1
        states = starts[:blocks].copy()
        result = np.empty((blocks, 1 << log2_length, states.shape[1]), dtype=np.uint32)
        for step in range(1 << log2_length):
            xorshift(states, self._shifts)
            result[:, step] = states
        self._states = states[-1].copy()
        return result
