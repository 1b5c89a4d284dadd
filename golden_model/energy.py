"""Energy of training from counted events and a table of what each event costs, in picojoules.

The table is a collection of published numbers of different circuits and nodes: good for which part
dominates and how methods compare, not for the power of a chip. Every number has its source in its
metadata, and can be replaced by one of the user's in a TOML file. docs/energy.md has the formulas.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from golden_model.events import Events
from golden_model.files import read_toml
from golden_model.parameters import Parameters
from golden_model.reads import Reads

DEVICES = ("rram", "pcm", "ferroelectric", "ecram")
"""Classes of devices that the table has write energies of."""

SMALL_MEMORY = 8192
"""Bytes of the memory that `EnergyTable.access` is of, the smallest that accesses are scaled to."""


class EnergyError(ValueError):
    """A table of energies cannot be read, or has an entry that is not allowed."""


def _cost(value: float, unit: str, source: str) -> Any:
    return field(default=value, metadata={"unit": unit, "source": source})


@dataclass(frozen=True)
class EnergyTable:
    """What an event costs, in pJ. Immutable; raises `EnergyError` for an entry not allowed."""

    device: str = "rram"
    """The class of the array's devices, one of `DEVICES`."""
    write_rram: float = _cost(
        1.7,
        "pJ a pulse at a cell",
        "V^2 G t with 2 V, 80 ns and the mean 5.2 uS of the device that ships as RealDevice in "
        "NeuroSim 3.0 (Chen, Peng and Yu 2018, IEEE TCAD 37, 3067)",
    )
    write_pcm: float = _cost(
        6.8,
        "pJ a pulse at a cell",
        "partial-SET pulses of 90 uA and 50 ns (Nandakumar et al. 2020, Front. Neurosci. 14, 406); "
        "1.5 V across the cell is assumed here",
    )
    write_ferroelectric: float = _cost(
        3.0,
        "pJ a pulse at a cell",
        "the most that a pulse of 20 ns takes in hafnia/zirconia weights below 100 um^2, charging "
        "of parasitics included (arXiv:2601.01186)",
    )
    write_ecram: float = _cost(
        1e-5,
        "pJ a pulse at a cell",
        "below 10 aJ a write, simulated for a Li-ion redox transistor of 200 nm x 200 nm (Fuller "
        "et al. 2017, Adv. Mater. 29, 1604310); its lines cost more than it does",
    )
    line_cell: float = _cost(
        3.2e-4,
        "pJ a pulse on a line, for each cell that it crosses",
        "C V^2 of the wire at NeuroSim's 0.2 fF/um (see write_rram); a pitch of 0.4 um and 2 V are "
        "assumed here",
    )
    read_cell: float = _cost(
        1.8e-3,
        "pJ a cell in a conversion",
        "0.3 mW of a 128 x 128 array for a cycle of 100 ns (ISAAC: Shafiee et al. 2016, ISCA, "
        "doi 10.1109/ISCA.2016.12)",
    )
    dac_bit: float = _cost(
        0.39,
        "pJ a bit",
        "4 mW of 8 x 128 DACs of one bit for a cycle of 100 ns (ISAAC, see read_cell)",
    )
    adc_step: float = _cost(
        6.5e-3,
        "pJ a conversion, times 2^adc_bits",
        "16 mW of 8 ADCs of 8 bits at 1.2 GS/s (ISAAC, see read_cell, after Kull et al. 2013, "
        "ISSCC); the best Walden figures of merit that surveys list are 2 to 10 fJ a step (van "
        "Elzakker et al. 2008: 4.4; Harpe et al. 2013: 2.2)",
    )
    multiply_32: float = _cost(
        3.1,
        "pJ a multiplication of integers of 32 bits, times (bits / 32)^2",
        "45 nm at 0.9 V (Horowitz 2014, ISSCC, doi 10.1109/ISSCC.2014.6757323); gives 0.19 for "
        "8 bits, where the source has 0.2",
    )
    add_32: float = _cost(
        0.1,
        "pJ an addition of integers of 32 bits, times bits / 32",
        "Horowitz 2014, see multiply_32; gives 0.025 for 8 bits, where the source has 0.03",
    )
    access: float = _cost(
        10.0,
        "pJ an access of 64 bits to 8 KB, times bits / 64 and the root of the size",
        "Horowitz 2014, see multiply_32, for caches: 10 at 8 KB, 20 at 32 KB, 100 at 1 MB",
    )

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise EnergyError(
                f"device = {self.device!r} is unknown; choose one of: {', '.join(DEVICES)}"
            )
        for entry in fields(self):
            value = getattr(self, entry.name)
            if entry.name == "device":
                continue
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not (number and math.isfinite(value) and value >= 0):
                raise EnergyError(
                    f"{entry.name} = {value!r} ({entry.metadata['unit']}) must be a finite number "
                    "of at least 0"
                )

    @property
    def write(self) -> float:
        """Energy of a pulse at a cell of the chosen class."""
        value: float = getattr(self, f"write_{self.device}")
        return value

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> EnergyTable:
        """The table with `values` in place of its own; raises `EnergyError` for unknown names."""
        known = [entry.name for entry in fields(cls)]
        for name in values:
            if name not in known:
                raise EnergyError(f"unknown entry {name!r}; choose from: {', '.join(known)}")
        return cls(**values)

    @classmethod
    def from_toml(cls, path: Path) -> EnergyTable:
        """The table with the entries of TOML file `path` in place of its own.

        Raises `EnergyError` for a file that cannot be read and for an entry that is not allowed.
        """
        values = read_toml(path, EnergyError)
        try:
            return cls.from_mapping(values)
        except EnergyError as error:
            raise EnergyError(f"{path}: {error}") from error


def energies(
    events: Events, table: EnergyTable, parameters: Parameters, reads: Reads, memory: int
) -> dict[str, float]:
    """What `events` cost by part, in pJ.

    `memory` is what the optimiser keeps beside the array, in words of the accelerator's width: the
    larger it is, the more an access costs. All arithmetic is counted as the accelerator's integers.
    """
    width = parameters.width
    multiply = table.multiply_32 * (width / 32) ** 2
    accumulate = table.add_32 * parameters.accumulator_bits / 32
    size = max(1.0, memory * width / 8 / SMALL_MEMORY)
    crossed = (parameters.tile_rows + parameters.tile_columns) / 2
    return {
        "dac": events.dac_bits * table.dac_bit,
        "adc": events.adc_conversions * table.adc_step * 2**reads.adc_bits,
        "cell_reads": events.cell_reads * table.read_cell,
        "sums": events.sum_additions * table.add_32 * reads.sum_bits / 32,
        "arithmetic": events.multiply_accumulates * (multiply + accumulate),
        "memory": events.memory_accesses * table.access * width / 64 * math.sqrt(size),
        "lines": events.line_pulses * table.line_cell * crossed,
        "writes": events.cell_pulses * table.write,
    }


def training_energy(
    events: Events,
    table: EnergyTable,
    parameters: Parameters,
    reads: Reads,
    memory: int,
    images: int,
    updates: int,
) -> dict[str, Any]:
    """What training `images` in so many `updates` with `events` took, in nJ.

    `energy` is that of an image, all together, and `energy_parts` its parts; `energy_update` is
    that of the pulses of an update alone.
    """
    parts = energies(events, table, parameters, reads, memory)
    return {
        "energy": sum(parts.values()) / images / 1000,
        "energy_update": (parts["lines"] + parts["writes"]) / updates / 1000,
        "energy_parts": {name: value / images / 1000 for name, value in parts.items()},
    }
