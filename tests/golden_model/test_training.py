"""Training: it learns, to the same bits, through interruptions, and says what is wrong."""

import json
import math
import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden_model import checkpoints, files, parallel, training
from golden_model.arrays import Device
from golden_model.datasets import Dataset, load
from golden_model.energy import EnergyTable
from golden_model.parameters import ParameterError, Parameters
from golden_model.reads import Reads
from golden_model.training import Trainer, batches, capture, train
from golden_model.training_settings import TrainingError, TrainingSettings, with_width

DIGITS = load("digits")
MLP = TrainingSettings(dataset="digits", network="mlp", train_limit=300)
ARITHMETICS = [
    {"optimizer": "mbgd"},
    {"optimizer": "svd"},
    {"optimizer": "sbe", "arithmetic": "float"},
    {"optimizer": "lrt"},
    {"optimizer": "lrt-unbiased", "schedule": "step"},
    {"arithmetic": "float", "momentum": 0.5},
    {"arithmetic": "float"},
    {"arithmetic": "fixed"},
    {"arithmetic": "fixed", "array": "pulsed"},
    {"array": "pulsed", "reads": Reads("analog", output_noise=0.02, input_noise=0.01)},
    {"array": "pulsed", "reads": Reads("analog", output_bound=1.0, retries=2)},
    {"array": "pulsed", "update": "rank-sum", "optimizer": "mbgd"},
    {"array": "pulsed", "update": "rank-sum", "reads": Reads("analog", encoding="bit-serial")},
]
DEVICES = [{"array": "pulsed", "device": Device.preset(name)} for name in ("rram", "pcm", "ecram")]


def timeless(result):
    """A result without what depends on the clock."""
    text = json.dumps(result, sort_keys=True)
    return json.loads(
        text,
        object_hook=lambda values: {
            name: value
            for name, value in values.items()
            if name not in ("seconds", "images_per_second", "epochs")
        },
    )


@pytest.mark.parametrize("settings", ARITHMETICS)
def test_the_mlp_learns_digits(settings):
    run = replace(MLP, **settings, train_limit=None, epochs=4, batch=16)
    result = train(run, DIGITS)
    assert result["test_accuracy"] > 0.85
    losses = [epoch["train_loss"] for epoch in result["history"]]
    assert losses == sorted(losses, reverse=True)


def test_the_cnn_learns_digits_with_the_accelerators_words():
    run = TrainingSettings(dataset="digits", epochs=3, batch=32, rank=4)
    result = train(run, DIGITS)
    assert result["test_accuracy"] > 0.8


@pytest.mark.parametrize("settings", ARITHMETICS + DEVICES)
def test_an_interrupted_run_ends_at_the_same_bits(settings, tmp_path):
    run = replace(MLP, **settings, epochs=3, batch=24)
    whole, parts = tmp_path / "whole.npz", tmp_path / "parts.npz"
    expected = train(run, DIGITS, checkpoint=whole)
    train(replace(run, epochs=1), DIGITS, checkpoint=parts)
    actual = train(run, DIGITS, checkpoint=parts, resume=True)
    assert timeless(actual) == timeless(expected)
    arrays, resumed = checkpoints.load(whole)[0], checkpoints.load(parts)[0]
    assert arrays.keys() == resumed.keys()
    for name, array in arrays.items():
        assert np.array_equal(array, resumed[name]), name


def test_writes_add_up_over_the_training_and_the_worst_cell_is_of_any_layer():
    run = replace(MLP, array="pulsed", epochs=2)
    trainer = Trainer(run, DIGITS.shape, DIGITS.classes)
    weights = sum(plan.m * plan.n for plan in trainer.plans)
    result = train(run, DIGITS)
    first, second = result["history"]
    assert 0 < first["writes_worst"] < second["writes_worst"] == result["writes_worst"]
    assert second["writes_mean"] == result["writes_mean"]
    assert result["writes_mean"] * weights == pytest.approx(result["coincidences"])


def test_float_weights_are_not_written():
    result = train(replace(MLP, arithmetic="float"), DIGITS)
    assert (result["writes_worst"], result["writes_mean"]) == (0, 0)


@pytest.mark.parametrize("settings", ARITHMETICS)
def test_threads_change_no_bit(settings):
    run = replace(MLP, **settings, network="cnn", train_limit=100)
    expected = train(run, DIGITS)
    parallel.set_threads(3)
    try:
        assert timeless(train(run, DIGITS)) == timeless(expected)
    finally:
        parallel.set_threads(1)


