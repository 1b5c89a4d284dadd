"""Generation: Verilog, and the files that say how to use it."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from amaranth import Shape
from amaranth.back import verilog
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from golden_model.cost import BLOCK_STEPS, IDEAL_BLOCK_CYCLES
from golden_model.parameters import Parameters
from hdl import adder_tree, mac_array, magnitude, narrow
from hdl.accelerator import PORTS, Accelerator
from hdl.datapath import FETCH_LATENCY
from hdl.registers import RegisterMap

NAME = "eigenbar"
"""Name of the Verilog module."""


class GenerationError(RuntimeError):
    """The output cannot be written."""


@dataclass(frozen=True)
class Port:
    """A port of the Verilog module."""

    name: str
    direction: str
    """`input` or `output`."""
    width: int
    meaning: str


@dataclass(frozen=True)
class Design:
    """An accelerator as Verilog."""

    parameters: Parameters
    verilog: str
    """Module `NAME` with everything below it. The same parameters give the same text."""
    ports: tuple[Port, ...]

    @staticmethod
    @cache
    def of(parameters: Parameters) -> Design:
        """The design of `parameters`; takes seconds, and is kept."""
        accelerator = Accelerator(parameters)
        text = to_verilog(accelerator)
        ports = [Port(name, "input", 1, PORTS[name]) for name in ("clk", "rst")]
        for name, member in accelerator.signature.members.items():
            meaning = next(text for prefix, text in PORTS.items() if name.startswith(prefix))
            direction = "input" if member.flow == In else "output"
            ports.append(Port(name, direction, Shape.cast(member.shape).width, meaning))
        return Design(parameters, text, tuple(ports))


def to_verilog(component: wiring.Component) -> str:
    """The Verilog of `component` as module `NAME`, for simulators and synthesis alike."""
    return join_assignments(verilog.convert(component, name=NAME, strip_internal_attrs=True))


_NAME = r"(?P<name>\\\S+ |[A-Za-z_]\w*)"
_DECLARATION = re.compile(rf"  (?:wire|output) \[(?P<high>\d+):0\] {_NAME};\n")
_PART = re.compile(
    rf"  assign {_NAME} ?\[(?P<high>\d+)(?::(?P<low>\d+))?\] = (?P<value>[\w\\$.:\[\]{{}}', ]+);\n"
)


def join_assignments(text: str) -> str:
    """Verilog `text` with the parts of a net assigned at once where they were assigned one by one.

    Icarus takes a net assigned in parts for one of several drivers and resolves all its bits at
    every change of a part, a hundred times as slow. Joined are plain values: an operator's width
    depends on where it stands.
    """
    return "".join(_joined(module) for module in re.split(r"(?<=\nendmodule\n)", text))


def _joined(module: str) -> str:
    """`join_assignments` of one module."""
    widths = {m["name"]: int(m["high"]) + 1 for m in _DECLARATION.finditer(module)}
    parts: dict[str, list[re.Match[str]]] = {}
    for part in _PART.finditer(module):
        parts.setdefault(part["name"], []).append(part)
    joined, dropped = {}, set()
    for name, matches in parts.items():
        matches.sort(key=lambda part: -int(part["high"]))
        covered = [
            bit
            for part in matches
            for bit in range(int(part["high"]), int(part["low"] or part["high"]) - 1, -1)
        ]
        if covered == list(range(widths.get(name, 0) - 1, -1, -1)):
            values = ", ".join(part["value"] for part in matches)
            joined[matches[0].start()] = f"  assign {name} = {{ {values} }};\n"
            dropped |= {part.start() for part in matches}
    return _PART.sub(
        lambda part: joined.get(part.start(), "" if part.start() in dropped else part[0]), module
    )


def describe(design: Design) -> dict[str, Any]:
    """Ports, latencies, widths and ideal cycles of an accelerator, for tools to read."""
    parameters = design.parameters
    return {
        "module": NAME,
        "parameters": parameters.as_dict(),
        "ports": [asdict(port) for port in design.ports],
        "widths": {
            "accumulator": parameters.accumulator_bits,
            "dot_product": parameters.dot_bits,
            "history": parameters.history_bits,
            "history_digits": parameters.history_digits,
            "stream_bytes": parameters.stream_bytes,
        },
        "latencies": {
            "narrower": narrow.LATENCY,
            "mac_array": mac_array.LATENCY,
            "adder_tree": adder_tree.latency(parameters.lanes),
            "magnitude": magnitude.LATENCY,
            "fetch": FETCH_LATENCY,
        },
        "block_steps": BLOCK_STEPS,
        "ideal_block_cycles": IDEAL_BLOCK_CYCLES,
    }


def generate(parameters: Parameters, out: Path) -> list[Path]:
    """Write Verilog, parameters, register map and description into folder `out`.

    Files of these names are replaced, all of them or none; others stay. Returns the paths. Raises
    `GenerationError` if the folder cannot be written.
    """
    registers = RegisterMap.of(parameters)
    design = Design.of(parameters)
    files = {
        f"{NAME}.v": design.verilog,
        "parameters.toml": parameters.to_toml(),
        "registers.md": registers.markdown(),
        "registers.json": json.dumps(registers.as_dict(), indent=2) + "\n",
        "design.json": json.dumps(describe(design), indent=2) + "\n",
    }
    with _replacing_files(out) as folder:
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    return [out / name for name in files]


@contextmanager
def _replacing_files(out: Path) -> Iterator[Path]:
    """A folder whose files move into `out` when the block ends without an exception."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=out, prefix=".new-"))
    except OSError as error:
        raise GenerationError(
            f"cannot write to {out}: {error.strerror}; choose another folder with --out"
        ) from error
    try:
        yield folder
        for path in sorted(folder.iterdir()):
            os.replace(path, out / path.name)
    except OSError as error:
        raise GenerationError(f"cannot write to {out}: {error.strerror}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
