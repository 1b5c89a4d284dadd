"""Passes: loops of the MAC array over rows and samples, a step a cycle."""

from enum import IntEnum, unique

from amaranth import Module, Mux, Signal
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, ceil_log2

from golden_model.parameters import Parameters


@unique
class Kind(IntEnum):
    """What a pass computes, with `own` the factor in hand and `other` the other one.

    Left operands are a row for all columns, or each column's own row; right operands are each
    column's own row, or a scalar a column.
    """

    PROJECT = 0  # for every sample: dot products of its vector with the other factor
    ACCUMULATE = 1  # own * history + sum over samples of the sample's vector * its projections
    DOT = 2  # dot products of residual column `column` with every residual column
    SUBTRACT = 3  # residuals * 2**f + residual column `column` * coefficients
    OVERLAP = 4  # dot product of each residual column with the same column of the own factor
    NORM = 5  # dot product of each column of the own factor with itself


class Left(enum.Enum, shape=2):  # type: ignore[call-arg]
    """Source of the left operands."""

    BUFFER = 0  # a sample's row, for all columns
    FACTOR = 1
    RESIDUAL = 2
    RESIDUAL_COLUMN = 3  # one residual column's row, for all columns


class Right(enum.Enum, shape=2):  # type: ignore[call-arg]
    """Source of the right operands."""

    FACTOR = 0
    RESIDUAL = 1
    SCALAR = 2


class ScalarSource(enum.Enum, shape=2):  # type: ignore[call-arg]
    """Which scalar a column's right operand is."""

    HISTORY = 0
    PROJECTION = 1
    POWER = 2
    COEFFICIENT = 3


class Target(enum.Enum, shape=2):  # type: ignore[call-arg]
    """Where results go."""

    PROJECTIONS = 0
    RESIDUALS = 1
    DOTS = 2


def pass_layout(parameters: Parameters) -> data.StructLayout:
    """What to do in a pass."""
    return data.StructLayout(
        {
            "kind": bits_for(max(Kind)),
            "side": 1,  # the factor in hand: 0 activations, 1 errors
            "column": max(1, ceil_log2(parameters.columns)),
            "commit": 1,  # write the residuals' words to the own factor
            "bank": 1,  # half of the block buffer
        }
    )


def step_layout(parameters: Parameters) -> data.StructLayout:
    """One step of the array and where its operands and results are."""
    p = parameters
    return data.StructLayout(
        {
            "step": 1,
            "first": 1,
            "last": 1,
            "horner": 1,
            "final": 1,  # the last step of the pass
            "left": Left,
            "right": Right,
            "scalar": ScalarSource,
            "target": Target,
            "commit": 1,
            "count": 1,  # count saturations of the words read in this step
            "buffer": ceil_log2(2 * p.buffer_rows),
            "factor": bits_for(p.rows(p.max_n) + p.rows(p.max_m) - 1),
            "row": bits_for(p.rows(p.max_dimension) - 1),
            "sample": ceil_log2(p.max_block) or 1,
            "digit": bits_for(p.history_digits - 1),
            "result": max(bits_for(p.rows(p.max_dimension) - 1), ceil_log2(p.max_block), 1),
        }
    )


