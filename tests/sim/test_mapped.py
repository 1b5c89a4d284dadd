"""What is placed on an ECP5 does what was described, cell by cell.

Yosys' netlist with flip-flops moved into block RAMs and multipliers, and copies of registers that
drive many, is simulated in the place of the Verilog that it comes from.
"""

import json
import random

import cocotb
import pytest
from amaranth import Module, Signal, signed
from amaranth.back import rtlil, verilog
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge

from golden_model.parameters import PRESETS
from hdl.block_registers import use_block_registers
from hdl.boards import Family
from hdl.fan_out import limit_fan_out
from hdl.flow import TOP, synthesise
from hdl.reset_less import reset_less
from hdl.steps import Steps
from hdl.toolchains import TOOLCHAINS
from hdl.verilog import Design, to_verilog
from sim.cosim import cosimulate, random_batches
from sim.read_cosim import cosimulate_reads, random_reads
from sim.runner import build, run, save_answer
from tests.sim import mapped

pytestmark = pytest.mark.xdist_group("mapped")

WORDS = {36: 512, 18: 1024, 9: 2048}
"""Depths of memories that fill a block RAM, by the bits of a word."""


class Blocks(wiring.Component):
    """Memories and multipliers with all sorts of registers around them."""

    write: In(1)
    enable: In(1)
    place: In(11)
    data: In(36)
    left: In(signed(18))
    right: In(signed(16))
    wide: Out(36)  # of a register that waits when the memory does
    middle: Out(18)  # of a plain register
    narrow: Out(9)  # of the memory itself, whose register is beside
    narrow_later: Out(9)
    registered: Out(signed(34))  # with registers before and after
    shared: Out(signed(34))  # one factor has further use
    factor: Out(signed(18))
    cleared: Out(signed(34))  # of a factor with a reset
    many: Out(200)  # a flag that 200 places look at

    def elaborate(self, platform):
        m = Module()
        words = {}
        for width, depth in WORDS.items():
            m.submodules[f"words_{width}"] = kept = memory.Memory(
                shape=width, depth=depth, init=range(3, 100)
            )
            write, words[width] = kept.write_port(), kept.read_port()
            m.d.comb += [
                write.en.eq(self.write),
                write.addr.eq(self.place ^ 1),
                write.data.eq(self.data),
                words[width].addr.eq(self.place),
            ]
        m.d.comb += [words[36].en.eq(self.enable), self.narrow.eq(words[9].data)]
        wide, middle, later, registered = (
            reset_less(m, output)
            for output in (self.wide, self.middle, self.narrow_later, self.registered)
        )
        with m.If(self.enable):
            m.d.sync += wide.eq(words[36].data)
        m.d.sync += [middle.eq(words[18].data), later.eq(words[9].data)]

        left = Signal(signed(18), reset_less=True)
        right = Signal(signed(16), reset_less=True)
        other = Signal(signed(16), reset_less=True)
        resettable = Signal(signed(16))
        flag = Signal()
        m.d.sync += [
            left.eq(self.left),
            right.eq(self.right),
            other.eq(~self.right),
            resettable.eq(self.right),
            registered.eq(left * right),
            flag.eq(self.write ^ self.enable),
        ]
        m.d.comb += [
            self.shared.eq(left * other),
            self.factor.eq(left),
            self.cleared.eq(left * resettable),
        ]
        for place in range(len(self.many)):
            kept = self.many[place - 1] & flag
            m.d.sync += self.many[place].eq(kept ^ self.data[place % 36])
        return m


PORTS = dict(wiring.Signature(Blocks.__annotations__).members)
OUTPUTS = [name for name, member in PORTS.items() if member.flow == Out]


@cocotb.test
async def answers(dut):
    """What comes out, cycle by cycle, of inputs drawn at random."""
    draw = random.Random(1)
    Clock(dut.clk, 10, unit="ns").start()
    dut.rst.value = 1
    for name in ("write", "enable", "place", "data", "left", "right"):
        getattr(dut, name).value = 0
    await ClockCycles(dut.clk, 4)
    dut.rst.value = 0
    seen = []
    for cycle in range(600):
        await FallingEdge(dut.clk)
        if cycle > 8:
            seen.append([int(getattr(dut, name).value) for name in OUTPUTS])
        dut.write.value = draw.randrange(2)
        dut.enable.value = draw.random() < 0.7
        dut.place.value = draw.randrange(32)
        dut.data.value = draw.getrandbits(36)
        dut.left.value = draw.randrange(-(1 << 17), 1 << 17)
        dut.right.value = draw.randrange(-(1 << 15), 1 << 15)
    save_answer(seen)


