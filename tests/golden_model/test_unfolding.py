"""Unfolding and folding: one is the other's transpose, and compiled and plain code agree."""

import numpy as np
import pytest

from golden_model import unfolding as module
from golden_model.unfolding import fold, unfold

KERNELS = [(3, 1), (5, 2), (5, 0), (2, 0), (1, 1), (1, 0)]
"""Kernel and padding."""


def rows_shape(shape, kernel, padding):
    images, height, width, channels = shape
    positions = (height + 2 * padding - kernel + 1) * (width + 2 * padding - kernel + 1)
    return images * positions, kernel * kernel * channels


@pytest.fixture(params=[True, False], ids=["compiled", "plain"])
def either(request, monkeypatch):
    """Compiled functions where numba is installed, and array functions."""
    monkeypatch.setattr(module, "AVAILABLE", request.param and module.AVAILABLE)


@pytest.mark.parametrize(("kernel", "padding"), KERNELS)
@pytest.mark.parametrize("channels", [1, 3])
def test_folding_is_the_transpose_of_unfolding(either, kernel, padding, channels):
    """<unfold(x), y> = <x, fold(y)> for all x and y; integers make it exact."""
    shape = (2, 6, 5, channels)
    random = np.random.default_rng(0)
    x = random.integers(-9, 10, shape).astype(np.float64)
    y = random.integers(-9, 10, rows_shape(shape, kernel, padding)).astype(np.float64)
    unfolded, folded = np.empty_like(y), np.full(shape, np.nan)
    unfold(x, kernel, padding, unfolded)
    fold(y, kernel, padding, folded)
    assert np.sum(unfolded * y) == np.sum(x * folded)


@pytest.mark.parametrize(("kernel", "padding"), KERNELS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_compiled_and_plain_agree_to_the_bit(kernel, padding, dtype, monkeypatch):
    shape = (3, 7, 6, 4)
    rows = np.random.default_rng(1).standard_normal(rows_shape(shape, kernel, padding))
    results = []
    for compiled in (module.AVAILABLE, False):
        monkeypatch.setattr(module, "AVAILABLE", compiled)
        results.append(np.empty(shape, dtype))
        fold(rows.astype(dtype), kernel, padding, results[-1])
    assert np.array_equal(*results)


def test_a_part_of_an_image_is_folded_into_its_place():
    shape = (4, 5, 5, 2)
    rows = np.random.default_rng(2).standard_normal(rows_shape(shape, 3, 1))
    whole, parts = np.empty(shape), np.empty(shape)
    fold(rows, 3, 1, whole)
    for images in (slice(0, 1), slice(1, 4)):
        fold(rows.reshape(4, 25, -1)[images].reshape(-1, 18), 3, 1, parts[images])
    assert np.array_equal(parts, whole)