class PassEngine(wiring.Component):
    """Generates the steps of a pass from its description and the layer's dimensions.

    `start` begins pass `order`; from the next cycle on `out` holds a step a cycle until the one
    with `final`. Steps: PROJECT samples * rows(other), ACCUMULATE rows(own) * (history digits +
    samples), DOT, OVERLAP and NORM rows(own), SUBTRACT 2 * rows(own).
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = p = parameters
        super().__init__(
            {
                "start": In(1),
                "order": In(pass_layout(p)),
                "rows_n": In(range(p.rows(p.max_n) + 1)),
                "rows_m": In(range(p.rows(p.max_m) + 1)),
                "samples": In(range(p.max_block + 1)),
                "out": Out(step_layout(p)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Two nested counters and the addresses they move."""
        m = Module()
        p = self.parameters
        digits = p.history_digits
        counts = range(p.max_block + digits + p.rows(p.max_dimension) + 1)
        order = Signal.like(self.order)
        running = Signal()
        outer, inner = Signal(counts), Signal(counts)
        outer_last, inner_last = Signal(counts), Signal(counts)
        buffer, buffer_origin = Signal(range(2 * p.buffer_rows)), Signal(range(2 * p.buffer_rows))
        stride = Signal(range(p.rows(p.max_n) + p.rows(p.max_m) + 1))
        out = self.out
        new = self.order
        own_rows, other_rows = Signal(counts), Signal(counts)
        bank = Signal(range(2 * p.buffer_rows))
        m.d.comb += [
            own_rows.eq(Mux(new.side, self.rows_m, self.rows_n)),
            other_rows.eq(Mux(new.side, self.rows_n, self.rows_m)),
            stride.eq(self.rows_n + self.rows_m),
            bank.eq(Mux(new.bank, p.buffer_rows, 0)),
        ]
        origin = Signal.like(buffer)
        with m.Switch(new.kind):
            with m.Case(Kind.PROJECT):
                m.d.comb += origin.eq(bank + Mux(new.side, 0, self.rows_n))
            with m.Default():
                m.d.comb += origin.eq(bank + Mux(new.side, self.rows_n, 0))
        with m.If(self.start):
            m.d.sync += [
                order.eq(new),
                running.eq(1),
                outer.eq(0),
                inner.eq(0),
                outer_last.eq(0),
                inner_last.eq(own_rows - 1),
                buffer.eq(origin),
                buffer_origin.eq(origin),
            ]
            with m.Switch(new.kind):
                with m.Case(Kind.PROJECT):
                    m.d.sync += [outer_last.eq(self.samples - 1), inner_last.eq(other_rows - 1)]
                with m.Case(Kind.ACCUMULATE):
                    m.d.sync += [
                        outer_last.eq(own_rows - 1),
                        inner_last.eq(self.samples + (digits - 1)),
                    ]
                with m.Case(Kind.SUBTRACT):
                    m.d.sync += [outer_last.eq(own_rows - 1), inner_last.eq(1)]
        inner_end = inner == inner_last
        with m.If(running & ~self.start):
            m.d.sync += inner.eq(inner + 1)
            with m.If(order.kind == Kind.PROJECT):
                m.d.sync += buffer.eq(buffer + 1)
            with m.Elif(inner >= digits):
                m.d.sync += buffer.eq(buffer + stride)
            with m.If(inner_end):
                origin_step = Mux(order.kind == Kind.PROJECT, stride, 1)
                m.d.sync += [
                    inner.eq(0),
                    outer.eq(outer + 1),
                    buffer.eq(buffer_origin + origin_step),
                    buffer_origin.eq(buffer_origin + origin_step),
                ]
                with m.If(outer == outer_last):
                    m.d.sync += running.eq(0)

        # The factor of side 1 follows that of side 0 in the factor memory.
        own_base = Mux(order.side, p.rows(p.max_n), 0)
        other_base = Mux(order.side, 0, p.rows(p.max_n))
        past_history = inner >= digits
        m.d.comb += [
            out.step.eq(running),
            out.first.eq(inner == 0),
            out.last.eq(inner_end),
            out.final.eq(inner_end & (outer == outer_last)),
            out.buffer.eq(buffer),
            out.row.eq(inner),
            out.factor.eq(own_base + inner),
            out.result.eq(outer),
            out.commit.eq(order.commit),
            out.target.eq(Target.DOTS),
        ]
        with m.Switch(order.kind):
            with m.Case(Kind.PROJECT):
                m.d.comb += [
                    out.left.eq(Left.BUFFER),
                    out.right.eq(Right.FACTOR),
                    out.factor.eq(other_base + inner),
                    out.target.eq(Target.PROJECTIONS),
                ]
            with m.Case(Kind.ACCUMULATE):
                m.d.comb += [
                    out.left.eq(Mux(past_history, Left.BUFFER, Left.FACTOR)),
                    out.right.eq(Right.SCALAR),
                    out.scalar.eq(Mux(past_history, ScalarSource.PROJECTION, ScalarSource.HISTORY)),
                    out.horner.eq((inner != 0) & ~past_history),
                    out.factor.eq(own_base + outer),
                    out.digit.eq(digits - 1 - inner),
                    out.sample.eq(inner - digits),
                    out.count.eq(past_history & (outer == 0)),
                    out.target.eq(Target.RESIDUALS),
                ]
            with m.Case(Kind.DOT):
                m.d.comb += [
                    out.left.eq(Left.RESIDUAL_COLUMN),
                    out.right.eq(Right.RESIDUAL),
                    out.count.eq(1),
                ]
            with m.Case(Kind.SUBTRACT):
                m.d.comb += [
                    out.left.eq(Mux(inner == 0, Left.RESIDUAL, Left.RESIDUAL_COLUMN)),
                    out.right.eq(Right.SCALAR),
                    out.scalar.eq(Mux(inner == 0, ScalarSource.POWER, ScalarSource.COEFFICIENT)),
                    out.row.eq(outer),
                    out.target.eq(Target.RESIDUALS),
                ]
            with m.Case(Kind.OVERLAP):
                m.d.comb += [out.left.eq(Left.RESIDUAL), out.right.eq(Right.FACTOR)]
            with m.Case(Kind.NORM):
                m.d.comb += [out.left.eq(Left.FACTOR), out.right.eq(Right.FACTOR)]
        return m
