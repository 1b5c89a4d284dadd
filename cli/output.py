"""What commands print: tables on standard output, what is under way on standard error."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from golden_model.files import why_unwritable
from hdl.generation import GenerationError

console = Console(stderr=True)


def print_table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print a table, narrow enough for 80 columns; numbers, in all but the first, to the right."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for index, name in enumerate(header):
        table.add_column(name, justify="right" if index else "left", no_wrap=index > 0)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def check_results(path: Path | None) -> None:
    """Raise `GenerationError` now, rather than when the work is done, if `path` is unwritable."""
    if path is not None and (reason := why_unwritable(path)):
        raise GenerationError(reason)
