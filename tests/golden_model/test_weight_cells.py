"""Cells of weights: references, pairs, which device the drivers' phases pulse, refresh."""

import numpy as np
import pytest

from golden_model.arrays import Device
from golden_model.devices import DeviceError, LinearStep, Variation
from golden_model.drift import Drift
from golden_model.parameters import Parameters
from golden_model.pulses import UpdatePulses
from golden_model.weight_cells import IdealCells, Refresh

TINY = Parameters.preset("tiny")
SHAPE = (2, TINY.tile_rows, TINY.tile_columns)
ALL = slice(0, 2)
NEVER = Refresh(period=0)


def random(seed=0):
    return np.random.default_rng(seed)


def steps(seed=0, most=3):
    return random(seed).integers(-most, most, SHAPE, endpoint=True).astype(np.float32)


def test_single_constant_steps_are_ideal_devices():
    ideal, constant = IdealCells(64, SHAPE), Device(64, law="constant-step").cells(SHAPE, 0)
    for seed in range(20):
        lost = [cells.pulse(ALL, steps(seed, 12), random()) for cells in (ideal, constant)]
        assert np.array_equal(ideal.read(ALL), constant.read(ALL))
        assert lost[1] <= lost[0]  # a train that a bound cuts short has moved
    assert lost[0] > 0
    assert np.array_equal(ideal.writes[0], constant.writes[0])


@pytest.mark.parametrize(("cell", "gain"), [("pair", 2), ("one-sided-pair", 1)])
def test_a_coincidence_changes_a_pair_by_its_step(cell, gain):
    cells = Device(1024, cell=cell, refresh=NEVER).cells(SHAPE, 0)
    total = np.zeros(SHAPE)
    for seed in range(5):
        total += steps(seed)
        cells.pulse(ALL, steps(seed), random())
    assert cells.step == gain
    assert cells.centred
    assert np.array_equal(cells.read(ALL), gain * total)
    counts = sum(np.abs(steps(seed)) for seed in range(5))
    assert np.array_equal(sum(cells.writes), gain * counts)


@pytest.mark.parametrize("cell", ["pair", "one-sided-pair"])
def test_pairs_answer_the_pins_slot_by_slot(cell):
    """The wiring of docs/devices.md, driven by the slots that the hardware drives."""
    x, delta = (random(s).integers(-128, 127, (8, 2)).astype(np.float64) for s in (1, 2))
    update = {"slots_min": 1, "slots_max": 5, "scrambled": True, "seed": 3}
    kappas = [6 / 2**14, 9 / 2**14]
    top, shape = 5, (1, 8, 8)
    cells = Device(top + 1, cell=cell, refresh=NEVER).cells(shape, 0)
    start = 0.0 if cell == "one-sided-pair" else 3.0
    plus, minus = np.full((8, 8), start), np.full((8, 8), start)
    for train in UpdatePulses(TINY, x, delta, kappas, **update).trains():
        for rows, columns in zip(train.rows.astype(float), train.columns, strict=True):
            up = (rows > 0).any() and (columns > 0).any()
            up |= (rows < 0).any() and (columns < 0).any()
            crossed = np.outer(rows, -columns)  # minus has the pins of its columns swapped
            if cell == "pair":
                plus += np.outer(rows, columns)
                minus += crossed
            elif up:
                plus += np.outer(rows, columns)
            else:
                minus += crossed
            np.clip(plus, 0, top, out=plus)
            np.clip(minus, 0, top, out=minus)
    for part in UpdatePulses(TINY, x, delta, kappas, **update).parts():
        cells.pulse(part.tiles, part.steps, random())
    assert np.array_equal(cells.read(slice(0, 1))[0], plus - minus)
    assert (plus == top).any()


@pytest.mark.parametrize("cell", ["pair", "one-sided-pair"])
@pytest.mark.parametrize("states", [64, 65])
def test_programmed_pairs_read_what_was_asked_for(cell, states):
    cells = Device(states, cell=cell).cells(SHAPE, 0)
    readings = random().integers(-states, states, SHAPE).astype(np.float32)
    cells.program(ALL, readings, random())
    assert np.array_equal(cells.read(ALL), np.clip(readings, 1 - states, states - 1))


def test_a_devices_own_reference_is_where_its_pulses_balance():
    """Pulses of both polarities in turn leave a weight at zero there, and move it elsewhere."""
    device = Device(
        256, law="linear-step", linear=LinearStep(0.3, 0.6), asymmetry=0.1,
        variation=Variation(asymmetry=0.03, low=0.05, high=0.05),
    )  # fmt: skip
    drifts = {}
    for reference in ("middle", "symmetry"):
        cells = Device(**{**vars(device), "reference": reference}).cells(SHAPE, 0)
        zero = 0.0 if cells.centred else cells.readings / 2
        cells.program(ALL, np.full(SHAPE, np.rint(zero), np.float32), random())
        for _ in range(400):
            cells.pulse(ALL, np.ones(SHAPE, np.float32), random())
            cells.pulse(ALL, -np.ones(SHAPE, np.float32), random())
        drifts[reference] = np.abs(cells.read(ALL) - zero).max()
    assert drifts["symmetry"] < 1.5
    assert drifts["middle"] > 20


