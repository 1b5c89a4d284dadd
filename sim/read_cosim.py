"""Co-simulation of reads: the generated Verilog, an array on its pins, and the golden model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from golden_model.parameters import Parameters
from golden_model.reads import ENCODINGS, Reads
from sim.cosim import build_accelerator
from sim.job import Batch, Job, ReadAnswer, ReadRun
from sim.runner import run

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
    beyond the DAC's among them, and one in five the largest.
    """
    random = np.random.default_rng(seed)
    runs = []
    for m, n in shapes:
        for encoding in ENCODINGS:
            for transposed in (False, True):
                sum_bits = adc_bits + (dac_bits - 1 if encoding == "bit-serial" else 0)
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
                        Reads("analog", encoding, dac_bits, adc_bits, sum_bits, output_bound=1.0),
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
) -> list[ReadAnswer]:
    """Do `runs` on the RTL, each before the batch of its place, and compare.

    Raises `SimulatorError` if the simulator is missing or the bench fails.
    """
    built = build_accelerator(parameters, simulator, folder)
    job = Job(parameters, batches, stall, seed, runs)
    answers, _, _ = run(built, READ_BENCH, job, "reads")
    return list(answers)
