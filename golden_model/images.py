"""Images and their labels, as every data set comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Images:
    """Images N x C x H x W of a byte a pixel; what is taken out comes as float32 from 0 to 1.

    So a set takes a quarter of the memory that its numbers would: 184 MB for CIFAR-10.
    """

    def __init__(self, pixels: NDArray[np.uint8], white: int = 255) -> None:
        """Images of `pixels`, N x C x H x W from 0 to `white`."""
        self._pixels = pixels
        self._white = np.float32(white)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape N, C, H, W."""
        return self._pixels.shape

    def __len__(self) -> int:
        return len(self._pixels)

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        """The images, or parts of them, that NumPy's `index` selects."""
        return np.divide(self._pixels[index], self._white, dtype=np.float32)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All images at once, for NumPy's functions."""
        return self[:].astype(dtype or np.float32, copy=False)


@dataclass(frozen=True)
class Dataset:
    """Images and their labels, for training and for testing."""

    name: str
    """What `golden_model.datasets.load` was asked for."""
    train_images: Images
    """Images N x C x H x W, from 0 to 1."""
    train_labels: NDArray[np.int64]
    """N class numbers, from 0."""
    test_images: Images
    """Images of the test set, as `train_images`."""
    test_labels: NDArray[np.int64]
    """Class numbers of the test set."""
    classes: int
    """Number of classes."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape (C, H, W) of an image."""
        _, channels, height, width = self.train_images.shape
        return channels, height, width
