"""The aligner: one exponent for a group's projections, and the history in their units."""

from amaranth import Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from golden_model import scalar
from golden_model.parameters import Parameters
from hdl.narrow import shift_max
from hdl.reset_less import reset_less
from hdl.rounding import EXPONENT
from hdl.shapes import (
    SCALAR,
    column_bits,
    column_shape,
    each_column,
    each_rank,
    group_bits,
    group_shape,
    rank_address,
)

_S = scalar.SIGNIFICAND_BITS


class Aligner(wiring.Component):
    """shift = max(magnitude - (width - 1), exponent(h) - history_bits), history = h / 2**shift.

    h is the scalar that `write` stored for the rank. `start` aligns the columns of `group`, one a
    cycle: `projection_bits` (what the projections' narrower takes), `history` (unsigned, rounded
    half to even), and `shift`, kept by rank. `ready` tells that a pass over the group that begins
    in the next cycle may use them. Golden counterpart: `fixed._iterate`.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = p = parameters
        self.bits_max = shift_max(p.dot_bits, p.width)
        super().__init__(
            {
                "write": In(1),
                "write_group": In(group_shape(p)),
                "write_column": In(column_shape(p)),
                "write_data": In(SCALAR),
                "start": In(1),
                "group": In(group_shape(p)),
                "magnitude": In(each_column(p, unsigned(bits_for(p.dot_bits)))),
                "history": Out(each_column(p, unsigned(p.history_bits))),
                "projection_bits": Out(each_column(p, unsigned(bits_for(self.bits_max)))),
                "shift": Out(each_rank(p, EXPONENT)),
                "ready": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Read, compare exponents, shift, round: a register each."""
        m = Module()
        p = self.parameters
        m.submodules.scalars = scalars = memory.Memory(
            shape=SCALAR, depth=1 << (column_bits(p) + group_bits(p)), init=[]
        )
        write = scalars.write_port()
        read = scalars.read_port(domain="comb")
        busy = Signal()
        group = Signal(group_shape(p))
        column = Signal(column_shape(p))
        m.d.comb += [
            write.en.eq(self.write),
            write.addr.eq(rank_address(p, self.write_group, self.write_column)),
            write.data.eq(self.write_data),
            read.addr.eq(rank_address(p, group, column)),
        ]
        with m.If(self.start):
            m.d.sync += [busy.eq(1), group.eq(self.group), column.eq(0)]
        with m.Elif(column == p.columns - 1):
            m.d.sync += busy.eq(0)
        with m.Else():
            m.d.sync += column.eq(column + 1)
        valid, columns = Signal(3), [column]
        m.d.sync += valid.eq(Cat(busy, valid))
        for stage in range(3):
            later = Signal.like(column, name=f"column_{stage}")
            m.d.sync += later.eq(columns[-1])
            columns.append(later)

        shift, history = reset_less(m, self.shift), reset_less(m, self.history)
        projection_bits = reset_less(m, self.projection_bits)
        h = Signal(SCALAR, reset_less=True)
        natural, raised = (
            Signal(EXPONENT, name=name, reset_less=True) for name in ("natural", "raised")
        )
        m.d.sync += [
            h.eq(read.data),
            natural.eq(self.magnitude[column] - (p.width - 1)),
            raised.eq(
                Mux(
                    read.data.significand[-1],
                    read.data.exponent,
                    scalar.EXPONENT_MIN,
                )
                - p.history_bits
            ),
        ]

        larger, bits = Signal(EXPONENT), Signal(EXPONENT)
        chosen = Signal(EXPONENT, reset_less=True)
        above = Signal(signed(EXPONENT.width + 1))
        amount = Signal(range(64), reset_less=True)
        significand = Signal(_S, reset_less=True)
        m.d.comb += [
            above.eq(natural - raised),
            larger.eq(Mux(above < 0, raised, natural)),
            bits.eq(chosen + (p.width - 1)),
        ]
        m.d.sync += [
            chosen.eq(larger),
            amount.eq(Mux(above < 0, 0, Mux(above[6:].any(), 63, above))),
            significand.eq(Mux(h.significand[-1], h.significand, 0)),
        ]
        with m.If(valid[0]):
            m.d.sync += shift[group][columns[1]].eq(larger)
        with m.If(valid[1]):
            m.d.sync += projection_bits[columns[2]].eq(
                Mux(bits > self.bits_max, self.bits_max, bits)
            )

        # A guard bit stays below the integer, and the bits lost below that are sticky.
        wide = p.history_bits + 1
        shift_in = Signal(wide)
        shifted, lost = (Signal(wide, name=name, reset_less=True) for name in ("shifted", "lost"))
        m.d.comb += shift_in.eq(significand << (wide - _S))
        m.d.sync += [
            shifted.eq(shift_in >> amount),
            lost.eq(shift_in & ~(Const((1 << wide) - 1, wide) << amount)[:wide]),
        ]
        up = shifted[0] & (lost.any() | shifted[1])
        with m.If(valid[2]):
            m.d.sync += history[columns[3]].eq(shifted[1:] + up)

        # A pass takes the history's first digit nine cycles after `ready`, and narrows projections
        # from the sixth on, as digits of the history come first.
        m.d.comb += self.ready.eq(busy & (column == max(p.columns - 4, 0)))
        return m
