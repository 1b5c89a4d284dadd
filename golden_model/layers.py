"""Layers of a neural network, forward and backward, in NumPy.

Feature maps are N x H x W x C (images, height, width, channels): the channels lie together, so the
rows that a convolution unfolds are copied in long runs. Layers with weights hold them as the
crossbar does, m x n: m outputs (columns of the crossbar) and n inputs (rows of the crossbar), of
which the last is a constant 1 that carries the bias. So biases are cells like any other weight,
and every optimiser and array treats them alike.

After `forward` and `backward` such a layer exposes the activations A (samples x n) and the errors
D (samples x m) of its samples: one sample an image in a fully connected layer, one sample an image
and output position in a convolution, images in order. Errors are derivatives of an image's own
loss, so the gradient of the mean loss over the images is D^T A / images, whatever the layer.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

Array = NDArray[np.floating]

KERNEL = 3
"""Height and width of a convolution's kernel."""


class Layer(Protocol):
    """A differentiable function of a batch, the images along the first axis."""

    def forward(self, x: Array) -> Array:
        """The outputs for inputs `x`; keeps what `backward` needs."""
        ...

    def backward(self, errors: Array) -> Array:
        """The derivatives by the last inputs, from those by the outputs."""
        ...


class WeightLayer:
    """What the layers with weights share: a matrix m x n, and the samples of the last batch."""

    def __init__(self, name: str, outputs: int, inputs: int, dtype: np.dtype) -> None:
        """An all-zero layer of `outputs` x (`inputs` + 1) weights, the last column the biases."""
        self.name = name
        self.weights: Array = np.zeros((outputs, inputs + 1), dtype)
        self.activations: Array = np.zeros((0, inputs + 1), dtype)
        self.errors: Array = np.zeros((0, outputs), dtype)

    @property
    def positions(self) -> int:
        """Samples an image."""
        return 1

    def initialise(self, random: np.random.Generator) -> None:
        """Weights normally distributed with variance 2 / inputs (He et al. 2015), biases zero."""
        outputs, inputs = self.weights.shape[0], self.weights.shape[1] - 1
        scale = np.sqrt(2.0 / inputs)
        self.weights[:, :-1] = scale * random.standard_normal((outputs, inputs))
        self.weights[:, -1] = 0.0


class FullyConnected(WeightLayer):
    """y = W [x, 1] for each image: x is flattened, n = inputs + 1."""

    def __init__(self, name: str, outputs: int, inputs: int, dtype: np.dtype) -> None:
        """See `WeightLayer`."""
        super().__init__(name, outputs, inputs, dtype)
        self._shape: tuple[int, ...] = ()

    def forward(self, x: Array) -> Array:
        """Images x outputs."""
        self._shape = x.shape
        if len(self.activations) != len(x):
            self.activations = np.ones((len(x), self.weights.shape[1]), self.weights.dtype)
        self.activations[:, :-1] = x.reshape(len(x), -1)
        return self.activations @ self.weights.T

    def backward(self, errors: Array) -> Array:
        """Derivatives by the inputs, in their shape."""
        self.errors = errors
        return (errors @ self.weights[:, :-1]).reshape(self._shape)


