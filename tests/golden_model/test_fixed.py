"""Integer SBPCA: near the float form, valid in every corner, independent of what is not stated."""

import numpy as np
import pytest

from golden_model.fixed import FixedSbpca, FixedState, fill_words, run_batch
from golden_model.parameters import Parameters
from golden_model.sbpca import hardware_batch, initial_state


class Layer:
    """Rectified activations and errors of low effective rank with noise, from one distribution."""

    def __init__(self, m, n, seed=0):
        self.random = np.random.default_rng(seed)
        strengths = np.array([8, 5, 3, 2, 1, 0.5])[:, None]
        self.u = self.random.standard_normal((6, m)) * strengths
        self.v = self.random.standard_normal((6, n))

    def batch(self, samples):
        z = self.random.standard_normal((samples, 6))
        noise_a, noise_d = (
            self.random.standard_normal((samples, w.shape[1])) for w in (self.v, self.u)
        )
        return np.maximum(z @ self.v + noise_a, 0), z @ self.u + 3 * noise_d


@pytest.mark.parametrize(("width", "bound"), [(8, 0.12), (12, 7e-3), (16, 5e-4), (18, 2e-4)])
def test_fixed_point_is_near_the_float_form(width, bound):
    """Relative Frobenius error of the factorisation; the bounds are the float studies'."""
    p = Parameters(width=width, max_slots=64)
    m, n, k = 32, 144, 4
    fixed, state = FixedSbpca(p, m, n, k, seed=1), initial_state(m, n, k, seed=1)
    layer = Layer(m, n)
    for _ in range(3):
        a, d = layer.batch(512)
        estimate = fixed.factorise(a, d, 64).gradient()
        state = hardware_batch(state, a, d, 64)
    exact = (state.delta * state.sigma) @ state.x.T
    assert np.linalg.norm(estimate - exact) / np.linalg.norm(exact) < bound


def test_weights_follow_the_scale_of_the_data_from_batch_to_batch():
    """Each batch has exponents of its own, here far apart; the float form has none."""
    fixed, state = FixedSbpca(Parameters(width=18), 8, 20, 2, seed=1), initial_state(8, 20, 2, 1)
    layer = Layer(8, 20)
    for scale in (1.0, 2.0**-9, 3.0, 2.0**7):
        a, d = layer.batch(128)
        estimate = fixed.factorise(a, d * scale, 16).gradient()
        state = hardware_batch(state, a, d * scale, 16)
        exact = (state.delta * state.sigma) @ state.x.T
        assert np.linalg.norm(estimate - exact) < 1e-3 * np.linalg.norm(exact)


def test_the_caller_s_state_is_left_alone():
    p = Parameters()
    random = np.random.default_rng(0)
    for k in (1, 2):
        x, delta = random.standard_normal((7, k)), random.standard_normal((5, k))
        state = FixedState(fill_words(p, x), fill_words(p, delta), np.ones(k))
        copy = (state.x.copy(), state.delta.copy(), state.weight.copy())
        words = random.integers(-99, 99, (4, 7)).astype(float), random.integers(-99, 99, (4, 5))
        run_batch(p, state, [(words[0], words[1].astype(float))], 1.0)
        assert all(
            np.array_equal(a, b)
            for a, b in zip(copy, (state.x, state.delta, state.weight), strict=True)
        )


@pytest.mark.parametrize("a_value", [-32768, 0, 1, 32767])
@pytest.mark.parametrize("d_value", [-32768, 0, -1, 32767])
def test_extreme_words_leave_a_valid_state(a_value, d_value):
    p = Parameters()
    random = np.random.default_rng(0)
    state = FixedState(
        fill_words(p, random.standard_normal((20, 3))),
        fill_words(p, random.standard_normal((6, 3))),
        np.zeros(3),
    )
    blocks = [(np.full((b, 20), float(a_value)), np.full((b, 6), float(d_value))) for b in (8, 1)]
    result = run_batch(p, state, blocks, 1.0)
    for words in (result.state.x, result.state.delta):
        assert np.all(np.abs(words).max(axis=0) >= p.word.maximum // 2)
        assert words.min() >= p.word.minimum
        assert words.max() <= p.word.maximum
    assert np.all(np.isfinite(result.state.weight))
    assert np.all(result.state.weight >= 0)
    if a_value == 0 or d_value == 0:
        assert not result.state.weight.any()
        assert np.array_equal(result.state.delta, state.delta)


def test_a_huge_history_takes_precision_from_the_data_but_does_not_wrap():
    p = Parameters()
    random = np.random.default_rng(0)
    state = FixedState(
        fill_words(p, random.standard_normal((20, 2))),
        fill_words(p, random.standard_normal((6, 2))),
        np.full(2, 2.0**300),
    )
    a, d = (random.integers(-5, 6, (4, size)).astype(float) for size in (20, 6))
    result = run_batch(p, state, [(a, d)], 1.0)
    cosine = np.sum(result.state.x * state.x, axis=0) / (
        np.linalg.norm(result.state.x, axis=0) * np.linalg.norm(state.x, axis=0)
    )
    assert cosine[0] > 1 - 1e-8
    assert np.all(result.state.weight > 2.0**299)


def test_state_survives_a_checkpoint():
    p = Parameters()
    a, d = Layer(8, 20).batch(64)
    first, second = FixedSbpca(p, 8, 20, 2, seed=0), FixedSbpca(p, 8, 20, 2, seed=9)
    first.factorise(a, d, 8)
    second.restore(first.state())
    left, right = first.factorise(2 * a, d, 8), second.factorise(2 * a, d, 8)
    assert np.array_equal(left.gradient(), right.gradient())


def test_a_layer_or_block_over_the_maxima_is_refused():
    p = Parameters()
    with pytest.raises(ValueError, match="300 x 20 layer exceeds max_m x max_n = 256 x 2048"):
        FixedSbpca(p, 300, 20, 2)
    with pytest.raises(ValueError, match="block of 2049 samples exceeds the buffer's 2048"):
        FixedSbpca(p, 4, 4, 2).factorise(np.ones((2049, 4)), np.ones((2049, 4)), 2049)


def test_momentum_is_that_of_the_float_form():
    p, m, n, k = Parameters(), 32, 144, 4
    layer, state = Layer(m, n), initial_state(m, n, k, seed=1)
    fixed = FixedSbpca(p, m, n, k, seed=1, momentum=0.6)
    for _ in range(3):
        a, d = layer.batch(512)
        estimate = fixed.factorise(a, d, 64).gradient()
        state = hardware_batch(state, a, d, 64, 0.6)
    expected = (state.delta * state.sigma) @ state.x.T
    assert np.linalg.norm(estimate - expected) < 5e-4 * np.linalg.norm(expected)
