"""`eigenbar compare` as its user sees it."""

import os
import signal
import subprocess
import sys
import time

import pytest

import eigenbar
from golden_model.comparison import open_log
from golden_model.run_log import read_lines

QUICK = ("--dataset", "digits", "--network", "mlp", "--train-limit", "100", "--processes", "1")


@pytest.fixture
def run(command_line, tmp_path):
    """Run `eigenbar compare` into the folder `out`."""
    return lambda *arguments: command_line("compare", "--out", tmp_path / "out", *arguments)


@pytest.fixture
def results(tmp_path):
    """The results in the folder `out`, by optimiser, rank, width, learning rate and seed."""

    def read():
        lines = read_lines(tmp_path / "out" / "runs.jsonl")
        return {
            (
                s["optimizer"],
                s["rank"],
                s["parameters"]["width"],
                s["learning_rate"],
                s["seed"],
            ): line
            for line in lines
            for s in [line["settings"]]
        }

    return read


def test_every_combination_is_trained_and_a_second_command_repeats_none(run, results):
    options = (*QUICK, "--rank", "1,2", "--width", "8,16", "--seeds", "0-1")
    status, output, error = run(*options)
    first = results()
    assert status == 0
    assert set(first) == {
        ("sbpca", k, w, 0.1, seed) for k in (1, 2) for w in (8, 16) for seed in (0, 1)
    }
    assert "rank 2, width 8, seed 1: test accuracy" in error
    assert "rank 2, width 16" in output
    assert "runs.jsonl" in output
    status, _, _ = run(*options, "--learning-rate", "0.1,1e30", "--optimizer", "mbgd,sbpca")
    second = results()
    assert status == 0
    assert first.items() <= second.items()
    assert len(second) == 2 * (2 * (1 + 4))
    assert {key[3] for key, line in second.items() if line["status"] == "diverged"} == {1e30}


def test_options_reach_the_settings_and_the_sweep_files_groups(run, results, tmp_path):
    file = tmp_path / "sweep.toml"
    file.write_text(
        'seeds = [5]\n[settings]\nnetwork = "cnn"\n[[group]]\nrank = [3]\n[[group]]\nblock = 4\n'
    )
    options = "--array pulsed --encoding stochastic --device-states 64 --vary parameters.columns=2"
    status, _, _ = run(file, *QUICK, *options.split(), "--batch", "50", "--seeds", "7")
    lines = results()
    assert status == 0
    assert [(s["rank"], s["block"]) for s in (line["settings"] for line in lines.values())] == [
        (3, 8),
        (4, 4),
    ]
    for line in lines.values():
        settings = line["settings"]
        assert settings["device"]["states"] == 64
        assert not settings["device"]["scrambled"]
        expected = {"network": "mlp", "train_limit": 100, "array": "pulsed", "batch": 50, "seed": 7}
        assert settings | expected == settings
        assert settings["parameters"]["columns"] == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--learning-rate", "0.1,nan"], "learning_rate = nan must be a finite number above 0"),
        (["--rank", "4,33"], "rank = 33 is above every layer's"),
        (["--width", "2"], "width = 2 (bits of a word"),
        (["--train-limit", "0"], "train_limit = 0 must be an integer of at least 1"),
        (["--optimizer", "adam"], "optimizer = 'adam' is unknown; choose one of: mbgd"),
        (["--array", "pulsed", "--arithmetic", "float"], "array = pulsed goes with"),
        (["--encoding", "morse"], "encoding 'morse' is unknown; One of: scrambled, stochastic"),
        (["--rank", "two"], "rank = 'two' must be an integer"),
        (["--vary", "reads.adc_bits=8,1"], "reads.adc_bits = 1, seed = 0)"),
        (["--energy", "none.toml"], "cannot read none.toml"),
        (["--vary", "speed=1"], "unknown setting 'speed'"),
        (["--vary", "rank"], "--vary 'rank' must have the form NAME=VALUE,..."),
        (["--seeds", "2-1"], "seeds = '2-1' must be numbers"),
        (["--processes", "0"], "processes = 0 must be at least 1"),
        (["--scheduler", "tcp://x:1"], "--scheduler and --processes exclude each other"),
        (["none.toml"], "cannot read none.toml"),
        (["--dataset", "mnist", "--data-folder", "nowhere"], "nowhere does not hold the files"),
    ],
)
def test_a_users_error_is_one_clear_line(run, monkeypatch, tmp_path, options, message):
    monkeypatch.chdir(tmp_path)
    status, output, error = run(*QUICK, *options)
    assert status == 2
    assert output == ""
    assert error.splitlines()[-1].startswith("eigenbar: ")
    assert message in error.splitlines()[-1]
    assert "Traceback" not in error
    assert list(tmp_path.rglob("*.jsonl")) == []


