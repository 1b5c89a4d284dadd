"""Error of the coincidence counts of both pulse encodings, over pairs of duties.

    python benchmarks/pulse_encodings.py [--updates 256] [--json FILE] [--figure FILE]

A row of duty p and a column of duty q are to coincide L p q times in L slots. The golden model's
own updates (`golden_model.pulses.UpdatePulses`) say how often they do, each update with another
seed. Counted are

* grid: all pairs of duties that are multiples of 1 / L, 0 and 1 among them;
* any: pairs of random duties of the full width.

The root mean square is that of all errors. The bias is their mean; all pairs of an update share its
random bits, so the standard error is that of the updates' own means. Single pairs may be biased
where their mean is not: the root mean square of every pair's mean error, in standard errors of its
own, is 1 where no pair is. Pairs whose count was the same in all updates have no standard error; the
largest mean error of these is reported by itself.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden_model.figures import Figure, Panel, Series, draw
from golden_model.files import write_json
from golden_model.parameters import Parameters
from golden_model.pulses import UpdatePulses

SLOTS = (16, 32, 64, 128, 256)
ENCODINGS = ("scrambled", "stochastic")
RANDOM_LINES = 257
"""Random duties a side, as many as the finest grid has."""

PARAMETERS = Parameters(tile_rows=272, tile_columns=272)
"""An accelerator whose tile takes all lines."""


def duties(kind: str, slots: int, full: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Duties of rows and of columns, integers up to `full`, which stands for 1."""
    if kind == "grid":
        grid = np.arange(slots + 1) * (full // slots)
        return grid, grid
    random = np.random.default_rng(slots)
    rows, columns = random.integers(0, full + 1, (2, RANDOM_LINES))
    return rows, columns


def coincidences(
    encoding: str, rows: NDArray[np.int64], columns: NDArray[np.int64], log2: int, updates: int
) -> NDArray[np.float32]:
    """Counts of every pair, updates x rows x columns, all lines in one tile.

    Words of the duties' sizes and a kappa that scales by one: what `UpdatePulses` makes of them.
    """
    kappa = math.ldexp(1.0, log2 - 2 * (PARAMETERS.width - 1))
    counts = np.empty((updates, len(rows), len(columns)), np.float32)
    for update in range(updates):
        pulses = UpdatePulses(
            PARAMETERS, -rows[:, None].astype(np.float64), -columns[:, None].astype(np.float64),
            [kappa], slots_min=log2, slots_max=log2, scrambled=encoding == "scrambled",
            seed=update,
        )  # fmt: skip
        (rank,) = pulses.ranks()
        counts[update] = np.abs(rank.steps[0, : len(rows), : len(columns)])
    return counts


def measure(encoding: str, kind: str, slots: int, updates: int) -> dict[str, Any]:
    """Statistics of the errors, in coincidences."""
    full = 1 << (PARAMETERS.width - 1)
    rows, columns = duties(kind, slots, full)
    counts = coincidences(encoding, rows, columns, slots.bit_length() - 1, updates)
    errors = counts - slots * np.outer(rows / full, columns / full)
    bias = errors.mean(axis=0, dtype=np.float64)
    scatter = errors.std(axis=0, dtype=np.float64, ddof=1) / np.sqrt(updates)
    random = scatter > 0  # duties of 0 and 1 leave nothing to chance, tiny ones may not fire
    z = bias[random] / scatter[random]
    return {
        "encoding": encoding, "duties": kind, "slots": slots, "updates": updates,
        "pairs": errors[0].size,
        "rms": float(np.sqrt(np.mean(np.square(errors, dtype=np.float64)))),
        "largest": float(np.abs(errors).max()),
        "bias": float(bias.mean()),
        # Pairs of an update share its random bits: its mean error is one observation.
        "bias_standard_error": float(
            errors.mean(axis=(1, 2), dtype=np.float64).std(ddof=1) / np.sqrt(updates)
        ),
        "largest_bias_without_scatter": float(np.abs(bias[~random]).max(initial=0.0)),
        "bias_rms_in_standard_errors": float(np.sqrt(np.mean(z**2))),
    }  # fmt: skip


def figure(results: list[dict[str, Any]]) -> Figure:
    """Root mean square errors against slots."""
    series = []
    for encoding in ENCODINGS:
        for kind in ("grid", "any"):
            rms = [r["rms"] for r in results if (r["encoding"], r["duties"]) == (encoding, kind)]
            series.append(Series(f"{encoding}, {kind} duties", SLOTS, rms, rms, rms))
    panel = Panel("lines", "slots", "rms error in coincidences", series, logarithmic=True)
    return Figure("pulse_encodings", "Error of coincidence counts", __doc__ or "", [panel])


def main() -> None:
    """Measure, print a Markdown table, and write JSON and a figure if asked."""
    parser = argparse.ArgumentParser(description="Pulse encodings; see the module's docstring.")
    parser.add_argument("--updates", type=int, default=256, help="updates with fresh random bits")
    parser.add_argument("--json", type=Path, help="file that takes the results")
    parser.add_argument("--figure", type=Path, help="SVG file that takes a figure")
    options = parser.parse_args()
    results = []
    print(
        "| slots | encoding | duties | rms error | bias | its standard error | rms bias of a pair |"
    )
    print("|---|---|---|---|---|---|---|")
    for slots in SLOTS:
        for encoding in ENCODINGS:
            for kind in ("grid", "any"):
                r = measure(encoding, kind, slots, options.updates)
                results.append(r)
                print(f"| {slots} | {encoding} | {kind} | {r['rms']:.2f} | {r['bias']:+.3f} | "
                      f"{r['bias_standard_error']:.3f} | {r['bias_rms_in_standard_errors']:.2f} |",
                      flush=True)  # fmt: skip
    if options.json:
        write_json(options.json, {"runs": results})
    if options.figure:
        draw(figure(results)).savefig(options.figure)


if __name__ == "__main__":
    main()
