"""Synthesis, and placement with routing, as steps of a `Steps` folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from importlib import import_module
from inspect import getsource
from pathlib import Path
from typing import Any

from hdl.place_report import REPORT, read_report
from hdl.steps import LOG, Steps
from hdl.toolchains import Toolchain

TOP = "top"
"""Name of the top module, and of its files."""

LEAVE_COLLISIONS_OPEN = (
    "setparam -set COLLISION_X_MASK 1'1 t:$memrd_v2 r:CLK_ENABLE=1 %i r:COLLISION_X_MASK=1'0 %i"
)
"""Yosys's command by which memories may give any word where one is read while it is written.

Amaranth wants the old word. Block RAMs that give another then need logic around them: a tenth of
the LUTs and a fifth of the flip-flops of a 16 x 4 x 16 on an ECP5. No such word is used, as
tests/sim/test_collisions.py shows. Ports without a clock, and memories of several write ports, stay
as they are.
"""

# On a whole machine Yosys 0.70 ends without a word after abc9, by an assertion of its pass abc9_ops
# (its log, -l, has it). It passes when flattened first and with public names hidden that have a
# bracket, such as Amaranth gives to an array's elements, or a $, by which it tells namesakes apart;
# why is not known.
_SCRIPT = """\
read_rtlil {top}.il
{collisions}
hierarchy -top {top}
flatten
rename -hide w:*]* w:*$*
{synthesis} -top {top} -json {top}.json
"""


def synthesise(steps: Steps, toolchain: Toolchain, source: str) -> Path:
    """The folder with the netlist of `source`, RTLIL of module `TOP`, ready for placing."""
    script = _SCRIPT.format(
        top=TOP, collisions=LEAVE_COLLISIONS_OPEN, synthesis=toolchain.synthesis
    )
    mapped = steps.run(
        "synthesis",
        toolchain.yosys,
        ["-q", "synthesis.ys"],
        {f"{TOP}.il": source.encode(), "synthesis.ys": script.encode()},
    )
    if not toolchain.netlist_passes:
        return mapped

    def finish(folder: Path) -> None:
        netlist = json.loads((mapped / f"{TOP}.json").read_text())
        for change in toolchain.netlist_passes:
            change(netlist, TOP)
        (folder / f"{TOP}.json").write_text(json.dumps(netlist))

    passes = toolchain.netlist_passes
    sources = [getsource(import_module(change.__module__)) for change in passes]
    settings = [repr(change) for change in passes if is_dataclass(change)]
    return steps.derive("netlist", [mapped.name, *sources, *settings], finish)


def count_cells(
    steps: Steps,
    toolchain: Toolchain,
    netlist: Path,
    options: Sequence[str],
    files: Mapping[str, bytes] | None = None,
) -> str:
    """nextpnr's log of what the `netlist` takes, without placing it; `options` as of `place`.

    Takes seconds, where some of nextpnr's placers go on for ever on what does not fit.
    """
    pack = [*options, "--json", f"../{netlist.name}/{TOP}.json", "--pack-only"]
    folder = steps.run("cells", toolchain.place_and_route, pack, files)
    return (folder / LOG).read_text(errors="replace")


def place(
    steps: Steps,
    toolchain: Toolchain,
    netlist: Path,
    clock_mhz: float,
    seed: int,
    options: Sequence[str],
    files: Mapping[str, bytes] | None = None,
) -> tuple[Path, dict[str, Any]]:
    """Place and route the `netlist` of `synthesise` for a clock, met or not.

    `options` tell nextpnr of the FPGA and of constraints, which are in `files`. Returns the step's
    folder, with what the packer takes, and its `read_report`. Raises `StepError`.
    """
    folder = steps.run(
        f"seed{seed}",
        toolchain.place_and_route,
        [
            *options,
            "--json", f"../{netlist.name}/{TOP}.json",
            "--freq", f"{clock_mhz:g}",
            "--timing-allow-fail",
            "--seed", str(seed),
            "--report", REPORT,
            *toolchain.routed,
        ],
        files,
    )  # fmt: skip
    return folder, read_report(folder, toolchain)
