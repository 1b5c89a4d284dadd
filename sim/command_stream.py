"""The host's end of `golden_model.commands`: commands out, answers sorted as they come.

Commands gather until an answer is needed, so that many of them share one journey of the line.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

from golden_model.commands import Error, Opcode, Tag, decode, encode, field_bytes


class BoardError(RuntimeError):
    """A board is not there, is not the one that is needed, or did not do as it was told."""


class ByteStream(Protocol):
    """What commands and answers travel on, such as `sim.host_link.HostLink`."""

    def write(self, data: bytes) -> None:
        """Send `data`, taking in whatever comes meanwhile."""
        ...

    def read(self, count: int) -> bytes:
        """The next `count` bytes, when all have come."""
        ...


_MISTAKES = {
    Error.OPCODE: "there is no command {0:#04x}",
    Error.REFUSED: "register {0:#06x} did not take a word",
    Error.CELL: "there is no cell {0}",
}


class CommandStream:
    """Commands to a board and its answers, on `link`, in beats of `beat_bytes`.

    Every method that returns an answer sends what has gathered and waits. It raises `BoardError` if
    the board answers, to whichever command, that it was wrong.
    """

    def __init__(self, link: ByteStream, beat_bytes: int, cell_bytes: int) -> None:
        self._link = link
        self._beat_bytes, self._cell_bytes = beat_bytes, cell_bytes
        self._commands = bytearray()
        self._words: deque[tuple[int, int]] = deque()
        self._cells: deque[bytes] = deque()
        self._beats: deque[tuple[bytes, bool]] = deque()

    def tell(self, opcode: Opcode, payload: bytes = b"", **fields: int) -> None:
        """Add a command to what is to be sent."""
        self._commands += encode(opcode, **fields) + payload

    def word(self) -> tuple[int, int]:
        """AXI's response and the word of the next READ or WAIT."""
        self._await(self._words)
        return self._words.popleft()

    def cells(self) -> bytes:
        """The conductances of the next CELLS."""
        self._await(self._cells)
        return self._cells.popleft()

    def beat(self) -> tuple[bytes, bool]:
        """The next beat from the accelerator, and whether it ends its packet."""
        self._await(self._beats)
        return self._beats.popleft()

    def _await(self, answers: deque[Any]) -> None:
        """Send what has gathered, and take in answers until there are some of the wanted kind."""
        if self._commands:
            self._link.write(bytes(self._commands))
            self._commands.clear()
        while not answers:
            self._take_in()

    def _take_in(self) -> None:
        """One answer, to where it belongs."""
        (byte,) = self._link.read(1)
        try:
            tag = Tag(byte)
        except ValueError:
            raise BoardError(
                f"the board sent {byte:#04x}, which begins no answer: it holds another design, or "
                "one of other parameters"
            ) from None
        if tag in (Tag.BEAT, Tag.LAST_BEAT):
            self._beats.append((self._link.read(self._beat_bytes), tag == Tag.LAST_BEAT))
            return
        fields = decode(tag, self._link.read(field_bytes(tag)))
        if tag == Tag.WORD:
            self._words.append((fields["response"], fields["word"]))
        elif tag == Tag.CELLS:
            self._cells.append(self._link.read(fields["count"] * self._cell_bytes))
        else:
            mistake = _MISTAKES[Error(fields["error"])].format(fields["detail"])
            raise BoardError(f"the board was told what it cannot do: {mistake}")
