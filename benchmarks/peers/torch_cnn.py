"""The CNN in PyTorch, for benchmarks/training_throughput.py, which runs this in PyTorch's Python.

The network, batch and plain gradient descent of Eigenbar's `cnn`, in float32 on the CPU, with
feature maps in PyTorch's default order and channels last. Prints a line of JSON when it is ready;
for each line of its input it then trains on all images once in each order and prints the rates.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import torch
from torch import nn

LEARNING_RATE = 0.1


def network() -> nn.Module:
    """Eigenbar's `cnn` for 28 x 28 pixels; pooling before ReLU, as there."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


class Run:
    """Training in one order of memory."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor, batch: int, order: str) -> None:
        """Train with `images` and `labels`, `batch` at a time."""
        memory = torch.channels_last if order == "channels_last" else torch.contiguous_format
        self._model = network().to(memory_format=memory)
        self._batches = list(zip(images.split(batch), labels.split(batch), strict=True))
        self._batches = [(x.to(memory_format=memory), y) for x, y in self._batches]
        self._optimizer = torch.optim.SGD(self._model.parameters(), lr=LEARNING_RATE)
        self._loss = nn.CrossEntropyLoss()

    def epoch(self) -> dict[str, float]:
        """Images a second, and images a second of processor time."""
        wall, processor = time.perf_counter(), time.process_time()
        count = 0
        for images, labels in self._batches:
            self._optimizer.zero_grad()
            self._loss(self._model(images), labels).backward()
            self._optimizer.step()
            count += len(labels)
        return {
            "wall": count / (time.perf_counter() - wall),
            "processor": count / (time.process_time() - processor),
        }


def main() -> None:
    """Answer every line of the input with rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=640)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    images = torch.rand(options.images, 1, 28, 28)
    labels = torch.randint(0, 10, (options.images,))
    runs = {
        order: Run(images, labels, options.batch, order) for order in ("default", "channels_last")
    }
    for run in runs.values():
        run.epoch()
    print(json.dumps({"version": torch.__version__}), flush=True)
    for _ in sys.stdin:
        print(json.dumps({order: run.epoch() for order, run in runs.items()}), flush=True)


if __name__ == "__main__":
    main()
