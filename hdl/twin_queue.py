"""The entrance of the crossbar's digital twin: slots from the lines into a queue."""

from amaranth import Module, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from golden_model.twin import TwinSpec
from hdl.twin_lane import lane_depth
from hdl.update import READY_LATENCY

QUEUE_DEPTH = 16
"""Slots that wait at most."""

ROOM = READY_LATENCY + 4
"""Room in the queue at which the twin is ready.

For the slots that may still come after `ready` falls, for three on their way from the pins to the
queue's level, and for the one that enters while `ready`, a register, has yet to fall.
"""


def slot_layout(spec: TwinSpec) -> data.StructLayout:
    """A slot: the tile's first address in a lane, and which lines fire with which polarity."""
    return data.StructLayout(
        {
            "base": range(lane_depth(spec)),
            "rows": spec.rows,
            "row_negative": spec.rows,
            "columns": spec.columns,
            "column_negative": spec.columns,
        }
    )


class SlotQueue(wiring.Component):
    """Takes slots from the pins of the line drivers and hands them on in their order.

    A slot is taken in its last cycle, that of `slot_last`, which may be its only one.

    Slots in which no row or no column fires change nothing and are dropped. So are a slot that
    drives a line with both polarities, which sets `line_fault`, and one for a tile outside the
    grid, which sets `tile_fault`. `ready` falls while the queue still takes the `READY_LATENCY`
    slots that a driver may send after it; a slot that comes all the same is lost and sets
    `overflow`. Only reset clears the three. `waiting` is high from the cycle after a slot's
    last until the queue is empty.
    """

    def __init__(self, spec: TwinSpec) -> None:
        self._spec = spec
        super().__init__(
            {
                "rows_positive": In(spec.rows),
                "rows_negative": In(spec.rows),
                "columns_positive": In(spec.columns),
                "columns_negative": In(spec.columns),
                "slot_valid": In(1),
                "slot_last": In(1, init=1),
                "tile_row": In(bits_for(spec.grid_rows - 1)),
                "tile_column": In(bits_for(spec.grid_columns - 1)),
                "ready": Out(1),
                "waiting": Out(1),
                "overflow": Out(1),
                "line_fault": Out(1),
                "tile_fault": Out(1),
                "slot": Out(stream.Signature(slot_layout(spec))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Two registers, for the lines and for what is wrong with them, and the queue."""
        m = Module()
        spec, layout = self._spec, slot_layout(self._spec)
        m.submodules.queue = queue = fifo.SyncFIFO(width=layout.size, depth=QUEUE_DEPTH)

        arrived = Signal()
        slot = Signal(layout)
        both = Signal()
        outside = Signal()
        tile = self.tile_row * spec.grid_columns + self.tile_column
        m.d.sync += [
            arrived.eq(self.slot_valid & self.slot_last),
            slot.base.eq(tile * (lane_depth(spec) // spec.tiles)),
            slot.rows.eq(self.rows_positive | self.rows_negative),
            slot.row_negative.eq(self.rows_negative),
            slot.columns.eq(self.columns_positive | self.columns_negative),
            slot.column_negative.eq(self.columns_negative),
            both.eq(
                (self.rows_positive & self.rows_negative).any()
                | (self.columns_positive & self.columns_negative).any()
            ),
            outside.eq((self.tile_row >= spec.grid_rows) | (self.tile_column >= spec.grid_columns)),
        ]
        taken = Signal()
        checked = Signal(layout)
        m.d.sync += [
            taken.eq(arrived & slot.rows.any() & slot.columns.any() & ~both & ~outside),
            checked.eq(slot),
            self.line_fault.eq(self.line_fault | (arrived & both)),
            self.tile_fault.eq(self.tile_fault | (arrived & outside)),
            self.overflow.eq(self.overflow | (taken & ~queue.w_rdy)),
            self.ready.eq(queue.level <= QUEUE_DEPTH - ROOM),
        ]
        m.d.comb += [
            queue.w_data.eq(checked),
            queue.w_en.eq(taken),
            self.slot.payload.eq(queue.r_data),
            self.slot.valid.eq(queue.r_rdy),
            queue.r_en.eq(self.slot.ready),
            self.waiting.eq(arrived | taken | queue.r_rdy),
        ]
        return m
