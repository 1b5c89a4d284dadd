"""Comparisons: runs in parallel give the bits of `train`, and what ends them loses nothing."""

import json
import multiprocessing
import os
import signal
import sys
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

import pytest
from distributed import LocalCluster

from golden_model import comparison, scheduling, training
from golden_model.comparison import check_runs, do_runs, missing_runs, open_log
from golden_model.datasets import load
from golden_model.parameters import Parameters
from golden_model.run_log import read_lines
from golden_model.scheduling import dask_cluster, local_processes
from golden_model.sweep import BASE, ComparisonError, Sweep, identity
from golden_model.training_settings import TrainingError

QUICK = replace(BASE, network="mlp", train_limit=100)
SWEEP = Sweep(QUICK, [{"optimizer": ["mbgd"]}, {"rank": [1, 2]}], [0, 1])
DIVERGING = replace(QUICK, optimizer="mbgd", learning_rate=1e30)


def timeless(lines):
    """Results by run, without what depends on the clock."""
    for line in lines:
        for values in (line, *line.get("history", [])):
            for name in ("seconds", "images_per_second"):
                values.pop(name, None)
    return {line["run"]: line for line in lines}


class Sequential(Executor):
    """Does each run when it is submitted, in this process."""

    def submit(self, function, /, *arguments):
        future = Future()
        future.set_result(function(*arguments))
        return future


@pytest.mark.parametrize("processes", [1, 2])
def test_results_do_not_depend_on_the_number_of_processes(tmp_path, processes):
    runs = SWEEP.runs()
    with open_log(tmp_path / "new" / "folder") as log, local_processes(processes) as executor:
        do_runs(runs, executor, log)
        assert missing_runs(runs, log) == []
    lines = timeless(read_lines(tmp_path / "new" / "folder" / "runs.jsonl"))
    assert len(lines) == len(runs) == 6
    data = load("digits")
    for run in runs:
        name = identity(run)
        result = {"run": name, "status": "done", **training.train(run, data)}
        assert lines[name] == json.loads(json.dumps(timeless([result])[name]))


def test_a_larger_sweep_repeats_nothing(tmp_path):
    larger = replace(SWEEP, groups=[*SWEEP.groups, {"rank": [2, 3]}], seeds=[0, 1, 2])
    with open_log(tmp_path) as log:
        do_runs(SWEEP.runs(), Sequential(), log)
        missing = missing_runs(larger.runs(), log)
    assert [(run.optimizer, run.rank, run.seed) for run in missing] == [
        ("sbpca", 3, 0),
        ("sbpca", 3, 1),
        ("mbgd", 4, 2),
        ("sbpca", 1, 2),
        ("sbpca", 2, 2),
        ("sbpca", 3, 2),
    ]


def test_a_run_that_diverges_is_a_result_with_its_reason(tmp_path):
    with open_log(tmp_path) as log:
        do_runs([DIVERGING, QUICK], Sequential(), log)
        assert missing_runs([DIVERGING, QUICK], log) == []
    lines = read_lines(tmp_path / "runs.jsonl")
    diverged, done = sorted(lines, key=lambda line: line["status"])
    assert (diverged["status"], done["status"]) == ("diverged", "done")
    assert "lower the learning rate" in diverged["reason"]
    assert diverged["settings"]["learning_rate"] == 1e30


def test_each_result_is_shown_once_it_is_on_disk(tmp_path):
    seen = []

    def show(line):
        assert read_lines(tmp_path / "runs.jsonl")[-1] == json.loads(json.dumps(line))
        seen.append(line["status"])

    with open_log(tmp_path) as log:
        do_runs([QUICK, DIVERGING], Sequential(), log, progress=show)
    assert sorted(seen) == ["diverged", "done"]


def test_the_results_before_a_failure_are_kept(tmp_path, monkeypatch):
    original = comparison.train_run

    def failing(settings, folder):
        if settings.rank == 2:
            raise ArithmeticError("a defect")
        return original(settings, folder)

    monkeypatch.setattr(comparison, "train_run", failing)
    runs = [replace(QUICK, rank=rank) for rank in (1, 2)]
    with (
        open_log(tmp_path) as log,
        ThreadPoolExecutor(1) as executor,
        pytest.raises(ArithmeticError),
    ):
        do_runs(runs, executor, log)
    assert [line["settings"]["rank"] for line in read_lines(tmp_path / "runs.jsonl")] == [1]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"parameters": Parameters.preset("tiny")}, TrainingError, "exceeds the accelerator's"),
        ({"rank": 33}, TrainingError, "rank = 33 is above every layer's"),
    ],
)
def test_what_a_run_would_refuse_is_told_before_any_starts(change, error, message):
    check_runs(SWEEP.runs(), None)
    with pytest.raises(error, match=message):
        check_runs([*SWEEP.runs(), replace(QUICK, **change)], None)


