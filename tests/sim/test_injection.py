"""Whatever interrupts a run, in any phase: the host sees it, lines idle, the next is exact."""

import pytest

from golden_model.parameters import Parameters
from sim.cosim import build_accelerator, random_batches
from sim.injection_bench import BATCH_PHASES, INTERRUPTIONS, READ_PHASES
from sim.job import Job
from sim.read_cosim import random_reads
from sim.runner import run

pytestmark = pytest.mark.xdist_group("simulation")  # one worker builds, once


TIMES = pytest.mark.parametrize("times", [1, pytest.param(8, marks=pytest.mark.nightly)])


def missed(met, phases, times):
    """Which interruptions met which phases too few times."""
    wanted = (f"{kind} in {phase}" for kind in INTERRUPTIONS for phase in phases)
    return [name for name in wanted if met.get(name, 0) < times]


@TIMES
def test_every_interruption_in_every_phase_of_a_batch(times):
    parameters = Parameters.preset("tiny")
    batches = random_batches(parameters, (11, 13, 3, 6), 3, 1, "gaussian", 1, update=True)
    built = build_accelerator(parameters, "verilator")
    job = Job(parameters, batches, seed=times), times
    met = run(built, "sim.injection_bench", job, "interruptions")
    assert missed(met, BATCH_PHASES, times) == []


@TIMES
def test_every_interruption_in_every_phase_of_reads(times):
    parameters = Parameters.preset("tiny")
    runs = random_reads(parameters, ((11, 13),), 3, seed=1, dac_bits=3)
    batches = random_batches(parameters, (5, 6, 2, 2), 1, 1, "gaussian", 1, update=True)
    built = build_accelerator(parameters, "verilator")
    job = Job(parameters, batches, seed=times, reads=runs), times
    met = run(built, "sim.injection_bench", job, "interrupted_reads")
    assert missed(met, READ_PHASES, times) == []
    assert times == 1 or met["codes after a reset"]
