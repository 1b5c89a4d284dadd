"""Networks of layers: forward and backward through all of them, part by part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from golden_model import parallel
from golden_model.architectures import (
    ConvolutionSpec,
    FullyConnectedSpec,
    PoolSpec,
    ReluSpec,
    Stage,
    part_images,
    stages,
)
from golden_model.images import Images
from golden_model.layers import (
    Array,
    AveragePool,
    Convolution,
    FullyConnected,
    Layer,
    MaxPool,
    Relu,
    WeightLayer,
    softmax_cross_entropy,
)


class Network:
    """Layers in sequence, and a softmax cross-entropy loss."""

    def __init__(self, layers: Sequence[Layer], part: int) -> None:
        """A network of `layers`, the first being fed images as N x H x W x C, `part` at once."""
        self._layers = list(layers)
        self._part = part
        self.weight_layers = [layer for layer in layers if isinstance(layer, WeightLayer)]
        """The layers with weights, in order."""

    def logits(self, images: Array | Images) -> Array:
        """Images x classes of unnormalised log-probabilities, for `images` N x C x H x W."""

        def forward(part: slice) -> Array:
            x = np.moveaxis(images[part], 1, -1)
            for layer in self._layers:
                x, _ = layer.forward(x, part, keep=False)
            return x

        return np.concatenate(parallel.each(forward, parallel.parts(len(images), self._part)))

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

        losses = parallel.each(forward_backward, parallel.parts(len(images), self._part))
        return float(np.mean(np.concatenate(losses), dtype=np.float64))

    def accuracy(self, images: Array | Images, labels: NDArray[np.integer]) -> float:
        """Fraction of `images` whose largest logit is at their label."""
        return float(np.mean(np.argmax(self.logits(images), axis=1) == labels))


def build(
    name: str,
    shape: tuple[int, int, int],
    classes: int,
    seed: int,
    dtype: type[np.floating] = np.float32,
) -> Network:
    """Network `name` for images of `shape` (C, H, W), its weights drawn from `seed`.

    Raises `NetworkError` for an unknown name, and for images that do not fit.
    """
    architecture = stages(name, shape, classes)
    layers: list[Layer] = []
    for stage, before in zip(architecture, [None, *architecture], strict=False):
        if stage.spec == ReluSpec() and before is not None and before.spec == PoolSpec():
            layers[-1] = MaxPool(rectify=True)
        else:
            layers.append(_layer(stage, np.dtype(dtype), first=before is None))
    network = Network(layers, part_images(architecture))
    random = np.random.default_rng(seed)
    for layer in network.weight_layers:
        layer.initialise(random)
    return network


def _layer(stage: Stage, dtype: np.dtype, *, first: bool) -> Layer:
    """The layer of `stage`, the `first` of the network or not."""
    spec, inputs, outputs = stage
    match spec:
        case ConvolutionSpec():
            return Convolution(
                spec.name,
                outputs.channels,
                inputs,
                dtype,
                kernel=spec.kernel,
                padding=spec.padding,
                first=first,
            )
        case FullyConnectedSpec():
            return FullyConnected(spec.name, outputs.channels, inputs.values, dtype, first=first)
        case PoolSpec():
            return AveragePool() if spec.average else MaxPool()
        case ReluSpec():
            return Relu()
