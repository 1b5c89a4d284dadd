"""Size and speed of a whole accelerator on an ECP5-85F of speed grade 6, with its longest path.

Yosys maps the accelerator, nextpnr places and routes it without pins (out of context), once for
each seed, aiming at `TARGET_MHZ`. The parameters are the default preset's lanes, columns and width;
what differs (`SMALLER`) are memories and lines, because the default preset's memories are more than
the FPGA has; `--set` replaces more. Takes many minutes, and the extra `fpga`.

    python benchmarks/fpga_timing.py --seeds 2 --json results.json
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from amaranth.back import rtlil

from golden_model.files import write_json
from golden_model.parameters import ParameterError, Parameters
from hdl.accelerator import Accelerator
from hdl.boards import Family
from hdl.flow import TOP, place, synthesise
from hdl.steps import Steps
from hdl.toolchains import TOOLCHAINS, BuildError

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

FPGA = ("--85k", "--speed", "6", "--package", "CABGA756", "--out-of-context")
"""nextpnr's options: the FPGA, with no pins."""


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
    toolchain = TOOLCHAINS[Family.ECP5]
    source = rtlil.convert(Accelerator(parameters), name=TOP, emit_src=False)
    results = []
    with tempfile.TemporaryDirectory() as name, Steps(Path(name)) as steps:
        try:
            netlist = synthesise(steps, toolchain, source)
            for seed in range(1, options.seeds + 1):
                _, report = place(steps, toolchain, netlist, TARGET_MHZ, seed, FPGA)
                results.append({"seed": seed, **report})
                print(f"seed {seed}: {report['fmax_mhz']} MHz", flush=True)
                if options.json:
                    write_json(options.json, {"parameters": parameters.as_dict(), "seeds": results})
        except BuildError as error:
            sys.exit(str(error))
    best = max(results, key=lambda result: result["fmax_mhz"])
    print(
        ", ".join(
            f"{name} {count['used']} of {count['available']}"
            for name, count in best["utilization"].items()
        )
    )
    print("longest path: {from} to {to}, {logic_ns} ns logic, {routing_ns} ns routing".format(
        **best["critical_path"]
    ))  # fmt: skip


if __name__ == "__main__":
    main()
