"""The datapath: memories, narrowers, the MAC array, and where its results go."""

from amaranth import Array, Const, Module, Mux, Signal, Value, ValueLike, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from golden_model.parameters import Parameters
from hdl import adder_tree, mac_array, magnitude, narrow
from hdl.converter import tag_layout
from hdl.passes import (
    Left,
    PassEngine,
    Right,
    ScalarSource,
    Target,
    factor_bases,
    pass_layout,
    row_address,
)
from hdl.reset_less import registered, reset_less
from hdl.rounding import EXPONENT
from hdl.shapes import (
    column_shape,
    dot_products,
    each_column,
    each_rank,
    factor_row,
    group_bits,
    group_shape,
    split_rank,
    wide_row,
    word_row,
)

FETCH_LATENCY = 4
"""Clock cycles from a fetch's address to its row."""

_READ = 2  # cycles from an address to a registered memory word
_OPERANDS = _READ + narrow.LATENCY  # from a step to its operands
_FACTOR_ADDRESS = _OPERANDS - _READ  # when factors and samples are addressed, to arrive with words
_RESULT = _OPERANDS + mac_array.LATENCY


def settled_stage(parameters: Parameters) -> int:
    """Cycles from a step whose results are residuals to `settled`."""
    return _RESULT + magnitude.LATENCY - 3


def projected_stage(parameters: Parameters) -> int:
    """Cycles from a step of PROJECT to `projected`."""
    return _RESULT + adder_tree.latency(parameters.lanes) + magnitude.LATENCY - 1


def dots_stage(parameters: Parameters) -> int:
    """Cycles from a step of dot products to `dots_valid`."""
    return _RESULT + adder_tree.latency(parameters.lanes)


def _chosen(*choices: tuple[ValueLike, ValueLike]) -> Value:
    """The value whose flag is set, as unsigned bits; zero if none is."""
    chosen = Const(0, 0)
    for flag, value in choices:
        bits = Value.cast(value).as_unsigned()
        chosen = chosen | (bits & Value.cast(flag).replicate(len(bits)))
    return chosen


