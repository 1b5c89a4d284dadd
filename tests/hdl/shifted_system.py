"""A machine for a board whose ports are shift registers: the size and speed of a whole system."""

from amaranth import Cat, Module, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.system import System


class ShiftedSystem(wiring.Component):
    """`System` of `parameters` and `spec`: its inputs are bits shifted in at `rx`, its outputs are
    shifted out at `tx` after each 2**16 cycles, so that nothing of it is optimised away.
    """

    rx: In(1)
    tx: Out(1)
    fault: Out(1)

    def __init__(self, parameters, spec):
        self._system = System(parameters, spec)
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.system = system = self._system
        ports = {name: getattr(system, name) for name in system.signature.members}
        flows = {name: member.flow for name, member in system.signature.members.items()}
        inputs = Cat(port for name, port in ports.items() if flows[name] == In)
        outputs = Cat(port for name, port in ports.items() if flows[name] == Out)
        taken = Signal(Shape.cast(inputs.shape()).width)
        given = Signal(Shape.cast(outputs.shape()).width)
        cycle = Signal(16)
        m.d.comb += [inputs.eq(taken), self.tx.eq(given[0]), self.fault.eq(system.faults.any())]
        m.d.sync += [taken.eq(Cat(taken[1:], self.rx)), given.eq(given >> 1), cycle.eq(cycle + 1)]
        with m.If(cycle == 0):
            m.d.sync += given.eq(outputs)
        return m
