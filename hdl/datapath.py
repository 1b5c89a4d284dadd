"""The datapath: memories, narrowers, the MAC array, and where its results go."""

from amaranth import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from golden_model.parameters import Parameters
from hdl import adder_tree, mac_array, magnitude, narrow
from hdl.passes import Kind, Left, PassEngine, Right, ScalarSource, Target, pass_layout
from hdl.scalar_unit import EXPONENT
from hdl.shapes import dot_products, factor_row, wide_row, word_row

FETCH_LATENCY = 2
"""Clock cycles from a fetch's address to its row."""

_READ = 2  # cycles from an address to a registered memory word
_OPERANDS = _READ + narrow.LATENCY  # from a step to its operands
_FACTOR_ADDRESS = _OPERANDS - _READ  # when factors and samples are addressed, to arrive with words
_RESULT = _OPERANDS + mac_array.LATENCY


def pass_latency(parameters: Parameters) -> int:
    """Cycles from a pass's `start` to `done`, beyond its steps."""
    return 1 + _RESULT + adder_tree.latency(parameters.lanes) + magnitude.LATENCY


class Datapath(wiring.Component):
    """Runs passes over the block buffer, the factor memory and the residual memory.

    `start` begins the pass `order`; `done` is high for one cycle when its results stand: the
    projections and their `magnitude`, the residuals with their exponents and `vanished`, or the
    `dots`. It takes the pass's steps plus `pass_latency` cycles.

    While no pass runs, `buffer_write` and `factor_write` fill the memories and `fetch_…` reads a
    row of a factor's column, `FETCH_LATENCY` cycles later.

    `exponent[c]` is the power of two that the words of residual column c have lost on their way;
    `saturations` counts the words that saturated in the cycle, `multiplying` is high in each cycle
    in which the array takes a step.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = p = parameters

        def each(shape: object) -> data.ArrayLayout:
            return data.ArrayLayout(shape, p.columns)

        self._word_bits = bits_for(narrow.shift_max(p.dot_bits, p.width))
        rows = range(p.rows(p.max_dimension))
        super().__init__(
            {
                "start": In(1),
                "order": In(pass_layout(p)),
                "done": Out(1),
                "rows_n": In(range(p.rows(p.max_n) + 1)),
                "rows_m": In(range(p.rows(p.max_m) + 1)),
                "samples": In(range(p.max_block + 1)),
                "buffer_write": In(1),
                "buffer_address": In(range(2 * p.buffer_rows)),
                "factor_write": In(1),
                "factor_delta": In(1),
                "factor_row": In(rows),
                "factor_column": In(range(max(2, p.columns))),
                "write_data": In(word_row(p)),
                "fetch_delta": In(1),
                "fetch_row": In(rows),
                "fetch_column": In(range(max(2, p.columns))),
                "fetch_data": Out(word_row(p)),
                "history": In(each(p.history_bits)),
                "projection_bits": In(each(self._word_bits)),
                "coefficient": In(each(signed(p.width))),
                "fraction_bits": In(each(range(p.width - 1))),
                "dots": Out(dot_products(p)),
                "magnitude": Out(each(bits_for(p.dot_bits))),
                "exponent": Out(each(EXPONENT)),
                "vanished": Out(p.columns),
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
        m.d.comb += [
            engine.start.eq(self.start),
            engine.order.eq(self.order),
            engine.rows_n.eq(self.rows_n),
            engine.rows_m.eq(self.rows_m),
            engine.samples.eq(self.samples),
        ]
        order = Signal.like(self.order)
        with m.If(self.start):
            m.d.sync += order.eq(self.order)

        # The pipeline of steps
        depth = _RESULT + adder_tree.latency(p.lanes) + magnitude.LATENCY + 1
        steps = [engine.out]
        for stage in range(1, depth + 1):
            step = Signal.like(engine.out, name=f"step_{stage}")
            m.d.sync += step.eq(steps[-1])
            steps.append(step)
        m.d.comb += [
            self.done.eq(steps[depth].step & steps[depth].final),
            self.multiplying.eq(steps[_OPERANDS].step),
        ]

        # Memories
        buffer = memory.Memory(shape=word_row(p), depth=2 * p.buffer_rows, init=[])
        factors = memory.Memory(
            shape=factor_row(p), depth=p.rows(p.max_n) + p.rows(p.max_m), init=[]
        )
        residuals = memory.Memory(shape=wide_row(p), depth=p.rows(p.max_dimension), init=[])
        projections = memory.Memory(shape=dot_products(p), depth=p.max_block, init=[])
        m.submodules.buffer, m.submodules.factors = buffer, factors
        m.submodules.residuals, m.submodules.projections = residuals, projections

        def registered(value: Value, name: str) -> Signal:
            register = Signal.like(value, name=name)
            m.d.sync += register.eq(value)
            return register

        buffer_write = buffer.write_port()
        m.d.comb += [
            buffer_write.en.eq(self.buffer_write),
            buffer_write.addr.eq(self.buffer_address),
            buffer_write.data.eq(self.write_data),
        ]
        buffer_read = buffer.read_port()
        m.d.comb += buffer_read.addr.eq(steps[_FACTOR_ADDRESS].buffer)
        sample_row = registered(buffer_read.data, "sample_row")

        delta_base = p.rows(p.max_n)
        fetch_address = Mux(self.fetch_delta, delta_base + self.fetch_row, self.fetch_row)
        factor_read = factors.read_port()
        m.d.comb += factor_read.addr.eq(
            Mux(steps[_FACTOR_ADDRESS].step, steps[_FACTOR_ADDRESS].factor, fetch_address)
        )
        own_factor = registered(factor_read.data, "own_factor")
        fetch_column = self.fetch_column
        for stage in range(FETCH_LATENCY):
            fetch_column = registered(fetch_column, f"fetch_column_{stage}")
        m.d.comb += self.fetch_data.eq(own_factor[fetch_column])

        # Residuals and projections, narrowed to words as they are read
        residual_bits = data.ArrayLayout(
            bits_for(narrow.shift_max(p.accumulator_bits, p.width)), p.columns
        )
        bits = Signal(residual_bits)
        residual_read = residuals.read_port()
        m.d.comb += residual_read.addr.eq(steps[0].row)
        wide = registered(residual_read.data, "wide")
        words = Signal(factor_row(p))
        word_saturated = Signal(data.ArrayLayout(p.lanes, p.columns))
        for c in columns:
            for lane in lanes:
                m.submodules[f"residual_narrower_{c}_{lane}"] = narrower = narrow.Narrower(
                    p.accumulator_bits, p.width
                )
                m.d.comb += [
                    narrower.value.eq(wide[c][lane]),
                    narrower.bits.eq(bits[c]),
                    words[c][lane].eq(narrower.word),
                    word_saturated[c][lane].eq(narrower.saturated),
                ]
        projection_read = projections.read_port()
        m.d.comb += projection_read.addr.eq(steps[0].sample)
        products = registered(projection_read.data, "products")
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

        # Operands
        step = steps[_OPERANDS]
        column_row = words[order.column]
        m.d.comb += [
            array.step.eq(step.step),
            array.first.eq(step.first),
            array.last.eq(step.last),
            array.horner.eq(step.horner),
        ]
        for c in columns:
            digits = [
                self.history[c][i * (p.width - 1) : (i + 1) * (p.width - 1)]
                for i in range(p.history_digits)
            ]
            multiplier = Signal(signed(p.width), name=f"multiplier_{c}")
            with m.Switch(step.scalar):
                with m.Case(ScalarSource.HISTORY):
                    m.d.comb += multiplier.eq(Array(digits)[step.digit])
                with m.Case(ScalarSource.PROJECTION):
                    m.d.comb += multiplier.eq(projection[c])
                with m.Case(ScalarSource.POWER):
                    m.d.comb += multiplier.eq(Const(1, p.width) << self.fraction_bits[c])
                with m.Case(ScalarSource.COEFFICIENT):
                    m.d.comb += multiplier.eq(self.coefficient[c])
            with m.Switch(step.left):
                for source, row in (
                    (Left.BUFFER, sample_row),
                    (Left.FACTOR, own_factor[c]),
                    (Left.RESIDUAL, words[c]),
                    (Left.RESIDUAL_COLUMN, column_row),
                ):
                    with m.Case(source):
                        m.d.comb += array.left[c].eq(row)
            with m.Switch(step.right):
                with m.Case(Right.FACTOR):
                    m.d.comb += array.right[c].eq(own_factor[c])
                with m.Case(Right.RESIDUAL):
                    m.d.comb += array.right[c].eq(words[c])
                with m.Default():
                    m.d.comb += [array.right[c][lane].eq(multiplier) for lane in lanes]

        # Words that become the factor, or that the loader writes
        factor_write = factors.write_port(granularity=1)
        with m.If(step.step & step.commit):
            m.d.comb += [
                factor_write.en.eq(~self.vanished),
                factor_write.addr.eq(step.factor),
                factor_write.data.eq(words),
            ]
        with m.Else():
            m.d.comb += [
                factor_write.en.eq(Mux(self.factor_write, Const(1) << self.factor_column, 0)),
                factor_write.addr.eq(
                    Mux(self.factor_delta, delta_base + self.factor_row, self.factor_row)
                ),
            ]
            m.d.comb += [factor_write.data[c].eq(self.write_data) for c in columns]

        # Saturations: of residuals when they are new, of projections when first read
        later = Cat(c >= order.column for c in columns)
        per_column = []
        for c in columns:
            flags = Mux(
                step.right == Right.RESIDUAL, word_saturated[c] & later[c].replicate(p.lanes), 0
            )
            count = Signal(range(p.lanes + 2), name=f"saturated_{c}")
            projection_flag = projection_saturated[c] & (step.scalar == ScalarSource.PROJECTION)
            m.d.sync += count.eq(Mux(step.step & step.count, sum(flags) + projection_flag, 0))
            per_column.append(count)
        m.d.sync += self.saturations.eq(sum(per_column))

        # Results that stay in their lanes
        result = steps[_RESULT]
        later_result = Cat((order.kind == Kind.ACCUMULATE) | (c > order.column) for c in columns)
        store = array.valid & (result.target == Target.RESIDUALS)
        residual_write = residuals.write_port(granularity=1)
        m.d.comb += [
            residual_write.en.eq(Mux(store, later_result, 0)),
            residual_write.addr.eq(result.result),
            residual_write.data.eq(array.result),
        ]
        settled = steps[_RESULT + magnitude.LATENCY]
        for c in columns:
            m.submodules[f"residual_tracker_{c}"] = tracker = magnitude.MagnitudeTracker(
                p.accumulator_bits, p.lanes
            )
            m.d.comb += [
                tracker.clear.eq(self.start),
                tracker.valid.eq(store),
                tracker.values.eq(array.result[c]),
            ]
            with m.If(
                settled.step
                & settled.final
                & (settled.target == Target.RESIDUALS)
                & later_result[c]
            ):
                lost = tracker.bits - (p.width - 1)
                m.d.sync += [
                    bits[c].eq(tracker.bits),
                    self.vanished[c].eq(~tracker.nonzero),
                    self.exponent[c].eq(
                        Mux(
                            order.kind == Kind.ACCUMULATE,
                            lost,
                            self.exponent[c] + lost - self.fraction_bits[c],
                        )
                    ),
                ]

        # Results summed over lanes
        lane_bits = (p.rows(p.max_dimension) << (2 * p.width - 2)).bit_length() + 1
        summed = steps[_RESULT + adder_tree.latency(p.lanes)]
        totals = Signal(dot_products(p))
        sums_valid = summed.step & summed.last
        for c in columns:
            m.submodules[f"tree_{c}"] = tree = adder_tree.AdderTree(lane_bits, p.lanes, p.dot_bits)
            m.d.comb += [tree.values[lane].eq(array.result[c][lane]) for lane in lanes]
            m.d.comb += totals[c].eq(tree.total)
            m.submodules[f"projection_tracker_{c}"] = tracker = magnitude.MagnitudeTracker(
                p.dot_bits, 1
            )
            m.d.comb += [
                tracker.clear.eq(self.start & (self.order.kind == Kind.PROJECT)),
                tracker.valid.eq(sums_valid & (summed.target == Target.PROJECTIONS)),
                tracker.values[0].eq(totals[c]),
                self.magnitude[c].eq(tracker.bits),
            ]
        projection_write = projections.write_port()
        m.d.comb += [
            projection_write.en.eq(sums_valid & (summed.target == Target.PROJECTIONS)),
            projection_write.addr.eq(summed.result),
            projection_write.data.eq(totals),
        ]
        with m.If(sums_valid & (summed.target == Target.DOTS)):
            m.d.sync += self.dots.eq(totals)
        return m