def test_registers_in_blocks_give_what_flip_flops_gave(monkeypatch):
    def seen():
        ports = ["clk", "rst", *PORTS]
        return run(build(to_verilog(Blocks()), ports, "verilator"), __name__, None)

    expected = seen()
    monkeypatch.setattr(verilog, "convert", mapped.convert)
    found = seen()
    for name, before, after in zip(
        OUTPUTS, *(zip(*rows, strict=True) for rows in (expected, found)), strict=True
    ):
        assert before == after, name
        assert len(set(before)) > 50, f"{name} hardly changes"


@pytest.fixture(scope="module")
def netlist(tmp_path_factory):
    """What Yosys makes of the blocks, before anything else is done to it."""
    toolchain = TOOLCHAINS[Family.ECP5]
    with Steps(tmp_path_factory.mktemp("steps")) as steps:
        synthesise(steps, toolchain, rtlil.convert(Blocks(), name=TOP))
        (mapped_by_yosys,) = steps.folder.glob("synthesis-*")
        return (mapped_by_yosys / f"{TOP}.json").read_text()


def test_flip_flops_move_where_nothing_else_looks_on(netlist):
    design = json.loads(netlist)
    # 36 and 18 bits of memories, and of the first multiplier two factors and a product; of the
    # second a factor that has no further use. The third's has a reset.
    assert use_block_registers(design, TOP) == 36 + 18 + 16 + 34 + 16
    cells = list(design["modules"][TOP]["cells"].values())
    modes = {
        int(cell["parameters"]["DATA_WIDTH_A"], 2): cell["parameters"]["REGMODE_B"]
        for cell in cells
        if cell["type"] == "DP16KD"
    }
    assert modes == {36: "OUTREG", 18: "OUTREG", 9: "NOREG"}
    registers = sorted(
        [cell["parameters"].get(f"REG_{name}_CLK", "none") for name in ("INPUTA", "OUTPUT")]
        for cell in cells
        if cell["type"] == "MULT18X18D"
    )
    assert registers == [["CLK0", "CLK0"], ["CLK0", "none"], ["none", "none"]]


def test_no_copy_drives_more_than_its_share(netlist):
    design = json.loads(netlist)
    assert limit_fan_out(design, TOP, 50) > 0
    driven = {}
    for cell in design["modules"][TOP]["cells"].values():
        if cell["type"] in ("TRELLIS_FF", "LUT4"):
            driven[cell["connections"]["Q" if "Q" in cell["connections"] else "Z"][0]] = 0
    for cell in design["modules"][TOP]["cells"].values():
        for port, bits in cell["connections"].items():
            for bit in bits:
                if cell["port_directions"][port] == "input" and bit in driven and port != "CE":
                    driven[bit] += 1
    assert 40 < max(driven.values()) <= 50


@pytest.mark.nightly
def test_an_accelerator_equals_the_golden_model(monkeypatch):
    monkeypatch.setattr(verilog, "convert", mapped.convert)
    monkeypatch.setattr(Design, "of", staticmethod(Design.of.__wrapped__))  # without its cache
    tiny = PRESETS["tiny"]
    shapes = [(7, 13, 2, 5), (16, 32, 4, 8), (13, 5, 3, 7)]
    batches = [
        batch
        for shape in shapes
        for batch in random_batches(tiny, shape, 3, 2, "mixed", 8, update=True)
    ]
    results = cosimulate(tiny, batches, "verilator", stall=0.3, seed=2)
    assert results["mismatches"] == 0
    assert results["pulses"] > 0
    reads = random_reads(tiny, [shape[:2] for shape in shapes[:2]], 2, seed=3)
    results = cosimulate_reads(tiny, reads, "verilator", batches=batches[:2], stall=0.3)
    assert results["mismatches"] == 0
