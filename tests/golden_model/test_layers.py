"""Layers: outputs against plain definitions, gradients against finite differences."""

import itertools

import numpy as np
import pytest

from golden_model.layers import (
    AveragePool,
    Convolution,
    FullyConnected,
    MaxPool,
    Relu,
    softmax_cross_entropy,
)

F64 = np.dtype(np.float64)


def draw(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def central_difference(function, array, index, step=1e-5):
    """Derivative of `function()` by one element of `array`."""
    kept = array[index]
    array[index] = kept + step
    above = function()
    array[index] = kept - step
    below = function()
    array[index] = kept
    return (above - below) / (2 * step)


def check_gradients(layer, x, seed=1):
    """The derivatives of sum(weighting * outputs), by inputs and by weights, are the layer's."""
    weighting = draw(seed, *layer.forward(x)[0].shape)

    def total():
        return float(np.sum(weighting * layer.forward(x)[0]))

    by_inputs = layer.forward(x)[1](weighting)
    assert by_inputs.shape == x.shape
    for index in itertools.islice(np.ndindex(x.shape), 0, None, 7):
        assert by_inputs[index] == pytest.approx(central_difference(total, x, index), abs=1e-7)
    if hasattr(layer, "weights"):
        layer.reserve(len(x))
        layer.forward(x, slice(0, len(x)))[1](weighting)
        by_weights = layer.errors.T @ layer.activations
        for index in itertools.islice(np.ndindex(by_weights.shape), 0, None, 5):
            expected = central_difference(total, layer.weights, index)
            assert by_weights[index] == pytest.approx(expected, abs=1e-7)


def convolution(channels, outputs=4, height=6, width=5, **options):
    """A convolution of 3 x 3 with padding 1, unless `options` say otherwise."""
    layer = Convolution("c", outputs, (height, width, channels), F64, **options)
    layer.initialise(np.random.default_rng(3))
    layer.weights[:, -1] = draw(4, outputs)
    return layer


def fully_connected():
    layer = FullyConnected("f", 5, 6 * 5, F64)
    layer.initialise(np.random.default_rng(0))
    return layer


KERNELS = [
    {},
    {"kernel": 5, "padding": 2},
    {"kernel": 5, "padding": 0},
    {"kernel": 2, "padding": 0},
    {"kernel": 1, "padding": 1},
]


@pytest.mark.parametrize("channels", [1, 3])  # stored by inputs, and by samples
@pytest.mark.parametrize("options", KERNELS)
def test_a_convolution_sums_the_products_with_every_pixel_around(channels, options):
    layer = convolution(channels, **options)
    size, edge = options.get("kernel", 3), options.get("padding", 1)
    x = draw(0, 2, 6, 5, channels)
    padded = np.pad(x, ((0, 0), (edge, edge), (edge, edge), (0, 0)))
    kernel = layer.weights[:, :-1].reshape(-1, size, size, channels)
    expected = np.zeros((2, 6 + 2 * edge - size + 1, 5 + 2 * edge - size + 1, 4))
    for image, row, column, output in np.ndindex(expected.shape):
        window = padded[image, row : row + size, column : column + size]
        expected[image, row, column, output] = np.sum(window * kernel[output])
    expected += layer.weights[:, -1]
    assert np.allclose(layer.forward(x)[0], expected, rtol=0, atol=1e-12)
    assert layer.positions == expected[0, ..., 0].size


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("options", KERNELS)
def test_gradients_of_a_convolution(channels, options):
    check_gradients(convolution(channels, **options), draw(0, 2, 6, 5, channels))


def test_samples_of_a_convolution_are_output_positions_image_after_image():
    layer = convolution(3)
    x = draw(0, 2, 6, 5, 3)
    layer.reserve(2)
    y, backward = layer.forward(x, slice(0, 2))
    backward(y)
    assert layer.positions == 30
    assert layer.activations.shape == (60, 28)
    assert layer.errors.shape == (60, 4)
    position = 30 + 2 * 5 + 3  # second image, row 2, column 3
    assert np.array_equal(layer.activations[position, :-1], x[1, 1:4, 2:5].ravel())
    assert layer.activations[position, -1] == 1.0
    assert np.array_equal(layer.errors[position], y[1, 2, 3])


@pytest.mark.parametrize(
    "layer",
    [
        convolution(3, first=True),
        FullyConnected("f", 5, 6 * 5 * 3, F64, first=True),
    ],
)
def test_the_first_layer_skips_the_derivatives_nobody_needs(layer):
    layer.weights[:] = 1.0
    layer.reserve(2)
    y, backward = layer.forward(draw(0, 2, 6, 5, 3), slice(0, 2))
    assert not backward(y).any()
    assert np.array_equal(layer.errors, y.reshape(layer.errors.shape))


@pytest.mark.parametrize(
    ("make", "channels"),
    [(lambda: convolution(1), 1), (lambda: convolution(3), 3), (fully_connected, 1)],
)
def test_parts_of_a_batch_leave_the_samples_of_the_whole(make, channels):
    whole, parts = make(), make()
    x = draw(0, 5, 6, 5, channels)
    for layer, slices in ((whole, [slice(0, 5)]), (parts, [slice(2, 5), slice(0, 2)])):
        layer.reserve(3)
        layer.reserve(5)
        for part in slices:
            y, backward = layer.forward(x[part], part)
            backward(2 * y)
    assert np.array_equal(parts.activations, whole.activations)
    assert np.allclose(parts.errors, whole.errors, rtol=0, atol=1e-12)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_convolution_sums_the_products_of_its_parts_if_asked(channels):
    x = draw(0, 5, 6, 5, channels)
    keeping, summing = convolution(channels), convolution(channels)
    summing.sums_products = True
    # Nothing of the first batch stays in the second, of which no part begins at image 2.
    for images, slices in ((5, [slice(2, 5), slice(0, 2)]), (3, [slice(0, 3)])):
        for layer in (keeping, summing):
            layer.reserve(images)
            for part in slices:
                y, backward = layer.forward(x[part], part)
                backward(2 * y)
        expected = keeping.errors.T @ keeping.activations
        assert np.allclose(summing.product(), expected, rtol=1e-12)


def test_a_layer_that_keeps_errors_sums_no_products():
    layer = convolution(3)
    layer.reserve(2)
    y, backward = layer.forward(draw(0, 2, 6, 5, 3), slice(0, 2))
    backward(y)
    assert layer.product() is None


def test_without_a_part_the_samples_stay_as_they_were():
    layer = convolution(3)
    layer.reserve(2)
    x = draw(0, 2, 6, 5, 3)
    layer.forward(x, slice(0, 2))[1](draw(1, 2, 6, 5, 4))
    activations, errors = layer.activations.copy(), layer.errors.copy()
    y, backward = layer.forward(2 * x[:1])
    backward(y)
    assert np.array_equal(layer.activations, activations)
    assert np.array_equal(layer.errors, errors)


def test_gradients_of_a_fully_connected_layer():
    layer = FullyConnected("f", 5, 12, F64)
    layer.initialise(np.random.default_rng(0))
    check_gradients(layer, draw(0, 3, 2, 2, 3))


def test_initial_weights_have_variance_two_over_inputs_and_biases_are_zero():
    layer = FullyConnected("f", 400, 500, F64)
    layer.initialise(np.random.default_rng(0))
    assert np.var(layer.weights[:, :-1]) == pytest.approx(2 / 500, rel=0.02)
    assert not layer.weights[:, -1].any()


def test_max_pooling_takes_the_largest_of_each_four_pixels():
    x = draw(0, 2, 4, 6, 3)
    expected = x.reshape(2, 2, 2, 3, 2, 3).max(axis=(2, 4))
    assert np.array_equal(MaxPool().forward(x)[0], expected)


def test_gradients_of_max_pooling():
    check_gradients(MaxPool(), draw(0, 2, 4, 6, 3))


def test_of_equal_pixels_only_one_passes_the_error():
    _, backward = MaxPool().forward(np.zeros((1, 4, 4, 2)))
    back = backward(np.ones((1, 2, 2, 2)))
    assert np.array_equal(back.reshape(2, 2, 2, 2, 2).sum(axis=(1, 3)), np.ones((2, 2, 2)))
    assert np.count_nonzero(back) == 8


def test_average_pooling_takes_the_mean_of_each_four_pixels():
    x = draw(0, 2, 4, 6, 3)
    expected = x.reshape(2, 2, 2, 3, 2, 3).mean(axis=(2, 4))
    assert np.allclose(AveragePool().forward(x)[0], expected, rtol=0, atol=1e-12)


def test_gradients_of_average_pooling():
    check_gradients(AveragePool(), draw(0, 2, 4, 6, 3))


def test_gradients_of_relu():
    check_gradients(Relu(), draw(0, 3, 7))


def test_relu_of_zero_passes_no_error():
    _, backward = Relu().forward(np.array([[-1.0, 0.0, 2.0]]))
    assert backward(np.ones((1, 3))).tolist() == [[0.0, 0.0, 1.0]]


def test_softmax_cross_entropy_gives_each_images_loss_and_errors():
    logits, labels = draw(0, 4, 5), np.array([0, 3, 4, 1])
    losses, errors = softmax_cross_entropy(logits, labels)
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert losses == pytest.approx(-np.log(probability[np.arange(4), labels]))

    def total():
        return softmax_cross_entropy(logits, labels)[0].sum()

    for index in np.ndindex(logits.shape):
        derivative = central_difference(total, logits, index)
        assert errors[index] == pytest.approx(derivative, abs=1e-8)


def test_softmax_cross_entropy_survives_large_logits():
    losses, errors = softmax_cross_entropy(np.array([[1e4, 0.0], [0.0, 1e4]]), np.array([0, 0]))
    assert losses.tolist() == [0.0, 1e4]
    assert errors.tolist() == [[0.0, 0.0], [-1.0, 1.0]]
