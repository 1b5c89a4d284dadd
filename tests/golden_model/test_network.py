"""Networks: the gradient of the loss by every weight, shapes, accuracy and errors."""

import numpy as np
import pytest

from golden_model import network
from golden_model.network import NetworkError


def batch(seed, images, shape, classes):
    random = np.random.default_rng(seed)
    return random.random((images, *shape)), random.integers(0, classes, images)


@pytest.mark.parametrize(("name", "shape"), [("cnn", (2, 8, 12)), ("mlp", (1, 5, 3))])
def test_the_mean_gradient_is_errors_times_activations_over_images(name, shape):
    """Whatever the layer: no factor for the output positions of a convolution."""
    net = network.build(name, shape, 4, seed=0, dtype=np.float64)
    images, labels = batch(1, 3, shape, 4)
    net.backpropagate(images, labels)
    gradients = [layer.errors.T @ layer.activations / len(images) for layer in net.weight_layers]
    random = np.random.default_rng(2)
    for layer, gradient in zip(net.weight_layers, gradients, strict=True):
        assert gradient.shape == layer.weights.shape
        for _ in range(12):
            index = tuple(random.integers(0, layer.weights.shape))
            kept, losses = layer.weights[index], []
            for step in (1e-6, -1e-6):
                layer.weights[index] = kept + step
                losses.append(net.backpropagate(images, labels))
            layer.weights[index] = kept
            assert gradient[index] == pytest.approx((losses[0] - losses[1]) / 2e-6, abs=1e-8)


def test_the_cnn_is_the_one_of_the_experiments():
    net = network.build("cnn", (1, 28, 28), 10, seed=0)
    assert [(layer.name, layer.weights.shape, layer.positions) for layer in net.weight_layers] == [
        ("conv1", (16, 9 + 1), 784),
        ("conv2", (32, 9 * 16 + 1), 196),
        ("fc1", (128, 7 * 7 * 32 + 1), 1),
        ("fc2", (10, 128 + 1), 1),
    ]
    assert all(layer.weights.dtype == np.float32 for layer in net.weight_layers)


def test_equal_seeds_draw_equal_weights():
    first, second, other = (network.build("mlp", (1, 4, 4), 3, seed) for seed in (5, 5, 6))
    for a, b, c in zip(*(net.weight_layers for net in (first, second, other)), strict=True):
        assert np.array_equal(a.weights, b.weights)
        assert not np.array_equal(a.weights, c.weights)


def test_accuracy_counts_every_image_once_whatever_the_batch():
    net = network.build("mlp", (1, 4, 4), 3, seed=0)
    images, labels = batch(0, 50, (1, 4, 4), 3)
    right = np.argmax(net.logits(images), axis=1) == labels
    assert 0 < right.sum() < 50
    for size in (1, 7, 50, 64):
        assert net.accuracy(images, labels, size) == right.sum() / 50


def test_an_unknown_network_is_named_with_those_that_exist():
    with pytest.raises(NetworkError, match="unknown network 'vit'; choose one of: cnn, mlp"):
        network.build("vit", (1, 8, 8), 10, seed=0)


def test_images_that_cannot_be_halved_twice_are_refused():
    with pytest.raises(NetworkError, match="30 x 28 pixels will not do"):
        network.build("cnn", (1, 30, 28), 10, seed=0)
