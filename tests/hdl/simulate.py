"""Running a component on Amaranth's simulator."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from amaranth.sim import Simulator

Testbench = Callable[[Any], Awaitable[None]]


def simulate(component: Any, *testbenches: Testbench, processes: Sequence[Testbench] = ()) -> None:
    """Run `component`, with `processes` beside it, clocked until all testbenches are done."""
    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    for testbench in testbenches:
        simulator.add_testbench(testbench)
    for process in processes:
        simulator.add_process(process)
    simulator.run()
