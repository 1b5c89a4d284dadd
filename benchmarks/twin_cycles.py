"""Clock cycles for which an update keeps the crossbar's digital twin busy, beside the drivers' own.

Random factors on the default preset, m = 128, n = 784, k = 4, 32 slots a phase, at several numbers
of cells a cycle and in both encodings. The cycles follow from the pulses by `hdl.twin.slot_cycles`,
which the tests compare with the hardware.

    python benchmarks/twin_cycles.py --json results.json
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from golden_model.files import write_json
from golden_model.parameters import Parameters
from golden_model.pulses import UpdatePulses
from golden_model.twin import TwinSpec
from hdl.twin import slot_cycles
from hdl.update import update_cycles

M, N, RANKS = 128, 784, 4
LOG2_SLOTS = 5


def measure(parameters: Parameters, cells_per_cycle: int, scrambled: bool) -> dict[str, float]:
    """Cycles of an update, and what its slots are like."""
    spec = TwinSpec(
        rows=parameters.tile_rows,
        columns=parameters.tile_columns,
        grid_rows=-(-N // parameters.tile_rows),
        grid_columns=-(-M // parameters.tile_columns),
        cells_per_cycle=cells_per_cycle,
    )
    random = np.random.default_rng(0)
    limit = parameters.word.maximum
    x, delta = (
        np.rint(random.normal(size=(lines, RANKS)) * limit / 4).clip(-limit, limit)
        for lines in (N, M)
    )
    kappa = 20 / 2.0 ** (2 * (parameters.width - 1))  # steps of a cell whose lines fire all along
    pulses = UpdatePulses(
        parameters,
        x,
        delta,
        [kappa] * RANKS,
        slots_min=LOG2_SLOTS,
        slots_max=LOG2_SLOTS,
        scrambled=scrambled,
        seed=1,
    )
    slots, empty, cycles = 0, 0, 0
    for train in pulses.trains():
        rows = np.count_nonzero(train.rows, axis=1)
        columns = np.count_nonzero(train.columns, axis=1)
        for fired_rows, fired_columns in zip(rows.tolist(), columns.tolist(), strict=True):
            busy = slot_cycles(spec, fired_rows, fired_columns)
            slots, empty, cycles = slots + 1, empty + (busy == 0), cycles + busy
    driver = update_cycles(parameters, M, N, [1 << LOG2_SLOTS] * RANKS, scrambled)
    return {
        "cells_per_cycle": cells_per_cycle,
        "scrambled": scrambled,
        "slots": slots,
        "empty_share": empty / slots,
        "twin_cycles": cycles,
        "driver_cycles": driver,
    }


def main() -> None:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="file that takes the results")
    options = parser.parse_args()
    results = []
    for scrambled in (True, False):
        for cells_per_cycle in (8, 16, 64):
            results.append(measure(Parameters(), cells_per_cycle, scrambled))
            print(", ".join(f"{name} {value}" for name, value in results[-1].items()))
    if options.json:
        write_json(options.json, {"runs": results})


if __name__ == "__main__":
    main()
