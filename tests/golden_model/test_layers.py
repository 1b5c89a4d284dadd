"""Layers: outputs against plain definitions, gradients against finite differences."""

import itertools

import numpy as np
import pytest

from golden_model.layers import (
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
    weighting = draw(seed, *layer.forward(x).shape)

    def total():
        return float(np.sum(weighting * layer.forward(x)))

    layer.forward(x)
    by_inputs = layer.backward(weighting).copy()
    assert by_inputs.shape == x.shape
    for index in itertools.islice(np.ndindex(x.shape), 0, None, 7):
        assert by_inputs[index] == pytest.approx(central_difference(total, x, index), abs=1e-7)
    if hasattr(layer, "weights"):
        layer.forward(x)
        layer.backward(weighting)
        by_weights = layer.errors.T @ layer.activations
        for index in itertools.islice(np.ndindex(by_weights.shape), 0, None, 5):
            expected = central_difference(total, layer.weights, index)
            assert by_weights[index] == pytest.approx(expected, abs=1e-7)


def convolution(channels, outputs=4, height=6, width=5, **options):
    layer = Convolution("c", outputs, (height, width, channels), F64, **options)
    layer.initialise(np.random.default_rng(3))
    layer.weights[:, -1] = draw(4, outputs)
    return layer


@pytest.mark.parametrize("channels", [1, 3])  # stored by inputs, and by samples
def test_a_convolution_sums_the_products_with_every_pixel_around(channels):
    layer = convolution(channels)
    x = draw(0, 2, 6, 5, channels)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    kernel = layer.weights[:, :-1].reshape(-1, 3, 3, channels)
    expected = np.zeros((2, 6, 5, 4))
    for image, row, column, output in np.ndindex(expected.shape):
        window = padded[image, row : row + 3, column : column + 3]
        expected[image, row, column, output] = np.sum(window * kernel[output])
    expected += layer.weights[:, -1]
    assert np.allclose(layer.forward(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("channels", [1, 3])
def test_gradients_of_a_convolution(channels):
    check_gradients(convolution(channels), draw(0, 2, 6, 5, channels))


def test_samples_of_a_convolution_are_output_positions_image_after_image():
    layer = convolution(3)
    x = draw(0, 2, 6, 5, 3)
    y = layer.forward(x)
    layer.backward(y)
    assert layer.positions == 30
    assert layer.activations.shape == (60, 28)
    assert layer.errors.shape == (60, 4)
    position = 30 + 2 * 5 + 3  # second image, row 2, column 3
    assert np.array_equal(layer.activations[position, :-1], x[1, 1:4, 2:5].ravel())
    assert layer.activations[position, -1] == 1.0
    assert np.array_equal(layer.errors[position], y[1, 2, 3])


def test_the_first_convolution_skips_the_derivatives_nobody_needs():
    layer = convolution(3, first=True)
    y = layer.forward(draw(0, 2, 6, 5, 3))
    assert not layer.backward(y).any()
    assert np.array_equal(layer.errors, y.reshape(60, 4))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_convolution_takes_batches_of_changing_size(channels):
    layer = convolution(channels)
    x = draw(0, 3, 6, 5, channels)
    whole = layer.forward(x).copy()
    assert np.allclose(layer.forward(x[:1]), whole[:1], rtol=0, atol=1e-12)
    assert np.allclose(layer.forward(x), whole, rtol=0, atol=1e-12)


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
    assert np.array_equal(MaxPool().forward(x), expected)


def test_gradients_of_max_pooling():
    check_gradients(MaxPool(), draw(0, 2, 4, 6, 3))


def test_of_equal_pixels_only_one_passes_the_error():
    layer = MaxPool()
    layer.forward(np.zeros((1, 4, 4, 2)))
    back = layer.backward(np.ones((1, 2, 2, 2)))
    assert np.array_equal(back.reshape(2, 2, 2, 2, 2).sum(axis=(1, 3)), np.ones((2, 2, 2)))
    assert np.count_nonzero(back) == 8


def test_gradients_of_relu():
    check_gradients(Relu(), draw(0, 3, 7))


def test_relu_of_zero_passes_no_error():
    layer = Relu()
    layer.forward(np.array([[-1.0, 0.0, 2.0]]))
    assert layer.backward(np.ones((1, 3))).tolist() == [[0.0, 0.0, 1.0]]


def test_softmax_cross_entropy_gives_mean_loss_and_each_images_own_errors():
    logits, labels = draw(0, 4, 5), np.array([0, 3, 4, 1])
    loss, errors = softmax_cross_entropy(logits, labels)
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert loss == pytest.approx(-np.mean(np.log(probability[np.arange(4), labels])))
    for index in np.ndindex(logits.shape):
        mean = central_difference(lambda: softmax_cross_entropy(logits, labels)[0], logits, index)
        assert errors[index] / 4 == pytest.approx(mean, abs=1e-8)


def test_softmax_cross_entropy_survives_large_logits():
    loss, errors = softmax_cross_entropy(np.array([[1e4, 0.0], [0.0, 1e4]]), np.array([0, 0]))
    assert loss == pytest.approx(5e3)
    assert errors.tolist() == [[0.0, 0.0], [-1.0, 1.0]]
