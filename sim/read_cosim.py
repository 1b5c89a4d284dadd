"""Co-simulation of reads: the generated Verilog, an array on its pins, and the golden model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from golden_model.files import write_json
from golden_model.parameters import Parameters
from golden_model.read_pins import SUM_BITS
from golden_model.reads import ENCODINGS, MAX_DAC_BITS, Reads
from hdl.reader import MAX_VECTORS
from sim.cosim import CosimError, build_accelerator, check_shape
from sim.job import Batch, Job, ReadRun
from sim.runner import run
from sim.tools import environment

READ_BENCH = "sim.read_bench"


def random_reads(
    parameters: Parameters,
    shapes: Sequence[tuple[int, int]],
    vectors: int,
    seed: int,
    *,
    dac_bits: int = 5,
    adc_bits: int = 6,
    largest: int = 63,
) -> list[ReadRun]:
    """Runs of every shape m, n, both ways with both encodings, some of whose codes saturate.

    Sums saturate at the bits of what one tile gives. Codes are of all values of a word, those
    beyond the DAC's among them, and one in five the largest. Raises `CosimError` for what the
    accelerator cannot read.
    """
    for m, n in shapes:
        check_shape(parameters, m, n, 1, 1)
    for name, value, low, high in (
        ("vectors", vectors, 1, MAX_VECTORS),
        ("dac_bits", dac_bits, 2, min(parameters.width, MAX_DAC_BITS)),
        ("adc_bits", adc_bits, 2, min(parameters.adc_bits, SUM_BITS - dac_bits + 1)),
    ):
        if not low <= value <= high:
            raise CosimError(f"{name} = {value} must be from {low} to {high} on these parameters")
    random = np.random.default_rng(seed)
    runs = []
    for m, n in shapes:
        for encoding in ENCODINGS:
            for transposed in (False, True):
                shifts = dac_bits - 1 if encoding == "bit-serial" and dac_bits > 2 else 0
                word = parameters.word
                codes = random.integers(
                    word.minimum, word.maximum, (vectors, m if transposed else n), endpoint=True
                )
                codes[random.random(codes.shape) < 0.2] = word.maximum
                cells = random.integers(-largest, largest, (m, n), endpoint=True)
                cells[random.random(cells.shape) < 0.2] = largest
                runs.append(
                    ReadRun(
                        f"{'transposed' if transposed else 'forward'} {encoding} {m}, {n}",
                        m,
                        n,
                        Reads(
                            "analog",
                            encoding,
                            dac_bits,
                            adc_bits,
                            adc_bits + shifts,
                            output_bound=1.0,
                        ),
                        cells.astype(np.float64),
                        largest,
                        codes.astype(np.float64),
                        transposed,
                    )
                )
    return runs


def cosimulate_reads(
    parameters: Parameters,
    runs: Sequence[ReadRun],
    simulator: str,
    *,
    batches: Sequence[Batch] = (),
    stall: float = 0.0,
    seed: int = 0,
    folder: Path | None = None,
    results: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Do `runs` on the RTL, each before the batch of its place, and compare; what JSON can hold.

    The results go to `results`, too. Raises `SimulatorError` if the simulator is missing or the
    bench fails.
    """
    environment(simulator)  # before the time that generation takes
    progress(f"building the accelerator for {simulator}")
    built = build_accelerator(parameters, simulator, folder)
    progress(f"simulating {len(runs)} runs of reads")
    job = Job(parameters, batches, stall, seed, runs)
    answers, cycles, seconds = run(built, READ_BENCH, job, "reads")
    summary = {
        "simulator": simulator,
        "parameters": parameters.as_dict(),
        "stall": stall,
        "seed": seed,
        "values_compared": sum(answer.values_compared for answer in answers),
        "mismatches": sum(answer.mismatches for answer in answers),
        "cycles": sum(answer.cycles for answer in answers),
        "simulated_cycles": cycles,
        "cycles_per_second": cycles / seconds,
        "runs": [asdict(answer) for answer in answers],
    }
    if results is not None:
        write_json(results, summary)
    return summary
