"""Tables of documents in Markdown, below marks by which programs write them anew."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping


def table(header: Iterable[str], rows: Iterable[Iterable[str]], numbers: int = 0) -> str:
    """A table in Markdown, without a newline at its end; the last `numbers` columns go right."""
    names = list(header)
    rules = ["---"] * (len(names) - numbers) + ["---:"] * numbers
    lines = (f"| {' | '.join(cells)} |" for cells in (names, *rows))
    return "\n".join([next(lines), f"|{'|'.join(rules)}|", *lines])


def with_tables(text: str, tables: Mapping[str, str]) -> str:
    """Document `text` with the table below each mark `<!-- name -->` replaced.

    Raises ValueError for a table whose mark is not there.
    """
    for name, contents in tables.items():
        mark = f"<!-- {name} -->\n"
        found = re.search(rf"{re.escape(mark)}(\n(\|.*\n)+)?", text)
        if found is None:
            raise ValueError(f"the document has no line {mark.strip()}: put one where it belongs")
        text = f"{text[: found.start()]}{mark}\n{contents}\n{text[found.end() :]}"
    return text
