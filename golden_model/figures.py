"""Figures as data, and their drawing from nothing but that data, which needs matplotlib."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from golden_model.page import plain

MAX_LEGEND_COLUMNS = 4
"""Most columns of the legend."""

PAGE_INCHES = 10.0
"""Width of a figure."""

PANEL_INCHES = 3.2
"""Height of a row of panels."""

LINE_INCHES = 0.2
"""Height of a category and of a line of the legend."""

MUTED = "#c3ccd4"
"""Colour of what is there for comparison."""

CATEGORICAL = ("dots", "bars")
"""Kinds of panels whose positions are names."""

LABEL_LETTERS = 20
"""Most letters of a line below a panel of categories."""

LETTER_INCHES = 0.065
"""Width of a letter in the legend."""


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
    muted: bool = False
    """Whether it is the grey background of the others."""


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
    """Its heading in the page."""
    caption: str
    """What it shows and how, in a sentence or two."""
    panels: Sequence[Panel]
    """Its axes, drawn in rows."""


def draw(figure: Figure) -> Any:
    """`figure` drawn by matplotlib: a Figure of its."""
    from matplotlib.figure import Figure as Canvas

    categories, colors = _categories(figure), _colors(figure)
    columns = min(len(figure.panels), 4 if categories else 2)
    rows = -(-len(figure.panels) // columns)
    legend_rows = -(-len(colors) // _legend_columns(colors))
    height = rows * max(PANEL_INCHES, LINE_INCHES * len(categories) + 1)
    canvas = Canvas((PAGE_INCHES, height + LINE_INCHES * legend_rows), layout="constrained")
    all_axes = canvas.subplots(rows, columns, squeeze=False, sharey=bool(categories)).ravel()
    handles: dict[str, Any] = {}
    for axes, panel in zip(all_axes, figure.panels, strict=False):
        if panel.kind in CATEGORICAL:
            _draw_categories(axes, panel, colors, categories)
        else:
            _draw_positions(axes, panel, colors)
        if panel.logarithmic:
            _logarithmic(axes)
        plain(axes)
        drawn, labels = axes.get_legend_handles_labels()
        handles |= dict(zip(labels, drawn, strict=True))
    for axes in all_axes[len(figure.panels) :]:
        axes.remove()
    if handles:
        canvas.legend(
            list(handles.values()), list(handles), loc="outside lower left", frameon=False,
            fontsize="small", ncols=_legend_columns(handles),
        )  # fmt: skip
    return canvas


def _legend_columns(labels: Iterable[str]) -> int:
    """Columns of the legend that fit the page."""
    longest = max(map(len, labels), default=0)
    return min(MAX_LEGEND_COLUMNS, max(1, int(PAGE_INCHES / (LETTER_INCHES * longest + 1))))


def _colors(figure: Figure) -> dict[str, Any]:
    """A colour for each label, the same in all panels."""
    from matplotlib import colormaps

    series = [one for panel in figure.panels for one in panel.series]
    labels = list(dict.fromkeys(one.label for one in series if not one.muted))
    palette = colormaps["tab10" if len(labels) <= 10 else "tab20"]
    colors = {name: palette(index % palette.N) for index, name in enumerate(labels)}
    return colors | {one.label: MUTED for one in series if one.muted}


def _logarithmic(axes: Any) -> None:
    """A logarithmic horizontal axis with plain numbers at 1, 2 and 5 of each decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _errors(series: Series) -> Any:
    """Distances from the mean down and up, as matplotlib takes them."""
    y, low, high = (np.asarray(values, float) for values in (series.y, series.low, series.high))
    return np.maximum([y - low, high - y], 0)  # a mean may round to just outside its values


def _draw_positions(axes: Any, panel: Panel, colors: dict[str, Any]) -> None:
    for series in sorted(panel.series, key=lambda series: not series.muted):
        color = colors[series.label]
        if not series.x:
            axes.axhline(series.y[0], linestyle="--", color=color, label=series.label)
        elif panel.kind == "curves":
            axes.plot(series.x, series.y, marker="o", markersize=3, color=color, label=series.label)
            axes.locator_params(axis="x", integer=True)
            axes.fill_between(series.x, series.low, series.high, color=color, alpha=0.15)
        else:
            joined = "none" if panel.kind == "points" else "-"
            axes.errorbar(
                series.x, series.y, yerr=_errors(series), marker="o", markersize=4, capsize=3,
                linestyle=joined, color=color, label=series.label,
            )  # fmt: skip
    axes.set(xlabel=panel.x, ylabel=panel.y)


def _draw_categories(
    axes: Any, panel: Panel, colors: dict[str, Any], categories: list[str]
) -> None:
    from matplotlib.ticker import EngFormatter

    for index, series in enumerate(panel.series):
        aside = 0.6 * ((index + 0.5) / len(panel.series) - 0.5)
        rows = [categories.index(str(category)) + aside for category in series.x]
        color, errors = colors[series.label], _errors(series)
        if panel.kind == "bars":
            axes.barh(rows, series.y, xerr=errors, color=color, error_kw={"capsize": 2})
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        else:
            axes.errorbar(
                series.y, rows, xerr=errors, marker="o", markersize=4, capsize=3,
                linestyle="none", color=color, label=series.label,
            )  # fmt: skip
    axes.set_yticks(range(len(categories)), categories, fontsize="small")
    axes.set_ylim(len(categories) - 0.5, -0.5)
    axes.locator_params(axis="x", nbins=4 if panel.kind == "bars" else 8)
    axes.set(xlabel=textwrap.fill(panel.y, LABEL_LETTERS), ylabel=panel.x)


def _categories(figure: Figure) -> list[str]:
    """The categories of all panels."""
    panels = [panel for panel in figure.panels if panel.kind in CATEGORICAL]
    series = [one for panel in panels for one in panel.series]
    return list(dict.fromkeys(str(category) for one in series for category in one.x))
