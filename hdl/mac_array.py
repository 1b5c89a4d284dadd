"""The multiply-accumulate array: lanes x columns, one multiplier each."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden_model.parameters import Parameters
from hdl.shapes import factor_row, wide_row

LATENCY = 3
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
        """Registers before and after each multiplier, then the accumulator."""
        m = Module()
        p = self.parameters
        operands, products = (
            {name: Signal(name=f"{name}_{stage}") for name in ("step", "first", "last", "horner")}
            for stage in ("operands", "products")
        )
        goes_on = Signal()  # to the accumulator as it is
        for name, operand in operands.items():
            m.d.sync += [operand.eq(getattr(self, name)), products[name].eq(operand)]
        m.d.sync += [
            goes_on.eq(~operands["first"] & ~operands["horner"]),
            self.valid.eq(products["step"] & products["last"]),
        ]
        for c in range(p.columns):
            amount = Signal(range(p.width - 1), name=f"amount_{c}", reset_less=True)
            power = Signal(p.width - 1, name=f"power_{c}", reset_less=True)
            m.d.sync += [amount.eq(self.raise_by[c]), power.eq(1 << self.raise_by[c])]
            for lane in range(p.lanes):
                left = Signal(signed(p.width), name=f"left_{c}_{lane}", reset_less=True)
                right = Signal(signed(p.width), name=f"right_{c}_{lane}", reset_less=True)
                product = Signal(signed(2 * p.width), name=f"product_{c}_{lane}", reset_less=True)
                begin = Signal(signed(p.width), name=f"begin_{c}_{lane}", reset_less=True)
                base = Signal(signed(2 * p.width - 2), name=f"base_{c}_{lane}", reset_less=True)
                total = Signal(
                    signed(p.accumulator_bits), name=f"total_{c}_{lane}", reset_less=True
                )
                m.d.sync += [
                    left.eq(self.left[c][lane]),
                    right.eq(self.right[c][lane]),
                    product.eq(left * right),
                    begin.eq(Mux(self.raised, self.begin[c][lane], 0)),
                    base.eq(begin << amount if p.width < RAISED_BY_MULTIPLIER else begin * power),
                ]
                kept = Mux(goes_on, total, total << (p.width - 1))
                start = Mux(products["first"], base, kept)
                # The same in the low bits, where a LUT selects by two registers.
                low = Mux(products["first"], base, 0) | Mux(goes_on, total, 0)
                start = Cat(low[: p.width - 1], start[p.width - 1 :]).as_signed()
                with m.If(products["step"]):
                    m.d.sync += total.eq(start + product)
                m.d.comb += self.result[c][lane].eq(total)
        return m
