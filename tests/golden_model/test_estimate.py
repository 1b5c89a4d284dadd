"""Estimates: the sizes that training has, its counts, and what the drivers really do."""

from dataclasses import replace

import numpy as np
import pytest

from golden_model.cost import batch_steps
from golden_model.datasets import CLASSES, SHAPES, load
from golden_model.estimate import as_dict, estimate
from golden_model.parameters import Parameters
from golden_model.pulses import UpdatePulses
from golden_model.reads import Reads
from golden_model.training import Trainer, train
from golden_model.training_settings import OPTIMIZERS, TrainingError, TrainingSettings

DIGITS = TrainingSettings(dataset="digits", network="cnn", batch=16)
SHAPE = SHAPES["digits"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_estimates_are_the_counts_of_training(optimizer):
    run = replace(DIGITS, optimizer=optimizer, batch=1 if optimizer == "sgd" else 16)
    trainer = Trainer(run, SHAPE, CLASSES)
    batch = as_dict(estimate(run, SHAPE, CLASSES, slots=8), run)["batch"]
    for name in ("memory", "multiply_accumulates", "outer_products", "cell_writes", "accesses"):
        assert batch[name] == getattr(trainer.cost, name)
    assert batch["cells"] == sum(layer.weights.size for layer in trainer.network.weight_layers)


@pytest.mark.parametrize("rank", [4, 8])
def test_cycles_are_those_of_the_accelerator(rank):
    conv1, *_ = estimate(replace(DIGITS, rank=rank), SHAPE, CLASSES, slots=8)
    assert conv1.samples == 16 * 64
    assert conv1.multiply_cycles == batch_steps(Parameters(), 16, 10, rank, [512, 512])


def test_cycles_end_at_the_most_ranks():
    run = replace(DIGITS, rank=8, arithmetic="float", parameters=Parameters(max_rank=7))
    conv1, *_ = estimate(run, SHAPE, CLASSES, slots=8)
    assert conv1.multiply_cycles is None


def test_pulses_are_those_of_lines_that_always_fire():
    """Factors of full words at scalars that clip every duty drive every line in every slot."""
    parameters, slots = Parameters.preset("tiny"), 8
    run = replace(
        DIGITS,
        network="mlp",
        rank=2,
        parameters=replace(parameters, max_m=64, max_n=128, grid_rows=16, grid_columns=8),
    )
    layer = estimate(replace(run, block=1), SHAPE, CLASSES, slots)[0]
    x, delta = np.full((layer.n, 2), -128.0), np.full((layer.m, 2), -128.0)
    pulses = UpdatePulses(
        run.parameters, x, delta, [1.0, 1.0], slots_min=3, slots_max=3, scrambled=True, seed=0
    )
    ranks = list(pulses.ranks())
    assert sum(rank.pulses for rank in ranks) == layer.most_pulses
    assert sum(4 * rank.slots for rank in ranks) * layer.tiles == layer.slot_cycles


def test_reads_are_those_that_training_counts():
    run = replace(DIGITS, train_limit=16, array="pulsed", reads=Reads("analog", dac_bits=6))
    batch = as_dict(estimate(run, SHAPE, CLASSES, slots=8), run)["batch"]
    events = train(run, load("digits"))["events"]
    for name in ("dac_bits", "adc_conversions", "cell_reads"):
        assert batch[name] == events[name]


@pytest.mark.parametrize("slots", [0, 3, 512])
def test_slots_are_a_power_of_two_up_to_the_maximum(slots):
    with pytest.raises(TrainingError, match="must be a power of two from 1 to 256"):
        estimate(DIGITS, SHAPE, CLASSES, slots)


def test_the_stated_shape_of_digits_is_that_of_the_data():
    data = load("digits")
    assert (data.shape, data.classes) == (SHAPE, CLASSES)
