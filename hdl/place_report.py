"""What nextpnr reports of a placed and routed design, in the terms of `eigenbar build`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hdl.steps import LOG
from hdl.toolchains import BuildError, Toolchain

REPORT = "report.json"
"""nextpnr's report in the folder of its step."""

PARAMETERS_FOR = {
    "LUT": "lanes, columns, tile_rows, tile_columns or width",
    "FF": "lanes, columns, tile_rows, tile_columns or width",
    "DSP": "lanes, columns or tile_columns",
    "BRAM": "buffer_rows, max_n, max_m, max_rank or the twin's grid_rows and grid_columns",
}
"""The parameters to lower, each that fits the rest, if a resource is short."""


def read_report(folder: Path, toolchain: Toolchain) -> dict[str, Any]:
    """`fmax_mhz`, `critical_path` and `utilization` of the step in `folder`.

    Of several clocks it is the one furthest below its constraint. Delays are in ns, that of logic
    with clock to output and setup. Raises `BuildError` for a design without a clock.
    """
    found = json.loads((folder / REPORT).read_text())
    if not found["fmax"]:
        raise BuildError(f"nextpnr found no clock in the design; see {folder / LOG}")
    clock, speed = min(
        found["fmax"].items(), key=lambda item: item[1]["achieved"] / item[1]["constraint"]
    )
    path = next(
        part["path"]
        for part in found["critical_paths"]
        if clock in part["from"] and clock in part["to"]
    )
    delays = {
        kind: sum(hop["delay"] for hop in path if (hop["type"] == "routing") == (kind == "routing"))
        for kind in ("logic", "routing")
    }
    return {
        "fmax_mhz": math.floor(100 * speed["achieved"]) / 100,  # never more than it reaches
        "critical_path": {
            "from": path[0]["from"]["cell"],
            "to": path[-1]["to"]["cell"],
            "logic_ns": round(delays["logic"], 2),
            "routing_ns": round(delays["routing"], 2),
        },
        "utilization": _utilization(
            found["utilization"], toolchain, (folder / LOG).read_text(errors="replace")
        ),
    }


def _utilization(
    cells: Mapping[str, Mapping[str, int]], toolchain: Toolchain, log: str
) -> dict[str, dict[str, int]]:
    """How much of each resource is used and available, of nextpnr's counts of `cells`."""
    counts = {
        resource: {
            "used": math.ceil(
                sum(weight * cells[kind]["used"] for kind, weight in kinds.items() if kind in cells)
            ),
            "available": cells[next(iter(kinds))]["available"],
        }
        for resource, kinds in toolchain.resources.items()
    }
    if toolchain.flip_flops is not None:
        counts["FF"]["used"] = sum(int(count) for count in toolchain.flip_flops.findall(log))
    return counts


_CELLS = re.compile(r"^Info:\s+(\w+):\s+(\d+)/\s*(\d+)\s+\d+%", re.M)
"""A line of nextpnr's log that counts a kind of cells."""


def what_is_short(log: str, toolchain: Toolchain) -> str | None:
    """What the design takes more of than there is, by nextpnr's `log`, and what to change.

    None if it fits.
    """
    cells = {
        kind: {"used": int(used), "available": int(available)}
        for kind, used, available in _CELLS.findall(log)
    }
    short = {
        resource: count
        for resource, count in _utilization(cells, toolchain, log).items()
        if count["used"] > count["available"]
    }
    if not short:
        return None
    counts = ", ".join(
        f"{count['used']} {resource} of {count['available']}" for resource, count in short.items()
    )
    advice: dict[str, list[str]] = {}
    for resource in short:
        advice.setdefault(PARAMETERS_FOR[resource], []).append(resource)
    changes = "; ".join(f"{' and '.join(of)}: {names}" for names, of in advice.items())
    return f"the design takes {counts}. Parameters to lower with --set, for {changes}"
