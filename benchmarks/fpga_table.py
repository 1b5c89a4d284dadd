"""Size, speed and steps a second of whole accelerators on FPGAs: lanes x columns x width.

For each of `CONFIGURATIONS` Yosys maps the accelerator to an ECP5, and nextpnr places and routes it
on an ECP5-85F of speed grade 6 without pins (out of context), once for each seed, aiming at
`TARGET_MHZ`. Those of `SYNTHESISED` are also mapped, no further, to other families. Results go to
the JSON file as each is finished, in the place of earlier ones of the same configuration; what the
tools have made is kept in the folder of steps, so that a run that was interrupted goes on, and one
for more seeds places only those. A small configuration takes minutes, the largest an hour a seed.

    python benchmarks/fpga_table.py --only 4x1x8 8x4x16 --seeds 2
    python benchmarks/fpga_table.py --check    # the smallest again; exits 1 if it became worse
    python benchmarks/fpga_table.py --only 16x4x16 --nextpnr /usr/bin/nextpnr-ecp5    # 3 x as fast
    python benchmarks/documents/fpga.py        # tables and figure of docs/fpga.md, from the JSON

Needs the extra `fpga`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from amaranth.back import rtlil

from golden_model.files import write_json
from golden_model.optimizer_cost import sbpca_block
from golden_model.parameters import Parameters
from hdl.accelerator import Accelerator
from hdl.block_places import BlockPlacer
from hdl.boards import Family
from hdl.flow import TOP, place, synthesise
from hdl.steps import StepError, Steps
from hdl.timing import block_cycles
from hdl.toolchains import TOOLCHAINS, BuildError, LocalTool, Toolchain

RESULTS = Path(__file__).with_suffix(".json")

CONFIGURATIONS = ("4x1x8", "4x2x8", "8x2x12", "8x4x16", "16x4x8", "16x4x16")
"""Lanes x columns x width, the smallest first."""

SYNTHESISED = ("4x1x8", "8x2x12", "8x4x16")
"""Those that are mapped to the other families too."""

SHAPES = ((32, 144, 4, 64), (128, 784, 4, 16))
"""m, n, rank and samples of a block: a convolution's layer, and a fully connected one."""

TARGET_MHZ = 120

DEVICE = "LFE5U-85F, speed grade 6"
FPGA = (
    *("--85k", "--speed", "6", "--package", "CABGA756", "--out-of-context", "--placer", "static"),
    # No limit: a native nextpnr's overflows from 46,341 cells on, and then is none at all.
    *("--placer-heap-cell-placement-timeout", "0"),
)
"""nextpnr's options: the FPGA, with no pins, from which it makes no bitstream."""

TOOLCHAIN = replace(TOOLCHAINS[Family.ECP5], routed=())

CROWDED = CONFIGURATIONS[2:]
"""Those whose block RAMs and multipliers are placed first, as they take most of the FPGA's."""

BLOCK_PLACER = BlockPlacer("LFE5U-85F")

LUT_TOLERANCE, FMAX_TOLERANCE = 0.03, 0.15
"""By how much there may be more LUTs and less speed before `--check` calls it worse."""

OTHERS: dict[str, tuple[str, dict[str, dict[str, float]]]] = {
    "7 series": (
        "synth_xilinx -family xc7 -flatten",
        {
            # A distributed RAM of name RAM32M or RAM64M takes the four LUTs of a slice.
            "LUT": {r"LUT\d|SRL.*": 1, r"RAM\d+X1D": 2, r"RAM\d+M": 4},
            "FF": {r"FD[CPRS]E(_1)?": 1},
            "DSP": {"DSP48E1": 1},
            "BRAM": {"RAMB36E1": 1, "RAMB18E1": 0.5},
        },
    ),
    "iCE40": (
        TOOLCHAINS[Family.ICE40].synthesis,
        {
            "LUT": {"SB_LUT4": 1},
            "FF": {"SB_DFF.*": 1},
            "DSP": {"SB_MAC16": 1},
            "BRAM": {"SB_RAM40_4K.*": 1},
        },
    ),
}
"""Other families: Yosys's command, and of each resource the cells that take it and how much."""

