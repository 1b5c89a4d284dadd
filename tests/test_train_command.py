"""`eigenbar train` as its user sees it."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from golden_model import cifar, training
from golden_model.arrays import Device
from golden_model.devices import Variation
from golden_model.drift import Drift
from tests.golden_model.set_files import colour_batches, with_batch_md5, write_cifar

QUICK = ("--dataset", "digits", "--network", "mlp", "--train-limit", "200")


@pytest.fixture
def run(command_line):
    """Run `eigenbar train`."""
    return lambda *arguments: command_line("train", *arguments)


def test_results_are_printed_and_written(run, tmp_path):
    path = tmp_path / "results.json"
    status, output, _ = run(*QUICK, "--epochs", 2, "--width", 8, "--json", path)
    result = json.loads(path.read_text())
    assert status == 0
    assert output.splitlines()[0] == "fc1: 32 x 65, rank 4, blocks of 8 samples"
    assert output.splitlines()[-1].startswith("epoch 2: loss")
    assert f"test accuracy {100 * result['test_accuracy']:.2f} %" in output
    assert result["settings"]["parameters"]["width"] == 8
    assert {"test_accuracy", "train_loss", "images_per_second"} < result.keys()


def test_every_option_reaches_the_settings(run, tmp_path):
    config, path = tmp_path / "small.toml", tmp_path / "results.json"
    config.write_text("max_block = 64\n")
    options = "--arithmetic fixed --array pulsed --rank 3 --block 2 --batch 50 --learning-rate 0.5"
    options += " --seed 7 --device-states 64 --weight-range 3 --stochastic --set columns=3"
    options += " --device-law soft-bounds --device-asymmetry 0.1"
    options += " --device-variation steps=0.2 --device-variation cycles=0.3"
    options += " --device-set cell=one-sided-pair --device-set drift.exponent=0.05"
    options += " --reads analog --read-set adc_bits=6 --read-set output_noise=0.1"
    options += " --read-set encoding=bit-serial --read-set input_bound=2"
    status, _, _ = run(*QUICK, *options.split(), "--config", config, "--json", path)
    settings = json.loads(path.read_text())["settings"]
    assert status == 0
    device = Device(
        64, 3.0, False, law="soft-bounds", asymmetry=0.1,
        variation=Variation(steps=0.2, cycles=0.3), cell="one-sided-pair",
        drift=Drift(exponent=0.05),
    )  # fmt: skip
    assert settings["device"] == asdict(device)
    assert settings["reads"] == {
        "mode": "analog", "encoding": "bit-serial", "dac_bits": 8, "adc_bits": 6, "sum_bits": 24,
        "input_noise": 0.0, "output_noise": 0.1, "input_bound": 2.0, "output_bound": 4.0,
        "retries": 0,
    }  # fmt: skip
    assert settings["update"] == "rank-sequential"
    assert (settings["parameters"]["max_block"], settings["parameters"]["columns"]) == (64, 3)
    expected = {"rank": 3, "block": 2, "batch": 50, "learning_rate": 0.5, "seed": 7}
    assert settings | expected == settings


def test_options_change_single_settings_of_a_published_device(run, tmp_path):
    path = tmp_path / "results.json"
    options = "--array pulsed --device pcm --device-states 101 --device-variation cycles=0.2"
    options += " --device-set refresh.period=4"
    status, _, _ = run(*QUICK, *options.split(), "--json", path)
    result, pcm = json.loads(path.read_text()), Device.preset("pcm")
    assert status == 0
    assert result["settings"]["device"] == asdict(
        replace(
            pcm,
            states=101,
            variation=replace(pcm.variation, cycles=0.2),
            refresh=replace(pcm.refresh, period=4),
        )
    )
    assert result["writes_worst"] > result["writes_mean"] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dataset", "cifar"], "dataset = 'cifar' is unknown"),
        (["--rank", "0"], "rank = 0 must be"),
        (["--learning-rate", "nan"], "learning_rate = nan must be"),
        (["--threads", "0"], "--threads 0 must be at least 1"),
        (["--width", "7"], "width = 7"),
        (["--preset", "huge"], "unknown preset 'huge'"),
        (["--config", "missing.toml"], "cannot read missing.toml"),
        (["--set", "speed=9"], "unknown parameter 'speed'"),
        (["--array", "pulsed", "--optimizer", "mbgd"], "array = pulsed goes with"),
        (["--dataset", "mnist", "--data-folder", "nowhere"], "nowhere does not hold the files"),
        (["--device-law", "hard"], "device law = 'hard' is unknown; choose from ideal, constant"),
        (["--device-asymmetry", "1"], "asymmetry = 1.0 must be between -1 and 1"),
        (["--device-variation", "speed=1"], "NAME=NUMBER with one of: steps, asymmetry"),
        (["--device-variation", "stuck=2"], "stuck = 2.0 must be from 0 to 1"),
        (["--array", "pulsed", "--device", "flash"], "unknown device preset 'flash'; choose one"),
        (["--device", "rram"], "--device rram goes with --array pulsed"),
        (["--device-set", "cell"], "--device-set 'cell' must have the form NAME=VALUE"),
        (["--device-set", "speed=1"], "unknown setting 'device.speed'; choose from those"),
        (["--device-set", "cell=three"], "device cell = 'three' is unknown; choose from single"),
        (["--device-set", "drift.start=0"], "Drift: start = 0.0 must be finite and above 0"),
        (["--device-set", "refresh.period=often"], "refresh.period = 'often' must be an integer"),
        (["--reads", "analog"], "reads mode = analog goes with array = pulsed"),
        (["--reads", "digital"], "reads mode = 'digital' is unknown"),
        (["--read-set", "adc_bits=1"], "reads adc_bits = 1 must be an integer from 2 to 24"),
        (["--read-set", "adc_bits=x"], "reads.adc_bits = 'x' must be an integer"),
        (["--read-set", "adc_bits"], "--read-set 'adc_bits' must have the form NAME=VALUE"),
        (["--read-set", "speed=1"], "unknown setting 'reads.speed'"),
        (["--update", "rank-sum"], "update = rank-sum goes with array = pulsed"),
        (["--update", "sum"], "update = 'sum' is unknown"),
        (["--energy", "missing.toml"], "cannot read missing.toml"),
        (["--resume"], "resume needs the checkpoint"),
        (["--harness", "native"], "--harness native goes with --arithmetic rtl"),
        (["--waves", "a.fst"], "--waves a.fst goes with --arithmetic rtl"),
        (["--arithmetic", "rtl", "--harness", "c"], "unknown harness 'c'; choose one of: native"),
        (["--arithmetic", "rtl", "--waves", "a.png"], "must end in .fst or .vcd"),
        (["--arithmetic", "rtl", "--waves", "no/a.fst"], "there is no folder no"),
        (["--arithmetic", "rtl", "--array", "ideal"], "array = ideal does not go with"),
        (["--arithmetic", "rtl", "--set", "grid_columns=1"], "grid_columns = 1"),
        (["--json", "nowhere/results.json"], "there is no folder nowhere"),
        (["--learning-rate", "1e30"], "diverged"),
    ],
)
def test_a_users_error_is_one_clear_line(run, monkeypatch, tmp_path, options, message):
    monkeypatch.chdir(tmp_path)
    status, output, error = run(*QUICK, *options)
    assert status == 2
    assert output == ""
    last = error.splitlines()[-1]
    assert last.startswith("eigenbar: ")
    assert message in last
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_training_through_the_crossbar_tells_its_reads_and_its_energy(run, tmp_path):
    table, path = tmp_path / "table.toml", tmp_path / "results.json"
    table.write_text('device = "ecram"\nwrite_ecram = 1000.0\n')
    options = ("--array", "pulsed", "--reads", "analog", "--energy", table, "--json", path)
    status, output, _ = run(*QUICK, *options)
    result = json.loads(path.read_text())
    assert status == 0
    reads, energy = output.splitlines()[-2:]
    assert reads.startswith(f"reads: {result['events']['adc_conversions']} ADC conversions, ")
    assert energy.startswith(f"energy: {result['energy']:.4g} nJ an image, most of it writes ")
    assert result["energy_parts"]["writes"] * 200 == pytest.approx(result["coincidences"])


def test_plain_steps_train_an_array_cell_by_cell(run, tmp_path):
    path = tmp_path / "results.json"
    options = ("--array", "pulsed", "--optimizer", "mbgd", "--update", "rank-sum", "--json", path)
    status, _, _ = run(*QUICK, *options)
    result = json.loads(path.read_text())
    assert status == 0
    assert result["cost"]["cell_writes"] == 32 * 65 + 10 * 33
    assert 0 < result["cell_writes"] <= result["coincidences"] == result["pulses"] / 2


def test_an_interrupted_run_says_how_to_resume(run, monkeypatch, tmp_path):
    path = tmp_path / "run.npz"
    original = training.Trainer.step

    def interrupted(self, images, labels, seed=0, epoch=1):
        if seed == 6:  # the second epoch has steps 4 to 7
            raise KeyboardInterrupt
        return original(self, images, labels, seed)

    monkeypatch.setattr(training.Trainer, "step", interrupted)
    status, _, error = run(*QUICK, "--epochs", 2, "--checkpoint", path)
    assert status == 130
    assert "--resume" in error
    with np.load(path) as archive:
        assert "array/fc1/weights" in archive


def test_an_interrupted_run_can_be_resumed(run, tmp_path):
    path, results = tmp_path / "run.npz", tmp_path / "results.json"
    run(*QUICK, "--checkpoint", path)
    status, _, _ = run(*QUICK, "--epochs", 2, "--checkpoint", path, "--resume", "--json", results)
    assert status == 0
    assert len(json.loads(results.read_text())["history"]) == 2


def test_an_interruption_before_the_first_epochs_end_says_so(run, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(training.Trainer, "step", interrupted)
    status, _, error = run(*QUICK)
    assert status == 130
    assert "no epoch was saved" in error


def test_a_vgg_style_network_trains_on_the_files_of_cifar(run, monkeypatch, tmp_path):
    folder = write_cifar(tmp_path / "cifar-10-batches-py", cifar.PYTHON, colour_batches())
    monkeypatch.setattr(cifar, "FORMS", (with_batch_md5(cifar.PYTHON, folder),))
    path = tmp_path / "results.json"
    options = "--dataset cifar-10 --network vgg8 --preset large --rank 2 --batch 10"
    status, output, _ = run(*options.split(), "--data-folder", tmp_path, "--json", path)
    assert status == 0
    assert "fc1: 256 x 2049, rank 2, blocks of 8 samples" in output
    assert json.loads(path.read_text())["history"][0]["images"] == 20


def test_a_network_that_the_accelerator_cannot_hold_names_the_preset_that_does(
    run, monkeypatch, tmp_path
):
    folder = write_cifar(tmp_path / "own", cifar.BINARY, colour_batches())
    monkeypatch.setattr(cifar, "FORMS", (with_batch_md5(cifar.BINARY, folder),))
    status, _, error = run("--dataset", "cifar-10", "--network", "vgg8", "--data-folder", folder)
    assert status == 2
    assert "layer fc1 of 256 x 2049 weights exceeds" in error
    assert "take preset large, which holds every layer" in error
