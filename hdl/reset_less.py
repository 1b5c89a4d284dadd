"""Outputs that are registers without a reset."""

from typing import Any

from amaranth import Module, Signal, Value


def reset_less(m: Module, output: Any) -> Any:
    """A register that drives `output` and that no reset reaches.

    For data that counts only beside a valid bit: a reset of all of it would be a net to tens of
    thousands of registers, which takes most of a clock cycle and of the router's time.
    """
    register = Signal.like(output, name=f"{Value.cast(output).name}_held", reset_less=True)
    m.d.comb += output.eq(register)
    return register
