"""Images a second that training through the crossbar takes in, by kind of read.

    python benchmarks/read_throughput.py [--repeats 5] [--json FILE]

Trains the CNN on the first images of Fashion-MNIST by pulses into crossbar tiles: with ideal reads,
through converters, with noise, and bit by bit. The kinds take turns, so that a change of the
machine's load meets all of them alike; medians over the repeats are reported, and the ratio is the
median of each repeat's own.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command line has it

from golden_model import datasets
from golden_model.datasets import Dataset
from golden_model.files import write_json
from golden_model.reads import Reads
from golden_model.training import Trainer, batches
from golden_model.training_settings import TrainingSettings

KINDS = {
    "ideal": Reads(),
    "analog": Reads("analog"),
    "12 bits": Reads("analog", dac_bits=12, adc_bits=12),
    "noise": Reads("analog", input_noise=0.01, output_noise=0.02),
    "bit-serial": Reads("analog", encoding="bit-serial"),
}
"""The reads to compare, the first being what the others are compared to."""


def seconds(reads: Reads, images: int, dataset: Dataset) -> tuple[float, float]:
    """Time of one pass over the images, and of forward and backward propagation in it."""
    settings = TrainingSettings(array="pulsed", reads=reads, train_limit=images)
    trainer = Trainer(settings, dataset.shape, dataset.classes)
    data = list(batches(settings, dataset, epoch=1))
    trainer.step(*data[0])  # allocates all memory
    propagation, start = 0.0, time.perf_counter()
    for step, (batch, labels) in enumerate(data):
        trainer.step(batch, labels, step)
    whole = time.perf_counter() - start
    for step, (batch, labels) in enumerate(data):
        start = time.perf_counter()
        trainer.backpropagate(batch, labels, step)
        propagation += time.perf_counter() - start
    return whole, propagation


def main() -> None:
    """Measure, print a line a kind, and write JSON if asked."""
    parser = argparse.ArgumentParser(description="Speed of reads; see the module's docstring.")
    parser.add_argument("--images", type=int, default=640, help="images of a run")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--data-folder", type=Path, help="folder of Fashion-MNIST's IDX files")
    parser.add_argument("--json", type=Path, help="file that takes the results")
    options = parser.parse_args()
    dataset = datasets.load("fashion-mnist", options.data_folder)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in KINDS}
    for _ in range(options.repeats):
        for name, reads in KINDS.items():
            times[name].append(seconds(reads, options.images, dataset))
    base, results = times["ideal"], {}
    for name, found in times.items():
        ratios = [
            [mine / ideal for mine, ideal in zip(one, other, strict=True)]
            for one, other in zip(found, base, strict=True)
        ]
        results[name] = {
            "images_per_second": options.images / statistics.median(whole for whole, _ in found),
            "time_of_training": statistics.median(ratio for ratio, _ in ratios),
            "time_of_propagation": statistics.median(ratio for _, ratio in ratios),
        }
        row = results[name]
        print(
            f"{name}: {row['images_per_second']:.0f} images/s, {row['time_of_training']:.2f} times "
            f"the ideal reads' time, {row['time_of_propagation']:.2f} times in propagation alone"
        )
    if options.json:
        settings = {"images": options.images, "repeats": options.repeats}
        write_json(options.json, {"settings": settings, "kinds": results})


if __name__ == "__main__":
    main()
