"""The networks as lists of layers, and what follows from sizes alone: no weights, no data.

`golden_model.network.build` makes the layers; everything that only asks for sizes asks here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

FLOAT_BYTES = 4
"""Bytes of a number in training: float32."""

PART_BYTES = 8 << 20
"""What the inputs and outputs of all layers may take for the images that go through at once.

Larger parts spend less time in Python, smaller ones find more in cache of what the layer before
left; docs/performance.md has what was measured.
"""

FOLD_BYTES = 1 << 20
"""What the derivatives by a convolution's unfolded inputs may take that are folded at once."""


class NetworkError(ValueError):
    """A network is unknown or does not fit the images."""


@dataclass(frozen=True)
class ConvolutionSpec:
    """`golden_model.layers.Convolution`."""

    name: str
    """The layer's name."""
    outputs: int
    """Output channels."""
    kernel: int = 3
    """Height and width of the kernel."""
    padding: int = 1
    """Zeros on each side of the inputs."""


@dataclass(frozen=True)
class FullyConnectedSpec:
    """`golden_model.layers.FullyConnected`."""

    name: str
    """The layer's name."""
    outputs: int | None = None
    """Outputs; None for one a class."""


@dataclass(frozen=True)
class PoolSpec:
    """Pooling of 2 x 2 pixels, `golden_model.layers.MaxPool` or `AveragePool`."""

    average: bool = False
    """The mean instead of the largest."""


@dataclass(frozen=True)
class ReluSpec:
    """`golden_model.layers.Relu`."""


LayerSpec = ConvolutionSpec | FullyConnectedSpec | PoolSpec | ReluSpec

ARCHITECTURES: Mapping[str, tuple[LayerSpec, ...]] = {
    # Pooling before ReLU gives the same values and gradients, on a quarter of the pixels.
    "cnn": (
        ConvolutionSpec("conv1", 16),
        PoolSpec(),
        ReluSpec(),
        ConvolutionSpec("conv2", 32),
        PoolSpec(),
        ReluSpec(),
        FullyConnectedSpec("fc1", 128),
        ReluSpec(),
        FullyConnectedSpec("fc2"),
    ),
    "mlp": (
        FullyConnectedSpec("fc1", 32),
        ReluSpec(),
        FullyConnectedSpec("fc2"),
    ),
    "lenet5": (
        ConvolutionSpec("c1", 6, kernel=5, padding=2),
        ReluSpec(),
        PoolSpec(average=True),
        ConvolutionSpec("c3", 16, kernel=5, padding=0),
        ReluSpec(),
        PoolSpec(average=True),
        FullyConnectedSpec("c5", 120),
        ReluSpec(),
        FullyConnectedSpec("f6", 84),
        ReluSpec(),
        FullyConnectedSpec("output"),
    ),
    "vgg8": (
        ConvolutionSpec("conv1", 32),
        ReluSpec(),
        ConvolutionSpec("conv2", 32),
        PoolSpec(),
        ReluSpec(),
        ConvolutionSpec("conv3", 64),
        ReluSpec(),
        ConvolutionSpec("conv4", 64),
        PoolSpec(),
        ReluSpec(),
        ConvolutionSpec("conv5", 128),
        ReluSpec(),
        ConvolutionSpec("conv6", 128),
        PoolSpec(),
        ReluSpec(),
        FullyConnectedSpec("fc1", 256),
        ReluSpec(),
        FullyConnectedSpec("fc2"),
    ),
}
"""The networks by name; docs/training.md says where they come from and what differs."""

NETWORKS = tuple(ARCHITECTURES)
"""Names of the networks."""


class FeatureShape(NamedTuple):
    """Size of a feature map; a fully connected layer's has one pixel."""

    height: int
    """Rows of pixels."""
    width: int
    """Columns of pixels."""
    channels: int
    """Numbers a pixel."""

    @property
    def values(self) -> int:
        """Numbers of an image."""
        return self.height * self.width * self.channels


class LayerShape(NamedTuple):
    """Size of a layer with weights."""

    name: str
    """The layer's name."""
    m: int
    """Outputs: columns of the crossbar."""
    n: int
    """Inputs, the constant of the bias among them: rows of the crossbar."""
    positions: int
    """Samples an image."""


class Stage(NamedTuple):
    """A layer at its place in a network."""

    spec: LayerSpec
    """The layer."""
    inputs: FeatureShape
    """What it is fed for an image."""
    outputs: FeatureShape
    """What it makes of that."""


