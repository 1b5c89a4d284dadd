"""Images a second that training takes in: MBGD, SBPCA in float and in the accelerator's words, and
PyTorch.

    python benchmarks/training_throughput.py [--ranks 4 8] [--threads 1 2] [--repeats 5]
        [--peer-python PYTHON] [--json FILE]

Trains the CNN on the first images of Fashion-MNIST. PyTorch trains the same network with the same
batch, plain steps and float32 (peers/torch_cnn.py) by the interpreter of `--peer-python`; without
it, or where that has no PyTorch, it is reported as absent. All take turns, so that a change of the
machine's load meets them alike; medians over the repeats are reported, and a ratio is the median of
each repeat's own. PyTorch is taken in its fastest memory order and OpenMP waiting policy.

Rates are by the clock and by processor time. Where other programs share the processors, the second
with one thread is the one to trust: threads of PyTorch wait for each other after every operation.
MBGD must reach 0.8 of PyTorch's rate, exact integer training half of float's.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command line has it

from golden_model import compiled, datasets, parallel
from golden_model.datasets import Dataset
from golden_model.files import write_json
from golden_model.training import Trainer, batches
from golden_model.training_settings import TrainingSettings

REQUIRED_FIXED = 0.5
"""Least images a second of fixed SBPCA, as a part of float SBPCA's."""

REQUIRED_FLOAT = 0.8
"""Least images a second of MBGD, as a part of PyTorch's."""

PEER = Path(__file__).parent / "peers" / "torch_cnn.py"
Rates = dict[str, float]
"""Images a second by the clock, `wall`, and of processor time, `processor`."""


class Peer:
    """PyTorch in processes of its own, one for each waiting policy."""

    def __init__(self, python: str, images: int, threads: int) -> None:
        """Start them. Raises OSError or ValueError where there is no PyTorch."""
        command = [python, str(PEER), "--images", str(images), "--threads", str(threads)]
        self._processes = {
            policy: subprocess.Popen(
                command, env=os.environ | {"OMP_WAIT_POLICY": policy}, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )
            for policy in (("PASSIVE", "ACTIVE") if threads > 1 else ("PASSIVE",))
        }  # fmt: skip
        answers = [self._answer(process) for process in self._processes.values()]
        for process in self._processes.values():  # its threads may spin while they wait
            process.send_signal(signal.SIGSTOP)
        self.version = answers[0]["version"]

    @staticmethod
    def _answer(process: subprocess.Popen[str]) -> Any:
        assert process.stdout is not None
        return json.loads(process.stdout.readline())

    def rates(self) -> dict[str, Rates]:
        """Rates of one pass over the images, by waiting policy and memory order."""
        results = {}
        for policy, process in self._processes.items():
            assert process.stdin is not None
            process.send_signal(signal.SIGCONT)
            process.stdin.write("\n")
            process.stdin.flush()
            for order, rates in self._answer(process).items():
                results[f"{order}, {policy.lower()}"] = rates
            process.send_signal(signal.SIGSTOP)
        return results

    def close(self) -> None:
        """End the processes."""
        for process in self._processes.values():
            process.send_signal(signal.SIGCONT)
            process.communicate()


def start_peer(python: str | None, images: int, threads: int) -> Peer | None:
    """PyTorch by interpreter `python`, or nothing where there is none."""
    if python is None:
        return None
    try:
        return Peer(python, images, threads)
    except (OSError, ValueError):
        return None


def kinds(rank: int, images: int) -> dict[str, TrainingSettings]:
    """The settings to compare."""
    return {
        "mbgd": TrainingSettings(optimizer="mbgd", train_limit=images),
        "float": TrainingSettings(arithmetic="float", rank=rank, train_limit=images),
        "fixed": TrainingSettings(arithmetic="fixed", rank=rank, train_limit=images),
    }


def images_per_second(settings: TrainingSettings, dataset: Dataset) -> Rates:
    """Rates of one pass over the images, after one batch that allocates all memory."""
    trainer = Trainer(settings, dataset.shape, dataset.classes)
    data = list(batches(settings, dataset, epoch=1))
    trainer.step(*data[0])
    wall, processor = time.perf_counter(), time.process_time()
    for step, (images, labels) in enumerate(data):
        trainer.step(images, labels, step)
    images_seen = sum(len(labels) for _, labels in data)
    return {
        "wall": images_seen / (time.perf_counter() - wall),
        "processor": images_seen / (time.process_time() - processor),
    }


def measure(
    rank: int, images: int, repeats: int, dataset: Dataset, peer: Peer | None
) -> dict[str, Any]:
    """Median rates of all kinds at `rank`, and median ratios."""
    all_rates: list[dict[str, Rates]] = []
    for _ in range(repeats):
        rates = {name: images_per_second(s, dataset) for name, s in kinds(rank, images).items()}
        if peer is not None:
            candidates = peer.rates()
            rates |= {f"torch, {name}": value for name, value in candidates.items()}
            rates["torch"] = {
                clock: max(value[clock] for value in candidates.values())
                for clock in ("wall", "processor")
            }
        all_rates.append(rates)

    def ratio(first: str, second: str) -> Rates:
        return {
            clock: statistics.median(r[first][clock] / r[second][clock] for r in all_rates)
            for clock in ("wall", "processor")
        }

    return {
        "rank": rank,
        "images_per_second": {
            name: {clock: statistics.median(r[name][clock] for r in all_rates) for clock in rates}
            for name, rates in all_rates[0].items()
        },
        "fixed_over_float": ratio("fixed", "float"),
        "mbgd_over_torch": ratio("mbgd", "torch") if peer is not None else None,
        "float_over_torch": ratio("float", "torch") if peer is not None else None,
        "all_rates": all_rates,
    }


def main() -> None:
    """Measure, print lines for each rank and number of threads, and write JSON if asked."""
    parser = argparse.ArgumentParser(description="Training throughput; see the module's docstring.")
    parser.add_argument("--ranks", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--images", type=int, default=640, help="images of a run")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peer-python", help="Python interpreter that has PyTorch")
    parser.add_argument("--data-folder", type=Path, help="folder of Fashion-MNIST's files")
    parser.add_argument("--json", type=Path, help="file that takes the results")
    options = parser.parse_args()
    dataset = datasets.load("fashion-mnist", options.data_folder)
    results, version = [], None
    for threads in options.threads:
        parallel.set_threads(threads)
        peer = start_peer(options.peer_python, options.images, threads)
        version = peer.version if peer else None
        print(f"{threads} threads, PyTorch {version or 'absent'}, images/s (of processor time):")
        for rank in options.ranks:
            result = measure(rank, options.images, options.repeats, dataset, peer)
            results.append({"threads": threads, **result})
            shown = {n: r for n, r in result["images_per_second"].items() if "," not in n}
            rates = ", ".join(
                f"{n} {r['wall']:.0f} ({r['processor']:.0f})" for n, r in shown.items()
            )
            ratios = ", ".join(
                f"{name.replace('_over_', '/')} {value['wall']:.2f} ({value['processor']:.2f})"
                for name, value in result.items()
                if "_over_" in name and value
            )
            print(f"  rank {rank}: {rates}; {ratios}", flush=True)
        if peer:
            peer.close()
    if options.json:
        write_json(
            options.json,
            {
                "settings": {
                    "images": options.images, "repeats": options.repeats,
                    "torch": version, "compiled": compiled.AVAILABLE,
                },
                "required": {"fixed_over_float": REQUIRED_FIXED, "mbgd_over_torch": REQUIRED_FLOAT},
                "runs": results,
            },
        )  # fmt: skip


if __name__ == "__main__":
    main()
