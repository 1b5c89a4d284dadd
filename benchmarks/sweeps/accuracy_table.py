"""The accuracies of `benchmarks/sweeps/accuracy.toml` as a Markdown table: optimisers by ranks.

    eigenbar compare benchmarks/sweeps/accuracy.toml --out results/accuracy
    python benchmarks/sweeps/accuracy_table.py results/accuracy/runs.jsonl

A cell has the mean test accuracy in percent over the method's seeds, at its best learning rate;
the least and the largest if there are several; and how far the mean is from MBGD's over the same
seeds.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

from golden_model.comparison_results import Method, methods
from golden_model.files import write_json
from golden_model.run_log import read_lines


def row(method: Method) -> str:
    """The name of the row in which `method` stands: all that sets it apart but its rank."""
    settings = method.settings
    name = settings["optimizer"]
    if "arithmetic" in settings:
        width = settings.get("parameters.width")
        name += f", fixed {width} bits" if settings["arithmetic"] == "fixed" else ", float"
    if settings.get("momentum") is not None:
        name += f", momentum {settings['momentum']}"
    return name


def column(method: Method) -> str:
    """The column of `method`: its rank, or the ranks of the layers."""
    ranks = method.settings.get("layer_ranks")
    return ", ".join(map(str, ranks)) if ranks else str(method.settings.get("rank", "-"))


def by_seed(method: Method) -> dict[int, float]:
    """Test accuracy in percent of each seed."""
    return {line["settings"]["seed"]: 100 * line["test_accuracy"] for line in method.runs}


def cell(method: Method, reference: dict[int, float]) -> dict[str, Any]:
    """What the table says of `method` beside the accuracies of MBGD, `reference`."""
    accuracies = by_seed(method)
    return {
        "method": row(method),
        "rank": column(method),
        "learning_rate": method.best,
        "accuracies": accuracies,
        "mean": statistics.fmean(accuracies.values()),
        "difference": statistics.fmean(accuracies[s] - reference[s] for s in accuracies),
    }


def text(cell: dict[str, Any]) -> str:
    """The cell in words."""
    values = list(cell["accuracies"].values())
    spread = f" [{min(values):.2f}, {max(values):.2f}]" if len(values) > 1 else ""
    difference = f" ({cell['difference']:+.2f})" if cell["method"] != "mbgd" else ""
    return f"{cell['mean']:.2f}{spread}{difference}"


def main() -> None:
    """Print the table, and write its data as JSON if asked."""
    parser = argparse.ArgumentParser(description="Accuracy table; see the module's docstring.")
    parser.add_argument("runs", type=Path, nargs="?", default=Path("results/accuracy/runs.jsonl"))
    parser.add_argument("--json", type=Path, help="file that takes the table's data")
    options = parser.parse_args()
    found = [method for method in methods(read_lines(options.runs)) if method.runs]
    mbgd = [method for method in found if method.settings["optimizer"] == "mbgd"]
    if not mbgd:
        parser.error(f"{options.runs} has no results of mbgd, to which all others are compared")
    reference = by_seed(mbgd[0])
    cells = [cell(method, reference) for method in found]
    columns = list(dict.fromkeys(cell["rank"] for cell in cells))
    columns.sort(key=lambda rank: (not rank.isdigit(), int(rank) if rank.isdigit() else 0))
    print("| optimiser \\ rank | " + " | ".join(columns) + " |")
    print("|---|" + "---|" * len(columns))
    for name in dict.fromkeys(cell["method"] for cell in cells):
        texts = {cell["rank"]: text(cell) for cell in cells if cell["method"] == name}
        print(f"| {name} | {' | '.join(texts.get(rank, '') for rank in columns)} |")
    if options.json:
        write_json(options.json, {"cells": cells})


if __name__ == "__main__":
    main()
