"""Passes: loops of the MAC array over rows and samples, a step a cycle."""

from enum import IntEnum, unique

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, ceil_log2

from golden_model.parameters import Parameters
from hdl.shapes import column_shape, group_bits, group_shape


@unique
class Kind(IntEnum):
    """What a pass computes for a group of ranks, `own` being the factor in hand, `other` the other.

    Left operands are a row for all columns, or each column's own row; right operands are each
    column's own row, or a scalar a column. The pivot is the rank that Gram-Schmidt is at.
    """

    PROJECT = 0  # for every sample: dot products of its vector with the other factor
    ACCUMULATE = 1  # own * history + sum over samples of the sample's vector * its projections
    DOT = 2  # dot products of the pivot with residual columns
    SUBTRACT = 3  # residuals * 2**f + pivot * coefficients
    OVERLAP = 4  # dot product of each residual column with the same column of the own factor
    NORM = 5  # dot product of each column of the own factor with itself


class Left(enum.Enum, shape=2):  # type: ignore[call-arg]
    """Source of the left operands."""

    BUFFER = 0  # a sample's row, for all columns
    FACTOR = 1
    PIVOT_COLUMN = 2  # the pivot's row among the residuals, for all columns; goes to PIVOT too
    PIVOT = 3  # the pivot's row, for all columns


class Right(enum.Enum, shape=2):  # type: ignore[call-arg]
    """Source of the right operands."""

    FACTOR = 0
    RESIDUAL = 1
    SCALAR = 2


class ScalarSource(enum.Enum, shape=2):  # type: ignore[call-arg]
    """Which scalar a column's right operand is."""

    HISTORY = 0
    PROJECTION = 1
    COEFFICIENT = 2


class Target(enum.Enum, shape=2):  # type: ignore[call-arg]
    """Where results go."""

    PROJECTIONS = 0
    RESIDUALS = 1
    SCALARS = 2  # dot products that become scalars


HAZARD_CYCLES = 4
"""Least cycles between the starts of passes: what a step writes, the next pass may read."""


def spacing(parameters: Parameters) -> int:
    """Least cycles between the starts of passes.

    Enough for a row that one pass writes to be read by the next one, and for the dot products of
    all columns to become scalars, one a cycle.
    """
    return max(HAZARD_CYCLES, parameters.columns)


def factor_bases(parameters: Parameters) -> tuple[int, int, int]:
    """First rows of X and Delta in the factor memory, and its depth.

    A row of all groups follows the row of all groups before it: address base + row * 2**group_bits
    + group.
    """
    p = parameters
    groups = 1 << group_bits(p)
    return 0, p.rows(p.max_n) * groups, (p.rows(p.max_n) + p.rows(p.max_m)) * groups


def row_address(parameters: Parameters, group: Value, row: Value) -> Value:
    """Address of a group's `row` among rows of all groups."""
    return Cat(group[: group_bits(parameters)], row)


def pass_layout(parameters: Parameters) -> data.StructLayout:
    """What to do in a pass."""
    return data.StructLayout(
        {
            "kind": bits_for(max(Kind)),
            "side": 1,  # the factor in hand: 0 activations, 1 errors
            "group": group_shape(parameters),
            "columns": parameters.columns,  # whose results count
            "in_group": 1,  # the pivot is in this group
            "pivot": column_shape(parameters),  # its column there
            "last_rank": 1,  # no rank follows the pivot
            "bank": 1,  # half of the block buffer
            "release": 1,  # that half is not needed after this pass
        }
    )


def step_layout(parameters: Parameters) -> data.StructLayout:
    """One step of the array and where its operands and results are."""
    p = parameters
    order = pass_layout(p).members
    rows = p.rows(p.max_dimension)
    return data.StructLayout(
        {
            "step": 1,
            "first": 1,
            "last": 1,
            "horner": 1,
            "begin": 1,  # of the first result of the pass
            "final": 1,  # the last step of the pass
            "left": Left,
            "right": Right,
            "scalar": ScalarSource,
            "target": Target,
            "subtract": 1,  # begins with the residual, raised; else it is new
            "dot": 1,  # dot products of Gram-Schmidt
            "commit": p.columns,  # columns whose residual words become the factor's
            "count": 1,  # count saturations of the words read in this step
            "release": 1,
            "bank": 1,
            "group": order["group"],
            "columns": p.columns,
            "in_group": 1,
            "pivot": order["pivot"],
            "last_rank": 1,
            "buffer": ceil_log2(2 * p.buffer_rows),
            "factor": bits_for(factor_bases(p)[2] - 1),
            "row": bits_for(rows - 1),
            "sample": ceil_log2(p.max_block) or 1,
            "digit": bits_for(p.history_digits - 1),
            "result": max(bits_for(rows - 1), ceil_log2(p.max_block), 1),
        }
    )


