"""The multiply-accumulate array: lanes x columns, one multiplier each."""

from amaranth import Cat, Module, Mux, Signal, ValueLike, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden_model.parameters import Parameters
from hdl.reset_less import registered
from hdl.shapes import factor_row, wide_row, word_row

LATENCY = 4
"""Clock cycles from the operands of a run's last step to its result."""

RAISED_BY_MULTIPLIER = 10
"""Bits of a word from which on a multiplier raises it: a shifter of 16 bits took 77 LUTs a cell."""


class MacArray(wiring.Component):
    """Accumulates products of words, exactly, in every lane of every column.

    A run of steps from `first` to `last` leaves in cell [c][l]

        result = begin * 2**raise_by + sum over the steps of left * right

    with `begin` and `raise_by` those of the first step, counted only if it has `raised`. An operand
    is the cell's own, or one that cells share: left the lane's `row` if `by_row`, right the
    column's `scalar` if `by_scalar`. A step
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
                "by_row": In(1),
                "row": In(word_row(parameters)),
                "right": In(factor_row(parameters)),
                "by_scalar": In(1),
                "scalar": In(data.ArrayLayout(signed(parameters.width), parameters.columns)),
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
            {
                name: Signal(name=f"{name}_{stage}", reset_less=name != "step")
                for name in ("step", "first", "last", "horner")
            }
            for stage in ("operands", "factors", "products")
        )
        goes_on = Signal(reset_less=True)  # to the accumulator as it is
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

        # What cells share goes to the multipliers through registers of its own.
        by_row, by_scalar = (
            registered(m, flag, name)
            for flag, name in ((self.by_row, "rows_count"), (self.by_scalar, "scalars_count"))
        )
        rows = [registered(m, self.row[lane], f"row_{lane}") for lane in range(p.lanes)]

        def factor(own: ValueLike, by_shared: Signal, shared: Signal, name: str) -> Signal:
            own = registered(m, own, f"own_{name}")
            return registered(m, Mux(by_shared, shared, own), name)

        for c in range(p.columns):
            scalar = registered(m, self.scalar[c], f"scalar_{c}")
            amount = registered(m, self.raise_by[c], f"amount_{c}", 2)
            # A power of zero leaves out what begins, and needs no reset between registers.
            raised = self.raised.replicate(p.width - 1)
            power = registered(m, (1 << self.raise_by[c]) & raised, f"power_{c}", 2, p.width - 1)
            for lane in range(p.lanes):
                cell = f"{c}_{lane}"
                left = factor(self.left[c][lane], by_row, rows[lane], f"left_{cell}")
                right = factor(self.right[c][lane], by_scalar, scalar, f"right_{cell}")
                product = registered(m, left * right, f"product_{cell}")
                if p.width < RAISED_BY_MULTIPLIER:
                    begin = Mux(self.raised, self.begin[c][lane], 0)
                    raising = registered(m, begin, f"begin_{cell}", 2) << amount
                else:
                    raising = registered(m, self.begin[c][lane], f"begin_{cell}", 2) * power
                base = registered(m, raising, f"base_{cell}", shape=signed(2 * p.width - 2))
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
