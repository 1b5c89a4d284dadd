"""The integrators of the crossbar's digital twin: for how long a read drives each line."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from golden_model.twin import TwinSpec
from hdl.twin_lane import lane_depth


def drive_lines(spec: TwinSpec) -> int:
    """Lines of the side that has more of them."""
    return max(spec.rows, spec.columns)


def drive_layout(spec: TwinSpec) -> data.ArrayLayout:
    """The signed drive of each line of a side, from line 0."""
    return data.ArrayLayout(signed(spec.dac_bits), drive_lines(spec))


class DriveCounter(wiring.Component):
    """Counts the slots for which a read drives each line of a side, signed, until `convert`.

    In a cycle of `read_valid` the lines of the driven side, the columns if `read_transposed` and
    else the rows, count up or down by their polarity; the first such cycle after `convert` begins
    afresh. `convert` comes with the last of them. From the next cycle on `converting` is high, and
    `drive`, `base` (the tile's first address in a lane), `transposed` and `sensed` (limited to the
    lines there are) rest, until the cycle after `done`. With `sensed` = 0 nothing is converted: so
    a drive that was broken off is thrown away.

    What is wrong stays told until reset. `line_fault`: both polarities of a line, which count for
    nothing, or a driven line on the sensed side. `tile_fault`: a tile outside the grid, of which
    all drives count as 0. `read_fault`: a read while `converting`, which is ignored, or together
    with `slot_valid`; a slot while `converting`; a drive longer than `TwinSpec.longest_drive`, of
    which the slots that follow are ignored; or more `sensed` lines than there are.
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
                "tile_row": In(bits_for(spec.grid_rows - 1)),
                "tile_column": In(bits_for(spec.grid_columns - 1)),
                "read_valid": In(1),
                "read_transposed": In(1),
                "convert": In(1),
                "sensed_lines": In(bits_for(drive_lines(spec))),
                "done": In(1),
                "converting": Out(1),
                "drive": Out(drive_layout(spec)),
                "base": Out(range(lane_depth(spec))),
                "transposed": Out(1),
                "sensed": Out(bits_for(drive_lines(spec))),
                "line_fault": Out(1),
                "tile_fault": Out(1),
                "read_fault": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Counters; the conversion's settings; faults."""
        m = Module()
        spec = self._spec
        fresh = Signal(init=1)
        slots = Signal(range(spec.longest_drive + 1))
        taken = self.read_valid & ~self.converting
        converts = taken & self.convert
        too_long = ~fresh & (slots == spec.longest_drive)
        outside = (self.tile_row >= spec.grid_rows) | (self.tile_column >= spec.grid_columns)

        positive = Signal(drive_lines(spec))
        negative = Signal(drive_lines(spec))
        m.d.comb += [
            positive.eq(Mux(self.read_transposed, self.columns_positive, self.rows_positive)),
            negative.eq(Mux(self.read_transposed, self.columns_negative, self.rows_negative)),
        ]
        with m.If(taken):
            m.d.sync += fresh.eq(self.convert)
            with m.If(~too_long):
                m.d.sync += slots.eq(Mux(fresh, 0, slots) + 1)
            for line in range(drive_lines(spec)):
                count = Mux(fresh, 0, self.drive[line])
                with m.If(outside):
                    m.d.sync += self.drive[line].eq(0)
                with m.Elif(~too_long):
                    m.d.sync += self.drive[line].eq(count + positive[line] - negative[line])

        lines = Mux(self.read_transposed, spec.rows, spec.columns)
        too_many = self.sensed_lines > lines
        tile = self.tile_row * spec.grid_columns + self.tile_column
        with m.If(self.done):
            m.d.sync += self.converting.eq(0)
        with m.If(converts):
            m.d.sync += [
                self.converting.eq(self.sensed_lines != 0),
                self.base.eq(Mux(outside, 0, tile * (lane_depth(spec) // spec.tiles))),
                self.transposed.eq(self.read_transposed),
                self.sensed.eq(Mux(too_many, lines, self.sensed_lines)),
            ]

        both = (self.rows_positive & self.rows_negative).any() | (
            self.columns_positive & self.columns_negative
        ).any()
        rows_driven = (self.rows_positive | self.rows_negative).any()
        columns_driven = (self.columns_positive | self.columns_negative).any()
        sensed_driven = Mux(self.read_transposed, rows_driven, columns_driven)
        m.d.sync += [
            self.line_fault.eq(self.line_fault | (taken & (both | sensed_driven))),
            self.tile_fault.eq(self.tile_fault | (taken & outside)),
            self.read_fault.eq(
                self.read_fault
                | (self.converting & (self.read_valid | self.slot_valid))
                | (taken & (self.slot_valid | too_long))
                | (converts & too_many)
            ),
        ]
        return m
