"""The reader: vectors through the array, forward or transposed, a packet of sums for each."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from golden_model.parameters import Parameters
from golden_model.reads import MAX_DAC_BITS, Reads
from hdl import line_driver, partial_sums
from hdl.code_receiver import CodeReceiver, code_beat, sensed_bits
from hdl.duty_scaler import magnitude
from hdl.loader import beat_layout
from hdl.partial_sums import SUM_BITS, PartialSums
from hdl.pulse_counter import COUNTER_BITS
from hdl.read_drive import read_drive
from hdl.read_walk import ReadWalk, read_settings
from hdl.reset_less import registered
from hdl.sequencer import Phase
from hdl.sum_sender import SumSender, send_cycles, sent_layout

VECTOR_BITS = 16
"""Bits of the number of vectors of a run."""

MAX_VECTORS = (1 << VECTOR_BITS) - 1
"""Most vectors of a run."""

CHECK_CYCLES = 3
"""Clock cycles until what follows from the settings has come to rest."""

FILL_CYCLES = 2
"""Clock cycles from a tile's last row of codes until a drive may begin."""


def read_cycles(
    parameters: Parameters,
    reads: Reads,
    m: int,
    n: int,
    *,
    transposed: bool,
    vectors: int,
    answer: int,
) -> int:
    """Clock cycles of a run of `vectors` reads, exactly, if streams and the array never wait.

    `answer` is the number of cycles from the cycle of `convert` to that of the first beat of codes,
    which the others follow without a gap.
    """
    p = parameters
    driven, sensed = (m, n) if transposed else (n, m)
    driven_lines, sensed_lines = p.tile_rows, p.tile_columns
    if transposed:
        driven_lines, sensed_lines = sensed_lines, driven_lines

    def conversion(slots: int, lines: int) -> int:
        beats = -(-lines // p.adcs)
        return FILL_CYCLES + driven_lines // p.lanes + slots + line_driver.LATENCY + answer + beats

    slots = 1 if reads.encoding == "bit-serial" else (1 << (reads.dac_bits - 1)) - 1
    drives = -(-driven // driven_lines) * reads.conversions
    tiles = [min(sensed_lines, sensed - first) for first in range(0, sensed, sensed_lines)]
    vector = p.rows(driven) + partial_sums.latency(p) + send_cycles(p, sensed) + 2
    vector += drives * sum(conversion(slots, lines) for lines in tiles)
    clearing = FILL_CYCLES + driven_lines // p.lanes + 1 + line_driver.LATENCY
    return CHECK_CYCLES + clearing + vectors * vector


class State(enum.Enum, shape=3):  # type: ignore[call-arg]
    """What the reader is doing."""

    IDLE = 0
    CHECK = 1
    LOAD = 2
    FILL = 3
    DRIVE = 4
    ANSWER = 5
    SETTLE = 6
    SEND = 7


class Reader(wiring.Component):
    """Reads `vectors` vectors: for each a packet of input codes in, and a packet of sums out.

    A packet has a vector's codes, rows of `lanes` words: n of them driven on the rows, or m on the
    columns if `transposed`. Codes go from -full to full = 2**(`dac_bits` - 1) - 1; others are
    limited to that. For each sensed tile and each driven tile the lines are filled with the codes,
    and driven: pulse-width for full slots, a line in the first |code| of them; bit-serial for one
    slot for each bit of the magnitudes, the lowest first. The array converts at the end of each
    drive, and its codes add up as `PartialSums` says. The packet out is that of `SumSender`. Golden
    counterpart: `reads.ReadSpec.read`; pins, packets and timing in docs/reads.md.

    A run begins with a conversion that drives no line and senses none: it clears what an aborted
    run may have left in the array's integrators. A drive begins when the array is
    `ready` and has sent all codes of the conversion before.

    `start` begins (not while busy), `busy` is high from the next cycle, `read_cycles` long if
    nothing waits, and `finished` pulses in its last cycle; settings must hold meanwhile. Settings
    that are not allowed pulse `refused`. A packet that ends early pulses `short`, one that does not
    end on its last beat `long`, with `failing` in the cycle before, and the run is over; `abort`
    ends a run likewise. A packet out once begun is always finished, and `busy` stays high for it.
    `unexpected` pulses for codes that no conversion asked for.

    `adc_saturations` and `sum_saturations` count those of the vectors of the run that were sent,
    the last one's from the second cycle after `finished` on.
    `sizes_valid` tells, from the second cycle after `start` on, that m and n are within the maxima
    and the tiles within the grid. `convert` is the pin, when the array converts.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = p = parameters
        super().__init__(
            {
                "input": In(stream.Signature(beat_layout(p))),
                "output": Out(stream.Signature(sent_layout(p))),
                "start": In(1),
                "abort": In(1),
                "settings": In(read_settings(p)),
                "vectors": In(VECTOR_BITS),
                "sizes_valid": In(1),
                "busy": Out(1),
                "finished": Out(1),
                "refused": Out(1),
                "short": Out(1),
                "long": Out(1),
                "failing": Out(1),
                "phase": Out(Phase),
                "adc_saturations": Out(COUNTER_BITS),
                "sum_saturations": Out(COUNTER_BITS),
                # Array
                "ready": In(1, init=1),
                "drive": Out(read_drive(p)),
                "convert": In(1),
                "sensed": Out(sensed_bits(p)),
                "adc_valid": In(1),
                "adc_codes": In(code_beat(p)),
                "adc_saturated": In(p.adcs),
                "unexpected": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The parts, how they hang together, and the states that conduct them."""
        m = Module()
        p = self.parameters
        m.submodules.walk = walk = ReadWalk(p)
        m.submodules.receiver = receiver = CodeReceiver(p)
        m.submodules.sums = sums = PartialSums(p)
        m.submodules.sender = sender = SumSender(p)
        wiring.connect(m, sender.output, wiring.flipped(self.output))
        settings, drive = self.settings, self.drive
        tile_rows = max(p.tile_rows, p.tile_columns) // p.lanes

        state = Signal(State)
        active = Signal()  # in another state than State.IDLE
        transposed = Signal()
        begin = Signal()
        clearing = Signal()  # at the conversion that clears the array's integrators
        vectors_left = Signal(VECTOR_BITS)
        wait = Signal(range(max(CHECK_CYCLES, partial_sums.latency(p)) + 1))
        row = Signal(range(max(p.rows(p.max_dimension), tile_rows + FILL_CYCLES)))
        slot = Signal(p.width - 1)
        slot_end = Signal()  # slot is the last one
        full = Signal(p.width - 1)
        last_slot = Signal(p.width - 1)
        allowed = Signal()
        m.d.sync += [
            transposed.eq(settings.transposed),
            full.eq((Const(1, p.width) << (settings.dac_bits - 1)[:4]) - 1),
            last_slot.eq(Mux(settings.bit_serial, 0, full - 1)),
            allowed.eq(
                self.sizes_valid
                & (self.vectors >= 1)
                & (settings.dac_bits >= 2)
                & (settings.dac_bits <= min(p.width, MAX_DAC_BITS))
                & (settings.sum_bits >= 2)
                & (settings.sum_bits <= SUM_BITS)
            ),
        ]
        m.d.comb += [
            self.busy.eq(active | sender.busy),
            begin.eq(self.start & ~self.abort),
            walk.settings.eq(settings),
            walk.first.eq(begin),
            # Codes
            receiver.convert.eq(self.convert),
            receiver.sensed.eq(self.sensed),
            receiver.abort.eq(self.abort),
            receiver.adc_valid.eq(self.adc_valid),
            receiver.adc_codes.eq(self.adc_codes),
            receiver.adc_saturated.eq(self.adc_saturated),
            self.unexpected.eq(receiver.unexpected),
            self.sensed.eq(Mux(clearing, 0, walk.sensed)),
            # Sums
            sums.valid.eq(receiver.valid),
            sums.codes.eq(receiver.codes),
            sums.inside.eq(receiver.inside),
            sums.saturated.eq(receiver.saturated),
            sums.row.eq(walk.sum_row + receiver.beat),
            sums.bit.eq(walk.bit),
            sums.fresh.eq(walk.fresh),
            sums.final.eq(walk.final),
            sums.sum_bits.eq(settings.sum_bits),
            sums.clear.eq(state == State.LOAD),
            sums.fetch_row.eq(sender.fetch_row),
            sender.sensed.eq(walk.sensed_lines),
            sender.fetch_data.eq(sums.fetch_data),
            sender.adc_saturations.eq(sums.adc_saturations),
            sender.sum_saturations.eq(sums.sum_saturations),
            # Drive
            drive.active.eq(active),
            drive.clear.eq(state == State.CHECK),
            drive.transposed.eq(transposed),
            drive.tile_row.eq(walk.tile_row),
            drive.tile_column.eq(walk.tile_column),
            drive.threshold.eq(slot),
            drive.fire.eq(
                (state == State.DRIVE) & ((slot != 0) | (self.ready & ~receiver.pending))
            ),
            drive.convert.eq(clearing | slot_end),
        ]
        self._fill(m, state, clearing, row, full, walk)

        # A vector's counts still stand in the cycle after its last sums have left.
        sent = Signal()
        final_vector = Signal()
        m.d.sync += [sent.eq(0), final_vector.eq(vectors_left == 1)]
        with m.If(sent):
            m.d.sync += [
                vectors_left.eq(vectors_left - 1),
                self.adc_saturations.eq(self.adc_saturations + sums.adc_saturations),
                self.sum_saturations.eq(self.sum_saturations + sums.sum_saturations),
            ]
        m.d.sync += [self.short.eq(0), self.long.eq(0), wait.eq(0), slot_end.eq(slot == last_slot)]
        with m.Switch(state):
            with m.Case(State.IDLE):
                m.d.sync += [clearing.eq(1), row.eq(0), slot.eq(0)]
                with m.If(begin):
                    m.d.sync += [state.eq(State.CHECK), active.eq(1)]
                    m.d.sync += vectors_left.eq(self.vectors)
                    m.d.sync += [self.adc_saturations.eq(0), self.sum_saturations.eq(0)]
            with m.Case(State.CHECK):
                m.d.comb += self.phase.eq(Phase.CHECK)
                m.d.sync += wait.eq(wait + 1)
                with m.If(wait == CHECK_CYCLES - 1):
                    m.d.comb += self.refused.eq(~allowed)
                    m.d.sync += [wait.eq(0), state.eq(Mux(allowed, State.FILL, State.IDLE))]
                    m.d.sync += active.eq(allowed)
            with m.Case(State.LOAD):
                m.d.comb += [self.phase.eq(Phase.LOAD), self.input.ready.eq(1)]
                with m.If(self.input.valid):
                    m.d.sync += row.eq(row + 1)
                    end = row + 1 == walk.driven_rows
                    with m.If(end):
                        m.d.sync += [row.eq(0), state.eq(State.FILL)]
                    with m.If(self.input.payload.last != end):
                        m.d.comb += self.failing.eq(~self.abort)
                        m.d.sync += [self.short.eq(~end), self.long.eq(end)]
                        m.d.sync += [state.eq(State.IDLE), active.eq(0)]
            with m.Case(State.FILL):
                m.d.comb += self.phase.eq(Phase.READ)
                m.d.sync += row.eq(row + 1)
                with m.If(row == walk.tile_driven_rows + (FILL_CYCLES - 1)):
                    m.d.sync += [row.eq(0), state.eq(State.DRIVE)]
            with m.Case(State.DRIVE):
                m.d.comb += self.phase.eq(Phase.READ)
                with m.If(drive.fire):
                    m.d.sync += [slot.eq(slot + 1), slot_end.eq(slot + 1 == last_slot)]
                    with m.If(drive.convert):
                        m.d.sync += [slot.eq(0), state.eq(State.ANSWER)]
            with m.Case(State.ANSWER):
                m.d.comb += self.phase.eq(Phase.READ)
                with m.If(clearing):
                    with m.If(self.convert):
                        m.d.sync += [clearing.eq(0), state.eq(State.LOAD)]
                with m.Elif(receiver.done):
                    m.d.comb += walk.next.eq(1)
                    m.d.sync += state.eq(Mux(walk.last, State.SETTLE, State.FILL))
            with m.Case(State.SETTLE):
                m.d.comb += self.phase.eq(Phase.READ)
                m.d.sync += wait.eq(wait + 1)
                with m.If(wait == partial_sums.latency(p) - 1):
                    m.d.sync += [wait.eq(0), state.eq(State.SEND)]
            with m.Case(State.SEND):
                m.d.comb += [self.phase.eq(Phase.STORE), sender.start.eq(wait == 0)]
                m.d.sync += wait.eq(1)
                with m.If((wait != 0) & ~sender.busy):
                    m.d.sync += [
                        wait.eq(0),
                        sent.eq(1),
                        state.eq(State.LOAD),
                    ]
                    with m.If(final_vector):
                        m.d.comb += self.finished.eq(~self.abort)
                        m.d.sync += [state.eq(State.IDLE), active.eq(0)]
        with m.If(self.abort):
            m.d.comb += sender.start.eq(0)
            m.d.sync += [state.eq(State.IDLE), active.eq(0), wait.eq(0)]
            m.d.sync += [self.short.eq(0), self.long.eq(0)]
        return m

    def _fill(
        self,
        m: Module,
        state: Signal,
        clearing: Signal,
        row: Signal,
        full: Signal,
        walk: ReadWalk,
    ) -> None:
        """The vector in a memory as signs and limited magnitudes, and from there to the lines.

        A row of lanes is at the lines' `load` four cycles after its request.
        """
        p = self.parameters
        code = data.StructLayout({"magnitude": p.width - 1, "negative": 1})
        m.submodules.vector = vector = Memory(
            shape=data.ArrayLayout(code, p.lanes), depth=p.rows(p.max_dimension), init=[]
        )
        read, write = vector.read_port(), vector.write_port()
        address = registered(m, walk.driven_row + row, "address")
        row_end = Signal()  # row is the vector's last
        remaining = walk.driven_lines[: ceil_log2(p.lanes)]
        m.d.sync += row_end.eq(
            row + ((state == State.LOAD) & self.input.valid) + 1 == walk.driven_rows
        )
        m.d.comb += [
            write.addr.eq(row),
            write.en.eq((state == State.LOAD) & self.input.valid),
            read.addr.eq(address),
        ]
        for lane in range(p.lanes):
            word, stored = self.input.payload.words[lane], write.data[lane]
            beyond = registered(m, (remaining != 0) & (remaining <= lane), f"beyond_{lane}")
            inside = ~(row_end & beyond)
            size = magnitude(word)
            m.d.comb += stored.negative.eq(word[-1])
            with m.If(inside):
                m.d.comb += stored.magnitude.eq(Mux(size > full, full, size))

        # Lines beyond the vector are not driven, nor any to clear the integrators.
        filling, driven = Signal(3), Signal(2)
        request = (state == State.FILL) & (row < walk.tile_driven_rows)
        m.d.sync += [
            filling.eq(Mux(self.abort, 0, Cat(request, filling))),
            driven.eq(Cat((address < walk.driven_rows) & ~clearing, driven)),
            self.drive.load_rows.eq(filling[-1] & ~self.drive.transposed & ~self.abort),
            self.drive.load_columns.eq(filling[-1] & self.drive.transposed & ~self.abort),
        ]
        for lane in range(p.lanes):
            fetched = Signal(code, name=f"fetched_{lane}", reset_less=True)
            duty = self.drive.duties[lane]
            bit = fetched.magnitude.bit_select(walk.bit, 1)
            size = Mux(self.settings.bit_serial, bit, fetched.magnitude)
            m.d.sync += [
                fetched.eq(read.data[lane]),
                duty.negative.eq(fetched.negative),
                duty.magnitude.eq(Mux(driven[-1], size, 0)),
            ]
