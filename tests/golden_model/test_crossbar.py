"""Crossbars of ideal bounded devices: pulses, bounds, programming and the rate of updates."""

import tracemalloc
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden_model import scalar
from golden_model.arrays import Device
from golden_model.crossbar import Crossbar, CrossbarTile, Writes, update_rate
from golden_model.devices import Variation
from golden_model.parameters import Parameters
from golden_model.pulses import CHUNK_CELLS, UpdatePulses

TINY = Parameters.preset("tiny")


def test_equal_polarities_step_up_and_opposite_ones_down():
    tile = CrossbarTile(np.full((2, 3), 5, dtype=np.float32), 11)
    tile.apply([1, 0], [0, 1], [1, 0, 0], [0, 1, 0])
    assert tile.conductance.tolist() == [[6, 4, 5], [4, 6, 5]]


def test_conductances_stay_within_their_bounds():
    tile = CrossbarTile(np.array([[0, 9, 5]], dtype=np.float32), 10)
    for _ in range(4):
        tile.apply([1], [0], [0, 1, 1], [1, 0, 0])
    assert tile.conductance.tolist() == [[0, 9, 9]]


def test_a_line_driven_with_both_polarities_is_refused():
    tile = CrossbarTile(np.zeros((2, 2), dtype=np.float32), 4)
    with pytest.raises(ValueError, match="both polarities drive row line 1"):
        tile.apply([0, 1], [0, 1], [0, 0], [0, 0])
    with pytest.raises(ValueError, match="both polarities drive column line 0"):
        tile.apply([0, 0], [0, 0], [1, 0], [1, 0])


@given(
    seed=st.integers(0, 2**32 - 1),
    m=st.integers(1, 20),
    n=st.integers(1, 20),
    k=st.integers(1, 3),
    states=st.integers(2, 40),
    scrambled=st.booleans(),
)
def test_an_update_equals_its_pulses_slot_by_slot(seed, m, n, k, states, scrambled):
    random = np.random.default_rng(seed)
    x = random.integers(-128, 127, (n, k), endpoint=True).astype(np.float64)
    delta = random.integers(-128, 127, (m, k), endpoint=True).astype(np.float64)
    kappas = [scalar.round_scalar(random.uniform(0, 12) / 2**14) for _ in range(k)]
    counted, pulsed = (Crossbar(TINY, m, n, 1.0, states) for _ in range(2))
    weights = random.uniform(-1, 1, (m, n))
    counted.program(weights)
    pulsed.program(weights)
    settings = {"slots_min": 1, "slots_max": 5, "scrambled": scrambled, "seed": seed}

    report = counted.update(x, delta, kappas, **settings)
    pulses = coincidences = 0
    for train in UpdatePulses(TINY, x, delta, kappas, **settings).trains():
        tile = pulsed.tile(train.tile_row, train.tile_column)
        for row, column in zip(train.rows, train.columns, strict=True):
            tile.apply(row > 0, row < 0, column > 0, column < 0)
            pulses += np.count_nonzero(row) + np.count_nonzero(column)
            coincidences += np.count_nonzero(row) * np.count_nonzero(column)
    assert np.array_equal(counted.weights, pulsed.weights)
    assert (report.pulses, report.coincidences) == (pulses, coincidences)
    assert 0 <= report.bounded <= report.coincidences


def test_an_update_descends_the_gradient():
    """A rank of ones: every weight falls by as many steps as kappa says, slots and clips follow."""
    crossbar = Crossbar(TINY, 9, 11, 1.0, 201)
    x = np.full((11, 1), -128.0)
    delta = np.full((9, 1), 128.0)
    report = crossbar.update(
        x, delta, [8 / 2**14], slots_min=0, slots_max=6, scrambled=True, seed=3
    )
    assert np.allclose(crossbar.weights, 8 * crossbar.device_step)
    assert report.slots == [16]
    assert report.coincidences == 8 * 99
    assert (report.clips, report.bounded) == (0, 0)

    report = crossbar.update(
        x, delta, [8 / 2**14], slots_min=0, slots_max=2, scrambled=True, seed=3
    )
    assert np.allclose(crossbar.weights, 12 * crossbar.device_step)
    assert (report.slots, report.clips) == ([4], 9)


def test_steps_beyond_a_bound_are_reported():
    crossbar = Crossbar(TINY, 1, 1, 1.0, 5)
    one = np.full((1, 1), 128.0)
    report = crossbar.update(
        one, -one, [16 / 2**14], slots_min=4, slots_max=4, scrambled=True, seed=0
    )
    assert crossbar.weights.tolist() == [[1.0]]
    assert (report.coincidences, report.bounded) == (16, 14)


