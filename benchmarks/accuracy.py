"""Test accuracy of the CNN for each optimiser, rank, arithmetic and width, over several seeds.

    python benchmarks/accuracy.py [--seeds 0 1 2 3 4] [--epochs 1] [--dataset NAME] [--json FILE]

Prints a Markdown table of the accuracies after the last epoch. Every result goes to the JSON file
as it comes, and runs that are in it already are not repeated: an interrupted benchmark goes on
where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command line has it

from golden_model import datasets, training
from golden_model.files import write_json
from golden_model.parameters import Parameters
from golden_model.training_settings import TrainingSettings, with_width


def kinds(dataset: str, epochs: int, seed: int) -> dict[str, TrainingSettings]:
    """The runs to compare, by name."""

    def settings(optimizer: str, arithmetic: str = "float", rank: int = 4, width: int = 16,
                 array: str = "ideal") -> TrainingSettings:  # fmt: skip
        return TrainingSettings(
            dataset=dataset,
            optimizer=optimizer,
            arithmetic=arithmetic,
            rank=rank,
            array=array,
            epochs=epochs,
            seed=seed,
            parameters=with_width(Parameters(), width),
        )

    return {
        "MBGD, float": settings("mbgd"),
        "SBPCA rank 4, float": settings("sbpca"),
        "SBPCA rank 4, fixed 16 bits": settings("sbpca", "fixed"),
        "SBPCA rank 8, float": settings("sbpca", rank=8),
        "SBPCA rank 8, fixed 16 bits": settings("sbpca", "fixed", 8),
        "SBPCA rank 8, fixed 8 bits": settings("sbpca", "fixed", 8, 8),
        "SBPCA rank 8, fixed 16 bits, pulsed": settings("sbpca", "fixed", 8, array="pulsed"),
    }


def main() -> None:
    """Train, print a table, and write JSON if asked."""
    parser = argparse.ArgumentParser(description="Accuracy; see the module's docstring.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--dataset", default="fashion-mnist")
    parser.add_argument("--data-folder", type=Path, help="folder of the data set's files")
    parser.add_argument("--json", type=Path, help="file that takes the results")
    options = parser.parse_args()
    dataset = datasets.load(options.dataset, options.data_folder)
    done: dict[str, float] = {}
    if options.json and options.json.exists():
        done = json.loads(options.json.read_text())
    names = list(kinds(options.dataset, options.epochs, 0))
    for seed in options.seeds:
        for name, settings in kinds(options.dataset, options.epochs, seed).items():
            key = f"{options.dataset}, {options.epochs} epochs, seed {seed}: {name}"
            if key not in done:
                done[key] = training.train(settings, dataset)["test_accuracy"]
                if options.json:
                    write_json(options.json, done)
    print("| run | " + " | ".join(f"seed {seed}" for seed in options.seeds) + " | mean |")
    print("|---|" + "---|" * (len(options.seeds) + 1))
    for name in names:
        row = [
            100 * done[f"{options.dataset}, {options.epochs} epochs, seed {seed}: {name}"]
            for seed in options.seeds
        ]
        print(f"| {name} | {' | '.join(f'{value:.2f}' for value in row)} | "
              f"{statistics.mean(row):.2f} |")  # fmt: skip


if __name__ == "__main__":
    main()