class Datapath(wiring.Component):
    """Runs passes over the block buffer, the factor memory and the residual memory.

    A pass `order` is taken in a cycle with `start` and `ready`; passes follow each other without
    a gap, so whoever starts one sees to it that what it needs stands in time. Of a pass's results

    - residuals: `settled` tells that a pass over `settled_group` that begins in the next cycle may
      read them; their `exponent` (the power of two that a residual's words have lost on their way)
      and `vanished` stand 5 cycles later, by rank;
    - projections: their `magnitude` stands 2 cycles after `projected`;
    - `dots` with their `dots_tag` and the first column that counts are there with `dots_valid`.

    `release` pulses for a half of the buffer that has been read for the last time.
    `buffer_write` fills the half that no pass reads. While no pass runs, `factor_write` fills the
    factor memory, and `fetch_…` reads a row of a rank's column, `FETCH_LATENCY` cycles later.

    `saturations` counts the words that saturated some cycles before, `multiplying` is high in each
    cycle in which the array takes a step.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = p = parameters
        self._word_bits = bits_for(narrow.shift_max(p.dot_bits, p.width))
        rows = range(p.rows(p.max_dimension))
        super().__init__(
            {
                "start": In(1),
                "ready": Out(1),
                "order": In(pass_layout(p)),
                "rows_n": In(range(p.rows(p.max_n) + 1)),
                "rows_m": In(range(p.rows(p.max_m) + 1)),
                "samples": In(range(p.max_block + 1)),
                "release": Out(2),
                "buffer_write": In(1),
                "buffer_address": In(range(2 * p.buffer_rows)),
                "factor_write": In(1),
                "factor_delta": In(1),
                "factor_row": In(rows),
                "factor_column": In(range(max(2, p.max_rank))),
                "write_data": In(word_row(p)),
                "fetch_delta": In(1),
                "fetch_row": In(rows),
                "fetch_column": In(range(max(2, p.max_rank))),
                "fetch_data": Out(word_row(p)),
                "history": In(each_column(p, p.history_bits)),
                "projection_bits": In(each_column(p, self._word_bits)),
                "coefficient": In(each_rank(p, signed(p.width))),
                "fraction_bits": In(each_rank(p, range(p.width - 1))),
                "settled": Out(1),
                "settled_group": Out(group_shape(p)),
                "exponent": Out(each_rank(p, EXPONENT)),
                "vanished": Out(each_rank(p, 1)),
                "projected": Out(1),
                "magnitude": Out(each_column(p, bits_for(p.dot_bits))),
                "dots_valid": Out(1),
                "dots": Out(dot_products(p)),
                "dots_first": Out(column_shape(p)),
                "dots_tag": Out(tag_layout(p)),
                "saturations": Out(range(p.columns * (p.lanes + 1) + 1)),
                "multiplying": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Steps enter a pipeline; each part of the datapath taps it at its own depth."""
        m = Module()
        p = self.parameters
        columns, lanes = range(p.columns), range(p.lanes)
        m.submodules.engine = engine = PassEngine(p)
        m.submodules.array = array = mac_array.MacArray(p)
        # An order waits in a register for the engine.
        ordered = Signal()
        order = Signal.like(self.order, reset_less=True)
        m.d.comb += self.ready.eq(~ordered)
        with m.If(~ordered):
            m.d.sync += [ordered.eq(self.start), order.eq(self.order)]
        with m.Elif(engine.ready):
            m.d.sync += ordered.eq(0)
        m.d.comb += [
            engine.start.eq(ordered),
            engine.order.eq(order),
            engine.rows_n.eq(self.rows_n),
            engine.rows_m.eq(self.rows_m),
            engine.samples.eq(self.samples),
        ]

        # The pipeline of steps
        depth = _RESULT + adder_tree.latency(p.lanes) + magnitude.LATENCY + 1
        steps = [engine.out]
        for stage in range(1, depth + 1):
            step = Signal.like(engine.out, name=f"step_{stage}")
            held = Signal.like(engine.out, name=f"held_{stage}", reset_less=True)
            taken = Signal(name=f"taken_{stage}")
            m.d.sync += [held.eq(steps[-1]), taken.eq(steps[-1].step)]
            m.d.comb += [step.eq(held), step.step.eq(taken)]
            steps.append(step)
        released = steps[_OPERANDS]
        m.d.comb += [
            self.multiplying.eq(steps[_OPERANDS].step),
            self.release.eq(Mux(released.step & released.release, 1 << released.bank, 0)),
        ]

        # Memories
        factors_base, delta_base, factors_depth = factor_bases(p)
        rows_of_groups = p.rows(p.max_dimension) << group_bits(p)
        buffer = memory.Memory(shape=word_row(p), depth=2 * p.buffer_rows, init=[])
        factors = memory.Memory(shape=factor_row(p), depth=factors_depth, init=[])
        residuals = memory.Memory(shape=wide_row(p), depth=rows_of_groups, init=[])
        pivots = memory.Memory(shape=word_row(p), depth=p.rows(p.max_dimension), init=[])
        projections = memory.Memory(shape=dot_products(p), depth=p.max_block, init=[])
        m.submodules.buffer, m.submodules.factors = buffer, factors
        m.submodules.residuals, m.submodules.projections = residuals, projections
        m.submodules.pivots = pivots

        buffer_write = buffer.write_port()
        m.d.comb += [
            buffer_write.en.eq(self.buffer_write),
            buffer_write.addr.eq(self.buffer_address),
            buffer_write.data.eq(self.write_data),
        ]
        buffer_read = buffer.read_port()
        m.d.comb += buffer_read.addr.eq(steps[_FACTOR_ADDRESS].buffer)
        sample_row = registered(m, buffer_read.data, "sample_row")

        fetch_group, fetch_column = split_rank(m, p, self.fetch_column, "fetch")
        fetch_base = Mux(self.fetch_delta, delta_base, factors_base)
        coming = steps[_FACTOR_ADDRESS - 1]
        factor_address = Signal(range(factors_depth), reset_less=True)
        m.d.sync += factor_address.eq(
            Mux(
                coming.step,
                coming.factor,
                fetch_base + row_address(p, fetch_group, self.fetch_row),
            )
        )
        factor_read = factors.read_port()
        m.d.comb += factor_read.addr.eq(factor_address)
        own_factor = registered(m, factor_read.data, "own_factor")
        fetch_column = registered(m, fetch_column, "fetch_column", FETCH_LATENCY - 1)
        fetch_data = reset_less(m, self.fetch_data)
        m.d.sync += fetch_data.eq(own_factor[fetch_column])

        # Residuals and projections, narrowed to words as they are read
        residual_bits = bits_for(narrow.shift_max(p.accumulator_bits, p.width))
        bits = Signal(each_rank(p, residual_bits), reset_less=True)
        bits_read = Signal.like(bits[0], name="bits_read", reset_less=True)  # of the group read
        m.d.sync += bits_read.eq(bits[steps[_READ - 1].group])
        residual_read = residuals.read_port()
        m.d.comb += residual_read.addr.eq(row_address(p, steps[0].group, steps[0].row))
        wide = registered(m, residual_read.data, "wide")
        words = Signal(factor_row(p))
        word_saturated = Signal(data.ArrayLayout(p.lanes, p.columns))
        for c in columns:
            for lane in lanes:
                m.submodules[f"residual_narrower_{c}_{lane}"] = narrower = narrow.Narrower(
                    p.accumulator_bits, p.width
                )
                m.d.comb += [
                    narrower.value.eq(wide[c][lane]),
                    narrower.bits.eq(bits_read[c]),
                    words[c][lane].eq(narrower.word),
                    word_saturated[c][lane].eq(narrower.saturated),
                ]
        projection_read = projections.read_port()
        m.d.comb += projection_read.addr.eq(steps[0].sample)
        products = registered(m, projection_read.data, "products")
        projection = Signal(data.ArrayLayout(signed(p.width), p.columns))
        projection_saturated = Signal(p.columns)
        for c in columns:
            m.submodules[f"projection_narrower_{c}"] = narrower = narrow.Narrower(
                p.dot_bits, p.width
            )
            m.d.comb += [
                narrower.value.eq(products[c]),
                narrower.bits.eq(self.projection_bits[c]),
                projection[c].eq(narrower.word),
                projection_saturated[c].eq(narrower.saturated),
            ]

        # Operands: a flag a source, decided in the cycle before. The pivot of Gram-Schmidt is kept
        # for the groups and the subtractions that follow.
        step, ahead = steps[_OPERANDS], steps[_OPERANDS - 1]
        from_buffer, from_factor, from_pivot, from_pivots = (
            registered(m, ahead.left == source, "left")
            for source in (Left.BUFFER, Left.FACTOR, Left.PIVOT_COLUMN, Left.PIVOT)
        )
        by_words = registered(m, ahead.right == Right.RESIDUAL, "by_words")
        by_scalar = registered(m, ahead.right == Right.SCALAR, "by_scalar")
        by_history, by_projection, by_coefficient = (
            registered(m, ahead.scalar == source, "scalar")
            for source in (
                ScalarSource.HISTORY,
                ScalarSource.PROJECTION,
                ScalarSource.COEFFICIENT,
            )
        )
        pivot_row = words[step.pivot]
        pivot_write = pivots.write_port()
        pivot_read = pivots.read_port()
        m.d.sync += pivot_write.en.eq(step.step & from_pivot)
        m.d.comb += [
            pivot_write.addr.eq(registered(m, step.row, "pivot_address")),
            pivot_write.data.eq(registered(m, pivot_row, "pivot_data")),
        ]
        m.d.comb += pivot_read.addr.eq(steps[_FACTOR_ADDRESS].row)
        kept_pivot_row = registered(m, pivot_read.data, "kept_pivot_row")
        m.d.comb += [
            array.step.eq(step.step),
            array.first.eq(step.first),
            array.last.eq(step.last),
            array.horner.eq(step.horner),
            array.raised.eq(step.subtract),
            array.begin.eq(words),
            array.raise_by.eq(self.fraction_bits[step.group]),
            array.by_row.eq(~from_factor),
            array.by_scalar.eq(by_scalar),
            array.row.eq(
                _chosen(
                    (from_buffer, sample_row),
                    (from_pivot, pivot_row),
                    (from_pivots, kept_pivot_row),
                )
            ),
        ]
        for c in columns:
            digits = [
                self.history[c][i * (p.width - 1) : (i + 1) * (p.width - 1)]
                for i in range(p.history_digits)
            ]
            m.d.comb += [
                array.left[c].eq(own_factor[c]),
                array.right[c].eq(Mux(by_words, words[c], own_factor[c])),
                array.scalar[c].eq(
                    _chosen(
                        (by_history, Array(digits)[step.digit]),
                        (by_projection, projection[c]),
                        (by_coefficient, self.coefficient[step.group][c]),
                    )
                ),
            ]

        # Words that become the factor, or that the loader writes
        load_group, load_column = split_rank(m, p, self.factor_column, "load")
        load_base = Mux(self.factor_delta, delta_base, factors_base)
        factor_write = factors.write_port(granularity=1)
        writes = Signal(p.columns, name="factor_writes")
        written_address = Signal(range(factors_depth), reset_less=True)
        written_row = Signal(factor_row(p), reset_less=True)
        m.d.comb += [
            factor_write.en.eq(writes),
            factor_write.addr.eq(written_address),
            factor_write.data.eq(written_row),
        ]
        with m.If(registered(m, ahead.step & ahead.commit.any(), "committing")):
            m.d.sync += [
                writes.eq(step.commit & ~Value.cast(self.vanished[step.group])),
                written_address.eq(step.factor),
                written_row.eq(words),
            ]
        with m.Else():
            m.d.sync += [
                writes.eq(Mux(self.factor_write, Const(1) << load_column, 0)),
                written_address.eq(load_base + row_address(p, load_group, self.factor_row)),
                *(written_row[c].eq(self.write_data) for c in columns),
            ]

        # Saturations: of residuals when they are new, of projections when first read
        per_column = []
        for c in columns:
            flags = Signal(p.lanes + 1, name=f"saturated_{c}", reset_less=True)
            count = Signal(range(p.lanes + 2), name=f"saturations_{c}", reset_less=True)
            counted = registered(m, ahead.step & ahead.count & ahead.columns[c], f"counted_{c}")
            m.d.sync += [
                flags.eq(
                    _chosen(
                        (counted & by_words, word_saturated[c]),
                        (
                            counted & by_projection,
                            projection_saturated[c] << p.lanes,
                        ),
                    )
                ),
                count.eq(sum(flags)),
            ]
            per_column.append(count)
        m.d.sync += self.saturations.eq(sum(per_column))

        # Results that stay in their lanes
        result, ahead = steps[_RESULT], steps[_RESULT - 1]
        storing = ahead.step & ahead.last & (ahead.target == Target.RESIDUALS)
        store = registered(m, storing, "store")
        residual_write = residuals.write_port(granularity=1)
        m.d.sync += residual_write.en.eq(Mux(storing, ahead.columns, 0))
        m.d.comb += [
            residual_write.addr.eq(
                registered(m, row_address(p, ahead.group, ahead.result), "residual_address")
            ),
            residual_write.data.eq(array.result),
        ]
        ending = steps[settled_stage(p)]

        def residuals_end(step: data.View) -> Value:
            return step.step & step.final & (step.target == Target.RESIDUALS)

        m.d.comb += [
            self.settled.eq(residuals_end(ending)),
            self.settled_group.eq(ending.group),
        ]
        before, settled = steps[_RESULT + magnitude.LATENCY - 1 :][:2]
        exponent, vanished = reset_less(m, self.exponent), reset_less(m, self.vanished)
        for c in columns:
            m.submodules[f"residual_tracker_{c}"] = tracker = magnitude.MagnitudeTracker(
                p.accumulator_bits, p.lanes
            )
            lost = Signal(EXPONENT, name=f"lost_{c}", reset_less=True)
            m.d.comb += [
                tracker.valid.eq(store),
                tracker.first.eq(result.begin),
                tracker.values.eq(array.result[c]),
            ]
            raised = Signal(EXPONENT, name=f"raised_{c}", reset_less=True)
            m.d.sync += [
                lost.eq(tracker.bits - (p.width - 1)),
                raised.eq(
                    Mux(
                        settled.subtract,
                        self.exponent[settled.group][c] - self.fraction_bits[settled.group][c],
                        0,
                    )
                ),
            ]
            for group in range(len(bits)):
                new = registered(
                    m, residuals_end(before) & before.columns[c] & (before.group == group), "new"
                )
                with m.If(new):
                    m.d.sync += [
                        bits[group][c].eq(tracker.bits),
                        vanished[group][c].eq(~tracker.nonzero),
                    ]
                with m.If(registered(m, new, "new_exponent")):
                    m.d.sync += exponent[group][c].eq(raised + lost)

        # Results summed over lanes
        lane_bits = (p.rows(p.max_dimension) << (2 * p.width - 2)).bit_length() + 1
        summed = steps[dots_stage(p)]
        sums_valid = summed.step & summed.last
        for c in columns:
            m.submodules[f"tree_{c}"] = tree = adder_tree.AdderTree(lane_bits, p.lanes, p.dot_bits)
            m.d.comb += [tree.values[lane].eq(array.result[c][lane]) for lane in lanes]
            m.d.comb += self.dots[c].eq(tree.total)
            m.submodules[f"projection_tracker_{c}"] = tracker = magnitude.MagnitudeTracker(
                p.dot_bits, 1
            )
            m.d.comb += [
                tracker.valid.eq(sums_valid & (summed.target == Target.PROJECTIONS)),
                tracker.first.eq(summed.begin),
                tracker.values[0].eq(self.dots[c]),
            ]
            m.d.comb += self.magnitude[c].eq(registered(m, tracker.bits, f"magnitude_{c}"))
        projection_write = projections.write_port()
        ending = steps[projected_stage(p)]
        m.d.comb += [
            projection_write.en.eq(sums_valid & (summed.target == Target.PROJECTIONS)),
            projection_write.addr.eq(summed.result),
            projection_write.data.eq(self.dots),
            self.projected.eq(ending.step & ending.final & (ending.target == Target.PROJECTIONS)),
            self.dots_valid.eq(sums_valid & (summed.target == Target.SCALARS)),
            self.dots_first.eq(Mux(self.dots_tag.pivot, summed.pivot, 0)),
            self.dots_tag.group.eq(summed.group),
            self.dots_tag.gram.eq(summed.dot),
            self.dots_tag.pivot.eq(summed.dot & summed.in_group),
            self.dots_tag.last.eq(summed.last_rank),
        ]
        return m
