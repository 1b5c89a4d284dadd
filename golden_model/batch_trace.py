"""A trace of a batch: the scalars of every pass, a line each, as model and hardware compute them.

A line tells the batch, the block, what was computed for which factor and rank, and the value as an
exact multiple of a power of two:

    conv1 block 0 PIVOT X 1 NORM = 187213 * 2^-4

`sim.trace` makes the same lines of the hardware's scalar unit, so that the first difference of two
traces is the first scalar that differs. Programs and registers are those of `hdl.scalar_programs`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from golden_model import scalar
from golden_model.fixed import FixedBatch, FixedState, Samples
from golden_model.formats import Words
from golden_model.parameters import Parameters
from golden_model.pulses import UpdatePulses

SIDES = ("X", "DELTA")
"""The factors, by the hardware's numbers."""


def scalar_line(
    name: str, block: int | None, program: str, side: int, rank: int, register: str, value: float
) -> str:
    """The line of `value`, a scalar of batch `name`; `block` is None before the first block."""
    place = "start" if block is None else f"block {block}"
    fraction, exponent = math.frexp(value)
    significand = int(math.ldexp(fraction, scalar.SIGNIFICAND_BITS))
    number = f"{significand} * 2^{exponent - scalar.SIGNIFICAND_BITS}" if value else "0"
    return f"{name} {place} {program} {SIDES[side]} {rank} {register} = {number}"


def slots_line(name: str, rank: int, tile: tuple[int, int], slots: int, pulses: int) -> str:
    """The line of a tile's slots of one rank of an update, and of the line pulses in them."""
    return f"{name} UPDATE {rank} tile {tile[0]}, {tile[1]} slots {slots} pulses {pulses}"


def end_line(name: str, saturations: int) -> str:
    """The last line of a batch."""
    return f"{name} end saturations {saturations}"


def batch_trace(
    parameters: Parameters,
    name: str,
    state: FixedState,
    blocks: Sequence[tuple[Words, Words]],
    carry: float,
    rate: float | None,
) -> Iterator[str]:
    """The lines of a batch's scalars in their order; those of kappa if there is a `rate`."""
    batch = FixedBatch(parameters, state, carry)
    ranks = range(len(state.weight))
    before = batch.scalars()
    for c in ranks:
        yield scalar_line(name, None, "CARRY", 0, c, "WEIGHT", before.weight[c])
    for side in range(2):
        for c in ranks:
            yield scalar_line(name, None, "NORM", side, c, "INVERSE", before.inverse[side][c])
            yield scalar_line(name, None, "NORM", side, c, "NORM", before.norm[side][c])
    for block, (activations, errors) in enumerate(blocks):
        batch.stream(Samples(activations), Samples(errors), max(1, len(activations)))
        after = batch.scalars()
        for side, other in enumerate((before.norm[1], after.norm[0])):
            for c in ranks:
                history = scalar.multiply(before.weight[c], before.inverse[side][c])
                history = scalar.multiply(history, other[c])
                yield scalar_line(name, block, "HISTORY", side, c, "HISTORY", history)
            for c in ranks:
                inverse, norm = after.inverse[side][c], after.norm[side][c]
                yield scalar_line(name, block, "PIVOT", side, c, "INVERSE", inverse)
                yield scalar_line(name, block, "PIVOT", side, c, "NORM", norm)
        for c in ranks:
            yield scalar_line(name, block, "WEIGHT", 1, c, "WEIGHT", after.weight[c])
        before = after
    result = batch.result()
    last = len(blocks) - 1 if blocks else None
    for c, tau in enumerate(result.scale.tolist()):
        yield scalar_line(name, last, "SCALE", 0, c, "SCALE", tau)
        if rate is not None:
            yield scalar_line(name, last, "SCALE", 0, c, "UPDATE", scalar.multiply(rate, tau))


def update_trace(name: str, pulses: UpdatePulses) -> Iterator[str]:
    """The lines of an update's slots in their order."""
    for train in pulses.trains():
        driven = int((train.rows != 0).sum() + (train.columns != 0).sum())
        tile = (train.tile_row, train.tile_column)
        yield slots_line(name, train.rank, tile, len(train.rows), driven)
