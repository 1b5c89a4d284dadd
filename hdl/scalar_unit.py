"""The scalar unit: a small floating-point machine for weights, norms and coefficients."""

from amaranth import Array, Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, ceil_log2

from golden_model import scalar
from golden_model.parameters import Parameters
from hdl.narrow import shift_max
from hdl.scalar_programs import (
    FIRST_SHARED,
    PROGRAMS,
    STORED,
    Instruction,
    Modifier,
    Operation,
    Register,
)
from hdl.shapes import SCALAR, dot_products

EXPONENT = signed(13)
"""Shape of exponents of words and of intermediate results: no program can leave it."""

_S = scalar.SIGNIFICAND_BITS

_INSTRUCTION = data.StructLayout(
    {"operation": 3, "left": 5, "right": 5, "destination": 5, "modifier": 3, "last": 1}
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


def highest_one(m: Module, value: Value, name: str) -> Signal:
    """Combinational bit length of `value`."""
    length = Signal(range(len(value) + 1), name=name)
    for bit in range(len(value)):
        with m.If(value[bit]):
            m.d.comb += length.eq(bit + 1)
    return length


class ScalarUnit(wiring.Component):
    """Runs the programs of `hdl.scalar_programs` on scalars, one instruction at a time.

    `start` runs `program` with the activation factors (`side` 0) or the error factors (1) in hand,
    for columns from `first_column` up to `ranks` - 1; `done` is high in the cycle after its last
    write. A scalar is that of `golden_model.scalar`, and every instruction's result equals the
    golden function's on every bit. A program takes 3 to 6 cycles an instruction.

    Inputs that programs read: the dot products of the last pass, the magnitude bits of the
    projections, `residual` (the power of two to multiply a residual column's norm by), `vanished`,
    `carry`, `rate` and `host_weight`. Results: `history` (unsigned, one word of history digits a
    rank), `projection_bits` (input of the projections' narrower), `projection_shift`,
    `coefficient` and `fraction_bits` for Gram-Schmidt, and `weight`, `scale` and `update`.
    `saturations` pulses when a coefficient saturates.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = p = parameters
        self._column_bits = max(1, ceil_log2(p.columns))
        self.projection_bits_max = shift_max(p.dot_bits, p.width)

        def each(shape: object) -> data.ArrayLayout:
            return data.ArrayLayout(shape, p.columns)

        super().__init__(
            {
                "start": In(1),
                "program": In(range(len(PROGRAMS))),
                "side": In(1),
                "first_column": In(range(max(2, p.columns))),
                "ranks": In(range(p.columns + 1)),
                "done": Out(1),
                "dots": In(dot_products(p)),
                "magnitude": In(each(unsigned(bits_for(p.dot_bits)))),
                "residual": In(each(EXPONENT)),
                "vanished": In(p.columns),
                "carry": In(SCALAR),
                "rate": In(SCALAR),
                "host_weight": In(each(SCALAR)),
                "history": Out(each(unsigned(p.history_bits))),
                "projection_bits": Out(each(unsigned(bits_for(self.projection_bits_max)))),
                "projection_shift": Out(each(EXPONENT)),
                "coefficient": Out(each(signed(p.width))),
                "fraction_bits": Out(each(range(p.width - 1))),
                "weight": Out(each(SCALAR)),
                "scale": Out(each(SCALAR)),
                "update": Out(each(SCALAR)),
                "saturations": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Fetch, one of four kinds of execution, normalise, round and write."""
        m = Module()
        p = self.parameters
        wide = max(p.dot_bits, p.history_bits + 2, 2 * _S + 4)

        # Programs
        rom: list[dict[str, int]] = []
        starts: dict[int, tuple[int, int]] = {}
        for number, program in enumerate(PROGRAMS.values()):
            start = len(rom)
            for part in (program.prologue, program.body):
                rom += [_encode(item, item is part[-1]) for item in part]
            starts[number] = (start, start + len(program.prologue))
        m.submodules.rom = rom_memory = memory.Memory(shape=_INSTRUCTION, depth=len(rom), init=rom)
        instruction_port = rom_memory.read_port(domain="comb")
        instruction = instruction_port.data
        counter = Signal(range(len(rom)))
        body = Signal.like(counter)
        in_prologue = Signal()
        side = Signal()
        column = Signal(range(p.columns + 1))
        m.d.comb += instruction_port.addr.eq(counter)

        # Registers
        m.submodules.registers = registers = memory.Memory(
            shape=SCALAR, depth=16 << self._column_bits, init=[]
        )
        write = registers.write_port()

        def address(register: Value) -> Value:
            swapped = (register >= Register.OWN_INVERSE) & (register <= Register.OTHER_NORM)
            shared = register >= FIRST_SHARED
            place = Mux(shared, 0, column)[: self._column_bits]
            return Cat(place, (register ^ (swapped & side))[:4])

        operands = []
        for name, register in (("left", instruction.left), ("right", instruction.right)):
            read = registers.read_port(domain="comb")
            m.d.comb += read.addr.eq(address(register))
            operand = Signal(SCALAR, name=f"{name}_fetched")
            with m.Switch(register):
                for constant, value in (
                    (Register.ONE, _constant(1.0)),
                    (Register.THREE, _constant(3.0)),
                    (Register.CARRY, self.carry),
                    (Register.RATE, self.rate),
                    (Register.HOST_WEIGHT, Array(self.host_weight)[column]),
                    (Register.SCALE, Array(self.scale)[column]),
                ):
                    with m.Case(constant):
                        m.d.comb += operand.eq(value)
                with m.Default():
                    m.d.comb += operand.eq(read.data)
            latched = Signal(SCALAR, name=f"{name}_operand")
            operands.append((operand, latched))
        left, right = (latched for _, latched in operands)

        value = Signal(wide)  # the result is value / 2**wide * 2**power
        power = Signal(EXPONENT)
        negative = Signal()
        zero_seed = Signal()
        half = Signal(signed(scalar.EXPONENT_BITS + 1))

        m.submodules.table = table = memory.Memory(
            shape=scalar.RSQRT_ENTRY_BITS,
            depth=1 << scalar.RSQRT_INDEX_BITS,
            init=scalar.RSQRT_TABLE,
        )
        lookup = table.read_port()

        # The one right shifter, which keeps a sticky bit
        shift_in = Signal(wide)
        shift_by = Signal(range(64))
        shifted = Signal(wide)
        lost = Signal(wide)
        m.d.comb += [
            shifted.eq(shift_in >> shift_by),
            lost.eq(shift_in & ~((Const(-1, signed(wide + 64)) << shift_by)[:wide])),
        ]
        aligned = Signal(wide)
        sticky = Signal()
        base = Signal(wide)
        subtracting = Signal()

        def clamp(amount: Value) -> Value:
            return Mux(amount > 63, 63, amount)

        result = Signal(SCALAR)
        write_result = Signal()
        m.d.comb += [write.addr.eq(address(instruction.destination)), write.data.eq(result)]

        def advance() -> None:
            """Go on to the next instruction, the next column, or the end."""
            m.next = "FETCH"
            with m.If(~instruction.last):
                m.d.sync += counter.eq(counter + 1)
            with m.Else():
                m.d.sync += [in_prologue.eq(0), column.eq(column + 1), counter.eq(body)]
                with m.If(column + 1 >= self.ranks):
                    m.d.comb += finished.eq(1)
                    m.next = "IDLE"

        finished = Signal()
        m.d.sync += self.done.eq(finished)
        m.d.sync += self.saturations.eq(0)
        with m.FSM():
            with m.State("IDLE"), m.If(self.start):
                m.d.sync += [column.eq(self.first_column), side.eq(self.side)]
                with m.Switch(self.program):
                    for number, (start, body_start) in starts.items():
                        with m.Case(number):
                            m.d.sync += [counter.eq(start), body.eq(body_start)]
                m.next = "FETCH"
                with m.If(self.first_column >= self.ranks):
                    m.d.comb += finished.eq(1)
                    m.next = "IDLE"
            with m.State("FETCH"):
                for operand, latched in operands:
                    m.d.sync += latched.eq(operand)
                    # A significand without its leading bit is zero, whatever its exponent.
                    with m.If(~operand.significand[-1]):
                        m.d.sync += [
                            latched.significand.eq(0),
                            latched.exponent.eq(scalar.EXPONENT_MIN),
                        ]
                with m.Switch(instruction.operation):
                    with m.Case(Operation.LOAD):
                        dot = Array(self.dots)[column]
                        m.d.sync += [
                            value.eq(Mux(dot < 0, -dot, dot)),
                            negative.eq(dot < 0),
                            power.eq(wide),
                        ]
                        m.next = "COUNT"
                    with m.Case(Operation.MULTIPLY):
                        m.next = "PRODUCT"
                    with m.Case(Operation.ADD, Operation.SUBTRACT, Operation.REST):
                        m.next = "ALIGN"
                    with m.Case(Operation.SEED):
                        m.next = "REDUCE"
                    with m.Case(Operation.FIX_HISTORY):
                        m.next = "SHIFT_HISTORY"
                    with m.Case(Operation.FIX_COEFFICIENT):
                        m.next = "SHIFT_COEFFICIENT"

            with m.State("PRODUCT"):
                product = left.significand * right.significand
                m.d.sync += [value.eq(product), power.eq(left.exponent + right.exponent)]
                with m.If(instruction.modifier == Modifier.UNDO_REDUCTION):
                    m.d.sync += power.eq(left.exponent + right.exponent - 1 - half)
                with m.If(instruction.modifier == Modifier.TIMES_RESIDUAL):
                    residual = Array(self.residual)[column]
                    m.d.sync += power.eq(left.exponent + right.exponent + residual)
                m.next = "NUDGE"
            with m.State("NUDGE"):  # a product has its leading one in one of two places
                with m.If(value[2 * _S - 1]):
                    m.d.sync += value.eq(value << (wide - 2 * _S))
                with m.Else():
                    m.d.sync += [value.eq(value << (wide - 2 * _S + 1)), power.eq(power - 1)]
                m.next = "ROUND"

            with m.State("ALIGN"):
                swap = left.exponent < right.exponent
                larger = Mux(swap, right.significand, left.significand)
                smaller = Mux(swap, left.significand, right.significand)
                gap = Mux(swap, right.exponent - left.exponent, left.exponent - right.exponent)
                subtract = (instruction.operation == Operation.SUBTRACT) | (
                    (instruction.operation == Operation.REST) & ~negative
                )
                m.d.comb += [
                    shift_in.eq(smaller << (wide - _S - 1)),
                    shift_by.eq(clamp(gap)),
                ]
                m.d.sync += [
                    base.eq(larger << (wide - _S - 1)),
                    aligned.eq(shifted | lost.any()),
                    subtracting.eq(subtract),
                    power.eq(Mux(swap, right.exponent, left.exponent) + 1),
                ]
                m.next = "SUM"
                with m.If(subtract & swap):  # the difference would be negative
                    m.d.sync += [base.eq(0), aligned.eq(0)]
            with m.State("SUM"):
                difference = base - aligned
                m.d.sync += value.eq(
                    Mux(subtracting, Mux(difference < 0, 0, difference), base + aligned)
                )
                m.next = "COUNT"

            length = Signal(range(wide + 1))
            with m.State("COUNT"):
                m.d.sync += length.eq(highest_one(m, value, "length_now"))
                m.next = "NORMALISE"
            with m.State("NORMALISE"):
                m.d.sync += [
                    value.eq(value << (wide - length)[: bits_for(wide)]),
                    power.eq(power - wide + length),
                ]
                m.next = "ROUND"
            with m.State("ROUND"):
                kept = value[-_S:]
                rest = value[: wide - _S]
                rounded = Signal(_S + 1)
                exponent = Signal(EXPONENT)
                m.d.comb += [
                    rounded.eq(kept + (rest[-1] & (rest[:-1].any() | kept[0]))),
                    exponent.eq(power + rounded[-1]),
                    result.significand.eq(Mux(rounded[-1], 1 << (_S - 1), rounded)),
                    result.exponent.eq(exponent),
                    write_result.eq(1),
                ]
                vanish = (
                    (instruction.modifier == Modifier.UNLESS_VANISHED)
                    & Array(self.vanished)[column]
                ) | ((instruction.modifier == Modifier.UNDO_REDUCTION) & zero_seed)
                with m.If(exponent > scalar.EXPONENT_MAX):
                    m.d.comb += [
                        result.significand.eq(-1),
                        result.exponent.eq(scalar.EXPONENT_MAX),
                    ]
                with m.If(~value[-1] | (exponent < scalar.EXPONENT_MIN) | vanish):
                    m.d.comb += result.eq(0)
                with m.If((instruction.modifier == Modifier.UNLESS_ZERO) & zero_seed):
                    m.d.comb += write_result.eq(0)
                m.d.comb += write.en.eq(write_result & (instruction.destination < STORED))
                with m.If(write_result):
                    for register, output in (
                        (Register.WEIGHT, self.weight),
                        (Register.SCALE, self.scale),
                        (Register.UPDATE, self.update),
                    ):
                        with m.If(instruction.destination == register):
                            m.d.sync += Array(output)[column].eq(result)
                advance()

            with m.State("REDUCE"):
                odd = left.exponent[0]
                index = Cat(left.significand[_S - scalar.RSQRT_INDEX_BITS : _S - 1], odd)
                m.d.comb += [
                    lookup.addr.eq(index),
                    write.addr.eq(Cat(Const(0, self._column_bits), Const(Register.REDUCED, 4))),
                    result.significand.eq(left.significand),
                    result.exponent.eq(Mux(odd, -1, 0)),
                    write.en.eq(1),
                ]
                m.d.sync += [
                    half.eq((left.exponent + 1) >> 1),
                    zero_seed.eq(~left.significand[-1]),
                ]
                m.next = "SEED"
            with m.State("SEED"):
                m.d.comb += [
                    write.addr.eq(Cat(Const(0, self._column_bits), Const(Register.SEED, 4))),
                    result.significand.eq(lookup.data << (_S - scalar.RSQRT_ENTRY_BITS)),
                    result.exponent.eq(1),
                    write.en.eq(1),
                ]
                advance()

            with m.State("SHIFT_HISTORY"):
                # The projections' shift, raised where the history would outgrow its digits.
                natural = Signal(EXPONENT)
                raised = Signal(EXPONENT)
                shift = Signal(EXPONENT)
                biased = Signal(EXPONENT)
                m.d.comb += [
                    natural.eq(Array(self.magnitude)[column] - (p.width - 1)),
                    raised.eq(left.exponent - p.history_bits),
                    shift.eq(Mux(raised > natural, raised, natural)),
                    biased.eq(shift + (p.width - 1)),
                    shift_in.eq(left.significand << (p.history_bits - _S + 1)),
                    shift_by.eq(clamp(shift - raised)),
                ]
                m.d.sync += [
                    aligned.eq(shifted),
                    sticky.eq(lost.any()),
                    Array(self.projection_shift)[column].eq(shift),
                    Array(self.projection_bits)[column].eq(
                        Mux(biased > self.projection_bits_max, self.projection_bits_max, biased)
                    ),
                ]
                m.next = "ROUND_HISTORY"
            with m.State("ROUND_HISTORY"):
                up = aligned[0] & (sticky | aligned[1])
                m.d.sync += Array(self.history)[column].eq(aligned[1:] + up)
                advance()

            with m.State("SHIFT_COEFFICIENT"):
                most = p.width - 2
                free = Signal(EXPONENT)
                fraction = Signal(range(p.width - 1))
                m.d.comb += [
                    free.eq(p.width - 1 - left.exponent),
                    fraction.eq(Mux(free > most, most, free)),
                    shift_in.eq(left.significand << 1),
                    shift_by.eq(clamp(_S - left.exponent - fraction)),
                ]
                m.d.sync += [
                    aligned.eq(shifted),
                    sticky.eq(lost.any()),
                    Array(self.fraction_bits)[column].eq(fraction),
                ]
                m.next = "ROUND_COEFFICIENT"
            with m.State("ROUND_COEFFICIENT"):
                magnitude = Signal(p.width)
                largest = (1 << (p.width - 1)) - 1
                saturated = ~(magnitude <= largest) & negative
                m.d.comb += magnitude.eq(aligned[1:] + (aligned[0] & (sticky | aligned[1])))
                m.d.sync += [
                    self.saturations.eq(saturated),
                    Array(self.coefficient)[column].eq(
                        Mux(negative, Mux(saturated, largest, magnitude), -magnitude)
                    ),
                ]
                advance()
        return m
