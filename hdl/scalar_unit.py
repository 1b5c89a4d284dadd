"""The scalar unit: a small floating-point machine for weights and norms."""

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from golden_model import scalar
from golden_model.parameters import Parameters
from hdl.reset_less import reset_less
from hdl.rounding import (
    EXPONENT,
    PRODUCT_BITS,
    lead,
    leading_zero_bytes,
    leading_zeros,
    round_to_scalar,
)
from hdl.scalar_programs import (
    PROGRAMS,
    STORED,
    Instruction,
    Modifier,
    Operation,
    Register,
)
from hdl.shapes import (
    SCALAR,
    column_bits,
    column_shape,
    each_rank,
    group_bits,
    group_shape,
    rank_address,
)

PRODUCT_CYCLES = 5
"""Clock cycles of an instruction that multiplies."""

SUM_CYCLES = 10
"""Clock cycles of an instruction that adds or subtracts."""

RANK_CYCLES = 1
"""Clock cycles of a rank beside its instructions."""

_S = scalar.SIGNIFICAND_BITS
_WIDE = 2 * _S + 4  # bits of an exact sum of scalars, but for a sticky bit
_SHIFT_MAX = 63

_INSTRUCTION = data.StructLayout(
    {"operation": 2, "left": 5, "right": 5, "destination": 5, "modifier": 2, "last": 1}
)


def written_layout(parameters: Parameters) -> data.StructLayout:
    """A write of the scalar unit: by which program, with which factor in hand, for which rank.

    What is not `stored` (`Modifier.UNLESS_ZERO`) leaves the register as it is. `last` is the
    program's last instruction for the rank.
    """
    return data.StructLayout(
        {
            "valid": 1,
            "program": range(len(PROGRAMS)),
            "side": 1,
            "group": group_shape(parameters),
            "column": column_shape(parameters),
            "register": 5,
            "last": 1,
            "stored": 1,
            "value": SCALAR,
        }
    )


def _encode(instruction: Instruction, last: bool) -> dict[str, int]:
    return {
        "operation": instruction.operation,
        "left": instruction.left,
        "right": instruction.right,
        "destination": instruction.destination,
        "modifier": instruction.modifier,
        "last": int(last),
    }


def _constant(value: float) -> data.Const:
    word = scalar.encode(value)
    return SCALAR.const({"significand": word & ((1 << _S) - 1), "exponent": word >> _S})