Entry = dict[str, Any]


def parameters(configuration: str) -> Parameters:
    """The parameters of "lanes x columns x width": memories of as many words in all of them.

    Smaller ones than the default preset's, which hold more than the FPGA; the tile has twice as
    many lines as lanes each way.
    """
    lanes, columns, width = map(int, configuration.split("x"))
    tile = 2 * lanes
    return Parameters(
        lanes=lanes,
        columns=columns,
        width=width,
        max_m=256,
        max_n=1024,
        max_block=1024,
        buffer_rows=16384 // lanes,
        tile_rows=tile,
        tile_columns=tile,
        grid_rows=1024 // tile,
        grid_columns=256 // tile,
        max_slots=min(256, 1 << (width - 1)),
    )


def netlist_of(steps: Steps, toolchain: Toolchain, configuration: str) -> tuple[str, Path]:
    """Yosys's command and the folder of what it made of an accelerator.

    Where Yosys ends without a word in abc9 (`hdl.flow`), it is told to do without, but by
    synth_xilinx, which cannot.
    """
    source = rtlil.convert(Accelerator(parameters(configuration)), name=TOP, emit_src=False)
    try:
        return toolchain.synthesis, synthesise(steps, toolchain, source)
    except StepError as error:
        if "ERROR" in error.log or toolchain.synthesis.startswith("synth_xilinx"):
            raise
        plain = replace(toolchain, synthesis=f"{toolchain.synthesis} -noabc9")
        return plain.synthesis, synthesise(steps, plain, source)


def placed(
    steps: Steps, configuration: str, seeds: int, toolchain: Toolchain = TOOLCHAIN
) -> Iterator[Entry]:
    """The results on an ECP5 after each of the seeds from 1."""
    if configuration in CROWDED:
        toolchain = replace(toolchain, netlist_passes=(*toolchain.netlist_passes, BLOCK_PLACER))
    synthesis, netlist = netlist_of(steps, toolchain, configuration)
    entry: Entry = {
        "configuration": configuration,
        "family": "ECP5",
        "device": DEVICE,
        "constraint_mhz": TARGET_MHZ,
        "tools": {
            "yosys": toolchain.yosys.version,
            "nextpnr": toolchain.place_and_route.version,
        },
        "synthesis": synthesis,
        "blocks_first": configuration in CROWDED,
        "parameters": parameters(configuration).as_dict(),
        "shapes": [
            {
                "m": m, "n": n, "k": k, "b": b,
                "cycles": block_cycles(parameters(configuration), m, n, k, b),
                "multiply_accumulates": sbpca_block(m, n, k, b),
            }
            for m, n, k, b in SHAPES
        ],
        "seeds": [],
    }  # fmt: skip
    for seed in range(1, seeds + 1):
        _, report = place(steps, toolchain, netlist, TARGET_MHZ, seed, FPGA)
        entry["utilization"] = report.pop("utilization")
        entry["seeds"].append({"seed": seed, **report})
        yield entry


def mapped(steps: Steps, configuration: str, family: str) -> Entry:
    """The resources on another family, as Yosys maps it."""
    command, resources = OTHERS[family]
    # Only its Yosys is used.
    toolchain = replace(TOOLCHAINS[Family.ICE40], synthesis=command)
    synthesis, netlist = netlist_of(steps, toolchain, configuration)
    module = json.loads((netlist / f"{TOP}.json").read_text())["modules"][TOP]
    cells = Counter(cell["type"] for cell in module["cells"].values())
    return {
        "configuration": configuration,
        "family": family,
        "tools": {"yosys": toolchain.yosys.version},
        "synthesis": synthesis,
        "parameters": parameters(configuration).as_dict(),
        "utilization": {
            resource: {
                "used": sum(
                    weight * count
                    for kind, weight in kinds.items()
                    for cell, count in cells.items()
                    if re.fullmatch(kind, cell)
                )
            }
            for resource, kinds in resources.items()
        },
        "cells": dict(sorted(cells.items())),
    }


