"""Verilog of what Yosys and our own passes make of a design for an ECP5: its cells, simulated."""

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from amaranth.back import rtlil

from hdl.boards import Family
from hdl.flow import TOP, synthesise
from hdl.steps import Steps
from hdl.toolchains import TOOLCHAINS, YOSYS

_BLOCKS = Path(__file__).with_name("ecp5_blocks.v")

_SCRIPT = """\
read_verilog -overwrite +/ecp5/cells_sim.v
read_json {top}.json
hierarchy -top {top}
proc
flatten
opt_clean
rename {top} {name}
write_verilog -noattr {name}.v
"""


def convert(component, name="top", **_):
    """Takes the place of `amaranth.back.verilog.convert`, with ports of the same names."""
    return _mapped(rtlil.convert(component, name=TOP, emit_src=False), name)


@cache
def _mapped(source, name):
    with TemporaryDirectory() as folder, Steps(Path(folder)) as steps:
        netlist = synthesise(steps, TOOLCHAINS[Family.ECP5], source)
        # Beside the design there are the library's cells, without what is in them.
        module = json.loads((netlist / f"{TOP}.json").read_text())["modules"][TOP]
        files = {
            f"{TOP}.json": json.dumps({"modules": {TOP: module}}),
            "script.ys": _SCRIPT.format(top=TOP, name=name),
        }
        files = {file: text.encode() for file, text in files.items()}
        written = steps.run("verilog", YOSYS, ["-q", "script.ys"], files) / f"{name}.v"
        return written.read_text() + _BLOCKS.read_text()
