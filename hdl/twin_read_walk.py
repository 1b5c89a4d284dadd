"""The walk of the crossbar's digital twin over the cells that a read sums."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, ceil_log2

from golden_model.twin import TwinSpec
from hdl.twin_drive import drive_lines
from hdl.twin_lane import lane_depth


def groups(spec: TwinSpec) -> int:
    """Groups of neighbouring cells in a row."""
    return spec.columns // spec.cells_per_cycle


def beats_per_group(spec: TwinSpec) -> int:
    """Clock cycles for which the ADCs are busy with the sums of a group's columns."""
    return max(1, spec.cells_per_cycle // spec.adcs)


def walk_units(spec: TwinSpec) -> int:
    """Most driven units of a tile: rows, or groups of columns."""
    return max(spec.rows, groups(spec))


def visit_layout(spec: TwinSpec) -> data.StructLayout:
    """What a step of the walk does."""
    return data.StructLayout(
        {
            "visits": 1,  # a group of cells
            "unit": range(walk_units(spec)),  # row, or group of columns, by which it is driven
            "ends": 1,  # the last step of a sensed unit: its sums are complete
            "closes": 1,  # the last step of all
        }
    )


class ReadWalk(wiring.Component):
    """Visits the cells of driven and sensed lines, a group of neighbours in a row a cycle.

    A forward read sums each group of columns over the driven rows, a transposed one each row over
    the groups with a driven column; the walk takes the sensed units one after another, and in each
    the driven ones, lowest first. A sensed unit takes a cycle for each of the driven ones, at least
    one, and of a forward read at least `beats_per_group`, for the ADCs.

    `start` takes `transposed`, `sensed` lines (at least one), `driven`, a bit for each line that is
    driven, and `base`, all of which but `driven` rest until the last visit. From the next cycle on
    `busy` is high for as many cycles as there are steps. Two cycles after each of them, `visit`
    tells what it does, and `address` which group of cells it visits in the lanes' memories;
    otherwise `visits`, `ends` and `closes` are low. `start` must not be high while busy.
    """

    def __init__(self, spec: TwinSpec) -> None:
        self._spec = spec
        super().__init__(
            {
                "start": In(1),
                "transposed": In(1),
                "sensed": In(bits_for(drive_lines(spec))),
                "driven": In(drive_lines(spec)),
                "base": In(range(lane_depth(spec))),
                "busy": Out(1),
                "visit": Out(visit_layout(spec)),
                "address": Out(range(lane_depth(spec))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Driven units still to visit; the lowest of them; its number and its address."""
        m = Module()
        spec, lanes = self._spec, self._spec.cells_per_cycle
        units, beats = walk_units(spec), beats_per_group(spec)
        driven_groups = Cat(
            self.driven[lanes * group : lanes * (group + 1)].any() for group in range(groups(spec))
        )
        driven_units = Signal(units)
        m.d.comb += driven_units.eq(Mux(self.transposed, driven_groups, self.driven[: spec.rows]))

        all_units = Signal(units)
        pending = Signal(units)
        lowest = Signal(units)
        # All but the lowest of them, in registers of their own: whether there are more is known
        # without waiting for a carry.
        all_but_lowest = Signal(units)
        rest = Signal(units)
        sensed_unit = Signal(range(units))
        spent = Signal(range(beats))
        last_line = (self.sensed - 1)[: len(self.sensed)]
        last_unit = Mux(self.transposed, last_line, last_line >> ceil_log2(lanes))
        ends = Signal()
        closes = Signal()
        m.d.comb += [
            lowest.eq(pending ^ rest),
            ends.eq(~rest.any() & (self.transposed | (spent == beats - 1))),
            closes.eq(ends & (sensed_unit == last_unit)),
        ]
        with m.If(self.start):
            m.d.sync += [
                self.busy.eq(1),
                all_units.eq(driven_units),
                all_but_lowest.eq(driven_units & (driven_units - 1)),
                pending.eq(driven_units),
                rest.eq(driven_units & (driven_units - 1)),
                sensed_unit.eq(0),
                spent.eq(0),
            ]
        with m.Elif(self.busy):
            m.d.sync += [pending.eq(rest), rest.eq(rest & (rest - 1))]
            with m.If(spent != beats - 1):
                m.d.sync += spent.eq(spent + 1)
            with m.If(ends):
                m.d.sync += [
                    pending.eq(all_units),
                    rest.eq(all_but_lowest),
                    sensed_unit.eq(sensed_unit + 1),
                    spent.eq(0),
                    self.busy.eq(~closes),
                ]

        step = Signal(visit_layout(spec))
        unit = Signal(units)
        other = Signal.like(sensed_unit)
        number = Signal(range(units))
        for bit in range(len(number)):
            with_bit = sum(1 << u for u in range(units) if u >> bit & 1)
            m.d.comb += number[bit].eq((unit & with_bit).any())
        row, group = Mux(self.transposed, other, number), Mux(self.transposed, number, other)
        m.d.sync += [
            step.visits.eq(self.busy & pending.any()),
            step.ends.eq(self.busy & ends),
            step.closes.eq(self.busy & closes),
            unit.eq(lowest),
            other.eq(sensed_unit),
            self.visit.eq(step),
            self.visit.unit.eq(number),
            self.address.eq(self.base + row * groups(spec) + group),
        ]
        return m
