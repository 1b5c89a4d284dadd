"""Networks: the gradient of the loss by every weight, learning, accuracy."""

import tracemalloc

import numpy as np
import pytest

from golden_model import architectures, layer_reads, layers, network, parallel
from golden_model.architectures import (
    NETWORKS,
    batch_bytes,
    layer_shapes,
    part_images,
    stages,
)
from golden_model.layer_reads import LayerReads
from golden_model.parameters import Parameters
from golden_model.reads import Reads


def batch(seed, images, shape, classes):
    random = np.random.default_rng(seed)
    return random.random((images, *shape)), random.integers(0, classes, images)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("cnn", (2, 8, 12)),
        ("mlp", (1, 5, 3)),
        ("lenet5", (1, 12, 16)),
        ("vgg8", (3, 8, 8)),
    ],
)
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


def test_equal_seeds_draw_equal_weights():
    first, second, other = (network.build("mlp", (1, 4, 4), 3, seed) for seed in (5, 5, 6))
    for a, b, c in zip(*(net.weight_layers for net in (first, second, other)), strict=True):
        assert np.array_equal(a.weights, b.weights)
        assert not np.array_equal(a.weights, c.weights)


def test_accuracy_counts_every_image_once_whatever_the_part(monkeypatch):
    images, labels = batch(0, 50, (1, 4, 4), 3)
    net = network.build("mlp", (1, 4, 4), 3, seed=0)
    right = np.argmax(net.logits(images), axis=1) == labels
    assert 0 < right.sum() < 50
    for part_bytes in (1, 2000, 1 << 20):
        monkeypatch.setattr(architectures, "PART_BYTES", part_bytes)
        net = network.build("mlp", (1, 4, 4), 3, seed=0)
        assert net.accuracy(images, labels) == right.sum() / 50


def test_parts_change_nothing_but_the_order_of_sums(monkeypatch):
    images, labels = batch(0, 7, (2, 8, 8), 3)
    whole = network.build("cnn", (2, 8, 8), 3, seed=0, dtype=np.float64)
    monkeypatch.setattr(architectures, "PART_BYTES", 1)
    parts = network.build("cnn", (2, 8, 8), 3, seed=0, dtype=np.float64)
    loss = whole.backpropagate(images, labels)
    assert parts.backpropagate(images, labels) == pytest.approx(loss, rel=1e-12)
    for one, other in zip(whole.weight_layers, parts.weight_layers, strict=True):
        assert np.allclose(one.activations, other.activations, rtol=0, atol=1e-12)
        assert np.allclose(one.errors, other.errors, rtol=0, atol=1e-12)


def test_layers_have_the_sizes_that_were_told_without_them():
    for name in NETWORKS:
        net = network.build(name, (3, 32, 32), 10, seed=0)
        sizes = [(x.name, *x.weights.shape, x.positions) for x in net.weight_layers]
        assert sizes == [tuple(layer) for layer in layer_shapes(name, (3, 32, 32), 10)]
        assert all(layer.weights.dtype == np.float32 for layer in net.weight_layers)


@pytest.mark.parametrize(
    ("name", "rate"), [("cnn", 0.1), ("mlp", 0.1), ("lenet5", 0.1), ("vgg8", 0.02)]
)
def test_networks_learn_colours_and_edges_by_plain_steps(name, rate):
    """Four classes: a bright half, left or right, in one of two colours."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 96)
    images = 0.3 * random.random((96, 3, 16, 16))
    for image, label in zip(images, labels, strict=True):
        image[2 * (label // 2), :, 8 * (label % 2) :][:, :8] += 0.7
    images = images.astype(np.float32)
    net = network.build(name, (3, 16, 16), 4, seed=0)
    for _ in range(25):
        for part in (slice(0, 48), slice(48, 96)):
            net.backpropagate(images[part], labels[part])
            for layer in net.weight_layers:
                layer.weights -= rate / 48 * (layer.errors.T @ layer.activations)
    assert net.accuracy(images, labels) > 0.95


@pytest.mark.parametrize("threads", [1, 2])
def test_reads_take_a_bounded_amount_more_whatever_the_batch(threads):
    """Some arrays of a chunk's size a thread, and what is read back at once."""
    shape, images = (3, 32, 32), 120
    net = network.build("cnn", shape, 10, seed=0)
    for layer in net.weight_layers:
        layer.reads = LayerReads(Reads("analog", output_noise=0.1), Parameters(), 255, [0])
        layer.reads.load(np.ones_like(layer.weights), 0.01)
    data, labels = np.ones((images, *shape), np.float32), np.zeros(images, int)
    parallel.set_threads(threads)
    tracemalloc.start()
    try:
        net.backpropagate(data, labels)
        net.accuracy(data, labels)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        parallel.set_threads(1)
    told = batch_bytes("cnn", shape, 10, images, threads)
    assert most <= told + threads * 4 * (6 * layer_reads._CHUNK + 2 * layers.READ_BACK_VALUES)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("threads", [1, 2])
def test_a_batch_takes_no_more_memory_than_was_told(name, threads):
    shape = (3, 32, 32)
    images = max(
        40, threads * part_images(stages(name, shape, 10))
    )  # every thread has a whole part
    net = network.build(name, shape, 10, seed=0)
    data, labels = np.ones((images, *shape), np.float32), np.zeros(images, int)
    parallel.set_threads(threads)
    tracemalloc.start()
    try:
        for _ in range(2):
            net.backpropagate(data, labels)
            net.accuracy(data, labels)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        parallel.set_threads(1)
    told = batch_bytes(name, shape, 10, images, threads)
    assert most <= told
    assert most > 0.5 * told
