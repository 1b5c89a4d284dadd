"""`eigenbar cosim` as its user sees it."""

import json

import pytest


@pytest.fixture
def run(command_line):
    """Run `eigenbar cosim`."""
    return lambda *arguments: command_line("cosim", *arguments)


@pytest.mark.xdist_group("simulation")
def test_results_are_printed_and_written(run, accelerator, tmp_path):
    config, path = tmp_path / "small.toml", tmp_path / "results.json"
    config.write_text(accelerator.to_toml())
    options = "--shape 9,14,2,4 --blocks 2 --batches 2 --data mixed --update --stalls 0.1 --seed 3"
    status, output, _ = run(*options.split(), "--config", config, "--json", path)
    results = json.loads(path.read_text())
    assert status == 0
    assert "0 mismatches" in output.splitlines()[-1]
    assert results["mismatches"] == 0
    assert results["values_compared"] == sum(row["values_compared"] for row in results["batches"])
    assert results["cycles"] > results["ideal_cycles"] > 0
    assert results["cycles_per_second"] > 0
    assert results["parameters"] == accelerator.as_dict()


@pytest.mark.xdist_group("simulation")
def test_training_data_of_every_layer_is_replayed(run, accelerator, tmp_path):
    config, path = tmp_path / "small.toml", tmp_path / "results.json"
    config.write_text(accelerator.to_toml())
    options = "--from-training --dataset digits --images 4 --steps 1 --rank 2"
    status, _, _ = run(*options.split(), "--config", config, "--json", path)
    results = json.loads(path.read_text())
    assert status == 0
    assert [row["name"] for row in results["batches"]] == ["conv1", "conv2", "fc1", "fc2"]
    assert results["mismatches"] == 0


def test_a_mismatch_fails_the_command(run, monkeypatch):
    batch = {"name": "gaussian 0", "m": 1, "n": 1, "k": 1, "values_compared": 5, "mismatches": 2,
             "cycles": 10, "ideal_cycles": 5, "slots": 0,
             "first_mismatches": ["gaussian 0: X[0, 0] is 1, should be 2"]}  # fmt: skip
    results = {**batch, "batches": [batch], "cycles_per_second": 1.0}
    monkeypatch.setattr("sim.cosim.cosimulate", lambda *_, **__: results)
    status, output, error = run("--preset", "tiny", "--shape", "4,4,1,2")
    assert status == 1
    assert "2 mismatches" in output
    assert "X[0, 0] is 1, should be 2" in error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shape", "4,4,1"], "--shape '4,4,1' must be four integers M,N,K,B"),
        (["--shape", "17,4,1,1"], "m = 17 must be from 1 to 16"),
        (["--shape", "4,33,1,1"], "n = 33 must be from 1 to 32"),
        (["--shape", "8,8,5,1"], "k = 5 must be from 1 to 4"),
        (["--shape", "8,8,2,1", "--seed", -5], "seed = -5 must be an integer of at least 0"),
        (["--shape", "4,4,1,17"], "b = 17 must be from 1 to 16, which the block buffer holds"),
        (["--shape", "4,4,1,1", "--blocks", "0"], "at least one block"),
        (["--shape", "4,4,1,1", "--data", "fine"], "unknown data 'fine'; choose one of: gaussian"),
        (["--shape", "4,4,1,1", "--stalls", "1"], "--stalls 1.0 must be at least 0 and below 1"),
        (["--shape", "4,4,1,1", "--simulator", "vcs"], "unknown simulator 'vcs'; choose one of"),
        (["--shape", "4,4,1,1", "--json", "no/x.json"], "cannot write no/x.json: there is"),
        ([], "give one of --shape M,N,K,B and --from-training"),
        (["--from-training"], "exceeds the accelerator's max_m x max_n = 16 x 32"),
        (["--from-training", "--set", "max_m=128", "--set", "max_n=160", "--steps", "99"],
         "cannot capture 1 batches after 99"),
    ],
)  # fmt: skip
def test_a_users_error_is_one_clear_line(run, options, message):
    status, output, error = run("--preset", "tiny", *options)
    assert (status, output) == (2, "")
    assert error.startswith("eigenbar: ")
    assert message in error
    assert len(error.splitlines()) == 1