class Convolution(WeightLayer):
    """3 x 3 convolution with zero padding that keeps height and width, by unfolding (im2col).

    A sample is an output position: its activations are the 3 x 3 x C inputs around it, in the order
    kernel row, kernel column, channel, then the constant 1; n = 9 C + 1.
    """

    def __init__(
        self,
        name: str,
        outputs: int,
        shape: tuple[int, int, int],
        dtype: np.dtype,
        *,
        first: bool = False,
    ) -> None:
        """A convolution of inputs of `shape` (H, W, C) to `outputs` channels.

        `first` says that nothing needs the derivatives by the inputs: `backward` returns zeros
        without computing them.
        """
        self._height, self._width, self._channels = shape
        super().__init__(name, outputs, KERNEL * KERNEL * self._channels, dtype)
        self._first = first
        self._padded: Array = np.zeros((0, 0, 0, 0), dtype)
        self._unfolded: Array = np.zeros((0, 0, 0, 0, 0), dtype)

    @property
    def positions(self) -> int:
        """Samples an image: the output positions."""
        return self._height * self._width

    def forward(self, x: Array) -> Array:
        """Images x H x W x outputs."""
        if len(self._padded) != len(x):
            self._allocate(len(x))
        self._padded[:, 1:-1, 1:-1] = x
        np.copyto(self._unfolded, self._windows(self._padded))
        outputs = self.activations @ self.weights.T
        return outputs.reshape(len(x), self._height, self._width, -1)

    def backward(self, errors: Array) -> Array:
        """Derivatives by the inputs: each kernel position's share added where it was read."""
        images, channels = len(errors), self._channels
        self.errors = errors.reshape(-1, len(self.weights))
        gradient = np.zeros_like(self._padded)
        if not self._first:
            for row in range(KERNEL):
                for column in range(KERNEL):
                    start = (row * KERNEL + column) * channels
                    share = self.errors @ self.weights[:, start : start + channels]
                    gradient[:, row : row + self._height, column : column + self._width] += (
                        share.reshape(images, self._height, self._width, channels)
                    )
        return gradient[:, 1:-1, 1:-1]

    def _allocate(self, images: int) -> None:
        """Make the padded input, and the activations with a view of them as (N, H, W, 3, 3 C).

        The activations are stored with the axis along which longer runs can be copied last:
        samples when there are few channels, inputs otherwise.
        """
        height, width, channels = self._height, self._width, self._channels
        inputs, dtype = self.weights.shape[1], self.weights.dtype
        self._padded = np.zeros((images, height + 2, width + 2, channels), dtype)
        if KERNEL * channels < width:
            stored = np.ones((inputs, images, height, width), dtype)
            self.activations = stored.reshape(inputs, -1).T
            kernel = stored[:-1].reshape(KERNEL, KERNEL * channels, images, height, width)
            self._unfolded = kernel.transpose(2, 3, 4, 0, 1)
        else:
            stored = np.ones((images, height, width, inputs), dtype)
            self.activations = stored.reshape(-1, inputs)
            shape = (images, height, width, KERNEL, KERNEL * channels)
            self._unfolded = stored[..., :-1].reshape(shape)

    def _windows(self, padded: Array) -> Array:
        """The inputs around every output position, a view (N, H, W, 3, 3 C) of `padded`."""
        image, row, column, channel = padded.strides
        return as_strided(
            padded,
            (len(padded), self._height, self._width, KERNEL, KERNEL * self._channels),
            (image, row, column, row, channel),
            writeable=False,
        )


class MaxPool:
    """Largest of each 2 x 2 pixels; of equals the upper, then the left one passes the error."""

    def __init__(self) -> None:
        """Nothing is kept before the first `forward`."""
        self._upper: NDArray[np.bool_] = np.zeros(0, bool)
        self._left: NDArray[np.bool_] = np.zeros(0, bool)

    def forward(self, x: Array) -> Array:
        """Images x H/2 x W/2 x channels. Rows are compared first, in long runs."""
        images, height, width, channels = x.shape
        rows = x.reshape(images, height // 2, 2, width * channels)
        self._upper = rows[:, :, 0] >= rows[:, :, 1]
        columns = np.maximum(rows[:, :, 0], rows[:, :, 1])
        columns = columns.reshape(images, height // 2, width // 2, 2, channels)
        self._left = columns[:, :, :, 0] >= columns[:, :, :, 1]
        return np.maximum(columns[:, :, :, 0], columns[:, :, :, 1])

    def backward(self, errors: Array) -> Array:
        """Each error at the pixel that was the largest, zero elsewhere."""
        images, height, width, channels = errors.shape
        columns = np.empty((images, height, width, 2, channels), errors.dtype)
        np.multiply(errors, self._left, out=columns[:, :, :, 0])
        np.subtract(errors, columns[:, :, :, 0], out=columns[:, :, :, 1])
        merged = columns.reshape(images, height, 2 * width * channels)
        rows = np.empty((images, height, 2, 2 * width * channels), errors.dtype)
        np.multiply(merged, self._upper, out=rows[:, :, 0])
        np.subtract(merged, rows[:, :, 0], out=rows[:, :, 1])
        return rows.reshape(images, 2 * height, 2 * width, channels)


class Relu:
    """max(x, 0)."""

    def __init__(self) -> None:
        """Nothing is kept before the first `forward`."""
        self._outputs: Array = np.zeros(0)

    def forward(self, x: Array) -> Array:
        """The inputs where they are positive, zero elsewhere."""
        self._outputs = np.maximum(x, 0)
        return self._outputs

    def backward(self, errors: Array) -> Array:
        """The errors where the inputs were positive, zero elsewhere."""
        return errors * (self._outputs > 0)


def softmax_cross_entropy(logits: Array, labels: NDArray[np.integer]) -> tuple[float, Array]:
    """Mean loss over the images, and each image's own derivatives by its logits.

    The derivatives are softmax(logits) - one-hot(labels), images x classes, not divided by the
    number of images. The loss is summed in float64.
    """
    shifted = logits - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    sums = exponentials.sum(axis=1, keepdims=True)
    images = np.arange(len(labels))
    losses = np.log(sums[:, 0]) - shifted[images, labels]
    errors = exponentials / sums
    errors[images, labels] -= 1
    return float(np.mean(losses, dtype=np.float64)), errors
