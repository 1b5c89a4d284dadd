"""Traces of co-simulated batches: what the hardware's scalar unit writes, as lines of the model's.

docs/simulation.md describes the files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from golden_model import scalar
from golden_model.batch_trace import scalar_line, slots_line
from golden_model.files import replacing
from hdl.scalar_programs import PROGRAMS, Register

SHOWN = {
    Register.WEIGHT: "WEIGHT",
    Register.OWN_INVERSE: "INVERSE",
    Register.OWN_NORM: "NORM",
    Register.SCALE: "SCALE",
    Register.UPDATE: "UPDATE",
}
"""The registers whose writes are shown, by the trace's names; besides, HISTORY's last."""


@dataclass(frozen=True)
class Write:
    """A write of the scalar unit, see `hdl.scalar_unit.written_layout`."""

    program: int
    side: int
    rank: int
    register: int
    last: bool
    stored: bool
    value: int
    """The scalar's word."""
    cycle: int
    """The clock cycle."""


@dataclass
class Trace:
    """The lines of a batch, or of several, from both sides."""

    rtl: list[str] = field(default_factory=list)
    golden: list[str] = field(default_factory=list)
    cycles: list[int | None] = field(default_factory=list)
    """The clock cycle of each line of `rtl`, if it has one."""

    def add(self, other: Trace) -> None:
        """Append `other`."""
        self.rtl += other.rtl
        self.golden += other.golden
        self.cycles += other.cycles

    def first_difference(self) -> str | None:
        """Where the two differ first, and how; None if they are equal."""
        for number in range(max(len(self.rtl), len(self.golden))):
            rtl, golden = (
                lines[number] if number < len(lines) else "nothing"
                for lines in (self.rtl, self.golden)
            )
            if rtl != golden:
                return f"line {number + 1}: the hardware has {rtl!r}, the model {golden!r}"
        return None

    def write(self, folder: Path) -> None:
        """Write rtl.trace, golden.trace and rtl.cycles into `folder`; raises OSError."""
        cycles = ("-" if cycle is None else str(cycle) for cycle in self.cycles)
        for name, lines in (
            ("rtl.trace", self.rtl),
            ("golden.trace", self.golden),
            ("rtl.cycles", cycles),
        ):
            with replacing(folder / name) as file:
                file.writelines(f"{line}\n".encode() for line in lines)


def scalar_lines(
    name: str, writes: Iterable[Write], *, kappa: bool
) -> Iterator[tuple[str, int | None]]:
    """Line and cycle of each of the `writes` in batch `name` that is shown.

    `kappa` tells whether the batch has an update, otherwise kappa means nothing.
    """
    block: int | None = None
    held: dict[tuple[int, int, int], float] = {}
    programs = list(PROGRAMS)
    for write in writes:
        program = programs[write.program]
        shown = SHOWN.get(Register(write.register))
        if program == "HISTORY" and write.last:
            shown = "HISTORY"
            if write.side == write.rank == 0:
                block = 0 if block is None else block + 1
        if shown is None or (shown == "UPDATE" and not kappa):
            continue
        place = (write.side, write.rank, write.register)
        if write.stored:
            held[place] = scalar.decode(write.value)
        line = scalar_line(name, block, program, write.side, write.rank, shown, held[place])
        yield line, write.cycle


def slot_lines(name: str, slots: Iterable[tuple[int, ...]]) -> Iterator[str]:
    """The lines of the slots that a `sim.bench.PinMonitor` has seen."""
    for (rank, row, column), seen in groupby(slots, key=lambda slot: slot[:3]):
        vectors = [slot[3:] for slot in seen]
        pulses = sum(vector.bit_count() for slot in vectors for vector in slot)
        yield slots_line(name, rank, (row, column), len(vectors), pulses)
