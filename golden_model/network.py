"""Networks of layers: the convolutional network of the experiments, and a small perceptron."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from golden_model import parallel
from golden_model.layers import (
    Array,
    Convolution,
    FullyConnected,
    Layer,
    MaxPool,
    Relu,
    WeightLayer,
    softmax_cross_entropy,
)

NETWORKS = ("cnn", "mlp")
"""Names that `build` knows."""

HIDDEN = {"cnn": 128, "mlp": 32}
"""Outputs of the first fully connected layer of each network."""


PART = 16
"""Images that go through the layers at once: few enough for a processor's cache."""


class NetworkError(ValueError):
    """A network is unknown or does not fit the images."""


class Network:
    """Layers in sequence, and a softmax cross-entropy loss."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        """A network of `layers`, the first being fed images as N x H x W x C."""
        self._layers = list(layers)
        self.weight_layers = [layer for layer in layers if isinstance(layer, WeightLayer)]
        """The layers with weights, in order."""

    def logits(self, images: Array) -> Array:
        """Images x classes of unnormalised log-probabilities, for `images` N x C x H x W."""

        def forward(part: slice) -> Array:
            x = np.moveaxis(images[part], 1, -1)
            for layer in self._layers:
                x, _ = layer.forward(x)
            return x

        return np.concatenate(parallel.each(forward, parallel.parts(len(images), PART)))

    def backpropagate(self, images: Array, labels: NDArray[np.integer]) -> float:
        """Mean loss of a batch; leaves activations and errors in `weight_layers`.

        They stay valid until the next batch: layers reuse their memory. A loss that is not finite
        is the caller's to notice, NumPy does not warn of it.
        """
        for layer in self.weight_layers:
            layer.reserve(len(images))

        def forward_backward(part: slice) -> Array:
            with np.errstate(over="ignore", invalid="ignore"):
                x, way_back = np.moveaxis(images[part], 1, -1), []
                for layer in self._layers:
                    x, backward = layer.forward(x, part)
                    way_back.append(backward)
                losses, errors = softmax_cross_entropy(x, labels[part])
                while way_back:
                    errors = way_back.pop()(errors)
            return losses

        losses = parallel.each(forward_backward, parallel.parts(len(images), PART))
        return float(np.mean(np.concatenate(losses), dtype=np.float64))

    def accuracy(self, images: Array, labels: NDArray[np.integer], batch: int) -> float:
        """Fraction of `images` whose largest logit is at their label, `batch` images at a time."""
        correct = 0
        for start in range(0, len(images), batch):
            part = slice(start, start + batch)
            correct += int(np.sum(np.argmax(self.logits(images[part]), axis=1) == labels[part]))
        return correct / len(images)


def build(
    name: str,
    shape: tuple[int, int, int],
    classes: int,
    seed: int,
    dtype: type[np.floating] = np.float32,
) -> Network:
    """Network `name` for images of `shape` (C, H, W), its weights drawn from `seed`.

    `cnn`: 3 x 3 x 16 convolution, ReLU, 2 x 2 max pooling, 3 x 3 x 32 convolution, ReLU, pooling,
    128 fully connected, ReLU, `classes`. `mlp`: 32 fully connected, ReLU, `classes`.

    Raises `NetworkError` for an unknown name, and for images that two poolings cannot halve.
    """
    if name not in NETWORKS:
        raise NetworkError(f"unknown network {name!r}; choose one of: {', '.join(NETWORKS)}")
    channels, height, width = shape
    kind, hidden = np.dtype(dtype), HIDDEN[name]
    layers: list[Layer] = []
    features = channels * height * width
    if name == "cnn":
        if height % 4 or width % 4:
            raise NetworkError(
                f"network cnn halves its images twice: {height} x {width} pixels will not do, "
                "height and width must be multiples of 4"
            )
        # Pooling before ReLU gives the same values and gradients, on a quarter of the pixels.
        layers += [
            Convolution("conv1", 16, (height, width, channels), kind, first=True),
            MaxPool(),
            Relu(),
            Convolution("conv2", 32, (height // 2, width // 2, 16), kind),
            MaxPool(),
            Relu(),
        ]
        features = 32 * (height // 4) * (width // 4)
    layers += [
        FullyConnected("fc1", hidden, features, kind),
        Relu(),
        FullyConnected("fc2", classes, hidden, kind),
    ]
    network = Network(layers)
    random = np.random.default_rng(seed)
    for layer in network.weight_layers:
        layer.initialise(random)
    return network
