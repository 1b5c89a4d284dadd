"""The sender: the factors as a stream packet."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from golden_model.parameters import Parameters
from hdl.datapath import FETCH_LATENCY
from hdl.loader import beat_layout
from hdl.shapes import word_row

_DEPTH = 8


class Sender(wiring.Component):
    """Sends a state packet: for each rank the rows of its activation factor, then of its errors'.

    `start` begins; `busy` is high from the next cycle until the receiver has taken the last beat.
    A packet once begun is always finished. One beat a cycle as long as the receiver is ready. Rows
    and ranks must rest from the cycle before `start` on.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = p = parameters
        super().__init__(
            {
                "output": Out(stream.Signature(beat_layout(p))),
                "start": In(1),
                "busy": Out(1),
                "rows_n": In(range(p.rows(p.max_n) + 1)),
                "rows_m": In(range(p.rows(p.max_m) + 1)),
                "ranks": In(range(p.max_rank + 1)),
                "fetch_delta": Out(1),
                "fetch_row": Out(range(p.rows(p.max_dimension))),
                "fetch_column": Out(range(max(2, p.max_rank))),
                "fetch_data": In(word_row(p)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Fetch while the queue has room for all rows in flight."""
        m = Module()
        layout = beat_layout(self.parameters)
        m.submodules.queue = queue = fifo.SyncFIFOBuffered(width=layout.size, depth=_DEPTH)
        fetching = Signal()
        issue = Signal()
        last_n, last_m, last_rank = (
            Signal.like(port, name=name)
            for name, port in (
                ("last_n", self.fetch_row),
                ("last_m", self.fetch_row),
                ("last_rank", self.fetch_column),
            )
        )
        m.d.sync += [
            last_n.eq(self.rows_n - 1),
            last_m.eq(self.rows_m - 1),
            last_rank.eq(self.ranks - 1),
        ]
        row_end = self.fetch_row == Mux(self.fetch_delta, last_m, last_n)
        column_end = self.fetch_column == last_rank
        end = row_end & column_end & self.fetch_delta
        with m.If(self.start):
            m.d.sync += [
                fetching.eq(1),
                self.fetch_row.eq(0),
                self.fetch_column.eq(0),
                self.fetch_delta.eq(0),
            ]
        with m.If(issue):
            m.d.sync += self.fetch_row.eq(self.fetch_row + 1)
            with m.If(row_end):
                m.d.sync += [self.fetch_row.eq(0), self.fetch_column.eq(self.fetch_column + 1)]
                with m.If(column_end):
                    m.d.sync += [self.fetch_column.eq(0), self.fetch_delta.eq(1)]
            with m.If(end):
                m.d.sync += fetching.eq(0)

        arriving = Signal(FETCH_LATENCY)
        ending = Signal(FETCH_LATENCY)
        beat = Signal(layout)
        m.d.sync += [
            arriving.eq(Cat(issue, arriving)),
            ending.eq(Cat(end, ending)),
        ]
        m.d.comb += [
            issue.eq(fetching & (queue.level < _DEPTH - FETCH_LATENCY - 1)),
            beat.words.eq(self.fetch_data),
            beat.last.eq(ending[-1]),
            queue.w_data.eq(beat),
            queue.w_en.eq(arriving[-1]),
            self.output.payload.eq(queue.r_data),
            self.output.valid.eq(queue.r_rdy),
            queue.r_en.eq(self.output.ready),
            self.busy.eq(fetching | arriving.any() | queue.r_rdy),
        ]
        return m
