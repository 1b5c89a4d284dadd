"""Whatever interrupts a run, in any phase: the host sees it, lines idle, the next is exact."""

import pytest

from golden_model.parameters import Parameters
from hdl.sequencer import Phase
from sim.cosim import build_accelerator, random_batches
from sim.injection_bench import INTERRUPTIONS
from sim.job import Job
from sim.runner import run

pytestmark = pytest.mark.xdist_group("simulation")  # one worker builds, once


@pytest.mark.parametrize("times", [1, pytest.param(8, marks=pytest.mark.nightly)])
def test_every_interruption_in_every_phase_of_a_batch(times):
    parameters = Parameters.preset("tiny")
    batches = random_batches(parameters, (11, 13, 3, 6), 3, 1, "gaussian", 1, update=True)
    built = build_accelerator(parameters, "verilator")
    job = Job(parameters, batches, seed=times), times
    met = run(built, "sim.injection_bench", job, "interruptions")
    phases = [name for name in Phase.__members__ if name != "READ"]
    missed = [
        f"{kind} in {phase}"
        for kind in INTERRUPTIONS
        for phase in phases
        if met.get(f"{kind} in {phase}", 0) < times
    ]
    assert missed == []
