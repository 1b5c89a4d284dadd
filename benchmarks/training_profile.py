"""Where the time of training goes: processor time of each stage, for each optimiser.

    python benchmarks/training_profile.py [--ranks 4 8] [--images 1280] [--json FILE]

Trains the CNN on the first images of Fashion-MNIST in one thread, with the functions of each stage
wrapped in a stopwatch. What a stage calls of another stage counts for that one alone.
"""

from __future__ import annotations

import argparse
import functools
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command line has it

from golden_model import datasets, layers, network
from golden_model.arrays import IdealArray
from golden_model.datasets import Dataset
from golden_model.files import write_json
from golden_model.optimizers import FixedOptimizer, FloatOptimizer, Mbgd
from golden_model.training import Trainer, batches
from golden_model.training_settings import TrainingSettings

FUNCTIONS = (
    (layers, "unfold", "unfolding and folding"),
    (layers, "fold", "unfolding and folding"),
    (layers, "outer_products", "gradient or factors"),
    (layers, "max_pool", "pooling and ReLU"),
    (layers, "max_pool_errors", "pooling and ReLU"),
    (network, "softmax_cross_entropy", "loss"),
    (Mbgd, "gradient", "gradient or factors"),
    (FloatOptimizer, "gradient", "gradient or factors"),
    (FixedOptimizer, "gradient", "gradient or factors"),
    (IdealArray, "descend", "update"),
)
"""Where a function is, its name, and the stage that it is."""

LAYERS = (
    (layers.Convolution, "convolution: products, copies"),
    (layers.FullyConnected, "fully connected: products, copies"),
    (layers.Relu, "pooling and ReLU"),
    (layers.MaxPool, "pooling and ReLU"),
)
"""Layers, whose way back is timed too."""


class Stopwatch:
    """Processor time by stage, of each what its own functions take."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner = [0.0]  # time of the stages within each stage under way

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what is done within as `name`, less the stages in it."""
        self._inner.append(0.0)
        start = time.process_time()
        try:
            yield
        finally:
            taken = time.process_time() - start
            self.seconds[name] += taken - self._inner.pop()
            self._inner[-1] += taken

    def wrapped(self, function: Callable, name: str) -> Callable:
        """`function`, timed as `name`."""

        @functools.wraps(function)
        def timed(*arguments: Any, **options: Any) -> Any:
            with self.stage(name):
                return function(*arguments, **options)

        return timed

    def wrapped_layer(self, forward: Callable, name: str) -> Callable:
        """A layer's `forward`, timed as `name` with the way back that it returns."""

        def timed(*arguments: Any) -> Any:
            with self.stage(name):
                outputs, backward = forward(*arguments)
            return outputs, self.wrapped(backward, name)

        return timed


def profile(settings: TrainingSettings, dataset: Dataset) -> dict[str, float]:
    """Milliseconds of processor time a batch, by stage."""
    trainer = Trainer(settings, dataset.shape, dataset.classes)
    data = list(batches(settings, dataset, epoch=1))
    trainer.step(*data[0])
    watch = Stopwatch()
    patches = [
        mock.patch.object(owner, name, watch.wrapped(getattr(owner, name), stage))
        for owner, name, stage in FUNCTIONS
    ]
    patches += [
        mock.patch.object(layer, "forward", watch.wrapped_layer(layer.forward, stage))
        for layer, stage in LAYERS
    ]
    for patch in patches:
        patch.start()
    try:
        for step, batch in enumerate(data):
            with watch.stage("all else"):
                trainer.step(*batch, step)
    finally:
        for patch in patches:
            patch.stop()
    return {stage: 1e3 * seconds / len(data) for stage, seconds in watch.seconds.items()}


def main() -> None:
    """Profile, print a Markdown table, and write JSON if asked."""
    parser = argparse.ArgumentParser(description="Profile; see the module's docstring.")
    parser.add_argument("--ranks", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--images", type=int, default=1280)
    parser.add_argument("--data-folder", type=Path, help="folder of Fashion-MNIST's files")
    parser.add_argument("--json", type=Path, help="file that takes the results")
    options = parser.parse_args()
    dataset = datasets.load("fashion-mnist", options.data_folder)
    runs = {"MBGD": TrainingSettings(optimizer="mbgd", train_limit=options.images)}
    for rank in options.ranks:
        for arithmetic in ("float", "fixed"):
            runs[f"{arithmetic}, rank {rank}"] = TrainingSettings(
                arithmetic=arithmetic, rank=rank, train_limit=options.images
            )
    results = {name: profile(settings, dataset) for name, settings in runs.items()}
    print("| ms a batch of 64 | " + " | ".join(runs) + " |")
    print("|---|" + "---:|" * len(runs))
    totals = {name: sum(stages.values()) for name, stages in results.items()}
    for stage in sorted(results["MBGD"], key=results["MBGD"].__getitem__, reverse=True):
        cells = [
            f"{stages[stage]:.2f} ({100 * stages[stage] / totals[name]:.0f} %)"
            for name, stages in results.items()
        ]
        print(f"| {stage} | {' | '.join(cells)} |")
    print("| sum | " + " | ".join(f"{total:.2f}" for total in totals.values()) + " |")
    if options.json:
        write_json(options.json, {"milliseconds_a_batch": results})


if __name__ == "__main__":
    main()
