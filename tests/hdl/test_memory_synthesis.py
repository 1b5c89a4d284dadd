"""A memory as Yosys maps it to an ECP5: a block RAM and no logic around it."""

import json
from collections import Counter

from amaranth.back import rtlil, verilog

from hdl.boards import Family
from hdl.flow import TOP, synthesise
from hdl.steps import Steps
from hdl.toolchains import TOOLCHAINS, YOSYS
from hdl.verilog import NAME, to_verilog
from tests.hdl.words import Words

ECP5 = TOOLCHAINS[Family.ECP5]
WORDS = 36, 512
"""Width and depth of a memory that fills a block RAM."""


def logic(netlist, top):
    """How many cells of each kind there are beside the one block RAM."""
    modules = json.loads(netlist.read_text())["modules"]
    cells = Counter(cell["type"] for cell in modules[top]["cells"].values())
    assert cells.pop("DP16KD", 0) + cells.pop("PDPW16KD", 0) == 1
    return cells


def logic_of_verilog(text, folder):
    """That of `text` on which Yosys is run as anybody would."""
    script = f"read_verilog {NAME}.v; {ECP5.synthesis} -top {NAME} -json {NAME}.json"
    with Steps(folder) as steps:
        run = steps.run("yosys", YOSYS, ["-q", "-p", script], {f"{NAME}.v": text.encode()})
    return logic(run / f"{NAME}.json", NAME)


def test_builds_have_nothing_around_a_block_ram(tmp_path):
    with Steps(tmp_path) as steps:
        folder = synthesise(steps, ECP5, rtlil.convert(Words(*WORDS), name=TOP))
    assert not logic(folder / f"{TOP}.json", TOP)


def test_the_generated_verilog_says_by_itself_that_nothing_is_needed(tmp_path):
    assert not logic_of_verilog(to_verilog(Words(*WORDS)), tmp_path)
    assert logic_of_verilog(verilog.convert(Words(*WORDS), name=NAME), tmp_path)["TRELLIS_FF"] > 36
