"""The orthogonaliser: dot products become norms and coefficients between passes of Gram-Schmidt."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from golden_model.parameters import Parameters
from hdl import coefficients
from hdl.coefficients import CoefficientPipeline
from hdl.converter import Converter, tag_layout
from hdl.norm import NormUnit
from hdl.reset_less import registered, reset_less
from hdl.shapes import (
    SCALAR,
    column_bits,
    column_shape,
    dot_products,
    each_rank,
    group_bits,
    group_shape,
    rank_address,
)

READY_LEAD = 9
"""Cycles from `ready` to the first use of a coefficient: three until the pass that `ready` lets
begin takes its first step, six from a step to its operands."""

_SIGNED = data.StructLayout({"value": SCALAR, "negative": 1})


class Orthogonaliser(wiring.Component):
    """Norms and coefficients from the dot products of a group of ranks, taken at `start`.

    All `dots` from column `first` on become scalars, kept by rank until the group's next ones:
    `scalar` and `negative` are those at `read_group` and `read_column`. `converted` is high when
    the last of `last_group` is written, unless they are with a pivot.

    Of dot products with a pivot (`tag.gram`), the one with itself (column `first` of `tag.pivot`'s
    group) gives `square`, `root` and their reciprocal (`NormUnit`); `norm_done` announces them.
    Those with later ranks, up to `last_group` and `last_column`, give `coefficient` and
    `fraction_bits` by rank; `ready` tells that a pass over `ready_group` that begins in the next
    cycle may use them. The pivot's group comes first, then all later ones; those of the next pivot
    must not come before all are ready.

    `norm` computes the norm of the scalar at `norm_group` and `norm_column` instead, when idle.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = p = parameters
        super().__init__(
            {
                "start": In(1),
                "dots": In(dot_products(p)),
                "first": In(column_shape(p)),
                "tag": In(tag_layout(p)),
                "last_group": In(group_shape(p)),
                "last_column": In(column_shape(p)),
                "norm": In(1),
                "norm_group": In(group_shape(p)),
                "norm_column": In(column_shape(p)),
                "read_group": In(group_shape(p)),
                "read_column": In(column_shape(p)),
                "scalar": Out(SCALAR),
                "negative": Out(1),
                "converted": Out(1),
                "square": Out(SCALAR),
                "root": Out(SCALAR),
                "norm_done": Out(1),
                "coefficient": Out(each_rank(p, signed(p.width))),
                "fraction_bits": Out(each_rank(p, range(p.width - 1))),
                "ready": Out(1),
                "ready_group": Out(group_shape(p)),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Converter, memory of scalars, norm unit, coefficient pipeline, and what feeds it."""
        m = Module()
        p = self.parameters
        m.submodules.converter = converter = Converter(p)
        m.submodules.norm = norm = NormUnit()
        m.submodules.scalars = scalars = memory.Memory(
            shape=_SIGNED, depth=1 << (column_bits(p) + group_bits(p)), init=[]
        )
        write = scalars.write_port()
        read = scalars.read_port(domain="comb")
        normed = scalars.read_port(domain="comb")
        tag = converter.tag_out
        pivot = converter.valid & converter.begin & tag.pivot
        m.d.comb += [
            converter.start.eq(self.start),
            converter.dots.eq(self.dots),
            converter.first.eq(self.first),
            converter.tag.eq(self.tag),
            self.converted.eq(
                converter.valid
                & ~tag.gram
                & (tag.group == self.last_group)
                & (converter.column == p.columns - 1)
            ),
            write.en.eq(converter.valid),
            write.addr.eq(rank_address(p, tag.group, converter.column)),
            write.data.value.eq(converter.value),
            write.data.negative.eq(converter.negative),
            read.addr.eq(rank_address(p, self.read_group, self.read_column)),
            self.scalar.eq(read.data.value),
            self.negative.eq(read.data.negative),
            norm.start.eq(pivot | self.norm),
            normed.addr.eq(rank_address(p, self.norm_group, self.norm_column)),
            norm.square.eq(Mux(self.norm, normed.data.value, converter.value)),
            self.square.eq(norm.kept),
            self.root.eq(norm.root),
            self.norm_done.eq(norm.done),
        ]
        group, column, feeding = self._feed(m, converter, norm, pivot)

        m.submodules.coefficients = pipeline = CoefficientPipeline(p)
        feed = scalars.read_port(domain="comb")
        m.d.comb += [
            feed.addr.eq(rank_address(p, group, column)),
            pipeline.reciprocal.eq(norm.reciprocal),
            pipeline.dot.eq(registered(m, feed.data.value, "dot")),
            pipeline.negative.eq(registered(m, feed.data.negative, "negative")),
        ]
        fed = Signal(1 + coefficients.LATENCY)
        m.d.sync += fed.eq(Cat(feeding, fed))
        group, column = (
            registered(m, value, name, len(fed))
            for name, value in (("fed_group", group), ("fed_column", column))
        )
        held_coefficient = reset_less(m, self.coefficient)
        held_fraction_bits = reset_less(m, self.fraction_bits)
        with m.If(fed[-1]):
            m.d.comb += self.saturated.eq(pipeline.saturated)
            m.d.sync += [
                held_coefficient[group][column].eq(pipeline.coefficient),
                held_fraction_bits[group][column].eq(pipeline.fraction_bits),
            ]
        return m

    def _feed(
        self, m: Module, converter: Converter, norm: NormUnit, pivot: object
    ) -> tuple[Signal, Signal, Signal]:
        """Which rank's dot product enters the coefficient pipeline, if any does.

        Group after group, each as soon as the norm and the group's first scalar are there: the
        others follow as fast as they are fed.
        """
        p = self.parameters
        tag = converter.tag_out
        group, column = Signal(group_shape(p)), Signal(column_shape(p))
        armed, normed, told = Signal(), Signal(), Signal()
        begun = Signal(p.groups(p.max_rank))
        feeding = Signal()
        last = Signal.like(column)
        m.d.comb += [
            last.eq(Mux(group == self.last_group, self.last_column, p.columns - 1)),
            feeding.eq(armed & (normed | norm.nearly) & begun.bit_select(group, 1)),
            self.ready_group.eq(group),
        ]
        with m.If(norm.nearly):
            m.d.sync += normed.eq(1)
        with m.If(feeding):
            soon = last - column + coefficients.LATENCY + 2 <= READY_LEAD
            m.d.comb += self.ready.eq(soon & ~told)
            m.d.sync += [column.eq(column + 1), told.eq(told | soon)]
            with m.If(column == last):
                m.d.sync += [group.eq(group + 1), column.eq(0), told.eq(0)]
                m.d.sync += armed.eq(group != self.last_group)
        with m.If(converter.valid & converter.begin & tag.gram):
            m.d.sync += begun.bit_select(tag.group, 1).eq(1)
        with m.If(pivot):
            m.d.sync += [
                begun.eq(1 << tag.group),
                normed.eq(0),
                armed.eq(~tag.last),
                group.eq(tag.group),
                column.eq(converter.column + 1),
            ]
            with m.If(converter.column == p.columns - 1):
                m.d.sync += [group.eq(tag.group + 1), column.eq(0)]
        return group, column, feeding
