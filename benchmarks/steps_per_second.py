"""SBPCA steps a second: the accelerators of benchmarks/fpga_table.py against this machine's CPU.

A step is a block of b samples of a layer m x n at rank k. An accelerator's figure is the clock that
nextpnr finds over the cycles of a further block, which are measured here on the simulated Verilog
and must equal those of fpga_table.json; no board has been measured. The CPU computes the published
form in float with NumPy and, by the Python of `--torch-python`, with PyTorch, each with QR and
Cholesky factorisations, in both precisions, with one thread and two (peers/sbpca_steps.py); and the
accelerator's own form in float as the golden model has it. Exits 1 if cycles differ.

    python benchmarks/steps_per_second.py --torch-python PYTHON --json results.json

benchmarks/documents/fpga.py writes tables of docs/fpga.md from benchmarks/steps_per_second.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from golden_model.files import write_json
from golden_model.parameters import Parameters
from sim.cosim import cosimulate, random_batches

ROOT = Path(__file__).parents[1]
FPGA_TABLE = ROOT / "benchmarks" / "fpga_table.json"
PEER = ROOT / "benchmarks" / "peers" / "sbpca_steps.py"
THREADS = (1, 2)

Shape = tuple[int, int, int, int]
"""m, n, rank and samples of a block."""


def cpu_rates(python: str, library: str, shapes: list[Shape], seconds: float) -> list[dict]:
    """What `PEER` finds with a library of Python interpreter `python`."""
    found = []
    for threads in THREADS:
        names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
        environment = os.environ | dict.fromkeys(names, str(threads)) | {"PYTHONPATH": str(ROOT)}
        command = [
            python, str(PEER), *(",".join(map(str, shape)) for shape in shapes),
            "--library", library, "--threads", str(threads), "--seconds", str(seconds),
        ]  # fmt: skip
        output = subprocess.run(
            command, env=environment, check=True, stdout=subprocess.PIPE, text=True
        ).stdout
        found += [json.loads(line) for line in output.splitlines()]
    return found


def measured_cycles(parameters: Parameters, shape: Shape) -> int:
    """Cycles by which a batch of three blocks takes longer than one of two, on the Verilog."""
    cycles = []
    for blocks in (2, 3):
        batches = random_batches(parameters, shape, blocks, 1, "gaussian", 0, update=False)
        (answer,) = cosimulate(parameters, batches, "verilator")["batches"]
        if answer["mismatches"]:
            sys.exit(f"{shape}: the Verilog differs from the golden model")
        cycles.append(answer["cycles"])
    return cycles[1] - cycles[0]


def processor() -> str:
    """The CPU as Linux names it, or else as Python does."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {os.cpu_count()} processors" if names else platform.processor()


def main() -> None:
    """Measure, print a line for each figure, and write JSON if asked."""
    parser = argparse.ArgumentParser(description="SBPCA steps a second; see the docstring.")
    parser.add_argument("--torch-python", help="a Python that has PyTorch; without, NumPy only")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each figure of the CPU")
    parser.add_argument("--json", type=Path, help="file that takes the results")
    options = parser.parse_args()
    entries = [entry for entry in json.loads(FPGA_TABLE.read_text())["results"] if "seeds" in entry]
    shapes = sorted(
        {(of["m"], of["n"], of["k"], of["b"]) for entry in entries for of in entry["shapes"]}
    )
    cpu = cpu_rates(sys.executable, "numpy", shapes, options.seconds)
    if options.torch_python:
        cpu += cpu_rates(options.torch_python, "torch", shapes, options.seconds)
    for rate in cpu:
        print("{m}, {n}, {k}, {b}: {library}, {form}, {precision}, {threads} threads: "
              "{steps_per_second:.0f} steps/s".format(**rate))  # fmt: skip
    cycles: list[dict[str, Any]] = []
    different = False
    for entry in entries:
        for shape in entry["shapes"]:
            sizes = (shape["m"], shape["n"], shape["k"], shape["b"])
            measured = measured_cycles(Parameters(**entry["parameters"]), sizes)
            print(f"{entry['configuration']}, {sizes}: {measured} cycles, {shape['cycles']} there")
            names = dict(zip("mnkb", sizes, strict=True))
            cycles.append({"configuration": entry["configuration"], **names, "cycles": measured})
            different |= measured != shape["cycles"]
    if options.json:
        write_json(options.json, {"processor": processor(), "cpu": cpu, "cycles": cycles})
    if different:
        sys.exit("cycles differ from those of fpga_table.json: measure it anew")


if __name__ == "__main__":
    main()
