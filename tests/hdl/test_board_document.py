"""The table of registers in docs/board.md is that of the declaration.

`python -m tests.hdl.test_board_document` writes it anew.
"""

import re
from pathlib import Path

from golden_model.commands import BOARD_REGISTERS, Opcode, Tag
from golden_model.parameters import Parameters
from hdl.board_registers import board_registers
from hdl.system import twin_spec

DOCUMENT = Path(__file__).parents[2] / "docs" / "board.md"

TABLE = re.compile(r"\| address \| register \|.*\n(?:\|.*\n)+")


def register_table():
    """The registers of a board with a twin of one tile."""
    return board_registers(twin_spec(Parameters(), (1, 1), 256)).table(BOARD_REGISTERS) + "\n"


def test_the_document_has_the_registers_of_a_board():
    (table,) = TABLE.findall(DOCUMENT.read_text())
    assert table == register_table()


def test_the_document_names_every_command_and_answer():
    text = DOCUMENT.read_text()
    for kind in (*Opcode, *Tag):
        assert re.search(rf"\| {kind.name} \| 0x{kind:02X} \|", text), kind


if __name__ == "__main__":
    DOCUMENT.write_text(TABLE.sub(lambda _: register_table(), DOCUMENT.read_text()))