def test_a_folder_that_cannot_be_made_is_told(run, tmp_path):
    (tmp_path / "out").touch()
    status, _, error = run(*QUICK)
    assert status == 2
    assert "cannot make folder" in error


def test_a_report_that_cannot_be_written_is_told_before_the_work(run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "figures").touch()
    status, _, error = run(*QUICK)
    assert status == 2
    assert "figures: File exists" in error
    assert not (tmp_path / "out" / "runs.jsonl").exists()


def test_the_report_can_be_written_anew(run, tmp_path):
    path = tmp_path / "out" / "report.html"
    run(*QUICK, "--seeds", "0-1")
    page = path.read_text()
    assert "2 runs of 1 methods" in page
    path.unlink()
    with (tmp_path / "out" / "runs.jsonl").open("ab") as file:
        file.write(b'{"run": "being appended')
    status, output, _ = run("--report-only")
    assert status == 0
    assert "sbpca" in output
    assert "2 runs of 1 methods" in path.read_text()


def test_a_report_that_the_disk_has_no_room_for_leaves_the_results_and_the_page(
    run, tmp_path, full_disk
):
    run(*QUICK)
    page = tmp_path / "out" / "report.html"
    before = page.read_bytes(), (tmp_path / "out" / "runs.jsonl").read_bytes()
    files = sorted(tmp_path.rglob("*"))
    with full_disk(len(before[0]) - 1):
        status, _, error = run("--report-only")
    assert status == 2
    assert error.startswith("eigenbar: cannot write ")
    assert "the results are kept: make room, and write the report anew with --report-only" in error
    assert (page.read_bytes(), (tmp_path / "out" / "runs.jsonl").read_bytes()) == before
    assert sorted(tmp_path.rglob("*")) == files


def test_a_report_needs_results(run):
    status, _, error = run("--report-only")
    assert status == 2
    assert "cannot read" in error


def test_a_damaged_results_file_is_told_and_kept(run, tmp_path):
    (tmp_path / "out").mkdir()
    path = tmp_path / "out" / "runs.jsonl"
    path.write_text("no result\n")
    status, _, error = run(*QUICK)
    assert status == 2
    assert "line 1 of" in error
    assert path.read_text() == "no result\n"


@pytest.fixture
def started(request, tmp_path):
    """A comparison of `LONG` under way in a process of its own, with two results or more.

    It has as many seeds as the test's parameter says.
    """
    path = tmp_path / "out" / "runs.jsonl"
    seeds = ("--seeds", f"0-{request.param - 1}")
    process = subprocess.Popen(
        [sys.executable, eigenbar.__file__, "compare", "--out", path.parent, *LONG, *seeds],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # What a shell started in the background ignores interruptions, and hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        deadline = time.monotonic() + 60
        while not path.exists() or path.read_bytes().count(b"\n") < 2:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.wait()


LONG = ("--network", "cnn", "--train-limit", "1400", "--rank", "2", "--processes", "2")


def timeless(lines):
    """The results by seed, without what depends on the clock."""
    for line in lines:
        for values in (line, *line["history"]):
            for name in ("seconds", "images_per_second"):
                values.pop(name, None)
    return {line["settings"]["seed"]: line for line in lines}


@pytest.mark.parametrize("started", [16], indirect=True)
def test_a_killed_comparison_goes_on_to_the_results_of_one_that_was_not(
    run, command_line, started, tmp_path
):
    started.kill()
    started.communicate()  # workers hold the pipe: they have ended too
    path = tmp_path / "out" / "runs.jsonl"
    kept = read_lines(path)
    assert 2 <= len(kept) < 16
    with path.open("ab") as file:
        file.write(b'{"run": "unfinished')
    status, _, error = run(*LONG, "--seeds", "0-15")
    assert status == 0
    assert "removed an unfinished last line of 19 bytes" in error.replace("\n", " ")
    resumed = read_lines(path)
    assert resumed[: len(kept)] == kept
    assert len(resumed) == 16
    command_line("compare", "--out", tmp_path / "whole", *LONG, "--seeds", "0-15")
    assert timeless(resumed) == timeless(read_lines(tmp_path / "whole" / "runs.jsonl"))


@pytest.mark.parametrize("started", [400], indirect=True)
def test_an_interrupted_comparison_keeps_its_results_and_says_how_to_go_on(started, tmp_path):
    os.killpg(started.pid, signal.SIGINT)  # as a terminal does: workers get it too
    _, error = started.communicate(timeout=30)
    assert started.returncode == 130
    assert 2 <= len(read_lines(tmp_path / "out" / "runs.jsonl")) < 400
    assert "interrupted; the results so far are in" in error
    assert "give the same command again to continue" in error
    assert "Traceback" not in error


def test_two_comparisons_do_not_share_a_folder(run, tmp_path):
    with open_log(tmp_path / "out"):
        status, _, error = run(*LONG)
    assert status == 2
    assert "in use: another comparison writes to this folder" in error