def test_a_rank_of_zero_rate_takes_no_pulses():
    crossbar = Crossbar(TINY, 4, 4, 1.0, 11)
    before = crossbar.weights
    report = crossbar.update(
        np.full((4, 2), 100.0),
        np.full((4, 2), 100.0),
        [0.0, 0.0],
        slots_min=3,
        slots_max=6,
        scrambled=False,
        seed=1,
    )
    assert np.array_equal(crossbar.weights, before)
    assert (report.slots, report.pulses, report.coincidences) == ([0, 0], 0, 0)


@given(st.integers(1, 20), st.integers(1, 20), st.integers(2, 1000), st.integers(0, 2**32 - 1))
def test_programmed_weights_are_the_nearest_states(m, n, states, seed):
    crossbar = Crossbar(TINY, m, n, 0.5, states)
    weights = np.random.default_rng(seed).uniform(-0.6, 0.6, (m, n))
    crossbar.program(weights)
    limited = np.clip(weights, -0.5, 0.5)
    assert crossbar.weights.shape == (m, n)
    assert np.abs(crossbar.weights - limited).max() <= crossbar.device_step / 2 + 1e-12


@pytest.mark.parametrize("cell", ["single", "pair", "one-sided-pair"])
@pytest.mark.parametrize("reference", ["middle", "symmetry"])
def test_programmed_weights_of_other_cells_are_the_nearest_states(cell, reference):
    device = Device(101, law="soft-bounds", cell=cell, reference=reference)
    crossbar = Crossbar(TINY, 13, 9, 0.5, 101, partial(device.cells, seed=0))
    weights = np.random.default_rng(0).uniform(-0.6, 0.6, (13, 9))
    crossbar.program(weights)
    assert np.abs(crossbar.weights - np.clip(weights, -0.5, 0.5)).max() <= 0.5 / 100 + 1e-6


def test_an_update_descends_as_much_whatever_the_cells():
    """RATE counts on `device_step`: what a coincidence changes a weight by."""
    changes = []
    for cell in ("single", "pair", "one-sided-pair"):
        device = Device(2001, law="constant-step", cell=cell)
        crossbar = Crossbar(TINY, 9, 11, 1.0, 2001, partial(device.cells, seed=0))
        kappa = scalar.round_scalar(0.01 / crossbar.device_step / 2**14)
        crossbar.update(
            np.full((11, 1), -128.0), np.full((9, 1), 128.0), [kappa],
            slots_min=0, slots_max=6, scrambled=True, seed=3,
        )  # fmt: skip
        changes.append(crossbar.weights)
    assert np.allclose(changes, 0.01, atol=1e-6)


@given(seed=st.integers(0, 2**32 - 1), states=st.integers(2, 40), scrambled=st.booleans())
def test_writes_are_the_coincidences_that_each_cell_sees(seed, states, scrambled):
    random = np.random.default_rng(seed)
    crossbar = Crossbar(TINY, 13, 9, 1.0, states)
    counts = np.zeros((2, 2, 8, 8))
    settings = {"slots_min": 1, "slots_max": 5, "scrambled": scrambled}
    for update in range(3):
        x = random.integers(-128, 127, (9, 2), endpoint=True).astype(np.float64)
        delta = random.integers(-128, 127, (13, 2), endpoint=True).astype(np.float64)
        crossbar.update(x, delta, [7 / 2**14] * 2, **settings, seed=update)
        for train in UpdatePulses(
            TINY, x, delta, [7 / 2**14] * 2, **settings, seed=update
        ).trains():
            both = np.abs(train.rows.astype(int)).T @ np.abs(train.columns)
            counts[train.tile_row, train.tile_column] += both
    writes = crossbar.writes
    assert (writes.worst, writes.total) == (counts.max(), counts.sum())
    assert writes.devices == 13 * 9


def test_the_programming_that_a_training_starts_from_is_not_counted():
    crossbar = Crossbar(TINY, 3, 4, 1.0, 11)
    crossbar.program(np.full((3, 4), 0.6))
    assert crossbar.writes == Writes(0, 0, 12)