class ScalarUnit(wiring.Component):
    """Runs the programs of `hdl.scalar_programs` on scalars, one instruction at a time.

    `start` runs `program` with the activation factors (`side` 0) or the error factors (1) in hand,
    for the rank at `group` and `column`, or unless `single` for all from there on to that at
    `last_group` and `last_column`; `done` is high in the cycle after its last write. A scalar is
    that of `golden_model.scalar`, and every instruction's result equals the golden function's on
    every bit. A product takes `PRODUCT_CYCLES`, a sum `SUM_CYCLES`, and a rank
    `RANK_CYCLES` besides.

    The rank in hand is shown by `rank_group` and `rank_column`; `overlap` (with its sign),
    `residual` (the power of two to multiply a residual's norm by) and `vanished` are asked for it,
    two cycles later at the earliest.
    `history_write` pulses with each rank's history, `result`. `weight`, `scale` and `update` hold
    by rank, from the cycle after `done`. `written` tells every write, for a trace.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = p = parameters
        super().__init__(
            {
                "start": In(1),
                "program": In(range(len(PROGRAMS))),
                "side": In(1),
                "single": In(1),
                "group": In(group_shape(p)),
                "column": In(column_shape(p)),
                "last_group": In(group_shape(p)),
                "last_column": In(column_shape(p)),
                "done": Out(1),
                "rank_group": Out(group_shape(p)),
                "rank_column": Out(column_shape(p)),
                "overlap": In(SCALAR),
                "overlap_negative": In(1),
                "residual": In(EXPONENT),
                "vanished": In(1),
                "square": In(SCALAR),
                "root": In(SCALAR),
                "carry": In(SCALAR),
                "rate": In(SCALAR),
                "host_weight": In(each_rank(p, SCALAR)),
                "history_write": Out(1),
                "result": Out(SCALAR),
                "weight": Out(each_rank(p, SCALAR)),
                "scale": Out(each_rank(p, SCALAR)),
                "update": Out(each_rank(p, SCALAR)),
                "written": Out(written_layout(p)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Fetch; multiply, or align, add and normalise; round; write."""
        m = Module()
        p = self.parameters

        # Programs
        rom: list[dict[str, int]] = []
        starts: dict[int, int] = {}
        for number, program in enumerate(PROGRAMS.values()):
            starts[number] = len(rom)
            rom += [_encode(item, item is program[-1]) for item in program]
        m.submodules.rom = rom_memory = memory.Memory(shape=_INSTRUCTION, depth=len(rom), init=rom)
        instruction_port = rom_memory.read_port(domain="comb")
        instruction = Signal(_INSTRUCTION)
        places = [Signal(3, name=f"{name}_place") for name in ("left", "right")]
        counter = Signal(range(len(rom) + 1))  # where the next instruction is
        side, single = Signal(), Signal()
        program = Signal.like(self.program)
        group, column = self.rank_group, self.rank_column
        m.d.comb += instruction_port.addr.eq(counter)

        # Registers
        m.submodules.registers = registers = memory.Memory(
            shape=SCALAR, depth=STORED << (column_bits(p) + group_bits(p)), init=[]
        )
        write = registers.write_port()

        def place(register: Value) -> Value:
            """A stored register's number; the factor in hand tells own and other apart."""
            swapped = (register >= Register.OWN_INVERSE) & (register <= Register.OTHER_NORM)
            return (register ^ (swapped & side))[:3]

        def fetch(following: Value) -> None:
            """Make `following` the instruction of the next cycle."""
            m.d.sync += [
                instruction.eq(following),
                places[0].eq(place(following.left)),
                places[1].eq(place(following.right)),
            ]

        # Of the rank, a cycle after it is in hand
        host_weight = Signal(SCALAR, reset_less=True)
        rank = Signal(column_bits(p) + group_bits(p))
        m.d.sync += [
            host_weight.eq(self.host_weight[group][column]),
            rank.eq(rank_address(p, group, column)),
        ]
        operands = []
        for name, register, low in (
            ("left", instruction.left, places[0]),
            ("right", instruction.right, places[1]),
        ):
            read = registers.read_port(domain="comb")
            m.d.comb += read.addr.eq(Cat(low, rank))
            operand = Signal(SCALAR, name=f"{name}_fetched")
            with m.Switch(register):
                for constant, value in (
                    (Register.ONE, _constant(1.0)),
                    (Register.CARRY, self.carry),
                    (Register.RATE, self.rate),
                    (Register.HOST_WEIGHT, host_weight),
                    (Register.OVERLAP, self.overlap),
                    (Register.SQUARE, self.square),
                    (Register.ROOT, self.root),
                ):
                    with m.Case(constant):
                        m.d.comb += operand.eq(value)
                with m.Default():
                    m.d.comb += operand.eq(read.data)
            latched = Signal(SCALAR, name=f"{name}_operand", reset_less=True)
            operands.append((operand, latched))
        left, right = (latched for _, latched in operands)

        product = Signal(PRODUCT_BITS, reset_less=True)
        product_power = Signal(EXPONENT, reset_less=True)
        residual = Mux(instruction.modifier == Modifier.TIMES_RESIDUAL, self.residual, 0)
        m.d.sync += [
            product.eq(left.significand * right.significand),
            product_power.eq(left.exponent + right.exponent + residual),
        ]
        # A sum or a product, at last with its leading one at the top
        total = Signal(_WIDE, reset_less=True)
        total_power = Signal(EXPONENT, reset_less=True)
        zero_bytes = Signal(range(_WIDE // 8 + 1))
        of_total = round_to_scalar(m, total, total_power, "total")
        base, placed, aligned, lost = (
            Signal(_WIDE, name=name, reset_less=True)
            for name in ("base", "placed", "aligned", "lost")
        )
        amount = Signal(range(_SHIFT_MAX + 1))
        subtracting, negative = Signal(), Signal()  # the difference would be below zero
        rounded = Signal(SCALAR, reset_less=True)
        finished = Signal()
        m.d.sync += self.done.eq(finished)
        voided = Signal()  # the rank's instruction is of one that has vanished
        m.d.sync += voided.eq((instruction.modifier == Modifier.UNLESS_VANISHED) & self.vanished)
        zero = ~rounded.significand[-1] | voided
        stored = ~((instruction.modifier == Modifier.UNLESS_ZERO) & ~self.square.significand[-1])
        m.d.comb += [
            self.result.eq(Mux(zero, 0, rounded)),
            self.written.program.eq(program),
            self.written.side.eq(side),
            self.written.group.eq(group),
            self.written.column.eq(column),
            self.written.register.eq(instruction.destination),
            self.written.last.eq(instruction.last),
            self.written.value.eq(self.result),
            write.addr.eq(Cat(place(instruction.destination), rank)),
            write.data.eq(self.result),
        ]

        # By rank, a cycle after the result: they are many, and far from here.
        output = Signal(SCALAR, reset_less=True)
        m.d.sync += output.eq(self.result)
        selected = {}
        for register, outputs in (
            (Register.WEIGHT, self.weight),
            (Register.SCALE, self.scale),
            (Register.UPDATE, self.update),
        ):
            selected[register] = chosen = Signal(name=f"to_{register.name}")
            m.d.sync += chosen.eq(0)
            held = reset_less(m, outputs)
            for number in range(p.groups(p.max_rank) * p.columns):
                group_of, column_of = divmod(number, p.columns)
                with m.If(chosen & (rank == (group_of << column_bits(p) | column_of))):
                    m.d.sync += held[group_of][column_of].eq(output)

        with m.FSM():
            with m.State("IDLE"), m.If(self.start):
                m.d.sync += [
                    group.eq(self.group),
                    column.eq(self.column),
                    side.eq(self.side),
                    single.eq(self.single),
                    program.eq(self.program),
                ]
                m.next = "BEGIN"
            with m.State("BEGIN"):  # of a rank
                with m.Switch(program):
                    for number, start in starts.items():
                        with m.Case(number):
                            m.d.sync += counter.eq(start + 1)
                            fetch(_INSTRUCTION.const(rom[start]))
                m.next = "FETCH"
            with m.State("FETCH"):
                for operand, latched in operands:
                    m.d.sync += latched.eq(operand)
                    # A significand without its leading bit is zero, whatever its exponent.
                    with m.If(~operand.significand[-1]):
                        m.d.sync += [
                            latched.significand.eq(0),
                            latched.exponent.eq(scalar.EXPONENT_MIN),
                        ]
                m.next = "ALIGN"
                with m.If(instruction.operation == Operation.MULTIPLY):
                    m.next = "PRODUCT"

            with m.State("PRODUCT"):
                m.next = "LEAD"
            with m.State("LEAD"):
                leading, leading_power = lead(product, product_power)
                m.d.sync += [
                    total.eq(leading << (_WIDE - PRODUCT_BITS)),
                    total_power.eq(leading_power),
                ]
                m.next = "ROUND"

            with m.State("ALIGN"):
                swap = left.exponent < right.exponent
                gap = Mux(swap, right.exponent - left.exponent, left.exponent - right.exponent)
                subtract = (instruction.operation == Operation.REST) & ~self.overlap_negative
                m.d.sync += [
                    base.eq(Mux(swap, right.significand, left.significand) << (_WIDE - _S - 1)),
                    placed.eq(Mux(swap, left.significand, right.significand) << (_WIDE - _S - 1)),
                    amount.eq(Mux(gap > _SHIFT_MAX, _SHIFT_MAX, gap)),
                    subtracting.eq(subtract),
                    negative.eq(subtract & swap),
                    total_power.eq(Mux(swap, right.exponent, left.exponent) + 1),
                ]
                m.next = "SHIFT"
            with m.State("SHIFT"):
                m.d.sync += [
                    aligned.eq(placed >> amount),
                    lost.eq(placed & ~(Const((1 << _WIDE) - 1, _WIDE) << amount)[:_WIDE]),
                ]
                m.next = "STICK"
            with m.State("STICK"):
                m.d.sync += aligned[0].eq(aligned[0] | lost.any())
                m.next = "SUM"
            with m.State("SUM"):
                difference = base - aligned
                m.d.sync += total.eq(
                    Mux(
                        subtracting, Mux(negative | (difference < 0), 0, difference), base + aligned
                    )
                )
                m.next = "COUNT"
            with m.State("COUNT"):
                m.d.sync += zero_bytes.eq(leading_zero_bytes(total))
                m.next = "COARSE"
            with m.State("COARSE"):
                m.d.sync += [
                    total.eq(total << (zero_bytes << 3)),
                    total_power.eq(total_power - (zero_bytes << 3)),
                ]
                m.next = "FINE"
            with m.State("FINE"):
                zeros = leading_zeros(total[-8:])[:3]
                m.d.sync += [total.eq(total << zeros), total_power.eq(total_power - zeros)]
                m.next = "ROUND"

            with m.State("ROUND"):
                m.d.sync += rounded.eq(of_total)
                m.next = "WRITE"

            with m.State("WRITE"):  # and on to the next instruction, the next rank, or the end
                m.d.comb += [
                    write.en.eq(stored & (instruction.destination < STORED)),
                    self.history_write.eq(instruction.destination == Register.HISTORY),
                    self.written.valid.eq(1),
                    self.written.stored.eq(stored),
                ]
                for register, chosen in selected.items():
                    m.d.sync += chosen.eq(instruction.destination == register)
                fetch(instruction_port.data)
                m.d.sync += counter.eq(counter + 1)
                m.next = "FETCH"
                with m.If(instruction.last):
                    m.next = "BEGIN"
                    m.d.sync += column.eq(column + 1)
                    with m.If(column == p.columns - 1):
                        m.d.sync += [column.eq(0), group.eq(group + 1)]
                    last = (group == self.last_group) & (column == self.last_column)
                    with m.If(single | last):
                        m.d.comb += finished.eq(1)
                        m.next = "IDLE"
        return m
