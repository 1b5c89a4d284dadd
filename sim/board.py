"""The harness of a board: a machine behind a serial port, on which training runs.

Register writes, packets and waits for the end of a run are sent together with the next thing that
needs an answer, and what was wrong with them is told by a later answer: a serial port's latency is
as long as the transfer of many frames.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden_model.commands import BOARD_REGISTERS, MAX_COUNT, PROTOCOL, Opcode, cell_bytes
from golden_model.parameters import Parameters
from golden_model.twin import TwinSpec
from hdl.board_registers import LAWS, TWIN_FIELDS, board_registers
from sim.command_stream import BoardError, CommandStream
from sim.host_link import HostLink
from sim.machine import PATIENCE, Cells

BRIDGE = 8
"""Cells that are rather read for nothing than left out at the cost of another command."""


class BoardHarness:
    """A machine on a board, see `sim.machine.Harness`.

    Raises `BoardError`, and `LinkError` if the board does not answer.
    """

    def __init__(self, link: HostLink, parameters: Parameters, needed: TwinSpec) -> None:
        """Begin a session on `link`, with a board of `parameters` whose twin does for `needed`.

        That is one of the same devices with at least as many tiles and DAC bits. Its other
        parameters must be `parameters`, which `sim.machine.HardwareMachine` compares.
        """
        self.link = link
        """What the board is behind."""
        self._beat = parameters.stream_bytes
        self._cell = cell_bytes(needed)
        self._map = board_registers(needed)
        self._stream = CommandStream(link, self._beat, self._cell)
        self._waits: deque[tuple[int, int, int]] = deque()
        self._totals: dict[str, int] = {}
        link.open()
        self.spec = self._identify(needed)
        """The board's twin."""

    def _identify(self, needed: TwinSpec) -> TwinSpec:
        """The board's twin, if it does for what is `needed`."""
        names = ("ID", "PROTOCOL", "LAW", *map(str.upper, TWIN_FIELDS))
        identity, protocol, law, *values = self.read([self._address(name) for name in names])
        if identity != self._map["ID"].fields[0].reset:
            raise BoardError("what answers is not an Eigenbar board: its bitstream is another")
        if protocol != PROTOCOL:
            raise BoardError(
                f"the board's commands are of version {protocol}, not {PROTOCOL}: build its "
                "bitstream with this version of Eigenbar"
            )
        has: dict[str, Any] = dict(zip(TWIN_FIELDS, values, strict=True))
        for name, value in ("law", law), *has.items():
            wanted = LAWS.index(needed.law) if name == "law" else getattr(needed, name)
            more = name in ("grid_rows", "grid_columns", "dac_bits")
            if value < wanted or (value > wanted and not more):
                raise BoardError(
                    f"the board's twin has {name} = {value}, but {'at least ' * more}{wanted} is "
                    "needed: build its bitstream for this training, or change the training"
                )
        return replace(needed, **has)

    def _address(self, name: str, index: int = 0) -> int:
        return BOARD_REGISTERS + self._map.address(name, index)

    def write(self, address: int, word: int) -> None:
        """See `Harness`; a refused word is told by a later call that reads."""
        self._stream.tell(Opcode.WRITE, address=address, word=word)

    def read(self, addresses: Sequence[int]) -> list[int]:
        """See `Harness`."""
        for address in addresses:
            self._stream.tell(Opcode.READ, address=address)
        self._end_waits()
        return [self._word(address) for address in addresses]

    def _word(self, address: int) -> int:
        """The answer to the next READ or WAIT, of the register at `address`."""
        response, word = self._stream.word()
        if response:
            raise BoardError(f"reading register {address:#06x} was answered {response}")
        return word

    def poll(self, address: int, mask: int, value: int) -> None:
        """See `Harness`; the board polls. What comes next waits there, and this call does not."""
        self._stream.tell(Opcode.WAIT, address=address, mask=mask, value=value, reads=PATIENCE)
        self._waits.append((address, mask, value))

    def _end_waits(self) -> None:
        """See that what was polled for has come."""
        while self._waits:
            address, mask, value = self._waits.popleft()
            if self._word(address) & mask != value:
                raise BoardError(
                    f"register {address:#06x} did not become {value:#x} in {PATIENCE} reads"
                )

    def exchange(self, packets: Sequence[bytes], answers: int, length: int) -> bytes:
        """See `Harness`."""
        for packet in packets:
            step = MAX_COUNT * self._beat
            for start in range(0, len(packet), step):
                part = packet[start : start + step]
                ends = start + step >= len(packet)
                opcode = Opcode.SEND_LAST if ends else Opcode.SEND
                self._stream.tell(opcode, part, count=len(part) // self._beat)
        beats = [self._stream.beat() for _ in range(answers * length // self._beat)]
        for number, (_, last) in enumerate(beats, start=1):
            if last != (number * self._beat % length == 0):
                raise BoardError(f"the machine's packet {'ended early' if last else 'did not end'}")
        return b"".join(beat for beat, _ in beats)

    def converters(self, resolution: int, shift: int) -> None:
        """See `Harness`."""
        word = self._map["CONVERTERS"].encode(resolution=resolution, shift=shift)
        self.write(self._address("CONVERTERS"), word)

    def program(self, cells: Cells, words: Cells) -> None:
        """See `Harness`."""
        order = np.argsort(cells, axis=None)
        numbers, values = cells.ravel()[order], words.ravel()[order]
        for part in _runs(numbers, gap=1):
            data = _bytes_of(values[part], self._cell)
            count = part.stop - part.start
            self._stream.tell(Opcode.PROGRAM, data, cell=int(numbers[part.start]), count=count)
        self._wait_idle()

    def cells(self, cells: Cells) -> Cells:
        """See `Harness`; words hold conductances only."""
        self._wait_idle()
        numbers = np.unique(cells)
        ranges = []
        for part in _runs(numbers, BRIDGE):
            first, last = int(numbers[part.start]), int(numbers[part.stop - 1])
            ranges.append(np.arange(first, last + 1, dtype=np.uint32))
            self._stream.tell(Opcode.CELLS, cell=first, count=last + 1 - first)
        self._end_waits()
        words = [_words_of(self._stream.cells(), self._cell) for _ in ranges]
        place = np.searchsorted(np.concatenate(ranges), cells)
        return np.concatenate(words)[place]

    def _wait_idle(self) -> None:
        """Let what comes next wait for the twin."""
        idle = self._map["STATUS"].encode(idle=1)
        self.poll(self._address("STATUS"), idle, idle)

    @property
    def faults(self) -> list[str]:
        """See `Harness`."""
        (word,) = self.read([self._address("FAULTS")])
        return [name for name, is_set in self._map["FAULTS"].decode(word).items() if is_set]

    @property
    def cycles(self) -> int:
        """See `Harness`."""
        return self._counter("CYCLES")

    @property
    def coincidences(self) -> int:
        """See `Harness`."""
        return self._counter("COINCIDENCES")

    def _counter(self, name: str) -> int:
        """A counter of two words, which may count on while it is read."""
        low, high = self._address(name, 0), self._address(name, 1)
        while True:
            before, word, after = self.read([high, low, high])
            if before == after:
                return after << 32 | word

    def counters(self) -> dict[str, int]:
        """See `Harness`: frames that this end of the link has sent, for the first time and again,
        and that it has received, undamaged, and discarded, for any reason."""
        statistics = self.link.statistics
        totals = {
            "frames_sent": statistics.sent,
            "frames_resent": statistics.resent,
            "frames_received": statistics.received,
            "frames_discarded": statistics.discarded.total(),
            "frames_damaged": statistics.discarded["damaged"],
        }
        counted = {name: total - self._totals.get(name, 0) for name, total in totals.items()}
        self._totals = totals
        return counted

    def close(self) -> None:
        """See `Harness`."""
        self.link.close()


def _runs(numbers: NDArray[np.uint32], gap: int) -> Iterator[slice]:
    """Parts of the ascending `numbers`, none of which has a step above `gap`.

    Nor does the range of a part have more numbers than a command can count.
    """
    start = 0
    for stop in range(1, len(numbers) + 1):
        if (
            stop == len(numbers)
            or numbers[stop] - numbers[stop - 1] > gap
            or numbers[stop] - numbers[start] >= MAX_COUNT
        ):
            yield slice(start, stop)
            start = stop


def _bytes_of(words: NDArray[np.uint32], size: int) -> bytes:
    """Words of `size` bytes each, the lowest first."""
    return words.astype("<u4").view(np.uint8).reshape(-1, 4)[:, :size].tobytes()


def _words_of(data: bytes, size: int) -> NDArray[np.uint32]:
    """What `_bytes_of` made these bytes of."""
    words = np.zeros((len(data) // size, 4), np.uint8)
    words[:, :size] = np.frombuffer(data, np.uint8).reshape(-1, size)
    return words.view("<u4")[:, 0].astype(np.uint32)
