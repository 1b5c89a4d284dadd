"""Only selected cells see the whole voltage, in the direction of their step."""

import numpy as np
import pytest

from golden_model.half_select import SCHEMES, cell_voltages, downward, select_levels
from golden_model.parameters import Parameters
from golden_model.pulses import UpdatePulses


@pytest.mark.parametrize(
    ("scheme", "half", "unselected"), [("V/2", 1 / 2, 0), ("V/3", 1 / 3, 1 / 3)]
)
@pytest.mark.parametrize("scrambled", [True, False])
def test_voltages_of_cells_are_those_of_the_scheme(scheme, half, unselected, scrambled):
    """Steps up see V, steps down -V; half-selected and unselected cells what the scheme allows."""
    parameters = Parameters.preset("tiny")
    random = np.random.default_rng(1)
    x, delta = (random.integers(-128, 128, (size, 2)).astype(np.float64) for size in (13, 11))
    pulses = UpdatePulses(
        parameters, x, delta, [2.0**-11] * 2, slots_min=3, slots_max=4, scrambled=scrambled, seed=3
    )
    for train in pulses.trains():
        down = downward(len(train.rows) // 4)
        rows, columns = select_levels(train.rows, train.columns, down, scheme)
        voltages = cell_voltages(rows, columns, down)
        fires = (train.rows != 0)[:, :, None], (train.columns != 0)[:, None, :]
        selected = fires[0] & fires[1]
        steps = train.rows[:, :, None] * train.columns[:, None, :]
        assert np.array_equal(voltages[selected], steps[selected])
        np.testing.assert_allclose(np.abs(voltages[fires[0] ^ fires[1]]), half)
        np.testing.assert_allclose(np.abs(voltages[~(fires[0] | fires[1])]), unselected)


def test_without_a_scheme_the_level_pins_rest():
    rows, columns = np.ones((4, 3), np.int8), -np.ones((4, 2), np.int8)
    levels = select_levels(rows, columns, downward(1), SCHEMES[0])
    assert not any(side.any() for side in levels)
