"""Register maps, made from declarations in SystemRDL: that of the accelerator is registers.rdl."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from systemrdl import RDLCompiler
from systemrdl.node import FieldNode, Node, RegNode

from golden_model.parameters import Parameters

DECLARATION = Path(__file__).with_name("registers.rdl")
WORD_BYTES = 4


class Kind(Enum):
    """How software and hardware share a field."""

    CONSTANT = "read-only constant"
    STATUS = "read-only"
    SETTING = "read/write"
    STATE = "read/write, written back by hardware"
    STICKY = "read, write one to clear"
    PULSE = "write-only pulse"


@dataclass(frozen=True)
class Field:
    """Bits of a register."""

    name: str
    low: int
    """Lowest bit."""
    width: int
    kind: Kind
    reset: int
    description: str

    @property
    def mask(self) -> int:
        """The field's bits in its register."""
        return ((1 << self.width) - 1) << self.low


@dataclass(frozen=True)
class Register:
    """A 32-bit register, or an array of them."""

    name: str
    address: int
    """Byte address of the first."""
    count: int | None
    """Registers of an array; None for a single one."""
    locked: bool
    """Not writable while the accelerator is busy."""
    fields: tuple[Field, ...]
    description: str

    @property
    def meaning(self) -> str:
        """The description, and whether software must wait to write it."""
        return self.description + (" Not writable while busy." if self.locked else "")

    @property
    def writable(self) -> bool:
        """Whether software may write any of its fields."""
        return any(field.kind not in (Kind.CONSTANT, Kind.STATUS) for field in self.fields)

    def addresses(self) -> range:
        """Byte addresses of all its words."""
        return range(self.address, self.address + WORD_BYTES * (self.count or 1), WORD_BYTES)

    def port(self, field: Field) -> str:
        """Name of the hardware port of `field`."""
        name = self.name.lower()
        return name if field.name == "value" else f"{name}_{field.name}"

    def encode(self, **values: int) -> int:
        """The register's word with fields `values`, the others zero.

        Raises ValueError for an unknown field or a value that does not fit.
        """
        word = 0
        fields = {field.name: field for field in self.fields}
        for name, value in values.items():
            if name not in fields:
                raise ValueError(f"{self.name} has no field {name!r}, but {', '.join(fields)}")
            if not 0 <= value < 1 << fields[name].width:
                raise ValueError(f"{self.name}.{name} = {value} exceeds {fields[name].width} bits")
            word |= value << fields[name].low
        return word

    def decode(self, word: int) -> dict[str, int]:
        """The fields of the register's `word` by name."""
        return {field.name: (word & field.mask) >> field.low for field in self.fields}


def package_version() -> tuple[int, int, int]:
    """Major, minor and patch of the installed package."""
    major, minor, patch = (int(part) for part in metadata.version("eigenbar").split(".")[:3])
    return major, minor, patch


def _kind(field: FieldNode) -> Kind:
    if field.get_property("singlepulse"):
        return Kind.PULSE
    if field.get_property("hwset"):
        return Kind.STICKY
    if not field.is_sw_writable:
        return Kind.STATUS if field.is_hw_writable else Kind.CONSTANT
    return Kind.STATE if field.is_hw_writable else Kind.SETTING


def _field(field: FieldNode) -> Field:
    return Field(
        name=field.inst_name,
        low=field.low,
        width=field.width,
        kind=_kind(field),
        reset=_reset(field),
        description=field.get_property("desc") or "",
    )


def _reset(field: FieldNode) -> int:
    reset = field.get_property("reset", default=0)
    assert isinstance(reset, int), f"the reset value of {field.inst_name} must be a number"
    return reset


def _register(node: Node) -> Register:
    assert isinstance(node, RegNode)
    return Register(
        name=node.inst_name,
        address=node.raw_absolute_address if node.is_array else node.absolute_address,
        count=node.array_dimensions[0] if node.array_dimensions else None,
        locked=bool(node.get_property("locked", default=False)),
        fields=tuple(_field(field) for field in node.fields()),
        description=node.get_property("desc") or "",
    )


@dataclass(frozen=True)
class RegisterMap:
    """All registers behind an AXI4-Lite port."""

    registers: tuple[Register, ...]

    @staticmethod
    def declared(declaration: Path, parameters: Mapping[str, int]) -> RegisterMap:
        """The register map that file `declaration` describes, with `parameters` of its own."""
        compiler = RDLCompiler()
        compiler.compile_file(str(declaration))
        root = compiler.elaborate(parameters=dict(parameters))
        return RegisterMap(tuple(_register(node) for node in root.top.children()))

    @staticmethod
    @cache
    def of(parameters: Parameters) -> RegisterMap:
        """The register map of the accelerator with `parameters`."""
        values: dict[str, Any] = {**parameters.as_dict()}
        major, minor, patch = package_version()
        values["version"] = major << 16 | minor << 8 | patch
        values["max_slots_log2"] = parameters.max_slots.bit_length() - 1
        return RegisterMap.declared(DECLARATION, values)

    def __getitem__(self, name: str) -> Register:
        """The register called `name`; KeyError if there is none."""
        return self.by_name()[name]

    def by_name(self) -> Mapping[str, Register]:
        """Registers by name."""
        return {register.name: register for register in self.registers}

    def address(self, name: str, index: int = 0) -> int:
        """Byte address of register `name`, element `index` of an array."""
        return self[name].addresses()[index]

    @property
    def address_bits(self) -> int:
        """Bits of a byte address that reach every register."""
        return (self.registers[-1].addresses()[-1] + WORD_BYTES - 1).bit_length()

    def as_dict(self) -> dict[str, Any]:
        """The map as plain values, for JSON."""
        return {
            register.name: {
                "address": register.address,
                "count": register.count or 1,
                "locked_while_busy": register.locked,
                "description": register.description,
                "fields": {
                    field.name: {
                        "low": field.low,
                        "width": field.width,
                        "access": field.kind.value,
                        "reset": field.reset,
                        "description": field.description,
                    }
                    for field in register.fields
                },
            }
            for register in self.registers
        }

    def markdown(self) -> str:
        """The map as a Markdown document."""
        return (
            "# Registers\n\nAXI4-Lite, 32-bit words at byte addresses. Made from "
            f"hdl/{DECLARATION.name}.\n\n{self.table()}\n"
        )

    def table(self, base: int = 0) -> str:
        """The map as a table in Markdown, with `base` added to its addresses."""
        lines = [
            "| address | register | bits | field | access | reset | meaning |",
            "|---|---|---|---|---|---|---|",
        ]
        for register in self.registers:
            first, last = (base + register.addresses()[end] for end in (0, -1))
            place = f"0x{first:03X}" + (f"-0x{last:03X}" if register.count else "")
            name = register.name + (f"[{register.count}]" if register.count else "")
            whole = register.fields[0].name == "value"
            if not whole:
                lines.append(f"| {place} | {name} | | | | | {register.meaning} |")
            for field in register.fields:
                top = field.low + field.width - 1
                bits = f"{top}:{field.low}" if field.width > 1 else f"{field.low}"
                head = f"| {place} | {name} |" if whole else "| | |"
                text = register.meaning if whole else field.description
                lines.append(
                    f"{head} {bits} | {field.name} | {field.kind.value} | "
                    f"0x{field.reset:X} | {text} |"
                )
        return "\n".join(lines)
