"""The register map as a C header: offsets, masks, shifts and reset values as macros.

Macros, and no structure laid over the registers: the packed structures that PeakRDL-cheader writes
have an alignment of one byte, so compilers for processors without unaligned accesses split each
access into bytes (github.com/SystemRDL/PeakRDL-cheader, issue 16), and a counter read byte by byte
is torn.
"""

from __future__ import annotations

from hdl.registers import WORD_BYTES, Register, RegisterMap
from hdl.verilog import NAME


def c_header(registers: RegisterMap) -> str:
    """The header of `registers`, for C and C++.

    Macros begin with `NAME`. REGISTER_OFFSET is a register's byte offset from the accelerator's
    base address, of an array a function of the index, and REGISTER_COUNT an array's length. A field
    has its REGISTER_FIELD_SHIFT, _MASK (in place) and _RESET (as a value); the name of a field that
    is its whole register is left out.
    """
    guard = f"{NAME}_H".upper()
    lines = [
        "/*",
        f" * Registers of an Eigenbar accelerator, made by `{NAME} generate`.",
        " * 32-bit words, to be read and written whole; offsets in bytes from its base address.",
        " */",
        f"#ifndef {guard}",
        f"#define {guard}",
    ]
    for register in registers.registers:
        lines += ["", *_register(register)]
    return "\n".join([*lines, "", f"#endif /* {guard} */", ""])


def _register(register: Register) -> list[str]:
    name = f"{NAME}_{register.name}".upper()
    lines = [f"/* {register.name}: {register.meaning} */"]
    if register.count is None:
        lines.append(f"#define {name}_OFFSET 0x{register.address:03X}u")
    else:
        place = f"(0x{register.address:03X}u + {WORD_BYTES}u * (index))"
        lines += [
            f"#define {name}_OFFSET(index) {place}",
            f"#define {name}_COUNT {register.count}u",
        ]
    for field in register.fields:
        prefix = f"{NAME}_{register.port(field)}".upper()
        description = f": {field.description}" if field.description else ""
        lines += [
            f"/* {field.kind.value}{description} */",
            f"#define {prefix}_SHIFT {field.low}",
            f"#define {prefix}_MASK 0x{field.mask:X}u",
            f"#define {prefix}_RESET 0x{field.reset:X}u",
        ]
    return lines
