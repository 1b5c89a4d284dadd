"""The random bits behind pulses: repeatable, of full period, and independent where it counts."""

import numpy as np
import pytest

from golden_model.random_bits import (
    COLUMN_SHIFTS,
    ROW_SHIFTS,
    LineGenerators,
    Mixer,
    xorshift,
)


def step(state: int, shifts: tuple[int, int, int]) -> int:
    """One xorshift step on a Python integer, from the definition."""
    left, right, again = shifts
    state ^= (state << left) & 0xFFFFFFFF
    state ^= state >> right
    return state ^ ((state << again) & 0xFFFFFFFF)


def matrix_power(shifts: tuple[int, int, int], exponent: int) -> list[int]:
    """Images of the 32 unit vectors after `exponent` steps, by squaring."""

    def apply(matrix: list[int], state: int) -> int:
        result = 0
        for bit, image in enumerate(matrix):
            result ^= image * (state >> bit & 1)
        return result

    power = [1 << bit for bit in range(32)]
    square = [step(1 << bit, shifts) for bit in range(32)]
    while exponent:
        if exponent & 1:
            power = [apply(square, image) for image in power]
        square = [apply(square, image) for image in square]
        exponent >>= 1
    return power


@pytest.mark.parametrize("shifts", [ROW_SHIFTS, COLUMN_SHIFTS])
def test_a_line_generator_runs_through_every_nonzero_state(shifts):
    period = 2**32 - 1
    identity = [1 << bit for bit in range(32)]
    assert matrix_power(shifts, period) == identity
    for prime in (3, 5, 17, 257, 65537):
        assert matrix_power(shifts, period // prime) != identity


@pytest.mark.parametrize("shifts", [ROW_SHIFTS, COLUMN_SHIFTS])
@pytest.mark.parametrize(("blocks", "log2_length"), [(1, 0), (3, 2), (8, 1), (5, 5)])
def test_draws_side_by_side_equal_single_steps(shifts, blocks, log2_length):
    seeds = np.array([1, 0x80000000, 0xDEADBEEF], dtype=np.uint32)
    generators = LineGenerators(seeds, shifts)
    for line, seed in enumerate(seeds.tolist()):
        state, expected = seed, []
        for _ in range(2 * (blocks << log2_length)):
            state = step(state, shifts)
            expected.append(state)
        restarted = LineGenerators(seeds[line : line + 1], shifts)
        draws = [restarted.draws(blocks, log2_length).ravel() for _ in range(2)]
        assert np.concatenate(draws).tolist() == expected
    assert generators.draws(blocks, log2_length).shape == (blocks, 1 << log2_length, 3)


def test_xorshift_steps_in_place():
    states = np.array([1, 2**31, 12345], dtype=np.uint32)
    expected = [step(state, ROW_SHIFTS) for state in states.tolist()]
    xorshift(states, ROW_SHIFTS)
    assert states.tolist() == expected


def test_neighbouring_seeds_give_unrelated_states():
    words = np.array([(Mixer(seed).a, Mixer(seed).b) for seed in range(4096)], dtype=np.int64)
    flips = words[:-1] ^ words[1:]
    bits = (flips[:, :, None] >> np.arange(32)) & 1
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 5 * 0.5 / np.sqrt(len(flips))


def test_line_seeds_are_never_zero_and_follow_from_the_seed():
    seeds = Mixer(3).line_seeds(2048)
    assert seeds.all()
    assert len(np.unique(seeds)) == 2048
    assert np.array_equal(seeds, Mixer(3).line_seeds(2048))
    assert not np.any(seeds == Mixer(4).line_seeds(2048))


def test_a_zero_word_of_the_mixer_seeds_a_generator_with_one():
    mixer = Mixer(0)
    # Choose b so that the next a is 0: a' = ((a >>> 8) + b) XOR key.
    mixer.a, mixer.b = 0, 0x9E3779B9
    assert mixer.line_seeds(1).tolist() == [1]


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_of_more_than_32_bits_is_refused(seed):
    with pytest.raises(ValueError, match="from 0 to 4294967295"):
        Mixer(seed)


def coincidence_scores(draws: list[np.ndarray]) -> np.ndarray:
    """Standard scores of the coincidences of every row line with every column line at duty 1/2."""
    rows, columns = ((draw < 2**31).astype(np.float32) for draw in draws)
    slots = len(rows)
    return (rows.T @ columns - slots / 4) / np.sqrt(slots * 3 / 16)


def test_row_and_column_lines_are_independent_along_time():
    mixer = Mixer(99)
    draws = [
        LineGenerators(mixer.line_seeds(64), shifts).draws(1, 13)[0]
        for shifts in (ROW_SHIFTS, COLUMN_SHIFTS)
    ]
    scores = coincidence_scores(draws)
    assert abs(scores.std() - 1) < 0.1
    assert np.abs(scores).max() < 6


def test_row_and_column_lines_are_independent_over_seeds():
    firsts: list[list[np.ndarray]] = [[], []]
    for seed in range(2000):
        mixer = Mixer(seed)
        for side, shifts in enumerate((ROW_SHIFTS, COLUMN_SHIFTS)):
            firsts[side].append(LineGenerators(mixer.line_seeds(8), shifts).draws(1, 2)[0, 3])
    scores = coincidence_scores([np.array(side) for side in firsts])
    assert np.abs(scores).max() < 4.5
