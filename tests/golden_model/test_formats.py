"""Narrowing rounds half to even and saturates, for every small value and every width."""

from fractions import Fraction

import numpy as np
import pytest
from apytypes import APyFixed, OverflowMode, QuantizationMode
from hypothesis import given
from hypothesis import strategies as st

from golden_model.formats import NO_LEAST, WordFormat, fill_rows, magnitude_bits


def rounded(value: int, shift: int) -> int:
    """Python's own round() of a fraction is half to even."""
    return round(Fraction(value) / Fraction(2) ** shift)


@pytest.mark.parametrize("width", [2, 3, 4])
def test_every_small_value_narrows_as_the_definition_says(width):
    word = WordFormat(width)
    for value in range(-200, 200):
        for shift in range(-2, 9):
            exact = rounded(value, shift)
            expected = min(max(exact, word.minimum), word.maximum)
            words, saturated = word.narrow(float(value), shift)
            assert (int(words), saturated) == (expected, int(exact != expected))


@given(value=st.integers(-(2**46), 2**46 - 1), shift=st.integers(0, 40), width=st.integers(8, 18))
def test_narrowing_agrees_with_apytypes(value, shift, width):
    words, _ = WordFormat(width).narrow(float(value), shift)
    independent = APyFixed(value, int_bits=48 - shift, frac_bits=shift).cast(
        int_bits=width,
        frac_bits=0,
        quantization=QuantizationMode.RND_CONV,
        overflow=OverflowMode.SAT,
    )
    assert int(words) == int(float(independent))


@given(st.lists(st.integers(-(2**50), 2**50), min_size=1, max_size=8))
def test_magnitude_bits_are_what_twos_complement_needs(values):
    bits = int(magnitude_bits(values))
    assert all(-(1 << bits) <= v < 1 << bits for v in values)
    if bits:
        half = 1 << (bits - 1)
        assert any(not -half <= v < half for v in values)


@given(
    rows=st.lists(
        st.lists(st.integers(-(2**45), 2**45), min_size=3, max_size=3), min_size=1, max_size=4
    ),
    width=st.integers(8, 18),
)
def test_filling_is_narrowing_by_the_shift_of_the_largest(rows, width):
    word = WordFormat(width)
    values = np.array(rows, dtype=float)
    words, shift = values.copy(), np.empty(len(values), np.int64)
    saturated = fill_rows(words, width, np.full(len(values), NO_LEAST), shift)
    expected_shift = magnitude_bits(values, axis=1) - (width - 1)
    expected, expected_saturated = word.narrow(values, expected_shift[:, None])
    assert np.array_equal(shift, expected_shift)
    assert np.array_equal(words, expected)
    assert saturated == expected_saturated
    assert np.all((np.abs(words).max(axis=1) >= 2 ** (width - 2)) | ~values.any(axis=1))


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=9), st.integers(8, 18))
def test_quantised_values_are_within_half_a_step_and_use_the_range(values, width):
    word = WordFormat(width)
    array = np.array(values, dtype=np.float32)
    words, exponent = word.quantise(array)
    step = 2.0**exponent
    assert np.all(words == np.rint(words))
    assert words.max() <= word.maximum
    assert words.min() >= word.minimum
    largest = np.abs(array).max()
    if largest > 2.0**-100:
        assert np.all(
            np.abs(words * step - array) <= step * np.where(words == word.maximum, 1, 0.5)
        )
        assert np.abs(words).max() >= word.maximum // 2


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(bad):
    with pytest.raises(ValueError, match="not finite"):
        WordFormat(16).quantise(np.array([1.0, bad]))
