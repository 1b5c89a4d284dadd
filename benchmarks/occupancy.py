"""How busy the array is: multiplying and ideal cycles over all cycles, on the generated Verilog.

Each shape runs as whole batches of random data (state in, blocks, state out) of several lengths,
compared with the golden model on every bit. Printed are the cycles of a further block beside those
that `hdl.timing` predicts, the occupancy of a further block and of each batch, and the cycles of
each phase. Exits 1 if a batch differs, or if the longest batch of a shape misses what is required.

    python benchmarks/occupancy.py --json results.json
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from golden_model.cost import ideal_block_cycles
from golden_model.files import write_json
from golden_model.parameters import Parameters
from hdl.timing import block_cycles
from sim.cosim import cosimulate, random_batches

REQUIRED = {(128, 784, 4, 64): 0.93, (32, 144, 4, 128): 0.88, (256, 1024, 8, 32): 0.93}
"""Ideal cycles over all cycles that a batch of m, n, k, b is to reach."""


def measure(parameters: Parameters, shape: tuple[int, int, int, int], lengths: list[int]) -> dict:
    """Batches of `lengths` blocks of a shape, and what a block takes that follows another."""
    m, n, k, b = shape
    runs = []
    for blocks in sorted({2, 3, *lengths}):
        batches = random_batches(parameters, shape, blocks, 1, "gaussian", 0, update=False)
        answer: dict[str, Any] = cosimulate(parameters, batches, "verilator")["batches"][0]
        names = ("mismatches", "cycles", "multiply_cycles", "ideal_cycles", "phase_cycles")
        runs.append({"blocks": blocks} | {name: answer[name] for name in names})
    further = runs[1]["cycles"] - runs[0]["cycles"]
    ideal = ideal_block_cycles(parameters, m, n, k, b)
    return {
        "m": m, "n": n, "k": k, "b": b,
        "ideal_block_cycles": ideal,
        "further_block_cycles": further,
        "predicted_block_cycles": block_cycles(parameters, m, n, k, b),
        "further_block_occupancy": ideal / further,
        "required": REQUIRED[shape],
        "batches": [run for run in runs if run["blocks"] in lengths],
    }  # fmt: skip


def show(result: dict[str, Any]) -> bool:
    """Print a shape's result; whether its longest batch has what is required and all is equal."""
    print(f"m = {result['m']}, n = {result['n']}, k = {result['k']}, b = {result['b']}")
    print(
        f"  a further block: {result['further_block_cycles']} cycles "
        f"({result['predicted_block_cycles']} predicted) for {result['ideal_block_cycles']} "
        f"ideal: {result['further_block_occupancy']:.3f}"
    )
    for run in result["batches"]:
        ideal, busy = (run[name] / run["cycles"] for name in ("ideal_cycles", "multiply_cycles"))
        print(
            f"  {run['blocks']} blocks: {run['cycles']} cycles, ideal {ideal:.3f}, "
            f"multiplying {busy:.3f}, {run['mismatches']} mismatches"
        )
        shares = (f"{name} {cycles}" for name, cycles in run["phase_cycles"].items())
        print(f"    {', '.join(shares)}")
    longest = result["batches"][-1]
    reached = longest["ideal_cycles"] / longest["cycles"] >= result["required"]
    equal = not any(run["mismatches"] for run in result["batches"])
    predicted = result["further_block_cycles"] == result["predicted_block_cycles"]
    print(f"  {result['required']} required: {'reached' if reached else 'missed'}")
    return reached and equal and predicted


def main() -> int:
    """Measure, print, and write JSON if asked."""
    parser = argparse.ArgumentParser(description="Occupancy of the array; see the docstring.")
    parser.add_argument("--blocks", type=int, nargs="+", default=[8, 32], help="blocks of a batch")
    parser.add_argument("--json", type=Path, help="file that takes the results")
    options = parser.parse_args()
    parameters = Parameters()
    results = [measure(parameters, shape, options.blocks) for shape in REQUIRED]
    good = [show(result) for result in results]
    if options.json:
        settings = {"parameters": parameters.as_dict(), "blocks": options.blocks}
        write_json(options.json, {"settings": settings, "shapes": results})
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
