"""A lane of the crossbar's digital twin: a memory of cells, and the law by which they move."""

from itertools import pairwise

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import data, enum, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from golden_model.twin import Law, TwinSpec

LATENCY = 6
"""Clock cycles from an access to a cell until the next access finds what it left."""


class Command(enum.Enum, shape=2):  # type: ignore[call-arg]
    """What an access does to a cell."""

    PULSE = 0
    """Move it by a pulse."""
    READ = 1
    """Nothing."""
    PROGRAM = 2
    """Set its conductance, unless it is stuck."""
    LOAD = 3
    """Set everything: conductance, whether it is stuck, and its steps."""


def cell_layout(spec: TwinSpec) -> data.StructLayout:
    """A cell as the memory holds it. Ideal devices have no steps of their own."""
    return data.StructLayout(
        {
            "conductance": spec.conductance_bits,
            "stuck": 1,
            "up": spec.step_bits,
            "down": spec.step_bits,
        }
    )


def lane_depth(spec: TwinSpec) -> int:
    """Cells in each lane's memory."""
    return spec.tiles * spec.rows * spec.columns // spec.cells_per_cycle


def access_layout(spec: TwinSpec) -> data.StructLayout:
    """An access on its way through a lane."""
    address = bits_for(lane_depth(spec) - 1)
    return data.StructLayout({"valid": 1, "command": Command, "upward": 1, "address": address})


def round_shift(value: Value, bits: int) -> Value:
    """`value` / 2**`bits`, rounded half to even; golden counterpart `twin.round_shift`."""
    if bits == 0:
        return value
    quotient, guard = value >> bits, (value >> (bits - 1))[0]
    return quotient + (guard & (value[: min(bits - 1, len(value))].any() | quotient[0]))


class CellLane(wiring.Component):
    """The cells of one column in every group: their memory, and the pipeline that moves them.

    `valid` begins an access to the cell at `address`; a pulse goes `upward` or down. `word` is what
    PROGRAM and LOAD write, with conductances above the range limited to it; it must rest for
    `LATENCY` cycles. `cell` is what the cell held, from 2 cycles later on until the next access.
    An access a cycle, but none to a cell that was accessed less than `LATENCY` cycles ago. Golden
    counterpart: `twin.TwinSpec.move`.

    The memory starts with fresh cells without spread, which reset does not restore.
    """

    def __init__(self, spec: TwinSpec) -> None:
        self._spec = spec
        super().__init__(
            {
                "valid": In(1),
                "address": In(range(lane_depth(spec))),
                "command": In(Command),
                "upward": In(1),
                "word": In(cell_layout(spec)),
                "cell": Out(cell_layout(spec)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Memory; its output; distance to the bound and step; product; move; and back."""
        m = Module()
        spec, layout = self._spec, cell_layout(self._spec)
        up, down = spec.nominal_steps
        fresh = {"conductance": spec.middle, "stuck": 0, "up": up, "down": down}
        m.submodules.cells = cells = memory.Memory(
            shape=layout, depth=lane_depth(spec), init=[fresh] * lane_depth(spec)
        )
        read, write = cells.read_port(), cells.write_port()
        m.d.comb += [read.addr.eq(self.address), read.en.eq(self.valid)]

        # What travels along: stages 1 to 5 follow the access, the cell is there from stage 2 on.
        access = access_layout(spec)
        stages = [Signal(access, name=f"access_{stage}") for stage in range(6)]
        held = [self.cell, *(Signal(layout, name=f"cell_{stage}") for stage in range(3, 6))]
        for field in ("valid", "command", "upward", "address"):
            m.d.comb += stages[0][field].eq(getattr(self, field))
        for before, after in pairwise(stages):
            m.d.sync += after.eq(before)
        with m.If(stages[1].valid):
            m.d.sync += self.cell.eq(read.data)
        for older, newer in pairwise(held):
            m.d.sync += newer.eq(older)

        distance = Signal(spec.conductance_bits)
        step = Signal(spec.step_bits)
        upward = stages[2].upward
        m.d.sync += [
            distance.eq(Mux(upward, spec.top - self.cell.conductance, self.cell.conductance)),
            step.eq(Mux(upward, self.cell.up, self.cell.down)),
        ]
        product = Signal(spec.conductance_bits + spec.step_bits)
        distance_4 = Signal.like(distance)
        m.d.sync += [
            product.eq(step * distance if spec.law is Law.SOFT_BOUNDS else step),
            distance_4.eq(distance),
        ]
        match spec.law:
            case Law.IDEAL:
                wanted = spec.unit
            case Law.CONSTANT_STEP:
                wanted = product
            case Law.SOFT_BOUNDS:
                wanted = round_shift(product, spec.shift)
        move = Signal.like(distance)
        m.d.sync += move.eq(Mux(wanted < distance_4, wanted, distance_4))

        old, last = held[-1], stages[-1]
        limited = Mux(self.word.conductance > spec.top, spec.top, self.word.conductance)
        moves = ~old.stuck & ((last.command == Command.PULSE) | (last.command == Command.PROGRAM))
        m.d.comb += [
            write.addr.eq(last.address),
            write.en.eq(last.valid & (moves | (last.command == Command.LOAD))),
            write.data.eq(old),
        ]
        with m.Switch(last.command):
            with m.Case(Command.PULSE):
                m.d.comb += write.data.conductance.eq(
                    Mux(last.upward, old.conductance + move, old.conductance - move)
                )
            with m.Case(Command.PROGRAM):
                m.d.comb += write.data.conductance.eq(limited)
            with m.Case(Command.LOAD):
                m.d.comb += [write.data.eq(self.word), write.data.conductance.eq(limited)]
        return m