def test_reads_are_counted_and_those_of_testing_are_not():
    """64 images in batches of 32: forward in both layers, back in the second alone."""
    run = replace(MLP, array="pulsed", reads=Reads("analog", adc_bits=10), train_limit=64, batch=32)
    result = train(run, DIGITS)
    columns = 32 * 2 + 10 * 1 + 32 * 1  # m times tile rows, n - 1 inputs times tile columns
    assert result["events"]["adc_conversions"] == 64 * columns
    assert result["events"]["sum_additions"] == 64 * columns
    assert result["events"]["dac_bits"] == 64 * 8 * (65 + 33 + 10)
    assert result["events"]["cell_reads"] == 64 * (32 * 65 + 10 * 33 + 10 * 32)
    assert result["events"]["cell_pulses"] == result["coincidences"] > 0
    assert result["events"]["line_pulses"] == result["pulses"] > 0
    assert result["events"]["multiply_accumulates"] == 2 * result["cost"]["multiply_accumulates"]
    ideal = train(replace(run, reads=Reads(adc_bits=10)), DIGITS)
    assert ideal["events"]["adc_conversions"] == result["events"]["adc_conversions"]


def test_repeated_reads_are_events():
    run = replace(MLP, array="pulsed", train_limit=64, batch=32)
    few = train(replace(run, reads=Reads("analog", output_bound=0.5)), DIGITS)
    more = train(replace(run, reads=Reads("analog", output_bound=0.5, retries=1)), DIGITS)
    again = more["reads"]["repeated_forward"] * (32 * 2) + more["reads"]["repeated_transposed"] * 32
    assert few["reads"]["adc_saturations"] > 0
    assert few["reads"]["repeated_forward"] == 0
    extra = more["events"]["adc_conversions"] - few["events"]["adc_conversions"]
    assert 0 < extra <= again


def test_a_pulsed_arrays_results_have_the_energy_of_its_events():
    run = replace(MLP, array="pulsed", train_limit=64, batch=32)
    result = train(run, DIGITS)
    assert result["energy"] == pytest.approx(sum(result["energy_parts"].values()))
    parts = result["energy_parts"]
    assert result["energy_update"] == pytest.approx(32 * (parts["lines"] + parts["writes"]))
    free = replace(EnergyTable(), write_rram=0.0, line_cell=0.0)
    cheaper = train(run, DIGITS, energy=free)
    assert cheaper["energy_update"] == 0
    assert cheaper["energy"] == pytest.approx(result["energy"] - parts["lines"] - parts["writes"])
    assert "energy" not in train(replace(run, array="ideal"), DIGITS)


def test_another_seed_gives_another_run():
    first, second = (train(replace(MLP, seed=seed), DIGITS) for seed in (0, 1))
    assert first["train_loss"] != second["train_loss"]


@given(count=st.integers(1, 40), batch=st.integers(1, 50), epoch=st.integers(1, 3))
def test_an_epoch_shows_every_image_once(count, batch, epoch):
    numbers = np.arange(40)
    dataset = Dataset("digits", numbers[:, None, None, None], numbers, numbers, numbers, 10)
    settings = replace(MLP, batch=batch, train_limit=count)
    shown = [labels for _, labels in batches(settings, dataset, epoch)]
    assert sorted(np.concatenate(shown).tolist()) == list(range(count))
    assert all(len(labels) == batch for labels in shown[:-1])


def test_results_hold_what_was_used(tmp_path):
    path = tmp_path / "results.json"
    run = replace(MLP, epochs=2, rank=20, block=8,
                  parameters=Parameters(max_block=4, max_rank=20))  # fmt: skip
    result = train(run, DIGITS, results=path)
    assert json.loads(path.read_text()) == result
    assert result["layers"] == [
        {"name": "fc1", "m": 32, "n": 65, "positions": 1, "rank": 20, "block": 4},
        {"name": "fc2", "m": 10, "n": 33, "positions": 1, "rank": 10, "block": 4},
    ]
    assert result["settings"]["parameters"]["max_block"] == 4
    assert [epoch["epoch"] for epoch in result["history"]] == [1, 2]
    assert result["test_accuracy"] == result["history"][-1]["test_accuracy"]
    assert result["images_per_second"] > 0
    assert result["saturations"] == sum(epoch["saturations"] for epoch in result["history"])


def test_a_block_is_its_images_samples_cut_to_the_block_buffer():
    trainer = Trainer(TrainingSettings(block=2), (1, 28, 28), 10)
    parameters = trainer.settings.parameters
    assert [(plan.name, plan.rank, plan.block) for plan in trainer.plans] == [
        ("conv1", 4, min(2 * 784, parameters.block_limit(16, 10))),
        ("conv2", 4, min(2 * 196, parameters.block_limit(32, 145))),
        ("fc1", 4, 2),
        ("fc2", 4, 2),
    ]


