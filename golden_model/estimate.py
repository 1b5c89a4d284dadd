"""What training takes, from sizes alone: nothing is trained, loaded or simulated.

docs/estimate.md has the formulas.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from golden_model import cost
from golden_model.energy import EnergyTable, energies
from golden_model.events import Events, batch_read_events, optimizer_events
from golden_model.optimizer_cost import batch_cost
from golden_model.optimizers import LayerPlan
from golden_model.parameters import Parameters
from golden_model.pulses import PHASES
from golden_model.sbpca import blocks
from golden_model.training_settings import TrainingError, TrainingSettings


@dataclass(frozen=True)
class LayerEstimate:
    """What one batch takes in one layer."""

    name: str
    """The layer's name."""
    m: int
    """Outputs: columns of the crossbar."""
    n: int
    """Inputs, the constant of the bias among them: rows of the crossbar."""
    samples: int
    """Samples of a batch: images times output positions."""
    blocks: int
    """Blocks of a batch."""
    tiles: int
    """Crossbar tiles that hold the layer."""
    cells: int
    """Weights."""
    array_products: int
    """Multiply-accumulates that the array itself does in a forward or a transposed read."""
    memory: int
    """Numbers beside the array while samples stream by."""
    multiply_accumulates: int
    """Multiply-accumulates of the optimiser."""
    outer_products: int
    """Updates of the whole array at once."""
    cell_writes: int
    """Cells that are written one by one, because the update is no outer product."""
    ideal_cycles: int | None
    """Cycles of an array busy in every cycle; None for what the accelerator does not do."""
    multiply_cycles: int | None
    """Cycles in which the MAC array multiplies: register MULTIPLY_CYCLES."""
    slot_cycles: int
    """Cycles in which the lines carry the slots of the outer products."""
    most_pulses: int
    """Pulses on lines, if every line fired in every slot of its two phases."""
    most_writes: int
    """Most times that a cell is written: once by each outer product, or once."""
    accesses: int
    """Least number of words that the optimiser reads from or writes to memory."""
    dac_bits: int
    """Bits that the DACs of the reads convert."""
    adc_conversions: int
    """Codes that the ADCs of the reads give."""
    cell_reads: int
    """Cells that pass current in a conversion of the reads."""
    read_energy_pj: int
    """Energy of the reads, in pJ."""
    optimizer_energy_pj: int
    """Energy of the optimiser's arithmetic and memory, in pJ."""
    most_update_energy_pj: int
    """Energy of the update, in pJ, if every line fired in every slot of its two phases; or, of
    cells written one by one, if each took one step."""


def estimate(
    settings: TrainingSettings,
    shape: tuple[int, int, int],
    classes: int,
    slots: int,
    energy: EnergyTable | None = None,
) -> list[LayerEstimate]:
    """What a batch takes in each layer, for images of `shape` (C, H, W) and `slots` a phase.

    Energies are by table `energy`, the default one unless given; each layer has a memory of its
    own. Ideal and multiply cycles are those of SBPCA on the accelerator, up to its `columns` ranks.
    Raises `NetworkError` and `TrainingError` for what does not fit, and `TrainingError`
    for slots that are no power of two up to `max_slots`.
    """
    most = settings.parameters.max_slots
    if not 1 <= slots <= most or slots & (slots - 1):
        raise TrainingError(f"slots = {slots} must be a power of two from 1 to {most} (max_slots)")
    table = energy or EnergyTable()
    return [
        _layer(settings, plan, slots, table, first=index == 0)
        for index, plan in enumerate(settings.plan(shape, classes))
    ]


def _layer(
    settings: TrainingSettings, plan: LayerPlan, slots: int, table: EnergyTable, *, first: bool
) -> LayerEstimate:
    parameters, optimizer = settings.parameters, settings.optimizer
    m, n, samples = plan.m, plan.n, settings.batch * plan.positions
    sizes = [part.stop - part.start for part in blocks(samples, plan.block)]
    taken = batch_cost(optimizer, plan, settings.batch, settings.update)
    tiles = cost.tiles(parameters, m, n)
    on_accelerator = optimizer in ("sbpca", "sbe") and plan.rank <= parameters.columns
    batch = (parameters, m, n, plan.rank, sizes)
    most_pulses = taken.outer_products * slots * 2 * _lines(parameters, m, n)
    reads = batch_read_events(settings.reads, parameters, plan, settings.batch, first=first)
    update = Events(
        line_pulses=most_pulses + 2 * taken.cell_writes,
        cell_pulses=taken.outer_products * slots * m * n + taken.cell_writes,
    )

    def picojoules(events: Events) -> int:
        return round(
            sum(energies(events, table, parameters, settings.reads, taken.memory).values())
        )

    return LayerEstimate(
        name=plan.name,
        m=m,
        n=n,
        samples=samples,
        blocks=len(sizes),
        tiles=tiles,
        cells=m * n,
        array_products=samples * m * n,
        memory=taken.memory,
        multiply_accumulates=taken.multiply_accumulates,
        outer_products=taken.outer_products,
        cell_writes=taken.cell_writes,
        ideal_cycles=cost.ideal_batch_cycles(*batch) if on_accelerator else None,
        multiply_cycles=cost.batch_steps(*batch) if on_accelerator else None,
        slot_cycles=taken.outer_products * tiles * len(PHASES) * slots,
        most_pulses=most_pulses,
        most_writes=taken.outer_products or 1,
        accesses=taken.accesses,
        dac_bits=reads.dac_bits,
        adc_conversions=reads.adc_conversions,
        cell_reads=reads.cell_reads,
        read_energy_pj=picojoules(reads),
        optimizer_energy_pj=picojoules(optimizer_events(taken)),
        most_update_energy_pj=picojoules(update),
    )


def _lines(parameters: Parameters, m: int, n: int) -> int:
    """Lines that an outer product drives, counted in every tile that they cross."""
    return n * -(-m // parameters.tile_columns) + m * -(-n // parameters.tile_rows)


def as_dict(layers: Sequence[LayerEstimate], settings: TrainingSettings) -> dict[str, Any]:
    """The estimates as JSON can hold them: layers, sums over them, and the settings."""
    summed = [
        field.name
        for field in fields(LayerEstimate)
        if field.name not in ("name", "m", "n", "most_writes")
    ]
    rows = [asdict(layer) for layer in layers]
    return {
        "layers": rows,
        "batch": {name: _sum([row[name] for row in rows]) for name in summed},
        "settings": settings.as_dict(),
    }


def _sum(values: Sequence[int | None]) -> int | None:
    """Their sum, or None if there is none for one of them."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