def test_a_folder_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ComparisonError, match=r"cannot make folder .*file: File exists"):
        open_log(tmp_path / "file")
    with pytest.raises(ComparisonError, match="cannot make folder"):
        open_log(tmp_path / "file" / "below")


def test_results_of_settings_that_are_unknown_here_are_refused(tmp_path):
    with open_log(tmp_path) as log:
        log.append({"run": "x", "status": "done", "settings": {"speed": 3}})
        with pytest.raises(ComparisonError, match=r"line 1 of .* another version .*'speed'"):
            missing_runs([QUICK], log)


def test_a_dead_worker_is_told_and_leaves_no_other_behind():
    with (
        pytest.raises(ComparisonError, match=r"a worker process died .* finished runs are kept"),
        local_processes(2) as executor,
    ):
        executor.submit(signal.raise_signal, signal.SIGKILL).result()
    deadline = time.monotonic() + 30  # a thread of the executor notes their ends
    while multiprocessing.active_children():
        assert time.monotonic() < deadline


def test_an_interruption_stops_the_workers_at_once():
    futures = []

    def interrupted():
        with local_processes(1) as executor:
            futures.append(executor.submit(time.sleep, 5))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert isinstance(futures[0].exception(), BrokenProcessPool)


def test_workers_leave_interruptions_to_their_parent():
    with local_processes(1) as executor:
        executor.submit(signal.raise_signal, signal.SIGINT).result()


def test_workers_have_one_thread_for_products_whatever_the_parent_has(monkeypatch):
    monkeypatch.setenv(scheduling.THREADS_VARIABLE, "7")
    with local_processes(1) as executor:
        assert executor.submit(os.getenv, scheduling.THREADS_VARIABLE).result() == "1"
    assert os.environ[scheduling.THREADS_VARIABLE] == "7"


def test_at_least_one_process_is_needed():
    with pytest.raises(ComparisonError, match="processes = 0 must be"), local_processes(0):
        pass


def local_cluster():
    """A Dask cluster of one worker in this process."""
    return LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=":0"
    )


@pytest.fixture(scope="module")
def scheduler():
    """Address of a cluster."""
    with local_cluster() as cluster:
        yield cluster.scheduler_address


def test_a_cluster_gives_the_results_of_processes(tmp_path, scheduler):
    runs = SWEEP.runs()
    with open_log(tmp_path / "a") as log, dask_cluster(scheduler) as executor:
        do_runs(runs, executor, log)
    with open_log(tmp_path / "b") as log:
        do_runs(runs, Sequential(), log)
    first, second = (timeless(read_lines(tmp_path / name / "runs.jsonl")) for name in "ab")
    assert first == second


def import_nothing():
    """What a worker does that has not what a run needs."""
    raise ModuleNotFoundError("No module named 'golden_model'")


def test_a_worker_without_the_package_is_told(scheduler):
    with (
        pytest.raises(ComparisonError, match=r"cannot import what a run needs .* install eigenbar"),
        dask_cluster(scheduler) as executor,
    ):
        executor.submit(import_nothing).result()


def test_a_scheduler_that_goes_away_is_told():
    with local_cluster() as cluster, lost_cluster(), dask_cluster(cluster.scheduler_address) as one:
        future = one.submit(time.sleep, 1)
        cluster.close()
        future.result()


def lost_cluster():
    """What a block must raise whose cluster goes away."""
    return pytest.raises(ComparisonError, match="lost its scheduler; finished runs are kept")


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense", "carrier-pigeon://roof:1"])
def test_a_scheduler_that_does_not_answer_is_told(address, monkeypatch):
    monkeypatch.setattr(scheduling, "CONNECTION_SECONDS", 0.5)
    with (
        pytest.raises(ComparisonError, match=f"no Dask scheduler answers at {address}"),
        dask_cluster(address),
    ):
        pass


def test_missing_dask_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(ComparisonError, match=r"pip install 'eigenbar\[cluster\]'"),
        dask_cluster("tcp://127.0.0.1:9"),
    ):
        pass
