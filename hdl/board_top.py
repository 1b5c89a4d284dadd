"""The whole FPGA: a machine with its clock and reset, on the pins of a board."""

from amaranth import ClockDomain, ClockSignal, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer, ResetSynchronizer
from amaranth.lib.wiring import In, Out

from hdl.boards import BoardSpec
from hdl.pll import Pll, PllSetting

RESET_CYCLES = 1024
"""Cycles of reset after the clock is steady. Block RAM of the iCE40 reads as zeros for some 3 us
after configuration (YosysHQ/icestorm, issue 76): the reset is longer up to 300 MHz."""


class BoardTop(wiring.Component):
    """`machine` on `board`, with the clock that `pll` makes or, without one, the oscillator's.

    A machine is any component with ports `rx: In(1)` and `tx: Out(1)`, a UART, and `fault: Out(1)`.

    - `clk`: the oscillator; the machine's clock comes from it by way of the PLL;
    - `uart_rx`, `uart_tx`: the machine's, the first through two flip-flops;
    - `running`: an LED, lit when the machine is out of reset;
    - `fault`: an LED, lit when the machine is at fault.

    The LEDs' polarity is the board's. The machine leaves reset `RESET_CYCLES` cycles after the PLL
    has locked, and goes back into it if the PLL loses its lock.
    """

    def __init__(
        self, board: BoardSpec, machine: wiring.Component, pll: PllSetting | None = None
    ) -> None:
        self._board = board
        self._machine = machine
        self._pll = pll
        super().__init__(
            {
                "clk": In(1),
                "uart_rx": In(1, init=1),
                "uart_tx": Out(1, init=1),
                "running": Out(1),
                "fault": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Clock, reset and pins."""
        m = Module()
        clock, locked = Signal(name="machine_clock"), Signal()
        if self._pll is None:
            m.d.comb += [clock.eq(self.clk), locked.eq(1)]
        else:
            m.submodules.pll = pll = Pll(self._board.family, self._pll)
            m.d.comb += [pll.clock_in.eq(self.clk), clock.eq(pll.clock), locked.eq(pll.locked)]
        m.domains.locking = ClockDomain()
        m.domains.sync = ClockDomain()
        m.d.comb += [ClockSignal("locking").eq(clock), ClockSignal("sync").eq(clock)]
        m.submodules.reset = ResetSynchronizer(~locked, domain="locking")
        waited = Signal(range(RESET_CYCLES + 1))
        running = Signal()
        m.d.locking += running.eq(waited == RESET_CYCLES)
        with m.If(waited != RESET_CYCLES):
            m.d.locking += waited.eq(waited + 1)
        m.d.comb += ResetSignal("sync").eq(~running)

        m.submodules.machine = machine = self._machine
        m.submodules.receive = FFSynchronizer(self.uart_rx, machine.rx, init=1)
        m.d.comb += [
            self.uart_tx.eq(machine.tx),
            self.running.eq(running ^ self._board.pin("running").inverted),
            self.fault.eq(machine.fault ^ self._board.pin("fault").inverted),
        ]
        return m
