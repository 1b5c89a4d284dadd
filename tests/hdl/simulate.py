"""Running a component on Amaranth's simulator."""

from collections.abc import Awaitable, Callable
from typing import Any

from amaranth.sim import Simulator

Testbench = Callable[[Any], Awaitable[None]]


def simulate(component: Any, *testbenches: Testbench) -> None:
    """Run `component` with a clock until all testbenches are done."""
    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    for testbench in testbenches:
        simulator.add_testbench(testbench)
    simulator.run()
