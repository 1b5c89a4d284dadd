"""Verilog whose memories answer wrongly where a word is read in the cycle in which it is written.

What comes out then is left to the memory: synthesis is told so (`hdl.flow`, `hdl.verilog`), as it
else builds logic around the block RAMs of most FPGAs. A design that works with these memories as
with any uses nothing of it.
"""

import re

from amaranth._toolchain.yosys import find_yosys
from amaranth.back import rtlil

# Of a clocked read port of a memory with one write port; Yosys then has x come out.
_PORT = re.compile(
    r"(  cell \$memrd_v2 \S+\n"
    r"(?:    parameter .+\n)*    parameter \\COLLISION_X_MASK 1')0(\n"
    r"(?:    parameter .+\n)*    parameter \\CLK_ENABLE 1\n)"
)
_READ = re.compile(r" (?P<register>_\d+_) <= (?P<word>(?:\w+|\\\S+ )\[.+\]);\n")
_COLLISION = re.compile(r" (?P<register>_\d+_)(?:\[\d+:\d+\])? <= \d+'[bh]x+;\n")

_SCRIPT = """\
read_rtlil <<rtlil
{rtlil}
rtlil
proc -nomux -norom
memory_collect
write_verilog -norename
"""


def convert(component, name="top", **_):
    """The Verilog of `component` in which a word that is read while it is written is inverted.

    So are its bits that are not written, where a memory writes words in parts. Takes the place of
    `amaranth.back.verilog.convert`.
    """
    source, ports = _PORT.subn(r"\g<1>1\2", rtlil.convert(component, name=name, emit_src=False))
    yosys = find_yosys(lambda version: version >= (0, 40))
    text = yosys.run(["-q", "-"], _SCRIPT.format(rtlil=source), ignore_warnings=True)
    modules = [_spoilt(module) for module in re.split(r"(?<=\nendmodule\n)", text)]
    assert sum(count for _, count in modules) == ports, "a read port has been missed"
    return "".join(module for module, _ in modules)


def _spoilt(module):
    """A module with its collisions spoilt, and how many read ports have them."""
    words = {read["register"]: read["word"] for read in _READ.finditer(module)}
    ports = {collision["register"] for collision in _COLLISION.finditer(module)}
    return _COLLISION.sub(
        lambda collision: f" {collision['register']} <= ~{words[collision['register']]};\n", module
    ), len(ports)
