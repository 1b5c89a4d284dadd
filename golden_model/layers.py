"""Layers of a neural network, forward and backward, in NumPy.

Feature maps are N x H x W x C (images, height, width, channels): the channels lie together, so the
rows that a convolution unfolds are copied in long runs. Layers with weights hold them as the
crossbar does, m x n: m outputs (columns of the crossbar) and n inputs (rows of the crossbar), of
which the last is a constant 1 that carries the bias. So biases are cells like any other weight,
and every optimiser and array treats them alike.

A batch goes through the layers in parts of a few images, which stay in a processor's cache and may
go at once. So layers change nothing of their own but the samples of the part's images: `forward`
returns the way back, a function that holds what it needs.

After all parts a layer with weights exposes the activations A (samples x n) and the errors D
(samples x m) of the batch: one sample an image in a fully connected layer, one sample an image and
output position in a convolution, images in order. Errors are derivatives of an image's own loss,
so the gradient of the mean loss over the images is D^T A / images, whatever the layer. A
convolution can leave D^T A instead, summed while the samples of a part are in cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from golden_model import parallel
from golden_model.architectures import folded_images
from golden_model.layer_reads import LayerReads
from golden_model.max_pool import max_pool, max_pool_errors
from golden_model.unfolding import fold, unfold

Array = NDArray[np.floating]

READ_BACK_VALUES = 1 << 20
"""Derivatives by unfolded inputs that a transposed read of a convolution holds at once."""

Backward = Callable[[Array], Array]
"""From the derivatives by the outputs to those by the inputs, in their shape."""


class Layer(Protocol):
    """A differentiable function of images, which lie along the first axis."""

    def forward(
        self, x: Array, part: slice | None = None, *, keep: bool = True
    ) -> tuple[Array, Backward]:
        """The outputs for inputs `x`, and the way back.

        `part` says which images they are of all that pass, by default the first. If `keep`, all
        that pass are the reserved batch, whose samples stay; without `part` none are kept.
        """
        ...


def outer_products(activations: Array, errors: Array) -> Array:
    """D^T A, m x n: the outer products of all samples' errors and activations, summed.

    Of activations whose samples lie together (`Convolution`) the transposed product is the one that
    reads memory in order.
    """
    samples, inputs = activations.strides
    return (activations.T @ errors).T if samples < inputs else errors.T @ activations


class WeightLayer:
    """What the layers with weights share: a matrix m x n, and the samples of the last batch."""

    def __init__(
        self, name: str, outputs: int, inputs: int, dtype: np.dtype, *, first: bool = False
    ) -> None:
        """An all-zero layer of `outputs` x (`inputs` + 1) weights, the last column the biases.

        `first` says that nothing needs the derivatives by the inputs: the way back returns zeros
        without computing them.
        """
        self.name = name
        self._first = first
        self.weights: Array = np.zeros((outputs, inputs + 1), dtype)
        self.activations: Array = np.zeros((0, inputs + 1), dtype)
        self.errors: Array = np.zeros((0, outputs), dtype)
        self.reads: LayerReads | None = None
        """How the array behind the weights is read; None for exact products with them."""
        self.sums_products = False
        """Whether to leave D^T A, and no errors, where that is faster (see `product`)."""
        self._products: dict[int, Array] = {}  # of the parts, by their first images

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

    def reserve(self, images: int) -> None:
        """Make room for the samples of a batch of `images`."""
        self._products = {}
        samples = images * self.positions
        if len(self.errors) != samples:
            self.activations = self._new_activations(samples)
            self.errors = np.empty((samples, len(self.weights)), self.weights.dtype)

    def product(self) -> Array | None:
        """D^T A of the batch, m x n, if the way back summed it instead of keeping errors."""
        if not self._products:
            return None
        first, *others = (self._products[place] for place in sorted(self._products))
        return sum(others, first)

    def _new_activations(self, samples: int) -> Array:
        """Room for activations, samples x n, the constant in place."""
        activations = np.empty((samples, self.weights.shape[1]), self.weights.dtype)
        activations[:, -1] = 1.0
        return activations

    def _samples(self, part: slice | None, images: int) -> tuple[Array, Array | None]:
        """Where the activations and the errors of `images` belong, errors nowhere without `part`.

        `part` is that of `Layer.forward`.
        """
        if part is None:
            return self._new_activations(images * self.positions), None
        rows = slice(part.start * self.positions, part.stop * self.positions)
        return self.activations[rows], self.errors[rows]


class FullyConnected(WeightLayer):
    """y = W [x, 1] for each image: x is flattened, n = inputs + 1."""

    def forward(
        self, x: Array, part: slice | None = None, *, keep: bool = True
    ) -> tuple[Array, Backward]:
        """Images x outputs; see `Layer`."""
        activations, kept = self._samples(part if keep else None, len(x))
        activations[:, :-1].reshape(x.shape)[:] = x
        place = 0 if part is None else part.start

        def backward(errors: Array) -> Array:
            errors, inputs = self._backward(errors, place)
            if kept is not None:
                kept[:] = errors
            if inputs is None:
                return np.zeros_like(x)
            return inputs.reshape(x.shape)

        if self.reads is not None:
            return self.reads.forward(activations, place), backward
        return (self.weights @ activations.T).T, backward

    def _backward(self, errors: Array, place: int) -> tuple[Array, Array | None]:
        """What the digital side has of `errors`, and the derivatives by the inputs if needed."""
        if self.reads is None:
            return errors, None if self._first else errors @ self.weights[:, :-1]
        errors = errors.copy()
        if self._first:
            self.reads.drive(errors)
            return errors, None
        inputs = self.reads.transposed(errors, place)
        return errors, inputs


class Convolution(WeightLayer):
    """Convolution of a square kernel with zero padding, by unfolding (im2col).

    A sample is an output position: its activations are the K x K x C inputs around it, in the order
    kernel row, kernel column, channel, then the constant 1; n = K K C + 1.
    """

    def __init__(
        self,
        name: str,
        outputs: int,
        shape: tuple[int, int, int],
        dtype: np.dtype,
        *,
        kernel: int = 3,
        padding: int = 1,
        first: bool = False,
    ) -> None:
        """A convolution of inputs of `shape` (H, W, C) to `outputs` channels.

        `kernel` is its height and width K; `padding` the zeros on each side, so that outputs have
        H + 2 padding - K + 1 rows. `first` is that of `WeightLayer`.
        """
        height, width, channels = shape
        super().__init__(name, outputs, kernel * kernel * channels, dtype, first=first)
        self._kernel, self._padding = kernel, padding
        self._height = height + 2 * padding - kernel + 1
        self._width = width + 2 * padding - kernel + 1

    @property
    def positions(self) -> int:
        """Samples an image: the output positions."""
        return self._height * self._width

    def forward(
        self, x: Array, part: slice | None = None, *, keep: bool = True
    ) -> tuple[Array, Backward]:
        """Images x H' x W' x outputs; see `Layer`."""
        activations, kept = self._samples(part if keep else None, len(x))
        place = 0 if part is None else part.start
        unfold(x, self._kernel, self._padding, activations[:, :-1])

        def backward(errors: Array) -> Array:
            rows = errors.reshape(-1, len(self.weights))
            if self.reads is not None:
                return self._read_back(self.reads, rows, kept, x.shape, place)
            if kept is not None and self.sums_products:
                self._products[place] = outer_products(activations, rows)
            elif kept is not None:
                kept[:] = rows
            return np.zeros_like(x) if self._first else self._input_errors(errors, x.shape)

        if self.reads is not None:
            outputs = self.reads.forward(activations, place)
        else:
            outputs = activations @ self.weights.T
        return outputs.reshape(len(x), self._height, self._width, -1), backward

    def _input_errors(self, errors: Array, shape: tuple[int, ...]) -> Array:
        """Derivatives by inputs of `shape`, from those by the outputs, images x H' x W' x outputs.

        Those by the unfolded inputs are of a few images at a time, which stay in cache.
        """
        weights = np.ascontiguousarray(self.weights[:, :-1])
        gradient = np.empty(shape, errors.dtype)
        row_bytes = weights.shape[1] * errors.itemsize
        for images in parallel.parts(len(errors), folded_images(self.positions * row_bytes)):
            rows = errors[images].reshape(-1, len(weights)) @ weights
            fold(rows, self._kernel, self._padding, gradient[images])
        return gradient

    def _read_back(
        self,
        reads: LayerReads,
        errors: Array,
        kept: Array | None,
        shape: tuple[int, ...],
        place: int,
    ) -> Array:
        """Derivatives by inputs of `shape` through `reads`, some images at a time.

        `kept` takes what the digital side has of `errors` (samples x m).
        """
        errors = errors.copy()
        gradient = np.zeros(shape, errors.dtype)
        if self._first:
            reads.drive(errors)
        else:
            images = max(1, READ_BACK_VALUES // (self.positions * self.weights.shape[1]))
            for start in range(0, len(gradient), images):
                part = gradient[start : start + images]
                rows = slice(start * self.positions, (start + len(part)) * self.positions)
                inputs = reads.transposed(errors[rows], place + start)
                fold(inputs, self._kernel, self._padding, part)
        if kept is not None:
            kept[:] = errors
        return gradient

    def _new_activations(self, samples: int) -> Array:
        """See `WeightLayer`.

        The axis along which longer runs are copied lies together: samples when there are few
        channels, inputs otherwise.
        """
        inputs = self.weights.shape[1]
        if (inputs - 1) // self._kernel >= self._width:
            return super()._new_activations(samples)
        activations = np.empty((inputs, samples), self.weights.dtype).T
        activations[:, -1] = 1.0
        return activations


class MaxPool:
    """Largest of each 2 x 2 pixels; of equals the upper, then the left one passes the error."""

    def __init__(self, *, rectify: bool = False) -> None:
        """Pooling, and ReLU after it with `rectify`: the same as two layers, in one pass."""
        self._rectify = rectify

    def forward(
        self, x: Array, part: slice | None = None, *, keep: bool = True
    ) -> tuple[Array, Backward]:
        """Images x H/2 x W/2 x channels; see `Layer`."""
        outputs, choice = max_pool(x, rectify=self._rectify)
        return outputs, lambda errors: max_pool_errors(errors, choice)


class AveragePool:
    """Mean of each 2 x 2 pixels; each of them passes a quarter of the error."""

    def forward(
        self, x: Array, part: slice | None = None, *, keep: bool = True
    ) -> tuple[Array, Backward]:
        """Images x H/2 x W/2 x channels; see `Layer`. Rows are added first, in long runs."""
        images, height, width, channels = x.shape
        rows = x.reshape(images, height // 2, 2, width * channels)
        columns = rows[:, :, 0] + rows[:, :, 1]
        columns = columns.reshape(images, height // 2, width // 2, 2, channels)
        outputs = columns[:, :, :, 0] + columns[:, :, :, 1]
        outputs *= 0.25

        def backward(errors: Array) -> Array:
            return np.repeat(np.repeat(0.25 * errors, 2, axis=1), 2, axis=2)

        return outputs, backward


class Relu:
    """max(x, 0)."""

    def forward(
        self, x: Array, part: slice | None = None, *, keep: bool = True
    ) -> tuple[Array, Backward]:
        """The inputs where they are positive, zero elsewhere; see `Layer`."""
        outputs = np.maximum(x, 0)
        return outputs, lambda errors: errors * (outputs > 0)


def softmax_cross_entropy(logits: Array, labels: NDArray[np.integer]) -> tuple[Array, Array]:
    """Each image's loss, and its derivatives by the image's logits.

    The derivatives are softmax(logits) - one-hot(labels), images x classes.
    """
    shifted = logits - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    sums = exponentials.sum(axis=1, keepdims=True)
    images = np.arange(len(labels))
    losses = np.log(sums[:, 0]) - shifted[images, labels]
    errors = exponentials / sums
    errors[images, labels] -= 1
    return losses, errors
