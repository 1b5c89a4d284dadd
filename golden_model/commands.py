"""What a host and a board say to each other: commands and answers, bytes on reliable streams.

A command is its opcode, a byte, then the opcode's `FIELDS`, then its payload; an answer is its tag,
a byte, then the tag's fields, then its payload. Numbers are unsigned, the lowest byte first.
Commands are performed in their order, and so are their answers; beats of the accelerator's packets
come between two answers, whenever the accelerator sends them.

    command    does                                             payload            answer
    WRITE      writes a register                                                   ERROR if refused
    READ       reads a register                                                    WORD
    WAIT       reads a register until its bits `mask` are                          WORD
               `value`, but at most `reads` times
    SEND       sends beats of a packet that goes on             beats
    SEND_LAST  sends beats, of which the last ends its packet   beats
    PROGRAM    sets conductances of the twin from `cell` on     conductances       ERROR if too many
    CELLS      reads conductances of the twin from `cell` on                       CELLS, then
                                                                                   ERROR if too many

`count` of beats or cells may be zero; zero `reads` are 2**32. Cells that do not exist are left out,
and read as 0. Registers below `BOARD_REGISTERS` are the accelerator's, the others the board's own.
After an opcode that is none of these nothing can be known of what follows: it is answered by an
ERROR, and everything is discarded until the next session.

    answer     fields                                           payload
    WORD       AXI's `response`, 0 for success; the `word`
    CELLS      `count`                                          conductances
    BEAT       none                                             a beat from the accelerator
    LAST_BEAT  none                                             a beat that ends its packet
    ERROR      `error`, an `Error`; `detail`: the opcode,
               the register's address or the first wrong cell

A beat takes `Parameters.stream_bytes`, a conductance `cell_bytes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from golden_model.twin import TwinSpec

PROTOCOL = 1
"""Version of what this module states."""

BOARD_REGISTERS = 0x8000
"""Address of the first of the board's own registers."""

MAX_COUNT = 0xFFFF
"""Most beats or cells of a command."""


class Opcode(IntEnum):
    """What a command asks for."""

    WRITE = 0x01
    READ = 0x02
    WAIT = 0x03
    SEND = 0x04
    SEND_LAST = 0x05
    PROGRAM = 0x06
    CELLS = 0x07


class Tag(IntEnum):
    """What an answer is."""

    WORD = 0x81
    CELLS = 0x82
    BEAT = 0x83
    LAST_BEAT = 0x84
    ERROR = 0x85


class Error(IntEnum):
    """What was wrong with a command. Bit `Error` - 1 of the board's ERRORS stays set."""

    OPCODE = 1
    """There is no such command."""
    REFUSED = 2
    """A register did not take a word."""
    CELL = 3
    """There is no such cell."""


_CELLS = {"cell": 4, "count": 2}

FIELDS: Mapping[Opcode | Tag, Mapping[str, int]] = {
    Opcode.WRITE: {"address": 2, "word": 4},
    Opcode.READ: {"address": 2},
    Opcode.WAIT: {"address": 2, "mask": 4, "value": 4, "reads": 4},
    Opcode.SEND: {"count": 2},
    Opcode.SEND_LAST: {"count": 2},
    Opcode.PROGRAM: _CELLS,
    Opcode.CELLS: _CELLS,
    Tag.WORD: {"response": 1, "word": 4},
    Tag.CELLS: {"count": 2},
    Tag.BEAT: {},
    Tag.LAST_BEAT: {},
    Tag.ERROR: {"error": 1, "detail": 4},
}
"""Bytes of each field of a command or an answer, in their order."""


def field_bytes(kind: Opcode | Tag) -> int:
    """Bytes of all fields of `kind`."""
    return sum(FIELDS[kind].values())


def encode(kind: Opcode | Tag, **values: int) -> bytes:
    """A command or an answer with the fields `values`, without its payload.

    Raises ValueError for fields other than those of `kind`, or a value that does not fit its field.
    """
    fields = FIELDS[kind]
    if values.keys() != fields.keys():
        raise ValueError(f"{kind.name} has the fields {', '.join(fields)}, not {', '.join(values)}")
    parts = [bytes([kind])]
    for name, size in fields.items():
        if not 0 <= values[name] < 1 << 8 * size:
            raise ValueError(f"{kind.name}.{name} = {values[name]} does not fit {size} bytes")
        parts.append(values[name].to_bytes(size, "little"))
    return b"".join(parts)


def decode(kind: Opcode | Tag, data: bytes) -> dict[str, int]:
    """The fields in `data`, the `field_bytes` after the opcode or the tag `kind`."""
    values, start = {}, 0
    for name, size in FIELDS[kind].items():
        values[name] = int.from_bytes(data[start : start + size], "little")
        start += size
    return values


def cell_bytes(spec: TwinSpec) -> int:
    """Bytes of a conductance of the twin of `spec`."""
    return -(-spec.conductance_bits // 8)
