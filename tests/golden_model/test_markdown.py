"""Tables of Markdown documents."""

import pytest

from golden_model.markdown import table, with_tables

TABLE = table(("name", "MHz"), [("a", "1"), ("b", "22")], numbers=1)


def test_a_table_has_numbers_to_the_right():
    assert TABLE.splitlines() == ["| name | MHz |", "|---|---:|", "| a | 1 |", "| b | 22 |"]


@pytest.mark.parametrize("old", ["", "\n| old | table |\n|---|---|\n| a | 0 |\n"])
def test_the_table_below_a_mark_is_replaced_and_nothing_else(old):
    text = f"Before.\n\n<!-- speeds -->\n{old}\nAfter.\n\n| another |\n"
    written = with_tables(text, {"speeds": TABLE})
    assert written == f"Before.\n\n<!-- speeds -->\n\n{TABLE}\n\nAfter.\n\n| another |\n"
    assert with_tables(written, {"speeds": TABLE}) == written


def test_a_missing_mark_is_named():
    with pytest.raises(ValueError, match="no line <!-- speeds -->"):
        with_tables("Nothing here.\n", {"speeds": TABLE})
