"""Reads of layers: both directions, what is driven and counted, noise by place, retries."""

import numpy as np
import pytest

from golden_model import layer_reads, layers
from golden_model.layer_reads import LayerReads, ReadCounters
from golden_model.layers import Convolution, FullyConnected
from golden_model.parameters import Parameters
from golden_model.reads import Reads

PARAMETERS = Parameters(tile_rows=16, tile_columns=16, grid_rows=128, grid_columns=16)
PRECISE = {"dac_bits": 16, "adc_bits": 24, "sum_bits": 40, "output_bound": 64.0}


def cells(m, n, states=256, seed=0):
    return (2 * np.random.default_rng(seed).integers(0, states, (m, n)) - (states - 1)).astype(
        np.float32
    )


def layer_reads_of(matrix, unit=0.01, seed=(0, 0), **settings):
    reads = LayerReads(Reads("analog", **settings), PARAMETERS, 255, seed)
    reads.load(matrix, unit)
    reads.begin([0])
    return reads


def vectors(count, size, seed=1):
    return np.random.default_rng(seed).normal(size=(count, size)).astype(np.float32)


def test_a_transposed_read_is_the_forward_read_of_the_transpose():
    matrix = cells(40, 51)
    errors = vectors(30, 40)
    inputs = layer_reads_of(matrix).transposed(errors.copy(), 0)
    forward = layer_reads_of(np.ascontiguousarray(matrix.T)).forward(errors.copy(), 0)
    assert np.array_equal(inputs, forward[:, :-1])


@pytest.mark.parametrize("encoding", ["pulse-width", "bit-serial"])
def test_reads_of_many_bits_are_the_products(encoding):
    matrix, activations, errors = cells(40, 51), vectors(30, 51), vectors(30, 40)
    reads = layer_reads_of(matrix, 0.01, **PRECISE, encoding=encoding)
    weights = 0.01 * matrix.astype(np.float64)
    expected, back = activations @ weights.T, errors @ weights[:, :-1]
    forward, transposed = reads.forward(activations, 0), reads.transposed(errors, 0)
    assert np.abs(forward - expected).max() < 1e-3 * np.abs(expected).max()
    assert np.abs(transposed - back).max() < 1e-3 * np.abs(back).max()


def test_the_digital_side_has_what_the_dacs_drove():
    reads = layer_reads_of(cells(40, 51), dac_bits=4)
    activations, errors = vectors(30, 51), vectors(30, 40)
    driven, alike = activations.copy(), errors.copy()
    reads.forward(driven, 0)
    assert len(np.unique(driven[0])) <= 15
    assert 0 < np.abs(driven - activations).max() <= np.abs(activations).max() / 7
    reads.drive(alike)
    reads.transposed(errors, 0)
    assert np.array_equal(alike, errors)


def test_chunks_change_no_bit(monkeypatch):
    matrix, activations = cells(40, 51), vectors(30, 51)
    whole = layer_reads_of(matrix).forward(activations.copy(), 0)
    monkeypatch.setattr(layer_reads, "_CHUNK", 7 * 91)
    assert np.array_equal(layer_reads_of(matrix).forward(activations.copy(), 0), whole)


def test_noise_depends_on_seed_step_direction_and_place_only():
    matrix, activations = cells(40, 41), vectors(30, 41)
    noisy = {"output_noise": 0.5}

    def read(seed=(0, 0), step=(0,), place=0, direction="forward"):
        reads = layer_reads_of(matrix, seed=seed, **noisy)
        reads.begin(step)
        reads.forward(activations.copy(), 99)  # what was read before does not matter
        if direction == "forward":
            return reads.forward(activations.copy(), place)
        return reads.transposed(activations[:, :-1].copy(), place)

    assert np.array_equal(read(), read())
    others = [read(seed=(0, 1)), read(step=(1,)), read(place=3)]
    assert not any(np.array_equal(read(), other) for other in others)
    forward, transposed = read(), read(direction="transposed")
    exact = layer_reads_of(matrix)
    noise = forward - exact.forward(activations.copy(), 0)
    back = transposed - exact.transposed(activations[:, :-1].copy(), 0)
    assert abs(np.corrcoef(noise.ravel(), back.ravel())[0, 1]) < 0.1


def test_what_saturates_is_read_again_with_half_the_codes():
    matrix = np.full((3, 15), 255, np.float32)
    rows = np.full((2, 15), 127, np.float32)
    rows[1, 7:] = 0  # sums of 15 and of 7 full inputs and cells
    once = layer_reads_of(matrix, 1.0, output_bound=8.0)
    limit = once.forward(rows.copy(), 0)
    assert once.counted() == ReadCounters(adc_saturations=3)
    again = layer_reads_of(matrix, 1.0, output_bound=8.0, retries=2)
    read = again.forward(rows.copy(), 0)
    assert again.counted() == ReadCounters(adc_saturations=3, repeated_forward=1)
    assert again.counted() == ReadCounters()
    exact = rows @ matrix.T
    assert limit[0, 0] < 0.6 * exact[0, 0]
    assert np.abs(read / exact - 1).max() < 0.02
    assert np.array_equal(read[1], limit[1])


def test_transposed_reads_are_counted_as_such():
    reads = layer_reads_of(np.full((15, 3), 255, np.float32), 1.0, output_bound=8.0, retries=1)
    reads.transposed(np.full((5, 15), 127, np.float32), 0)
    assert reads.counted() == ReadCounters(adc_saturations=10, repeated_transposed=5)


def with_reads(layer, seed=0):
    """`layer` behind precise reads of whole cells, and the same weights."""
    matrix = cells(*layer.weights.shape, seed=seed)
    layer.weights[:] = 0.01 * matrix
    layer.reads = layer_reads_of(matrix, **PRECISE)
    return layer


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("kind", ["convolution", "fully connected"])
def test_a_layer_through_precise_reads_is_the_layer(kind, first, monkeypatch):
    monkeypatch.setattr(layers, "READ_BACK_VALUES", 2 * 63 * 28)  # two images at a time
    if kind == "convolution":
        layer = Convolution("c", 5, (7, 9, 3), np.dtype(np.float32), first=first)
        x, shape = vectors(5, 7 * 9 * 3).reshape(5, 7, 9, 3), (5, 7, 9, 5)
    else:
        layer = FullyConnected("f", 20, 30, np.dtype(np.float32), first=first)
        x, shape = vectors(5, 30), (5, 20)
    errors = vectors(shape[0], int(np.prod(shape[1:])), seed=2).reshape(shape)
    results = []
    for analog in (True, False):
        layer = with_reads(layer)
        if not analog:
            layer.reads = None
        layer.reserve(5)
        y, backward = layer.forward(x, slice(0, 5))
        results.append((y, backward(errors), layer.activations.copy(), layer.errors.copy()))
    for analog, exact in zip(*results, strict=True):
        assert analog.shape == exact.shape
        assert np.abs(analog - exact).max() <= 1e-3 * np.abs(exact).max()


def test_testing_keeps_no_samples_but_has_its_place():
    layer = FullyConnected("f", 20, 30, np.dtype(np.float32))
    layer.reads = layer_reads_of(cells(20, 31), output_noise=0.5)
    layer.reserve(5)
    layer.activations[:] = 7
    x = vectors(5, 30)
    outputs = [layer.forward(x, slice(place, place + 5), keep=False)[0] for place in (0, 0, 5)]
    assert (layer.activations == 7).all()
    assert np.array_equal(outputs[0], outputs[1])
    assert not np.array_equal(outputs[0], outputs[2])
