"""What an optimiser takes for one batch of one layer, counted from the sizes alone.

Multiply-accumulates are those beyond forward and backward propagation, which all share. They are
exact for what the code computes, products with known zeros included, except for singular value
decompositions, which count by the leading terms that Golub and Van Loan give for U, S and V of an
m x n matrix, m >= n (*Matrix Computations*, 4th ed., section 8.6.3): 14 m n^2 + 8 n^3 operations in
floating point, two of them a multiply-accumulate.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

from golden_model.arrays import RANK_SEQUENTIAL, RANK_SUM
from golden_model.low_rank import sum_is_smaller
from golden_model.optimizers import LayerPlan
from golden_model.sbpca import blocks


@dataclass(frozen=True)
class BatchCost:
    """What one batch takes."""

    memory: int
    """Numbers to keep beside the array while samples stream by, the samples not included."""
    multiply_accumulates: int
    """Multiply-accumulates outside the array."""
    outer_products: int
    """Updates of the whole array at once, rows and columns driven together."""
    cell_writes: int
    """Cells that are written one by one, because the update is no outer product."""
    accesses: int
    """Least number of words read from or written to memory: every sample is written once and read
    once a pass over it, and what is kept is read and written once a block, or a batch without
    blocks. What registers and reuse save or cost beyond that is not counted."""

    def __add__(self, other: BatchCost) -> BatchCost:
        return BatchCost(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


def batch_cost(
    optimizer: str, plan: LayerPlan, images: int, update: str = RANK_SEQUENTIAL
) -> BatchCost:
    """Cost of a batch of `images` for the layer of `plan` with `optimizer` and `update`.

    * mbgd keeps the m x n gradient, and writes it cell by cell;
    * sgd keeps nothing: each sample's outer product goes to the array;
    * sbpca and sbe keep X, Delta and t;
    * svd keeps the gradient, of which k outer products are written;
    * lrt keeps the factors of rank k and those of a block's samples, or their sum where that is
      smaller (`low_rank.sum_is_smaller`).

    A rank-sum update sums outer products into an m x n change and writes it cell by cell.
    """
    m, n, k = plan.m, plan.n, plan.rank
    samples = images * plan.positions
    streamed = samples * (m + n)
    sizes = [part.stop - part.start for part in blocks(samples, plan.block)]
    match optimizer:
        case "mbgd":
            return BatchCost(m * n, samples * m * n, 0, m * n, 2 * streamed + 2 * m * n)
        case "sgd":
            cost = BatchCost(0, 0, samples, 0, 2 * streamed)
        case "sbpca" | "sbe":
            products = sum(sbpca_block(m, n, k, size) for size in sizes)
            kept = k * (m + n + 1)
            cost = BatchCost(kept, products, k, 0, 3 * streamed + 2 * kept * len(sizes))
        case "svd":
            products = samples * m * n + svd(m, n)
            cost = BatchCost(m * n, products, k, 0, 2 * streamed + 2 * m * n)
        case "lrt" | "lrt-unbiased":
            reduced = optimizer == "lrt-unbiased"
            products = sum(lrt_block(m, n, k, size, reduced=reduced) for size in sizes) + k * m
            held = [lrt_memory(m, n, k, size) for size in sizes]
            cost = BatchCost(max(held), products, k, 0, 2 * streamed + 2 * sum(held))
        case _:
            raise ValueError(f"unknown optimiser {optimizer!r}")
    return rank_sum(cost, m, n) if update == RANK_SUM else cost


def rank_sum(cost: BatchCost, m: int, n: int) -> BatchCost:
    """`cost` if its outer products are summed outside the array, and written cell by cell.

    The sum is m x n numbers, takes a multiply-accumulate a cell and outer product, and is written
    to memory and read from it once.
    """
    return BatchCost(
        cost.memory + m * n,
        cost.multiply_accumulates + cost.outer_products * m * n,
        0,
        m * n,
        cost.accesses + 2 * m * n,
    )


def sbpca_block(m: int, n: int, k: int, samples: int) -> int:
    """Multiply-accumulates of SBPCA for a block, in the hardware form.

    2 k (m + n) a sample; and a block: the history k (m + n), orthonormalisation k (k + 1) / 2 dot
    products and k (k - 1) / 2 subtractions of columns of each factor, the overlap k m. (The
    published form takes k (3 m + 2 n) a sample.)
    """
    return 2 * k * (m + n) * samples + (k + k * k) * (m + n) + k * m


def lrt_memory(m: int, n: int, k: int, samples: int) -> int:
    """Numbers that LRT keeps for a block: its columns with the factors', or the sum of both."""
    if sum_is_smaller(m, n, k, samples):
        return max(m * n, k * (m + n + 1))
    return (k + samples) * (m + n) + k


def lrt_block(m: int, n: int, k: int, samples: int, *, reduced: bool = False) -> int:
    """Multiply-accumulates of LRT for a block, counted as if it began with factors of rank k.

    The sum's products and its SVD; or, where the sum is not formed, two orthogonalisations, a small
    SVD and two rotations. `reduced` is unbiased: the singular vectors are multiplied by the
    reduction's columns, whose own making is not counted.
    """
    columns = k + samples
    direct = sum_is_smaller(m, n, k, samples)
    rows_m, rows_n = (m, n) if direct else (columns, columns)
    values = min(rows_m, rows_n)
    count = svd(rows_m, rows_n) + k * rows_m
    if reduced and k < values:
        count += values * k * (rows_m + rows_n)
    if direct:
        return count + columns * m * n
    return (
        count
        + gram_schmidt(m, columns)
        + gram_schmidt(n, columns)
        + columns**3
        + k * columns * (m + n)
    )


def gram_schmidt(dimension: int, columns: int) -> int:
    """Multiply-accumulates of modified Gram-Schmidt: for each of the basis' vectors a dot product
    with every column from there on, and a subtraction from every later one.
    """
    basis = min(dimension, columns)
    return dimension * basis * (2 * columns - basis)


def svd(m: int, n: int) -> int:
    """Multiply-accumulates of an m x n matrix's singular value decomposition, leading terms."""
    larger, smaller = max(m, n), min(m, n)
    return 7 * larger * smaller**2 + 4 * smaller**3
