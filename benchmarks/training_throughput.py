"""Images a second that training takes in: MBGD, SBPCA in float, SBPCA in the accelerator's words.

    python benchmarks/training_throughput.py [--ranks 4 8] [--repeats 5] [--json FILE]

Trains the CNN on the first images of Fashion-MNIST. The kinds take turns, so that a change of the
machine's load meets all of them alike; medians over the repeats are reported, and the ratio is the
median of each repeat's own. Exact integer training must reach at least half of float's rate.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command line has it

from golden_model import datasets
from golden_model.datasets import Dataset
from golden_model.files import write_json
from golden_model.training import Trainer, batches
from golden_model.training_settings import TrainingSettings

REQUIRED_RATIO = 0.5
"""Least images a second of fixed SBPCA, as a part of float SBPCA's."""


def kinds(rank: int, images: int) -> dict[str, TrainingSettings]:
    """The settings to compare."""
    return {
        "mbgd": TrainingSettings(optimizer="mbgd", train_limit=images),
        "float": TrainingSettings(arithmetic="float", rank=rank, train_limit=images),
        "fixed": TrainingSettings(arithmetic="fixed", rank=rank, train_limit=images),
    }


def images_per_second(settings: TrainingSettings, dataset: Dataset) -> float:
    """Rate of one pass over the images, after one batch that allocates all memory."""
    trainer = Trainer(settings, dataset.shape, dataset.classes)
    data = list(batches(settings, dataset, epoch=1))
    trainer.step(*data[0])
    start = time.perf_counter()
    for step, (images, labels) in enumerate(data):
        trainer.step(images, labels, step)
    return sum(len(labels) for _, labels in data) / (time.perf_counter() - start)


def measure(rank: int, images: int, repeats: int, dataset: Dataset) -> dict[str, Any]:
    """Median rates of all kinds at `rank`, and the median ratio of fixed to float."""
    rates: dict[str, list[float]] = {name: [] for name in kinds(rank, images)}
    for _ in range(repeats):
        for name, settings in kinds(rank, images).items():
            rates[name].append(images_per_second(settings, dataset))
    ratios = [fixed / float_ for fixed, float_ in zip(rates["fixed"], rates["float"], strict=True)]
    return {
        "rank": rank,
        "images_per_second": {name: statistics.median(values) for name, values in rates.items()},
        "fixed_over_float": statistics.median(ratios),
        "all_rates": rates,
    }


def main() -> None:
    """Measure, print a line a rank, and write JSON if asked."""
    parser = argparse.ArgumentParser(description="Training throughput; see the module's docstring.")
    parser.add_argument("--ranks", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--images", type=int, default=640, help="images of a run")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--data-folder", type=Path, help="folder of Fashion-MNIST's files")
    parser.add_argument("--json", type=Path, help="file that takes the results")
    options = parser.parse_args()
    dataset = datasets.load("fashion-mnist", options.data_folder)
    results = []
    for rank in options.ranks:
        result = measure(rank, options.images, options.repeats, dataset)
        results.append(result)
        rates = ", ".join(f"{k} {v:.0f}" for k, v in result["images_per_second"].items())
        print(f"rank {rank}: images/s {rates}; fixed/float {result['fixed_over_float']:.2f}")
    if options.json:
        settings = {"images": options.images, "repeats": options.repeats}
        write_json(
            options.json, {"settings": settings, "required": REQUIRED_RATIO, "runs": results}
        )


if __name__ == "__main__":
    main()
