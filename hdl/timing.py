"""When the passes of a block take their steps: the cycles of a block, exactly.

The machine issues passes in a fixed order, so the schedule follows from the dimensions alone. Each
line below is a dependency that `hdl.sequencer` or `hdl.program_sequencer` waits for; a pass begins
as soon as all of its own are met.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from golden_model.parameters import Parameters
from hdl import converter, norm
from hdl.coefficients import LATENCY as COEFFICIENT_LATENCY
from hdl.datapath import dots_stage, projected_stage, settled_stage
from hdl.orthogonaliser import READY_LEAD
from hdl.passes import spacing
from hdl.scalar_programs import PROGRAMS, Operation
from hdl.scalar_unit import PRODUCT_CYCLES, RANK_CYCLES, SUM_CYCLES

TOLD = 3
"""Cycles from what a pass waits for being told to its first step."""

STARTED = 2
"""Cycles that a scalar program takes beside its instructions."""


def program_cycles(name: str, ranks: int) -> int:
    """Cycles from the state that starts a scalar program to the state after it."""
    products = sum(item.operation == Operation.MULTIPLY for item in PROGRAMS[name])
    sums = len(PROGRAMS[name]) - products
    return ranks * (RANK_CYCLES + PRODUCT_CYCLES * products + SUM_CYCLES * sums) + STARTED


@dataclass
class _Schedule:
    """First steps of passes and ends of programs, in cycles."""

    parameters: Parameters
    m: int
    n: int
    k: int
    samples: int
    free: int = 0
    """The next pass may take its first step."""
    program: int = 0
    """The program sequencer comes to its next state."""
    residuals: dict[int, int] = field(default_factory=dict)
    """First step of a pass that reads a group's residuals."""

    def take(self, steps: int, *after: int) -> int:
        """Take a pass's steps; the cycle of its last one."""
        first = max(self.free, *after) if after else self.free
        self.free = first + max(steps, spacing(self.parameters))
        return first + steps - 1

    def block(self) -> int:
        """Take a block; the cycle in which the next block's first step can follow."""
        rows_m, rows_n = (self.parameters.rows(size) for size in (self.m, self.n))
        self._side(rows_n, rows_m)
        self._side(rows_m, rows_n)
        for _ in range(self.parameters.groups(self.k)):
            last = self.take(rows_m)
        converted = last + dots_stage(self.parameters) + converter.LATENCY
        self.program = max(self.program, converted + self.parameters.columns) + 1
        self.program += program_cycles("WEIGHT", self.k) + 1
        return self.free

    def _side(self, own: int, other: int) -> None:
        """PROJECT and ACCUMULATE for each group, then Gram-Schmidt."""
        p = self.parameters
        self.program += program_cycles("HISTORY", self.k)
        for group in range(p.groups(self.k)):
            last = self.take(self.samples * other)
            self.program = max(self.program, last + projected_stage(p) + 1) + 1
            aligned = self.program - 1 + max(p.columns - 3, 1)
            last = self.take((p.history_digits + self.samples) * own, aligned + TOLD)
            self.residuals[group] = last + settled_stage(p) + TOLD
        for pivot in range(self.k):
            self._pivot(pivot, own)

    def _pivot(self, pivot: int, own: int) -> None:
        """DOT for the pivot's group and all later ones, SUBTRACT where there are later ranks."""
        p = self.parameters
        groups = range(pivot // p.columns, p.groups(self.k))
        begun = {}
        for group in groups:
            last = self.take(own, self.residuals[group])
            begun[group] = last + dots_stage(p) + converter.LATENCY
        normed = begun[groups[0]] + norm.LATENCY
        self.program = max(self.program, normed + 1) + 1 + program_cycles("PIVOT", 1)
        fed = normed - 1
        for group in groups:
            later = min((group + 1) * p.columns, self.k) - max(group * p.columns, pivot + 1)
            if later > 0:
                fed = max(fed, begun[group] + 1)
                ready = fed + max(later - (READY_LEAD - COEFFICIENT_LATENCY - 1), 0)
                fed += later
                last = self.take(own, ready + TOLD)
                self.residuals[group] = last + settled_stage(p) + TOLD


def block_cycles(parameters: Parameters, m: int, n: int, k: int, samples: int) -> int:
    """Cycles of a block that follows others of as many samples, all of them loaded in time."""
    schedule = _Schedule(parameters, m, n, k, samples)
    ends = [schedule.block() for _ in range(3)]
    return ends[2] - ends[1]
