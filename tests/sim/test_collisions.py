"""No word is used that a memory gives in the cycle in which the same word is written.

What works on Verilog that has every such word inverted uses none. Which memories a run has is
with each test; there are no others that are read with the clock, but the table of `hdl.norm`, which
is not written.
"""

import cocotb
import pytest
from amaranth import Module
from amaranth.back import verilog
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import Out
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge

from golden_model.optimizers import LayerPlan
from golden_model.parameters import PRESETS, Parameters
from hdl.system import twin_spec
from hdl.verilog import Design, to_verilog
from sim.board_port import open_board
from sim.cosim import cosimulate, random_batches
from sim.machine import HardwareMachine, Placement
from sim.read_cosim import cosimulate_reads, random_reads
from sim.runner import build, run, save_answer
from sim.simulated_board import SIMULATED_BAUD, SimulatedBoard, build_board
from tests.sim import collisions, test_host_link, test_machine, test_twin

pytestmark = pytest.mark.xdist_group("collisions")  # one worker builds, once

TINY = PRESETS["tiny"]

SHAPES = [(7, 13, 2, 5), (16, 32, 4, 8), (1, 9, 1, 1), (13, 5, 3, 7)]
"""m, n, k and b: every group of ranks full or not, rows full or not, blocks of one sample."""


@pytest.fixture(autouse=True)
def spoilt(monkeypatch):
    """All Verilog is converted with its collisions spoilt."""
    monkeypatch.setattr(verilog, "convert", collisions.convert)
    monkeypatch.setattr(Design, "of", staticmethod(Design.of.__wrapped__))  # without its cache


class Careless(wiring.Component):
    """Counts, writes the count, and reads it in the same cycle."""

    count: Out(8)
    word: Out(8)

    def elaborate(self, platform):
        m = Module()
        m.submodules.words = words = memory.Memory(shape=8, depth=2, init=[])
        read, write = words.read_port(), words.write_port()
        m.d.sync += self.count.eq(self.count + 1)
        m.d.comb += [write.en.eq(1), write.data.eq(self.count), self.word.eq(read.data)]
        return m


@cocotb.test
async def counts(dut):
    """Counts, and the words that come with them."""
    Clock(dut.clk, 10, unit="ns").start()
    dut.rst.value = 1
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
    seen = []
    for _ in range(8):
        await FallingEdge(dut.clk)
        seen.append((int(dut.count.value), int(dut.word.value)))
    save_answer(seen)


def test_a_design_that_uses_such_a_word_works_only_on_other_verilog(monkeypatch):
    def words():
        built = build(to_verilog(Careless()), ["clk", "rst", "count", "word"], "verilator")
        return [(count, word) for count, word in run(built, __name__, None) if count > 2]

    assert all(word == ~(count - 2) & 0xFF for count, word in words())
    monkeypatch.undo()
    assert all(word == count - 2 for count, word in words())


def assert_equals_golden_model(parameters, shapes, count, stall):
    """Buffer, factors, residuals, pivots, projections, the sender's queue, the duties of columns;
    and for reads the vector and the sums.
    """
    batches = [
        batch
        for shape in shapes
        for batch in random_batches(parameters, shape, 3, count, "mixed", 8, update=True)
    ]
    results = cosimulate(parameters, batches, "verilator", stall=stall, seed=2)
    assert [batch["first_mismatches"] for batch in results["batches"]] == [[]] * len(batches)
    assert results["mismatches"] == 0
    assert results["pulses"] > 0
    reads = random_reads(parameters, [shape[:2] for shape in shapes[:2]], 2, seed=3)
    results = cosimulate_reads(parameters, reads, "verilator", batches=batches[:2], stall=stall)
    assert results["mismatches"] == 0


@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_an_accelerator_equals_the_golden_model(stall):
    assert_equals_golden_model(TINY, SHAPES, 2, stall)


def test_a_board_equals_the_golden_model_although_frames_are_damaged():
    """The cells of the twin, both rings and the encoder of the link, and all of the above."""
    plans = [LayerPlan("first", 7, 13, 1, 2, 5), LayerPlan("second", 15, 21, 1, 4, 5)]
    placement = Placement.of(plans, TINY)
    spec = twin_spec(TINY, placement.grid, 256)
    program = build_board(TINY, spec)
    with SimulatedBoard(program, damage=0.02, seed=1) as board:
        with open_board(board.port, SIMULATED_BAUD, TINY, spec) as harness:
            machine = HardwareMachine(TINY, plans, placement, spec, harness)
            test_machine.compare_layers(machine, TINY, plans, [(0, True), (1, False)])
        passed = board.close()
    assert passed.to_board_damaged > 0
    assert passed.to_host_damaged > 0


def test_a_link_of_small_rings_carries_every_byte_once_and_in_order():
    carry = test_host_link.test_a_line_that_spoils_characters_carries_every_byte_once_and_in_order
    carry(test_host_link.SMALL, 0.005, 2000)


@pytest.mark.nightly
@pytest.mark.parametrize(
    "parameters",
    [
        Parameters(
            width=width,
            lanes=lanes,
            columns=columns,
            max_rank=3 * columns - 1,
            max_m=3 * lanes + 1,
            max_n=5 * lanes - 1,
            max_block=16,
            buffer_rows=128,
            tile_rows=2 * lanes,
            tile_columns=lanes,
            max_slots=16,
            adcs=2,
        )
        for width, lanes, columns in ((8, 2, 1), (12, 2, 3), (18, 8, 2), (8, 16, 4))
    ],
    ids=lambda parameters: f"{parameters.lanes}x{parameters.columns}x{parameters.width}",
)
@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_accelerators_of_several_sizes_equal_the_golden_model(parameters, stall):
    m, n, k = parameters.max_m, parameters.max_n, parameters.max_rank
    shapes = [(m, n, min(k, m), 5), (m - 2, m, parameters.columns, 6), (3, 5, 2, 1)]
    assert_equals_golden_model(parameters, shapes, 6, stall)


@pytest.mark.nightly
def test_a_twin_of_drawn_cells_equals_the_golden_twin():
    test_twin.test_conductances_after_ten_thousand_random_updates()