def test_progress_counts_the_images_of_each_epoch():
    seen = []
    train(replace(MLP, epochs=2, batch=200), DIGITS, progress=seen.append)
    assert [(state.epoch, state.images, state.total) for state in seen] == [
        (1, 200, 300),
        (1, 300, 300),
        (2, 200, 300),
        (2, 300, 300),
    ]


def test_a_layer_larger_than_the_accelerator_is_named():
    settings = replace(MLP, parameters=Parameters.preset("tiny"))
    with pytest.raises(TrainingError, match=r"layer fc1 of 32 x 65 .* max_m x max_n = 16 x 32"):
        Trainer(settings, DIGITS.shape, 10)
    Trainer(replace(settings, optimizer="mbgd"), DIGITS.shape, 10)


def test_a_rank_above_every_layers_is_refused():
    Trainer(replace(MLP, rank=32, arithmetic="float"), DIGITS.shape, 10)
    with pytest.raises(TrainingError, match=r"rank = 33 is above every layer's: .* 32 at most"):
        Trainer(replace(MLP, rank=33), DIGITS.shape, 10)
    Trainer(replace(MLP, rank=33, optimizer="mbgd"), DIGITS.shape, 10)


def test_a_rank_above_the_accelerators_is_refused_in_its_arithmetic():
    Trainer(replace(MLP, rank=16), DIGITS.shape, 10)
    with pytest.raises(TrainingError, match=r"rank = 17 of layer fc1 exceeds .* max_rank = 16"):
        Trainer(replace(MLP, rank=17), DIGITS.shape, 10)
    Trainer(replace(MLP, rank=17, parameters=Parameters(max_rank=17)), DIGITS.shape, 10)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": "cifar"}, "dataset = 'cifar' is unknown; choose one of: digits"),
        ({"network": "vit"}, "network = 'vit' is unknown"),
        ({"optimizer": "adam"}, "optimizer = 'adam' is unknown"),
        ({"arithmetic": "posit"}, "arithmetic = 'posit' is unknown"),
        ({"array": "real"}, "array = 'real' is unknown"),
        ({"rank": 0}, "rank = 0 must be an integer of at least 1"),
        ({"block": -1}, "block = -1 must be"),
        ({"epochs": -2}, "epochs = -2 must be"),
        ({"batch": 0}, "batch = 0 must be"),
        ({"batch": 2.5}, r"batch = 2\.5 must be an integer"),
        ({"seed": -1}, "seed = -1 must be an integer of at least 0"),
        ({"train_limit": 0}, "train_limit = 0 must be"),
        ({"learning_rate": float("nan")}, "learning_rate = nan must be a finite number above 0"),
        ({"learning_rate": 0.0}, r"learning_rate = 0\.0 must be"),
        ({"learning_rate": float("inf")}, "learning_rate = inf must be"),
        ({"device": Device(states=1)}, "device states = 1 must be from 2"),
        ({"device": Device(weight_range=-1.0)}, r"weight_range = -1\.0 must be"),
        ({"array": "pulsed", "arithmetic": "float"}, "array = pulsed goes with"),
        ({"array": "pulsed", "optimizer": "mbgd"}, "array = pulsed goes with .* update = rank-sum"),
        ({"update": "column-sum"}, "update = 'column-sum' is unknown; choose one of: rank-seq"),
        ({"update": "rank-sum"}, "update = rank-sum goes with array = pulsed"),
        ({"reads": Reads("analog")}, "reads mode = analog goes with array = pulsed"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, message):
    with pytest.raises(TrainingError, match=message):
        TrainingSettings(**change)


def test_narrow_words_take_no_more_slots_than_their_duties_tell_apart():
    assert with_width(Parameters(), 8) == Parameters(width=8, max_slots=128)
    assert with_width(Parameters(), 18) == Parameters(width=18)
    with pytest.raises(ParameterError, match=r"width = -3 .* from 8 to 18"):
        with_width(Parameters(), -3)


@pytest.mark.parametrize("settings", ARITHMETICS)
def test_divergence_stops_the_run_with_a_remedy(settings):
    run = replace(MLP, **settings, learning_rate=1e30)
    if settings.get("array") == "pulsed":
        train(run, DIGITS)  # bounded devices cannot diverge
    else:
        with pytest.raises(TrainingError, match=r"diverged; lower the learning rate \(now 1e"):
            train(run, DIGITS)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("optimizer", ["mbgd", "sbpca"])
