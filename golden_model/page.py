"""What all report pages share: their look, tables, and plots as SVG. Plots need matplotlib."""

from __future__ import annotations

import io
from collections.abc import Iterable
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from golden_model.files import replacing

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2329; max-width: 62rem; margin: 2rem auto;
       padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .25rem .8rem; border-bottom: 1px solid #d5dbe0; text-align: right; }
th:first-child, td:first-child { text-align: left; }
svg { max-width: 100%; height: auto; }
.good { color: #14713d; font-weight: 600; } .bad { color: #b3261e; font-weight: 600; }
"""


class ReportError(ValueError):
    """A report cannot be written."""


def check_plotting() -> None:
    """Raise `ReportError` if matplotlib is missing."""
    if find_spec("matplotlib") is None:
        raise ReportError(
            "the report needs matplotlib; install the extra: pip install 'eigenbar[report]'"
        )


def write_page(path: Path, title: str, body: str) -> None:
    """Write a page of HTML that needs no other file: `title` as its heading, then `body`."""
    page = f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style></head>
<body>
<h1>{escape(title)}</h1>
{body}
</body>
</html>
"""
    with replacing(path) as file:
        file.write(page.encode())


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in HTML."""

    def line(cells: Iterable[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "\n".join(line(row, "td") for row in rows)
    return f"<table>\n{line(header, 'th')}\n{body}\n</table>"


def svg(figure: Any) -> str:
    """A matplotlib figure as an SVG element."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    image = text.getvalue()
    return image[image.index("<svg") :]


def plain(*all_axes: Any) -> None:
    """Take the frame's upper and right line from matplotlib's `all_axes`."""
    for axes in all_axes:
        axes.spines[["top", "right"]].set_visible(False)
