"""The ideal cycles that co-simulation compares with."""

from golden_model.cost import batch_steps, block_steps, ideal_batch_cycles, ideal_block_cycles
from golden_model.parameters import Parameters


def test_a_block_takes_its_rows_twice_for_each_sample_and_twice_for_each_rank():
    # 128 and 784 words are 8 and 49 rows of 16.
    assert ideal_block_cycles(Parameters(), 128, 784, 4, 64) == (2 * 64 + 2 * 4) * (8 + 49)


def test_the_last_row_of_a_vector_counts_whole():
    assert ideal_block_cycles(Parameters(), 1, 17, 1, 1) == 4 * (1 + 2)


def test_groups_of_ranks_take_the_samples_once_each_and_gram_schmidt_its_triangle():
    # Eight ranks on four columns: two groups; ranks 0 to 3 meet both, ranks 4 to 7 their own.
    rows = 16 + 64
    assert ideal_block_cycles(Parameters(), 256, 1024, 8, 32) == (2 * 2 * 32 + 2 * (4 * 2 + 4)) * (
        rows
    )


def test_steps_are_those_of_the_passes():
    # Two projections, two accumulations with two history digits, four dot products and three
    # subtractions a factor, one overlap.
    rows = 8 + 49
    passes = 2 * 64 * rows + 2 * rows + 4 * rows + 3 * rows + 8
    assert block_steps(Parameters(), 128, 784, 4, 64) == passes
    assert batch_steps(Parameters(), 128, 784, 4, [64]) == passes + rows


def test_nothing_is_subtracted_from_groups_without_a_later_rank():
    # Five ranks on four columns: the fourth is subtracted from the second group alone.
    rows = 8 + 49
    passes = 2 * (2 * 64 + 2) * rows + (4 * 2 + 1) * rows + (3 * 2 + 1) * rows + 2 * 8
    assert block_steps(Parameters(), 128, 784, 5, 64) == passes
    assert batch_steps(Parameters(), 128, 784, 5, [64]) == passes + 2 * rows


def test_a_batch_is_the_sum_of_its_blocks():
    blocks = [ideal_block_cycles(Parameters(), 10, 20, 2, samples) for samples in (8, 8, 3)]
    assert ideal_batch_cycles(Parameters(), 10, 20, 2, [8, 8, 3]) == sum(blocks)