def test_divergence_in_the_last_step_is_told_too(optimizer):
    run = replace(MLP, optimizer=optimizer, batch=64, train_limit=64, learning_rate=1e200)
    with pytest.raises(TrainingError, match="layer fc1: its weights overflowed; the training div"):
        train(run, DIGITS)


def test_divergence_leaves_the_files_of_the_last_whole_epoch(tmp_path, monkeypatch):
    checkpoint, results = tmp_path / "run.npz", tmp_path / "run.json"
    run = replace(MLP, epochs=2, optimizer="mbgd")
    original = training.Trainer.step

    def diverge(self, images, labels, seed=0, epoch=1):
        if seed >= 7:  # the second epoch has steps 5 to 9
            self.network.weight_layers[0].weights[:] = np.nan
        return original(self, images, labels, seed)

    monkeypatch.setattr(training.Trainer, "step", diverge)
    with pytest.raises(TrainingError, match="the loss became nan"):
        train(run, DIGITS, checkpoint=checkpoint, results=results)
    monkeypatch.undo()
    assert len(json.loads(results.read_text())["history"]) == 1
    resumed = train(run, DIGITS, checkpoint=checkpoint, resume=True)
    assert timeless(resumed) == timeless(train(run, DIGITS))


def test_a_checkpoint_of_another_run_is_refused_with_the_differences(tmp_path):
    path = tmp_path / "run.npz"
    train(replace(MLP, optimizer="mbgd"), DIGITS, checkpoint=path)
    with pytest.raises(TrainingError, match="another run: optimizer = 'mbgd' there, 'sbpca' here"):
        train(MLP, DIGITS, checkpoint=path, resume=True)


def test_a_checkpoint_of_more_epochs_is_refused(tmp_path):
    path = tmp_path / "run.npz"
    train(replace(MLP, epochs=2), DIGITS, checkpoint=path)
    with pytest.raises(TrainingError, match="2 epochs old, past the 1 asked for"):
        train(MLP, DIGITS, checkpoint=path, resume=True)


@pytest.mark.parametrize("damage", ["text", "truncated", "foreign"])
def test_a_damaged_checkpoint_is_named(tmp_path, damage):
    path = tmp_path / "run.npz"
    train(MLP, DIGITS, checkpoint=path)
    if damage == "text":
        path.write_text("no archive")
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:-200])
    else:
        np.savez(path, description="{}")
    with pytest.raises(TrainingError, match=r"run\.npz is not a checkpoint of this program"):
        train(MLP, DIGITS, checkpoint=path, resume=True)


def test_results_do_not_take_the_checkpoints_place(tmp_path):
    path = tmp_path / "run"
    with pytest.raises(TrainingError, match=r"checkpoint and results are both .*: name two files"):
        train(MLP, DIGITS, checkpoint=path, results=tmp_path / "." / "run")
    assert not path.exists()


def test_a_checkpoint_that_is_not_there_cannot_be_resumed(tmp_path):
    with pytest.raises(TrainingError, match="no checkpoint at"):
        train(MLP, DIGITS, checkpoint=tmp_path / "run.npz", resume=True)
    with pytest.raises(TrainingError, match="resume needs the checkpoint"):
        train(MLP, DIGITS, resume=True)


def test_a_checkpoint_is_not_overwritten_by_a_new_run(tmp_path):
    path = tmp_path / "run.npz"
    train(MLP, DIGITS, checkpoint=path)
    with pytest.raises(TrainingError, match="exists: resume from it, remove it, or name another"):
        train(MLP, DIGITS, checkpoint=path)


def test_files_that_cannot_be_written_are_found_before_training(tmp_path):
    with pytest.raises(TrainingError, match="there is no folder"):
        train(MLP, DIGITS, results=tmp_path / "nowhere" / "results.json")
    with pytest.raises(TrainingError, match="it is a folder"):
        train(MLP, DIGITS, checkpoint=tmp_path)