class PassEngine(wiring.Component):
    """Generates the steps of passes from their description and the layer's dimensions.

    A pass `order` is taken in a cycle with `start` and `ready`; from the next cycle on `out` holds
    a step a cycle until the one with `final`, in which the next pass can be taken: passes follow
    each other without a gap, but for `spacing`. Steps: PROJECT samples * rows(other), ACCUMULATE
    rows(own) * (history digits + samples), all others rows(own). Sizes must rest from the cycle
    before a pass is taken.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = p = parameters
        super().__init__(
            {
                "start": In(1),
                "ready": Out(1),
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
        order = Signal.like(self.order, reset_less=True)
        running = Signal()
        wait = Signal(range(spacing(p)))
        free = Signal(init=1)  # wait is 0
        outer, inner, outer_last, inner_last = (
            Signal(counts, name=name, reset_less=True)
            for name in ("outer", "inner", "outer_last", "inner_last")
        )
        outer_end = Signal()  # outer is at its last
        inner_end = Signal()
        buffer, buffer_origin = (
            Signal(range(2 * p.buffer_rows), name=name, reset_less=True)
            for name in ("buffer", "buffer_origin")
        )
        out = self.out
        new = self.order
        sample = Signal.like(out.sample)  # inner - digits, of an ACCUMULATE
        row = Signal(range(p.rows(p.max_dimension)))
        by_outer = Signal()  # a row has all of the inner steps, else each has a row
        past_history = Signal()  # inner >= digits

        inner_step = Signal(range(p.rows(p.max_n) + p.rows(p.max_m) + 1), reset_less=True)
        origin_step = Signal.like(inner_step)

        # What follows from the sizes alone
        stride = Signal.like(inner_step)
        last_n, last_m, last_sample = (
            Signal(counts, name=name, reset_less=True)
            for name in ("last_n", "last_m", "last_sample")
        )
        single_n, single_m, single_sample = (
            Signal(name=name) for name in ("single_n", "single_m", "single_sample")
        )
        m.d.sync += stride.eq(self.rows_n + self.rows_m)
        for size, last, single in (
            (self.rows_n, last_n, single_n),
            (self.rows_m, last_m, single_m),
            (self.samples, last_sample, single_sample),
        ):
            m.d.sync += [last.eq(size - 1), single.eq(size == 1)]
        own_last, other_last = Signal(counts), Signal(counts)
        own_single, other_single = Signal(), Signal()
        origin = Signal.like(buffer)
        m.d.comb += [
            own_last.eq(Mux(new.side, last_m, last_n)),
            own_single.eq(Mux(new.side, single_m, single_n)),
            other_last.eq(Mux(new.side, last_n, last_m)),
            other_single.eq(Mux(new.side, single_n, single_m)),
            # PROJECT reads the other side's rows, ACCUMULATE its own.
            origin.eq(
                Mux(new.bank, p.buffer_rows, 0)
                + Mux(new.side ^ (new.kind == Kind.PROJECT), self.rows_n, 0)
            ),
        ]

        final = running & inner_end & outer_end
        m.d.comb += self.ready.eq((~running | final) & free)
        with m.If(~free):
            m.d.sync += [wait.eq(wait - 1), free.eq(wait == 1)]
        with m.If(running):
            m.d.sync += [inner.eq(inner + 1), inner_end.eq(inner + 1 == inner_last)]
            with m.If((order.kind == Kind.PROJECT) | past_history):
                m.d.sync += buffer.eq(buffer + inner_step)
            with m.If(inner_end | ~by_outer):
                m.d.sync += row.eq(Mux(inner_end & ~by_outer, 0, row + 1))
            with m.If(inner_end):
                m.d.sync += [
                    inner.eq(0),
                    inner_end.eq(inner_last == 0),
                    outer.eq(outer + 1),
                    outer_end.eq(outer + 1 == outer_last),
                    buffer.eq(buffer_origin + origin_step),
                    buffer_origin.eq(buffer_origin + origin_step),
                ]
                with m.If(final):
                    m.d.sync += running.eq(0)
        with m.If(self.start & self.ready):
            m.d.sync += [
                order.eq(new),
                inner_step.eq(Mux(new.kind == Kind.PROJECT, 1, stride)),
                origin_step.eq(Mux(new.kind == Kind.PROJECT, stride, 1)),
                running.eq(1),
                wait.eq(spacing(p) - 1),
                free.eq(spacing(p) == 1),
                outer.eq(0),
                inner.eq(0),
                row.eq(0),
                by_outer.eq((new.kind == Kind.ACCUMULATE) | (new.kind == Kind.SUBTRACT)),
                outer_last.eq(0),
                outer_end.eq(1),
                inner_last.eq(own_last),
                inner_end.eq(own_single),
                buffer.eq(origin),
                buffer_origin.eq(origin),
            ]
            with m.Switch(new.kind):
                with m.Case(Kind.PROJECT):
                    m.d.sync += [outer_last.eq(last_sample), outer_end.eq(single_sample)]
                    m.d.sync += [inner_last.eq(other_last), inner_end.eq(other_single)]
                with m.Case(Kind.ACCUMULATE):
                    m.d.sync += [outer_last.eq(own_last), outer_end.eq(own_single)]
                    m.d.sync += [inner_last.eq(last_sample + digits), inner_end.eq(0)]
                with m.Case(Kind.SUBTRACT):
                    m.d.sync += [outer_last.eq(own_last), outer_end.eq(own_single)]
                    m.d.sync += [inner_last.eq(0), inner_end.eq(1)]

        x_base, delta_base, _ = factor_bases(p)
        base = Signal.like(out.factor)
        m.d.sync += [
            sample.eq(Mux(past_history, sample + 1, 0)),
            past_history.eq(running & ~inner_end & (inner + 1 >= digits)),
        ]
        m.d.comb += [
            base.eq(Mux(order.side, delta_base, x_base)),
            out.step.eq(running),
            out.first.eq(inner == 0),
            out.last.eq(inner_end),
            out.begin.eq(outer == 0),
            out.final.eq(final),
            out.group.eq(order.group),
            out.columns.eq(order.columns),
            out.in_group.eq(order.in_group),
            out.pivot.eq(order.pivot),
            out.last_rank.eq(order.last_rank),
            out.bank.eq(order.bank),
            out.release.eq(order.release & final),
            out.buffer.eq(buffer),
            out.row.eq(row),
            out.sample.eq(sample),
            out.factor.eq(base + row_address(p, order.group, row)),
            out.result.eq(outer),
            out.target.eq(Target.SCALARS),
        ]
        with m.Switch(order.kind):
            with m.Case(Kind.PROJECT):
                m.d.comb += [
                    base.eq(Mux(order.side, x_base, delta_base)),
                    out.left.eq(Left.BUFFER),
                    out.right.eq(Right.FACTOR),
                    out.target.eq(Target.PROJECTIONS),
                ]
            with m.Case(Kind.ACCUMULATE):
                m.d.comb += [
                    out.left.eq(Mux(past_history, Left.BUFFER, Left.FACTOR)),
                    out.right.eq(Right.SCALAR),
                    out.scalar.eq(Mux(past_history, ScalarSource.PROJECTION, ScalarSource.HISTORY)),
                    out.horner.eq((inner != 0) & ~past_history),
                    out.digit.eq(digits - 1 - inner),
                    out.count.eq(past_history & (outer == 0)),
                    out.target.eq(Target.RESIDUALS),
                ]
            with m.Case(Kind.DOT):
                # Activations need no overlap: a pivot becomes the factor's column at once.
                pivot = Mux(order.in_group & ~order.side, 1 << order.pivot, 0)
                m.d.comb += [
                    out.left.eq(Mux(order.in_group, Left.PIVOT_COLUMN, Left.PIVOT)),
                    out.right.eq(Right.RESIDUAL),
                    out.dot.eq(1),
                    out.count.eq(1),
                    out.commit.eq(pivot),
                ]
            with m.Case(Kind.SUBTRACT):
                m.d.comb += [
                    out.left.eq(Left.PIVOT),
                    out.right.eq(Right.SCALAR),
                    out.scalar.eq(ScalarSource.COEFFICIENT),
                    out.subtract.eq(1),
                    out.target.eq(Target.RESIDUALS),
                ]
            with m.Case(Kind.OVERLAP):
                m.d.comb += [
                    out.left.eq(Left.FACTOR),
                    out.right.eq(Right.RESIDUAL),
                    out.commit.eq(order.columns),
                ]
            with m.Case(Kind.NORM):
                m.d.comb += [out.left.eq(Left.FACTOR), out.right.eq(Right.FACTOR)]
        return m
