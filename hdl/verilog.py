"""The accelerator as Verilog."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from amaranth import Shape
from amaranth.back import verilog
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from golden_model.parameters import Parameters
from hdl.accelerator import PORTS, Accelerator

NAME = "eigenbar"
"""Name of the Verilog module."""


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
    text = verilog.convert(component, name=NAME, emit_src=False, strip_internal_attrs=True)
    return leave_collisions_open(join_assignments(text))


_MODULE_END = re.compile(r"(?<=\nendmodule\n)")
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
    return "".join(_joined(module) for module in _MODULE_END.split(text))


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


_MEMORY = re.compile(rf"  reg (?:\[\d+:0\] )?{_NAME} ?\[\d+:0\];\n")


def leave_collisions_open(text: str) -> str:
    """Verilog `text` by which a word may be anything that is read in the cycle that writes it.

    Nothing uses such a word, see `hdl.flow`; Yosys then builds no logic around block RAMs for it.
    Only memories all of whose reads are clocked say so: Yosys may draw a register behind another
    read into the memory, and what that register takes is used.
    """
    return "".join(_left_open(module) for module in _MODULE_END.split(text))


def _left_open(module: str) -> str:
    """`leave_collisions_open` of one module."""
    return _MEMORY.sub(
        lambda memory: (
            memory[0] if f" = {memory['name']}[" in module else f"  (* no_rw_check *)\n{memory[0]}"
        ),
        module,
    )