def _write_half(file):
    file.write(b"half")
    raise KeyboardInterrupt


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "results.json"
    files.write_json(path, {"value": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        files.write_json(path, {"value": float("nan")})
    with pytest.raises(KeyboardInterrupt), files.replacing(path) as file:
        _write_half(file)
    assert json.loads(path.read_text()) == {"value": 1}
    assert os.listdir(tmp_path) == ["results.json"]


@pytest.mark.parametrize("settings", ARITHMETICS)
def test_captured_samples_are_those_of_the_next_batch(settings):
    run = replace(MLP, **settings, batch=40)
    captured = capture(run, DIGITS, steps=1, count=2)
    trainer = Trainer(run, DIGITS.shape, DIGITS.classes)
    for step, (images, labels) in enumerate(batches(run, DIGITS, 1)):
        if step == 2:
            trainer.backpropagate(images, labels, step)
            break
        trainer.step(images, labels, step)
    assert [samples[1].name for samples in captured] == ["fc1", "fc2"]
    for (_, sample), layer in zip(captured, trainer.network.weight_layers, strict=True):
        assert sample.images == 40
        assert np.array_equal(sample.activations, layer.activations)
        assert np.array_equal(sample.errors, layer.errors)


def test_samples_are_captured_of_an_optimiser_that_needs_none():
    """The first batch's are the same for all: only the weights that were drawn are in them."""
    run = replace(MLP, network="cnn", batch=8, train_limit=8)
    expected, actual = (
        capture(replace(run, optimizer=name), DIGITS, steps=0) for name in ("sbpca", "mbgd")
    )
    for (one,), (other,) in zip(expected, actual, strict=True):
        assert np.array_equal(one.activations, other.activations)
        assert np.array_equal(one.errors, other.errors)


def test_a_batch_after_the_epoch_cannot_be_captured():
    with pytest.raises(TrainingError, match="2 batches after 4: an epoch has 5"):
        capture(MLP, DIGITS, steps=4, count=2)


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [("constant", [1, 1, 1, 1]), ("step", [1, 1, 0.5, 0.5]), ("cosine", [1, 0.854, 0.5, 0.146])],
)
def test_the_learning_rate_follows_its_schedule(schedule, rates):
    run = replace(MLP, learning_rate=1.0, schedule=schedule, epochs=4, decay_epochs=2)
    assert np.allclose([run.learning_rate_in(epoch) for epoch in (1, 2, 3, 4)], rates, atol=1e-3)


def test_a_scheduled_epoch_trains_with_its_own_rate():
    """A rate that has fallen to almost nothing leaves the loss where it was."""
    run = replace(MLP, optimizer="mbgd", schedule="step", decay=1e-9, epochs=3)
    losses = [epoch["train_loss"] for epoch in train(run, DIGITS)["history"]]
    assert np.isclose(losses[1], losses[2])
    assert not np.isclose(losses[0], losses[1])


def test_a_cosine_schedule_cannot_be_given_more_epochs(tmp_path):
    run, file = replace(MLP, schedule="cosine"), tmp_path / "run.npz"
    train(run, DIGITS, checkpoint=file)
    with pytest.raises(TrainingError, match="epochs = 1 there, 2 here"):
        train(replace(run, epochs=2), DIGITS, checkpoint=file, resume=True)


def test_sgd_updates_after_every_image():
    with pytest.raises(TrainingError, match="batch = 64 must be 1"):
        replace(MLP, optimizer="sgd")
    one = Trainer(replace(MLP, optimizer="sgd", batch=1), DIGITS.shape, 10)
    assert one.cost.outer_products == 2
    assert one.cost.memory == 0


def test_each_layer_can_have_a_rank_of_its_own():
    run = replace(MLP, layer_ranks=[6, 2])
    result = train(run, DIGITS)
    assert [plan["rank"] for plan in result["layers"]] == [6, 2]
    assert result["settings"]["layer_ranks"] == [6, 2]
    with pytest.raises(TrainingError, match=r"layer_ranks has 1 ranks for 2 layers.*fc1, fc2"):
        train(replace(run, layer_ranks=(3,)), DIGITS)


def test_sbe_is_sbpca_of_rank_one_with_an_image_a_block():
    sbe = replace(MLP, optimizer="sbe", arithmetic="float")
    sbpca = replace(MLP, rank=1, block=1, arithmetic="float")
    histories = [train(run, DIGITS)["history"][0]["train_loss"] for run in (sbe, sbpca)]
    assert histories[0] == histories[1]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"momentum": 1.0}, "momentum = 1.0 must be at least 0 and below 1"),
        ({"momentum": math.nan}, "momentum = nan must be"),
        ({"decay": 0.0}, "decay = 0.0 must be above 0"),
        ({"schedule": "linear"}, "schedule = 'linear' is unknown"),
        ({"layer_ranks": (0, 1)}, "layer_ranks = 0 must be an integer of at least 1"),
    ],
)
def test_a_wrong_setting_is_refused(setting, message):
    with pytest.raises(TrainingError, match=message):
        replace(MLP, **setting)
