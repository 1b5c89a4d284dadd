"""Optimisers: the gradient they give, its scale, and what they carry from batch to batch."""

from dataclasses import replace

import numpy as np
import pytest

from golden_model.optimizers import (
    FixedOptimizer,
    FloatOptimizer,
    LayerPlan,
    Mbgd,
    Samples,
    Svd,
    WordFactors,
)
from golden_model.parameters import Parameters
from golden_model.sbpca import Factors, FloatSbpca

PARAMETERS = Parameters.preset("default")
PLANS = [
    LayerPlan("conv", m=4, n=10, positions=9, rank=4, block=18),
    LayerPlan("fc", m=5, n=12, positions=1, rank=2, block=3),
]


def samples(layer, images=7, seed=0):
    plan, random = PLANS[layer], np.random.default_rng(seed)
    count = images * plan.positions
    return Samples(
        random.standard_normal((count, plan.n)).astype(np.float32),
        random.standard_normal((count, plan.m)).astype(np.float32),
        images,
    )


def relative_difference(actual, expected):
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


def test_mbgd_gives_the_gradient_of_the_mean_over_images():
    batch = samples(0)
    gradient = Mbgd().gradient(0, batch)
    assert np.allclose(gradient, batch.errors.T @ batch.activations / 7)


@pytest.mark.parametrize("optimizer", [Mbgd(), Svd(PLANS)])
def test_who_takes_the_product_gives_the_same_gradient_by_it(optimizer):
    assert optimizer.takes_product
    batch = samples(0)
    product = batch.errors.T @ batch.activations
    summed = replace(batch, errors=np.zeros_like(batch.errors), product=product.copy())
    expected, actual = optimizer.gradient(0, batch), optimizer.gradient(0, summed)
    if isinstance(expected, Factors):
        expected, actual = expected.gradient(), actual.gradient()
    assert np.allclose(actual, expected, atol=1e-6)
    assert np.array_equal(summed.product, product)  # the layer's own stays as it is


@pytest.mark.parametrize(
    "make", [lambda: FloatOptimizer(PLANS, 0), lambda: FixedOptimizer(PARAMETERS, PLANS, 0)]
)
def test_factors_of_full_rank_approach_the_gradient_when_all_blocks_are_equal(make):
    """Rank 4 of four outputs loses nothing, so power iterations on one block find it all."""
    optimizer = make()
    block = samples(0, images=2)
    batch = Samples(np.tile(block.activations, (4, 1)), np.tile(block.errors, (4, 1)), images=8)
    for _ in range(20):
        factors = optimizer.gradient(0, batch)
    expected = batch.errors.T @ batch.activations / 8
    assert relative_difference(factors.gradient(), expected) < 0.01


def test_float_factors_are_those_of_sbpca_times_the_samples_an_image():
    batch = samples(0)
    factors = FloatOptimizer(PLANS, 3).gradient(0, batch)
    expected = FloatSbpca(4, 10, 4, seed=3).factorise(batch.activations, batch.errors, block=18)
    assert np.allclose(factors.gradient(), 9 * expected.gradient())


@pytest.mark.parametrize("layer", [0, 1])
def test_fixed_factors_are_near_the_float_ones(layer):
    fixed, float_ = FixedOptimizer(PARAMETERS, PLANS, 0), FloatOptimizer(PLANS, 0)
    for seed in range(3):
        batch = samples(layer, seed=seed)
        actual = fixed.gradient(layer, batch).gradient()
        expected = float_.gradient(layer, batch).gradient()
        assert relative_difference(actual, expected) < 1e-3


@pytest.mark.parametrize("layer", [0, 1])
def test_fixed_factors_are_words_with_the_scale_the_drivers_need(layer):
    optimizer = FixedOptimizer(PARAMETERS, PLANS, 0)
    factors = optimizer.gradient(layer, samples(layer))
    assert isinstance(factors, WordFactors)
    for words in (factors.delta, factors.x):
        assert np.array_equal(words, np.rint(words))
        assert np.abs(words).max() <= 1 << 15
    unit = 2.0**factors.exponent / factors.weighed
    assert np.allclose(factors.weight, unit * factors.scale, rtol=1e-12)


def test_a_batch_smaller_than_a_block_is_taken_whole():
    for optimizer in (FloatOptimizer(PLANS, 0), FixedOptimizer(PARAMETERS, PLANS, 0)):
        factors = optimizer.gradient(1, samples(1, images=2))
        assert np.isfinite(factors.gradient()).all()


def test_samples_that_are_not_finite_are_refused_by_the_words():
    batch = samples(1)
    batch.errors[0, 0] = np.inf
    with pytest.raises(ValueError, match="not finite"):
        FixedOptimizer(PARAMETERS, PLANS, 0).gradient(1, batch)


@pytest.mark.parametrize(
    "make", [lambda: FloatOptimizer(PLANS, 0), lambda: FixedOptimizer(PARAMETERS, PLANS, 0)]
)
def test_a_restored_optimizer_continues_to_the_bit(make):
    first, second = make(), make()
    for layer in (0, 1):
        first.gradient(layer, samples(layer))
    assert set(first.state()) > {"conv/x", "conv/delta", "fc/x", "fc/delta"}
    second.restore(first.state())
    for layer in (0, 1):
        batch = samples(layer, seed=1)
        expected = first.gradient(layer, batch)
        actual = second.gradient(layer, batch)
        assert np.array_equal(actual.gradient(), expected.gradient())
    assert first.saturations == second.saturations
