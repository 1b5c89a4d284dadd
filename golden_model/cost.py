"""What a batch costs on the accelerator, without running it."""

from collections.abc import Iterable

from golden_model.parameters import Parameters

IDEAL_BLOCK_CYCLES = (
    "(2 * samples * groups + 2 * gram) * (rows(m) + rows(n)), rows(d) = ceil(d / lanes), "
    "groups = ceil(k / columns), gram = sum over ranks j of groups - floor(j / columns)"
)
"""The formula of `ideal_block_cycles`, for documents."""

BLOCK_STEPS = (
    "((2 * samples + history_digits) * groups + gram + gram of k - 1 later ranks) "
    "* (rows(m) + rows(n)) + groups * rows(m)"
)
"""The formula of `block_steps`, for documents."""


def tiles(parameters: Parameters, m: int, n: int) -> int:
    """Crossbar tiles that hold m x n weights."""
    return -(-n // parameters.tile_rows) * -(-m // parameters.tile_columns)


def gram_passes(parameters: Parameters, k: int) -> int:
    """Passes of dot products of Gram-Schmidt: for each of k ranks, its group and all later ones."""
    return sum(parameters.groups(k) - j // parameters.columns for j in range(k))


def subtraction_passes(parameters: Parameters, k: int) -> int:
    """Passes that subtract a rank from the groups of all later ranks."""
    return sum(parameters.groups(k) - (j + 1) // parameters.columns for j in range(k - 1))


def ideal_block_cycles(parameters: Parameters, m: int, n: int, k: int, samples: int) -> int:
    """Cycles of a block on an array that multiplies in every lane, column and cycle.

    Projection and accumulation of both factors take 2 * samples rows of operands for every group
    of ranks; orthonormalisation a row of dot products and a row of subtractions for every rank and
    every group that is not finished: together 2 * samples + 2 * k for k <= columns.
    """
    rows = 2 * samples * parameters.groups(k) + 2 * gram_passes(parameters, k)
    return rows * parameters.sample_rows(m, n)


def ideal_batch_cycles(
    parameters: Parameters, m: int, n: int, k: int, blocks: Iterable[int]
) -> int:
    """`ideal_block_cycles` summed over blocks of the given samples."""
    return sum(ideal_block_cycles(parameters, m, n, k, samples) for samples in blocks)


def block_steps(parameters: Parameters, m: int, n: int, k: int, samples: int) -> int:
    """Steps that the MAC array takes in a block: exactly what the passes of `hdl.passes` add up to.

    Against the ideal: the history a digit a step, the overlap of old and new error factors; but
    nothing is subtracted from a group that has no later rank.
    """
    groups = parameters.groups(k)
    steps = (2 * samples + parameters.history_digits) * groups
    steps += gram_passes(parameters, k) + subtraction_passes(parameters, k)
    return steps * parameters.sample_rows(m, n) + groups * parameters.rows(m)


def batch_steps(parameters: Parameters, m: int, n: int, k: int, blocks: Iterable[int]) -> int:
    """Register MULTIPLY_CYCLES after a batch: `block_steps`, and the norms of the state."""
    norms = parameters.groups(k) * parameters.sample_rows(m, n)
    return norms + sum(block_steps(parameters, m, n, k, samples) for samples in blocks)
