"""The converter: exact dot products as scalars, a column a cycle."""

from amaranth import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden_model import scalar
from golden_model.parameters import Parameters
from hdl.reset_less import registered, reset_less
from hdl.rounding import EXPONENT, leading_zero_bytes, leading_zeros, round_to_scalar
from hdl.shapes import SCALAR, column_shape, dot_products, group_shape

LATENCY = 6
"""Clock cycles from `start` to the first column's scalar."""


def tag_layout(parameters: Parameters) -> data.StructLayout:
    """What is known of a group's dot products."""
    return data.StructLayout(
        {
            "group": group_shape(parameters),
            "gram": 1,  # with the pivot of Gram-Schmidt
            "pivot": 1,  # of the pivot's group, the first of them with itself
            "last": 1,  # no rank follows the pivot
        }
    )


class Converter(wiring.Component):
    """|dot| of each column from `first` on as a scalar, with the sign of dot.

    `start` takes `dots` and a `tag`. `LATENCY` cycles later `valid` is high with column `first`,
    marked `begin`, and in the cycles after it with the columns that follow, each with the tag. The
    next `start` may come as many cycles later as there are columns to convert. Golden counterpart:
    `scalar.round_scalar`.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = p = parameters
        super().__init__(
            {
                "start": In(1),
                "dots": In(dot_products(p)),
                "first": In(column_shape(p)),
                "tag": In(tag_layout(p)),
                "valid": Out(1),
                "begin": Out(1),
                "column": Out(column_shape(p)),
                "value": Out(SCALAR),
                "negative": Out(1),
                "tag_out": Out(tag_layout(p)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Magnitude, zero bytes, shift by bytes, shift by bits, rounding: a register each."""
        m = Module()
        p = self.parameters
        wide = max(p.dot_bits, scalar.SIGNIFICAND_BITS + 2)
        pending = Signal(dot_products(p), reset_less=True)
        busy, valid = Signal(), Signal(LATENCY - 1)
        beside = Signal(
            data.StructLayout(
                {
                    "begin": 1,
                    "column": column_shape(p),
                    "negative": 1,
                    "tag": tag_layout(p),
                }
            ),
            reset_less=True,
        )
        with m.If(self.start):
            m.d.sync += [
                pending.eq(self.dots),
                busy.eq(1),
                beside.begin.eq(1),
                beside.column.eq(self.first),
                beside.tag.eq(self.tag),
            ]
        with m.Elif(beside.column == p.columns - 1):
            m.d.sync += busy.eq(0)
        with m.Else():
            m.d.sync += [beside.begin.eq(0), beside.column.eq(beside.column + 1)]
        dot = Signal(signed(p.dot_bits))
        m.d.comb += [
            dot.eq(pending[beside.column]),
            beside.negative.eq(dot < 0),
        ]

        magnitude, counted, coarse, normal = (
            Signal(unsigned(wide), name=name, reset_less=True)
            for name in ("magnitude", "counted", "coarse", "normal")
        )
        zero_bytes = Signal(range(wide // 8 + 2), reset_less=True)
        length, power = (
            Signal(EXPONENT, name=name, reset_less=True) for name in ("length", "power")
        )
        value = reset_less(m, self.value)
        zeros = leading_zeros(coarse[-8:])[:3]
        m.d.sync += [
            magnitude.eq(Mux(dot < 0, -dot, dot)),
            counted.eq(magnitude),
            zero_bytes.eq(leading_zero_bytes(magnitude)),
            coarse.eq(counted << (zero_bytes << 3)),
            length.eq(wide - (zero_bytes << 3)),
            normal.eq(coarse << zeros),
            power.eq(length - zeros),
            value.eq(round_to_scalar(m, normal, power, "dot")),
            valid.eq(Cat(busy, valid)),
        ]
        beside = registered(m, beside, "beside", LATENCY - 1)
        m.d.comb += [
            self.valid.eq(valid[-1]),
            self.begin.eq(beside.begin),
            self.column.eq(beside.column),
            self.negative.eq(beside.negative),
            self.tag_out.eq(beside.tag),
        ]
        return m
