"""SBPCA in floating point: the two forms are equal, and the cases the paper leaves open."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden_model import compiled
from golden_model.sbpca import (
    FloatSbpca,
    FloatState,
    hardware_batch,
    initial_state,
    orthonormalise,
    reference_batch,
)


def by_arrays(*arguments):
    """The hardware form by array functions, as it is without numba."""
    with mock.patch.object(compiled, "AVAILABLE", False):
        return hardware_batch(*arguments)


FORMS = [reference_batch, hardware_batch, by_arrays]


def assert_equal(left: FloatState, right: FloatState, tolerance: float = 1e-12) -> None:
    assert np.allclose(left.x, right.x, rtol=0, atol=tolerance)
    assert np.allclose(left.delta, right.delta, rtol=0, atol=tolerance)
    assert np.allclose(left.sigma, right.sigma, rtol=tolerance, atol=tolerance * left.sigma.max())


@settings(max_examples=60, deadline=None)
@given(
    m=st.integers(1, 24),
    n=st.integers(1, 40),
    k=st.integers(1, 8),
    samples=st.integers(1, 60),
    block=st.integers(1, 70),
    batches=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_both_forms_are_equal(m, n, k, samples, block, batches, seed):
    """For any shape, rank, block split (short last blocks too), cold or warm."""
    k = min(k, m, n, block, samples)
    random = np.random.default_rng(seed)
    reference = hardware = initial_state(m, n, k, seed)
    last = samples % block or min(block, samples)
    if last < k:  # a block of rank below k leaves columns to rounding: see the test below
        samples += k - last
    for _ in range(batches):
        a, d = random.standard_normal((samples, n)), random.standard_normal((samples, m))
        reference = reference_batch(reference, a, d, block)
        hardware = hardware_batch(hardware, a, d, block)
    # Rounding grows with how nearly dependent the columns were: compare where they were not.
    assert_equal(reference, hardware, 1e-9)
    assert np.all(hardware.sigma >= 0)


@pytest.mark.parametrize(
    ("m", "n", "k", "samples", "block"),
    [(10, 20, 4, 64, 8), (32, 144, 8, 100, 30), (5, 5, 5, 40, 20), (16, 9, 4, 500, 64)],
)
def test_both_forms_are_equal_to_rounding(m, n, k, samples, block):
    random = np.random.default_rng(m)
    reference = hardware = initial_state(m, n, k, 1)
    for _ in range(4):
        a, d = random.standard_normal((samples, n)), random.standard_normal((samples, m))
        reference = reference_batch(reference, a, d, block)
        hardware = hardware_batch(hardware, a, d, block)
    assert_equal(reference, hardware, 1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_zero_errors_leave_a_valid_state(form):
    state = initial_state(6, 9, 3, 0)
    random = np.random.default_rng(0)
    a = random.standard_normal((20, 9))
    cold = form(state, a, np.zeros((20, 6)), 8)
    assert np.array_equal(cold.delta, state.delta)
    assert not cold.sigma.any()
    warm = form(cold, a, random.standard_normal((20, 6)), 8)
    later = form(warm, a, np.zeros((20, 6)), 8)
    assert np.allclose(later.x.T @ later.x, np.eye(3))
    assert np.allclose(later.sigma, warm.sigma * 8 / 28)


@pytest.mark.parametrize("form", FORMS)
def test_a_batch_of_rank_one_gives_one_weight(form):
    random = np.random.default_rng(0)
    a, d = np.outer(np.ones(16), random.standard_normal(9)), random.standard_normal((1, 6))
    d = np.repeat(d, 16, axis=0)
    state = form(initial_state(6, 9, 3, 0), a, d, 4)
    assert np.all(np.isfinite(state.delta))
    gradient = (state.delta * state.sigma) @ state.x.T
    # The cold start leaves the first block's worth of weight to the (empty) history.
    assert np.allclose(gradient, d.T @ a / 16 * 16 / 20)


def test_a_residual_of_zero_keeps_the_previous_direction():
    column = np.arange(1.0, 5.0)
    previous = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 2)))[0]
    basis, diagonal = orthonormalise(np.stack([column, 2 * column], axis=1), previous)
    assert np.array_equal(basis[:, 1], previous[:, 1])
    assert diagonal[1] == 0


def test_a_warm_state_follows_the_gradient():
    random = np.random.default_rng(3)
    left, right = random.standard_normal((12, 2)), random.standard_normal((30, 2))
    sbpca = FloatSbpca(12, 30, 2, seed=1)
    for _ in range(6):
        z = random.standard_normal((64, 2))
        factors = sbpca.factorise(z @ right.T, z @ left.T, 8)
    gradient = left @ right.T
    estimate = factors.gradient()
    cosine = np.sum(estimate * gradient) / np.linalg.norm(estimate) / np.linalg.norm(gradient)
    assert cosine > 0.97


def test_state_survives_a_checkpoint():
    random = np.random.default_rng(0)
    a, d = random.standard_normal((20, 9)), random.standard_normal((20, 6))
    first, second = FloatSbpca(6, 9, 3, 0), FloatSbpca(6, 9, 3, 5)
    first.factorise(a, d, 8)
    second.restore(first.state())
    assert np.array_equal(first.factorise(a, d, 8).gradient(), second.factorise(a, d, 8).gradient())


def test_an_impossible_rank_is_refused():
    with pytest.raises(ValueError, match="rank 7 of a 6 x 9 layer must be from 1 to 6"):
        initial_state(6, 9, 7, 0)


@pytest.mark.parametrize("form", FORMS)
def test_momentum_is_the_share_of_the_previous_factors(form):
    random = np.random.default_rng(0)
    a, d = random.standard_normal((20, 9)), random.standard_normal((20, 6))
    warm = form(initial_state(6, 9, 6, 0), a, d, 20)
    later = form(warm, a, np.zeros((20, 6)), 8, 0.75)
    assert np.allclose(later.sigma, 0.75 * warm.sigma)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2e-6), (np.float64, 1e-13)])
@pytest.mark.parametrize("rank", [1, 2, 3, 8])
@pytest.mark.parametrize("block", [1, 7, 64])
def test_compiled_loops_compute_what_array_functions_do(dtype, tolerance, rank, block):
    random = np.random.default_rng(rank)
    cold = initial_state(10, 17, rank, 0)
    start = FloatState(*(a.astype(dtype) for a in (cold.x, cold.delta, cold.sigma)))
    latent = random.standard_normal((45, 9))
    a, d = ((latent @ random.standard_normal((9, size)) + 4).astype(dtype) for size in (17, 10))
    plain = by_arrays(start, a, d, max(block, rank))
    for order in "CF":
        looped = hardware_batch(start, np.asarray(a, order=order), d, max(block, rank))
        assert looped.x.dtype == looped.sigma.dtype == dtype
        assert_equal(looped, plain, 30 * tolerance)


@pytest.mark.parametrize("form", FORMS)
def test_a_batch_needs_samples_and_a_block(form):
    state, nothing = initial_state(3, 4, 2, 0), np.zeros((0, 1))
    with pytest.raises(ValueError, match="both must be >= 1"):
        form(state, nothing.repeat(4, axis=1), nothing.repeat(3, axis=1), 8)


def test_the_two_forms_agree_at_any_momentum():
    random = np.random.default_rng(0)
    states = [initial_state(6, 9, 3, 0)] * 2
    for momentum in (0.0, 0.3, 0.9):
        a, d = random.standard_normal((20, 9)), random.standard_normal((20, 6))
        forms = (reference_batch, hardware_batch)
        states = [form(s, a, d, 8, momentum) for form, s in zip(forms, states, strict=True)]
        assert_equal(*states, 1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("spread", [1.0, 1e-2, 1e-4, 1e-7])
def test_nearly_dependent_columns_become_orthonormal(dtype, spread):
    random = np.random.default_rng(0)
    columns = random.standard_normal((40, 1)) + spread * random.standard_normal((40, 4))
    columns = (columns * [1, 1e3, 1e-3, 1]).astype(dtype)
    previous = np.linalg.qr(random.standard_normal((40, 4)))[0].astype(dtype)
    basis, diagonal = orthonormalise(columns, previous)
    kept = diagonal > 0
    precision = np.finfo(dtype).eps
    assert np.allclose(
        basis[:, kept].T @ basis[:, kept], np.eye(kept.sum()), atol=4 * precision / spread
    )
    expected = np.abs(np.linalg.qr(columns.astype(np.float64))[1].diagonal())
    norms = np.linalg.norm(columns, axis=0)
    assert np.allclose(diagonal[kept] / norms[kept], (expected / norms)[kept], atol=40 * precision)
