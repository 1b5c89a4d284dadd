"""`eigenbar cosim-reads` as its user sees it."""

import json

import pytest


@pytest.fixture
def run(command_line):
    """Run `eigenbar cosim-reads`."""
    return lambda *arguments: command_line("cosim-reads", *arguments)


@pytest.mark.xdist_group("simulation")
def test_results_are_printed_and_written(run, accelerator, tmp_path):
    config, path = tmp_path / "small.toml", tmp_path / "results.json"
    config.write_text(accelerator.to_toml())
    status, output, _ = run("--shape", "9,14", "--vectors", 1, "--config", config, "--json", path)
    results = json.loads(path.read_text())
    assert status == 0
    assert "0 mismatches" in output.splitlines()[-1]
    assert [row["name"] for row in results["runs"]] == [
        "forward pulse-width 9, 14",
        "transposed pulse-width 9, 14",
        "forward bit-serial 9, 14",
        "transposed bit-serial 9, 14",
    ]
    assert results["values_compared"] == sum(row["values_compared"] for row in results["runs"])


def test_a_mismatch_fails_the_command(run, monkeypatch):
    row = {"name": "forward", "values_compared": 5, "mismatches": 2, "cycles": 10, "drives": 3,
           "adc_saturations": 0, "sum_saturations": 0,
           "first_mismatches": ["forward: packet 0"]}  # fmt: skip
    results = {**row, "runs": [row], "cycles_per_second": 1.0}
    monkeypatch.setattr("sim.read_cosim.cosimulate_reads", lambda *_, **__: results)
    status, output, error = run("--preset", "tiny", "--shape", "4,4")
    assert status == 1
    assert "2 mismatches" in output
    assert "forward: packet 0" in error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shape", "4,4,1"], "--shape '4,4,1' must be two integers M,N"),
        (["--shape", "17,4"], "m = 17 must be from 1 to 16"),
        (["--shape", "4,4", "--vectors", "0"], "vectors = 0 must be from 1 to 65535"),
        (["--shape", "4,4", "--dac-bits", "9"], "dac_bits = 9 must be from 2 to 8 on these"),
        (["--shape", "4,4", "--adc-bits", "13"], "adc_bits = 13 must be from 2 to 12 on these"),
        (["--shape", "4,4", "--stalls", "1"], "--stalls 1.0 must be at least 0 and below 1"),
    ],
)
def test_what_cannot_be_read_is_explained(run, options, message):
    status, _, error = run("--preset", "tiny", *options)
    assert status != 0
    assert message in error
