"""How a read drives the lines of a tile."""

from amaranth.lib import wiring
from amaranth.lib.wiring import Out
from amaranth.utils import bits_for

from golden_model.parameters import Parameters
from hdl.column_duties import duty_row


def read_drive(parameters: Parameters) -> wiring.Signature:
    """What a reader tells the line drivers, seen from the reader.

    While `active` the lines belong to the reader; a pulse of `clear` begins a run, before its
    first slot. Lines of both polarities are driven at once: the columns if `transposed`, the rows
    otherwise, each in the slots (`fire`) whose `threshold` its duty exceeds. `load_rows` and
    `load_columns`, of which neither comes while the lines are not the reader's, take `duties` for
    the next `lanes` lines of a side, as `LineDriver` does. `convert` marks a drive's last
    slot. `tile_row` and `tile_column` rest from `line_driver.LATENCY` + 1 cycles before the pins
    of a drive's first slot until its codes have come.
    """
    p = parameters
    return wiring.Signature(
        {
            "active": Out(1),
            "clear": Out(1),
            "transposed": Out(1),
            "load_rows": Out(1),
            "load_columns": Out(1),
            "duties": Out(duty_row(p)),
            "threshold": Out(p.width - 1),
            "fire": Out(1),
            "convert": Out(1),
            "tile_row": Out(bits_for(p.grid_rows - 1)),
            "tile_column": Out(bits_for(p.grid_columns - 1)),
        }
    )
