"""Networks as lists of layers: sizes, errors and memory, all without weights."""

import pytest

from golden_model.architectures import (
    NETWORKS,
    PART_BYTES,
    NetworkError,
    batch_bytes,
    layer_shapes,
    part_images,
    stages,
)
from golden_model.parameters import PRESETS


def test_the_cnn_is_the_one_of_the_experiments():
    assert layer_shapes("cnn", (1, 28, 28), 10) == [
        ("conv1", 16, 9 + 1, 784),
        ("conv2", 32, 9 * 16 + 1, 196),
        ("fc1", 128, 7 * 7 * 32 + 1, 1),
        ("fc2", 10, 128 + 1, 1),
    ]


def test_lenet5_has_the_sizes_of_its_paper():
    assert layer_shapes("lenet5", (1, 28, 28), 10) == [
        ("c1", 6, 25 + 1, 28 * 28),
        ("c3", 16, 25 * 6 + 1, 10 * 10),
        ("c5", 120, 5 * 5 * 16 + 1, 1),
        ("f6", 84, 120 + 1, 1),
        ("output", 10, 84 + 1, 1),
    ]


def test_vgg8_fits_the_large_preset():
    layers = layer_shapes("vgg8", (3, 32, 32), 10)
    assert [layer.positions for layer in layers] == [1024, 1024, 256, 256, 64, 64, 1, 1]
    assert [layer.m for layer in layers] == [32, 32, 64, 64, 128, 128, 256, 10]
    assert max(layer.m for layer in layers) <= PRESETS["large"].max_m
    assert max(layer.n for layer in layers) <= PRESETS["large"].max_n


@pytest.mark.parametrize("name", NETWORKS)
def test_the_last_layer_has_an_output_a_class(name):
    assert layer_shapes(name, (3, 32, 32), 7)[-1].m == 7


def test_an_unknown_network_is_named_with_those_that_exist():
    with pytest.raises(NetworkError, match="unknown network 'vit'; choose one of: cnn, mlp"):
        layer_shapes("vit", (1, 8, 8), 10)


@pytest.mark.parametrize(
    ("name", "shape", "multiples"),
    [("cnn", (1, 30, 28), 4), ("vgg8", (1, 28, 28), 8), ("lenet5", (1, 28, 26), 4)],
)
def test_images_that_cannot_be_halved_are_refused(name, shape, multiples):
    _, height, width = shape
    with pytest.raises(
        NetworkError, match=f"{height} x {width} pixels will not do.*multiples of {multiples}"
    ):
        layer_shapes(name, shape, 10)


def test_a_network_tells_at_least_one_class():
    with pytest.raises(NetworkError, match="classes = 0 must be at least 1"):
        layer_shapes("mlp", (1, 8, 8), 0)


def test_images_smaller_than_a_kernel_are_refused():
    message = (
        "8 x 8 pixels are too small for network lenet5: 4 x 4 pixels of them reach kernels of 5"
    )
    with pytest.raises(NetworkError, match=message):
        layer_shapes("lenet5", (1, 8, 8), 10)


@pytest.mark.parametrize("name", NETWORKS)
def test_parts_keep_to_their_budget(name):
    for shape in ((1, 8, 8), (3, 32, 32)):
        if (name, shape[1]) == ("lenet5", 8):
            continue
        network = stages(name, shape, 10)
        values = sum(stage.inputs.values + stage.outputs.values for stage in network)
        images = part_images(network)
        assert 4 * values * images <= PART_BYTES < 4 * values * (images + 1)


def test_an_image_larger_than_the_budget_goes_alone():
    assert part_images(stages("vgg8", (3, 256, 256), 10)) == 1


def test_memory_grows_by_the_samples_of_an_image():
    layers = layer_shapes("vgg8", (3, 32, 32), 10)
    samples = 4 * sum(layer.positions * (layer.m + layer.n) for layer in layers)
    shape = (3, 32, 32)
    assert batch_bytes("vgg8", shape, 10, 65) - batch_bytes("vgg8", shape, 10, 64) == samples
    assert batch_bytes("vgg8", shape, 10, 64) < 1.1 * 64 * samples
