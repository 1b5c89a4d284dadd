"""What a batch costs on the accelerator, without running it."""

from collections.abc import Iterable

from golden_model.parameters import Parameters

IDEAL_BLOCK_CYCLES = "(2 * samples + 2 * k) * (rows(m) + rows(n)), rows(d) = ceil(d / lanes)"
"""The formula of `ideal_block_cycles`, for documents."""

BLOCK_STEPS = "(2 * samples + history_digits + 3 * k - 2) * (rows(m) + rows(n)) + rows(m)"
"""The formula of `block_steps`, for documents."""


def tiles(parameters: Parameters, m: int, n: int) -> int:
    """Crossbar tiles that hold m x n weights."""
    return -(-n // parameters.tile_rows) * -(-m // parameters.tile_columns)


def ideal_block_cycles(parameters: Parameters, m: int, n: int, k: int, samples: int) -> int:
    """Cycles of a block on an array that multiplies in every lane and cycle, for k <= columns.

    Projection and accumulation of both factors take 2 * samples rows of operands, their
    orthonormalisation 2 * k: a dot product and a subtraction a rank.
    """
    return (2 * samples + 2 * k) * parameters.sample_rows(m, n)


def ideal_batch_cycles(
    parameters: Parameters, m: int, n: int, k: int, blocks: Iterable[int]
) -> int:
    """`ideal_block_cycles` summed over blocks of the given samples."""
    return sum(ideal_block_cycles(parameters, m, n, k, samples) for samples in blocks)


def block_steps(parameters: Parameters, m: int, n: int, k: int, samples: int) -> int:
    """Steps that the MAC array takes in a block: exactly what the passes of `hdl.passes` add up to.

    Beyond the ideal: the history a digit a step, residuals raised before a subtraction (which the
    last rank needs none of), and the overlap of old and new error factors.
    """
    rows = parameters.sample_rows(m, n)
    steps = 2 * samples + parameters.history_digits + k + 2 * (k - 1)
    return steps * rows + parameters.rows(m)


def batch_steps(parameters: Parameters, m: int, n: int, k: int, blocks: Iterable[int]) -> int:
    """Register MULTIPLY_CYCLES after a batch: `block_steps`, and the norms of the state."""
    norms = parameters.sample_rows(m, n)
    return norms + sum(block_steps(parameters, m, n, k, samples) for samples in blocks)
