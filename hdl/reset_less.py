"""Registers without a reset, for data that counts only beside a valid bit.

A reset of all of it would be a net to tens of thousands of registers, which takes most of a clock
cycle and of the router's time.
"""

from typing import Any

from amaranth import Module, ShapeLike, Signal, Value, ValueLike


def reset_less(m: Module, output: Any) -> Any:
    """A register that drives `output` and that no reset reaches."""
    register = Signal.like(output, name=f"{Value.cast(output).name}_held", reset_less=True)
    m.d.comb += output.eq(register)
    return register


def registered(
    m: Module, value: ValueLike, name: str, cycles: int = 1, shape: ShapeLike | None = None
) -> Any:
    """`value` some `cycles` later, of its own shape or as `shape`; no reset reaches it."""
    for cycle in range(cycles):
        stage = name if cycles == 1 else f"{name}_{cycle}"
        register = (
            Signal.like(value, name=stage, reset_less=True)
            if shape is None
            else Signal(shape, name=stage, reset_less=True)
        )
        m.d.sync += register.eq(value)
        value = register
    return value
