"""Comparisons: the runs of a sweep, done in parallel, their results kept as they finish."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, as_completed
from pathlib import Path
from typing import Any

from golden_model import datasets, training
from golden_model.datasets import Dataset
from golden_model.run_log import Line, RunLog
from golden_model.sweep import ComparisonError, identity, recorded_settings
from golden_model.training_settings import TrainingError, TrainingSettings

RUNS_FILE = "runs.jsonl"
"""Name of the file of results in a comparison's folder."""


def open_log(folder: Path) -> RunLog:
    """The results in `folder`, which is made if need be.

    Raises `ComparisonError` if the folder cannot be used.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ComparisonError(f"cannot make folder {folder}: {error.strerror}") from error
    return RunLog(folder / RUNS_FILE)


def missing_runs(runs: Sequence[TrainingSettings], log: RunLog) -> list[TrainingSettings]:
    """Those of `runs` that have no result in `log`.

    Raises `ComparisonError` if the log has settings that this version does not know.
    """
    done = set()
    for number, line in enumerate(log.lines, start=1):
        try:
            done.add(identity(recorded_settings(line["settings"])))
        except ValueError as error:
            raise ComparisonError(
                f"line {number} of {log.path} has settings of another version ({error}); "
                "take another folder"
            ) from error
    return [run for run in runs if identity(run) not in done]


def check_runs(runs: Sequence[TrainingSettings], data_folder: Path | None) -> None:
    """Raise now what each of `runs` would raise at its start, such as a layer that does not fit.

    Loads the data sets, so that one which must be downloaded is before there are many processes.
    """
    data_sets = {name: datasets.load(name, data_folder) for name in {r.dataset for r in runs}}

    for run in runs:
        data = data_sets[run.dataset]
        run.plan(data.shape, data.classes)


def train_run(settings: TrainingSettings, data_folder: Path | None) -> Line:
    """The line of results of a training run, done in this process.

    A run that diverges has the reason in place of results.
    """
    line: dict[str, Any] = {"run": identity(settings)}
    try:
        result = training.train(settings, _dataset(settings.dataset, data_folder))
    except TrainingError as error:
        return {**line, "status": "diverged", "reason": str(error), "settings": settings.as_dict()}
    return {**line, "status": "done", **result}


@functools.cache
def _dataset(name: str, folder: Path | None) -> Dataset:
    """A data set, loaded once a process."""
    return datasets.load(name, folder)


def do_runs(
    runs: Sequence[TrainingSettings],
    executor: Executor,
    log: RunLog,
    data_folder: Path | None = None,
    progress: Callable[[Line], None] = lambda _: None,
) -> None:
    """Do `runs` on `executor`, appending each line of results to `log` as it comes.

    Raises `ComparisonError` if the log takes no more, and what a run raises that is no divergence;
    the results so far are then in the log.
    """
    futures = [executor.submit(train_run, run, data_folder) for run in runs]
    for future in as_completed(futures):
        line = future.result()
        log.append(line)
        progress(line)
