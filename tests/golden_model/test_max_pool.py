"""Max pooling: what is chosen, where errors go, and that compiled and plain code agree."""

import numpy as np
import pytest

from golden_model import max_pool as module
from golden_model.max_pool import NONE, max_pool, max_pool_errors


def pixels(*values):
    """One image of one channel and 2 x 2 pixels, row by row."""
    return np.array(values, np.float32).reshape(1, 2, 2, 1)


@pytest.fixture(params=[True, False], ids=["compiled", "plain"])
def either(request, monkeypatch):
    """Compiled functions where numba is installed, and array functions."""
    monkeypatch.setattr(module, "AVAILABLE", request.param and module.AVAILABLE)


@pytest.mark.parametrize(
    ("values", "largest", "error_at"),
    [
        ((3, 1, 2, 0), 3, 0),
        ((1, 2, 0, 3), 3, 3),
        ((5, 5, 5, 5), 5, 0),
        ((1, 5, 5, 1), 5, 2),  # of equals the left column, here its lower pixel
        ((1, 5, 1, 5), 5, 1),
        ((-4, -3, -2, -1), -1, 3),
    ],
)
def test_the_first_of_the_largest_gets_the_error(either, values, largest, error_at):
    outputs, choice = max_pool(pixels(*values), rectify=False)
    assert outputs.item() == largest
    gradient = max_pool_errors(np.full_like(outputs, 7), choice)
    assert np.array_equal(gradient.ravel(), 7 * (np.arange(4) == error_at))


def test_a_rectified_output_passes_no_error(either):
    outputs, choice = max_pool(pixels(-4, -3, -2, -1), rectify=True)
    assert (outputs.item(), choice.item()) == (0, NONE)
    assert not max_pool_errors(np.ones_like(outputs), choice).any()


def test_what_is_not_a_number_stays_so(either):
    for position in range(4):
        x = pixels(1, 2, 3, 4)
        x.flat[position] = np.nan
        assert np.isnan(max_pool(x, rectify=True)[0].item())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rectify", [True, False])
def test_compiled_and_plain_agree_to_the_bit(dtype, rectify, monkeypatch):
    random = np.random.default_rng(0)
    x = random.integers(-3, 3, (3, 8, 6, 5)).astype(dtype)  # many equals
    x[random.random(x.shape) < 0.05] = np.nan
    errors = random.standard_normal((3, 4, 3, 5)).astype(dtype)
    results = []
    for compiled in (module.AVAILABLE, False):
        monkeypatch.setattr(module, "AVAILABLE", compiled)
        outputs, choice = max_pool(x, rectify=rectify)
        results.append((outputs + 0, choice, max_pool_errors(errors, choice)))
    for first, second in zip(*results, strict=True):
        assert first.tobytes() == second.tobytes()