@pytest.mark.parametrize(
    "device",
    [None, Device(law="soft-bounds", variation=Variation(steps=0.1, cycles=0.3)),
     *(Device.preset(name) for name in ("rram", "pcm", "ecram"))],
)  # fmt: skip
def test_an_update_takes_bounded_memory_beside_the_state(device):
    """docs/devices.md states 64 MB, whatever the layer; here the state is 4 MB an array."""
    parameters, size = Parameters.preset("default"), 1024
    states = 1024 if device is None else device.states
    cells = None if device is None else partial(device.cells, seed=0)
    crossbar = Crossbar(parameters, size, size, 1.0, states, cells)
    random = np.random.default_rng(0)
    x, delta = (random.integers(-32768, 32767, (size, 1)).astype(np.float64) for _ in range(2))
    weights = np.empty((size, size), np.float32)
    tracemalloc.start()
    try:
        crossbar.update(x, delta, [8 / 2**30], slots_min=0, slots_max=3, scrambled=True, seed=0)
        crossbar.read(weights)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 32 * CHUNK_CELLS * 4 <= 64e6


def test_other_devices_have_no_tiles_to_pulse_slot_by_slot():
    device = Device(11, law="soft-bounds")
    with pytest.raises(TypeError, match="only ideal devices"):
        Crossbar(TINY, 3, 4, 1.0, 11, partial(device.cells, seed=0)).tile(0, 0)


def test_a_checkpoint_restores_the_weights():
    random = np.random.default_rng(0)
    crossbar, other = (Crossbar(TINY, 13, 9, 1.0, 100) for _ in range(2))
    crossbar.program(random.uniform(-1, 1, (13, 9)))
    saved = crossbar.state()
    other.restore(saved)
    assert np.array_equal(crossbar.weights, other.weights)
    assert crossbar.writes == other.writes
    crossbar.program(np.zeros((13, 9)))
    assert not np.array_equal(crossbar.weights, other.weights)


def test_the_rate_turns_learning_rate_and_exponents_into_steps():
    """One sample, a = 0.5 and d = 0.25 as words of 8 bits: the weight falls by 0.1 * a * d."""
    rate = update_rate(0.1, exponent=-6 - 7, weighed=1, device_step=0.001)
    assert rate * 32 * 32 == pytest.approx(0.1 * 0.5 * 0.25 / 0.001, rel=2**-17)
    assert scalar.round_scalar(rate) == rate


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 4, 1.0, 10), "both must be at least 1"),
        ((4, 4, 1.0, 1), "from 2 to"),
        ((4, 4, 0.0, 10), "above 0"),
        ((4, 4, float("inf"), 10), "finite"),
    ],
)
def test_impossible_crossbars_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Crossbar(TINY, *arguments)


def test_weights_and_factors_of_another_shape_are_refused():
    crossbar = Crossbar(TINY, 3, 4, 1.0, 10)
    with pytest.raises(ValueError, match=r"shape \(4, 3\)"):
        crossbar.program(np.zeros((4, 3)))
    with pytest.raises(ValueError, match="4 inputs and 4 outputs for a crossbar of 4 inputs and 3"):
        crossbar.update(
            np.zeros((4, 1)),
            np.zeros((4, 1)),
            [0.0],
            slots_min=0,
            slots_max=4,
            scrambled=True,
            seed=0,
        )


@pytest.mark.parametrize("cell", [None, "single", "pair", "one-sided-pair"])
@pytest.mark.parametrize("reference", ["middle", "symmetry"])
def test_reads_sense_the_cells_that_make_the_weights(cell, reference):
    device = Device(64, law="soft-bounds", cell=cell or "single", reference=reference)
    cells = None if cell is None else partial(device.cells, seed=0)
    crossbar = Crossbar(TINY, 13, 9, 0.5, 64, cells)
    crossbar.program(np.random.default_rng(0).uniform(-0.6, 0.6, (13, 9)))
    signed, unit = crossbar.signed_cells
    assert np.allclose(signed * unit, crossbar.weights, atol=1e-6)
    assert np.abs(signed).max() <= crossbar.largest_cell + 1e-3


@pytest.mark.parametrize("cell", ["single", "pair", "one-sided-pair"])
def test_cells_stepped_one_by_one_change_as_by_coincidences(cell):
    device = Device(64, law="constant-step", cell=cell)
    crossbar = Crossbar(TINY, 13, 9, 0.5, 64, partial(device.cells, seed=0))
    before = crossbar.weights
    steps = np.random.default_rng(0).integers(-3, 4, (13, 9)).astype(np.float32)
    assert crossbar.step(steps, seed=0) == 0
    assert np.allclose(crossbar.weights - before, steps * crossbar.device_step, atol=1e-6)
    assert crossbar.writes.total == np.abs(steps).sum() * (2 if cell == "pair" else 1)
