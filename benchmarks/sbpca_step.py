"""Time of an SBPCA batch in float: the hardware form against the published form, same outputs.

The published form is ported operation by operation with NumPy's QR factorisation, as its authors'
library has it (XBTorch, class SBPCA), but with slices in place of index lists. Both start from the
same warm state, and their outputs, X, Delta and sigma, are compared. Times are medians of processor
time, in turns: other programs on the machine change them least.

    python benchmarks/sbpca_step.py --json results.json
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from golden_model.files import write_json
from golden_model.sbpca import Array, FloatState, hardware_batch, initial_state

REQUIRED_RATIO = 3.0
"""Times that the hardware form is to be faster."""

CASES = (
    ("fully connected", 256, 784, 32, 128),
    ("im2col", 64, 288, 32, 8192),
    ("im2col", 64, 288, 1024, 8192),
)
"""Name, m, n, samples a block, samples a batch."""


def published_batch(state: FloatState, activations: Array, errors: Array, block: int) -> FloatState:
    """The published form, for warm states and whole blocks."""
    x, delta, sigma = state.x, state.delta, state.sigma
    for i in range(len(activations) // block):
        a = activations[i * block : (i + 1) * block]
        d = errors[i * block : (i + 1) * block]
        share = (i + 1) * block / ((i + 2) * block)
        y = d @ delta / ((i + 2) * block)
        q, r = np.linalg.qr(x * share + a.T @ y / sigma)
        x = q @ np.diag(np.diag(np.sign(r)))
        z = a @ x / ((i + 2) * block)
        q, r = np.linalg.qr(delta * share + d.T @ z / sigma)
        delta = q @ np.diag(np.diag(np.sign(r)))
        sigma = sigma * share + np.sum((d @ delta) * (a @ x), axis=0) / ((i + 2) * block)
    return FloatState(x, delta, sigma)


def measure(name: str, m: int, n: int, block: int, samples: int, rank: int, turns: int) -> dict:
    """Median times of both forms, and the largest difference of their outputs."""
    random = np.random.default_rng(0)
    latent = random.standard_normal((samples, 20))
    activations = np.maximum(latent @ random.standard_normal((20, n)), 0).astype(np.float32)
    errors = (latent @ random.standard_normal((20, m))).astype(np.float32)
    cold = initial_state(m, n, rank, 0)
    single = (array.astype(np.float32) for array in (cold.x, cold.delta, cold.sigma))
    warm = hardware_batch(FloatState(*single), activations, errors, block)
    forms: dict[str, Callable[..., FloatState]] = {
        "published": published_batch,
        "hardware": hardware_batch,
    }
    seconds: dict[str, list[float]] = {form: [] for form in forms}
    outputs: dict[str, FloatState] = {}
    for _ in range(turns):
        for form, batch in forms.items():
            start = time.process_time()
            outputs[form] = batch(warm, activations, errors, block)
            seconds[form].append(time.process_time() - start)
    published, hardware = outputs["published"], outputs["hardware"]
    return {
        "data": name, "m": m, "n": n, "block": block, "samples": samples, "rank": rank,
        "seconds": {form: float(np.median(times)) for form, times in seconds.items()},
        "ratio": float(np.median(seconds["published"]) / np.median(seconds["hardware"])),
        "largest_difference": {
            "x": float(np.abs(published.x - hardware.x).max()),
            "delta": float(np.abs(published.delta - hardware.delta).max()),
            "sigma": float((np.abs(published.sigma - hardware.sigma) / hardware.sigma).max()),
        },
    }  # fmt: skip


def main() -> None:
    """Measure every case at ranks 4 and 8 and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=50, help="times each form is timed")
    parser.add_argument("--json", type=Path, help="file that takes the results")
    options = parser.parse_args()
    results: list[dict[str, Any]] = []
    for case in CASES:
        for rank in (4, 8):
            turns = max(3, options.turns * 128 // case[4])
            result = measure(*case, rank=rank, turns=turns)
            results.append(result)
            times = {form: f"{1e3 * value:.2f} ms" for form, value in result["seconds"].items()}
            print(f"{case}, rank {rank}: {times}, ratio {result['ratio']:.2f}, "
                  f"differences {result['largest_difference']}")  # fmt: skip
    if options.json:
        write_json(options.json, {"required": REQUIRED_RATIO, "runs": results})


if __name__ == "__main__":
    main()
