"""Walking over the tiles, and the bits, of a read."""

from amaranth import Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, ceil_log2

from golden_model.parameters import Parameters
from golden_model.reads import MAX_DAC_BITS
from hdl.code_receiver import sensed_bits
from hdl.partial_sums import SUM_BITS, largest_bit, sum_rows


def read_settings(parameters: Parameters) -> data.StructLayout:
    """How vectors are read: the registers READ, M, N and TILE."""
    return data.StructLayout(
        {
            "transposed": 1,
            "bit_serial": 1,
            "dac_bits": bits_for(MAX_DAC_BITS),
            "sum_bits": bits_for(SUM_BITS),
            "m": bits_for(parameters.max_m),
            "n": bits_for(parameters.max_n),
            "origin_row": bits_for(parameters.grid_rows - 1),
            "origin_column": bits_for(parameters.grid_columns - 1),
        }
    )


class ReadWalk(wiring.Component):
    """The conversions of a vector: sensed tiles outermost, then driven tiles, then bits.

    Rows are driven and columns sensed, or columns driven and rows sensed if `transposed`. `first`
    goes to the first conversion, `next` to the one after the present, and from the last to the
    first. Of the present one `tile_row` and `tile_column` tell the tile in the grid, in which the
    first is (`origin_row`, `origin_column`), `driven_row` the first row
    of lanes that it drives, `sum_row` the first row of sums that it adds to, `sensed` the lines
    that it senses, `bit` the bit of the magnitudes, 0 unless `bit_serial`; `fresh` marks the first
    bit of the first driven tile, whose sums begin, `final` the last bit of a tile, after which they
    saturate, and `last` the vector's last conversion. `driven_row` holds in the next cycle, all of
    the rest from three cycles after `first` or `next`, and four cycles after the settings have come
    to rest. `next` may come four cycles after another, or after `first`.

    Of the vector, `driven_rows` are its rows of lanes, `sensed_lines` its sums; `tile_driven_rows`
    the rows of lanes of a whole tile's driven lines.
    """

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = p = parameters
        rows = p.rows(p.max_dimension)
        tile_rows = max(p.tile_rows, p.tile_columns) // p.lanes
        super().__init__(
            {
                "settings": In(read_settings(p)),
                "first": In(1),
                "next": In(1),
                "driven_rows": Out(range(rows + 1)),
                "driven_lines": Out(range(p.max_dimension + 1)),
                "sensed_lines": Out(range(p.max_dimension + 1)),
                "tile_driven_rows": Out(range(tile_rows + 1)),
                "tile_row": Out(bits_for(p.grid_rows - 1)),
                "tile_column": Out(bits_for(p.grid_columns - 1)),
                "driven_row": Out(range(rows + tile_rows)),
                "sum_row": Out(range(max(2, sum_rows(p, p.max_dimension)))),
                "sensed": Out(sensed_bits(p)),
                "bit": Out(range(largest_bit(p) + 1)),
                "fresh": Out(1),
                "final": Out(1),
                "last": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Counters of tiles and bits, and registers of what follows from them."""
        m = Module()
        p = self._parameters
        transposed = self.settings.transposed
        tile_lines = Signal(self.sensed.shape())  # sensed lines of a whole tile
        last_bit = Signal.like(self.bit)
        m.d.sync += [
            self.driven_lines.eq(Mux(transposed, self.settings.m, self.settings.n)),
            self.sensed_lines.eq(Mux(transposed, self.settings.n, self.settings.m)),
            last_bit.eq(Mux(self.settings.bit_serial, self.settings.dac_bits - 2, 0)),
            self.driven_rows.eq((self.driven_lines + (p.lanes - 1)) >> ceil_log2(p.lanes)),
        ]
        m.d.comb += [
            self.tile_driven_rows.eq(
                Mux(transposed, p.tile_columns // p.lanes, p.tile_rows // p.lanes)
            ),
            tile_lines.eq(Mux(transposed, p.tile_rows, p.tile_columns)),
        ]

        origins = (self.settings.origin_row, self.settings.origin_column)
        driven_tile = Signal(max(len(self.tile_row), len(self.tile_column)))
        sensed_tile, driven_origin, sensed_origin = (
            Signal.like(driven_tile, name=name)
            for name in ("sensed_tile", "driven_origin", "sensed_origin")
        )
        line = Signal(range(p.max_dimension + max(p.tile_rows, p.tile_columns)))  # first sensed
        left = Signal.like(line)
        last_driven = Signal()
        last_sensed = Signal()
        m.d.sync += [
            left.eq(self.sensed_lines - line),
            last_driven.eq(self.driven_row + self.tile_driven_rows >= self.driven_rows),
            last_sensed.eq(left <= tile_lines),
            self.sensed.eq(Mux(left <= tile_lines, left, tile_lines)),
            self.fresh.eq((self.driven_row == 0) & (self.bit == 0)),
            self.final.eq(self.bit == last_bit),
        ]
        m.d.comb += [
            self.sum_row.eq(line >> ceil_log2(p.adcs)),
            self.tile_row.eq(Mux(transposed, sensed_tile, driven_tile)),
            self.tile_column.eq(Mux(transposed, driven_tile, sensed_tile)),
            driven_origin.eq(Mux(transposed, *reversed(origins))),
            sensed_origin.eq(Mux(transposed, *origins)),
            self.last.eq(self.final & last_driven & last_sensed),
        ]

        # The next conversion, found while the present one is under way
        place = (self.bit, driven_tile, self.driven_row, sensed_tile, line)
        first = (0, driven_origin, 0, sensed_origin, 0)
        further_sensed = (0, driven_origin, 0, sensed_tile + 1, line + tile_lines)
        further_driven = (
            0,
            driven_tile + 1,
            self.driven_row + self.tile_driven_rows,
            sensed_tile,
            line,
        )
        further_bit = (self.bit + 1, driven_tile, self.driven_row, sensed_tile, line)
        following = [Signal.like(value, name=f"next_{value.name}") for value in place]
        for condition, values in (
            (Const(1), further_bit),
            (self.final, further_driven),
            (self.final & last_driven, further_sensed),
            (self.final & last_driven & last_sensed, first),
        ):
            with m.If(condition):
                m.d.sync += [new.eq(value) for new, value in zip(following, values, strict=True)]
        with m.If(self.next):
            m.d.sync += [old.eq(new) for old, new in zip(place, following, strict=True)]
        with m.If(self.first):
            m.d.sync += [old.eq(new) for old, new in zip(place, first, strict=True)]
        return m
