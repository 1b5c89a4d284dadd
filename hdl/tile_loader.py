"""Walking over the tiles of a rank, and loading the duties of a tile's lines."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, ceil_log2

from golden_model.parameters import Parameters
from golden_model.pulses import MASK_ROUNDS
from hdl.column_duties import READ_LATENCY, duty_row
from hdl.datapath import FETCH_LATENCY
from hdl.duty_scaler import magnitude
from hdl.shapes import word_row

_SLOT_LEAD = 3
"""Clock cycles from the end of a load to the first slot's comparison with the duties."""


def load_cycles(parameters: Parameters) -> int:
    """Clock cycles that loading a tile takes: the longest of rows, columns and drawing masks.

    The last duties may arrive while the first slot is on its way to the comparisons.
    """
    p = parameters
    return max(
        p.tile_rows // p.lanes + max(FETCH_LATENCY - _SLOT_LEAD, 0),
        p.tile_columns // p.lanes + max(READ_LATENCY - _SLOT_LEAD, 0),
        MASK_ROUNDS,
    )


class TileLoader(wiring.Component):
    """Loads tile after tile of n row lines and m column lines, tile rows outermost.

    `first` goes to the first tile, `next` to the one after the present. While `run` is high, for
    `load_cycles` cycles up to `done`, it fetches the tile's words of X and reads its column duties,
    a row of lanes each a cycle; `row_load` and `column_load` mark the rows of duties as they come
    back, `FETCH_LATENCY` and `READ_LATENCY` cycles after their requests.
    A row line's duty is |x|, its polarity that of x. Words beyond n count as 0.

    `tile_row` and `tile_column` tell the present tile in the grid, in which (`origin_row`,
    `origin_column`) is the first; `last` tells that the present one is the rank's last.
    `abort` stops a load and drops the rows on their way.
    """

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = p = parameters
        super().__init__(
            {
                "m": In(bits_for(p.max_m)),
                "n": In(bits_for(p.max_n)),
                "origin_row": In(bits_for(p.grid_rows - 1)),
                "origin_column": In(bits_for(p.grid_columns - 1)),
                "first": In(1),
                "next": In(1),
                "run": In(1),
                "abort": In(1),
                "done": Out(1),
                "last": Out(1),
                "tile_row": Out(bits_for(p.grid_rows - 1)),
                "tile_column": Out(bits_for(p.grid_columns - 1)),
                "fetch_valid": Out(1),
                "fetch_row": Out(bits_for(p.rows(p.max_n + p.tile_rows))),
                "fetch_data": In(word_row(p)),
                "read_row": Out(bits_for(p.rows(p.max_m + p.tile_columns))),
                "row_load": Out(1),
                "row_duties": Out(duty_row(p)),
                "column_load": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """First rows of the present tile, a counter of requests, and the words that return."""
        m = Module()
        p = self._parameters
        lane_bits = ceil_log2(p.lanes)
        tile_rows, tile_columns = p.tile_rows // p.lanes, p.tile_columns // p.lanes

        row_base = Signal.like(self.fetch_row)
        column_base = Signal.like(self.read_row)
        last_row = Signal()
        last_column = Signal()
        rows_n = Signal.like(self.fetch_row)
        rows_m = Signal.like(self.read_row)
        m.d.sync += [
            rows_n.eq((self.n + (p.lanes - 1)) >> lane_bits),
            rows_m.eq((self.m + (p.lanes - 1)) >> lane_bits),
            last_row.eq(row_base + tile_rows >= rows_n),
            last_column.eq(column_base + tile_columns >= rows_m),
        ]
        m.d.comb += self.last.eq(last_row & last_column)
        # The next tile, found while the present one is driven
        present = (row_base, column_base, self.tile_row, self.tile_column)
        following = [Signal.like(value, name=f"next_{value.name}") for value in present]
        for value, first, onward in zip(
            following,
            (0, 0, self.origin_row, self.origin_column),
            (
                Mux(last_column, row_base + tile_rows, row_base),
                Mux(last_column, 0, column_base + tile_columns),
                Mux(last_column, self.tile_row + 1, self.tile_row),
                Mux(last_column, self.origin_column, self.tile_column + 1),
            ),
            strict=True,
        ):
            m.d.sync += value.eq(Mux(self.first, first, onward))
        with m.If(self.first | self.next):
            m.d.sync += [value.eq(ahead) for value, ahead in zip(present, following, strict=True)]

        request = Signal(range(load_cycles(p)))
        m.d.comb += self.done.eq(request == load_cycles(p) - 1)
        with m.If(self.run & ~self.done & ~self.abort):
            m.d.sync += request.eq(request + 1)
        with m.Else():
            m.d.sync += request.eq(0)
        row_request = self.run & (request < tile_rows)
        column_request = self.run & (request < tile_columns)
        m.d.comb += [
            self.fetch_row.eq(row_base + request),
            self.fetch_valid.eq(row_request & (self.fetch_row < rows_n)),
            self.read_row.eq(column_base + request),
        ]
        column_loads = Signal(READ_LATENCY)
        m.d.sync += column_loads.eq(Mux(self.abort, 0, Cat(column_request, column_loads)))
        m.d.comb += self.column_load.eq(column_loads[-1])

        # Which words of a row lie within n travels along with its request.
        inside = Signal(p.lanes)
        for lane in range(p.lanes):
            index = Cat(Const(lane, lane_bits), self.fetch_row)
            m.d.comb += inside[lane].eq(index < self.n)
        loads = Signal(FETCH_LATENCY)
        m.d.sync += loads.eq(Mux(self.abort, 0, Cat(row_request, loads)))
        m.d.comb += self.row_load.eq(loads[-1])
        for stage in range(FETCH_LATENCY):
            delayed = Signal(p.lanes, name=f"inside_{stage}")
            m.d.sync += delayed.eq(inside)
            inside = delayed
        for lane in range(p.lanes):
            word, duty = self.fetch_data[lane], self.row_duties[lane]
            m.d.comb += duty.negative.eq(word < 0)
            with m.If(inside[lane]):
                m.d.comb += duty.magnitude.eq(magnitude(word))
        return m
