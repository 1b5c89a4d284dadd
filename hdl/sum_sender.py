"""The sender of a read's sums: a stream packet a vector."""

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from golden_model.parameters import Parameters
from hdl.partial_sums import SUM_BITS, sum_beat, sum_rows
from hdl.pulse_counter import COUNTER_BITS


def sent_layout(parameters: Parameters) -> data.StructLayout:
    """A beat of the outgoing AXI stream: `lanes` containers, and whether it ends the packet."""
    containers = data.ArrayLayout(signed(8 * parameters.stream_word_bytes), parameters.lanes)
    return data.StructLayout({"words": containers, "last": 1})


def parts(parameters: Parameters) -> int:
    """Containers that a sum takes."""
    return SUM_BITS // (8 * parameters.stream_word_bytes)


def send_cycles(parameters: Parameters, sensed: int) -> int:
    """Clock cycles for which sending `sensed` sums keeps a sender busy, with a ready receiver."""
    fetches = parameters.lanes // parameters.adcs
    return parameters.rows(sensed) * (fetches + 1 + parts(parameters)) + 1


class _State(enum.Enum, shape=2):  # type: ignore[call-arg]
    IDLE = 0
    FETCH = 1
    SUMS = 2
    COUNTS = 3


class SumSender(wiring.Component):
    """Sends the `sensed` sums of a vector, row by row, and a row of counts that ends the packet.

    A row of `lanes` sums takes `parts` beats, the lowest part of all its sums first: lane l of each
    has its part of sum l. Sums beyond `sensed` are zero. In the last row lane 0 has
    `adc_saturations` and lane 1 `sum_saturations`, each limited to an unsigned container, and the
    other lanes zero.

    `start` begins; `busy` is high from the next cycle until the receiver has taken the last beat,
    `send_cycles` if it is always ready. A packet once begun is always finished; `sensed`, the sums
    and the counts must rest meanwhile. `fetch_data` answers `fetch_row` in the next cycle.
    """

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = p = parameters
        super().__init__(
            {
                "output": Out(stream.Signature(sent_layout(p))),
                "start": In(1),
                "busy": Out(1),
                "sensed": In(range(p.max_dimension + 1)),
                "adc_saturations": In(COUNTER_BITS),
                "sum_saturations": In(COUNTER_BITS),
                "fetch_row": Out(range(max(2, sum_rows(p, p.max_dimension)))),
                "fetch_data": In(sum_beat(p)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """A row of sums in a register, filled from the memory and emptied part by part."""
        m = Module()
        p = self._parameters
        container, fetches = 8 * p.stream_word_bytes, p.lanes // p.adcs
        state = Signal(_State)
        fetch = Signal(range(fetches + 1))
        part = Signal(range(max(2, parts(p))))
        next_row = Signal(range(sum_rows(p, p.max_dimension) + fetches + 1))
        rows = Signal(range(sum_rows(p, p.max_dimension) + 1))
        inside = Signal()
        sums = Signal(data.ArrayLayout(SUM_BITS, p.lanes), reset_less=True)
        beat = self.output.payload
        taken = self.output.valid & self.output.ready
        m.d.comb += [
            rows.eq((self.sensed + (p.adcs - 1)) >> ceil_log2(p.adcs)),
            self.busy.eq(state != _State.IDLE),
            self.fetch_row.eq(next_row),
        ]
        m.d.sync += inside.eq(next_row < rows)

        with m.Switch(state):
            with m.Case(_State.IDLE):
                m.d.sync += [next_row.eq(0), fetch.eq(0), part.eq(0)]
                with m.If(self.start):
                    m.d.sync += state.eq(_State.FETCH)
            with m.Case(_State.FETCH):  # what the cycle before asked for arrives
                m.d.sync += fetch.eq(fetch + 1)
                with m.If(fetch != 0):
                    arrived = Mux(inside, self.fetch_data, 0)
                    m.d.sync += sums.eq(Cat(sums, arrived)[p.adcs * SUM_BITS :])
                with m.If(fetch == fetches):
                    m.d.sync += [fetch.eq(0), state.eq(_State.SUMS)]
                with m.Else():
                    m.d.sync += next_row.eq(next_row + 1)
            with m.Case(_State.SUMS):
                m.d.comb += self.output.valid.eq(1)
                for lane in range(p.lanes):
                    m.d.comb += beat.words[lane].eq(sums[lane][:container])
                with m.If(taken):
                    m.d.sync += [sums[lane].eq(sums[lane] >> container) for lane in range(p.lanes)]
                    m.d.sync += part.eq(part + 1)
                    with m.If(part == parts(p) - 1):
                        m.d.sync += part.eq(0)
                        m.d.sync += state.eq(Mux(next_row < rows, _State.FETCH, _State.COUNTS))
            with m.Case(_State.COUNTS):
                m.d.comb += [self.output.valid.eq(1), beat.last.eq(1)]
                for lane, count in enumerate((self.adc_saturations, self.sum_saturations)):
                    limited = Mux(count[container:].any(), Const(-1, container), count)
                    m.d.comb += beat.words[lane].eq(limited[:container])
                with m.If(taken):
                    m.d.sync += state.eq(_State.IDLE)
        return m
