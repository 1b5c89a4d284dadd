"""What optimisers take: counted on the sizes, and against the operations themselves."""

from dataclasses import replace

import pytest

from golden_model.optimizer_cost import BatchCost, batch_cost, gram_schmidt
from golden_model.optimizers import LayerPlan

PLAN = LayerPlan("conv", m=4, n=10, positions=9, rank=3, block=18)
IMAGES = 5  # 45 samples: blocks of 18, 18 and 9


def test_mbgd_keeps_the_gradient_and_writes_every_cell():
    assert batch_cost("mbgd", PLAN, IMAGES) == BatchCost(40, 45 * 40, 0, 40, 2 * 45 * 14 + 2 * 40)


def test_sgd_keeps_nothing_and_gives_every_sample_to_the_array():
    assert batch_cost("sgd", PLAN, 1) == BatchCost(0, 0, 9, 0, 2 * 9 * 14)


def sbpca_operations(sizes):
    """Multiply-accumulates of `sbpca.hardware_batch`, operation by operation."""
    m, n, k = PLAN.m, PLAN.n, PLAN.rank
    count = 0
    for samples in sizes:
        for own, other in ((n, m), (m, n)):
            count += samples * other * k + samples * own * k + own * k  # project, add up, history
            for j in range(k):
                count += own * (k - j)  # the column's norm, and its products with later columns
                count += own * (k - j - 1)  # subtractions from later columns
        count += m * k  # overlap
    return count


def test_sbpca_counts_every_product_of_the_hardware_form():
    assert batch_cost("sbpca", PLAN, IMAGES) == BatchCost(
        45, sbpca_operations([18, 18, 9]), 3, 0, 3 * 45 * 14 + 3 * 2 * 45
    )


@pytest.mark.parametrize(("dimension", "columns"), [(5, 3), (3, 5), (4, 4)])
def test_gram_schmidt_counts_dot_products_and_subtractions(dimension, columns):
    basis = min(dimension, columns)
    count = sum(dimension * (columns - j) + dimension * (columns - j - 1) for j in range(basis))
    assert gram_schmidt(dimension, columns) == count


def test_svd_needs_the_gradient_and_writes_outer_products():
    cost = batch_cost("svd", PLAN, IMAGES)
    assert (cost.memory, cost.outer_products, cost.cell_writes) == (40, 3, 0)
    assert cost.multiply_accumulates == 45 * 40 + 7 * 10 * 4**2 + 4 * 4**3


def test_lrt_of_one_sample_a_block_keeps_one_rank_more():
    plan = LayerPlan("fc", m=20, n=30, positions=1, rank=3, block=1)
    cost = batch_cost("lrt", plan, images=2)
    assert cost.memory == 4 * 50 + 3
    svd = 7 * 4 * 4**2 + 4 * 4**3
    block = (20 + 30) * 4 * 4 + 4 * 4 * 4 + svd + 3 * (20 + 30) * 4 + 3 * 4
    assert cost.multiply_accumulates == 2 * block + 3 * 20
    reduced = batch_cost("lrt-unbiased", plan, images=2)
    assert reduced.multiply_accumulates == cost.multiply_accumulates + 2 * 4 * 3 * (4 + 4)


def test_lrt_of_large_blocks_keeps_their_sum():
    plan = LayerPlan("conv", m=20, n=30, positions=17, rank=3, block=17)
    cost = batch_cost("lrt", plan, images=2)
    assert cost.memory == 20 * 30
    svd = 7 * 30 * 20**2 + 4 * 20**3
    assert cost.multiply_accumulates == 2 * ((3 + 17) * 20 * 30 + svd + 3 * 20) + 3 * 20
    assert batch_cost("lrt", replace(plan, block=16), images=1).memory == (3 + 16) * 50 + 3


def test_costs_of_layers_add_up():
    sums = BatchCost(11, 22, 33, 44, 55)
    assert BatchCost(1, 2, 3, 4, 5) + BatchCost(10, 20, 30, 40, 50) == sums


@pytest.mark.parametrize("optimizer", ["sbpca", "sbe", "svd", "lrt", "lrt-unbiased", "sgd"])
def test_a_rank_sum_update_rebuilds_the_change_outside_the_array(optimizer):
    """m n numbers, a product a cell and outer product, every cell written, once into memory and
    once out of it.
    """
    alone, summed = (
        batch_cost(optimizer, PLAN, IMAGES, u) for u in ("rank-sequential", "rank-sum")
    )
    assert summed.memory == alone.memory + 40
    assert summed.multiply_accumulates == alone.multiply_accumulates + 40 * alone.outer_products
    assert (summed.outer_products, summed.cell_writes) == (0, 40)
    assert summed.accesses == alone.accesses + 80


def test_mbgd_has_its_sum_already():
    assert batch_cost("mbgd", PLAN, IMAGES, "rank-sum") == batch_cost("mbgd", PLAN, IMAGES)


def test_an_unknown_optimiser_is_refused():
    with pytest.raises(ValueError, match="unknown optimiser 'adam'"):
        batch_cost("adam", PLAN, 1)
