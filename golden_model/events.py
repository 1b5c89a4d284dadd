"""Events that cost energy in training, counted: reads, optimiser and updates.

Reads follow from sizes, whether training simulates the converters or not. docs/energy.md has what
an event costs.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass

from golden_model.optimizer_cost import BatchCost
from golden_model.optimizers import LayerPlan
from golden_model.parameters import Parameters
from golden_model.reads import Reads


@dataclass(frozen=True)
class Events:
    """How often each kind of event happens."""

    dac_bits: int = 0
    """Bits that DACs convert, signs included; a DAC drives its line in all tiles on its way."""
    adc_conversions: int = 0
    """Codes that ADCs give: for each sensed line of each tile one, or one a bit of the inputs."""
    cell_reads: int = 0
    """Cells that pass current in a conversion."""
    sum_additions: int = 0
    """ADC codes added to partial sums."""
    multiply_accumulates: int = 0
    """Multiply-accumulates of the optimiser, and of a rank-sum update."""
    memory_accesses: int = 0
    """Words read from or written to the memory beside the array (`BatchCost.accesses`)."""
    line_pulses: int = 0
    """Pulses of updates on lines."""
    cell_pulses: int = 0
    """Cells pulsed by both of their lines in an update: coincidences."""

    def __add__(self, other: Events) -> Events:
        return Events(*map(operator.add, vars(self).values(), vars(other).values()))


def read_events(
    reads: Reads, parameters: Parameters, m: int, n: int, forward: int, transposed: int
) -> Events:
    """Events of so many `forward` and `transposed` reads of a layer of `m` x `n` weights.

    A transposed read senses the rows of the n - 1 inputs, not that of the bias.
    """
    conversions = reads.conversions
    row_tiles, column_tiles = -(-n // parameters.tile_rows), -(-m // parameters.tile_columns)
    sensed = forward * m * row_tiles + transposed * (n - 1) * column_tiles
    return Events(
        dac_bits=(forward * n + transposed * m) * reads.dac_bits,
        adc_conversions=sensed * conversions,
        cell_reads=(forward * m * n + transposed * m * (n - 1)) * conversions,
        sum_additions=sensed * conversions,
    )


def batch_read_events(
    reads: Reads, parameters: Parameters, plan: LayerPlan, images: int, *, first: bool
) -> Events:
    """Events of the reads of a batch of `images`: forward, and back but for the `first` layer."""
    samples = images * plan.positions
    return read_events(reads, parameters, plan.m, plan.n, samples, 0 if first else samples)


def optimizer_events(cost: BatchCost) -> Events:
    """Events of the optimiser in a batch that costs `cost`."""
    return Events(multiply_accumulates=cost.multiply_accumulates, memory_accesses=cost.accesses)
