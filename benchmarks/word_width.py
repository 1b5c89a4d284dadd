"""How near the accelerator's integers come to floating point, for several word widths.

    python benchmarks/word_width.py [--rank 4] [--batches 24] [--dataset NAME] [--json FILE]

Captures activations and errors of every layer of the CNN in training and factorises each batch from
a cold state, with the integer model at each width and with the hardware form in float64. Prints the
relative Frobenius error of the factors' product, median and largest over the batches, twice: with
float64 starting from the same words, which is the error of the arithmetic; and with float64 on the
values as captured, which adds what quantising them does.
"""

from __future__ import annotations

import argparse
import os
import statistics
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command line has it

import numpy as np

from golden_model import datasets, training
from golden_model.files import write_json
from golden_model.fixed import FixedSbpca
from golden_model.parameters import Parameters
from golden_model.sbpca import FloatSbpca
from golden_model.training import LayerSample
from golden_model.training_settings import TrainingSettings, with_width

WIDTHS = (8, 10, 12, 14, 16, 18)
REQUIRED_ERROR = 1e-3
"""Largest error allowed at 16 bits."""


def relative_error(parameters: Parameters, sample: LayerSample, *, same_words: bool) -> float:
    """Relative Frobenius error of the integer model on one batch of a layer."""
    activations = sample.activations.astype(np.float64)
    errors = sample.errors.astype(np.float64)
    m, n = errors.shape[1], activations.shape[1]
    fixed, exact = FixedSbpca(parameters, m, n, sample.rank), FloatSbpca(m, n, sample.rank)
    if same_words:
        exact.restore(
            {
                "x": unit_columns(fixed.words.x),
                "delta": unit_columns(fixed.words.delta),
                "sigma": np.zeros(sample.rank),
            }
        )
        activations, errors = (
            np.ldexp(*parameters.word.quantise(values)) for values in (activations, errors)
        )
    seen = fixed.factorise(activations, errors, sample.block).gradient()
    wanted = exact.factorise(activations, errors, sample.block).gradient()
    return float(np.linalg.norm(seen - wanted) / np.linalg.norm(wanted))


def unit_columns(words: np.ndarray) -> np.ndarray:
    """The directions of columns of words."""
    return words / np.linalg.norm(words, axis=0)


def main() -> None:
    """Measure, print Markdown tables, and write JSON if asked."""
    parser = argparse.ArgumentParser(description="Error by word width; see the module's docstring.")
    parser.add_argument("--dataset", default="fashion-mnist")
    parser.add_argument("--data-folder", type=Path, help="folder of the data set's files")
    parser.add_argument("--rank", type=int, default=4)
    parser.add_argument("--steps", type=int, default=100, help="batches trained before the first")
    parser.add_argument("--batches", type=int, default=24, help="batches measured")
    parser.add_argument("--json", type=Path, help="file that takes the results")
    options = parser.parse_args()
    settings = TrainingSettings(dataset=options.dataset, rank=options.rank)
    dataset = datasets.load(options.dataset, options.data_folder)
    layers = training.capture(settings, dataset, options.steps, options.batches)
    results: dict[str, Any] = {
        "settings": {name: str(value) for name, value in vars(options).items()},
        "required_at_16": REQUIRED_ERROR,
    }
    for kind, same_words in (("arithmetic", True), ("with quantisation", False)):
        print(f"| {kind} | " + " | ".join(samples[0].name for samples in layers) + " |")
        print("|---|" + "---|" * len(layers))
        results[kind] = {}
        for width in WIDTHS:
            parameters = with_width(settings.parameters, width)
            row = {}
            for samples in layers:
                errors = [
                    relative_error(parameters, sample, same_words=same_words) for sample in samples
                ]
                row[samples[0].name] = {"median": statistics.median(errors), "worst": max(errors)}
            results[kind][str(width)] = row
            cells = (f"{100 * e['median']:.2g} / {100 * e['worst']:.2g} %" for e in row.values())
            print(f"| {width} bits | " + " | ".join(cells) + " |", flush=True)
    if options.json:
        write_json(options.json, results)


if __name__ == "__main__":
    main()
