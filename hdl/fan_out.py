"""Registers and LUTs that drive very many others, repeated, so that each copy has its own part.

One register that selects in every cell of the multiply-accumulate array pulls all of them together,
and itself stands far from most; neither Yosys nor nextpnr copies it.
"""

from __future__ import annotations

import copy
import re
from collections import defaultdict
from typing import Any

Cell = dict[str, Any]
Sink = tuple[str, str, int]
"""A cell, a port of it, and which of the port's bits."""

LIMIT = 64
"""Inputs that one of the copies drives at most."""

BLOCK_LIMIT = 8
"""Inputs of block RAMs and multipliers, which stand in few rows across the whole FPGA."""

CONTROL_LIMIT = 512
"""Enables and resets of flip-flops that one of the copies drives at most.

Flip-flops of a slice share theirs, so copies make a full FPGA harder to place.
"""

_BLOCKS = ("DP16KD", "MULT18X18D")
_OUTPUTS = {"TRELLIS_FF": "Q", "LUT4": "Z"}


def limit_fan_out(netlist: Cell, top: str, limit: int = LIMIT) -> int:
    """Repeat ECP5 flip-flops and LUTs of module `top` that drive over `limit` inputs; how many.

    Inputs of block RAMs and multipliers are counted by themselves, up to `BLOCK_LIMIT`, and enables
    and resets, up to `CONTROL_LIMIT`. Each copy drives inputs of cells whose names, which Yosys
    makes from those of the signals nearby, are neighbours in alphabetical order. Ports of the
    module stay with the original. What takes a port of the module into the clock's domain is not
    repeated: copies could disagree.
    """
    module = netlist["modules"][top]
    cells: dict[str, Cell] = module["cells"]
    sinks: dict[int | str, list[Sink]] = defaultdict(list)
    for name, cell in cells.items():
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] == "input":
                for index, bit in enumerate(bits):
                    sinks[bit].append((name, port, index))
    new = 1 + max(
        bit for net in module["netnames"].values() for bit in net["bits"] if isinstance(bit, int)
    )
    ports = {bit for port in module["ports"].values() for bit in port["bits"]}
    limits = {"logic": limit, "block": BLOCK_LIMIT, "control": CONTROL_LIMIT}
    before = len(cells)
    for name, cell in list(cells.items()):
        output = _OUTPUTS.get(cell["type"])
        if output is None or (output == "Q" and cell["connections"]["DI"][0] in ports):
            continue
        (bit,) = cell["connections"][output]
        parts: list[list[Sink]] = []
        for kind, most in limits.items():
            driven = [sink for sink in sinks[bit] if _kind(cells, sink) == kind]
            driven.sort(key=lambda sink: _natural(sink[0]))
            count = -(-len(driven) // most)  # the first part stays with the original
            for number in range(1, count):
                low, high = (len(driven) * end // count for end in (number, number + 1))
                parts.append(driven[low:high])
        for number, part in enumerate(parts, 1):
            twin = copy.deepcopy(cell)
            twin["connections"][output] = [new]
            twin_name = f"{name}$copy{number}"
            cells[twin_name] = twin
            module["netnames"][f"{twin_name}.{output}"] = {
                "hide_name": 1,
                "bits": [new],
                "attributes": {},
            }
            for sink, port, index in part:
                cells[sink]["connections"][port][index] = new
            new += 1
    return len(cells) - before


def _kind(cells: dict[str, Cell], sink: Sink) -> str:
    name, port, _ = sink
    if cells[name]["type"] in _BLOCKS:
        return "block"
    return "control" if port in ("CE", "LSR") else "logic"


def _natural(name: str) -> list[str | int]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
