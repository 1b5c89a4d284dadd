"""Unfolding (im2col) of images for a convolution, and folding of what was unfolded.

A row of unfolded images belongs to an output position: the K x K x C inputs around it, in the order
kernel row, kernel column, channel. There are `padding` zeros on each side of the images, so images
of H rows have H + 2 padding - K + 1 rows of output positions.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from golden_model.compiled import AVAILABLE, compiled

Array = NDArray[np.floating]


def unfold(x: Array, kernel: int, padding: int, out: Array) -> None:
    """Copy the inputs around every output position of `x`, N x H x W x C, to `out`.

    `out` takes a row an output position, N H' W' x K K C.
    """
    images, height, width, channels = x.shape
    padded = np.zeros((images, height + 2 * padding, width + 2 * padding, channels), x.dtype)
    padded[:, padding : padding + height, padding : padding + width] = x
    image, row, column, channel = padded.strides
    shape = (
        images,
        height + 2 * padding - kernel + 1,
        width + 2 * padding - kernel + 1,
        kernel,
        kernel * channels,
    )
    windows = as_strided(padded, shape, (image, row, column, row, channel), writeable=False)
    np.copyto(out.reshape(shape), windows)


def fold(rows: Array, kernel: int, padding: int, out: Array) -> None:
    """Sum what `rows` have for each pixel of the images that they were unfolded from, to `out`.

    `rows` are N H' W' x K K C, `out` takes N x H x W x C. A pixel's addends are added to zero in
    the order of the kernel, whether it is a compiled loop or an array function for each place.
    """
    (_fold if AVAILABLE else _fold_by_places)(rows, kernel, padding, out)


@compiled
def _fold(rows: Array, kernel: int, padding: int, out: Array) -> None:
    """Pixel by pixel, so that its sum stays in registers and the rows of an image in cache."""
    images, height, width, channels = out.shape
    heights, widths = height + 2 * padding - kernel + 1, width + 2 * padding - kernel + 1
    for image in range(images):
        for y in range(height):
            for x in range(width):
                pixel = out[image, y, x]
                for c in range(channels):
                    pixel[c] = 0
                for row in range(max(0, y + padding - heights + 1), min(kernel, y + padding + 1)):
                    first = (image * heights + y + padding - row) * widths + x + padding
                    for column in range(
                        max(0, x + padding - widths + 1), min(kernel, x + padding + 1)
                    ):
                        place = (row * kernel + column) * channels
                        addends = rows[first - column, place : place + channels]
                        for c in range(channels):  # indices from 0 become vector instructions
                            pixel[c] += addends[c]


def _fold_by_places(rows: Array, kernel: int, padding: int, out: Array) -> None:
    images, height, width, channels = out.shape
    heights, widths = height + 2 * padding - kernel + 1, width + 2 * padding - kernel + 1
    padded = np.zeros((images, height + 2 * padding, width + 2 * padding, channels), out.dtype)
    places = rows.reshape(images, heights, widths, kernel, kernel, channels)
    for row in range(kernel):
        for column in range(kernel):
            padded[:, row : row + heights, column : column + widths] += places[:, :, :, row, column]
    out[:] = padded[:, padding : padding + height, padding : padding + width]
