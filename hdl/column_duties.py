"""The column duties of a rank: scaled once, kept, and read a row at a time for every tile."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, ceil_log2

from golden_model.parameters import Parameters
from golden_model.scalar import SIGNIFICAND_BITS
from hdl import duty_scaler
from hdl.datapath import FETCH_LATENCY
from hdl.shapes import word_row

READ_LATENCY = 2
"""Clock cycles from a row's number to its duties."""

OVERHEAD = FETCH_LATENCY + duty_scaler.LATENCY + 1
"""Clock cycles of scaling a rank beyond one a lane of each of its rows."""


def duty_row(parameters: Parameters) -> data.ArrayLayout:
    """A row: the duties of `lanes` lines."""
    return data.ArrayLayout(duty_scaler.line_duty(parameters.width), parameters.lanes)


class ColumnDuties(wiring.Component):
    """Scales the m error words of a rank to duties, by one multiplier, into a memory of rows.

    `start` fetches the rows of words in turn, one every `lanes` cycles, and scales a word a cycle;
    `done` comes rows(m) * lanes + `OVERHEAD` cycles after `start`. `clipped` marks the cycles in
    which a duty was clipped. Lanes beyond m become duty 0. `read_duties` is row `read_row`,
    `READ_LATENCY` cycles later; rows beyond rows(m) read as zeros.

    `m`, `significand` and `shift` (see `DutyScaler`) stay constant while it works. Reset it to
    abandon a run.
    """

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        super().__init__(
            {
                "start": In(1),
                "done": Out(1),
                "m": In(bits_for(parameters.max_m)),
                "significand": In(SIGNIFICAND_BITS),
                "shift": In(bits_for(duty_scaler.shift_max(parameters.width))),
                "clipped": Out(1),
                "fetch_valid": Out(1),
                "fetch_row": Out(bits_for(parameters.rows(parameters.max_m) - 1)),
                "fetch_data": In(word_row(parameters)),
                "read_row": In(
                    bits_for(parameters.rows(parameters.max_m + parameters.tile_columns))
                ),
                "read_duties": Out(duty_row(parameters)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """A counter of words, the fetched row as a shift register, the scaler, and the memory."""
        m = Module()
        parameters = self._parameters
        lanes, lane_bits = parameters.lanes, ceil_log2(parameters.lanes)
        depth = parameters.rows(parameters.max_m)

        rows = Signal(range(depth + 1))
        m.d.sync += rows.eq((self.m + (lanes - 1)) >> lane_bits)

        active = Signal()
        index = Signal(ceil_log2(depth * lanes + 1))
        lane, row = index[:lane_bits], index[lane_bits:]
        with m.If(self.start):
            m.d.sync += [active.eq(1), index.eq(0)]
        with m.Elif(active):
            m.d.sync += index.eq(index + 1)
            with m.If((lane == lanes - 1) & (row == rows - 1)):
                m.d.sync += active.eq(0)
        m.d.comb += [self.fetch_valid.eq(active & (lane == 0)), self.fetch_row.eq(row)]

        # What belongs to the word whose row has arrived.
        valid, first, inside = (
            Signal(FETCH_LATENCY, name=name) for name in ("valid", "first", "inside")
        )
        m.d.sync += [
            valid.eq(Cat(active, valid)),
            first.eq(Cat(lane == 0, first)),
            inside.eq(Cat(index < self.m, inside)),
        ]
        words = Signal(data.ArrayLayout(signed(parameters.width), lanes - 1), reset_less=True)
        for i in range(lanes - 1):
            following = words[i + 1] if i + 2 < lanes else 0
            m.d.sync += words[i].eq(Mux(first[-1], self.fetch_data[i + 1], following))

        m.submodules.scaler = scaler = duty_scaler.DutyScaler(parameters.width)
        word = Mux(first[-1], self.fetch_data[0], words[0])
        m.d.comb += [
            scaler.significand.eq(self.significand),
            scaler.shift.eq(self.shift),
            scaler.valid.eq(valid[-1]),
            scaler.word.eq(Mux(inside[-1], word, 0)),
            self.clipped.eq(scaler.duty_valid & scaler.clipped),
        ]

        m.submodules.memory = memory = Memory(shape=duty_row(parameters), depth=depth, init=[])
        write = memory.write_port()
        collected = Signal(
            data.ArrayLayout(duty_scaler.line_duty(parameters.width), lanes - 1), reset_less=True
        )
        write_lane = Signal(lane_bits)
        write_row = Signal(range(depth))
        m.d.comb += [
            write.addr.eq(write_row),
            write.data.eq(Cat(collected, scaler.duty)),
            write.en.eq(scaler.duty_valid & (write_lane == lanes - 1)),
        ]
        m.d.sync += self.done.eq(write.en & (write_row == rows - 1))
        with m.If(scaler.duty_valid):
            m.d.sync += collected.eq(Cat(collected, scaler.duty)[len(scaler.duty.as_value()) :])
        with m.If(self.start):
            m.d.sync += [write_lane.eq(0), write_row.eq(0)]
        with m.Elif(scaler.duty_valid):
            m.d.sync += [
                write_lane.eq(write_lane + 1),
                write_row.eq(write_row + write.en),
            ]

        read = memory.read_port()
        outside = Signal()
        read_duties = Signal(duty_row(parameters), reset_less=True)
        m.d.sync += outside.eq(self.read_row >= rows)
        m.d.comb += read.addr.eq(self.read_row)
        m.d.sync += read_duties.eq(Mux(outside, 0, read.data))
        m.d.comb += self.read_duties.eq(read_duties)
        return m
