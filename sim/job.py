"""What a bench is to do, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from golden_model import scalar
from golden_model.cost import ideal_batch_cycles
from golden_model.fixed import BatchResult, FixedState
from golden_model.formats import Words
from golden_model.parameters import Parameters
from golden_model.reads import Array, Reads


@dataclass(frozen=True)
class Update:
    """An update by pulses at the end of a batch."""

    rate: float
    """RATE, a scalar."""
    slots_min: int = 0
    """Log2 of the fewest slots."""
    slots_max: int = 5
    """Log2 of the most slots."""
    scrambled: bool = True
    seed: int = 1
    levels: str = "none"
    """Half-select scheme."""
    slot_length: int = 1
    """Clock cycles of a slot on the lines."""
    dead: int = 0
    """Clock cycles after each slot in which the lines are idle."""
    origin: tuple[int, int] = (0, 0)
    """Row and column of the layer's first tile in the grid."""
    states: int = 64
    """States of the devices that the pins drive."""

    def kappas(self, result: BatchResult) -> list[float]:
        """Device steps of each rank of a batch's `result`."""
        return [scalar.multiply(self.rate, float(tau)) for tau in result.scale]

    @property
    def encoding(self) -> dict[str, Any]:
        """The arguments of `UpdatePulses` and `Crossbar.update` that say how to pulse."""
        names = ("slots_min", "slots_max", "scrambled", "seed")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Batch:
    """One run of the accelerator."""

    name: str
    m: int
    n: int
    k: int
    blocks: Sequence[tuple[Words, Words]]
    """Activations (samples x n) and errors (samples x m) of each block, words."""
    state: FixedState | None
    """State to load; None to go on with what the accelerator holds."""
    carry: float = 1.0
    """CARRY, a scalar."""
    update: Update | None = None

    @property
    def samples(self) -> list[int]:
        """Samples of each block."""
        return [len(errors) for _, errors in self.blocks]


@dataclass(frozen=True)
class Job:
    """Batches to run one after another, without a reset between them."""

    parameters: Parameters
    batches: Sequence[Batch]
    stall: float = 0.0
    """Probability that a stream or a register channel pauses in a cycle."""
    seed: int = 0
    """Seed of the pauses."""
    reads: Sequence[ReadRun] = ()
    """Runs of reads, each of them before the batch of its place."""


@dataclass(frozen=True)
class Serve:
    """Requests of a host in another process are to be served, see `sim.served`."""

    parameters: Parameters
    address: str
    """The host's socket."""


@dataclass(kw_only=True)
class Comparison:
    """What was compared with the golden model."""

    name: str
    values_compared: int = 0
    """Words, scalars, counters and line vectors of slots compared."""
    mismatches: int = 0
    first_mismatches: list[str] = field(default_factory=list)
    """The first few, described."""

    def compare(self, what: str, seen: object, expected: object) -> None:
        """Compare one value."""
        self.values_compared += 1
        if seen != expected:
            self.mismatch(f"{what} is {seen}, should be {expected}")

    def mismatch(self, text: str, count: int = 1) -> None:
        """Note `count` mismatches, described by `text`."""
        self.mismatches += count
        if len(self.first_mismatches) < 5:
            self.first_mismatches.append(f"{self.name}: {text}")


@dataclass(kw_only=True)
class BatchAnswer(Comparison):
    """How a batch compared with the golden model."""

    m: int
    n: int
    k: int
    cycles: int = 0
    """CYCLES - UPDATE_CYCLES: clock cycles of the run, without the update's."""
    multiply_cycles: int = 0
    """MULTIPLY_CYCLES: cycles in which the array multiplied."""
    phase_cycles: dict[str, int] = field(default_factory=dict)
    """PHASE_CYCLES of the phases that took any."""
    update_cycles: int = 0
    """UPDATE_CYCLES, as `hdl.update.update_cycles` has it."""
    ideal_cycles: int = 0
    """`golden_model.cost.ideal_block_cycles` summed over the blocks."""
    saturations: int = 0
    slots: int = 0
    """Slots driven in the update."""
    pulses: int = 0
    clips: int = 0

    @classmethod
    def of(cls, parameters: Parameters, batch: Batch) -> BatchAnswer:
        """An answer to `batch` with nothing compared yet."""
        ideal = ideal_batch_cycles(parameters, batch.m, batch.n, batch.k, batch.samples)
        return cls(name=batch.name, m=batch.m, n=batch.n, k=batch.k, ideal_cycles=ideal)


@dataclass(frozen=True)
class ReadRun:
    """A run of reads through an array of `cells`."""

    name: str
    m: int
    n: int
    reads: Reads
    """How, but for noise, retries and scaling: vectors are codes already."""
    cells: Array
    """Signed numbers of half steps, m x n."""
    largest: int
    """The largest of any cell, which sets the range of the ADCs."""
    vectors: Array
    """Codes, vectors x n, or vectors x m if `transposed`."""
    transposed: bool = False
    origin: tuple[int, int] = (0, 0)
    """The first tile in the grid."""


@dataclass(kw_only=True)
class ReadAnswer(Comparison):
    """How a run of reads compared with the golden model."""

    cycles: int = 0
    """CYCLES."""
    adc_saturations: int = 0
    sum_saturations: int = 0
    drives: int = 0
    """Conversions that the array saw."""


@dataclass(frozen=True)
class Answer:
    """What a bench found."""

    batches: list[BatchAnswer]
    simulated_cycles: int
    """Clock cycles of the whole simulation."""
    seconds: float
    """Wall-clock time of the simulation."""
