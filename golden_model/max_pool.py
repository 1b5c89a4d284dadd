"""Largest of each 2 x 2 pixels, with ReLU or without, and the way back: a pass over memory each.

Both functions exist twice, compiled and in NumPy's array functions, and compute the same bits: they
only compare and copy. Without numba it is a pass for each comparison.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from golden_model.compiled import AVAILABLE, compiled

Array = NDArray[np.floating]
Choice = NDArray[np.uint8]
"""Which of its pixels is the largest, for each output: 2 * column + row, or `NONE`."""

NONE = 4
"""Choice where ReLU made the output zero: no pixel has a part in it."""


def max_pool(x: Array, *, rectify: bool) -> tuple[Array, Choice]:
    """Images x H/2 x W/2 x channels of largest pixels of images x H x W x channels, and which.

    Of equals it is the upper, then the left one; `rectify` replaces what is negative by zero. What
    is not a number is larger than all numbers, as for `numpy.maximum`.
    """
    images, height, width, channels = x.shape
    shape = images, height // 2, width // 2, channels
    outputs, choice = np.empty(shape, x.dtype), np.empty(shape, np.uint8)
    (_choose if AVAILABLE else _choose_by_passes)(np.ascontiguousarray(x), outputs, choice, rectify)
    return outputs, choice


def max_pool_errors(errors: Array, choice: Choice) -> Array:
    """`errors` by the outputs at the pixels of `choice`, zeros elsewhere, in the inputs' shape."""
    images, height, width, channels = errors.shape
    gradient = np.empty((images, 2 * height, 2 * width, channels), errors.dtype)
    (_spread if AVAILABLE else _spread_by_passes)(np.ascontiguousarray(errors), choice, gradient)
    return gradient


@compiled
def _choose(x: Array, outputs: Array, choice: Choice, rectify: bool) -> None:
    zero = x.dtype.type(0)
    images, height, width, channels = outputs.shape
    for image in range(images):
        for row in range(height):
            for column in range(width):
                upper, lower = x[image, 2 * row], x[image, 2 * row + 1]
                for c in range(channels):
                    left, low_left = upper[2 * column, c], lower[2 * column, c]
                    right, low_right = upper[2 * column + 1, c], lower[2 * column + 1, c]
                    # A number differs from itself if it is not one.
                    left_is_low = not (left >= low_left or left != left)
                    right_is_low = not (right >= low_right or right != right)
                    left = low_left if left_is_low else left
                    right = low_right if right_is_low else right
                    is_right = not (left >= right or left != left)
                    largest = right if is_right else left
                    chosen = 2 * is_right + (right_is_low if is_right else left_is_low)
                    cut = rectify and largest <= zero
                    outputs[image, row, column, c] = zero if cut else largest
                    choice[image, row, column, c] = NONE if cut else chosen


def _choose_by_passes(x: Array, outputs: Array, choice: Choice, rectify: bool) -> None:
    images, height, width, channels = outputs.shape
    rows = x.reshape(images, height, 2, width, 2, channels)
    columns = np.maximum(rows[:, :, 0], rows[:, :, 1])
    low = ~((rows[:, :, 0] >= rows[:, :, 1]) | np.isnan(rows[:, :, 0]))
    left, right = columns[:, :, :, 0], columns[:, :, :, 1]
    is_right = ~((left >= right) | np.isnan(left))
    np.maximum(left, right, out=outputs)
    choice[:] = np.where(is_right, low[:, :, :, 1] + np.uint8(2), low[:, :, :, 0])
    if rectify:
        cut = outputs <= 0
        outputs[cut], choice[cut] = 0, NONE


@compiled
def _spread(errors: Array, choice: Choice, gradient: Array) -> None:
    """A loop for each pixel: loops that write one run each become vector instructions."""
    images, height, width, channels = errors.shape
    zero = errors.dtype.type(0)
    for image in range(images):
        for row in range(height):
            for column in range(width):
                error, chosen = errors[image, row, column], choice[image, row, column]
                for index in range(4):
                    pixel = gradient[image, 2 * row + index % 2, 2 * column + index // 2]
                    for c in range(channels):
                        pixel[c] = error[c] if chosen[c] == index else zero


def _spread_by_passes(errors: Array, choice: Choice, gradient: Array) -> None:
    images, height, width, channels = errors.shape
    integer = np.dtype(f"i{errors.itemsize}")  # masks of all ones or none keep an error or zero it
    pixels = gradient.view(integer).reshape(images, height, 2, width, 2, channels)
    for index in range(4):
        column, row = divmod(index, 2)
        mask = -(choice == index).astype(integer)
        np.bitwise_and(errors.view(integer), mask, out=pixels[:, :, row, :, column])
