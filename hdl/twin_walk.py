"""The walk of the crossbar's digital twin over the cells that a slot pulses."""

from amaranth import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden_model.twin import TwinSpec
from hdl.twin_lane import lane_depth
from hdl.twin_queue import slot_layout


class RowWalk(wiring.Component):
    """Visits the rows that fire in a slot, lowest first, a group of neighbouring cells a cycle.

    `start` takes `slot`, in which at least one row fires. From the next cycle on `busy` is high for
    as many cycles as there are groups in all rows that fire. Two cycles after each of them, `valid`
    is high with the group's `address` in the lanes' memories; `pulse` tells for each lane whether
    its column fires, `upward` whether with the row's polarity. `start` must not be high while busy,
    nor in the two cycles after.
    """

    def __init__(self, spec: TwinSpec) -> None:
        self._spec = spec
        super().__init__(
            {
                "start": In(1),
                "slot": In(slot_layout(spec)),
                "busy": Out(1),
                "valid": Out(1),
                "address": Out(range(lane_depth(spec))),
                "pulse": Out(spec.cells_per_cycle),
                "upward": Out(spec.cells_per_cycle),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Rows still to visit; the lowest of them; its number and its group of columns."""
        m = Module()
        spec, lanes = self._spec, self._spec.cells_per_cycle
        groups = spec.columns // lanes
        walked = Signal(slot_layout(spec))
        pending = Signal(spec.rows)
        group = Signal(range(groups))
        lowest = Signal(spec.rows)
        m.d.comb += [
            self.busy.eq(pending.any()),
            lowest.eq(pending & (~pending + 1)),
        ]
        with m.If(self.start):
            m.d.sync += [walked.eq(self.slot), pending.eq(self.slot.rows), group.eq(0)]
        with m.Elif(self.busy):
            m.d.sync += group.eq(group + 1)
            with m.If(group == groups - 1):
                m.d.sync += [group.eq(0), pending.eq(pending ^ lowest)]

        row = Signal(spec.rows)
        row_group = Signal.like(group)
        number = Signal(range(spec.rows))
        for bit in range(len(number)):
            m.d.comb += number[bit].eq(Cat(row[r] for r in range(spec.rows) if r >> bit & 1).any())
        columns = data.ArrayLayout(lanes, groups)
        fires = data.View(columns, walked.columns)[row_group]
        negative = data.View(columns, walked.column_negative)[row_group]
        row_negative = (row & walked.row_negative).any()
        visited = Signal()
        m.d.sync += [
            visited.eq(self.busy),
            row.eq(lowest),
            row_group.eq(group),
            self.valid.eq(visited),
            self.address.eq(walked.base + number * groups + row_group),
            self.pulse.eq(fires),
            self.upward.eq(~(negative ^ row_negative.replicate(lanes))),
        ]
        return m
