"""Truncated SVD and LRT: what is best, what is unbiased, what is kept."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden_model import low_rank
from golden_model.low_rank import Lrt, orthonormal_columns, truncated_svd, unbiased_reduction

RANDOM = np.random.default_rng(0)
ACTIVATIONS = RANDOM.standard_normal((60, 11)) * np.arange(1, 12)
ERRORS = ACTIVATIONS @ RANDOM.standard_normal((11, 7))
GRADIENT = ERRORS.T @ ACTIVATIONS / 60

singular_values = st.lists(st.floats(0, 100), min_size=1, max_size=12).map(
    lambda values: np.array(sorted(values, reverse=True))
)


def distance(factors):
    return np.linalg.norm(factors.gradient() - GRADIENT)


def test_truncated_svd_leaves_the_smallest_singular_values():
    left_out = np.linalg.svd(GRADIENT, compute_uv=False)[3:]
    assert np.isclose(distance(truncated_svd(GRADIENT, 3)), np.linalg.norm(left_out))


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("block", [1, 8, 60])
def test_lrt_of_full_rank_gives_the_gradient(unbiased, block):
    lrt = Lrt(7, 11, 7, unbiased=unbiased, seed=0)
    assert np.allclose(lrt.factorise(ACTIVATIONS, ERRORS, block).gradient(), GRADIENT)


def test_biased_lrt_of_one_block_is_the_truncated_svd():
    factors = Lrt(7, 11, 3, unbiased=False, seed=0).factorise(ACTIVATIONS, ERRORS, 60)
    assert np.allclose(factors.gradient(), truncated_svd(GRADIENT, 3).gradient())


def test_lrt_is_the_same_whether_a_block_is_summed_or_orthogonalised(monkeypatch):
    def gradient():
        return Lrt(7, 11, 3, unbiased=False, seed=0).factorise(ACTIVATIONS, ERRORS, 8).gradient()

    summed = gradient()
    monkeypatch.setattr(low_rank, "sum_is_smaller", lambda *_: False)
    assert np.allclose(gradient(), summed)


def test_biased_lrt_is_never_nearer_than_the_truncated_svd():
    factors = Lrt(7, 11, 3, unbiased=False, seed=0).factorise(ACTIVATIONS, ERRORS, 1)
    assert distance(truncated_svd(GRADIENT, 3)) <= distance(factors) < np.linalg.norm(GRADIENT)


@pytest.mark.parametrize("block", [3, 4])  # orthogonalised, summed
def test_unbiased_lrt_gives_the_gradient_on_average(block):
    lrt = Lrt(7, 11, 3, unbiased=True, seed=0)
    draws = [lrt.factorise(ACTIVATIONS, ERRORS, block).gradient() for _ in range(400)]
    spread = np.linalg.norm(np.std(draws, axis=0)) / np.sqrt(len(draws))
    assert np.linalg.norm(np.mean(draws, axis=0) - GRADIENT) < 2 * spread
    biased = Lrt(7, 11, 3, unbiased=False, seed=0).factorise(ACTIVATIONS, ERRORS, block)
    assert distance(biased) > 2 * spread  # the bias would show


@given(singular_values, st.integers(1, 12), st.integers(0, 1000))
def test_a_reduction_keeps_each_singular_value_in_expectation(values, rank, seed):
    """Random signs cancel off the diagonal, so the diagonal itself must always be right."""
    rank = min(rank, len(values))
    basis, weights = unbiased_reduction(values, rank, np.random.default_rng(seed))
    assert basis.shape == (len(values), rank)
    assert np.allclose(basis.T @ basis, np.eye(rank), atol=1e-7)
    diagonal = np.diag((basis * weights) @ basis.T)
    assert np.allclose(diagonal, values, atol=1e-7 * (1 + values[0]))


def test_a_reduction_keeps_large_values_exactly_and_shares_the_rest_equally():
    basis, weights = unbiased_reduction(np.array([8.0, 1.0, 1.0, 1.0]), 2, RANDOM)
    assert np.allclose(weights, [8, 3])
    assert np.allclose(basis[:, 0], [1, 0, 0, 0])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10))
def test_columns_with_given_row_norms_are_orthonormal(numbers):
    numbers = np.sort(numbers)[::-1]
    k = max(1, int(np.ceil(numbers.sum())))
    row_norms = np.concatenate([numbers, [k - numbers.sum()]])  # at most 1 as k is rounded up
    columns = orthonormal_columns(np.sort(row_norms)[::-1], k)
    assert np.allclose(columns.T @ columns, np.eye(k), atol=1e-7)
    assert np.allclose(np.sum(columns**2, axis=1), np.sort(row_norms)[::-1], atol=1e-7)


def test_the_same_seed_and_batch_give_the_same_signs():
    first, second = (Lrt(7, 11, 3, unbiased=True, seed=5) for _ in range(2))
    first.factorise(ACTIVATIONS, ERRORS, 4)
    second.restore(first.state())
    results = [lrt.factorise(ACTIVATIONS, ERRORS, 4).gradient() for lrt in (first, second)]
    assert np.array_equal(*results)


def test_lrt_refuses_an_impossible_rank_and_what_is_not_finite():
    with pytest.raises(ValueError, match="rank 8 of a 7 x 11 layer must be from 1 to 7"):
        Lrt(7, 11, 8, unbiased=False, seed=0)
    lrt = Lrt(7, 11, 3, unbiased=False, seed=0)
    with pytest.raises(ValueError, match="must be finite"):
        lrt.factorise(ACTIVATIONS * np.nan, ERRORS, 4)


def test_lrt_of_errors_that_are_all_zero_is_zero():
    factors = Lrt(7, 11, 3, unbiased=True, seed=0).factorise(ACTIVATIONS, 0 * ERRORS, 4)
    assert not factors.gradient().any()