def load(path: Path) -> list[Entry]:
    """The results in the JSON file, none if there is no file."""
    return json.loads(path.read_text())["results"] if path.exists() else []


def keep(path: Path, entry: Entry) -> None:
    """Put a result into the JSON file, in the place of an earlier one; sorted."""

    def key(other: Entry) -> tuple[str, list[int]]:
        return other["family"], [int(part) for part in other["configuration"].split("x")]

    others = [other for other in load(path) if key(other) != key(entry)]
    write_json(path, {"results": sorted([*others, entry], key=key)})


def worse(entry: Entry, baseline: Entry) -> list[str]:
    """What is worse than in the baseline, with the same seed, beyond the tolerances."""
    luts, baseline_luts = (of["utilization"]["LUT"]["used"] for of in (entry, baseline))
    fmax, baseline_fmax = (of["seeds"][0]["fmax_mhz"] for of in (entry, baseline))
    found = []
    if luts > (1 + LUT_TOLERANCE) * baseline_luts:
        found.append(f"{luts} LUTs are over {LUT_TOLERANCE:.0%} more than {baseline_luts}")
    if fmax < (1 - FMAX_TOLERANCE) * baseline_fmax:
        found.append(f"{fmax} MHz are over {FMAX_TOLERANCE:.0%} less than {baseline_fmax}")
    return found


def check(steps: Steps, recorded: list[Entry]) -> list[str]:
    """Place the smallest configuration anew: what became `worse` than recorded.

    Raises `BuildError` if it is not recorded, or a tool fails.
    """
    name = CONFIGURATIONS[0]
    for baseline in recorded:
        if (baseline["configuration"], baseline["family"]) == (name, "ECP5"):
            (entry,) = placed(steps, name, seeds=1)
            return worse(entry, baseline)
    raise BuildError(f"{name} is not recorded: measure it first, with --only {name}")


def measure(
    steps: Steps, configurations: list[str], seeds: int, results: Path, toolchain: Toolchain
) -> None:
    """Put everything there is to know of the configurations into the JSON file `results`."""
    for name in configurations:
        for family in OTHERS if name in SYNTHESISED else ():
            keep(results, mapped(steps, name, family))
            print(f"{name}, {family}: mapped", flush=True)
        for entry in placed(steps, name, seeds, toolchain):
            keep(results, entry)
            last = entry["seeds"][-1]
            print(f"{name}, seed {last['seed']}: {last['fmax_mhz']} MHz", flush=True)


def main() -> None:
    """Measure and write, or check."""
    parser = argparse.ArgumentParser(description="Accelerators on FPGAs; see the docstring.")
    parser.add_argument(
        "--only", nargs="+", choices=CONFIGURATIONS, default=CONFIGURATIONS[:1], help="which"
    )
    parser.add_argument("--seeds", type=int, default=1, help="seeds to place, from 1")
    parser.add_argument("--check", action="store_true", help="compare with what is recorded")
    parser.add_argument("--steps", type=Path, default=Path("build/fpga_table"), help="folder")
    parser.add_argument("--json", type=Path, default=RESULTS, help="file that takes the results")
    parser.add_argument("--nextpnr", help="a nextpnr-ecp5 of this machine, not pip's")
    options = parser.parse_args()
    toolchain = TOOLCHAIN
    if options.nextpnr:
        toolchain = replace(toolchain, place_and_route=LocalTool(options.nextpnr))
    if options.seeds < 1:
        parser.error(f"--seeds {options.seeds} must be at least 1")
    try:
        with Steps(options.steps) as steps:
            if not options.check:
                measure(steps, options.only, options.seeds, options.json, toolchain)
            elif found := check(steps, load(options.json)):
                sys.exit("\n".join(found))
    except BuildError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
