"""What a batch of SBPCA starts from: accuracy of the CNN with each way of starting.

    python benchmarks/start_state.py [--images 20000] [--ranks 4 8] [--seeds 0 1] [--json FILE]

Trains one epoch of Fashion-MNIST's first images in floating point, each way with the same images,
initial weights and steps, and prints the test accuracy, or that the training diverged:

* warm, t = 0: as Eigenbar does, directions and weights go on from batch to batch, and the first
  batch starts from weight zero;
* warm, sigma = 1: the first batch starts from random directions of weight one, as the published
  code does;
* directions only: they go on, every batch starts from weight zero;
* cold: every batch starts from random directions of weight zero.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command line has it

import numpy as np

from golden_model import datasets
from golden_model.datasets import Dataset
from golden_model.files import write_json
from golden_model.optimizers import FloatOptimizer, LayerPlan, Samples
from golden_model.sbpca import Factors
from golden_model.training import Trainer, batches
from golden_model.training_settings import TrainingError, TrainingSettings


class _SigmaOne(FloatOptimizer):
    """Starts from random directions of weight one."""

    def __init__(self, plans: Sequence[LayerPlan], seed: int) -> None:
        super().__init__(plans, seed)
        arrays = self.state()
        self.restore({
            name: np.ones_like(array) if name.endswith("/sigma") else array
            for name, array in arrays.items()
        })  # fmt: skip


class _Cold(FloatOptimizer):
    """Forgets everything after every batch."""

    def __init__(self, plans: Sequence[LayerPlan], seed: int) -> None:
        super().__init__(plans, seed)
        self._start = (plans, seed)
        self._batches = [0] * len(plans)

    def gradient(self, layer: int, samples: Samples) -> Factors:
        """See `Optimizer`; each batch's random directions are its own."""
        plans, seed = self._start
        self._batches[layer] += 1
        fresh = FloatOptimizer(plans, seed + len(plans) * self._batches[layer])
        return fresh.gradient(layer, samples)


WAYS: dict[str, Callable[[Sequence[LayerPlan], int], FloatOptimizer]] = {
    "warm, t = 0": FloatOptimizer,
    "warm, sigma = 1": _SigmaOne,
    "directions only": lambda plans, seed: FloatOptimizer(plans, seed, momentum=0.0),
    "cold": _Cold,
}


def accuracy(way: str, settings: TrainingSettings, dataset: Dataset) -> float | None:
    """Test accuracy after an epoch, None if the training diverged."""
    trainer = Trainer(settings, dataset.shape, dataset.classes)
    trainer.optimizer = WAYS[way](trainer.plans, settings.seed)
    try:
        with np.errstate(all="ignore"):
            for step, (images, labels) in enumerate(batches(settings, dataset, epoch=1)):
                trainer.step(images, labels, step)
    except TrainingError:
        return None
    return trainer.network.accuracy(dataset.test_images, dataset.test_labels)


def main() -> None:
    """Train every way, print a Markdown table, and write JSON as results come if asked."""
    parser = argparse.ArgumentParser(description="Start of a batch; see the module's docstring.")
    parser.add_argument("--images", type=int, default=20000)
    parser.add_argument("--ranks", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--learning-rate", type=float, default=0.1)
    parser.add_argument("--data-folder", type=Path, help="folder of Fashion-MNIST's files")
    parser.add_argument("--json", type=Path, help="file that takes the results")
    options = parser.parse_args()
    dataset = datasets.load("fashion-mnist", options.data_folder)
    base = TrainingSettings(
        arithmetic="float", train_limit=options.images, learning_rate=options.learning_rate
    )
    runs = []
    columns = [(rank, seed) for rank in options.ranks for seed in options.seeds]
    print("| start | " + " | ".join(f"rank {rank}, seed {seed}" for rank, seed in columns) + " |")
    print("|---|" + "---|" * len(columns))
    for way in WAYS:
        cells = []
        for rank, seed in columns:
            reached = accuracy(way, replace(base, rank=rank, seed=seed), dataset)
            cells.append("diverged" if reached is None else f"{100 * reached:.2f}")
            runs.append({"start": way, "rank": rank, "seed": seed, "test_accuracy": reached})
            if options.json:
                write_json(options.json, {"settings": base.as_dict(), "runs": runs})
        print(f"| {way} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
