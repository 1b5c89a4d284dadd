"""The generated Verilog equals the golden model, through its AXI ports and driver pins."""

import shutil

import numpy as np
import pytest

from golden_model import datasets
from golden_model.cost import batch_steps, ideal_batch_cycles
from golden_model.fixed import FixedSbpca, run_batch
from golden_model.training import LayerSample
from golden_model.training_settings import TrainingSettings
from hdl.timing import block_cycles
from sim.cosim import (
    BENCH,
    DATA,
    build_accelerator,
    cosimulate,
    layer_batches,
    random_batches,
    training_batches,
)
from sim.job import Job
from sim.runner import run

pytestmark = pytest.mark.xdist_group("simulation")  # one worker builds, once

SEED = 8  # at which words saturate

SIMULATORS = [
    "verilator",
    pytest.param(
        "icarus",
        marks=pytest.mark.skipif(not shutil.which("iverilog"), reason="Icarus is not installed"),
    ),
]


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_every_kind_of_data_in_runs_of_changing_dimensions(accelerator, simulator, stall):
    batches = [
        batch
        for shape in ((13, 21, 2, 5), (13, 9, 5, 7), (5, 40, 1, 9))
        for batch in random_batches(accelerator, shape, 3, len(DATA), "mixed", SEED, update=True)
    ]
    results = cosimulate(accelerator, batches, simulator, stall=stall, seed=2)
    assert [batch["first_mismatches"] for batch in results["batches"]] == [[]] * len(batches)
    assert results["mismatches"] == 0
    assert results["values_compared"] > 10_000
    assert results["pulses"] > 0
    assert results["clips"] > 0
    assert results["saturations"] > 0


@pytest.mark.parametrize(
    "shape",
    [(128, 160, 2, 40), (40, 40, 1, 30), (61, 37, 3, 24), (128, 97, 5, 20), (30, 160, 6, 36)],
)
def test_a_further_block_takes_the_cycles_of_its_schedule(accelerator, shape):
    batches = [
        batch
        for count in (2, 3)
        for batch in random_batches(accelerator, shape, count, 1, "gaussian", SEED, update=False)
    ]
    few, more = cosimulate(accelerator, batches, "verilator")["batches"]
    assert more["mismatches"] == few["mismatches"] == 0
    assert more["cycles"] - few["cycles"] == block_cycles(accelerator, *shape)


def test_successive_training_batches_of_every_layer(accelerator):
    settings = TrainingSettings(dataset="digits", rank=2, batch=8, parameters=accelerator)
    batches = training_batches(settings, datasets.load("digits"), 3, 2, update=True)
    results = cosimulate(accelerator, batches, "verilator")
    assert [batch.name for batch in batches[:3]] == ["conv1 0", "conv1 1", "conv2 0"]
    assert all(batch["pulses"] for batch in results["batches"])
    assert results["mismatches"] == 0


def test_replayed_batches_are_those_of_the_golden_optimiser(accelerator):
    random = np.random.default_rng(3)
    samples = [
        LayerSample("layer", random.normal(size=(count, 12)), random.normal(size=(count, 7)) * size,
                    count, rank=2, block=6)
        for count, size in ((20, 1.0), (20, 1e-3), (4, 0.1))
    ]  # fmt: skip
    factoriser, state = FixedSbpca(accelerator, 7, 12, 2, seed=5), None
    for sample, batch in zip(
        samples, layer_batches(accelerator, samples, 5, 0.1, update=False), strict=True
    ):
        state = run_batch(accelerator, batch.state or state, batch.blocks, batch.carry).state
        factoriser.factorise(sample.activations, sample.errors, sample.block)
        assert np.array_equal(state.x, factoriser.words.x)
        assert np.array_equal(state.delta, factoriser.words.delta)
        assert np.array_equal(state.weight, factoriser.words.weight)


def test_cycles_are_near_the_ideal_where_blocks_are_long(accelerator):
    batches = random_batches(accelerator, (128, 160, 2, 56), 8, 1, "gaussian", 0, update=False)
    (batch,) = cosimulate(accelerator, batches, "verilator")["batches"]
    samples = [56] * 7 + [55]
    assert batch["ideal_cycles"] == ideal_batch_cycles(accelerator, 128, 160, 2, samples)
    assert batch["multiply_cycles"] == batch_steps(accelerator, 128, 160, 2, samples)
    assert batch["cycles"] <= 1.25 * batch["ideal_cycles"]


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_a_host_that_makes_mistakes_sees_them_and_can_go_on(accelerator, simulator):
    batches = random_batches(accelerator, (7, 13, 2, 4), 2, 1, "gaussian", 4, update=True)
    built = build_accelerator(accelerator, simulator)
    seen = run(built, BENCH, Job(accelerator, batches, seed=5), "mistakes")
    for packet in range(3):
        assert seen[f"packet {packet} too short"] == {"packet_short": 1}
        assert seen[f"packet {packet} too long"] == {"packet_long": 1}
    too_many = f"K = {accelerator.max_rank + 1}"
    for setting in ("M = 129", "N = 161", "M = 0", too_many, "BLOCK = 513", "LAST = 0"):
        assert seen[setting] == {"dimensions": 1}
    assert seen["write to a read-only register"] == {"write": 1}
    pulsing = [errors for mistake, errors in seen.items() if "into the pulses" in mistake]
    assert pulsing == [{"aborted": 1}] * 3
    assert seen["settings and start while busy, then abort"] == {
        "start_busy": 1,
        "write": 1,
        "aborted": 1,
    }
