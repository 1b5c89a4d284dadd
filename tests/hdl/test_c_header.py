"""The C header as C and C++ compilers read it."""

import subprocess

import pytest

from golden_model.parameters import PRESETS
from hdl.c_header import c_header
from hdl.registers import RegisterMap

MAP = RegisterMap.of(PRESETS["tiny"])


def expected():
    """Every expression on the header's macros that has a value, and that value, by the map."""
    values = {}
    for register in MAP.registers:
        name = f"EIGENBAR_{register.name}"
        if register.count is None:
            values[f"{name}_OFFSET"] = register.address
        else:
            values[f"{name}_COUNT"] = register.count
            for index, address in enumerate(register.addresses()):
                values[f"{name}_OFFSET({index})"] = address
        for field in register.fields:
            prefix = name if field.name == "value" else f"{name}_{field.name.upper()}"
            values[f"{prefix}_SHIFT"] = field.low
            values[f"{prefix}_MASK"] = field.mask
            values[f"{prefix}_RESET"] = field.reset
    return values


def printing_program():
    lines = (f'  printf("{text} %lu\\n", (unsigned long)({text}));\n' for text in expected())
    includes = '#include "eigenbar.h"\n#include "eigenbar.h"\n#include <stdio.h>\n'
    return f"{includes}int main(void) {{\n{''.join(lines)}  return 0;\n}}\n"


@pytest.mark.parametrize(
    ("compiler", "source"), [(("gcc", "-std=c99"), "a.c"), (("g++", "-std=c++11"), "a.cpp")]
)
def test_a_program_prints_the_offsets_masks_and_resets_of_the_map(compiler, source, tmp_path):
    (tmp_path / "eigenbar.h").write_text(c_header(MAP))
    (tmp_path / source).write_text(printing_program())
    warnings = ["-Wall", "-Wextra", "-pedantic", "-Werror"]
    subprocess.run([*compiler, *warnings, source, "-o", "a"], cwd=tmp_path, check=True)
    output = subprocess.run([tmp_path / "a"], capture_output=True, text=True, check=True).stdout
    printed = (line.rsplit(" ", 1) for line in output.splitlines())
    assert {name: int(value) for name, value in printed} == expected()


def test_every_macro_is_one_of_the_map():
    names = [line.split()[1] for line in c_header(MAP).splitlines() if line.startswith("#define")]
    known = {name.split("(")[0] for name in expected()} | {"EIGENBAR_H"}
    assert {name.split("(")[0] for name in names} == known
    assert len(names) == len(known)
