"""The digital twin behind the update driver, on Verilator, against the golden model."""

from dataclasses import replace

import numpy as np
import pytest

from golden_model import scalar
from golden_model.parameters import Parameters
from golden_model.pulses import UpdatePulses
from golden_model.twin import Law, TwinArray, TwinSpec
from sim.runner import run
from tests.sim.twin_bench import Group, Job, Update
from tests.sim.twin_harness import build_harness

PARAMETERS = replace(Parameters.preset("tiny"), columns=1, max_n=16, max_m=8)
SPEC = TwinSpec(
    rows=8,
    columns=8,
    grid_rows=2,
    cells_per_cycle=4,
    law=Law.SOFT_BOUNDS,
    step_spread=0.3,
    asymmetry_spread=0.1,
)


def random_group(random, updates):
    """Random factors of a random shape, and updates with pulses of random sizes and signs."""
    n = int(random.integers(1, PARAMETERS.max_n + 1))
    m = int(random.integers(1, PARAMETERS.max_m + 1))
    x, delta = (random.integers(-128, 128, lines).astype(np.float64) for lines in (n, m))
    return Group(
        x,
        delta,
        [
            Update(
                kappa=scalar.round_scalar(float(random.uniform(0.1, 8)) / 2**14),
                slots_max=int(random.integers(0, 4)),
                scrambled=bool(random.integers(2)),
                seed=int(random.integers(2**32)),
            )
            for _ in range(updates)
        ],
    )


def expected(job):
    """The conductances of the golden twin after each group."""
    array = TwinArray(SPEC)
    array.draw(job.seed)
    result = []
    for group in job.groups:
        steps = np.zeros(array.conductance.shape)
        for update in group.updates:
            pulses = UpdatePulses(
                PARAMETERS,
                group.x[:, None],
                group.delta[:, None],
                [update.kappa],
                slots_min=0,
                slots_max=update.slots_max,
                scrambled=update.scrambled,
                seed=update.seed,
            )
            (rank,) = pulses.ranks()
            steps = np.zeros(array.conductance.shape)
            steps[: len(rank.steps)] = rank.steps
            array.pulse(steps)
        result.append(array.conductance.ravel().tolist())
    return result


@pytest.mark.nightly
def test_conductances_after_ten_thousand_random_updates():
    random = np.random.default_rng(0)
    groups = [random_group(random, 100) for _ in range(100)]
    job = Job(PARAMETERS, seed=3, cells=SPEC.tiles * SPEC.rows * SPEC.columns, groups=groups)
    answer = run(build_harness(PARAMETERS, SPEC), "tests.sim.twin_bench", job)
    assert answer == expected(job)
    assert np.unique(answer[-1]).size > 50
