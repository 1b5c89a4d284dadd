"""Figures as data, and their drawing from nothing but that data, which needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from golden_model.page import plain

PANEL_INCHES = (5.2, 3.4)
"""Width and height of a panel with its share of the legend."""

CATEGORY_INCHES = 0.24
"""Height of a category."""


@dataclass(frozen=True)
class Series:
    """Values that belong together: one colour of a panel."""

    label: str
    """Its name in the legend."""
    x: Sequence[float | str]
    """Positions, or names of categories; none for a level that holds at all of them."""
    y: Sequence[float]
    """Mean values."""
    low: Sequence[float]
    """Least value at each position."""
    high: Sequence[float]
    """Largest value at each position."""


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    kind: str
    """`lines`, `curves` (lines with the spread as a band), `points`, or `dots` and `bars` of
    categories, which lie on the vertical axis."""
    x: str
    """What the positions are."""
    y: str
    """What the values are."""
    series: Sequence[Series]
    logarithmic: bool = False
    """Whether positions are."""


@dataclass(frozen=True)
class Figure:
    """Panels side by side."""

    name: str
    """Its file name without ending."""
    title: str
    caption: str
    panels: Sequence[Panel]


def draw(figure: Figure) -> Any:
    """`figure` drawn by matplotlib: a Figure of its."""
    from matplotlib.figure import Figure as Canvas

    categories = [len(_categories(p)) for p in figure.panels if p.kind in ("dots", "bars")]
    columns = min(len(figure.panels), 2)
    rows = -(-len(figure.panels) // columns)
    width, height = PANEL_INCHES
    height = max(height, CATEGORY_INCHES * max(categories, default=0) + 1)
    canvas = Canvas(figsize=(width * columns, height * rows), layout="constrained")
    all_axes = np.atleast_1d(canvas.subplots(rows, columns, squeeze=False)).ravel()
    colors = _colors(figure)
    for axes, panel in zip(all_axes, figure.panels, strict=False):
        _DRAWING[panel.kind](axes, panel, colors)
        if panel.logarithmic:
            axes.set_xscale("log")
        plain(axes)
    for axes in all_axes[len(figure.panels) :]:
        axes.remove()
    handles = dict(
        pair
        for axes in all_axes[: len(figure.panels)]
        for pair in zip(*reversed(axes.get_legend_handles_labels()), strict=True)
    )
    if handles:
        canvas.legend(
            handles.values(), handles, loc="outside lower center", frameon=False, fontsize="small",
            ncols=min(3, len(handles)),
        )  # fmt: skip
    return canvas


def _colors(figure: Figure) -> dict[str, Any]:
    """A colour for each label, the same in all panels."""
    from matplotlib import colormaps

    labels = list(dict.fromkeys(s.label for panel in figure.panels for s in panel.series))
    palette = colormaps["tab10" if len(labels) <= 10 else "tab20"].colors  # type: ignore[attr-defined]
    return {name: palette[index % len(palette)] for index, name in enumerate(labels)}


def _errors(series: Series) -> Any:
    """Distances from the mean down and up, as matplotlib takes them."""
    y, low, high = (np.asarray(values, float) for values in (series.y, series.low, series.high))
    return np.maximum([y - low, high - y], 0)  # a mean may round to just outside its values


def _draw_lines(axes: Any, panel: Panel, colors: dict[str, Any]) -> None:
    for series in panel.series:
        style = {"color": colors[series.label], "label": series.label}
        if not series.x:
            axes.axhline(series.y[0], linestyle="--", **style)
        elif panel.kind == "curves":
            axes.plot(series.x, series.y, marker="o", markersize=3, **style)
            axes.fill_between(series.x, series.low, series.high, color=style["color"], alpha=0.15)
        else:
            joined = "none" if panel.kind == "points" else "-"
            axes.errorbar(
                series.x, series.y, yerr=_errors(series), marker="o", markersize=4, capsize=3,
                linestyle=joined, **style,
            )  # fmt: skip
    axes.set(xlabel=panel.x, ylabel=panel.y)


def _draw_categories(axes: Any, panel: Panel, colors: dict[str, Any]) -> None:
    names = _categories(panel)
    for series in panel.series:
        rows = [names.index(str(category)) for category in series.x]
        color, errors = colors[series.label], _errors(series)
        if panel.kind == "bars":
            axes.barh(rows, series.y, xerr=errors, color=color, capsize=2)
        else:
            axes.errorbar(
                series.y, rows, xerr=errors, marker="o", markersize=4, capsize=3,
                linestyle="none", color=color, label=series.label,
            )  # fmt: skip
    axes.set_yticks(range(len(names)), names, fontsize="small")
    axes.invert_yaxis()
    axes.set(xlabel=panel.y, ylabel=panel.x)


def _categories(panel: Panel) -> list[str]:
    return list(dict.fromkeys(str(x) for series in panel.series for x in series.x))


_DRAWING = {
    "lines": _draw_lines,
    "curves": _draw_lines,
    "points": _draw_lines,
    "dots": _draw_categories,
    "bars": _draw_categories,
}
