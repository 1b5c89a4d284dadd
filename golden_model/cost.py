"""What a batch costs on the accelerator, without running it."""

from collections.abc import Iterable

from golden_model.parameters import Parameters

IDEAL_BLOCK_CYCLES = "(2 * samples + 2 * k) * (rows(m) + rows(n)), rows(d) = ceil(d / lanes)"
"""The formula of `ideal_block_cycles`, for documents."""


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
