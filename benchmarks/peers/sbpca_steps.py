"""Steps a second of SBPCA in float on the CPU, for benchmarks/steps_per_second.py.

A process of its own, because the threads of BLAS are set when it is loaded, and because PyTorch may
be another Python's. A step is a block of samples. The published form is written once for NumPy and
PyTorch, with a QR factorisation and with a Cholesky factorisation of the columns' products, which
is faster and less exact; NumPy also runs the hardware form as the golden model has it. Each runs
for `--seconds` after a warm-up, and the fastest batch counts: other programs only make it slower.

Prints a line of JSON for each shape "m,n,k,b" and precision.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from golden_model import compiled
from golden_model.sbpca import FloatState, hardware_batch, initial_state, reference_batch

BLOCKS = 16
"""Blocks of a batch."""

Step = Callable[[], tuple[Any, Any, Any]]


def by_qr(xp: Any, columns: Any) -> Any:
    """Q of the QR factorisation with a positive diagonal of R."""
    q, r = xp.linalg.qr(columns)
    return q * xp.sign(r.diagonal())


def by_cholesky(xp: Any, columns: Any) -> Any:
    """The same from the columns' products, which square their condition."""
    return columns @ xp.linalg.inv(xp.linalg.cholesky(columns.T @ columns)).T


def published_batch(
    xp: Any, orthonormalise: Callable[..., Any], state: FloatState, a: Any, d: Any, block: int
) -> tuple[Any, Any, Any]:
    """`golden_model.sbpca.reference_batch` for warm states and whole blocks, in NumPy or PyTorch.

    Returns X, Delta and sigma.
    """
    x, delta, sigma = state.x, state.delta, state.sigma
    weighed = block
    for start in range(0, len(a), block):
        samples, errors = a[start : start + block], d[start : start + block]
        total = weighed + block
        scale, share = total * sigma, weighed / total
        x = orthonormalise(xp, share * x + samples.T @ (errors @ delta) / scale)
        delta = orthonormalise(xp, share * delta + errors.T @ (samples @ x) / scale)
        sigma = share * sigma + ((errors @ delta) * (samples @ x)).sum(0) / total
        weighed = total
    return x, delta, sigma


def problem(m: int, n: int, k: int, b: int, precision: str) -> tuple[FloatState, Any, Any]:
    """A warm state, activations and errors of `BLOCKS` blocks."""
    random = np.random.default_rng(0)
    latent = random.standard_normal((BLOCKS * b, 20))
    activations = np.maximum(latent @ random.standard_normal((20, n)), 0)
    errors = latent @ random.standard_normal((20, m))
    warm = reference_batch(initial_state(m, n, k, 0), activations, errors, b)
    state = FloatState(*(part.astype(precision) for part in (warm.x, warm.delta, warm.sigma)))
    return state, activations.astype(precision), errors.astype(precision)


def fastest(batch: Callable[[], Any], seconds: float) -> float:
    """Steps a second of the fastest run of `batch` in so many seconds."""
    batch()
    end, least = time.perf_counter() + seconds, float("inf")
    while (start := time.perf_counter()) < end:
        batch()
        least = min(least, time.perf_counter() - start)
    return BLOCKS / least


def batches(library: str, threads: int, state: FloatState, a: Any, d: Any, b: int) -> dict:
    """What there is to time, by name."""
    xp = import_module(library)
    if library == "torch":
        xp.set_num_threads(threads)
        xp.set_grad_enabled(False)
        a, d, x, delta, sigma = map(xp.from_numpy, (a, d, state.x, state.delta, state.sigma))
        state = FloatState(x, delta, sigma)
    found: dict[str, Callable[[], Any]] = {
        f"published, {name}": partial(published_batch, xp, form, state, a, d, b)
        for name, form in (("QR", by_qr), ("Cholesky", by_cholesky))
    }
    if library == "numpy":
        loops = "compiled" if compiled.AVAILABLE else "interpreted"
        found[f"hardware, {loops}"] = lambda: hardware_batch(state, a, d, b)
    return found


def main() -> None:
    """Time every shape in both precisions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shapes", nargs="+", help="m,n,k,b")
    parser.add_argument("--library", choices=("numpy", "torch"), required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    version = import_module(options.library).__version__
    for shape in options.shapes:
        m, n, k, b = map(int, shape.split(","))
        for precision in ("float32", "float64"):
            state, a, d = problem(m, n, k, b, precision)
            expected = reference_batch(state, a, d, b)
            for form, batch in batches(options.library, options.threads, state, a, d, b).items():
                result = batch()
                x = result.x if isinstance(result, FloatState) else result[0]
                print(json.dumps({
                    "m": m, "n": n, "k": k, "b": b,
                    "library": f"{options.library} {version}", "threads": options.threads,
                    "precision": precision, "form": form,
                    "steps_per_second": fastest(batch, options.seconds),
                    "difference_of_x": float(np.abs(np.asarray(x) - expected.x).max()),
                }))  # fmt: skip


if __name__ == "__main__":
    main()
