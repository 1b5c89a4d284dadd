"""The report of the demonstration: one HTML page that needs no other file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from golden_model.fixed import run_batch
from golden_model.page import plain, svg, table, write_page
from golden_model.parameters import Parameters
from golden_model.pulses import TilePulses, UpdatePulses
from sim.job import Batch

COLORS = ("#4c5a67", "#1f77b4", "#d9730d")
"""One for each training run."""

RASTER_SLOTS = 128
"""Most slots of the pulse raster."""

HEADER = (
    "", "accuracy", "compared", "mismatches", "cycles", "of ideal", "slots", "pulses",
    "saturated",
)  # fmt: skip
"""The columns of `table_rows`."""


def table_rows(results: Mapping[str, Any]) -> list[list[str]]:
    """The results as one table: a row for each training run, each layer, and all layers."""
    rows = [
        [name, f"{100 * run['test_accuracy']:.2f} %", *[""] * 6,
         f"{run['saturations']}"]
        for name, run in results["training"].items()
    ]  # fmt: skip
    cosimulation = results["cosimulation"]
    layers = [(f"RTL {row['name']}", row) for row in cosimulation["batches"]]
    for name, row in [*layers, ("RTL all", cosimulation)]:
        ratio = row["cycles"] / row["ideal_cycles"]
        counts = [row[key] for key in ("values_compared", "mismatches", "cycles")]
        rest = [row[key] for key in ("slots", "pulses", "saturations")]
        rows.append([name, "", *map(str, counts), f"{ratio:.2f}", *map(str, rest)])
    return rows


def write_report(results: Mapping[str, Any], batches: Sequence[Batch], path: Path) -> None:
    """Write the page of the demonstration's `results` to `path`.

    `batches` are those that were replayed. Needs matplotlib.
    """
    cosimulation = results["cosimulation"]
    mismatches = cosimulation["mismatches"]
    parameters = Parameters(**results["parameters"])
    plots = _plots(results, parameters, batches)
    verdict = (
        f'<span class="good">{cosimulation["values_compared"]} values compared, '
        "none differs.</span>"
        if mismatches == 0
        else f'<span class="bad">{mismatches} of {cosimulation["values_compared"]} values '
        "differ.</span>"
    )
    settings = ", ".join(f"{name} {value}" for name, value in results["parameters"].items())
    body = f"""<p>A CNN trained on {escape(results["dataset"])} with the gradient of every batch
factorised by SBPCA, in floating point and in the accelerator's integers; then one training batch
of every layer replayed on the generated Verilog ({escape(cosimulation["simulator"])}), pulses of
the update included. {verdict}</p>
<p>Accelerator: {escape(settings)}.</p>
{table(HEADER, table_rows(results))}
<h2>Training</h2>
{plots["training"]}
<h2>Generated hardware against the golden model</h2>
<p>Compared are all factor words, scalars, counters, line vectors of every slot, and the
conductances that the driver pins leave in a crossbar. Cycles include loading the state and the
first block, and storing the result; ideal is {escape(cosimulation["ideal_formula"])}.</p>
{plots["cycles"]}
<h2>Pulses</h2>
<p>The lines of one crossbar tile in the last layer's update, its first rank (at most
{RASTER_SLOTS} slots): a cell steps where its row and its column fire in the same slot. Four phases
keep every line at one polarity at a time.</p>
{plots["pulses"]}"""
    write_page(path, "Eigenbar demonstration", body)


def _plots(
    results: Mapping[str, Any], parameters: Parameters, batches: Sequence[Batch]
) -> dict[str, str]:
    """The figures as SVG, by name."""
    from matplotlib.figure import Figure

    figures = {name: Figure(figsize=(9, 3.4), layout="constrained") for name in
               ("training", "cycles", "pulses")}  # fmt: skip
    _draw_training(figures["training"], results["training"])
    _draw_cycles(figures["cycles"], results["cosimulation"]["batches"])
    _draw_pulses(figures["pulses"], parameters, batches[-1])
    return {name: svg(figure) for name, figure in figures.items()}


def _draw_training(figure: Any, runs: Mapping[str, Any]) -> None:
    accuracy, loss = figure.subplots(1, 2)
    for (name, run), color in zip(runs.items(), COLORS, strict=True):
        epochs = [epoch["epoch"] for epoch in run["history"]]
        for axes, key, scale in ((accuracy, "test_accuracy", 100), (loss, "train_loss", 1)):
            values = [scale * epoch[key] for epoch in run["history"]]
            axes.plot(epochs, values, color=color, label=name, marker="o", markersize=3)
    accuracy.set(xlabel="epoch", ylabel="test accuracy (%)")
    loss.set(xlabel="epoch", ylabel="training loss")
    accuracy.legend(frameon=False)
    plain(accuracy, loss)


def _draw_cycles(figure: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    axes = figure.subplots()
    positions = np.arange(len(rows))
    ideal = [row["ideal_cycles"] for row in rows]
    rest = [row["cycles"] - row["ideal_cycles"] for row in rows]
    axes.barh(positions, ideal, color=COLORS[1], label="ideal: the array multiplies every cycle")
    axes.barh(positions, rest, left=ideal, color="#c3ccd4", label="loading, storing, latencies")
    axes.set_yticks(positions, [row["name"] for row in rows])
    axes.invert_yaxis()
    axes.set(xlabel="cycles of a batch")
    axes.legend(frameon=False)
    plain(axes)


def _draw_pulses(figure: Any, parameters: Parameters, batch: Batch) -> None:
    train = _first_pulses(parameters, batch)
    if train is None:
        figure.text(0.5, 0.5, "the update was too small for pulses", ha="center")
        return
    for axes, lines, what in zip(
        figure.subplots(2, 1, sharex=True),
        (train.rows, train.columns),
        ("row line", "column line"),
        strict=True,
    ):
        shown = lines[:RASTER_SLOTS].T
        axes.imshow(shown, aspect="auto", cmap="RdBu_r", vmin=-1.3, vmax=1.3,
                    interpolation="nearest")  # fmt: skip
        axes.set(ylabel=what)
        plain(axes)
    axes.set(xlabel="slot (red: positive pulse, blue: negative)")


def _first_pulses(parameters: Parameters, batch: Batch) -> TilePulses | None:
    """The pulses of `batch`'s update for the first tile of the first rank that has any, or None."""
    update = batch.update
    assert update is not None
    assert batch.state is not None
    answer = run_batch(parameters, batch.state, batch.blocks, batch.carry)
    pulses = UpdatePulses(
        parameters, answer.state.x, answer.state.delta, update.kappas(answer), **update.encoding
    )
    return next(pulses.trains(), None)