def stages(name: str, shape: tuple[int, int, int], classes: int) -> list[Stage]:
    """The layers of network `name` for images of `shape` (C, H, W).

    Raises `NetworkError` for an unknown name, for no classes, and for images that a pooling cannot
    halve or that are smaller than a kernel.
    """
    if name not in ARCHITECTURES:
        raise NetworkError(f"unknown network {name!r}; choose one of: {', '.join(NETWORKS)}")
    if classes < 1:
        raise NetworkError(f"classes = {classes} must be at least 1")
    channels, height, width = shape
    features, result = FeatureShape(height, width, channels), []
    for spec in ARCHITECTURES[name]:
        pixels = f"{features.height} x {features.width} pixels"
        if isinstance(spec, PoolSpec) and (features.height % 2 or features.width % 2):
            halvings = sum(isinstance(other, PoolSpec) for other in ARCHITECTURES[name])
            raise NetworkError(
                f"network {name} halves its images {halvings} times, once at {pixels}: images of "
                f"{height} x {width} pixels will not do, height and width must be multiples of "
                f"{2**halvings}"
            )
        outputs = _outputs(spec, features, classes)
        if isinstance(spec, ConvolutionSpec) and min(outputs) < 1:
            raise NetworkError(
                f"images of {height} x {width} pixels are too small for network {name}: {pixels} "
                f"of them reach kernels of {spec.kernel} x {spec.kernel}"
            )
        result.append(Stage(spec, features, outputs))
        features = outputs
    return result


def layer_shapes(name: str, shape: tuple[int, int, int], classes: int) -> list[LayerShape]:
    """Sizes of the layers with weights, in order; arguments and errors are those of `stages`."""
    shapes = []
    for spec, inputs, outputs in stages(name, shape, classes):
        match spec:
            case ConvolutionSpec():
                n = spec.kernel**2 * inputs.channels + 1
                positions = outputs.height * outputs.width
                shapes.append(LayerShape(spec.name, outputs.channels, n, positions))
            case FullyConnectedSpec():
                shapes.append(LayerShape(spec.name, outputs.channels, inputs.values + 1, 1))
    return shapes


def part_images(network: Sequence[Stage]) -> int:
    """Images that go through the layers at once: as many as `PART_BYTES` allow, at least one."""
    return max(1, PART_BYTES // _image_bytes(network))


def folded_images(image_bytes: int) -> int:
    """Images whose derivatives are folded at once if each takes `image_bytes`, at least one."""
    return max(1, FOLD_BYTES // image_bytes)


def batch_bytes(
    name: str, shape: tuple[int, int, int], classes: int, batch: int, threads: int = 1
) -> int:
    """Most memory that training with batches of `batch` images takes, testing in between included.

    That is the samples of all layers, unfolded activations and errors, which stay for the
    optimiser; and for the images under way in `threads` the inputs and outputs of all layers and
    the largest that a layer unfolds or folds: when testing its activations, on the way back the
    derivatives of `folded_images`. Weights and optimiser come on top.
    """
    network, layers = stages(name, shape, classes), layer_shapes(name, shape, classes)
    samples = sum(layer.positions * (layer.m + layer.n) for layer in layers)
    under_way = part_images(network) * threads
    activations = FLOAT_BYTES * max(layer.positions * layer.n for layer in layers)
    unfolded = max(under_way * activations, threads * _folded(network))
    return FLOAT_BYTES * batch * samples + under_way * _image_bytes(network) + unfolded


def _folded(network: Sequence[Stage]) -> int:
    """Most bytes of derivatives that a convolution folds at once; the first needs none."""
    images = (
        FLOAT_BYTES * outputs.height * outputs.width * spec.kernel**2 * inputs.channels
        for spec, inputs, outputs in network[1:]
        if isinstance(spec, ConvolutionSpec)
    )
    return max((folded_images(image) * image for image in images), default=0)


def _image_bytes(network: Sequence[Stage]) -> int:
    """Bytes of the inputs and outputs of all layers for one image."""
    return FLOAT_BYTES * sum(stage.inputs.values + stage.outputs.values for stage in network)


def _outputs(spec: LayerSpec, inputs: FeatureShape, classes: int) -> FeatureShape:
    """What layer `spec` makes of `inputs`."""
    match spec:
        case ConvolutionSpec():
            growth = 2 * spec.padding - spec.kernel + 1
            return FeatureShape(inputs.height + growth, inputs.width + growth, spec.outputs)
        case FullyConnectedSpec():
            return FeatureShape(1, 1, classes if spec.outputs is None else spec.outputs)
        case PoolSpec():
            return FeatureShape(inputs.height // 2, inputs.width // 2, inputs.channels)
        case ReluSpec():
            return inputs
