"""The multiply-accumulate array: lanes x columns, one multiplier each."""

from amaranth import Cat, Module, Mux, ShapeLike, Signal, ValueLike, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden_model.parameters import Parameters
from hdl.shapes import factor_row, wide_row

LATENCY = 4
"""Clock cycles from the operands of a run's last step to its result."""

RAISED_BY_MULTIPLIER = 10
"""Bits of a word from which on a multiplier raises it: a shifter of 16 bits took 77 LUTs a cell."""


class MacArray(wiring.Component):
    """Accumulates products of words, exactly, in every lane of every column.

    A run of steps from `first` to `last` leaves in cell [c][l]

        result = begin * 2**raise_by + sum over the steps of left * right

    with `begin` and `raise_by` those of the first step, counted only if it has `raised`. A step
    with `horner` first multiplies what its run has accumulated by 2**(width-1), which makes a
    multiplier of several digits from steps that follow each other, the highest digit first. A
    dot product is a run over rows, summed over lanes by an `AdderTree` afterwards; an
    accumulation is a run over samples whose result stays in its lane. `step` low leaves the
    accumulators as they are. Widths are bounded by `Parameters.accumulator_bits`; nothing
    wraps.

    Latency `LATENCY` cycles, a step a cycle; the next run may start in the cycle after `last`.
    `result` is valid for the one cycle in which `valid` is high.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        super().__init__(
            {
                "step": In(1),
                "first": In(1),
                "last": In(1),
                "horner": In(1),
                "left": In(factor_row(parameters)),
                "right": In(factor_row(parameters)),
                "raised": In(1),
                "begin": In(factor_row(parameters)),
                "raise_by": In(data.ArrayLayout(range(parameters.width - 1), parameters.columns)),
                "valid": Out(1),
                "result": Out(wide_row(parameters)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Operands, the multipliers' own registers before and after, and the accumulator."""
        m = Module()
        p = self.parameters
        operands, factors, products = (
            {name: Signal(name=f"{name}_{stage}") for name in ("step", "first", "last", "horner")}
            for stage in ("operands", "factors", "products")
        )
        goes_on = Signal()  # to the accumulator as it is
        for name, operand in operands.items():
            m.d.sync += [
                operand.eq(getattr(self, name)),
                factors[name].eq(operand),
                products[name].eq(factors[name]),
            ]
        m.d.sync += [
            goes_on.eq(~factors["first"] & ~factors["horner"]),
            self.valid.eq(products["step"] & products["last"]),
        ]

        def registered(value: ValueLike, shape: ShapeLike, name: str, cycles: int) -> Signal:
            for cycle in range(cycles):
                register = Signal(shape, name=f"{name}_{cycle}", reset_less=True)
                m.d.sync += register.eq(value)
                value = register
            return register

        for c in range(p.columns):
            amount = registered(self.raise_by[c], range(p.width - 1), f"amount_{c}", 2)
            # A power of zero leaves out what begins, and needs no reset between registers.
            raised = self.raised.replicate(p.width - 1)
            power = registered((1 << self.raise_by[c]) & raised, p.width - 1, f"power_{c}", 2)
            for lane in range(p.lanes):
                word, wide = signed(p.width), signed(2 * p.width)
                cell = f"{c}_{lane}"
                left = registered(self.left[c][lane], word, f"left_{cell}", 2)
                right = registered(self.right[c][lane], word, f"right_{cell}", 2)
                product = registered(left * right, wide, f"product_{cell}", 1)
                if p.width < RAISED_BY_MULTIPLIER:
                    begin = Mux(self.raised, self.begin[c][lane], 0)
                    raising = registered(begin, word, f"begin_{cell}", 2) << amount
                else:
                    raising = registered(self.begin[c][lane], word, f"begin_{cell}", 2) * power
                base = registered(raising, signed(2 * p.width - 2), f"base_{cell}", 1)
                total = Signal(signed(p.accumulator_bits), name=f"total_{cell}", reset_less=True)
                kept = Mux(goes_on, total, total << (p.width - 1))
                start = Mux(products["first"], base, kept)
                # The same in the low bits, where a LUT selects by two registers.
                low = Mux(products["first"], base, 0) | Mux(goes_on, total, 0)
                start = Cat(low[: p.width - 1], start[p.width - 1 :]).as_signed()
                with m.If(products["step"]):
                    m.d.sync += total.eq(start + product)
                m.d.comb += self.result[c][lane].eq(total)
        return m
