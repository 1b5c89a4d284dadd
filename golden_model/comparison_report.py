"""The report of a comparison: one HTML page, and each figure as a file with its data beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path

from golden_model import page
from golden_model.comparison_figures import figures
from golden_model.comparison_results import Method, methods
from golden_model.figures import Figure, draw
from golden_model.files import replacing, why_unwritable, write_json
from golden_model.page import ReportError
from golden_model.run_log import Line

PAGE, FIGURES = "report.html", "figures"
"""Names of the page and of the folder of figures, in a comparison's folder."""

HEADER = ("method", "mean", "min", "max", "seeds", "rate", "of", "diverged", "images/s")
"""The columns of `table_rows`."""


def check_report(folder: Path) -> None:
    """Raise `ReportError` now, rather than after the runs, if `folder` cannot take a report."""
    page.check_plotting()
    try:
        (folder / FIGURES).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReportError(f"cannot make folder {folder / FIGURES}: {error.strerror}") from error
    for path in (folder / PAGE, folder / FIGURES / "figure"):
        if reason := why_unwritable(path):
            raise ReportError(reason)


def table_rows(found: Sequence[Method]) -> list[list[str]]:
    """A row for each method: accuracies in percent, and images a second of its fastest run."""
    rows = []
    for method in found:
        cells = [""] * 5
        if method.best is not None:
            accuracy = method.accuracy
            cells = [
                *(f"{value:.2f}" for value in (accuracy.mean, accuracy.low, accuracy.high)),
                f"{len(method.runs)}",
                f"{method.best:g}",
            ]
        cells.append(f"{len(method.rates)}")
        speed = max((line["images_per_second"] for line in method.runs), default=None)
        rows.append([method.label, *cells, f"{method.diverged or ''}",
                     "" if speed is None else f"{speed:.0f}"])  # fmt: skip
    return rows


def write_report(lines: Sequence[Line], folder: Path) -> list[Method]:
    """Write the page of the results `lines` and its figures to `folder`; returns the methods.

    Raises `ReportError` if matplotlib is missing, or the folder unusable.
    """
    check_report(folder)
    found = methods(lines)
    try:
        _write(lines, found, folder)
    except OSError as error:
        raise ReportError(
            f"cannot write {error.filename}: {error.strerror}; the results are kept: "
            "make room, and write the report anew with --report-only"
        ) from error
    return found


def _write(lines: Sequence[Line], found: Sequence[Method], folder: Path) -> None:
    """Write the figures and the page."""
    parts = [_introduction(lines, found), page.table(HEADER, table_rows(found))]
    for title, figure in figures(found).items():
        parts.append(f"<h2>{escape(title)}</h2>")
        if isinstance(figure, Figure):
            parts.append(_write_figure(figure, folder / FIGURES))
        else:
            parts.append(f"<p>No figure: {escape(figure)}.</p>")
    parts.append(_diverged(lines))
    page.write_page(folder / PAGE, "Eigenbar comparison", "\n".join(parts))


def _introduction(lines: Sequence[Line], found: Sequence[Method]) -> str:
    common = {
        name: value
        for name, value in (found[0].settings.items() if found else ())
        if all(method.settings.get(name) == value for method in found)
    }
    settings = ", ".join(f"{name} {value}" for name, value in common.items())
    return f"""<p>{len(lines)} runs of {len(found)} methods. A method is all that the runs share,
seed and learning rate apart. Its rate is the one of the highest mean test accuracy among those
tried (their number follows), at which no run diverged and no seed is missing: chosen on the test
images, so methods with more rates have more chances. Accuracies are in percent, over the seeds at
that rate; images/s is the fastest run's.</p>
<p>All methods have: {escape(settings)}.</p>"""


def _write_figure(figure: Figure, folder: Path) -> str:
    """Write `figure` as SVG and JSON to `folder`; returns its part of the page."""
    image = page.svg(draw(figure))
    write_json(folder / f"{figure.name}.json", asdict(figure))
    with replacing(folder / f"{figure.name}.svg") as file:
        file.write(image.encode())
    return (
        f"<p>{escape(figure.caption)} Data: <code>{FIGURES}/{figure.name}.json</code>.</p>\n{image}"
    )


def _diverged(lines: Sequence[Line]) -> str:
    rows = [
        [line["run"], f"{line['settings']['seed']}", f"{line['settings']['learning_rate']:g}",
         line["reason"]]
        for line in lines
        if line["status"] == "diverged"
    ]  # fmt: skip
    if not rows:
        return "<p>No run diverged.</p>"
    return f"<h2>Runs that diverged</h2>\n{page.table(('run', 'seed', 'rate', 'reason'), rows)}"