def saturated(refresh, variation=None):
    """One-sided pairs pulsed 30 up, then 28 down: near both upper bounds of 40."""
    device = Device(
        41, law="constant-step", cell="one-sided-pair", refresh=refresh,
        variation=variation or Variation(),
    )  # fmt: skip
    cells = device.cells(SHAPE, 0)
    for count in (32, -30):
        cells.pulse(ALL, np.full(SHAPE, count, np.float32), random())
    return cells


def test_a_refresh_keeps_the_weight_and_frees_the_range():
    cells = saturated(Refresh(period=1, upper=0.75, lower=0.25))
    cells.end_update([slice(0, 1), slice(1, 2)], random())
    assert np.all(cells.read(ALL) == 2)
    plus, minus = cells.writes
    assert np.all(plus == 32 + 1 + 2)  # pulses, the reset, the difference
    assert np.all(minus == 30 + 1)
    assert cells.pulse(ALL, np.full(SHAPE, 35, np.float32), random()) == 0
    assert np.all(cells.read(ALL) == 37)


@pytest.mark.parametrize(
    "refresh", [NEVER, Refresh(upper=0.85), Refresh(lower=0.75), Refresh(period=2)]
)
def test_no_refresh_below_the_thresholds_or_before_its_time(refresh):
    cells = saturated(refresh)
    cells.end_update([ALL], random())
    assert np.all(cells.writes[0] == 32)
    assert np.all(cells.read(ALL) == 2)


def risen(cell, **refresh):
    """Pairs, both of whose conductances are above 0.75 of the range: steps up are the larger."""
    device = Device(
        41, law="constant-step", cell=cell, asymmetry=0.5, refresh=Refresh(**refresh)
    )  # fmt: skip
    cells, every = device.cells(SHAPE, 0), np.ones(SHAPE, np.float32)
    for _ in range(24):
        for step in (1, -1):
            cells.pulse(ALL, step * every, random())
    return cells


@pytest.mark.parametrize(("cell", "refreshed"), [("pair", False), ("one-sided-pair", True)])
def test_unless_told_otherwise_one_sided_pairs_are_refreshed_and_others_not(cell, refreshed):
    cells = risen(cell)
    before = cells.writes[0].max()
    cells.end_update([ALL], random())
    assert (cells.writes[0].max() > before) == refreshed


def test_pairs_that_move_both_ways_are_written_around_the_middle():
    cells = risen("pair", period=1)
    before = cells.read(ALL)
    cells.end_update([ALL], random())
    state = cells.state()
    assert np.allclose(cells.read(ALL), before, atol=1e-4)
    assert np.allclose(state["plus.conductance"] + state["minus.conductance"], 40, atol=2)


def test_the_period_of_the_refresh_is_in_updates():
    cells = saturated(Refresh(period=3))
    writes = []
    for _ in range(3):
        cells.end_update([ALL], random())
        writes.append(int(cells.writes[0].max()))
    assert writes == [32, 32, 35]


def test_only_pairs_that_need_it_are_refreshed():
    cells = saturated(Refresh())
    more = np.zeros(SHAPE, np.float32)
    more[1] = 1
    cells.program(ALL, 5 * more, random())
    before = [writes.copy() for writes in cells.writes]
    for count in (32, -30):
        cells.pulse(ALL, count * more, random())
    cells.end_update([ALL], random())
    assert np.array_equal(cells.writes[0][0], before[0][0])
    assert np.all(cells.writes[0][1] > before[0][1])


@pytest.mark.parametrize("cell", ["single", "pair", "one-sided-pair"])
def test_restored_cells_go_on_to_the_same_bits(cell):
    device = Device(
        64, law="soft-bounds", cell=cell, refresh=Refresh(period=3, upper=0.4, lower=0.1),
        variation=Variation(steps=0.1, cycles=0.5, write=0.02, stuck=0.05),
        drift=Drift(exponent=0.05, spread=0.01, interval=1.0),
    )  # fmt: skip

    def updates(cells, seeds):
        for seed in seeds:
            cells.pulse(ALL, steps(seed, 9), random(seed))
            cells.end_update([ALL], random([seed, 1]))

    whole, first, second = (device.cells(SHAPE, 3) for _ in range(3))
    updates(whole, range(8))
    updates(first, range(4))
    second.restore(first.state())
    updates(second, range(4, 8))
    assert np.array_equal(second.read(ALL), whole.read(ALL))
    for one, other in zip(second.writes, whole.writes, strict=True):
        assert np.array_equal(one, other)


def test_the_devices_of_a_pair_differ():
    device = Device(64, law="constant-step", cell="pair", variation=Variation(steps=0.3))
    cells = device.cells(SHAPE, 0)
    cells.pulse(ALL, np.full(SHAPE, 4, np.float32), random())
    state = cells.state()
    up, down = state["plus.conductance"] - 32, 32 - state["minus.conductance"]
    assert np.std(up - down) > 0.5


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"period": -1}, "Refresh: period = -1 must be an integer of at least 0 updates"),
        ({"period": 1.5}, "Refresh: period = 1.5 must be an integer"),
        ({"lower": 0.8}, "Refresh: lower = 0.8 and upper = 0.75 must be from 0 to 1"),
        ({"upper": 1.5}, "lower not above upper"),
    ],
)
def test_values_out_of_range_are_refused(values, message):
    with pytest.raises(DeviceError, match=message):
        Refresh(**values)
