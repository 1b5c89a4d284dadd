"""The update driver: factors become pulses on the lines of a crossbar, a rank after another."""

from collections.abc import Sequence

from amaranth import Cat, Module, Mux, ResetInserter, Signal, signed
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, ceil_log2

from golden_model import cost
from golden_model.half_select import SCHEMES
from golden_model.parameters import Parameters
from golden_model.pulses import MASK_ROUNDS, PHASES
from golden_model.random_bits import COLUMN_SHIFTS, ROW_SHIFTS, WARM_UP_ROUNDS, WORD_BITS
from golden_model.scalar import EXPONENT_BITS, SIGNIFICAND_BITS
from hdl import column_duties, duty_scaler, line_driver, pulse_counter
from hdl.column_duties import ColumnDuties
from hdl.line_driver import LineDriver
from hdl.pulse_counter import COUNTER_BITS, PulseCounter
from hdl.random_bits import Mixer, line_seed
from hdl.read_drive import read_drive
from hdl.shapes import SCALAR, word_row
from hdl.slot_sequencer import TIMING_BITS, SlotSequencer
from hdl.tile_loader import TileLoader, load_cycles

KAPPA_LATENCY = 2
"""Clock cycles that `kappa` may take to answer a new `rank`."""

READY_LATENCY = line_driver.LATENCY + 1
"""Slots that may still begin or end after `ready` has fallen."""

PLAN_CYCLES = 2
"""Clock cycles from a rank's kappa to its slots and shift."""

LOG2_BITS = 4
"""Bits of a logarithm of slots."""


def drain_cycles(parameters: Parameters) -> int:
    """Clock cycles after a rank's last slot, until its pulses are on the lines and counted."""
    lines = parameters.tile_rows + parameters.tile_columns
    return line_driver.LATENCY + 1 + pulse_counter.latency(lines)


def update_cycles(
    parameters: Parameters,
    m: int,
    n: int,
    slots: Sequence[int],
    scrambled: bool,
    slot_cycles: int = 1,
) -> int:
    """Clock cycles for which an update keeps the driver busy, exactly, if the array is ready.

    `slots` has the slots of a phase for each rank, 0 for a rank whose kappa is zero; a slot takes
    `slot_cycles`, its length and the dead time after it.
    """
    cycles = WARM_UP_ROUNDS + 1
    if not scrambled:
        cycles += parameters.tile_rows + parameters.tile_columns + 1
    tiles = cost.tiles(parameters, m, n)
    for count in slots:
        cycles += KAPPA_LATENCY + 1 + PLAN_CYCLES + drain_cycles(parameters)
        if count:
            cycles += parameters.rows(m) * parameters.lanes + column_duties.OVERHEAD
            cycles += tiles * (load_cycles(parameters) + len(PHASES) * count * slot_cycles)
    return cycles


class State(enum.Enum):
    """What the update driver is doing."""

    IDLE = 0
    WARM_UP = 1
    SEED_LINES = 2
    FETCH_KAPPA = 3
    PLAN = 4
    SCALE = 5
    LOAD = 6
    DRIVE = 7
    DRAIN = 8


class UpdateDriver(wiring.Component):
    """Drives the update -sum_c kappa_c x_c delta_c^T, in device steps, onto a crossbar's lines.

    For each rank c of `k`, for each row of tiles (n lines in tiles of `tile_rows`), for each
    column of tiles (m lines in tiles of `tile_columns`): load the duties of the tile's lines, then
    four phases (++, --, +-, -+: the polarity of rows and of columns) of L slots.
    L = 2**l with l = exponent(kappa) + 2 width - 2 between `slots_min` and `slots_max` (logarithms;
    `Parameters.max_slots` at most); row duties are |x|, column duties
    round(|delta| kappa 2**(2 width - 2 - l)), clipped to 1. A line fires in a slot if its duty
    exceeds the threshold of the encoding, see `golden_model.pulses`, with which the pins agree in
    every slot. Pulsed outer products and the management of pulse lengths come from Gokmen and
    Vlasov (Front. Neurosci. 10:333, 2016); docs/updates.md has formulas, pins and timing.

    `start` begins (ignored while busy); `busy` is high from the next cycle for `update_cycles`
    cycles, and `done` pulses in the cycle after them. The configuration and the factors must hold
    meanwhile, with 1 <= k <= max_rank. `abort` ends the run without `done`: in the next cycle all
    lines are idle, `busy` is low, and the driver can start again. Lines are also idle in reset
    and whenever `slot_valid` is low; `tile_row`, `tile_column` and `rank` say where the pins of a
    valid slot belong. The layer's first tile is (`origin_row`, `origin_column`) of a grid of
    `grid_rows` x `grid_columns`, beyond which its last one must not lie. `clips` counts clipped
    column duties and `pulses` line pulses, since `start`; `slots` is the L of the last rank, 0 if
    its kappa was zero and it was skipped.

    A slot's lines hold for 1 + `length_less_1` cycles, in all of which `slot_valid` is high and in
    the last `slot_last`; then they are idle for `dead` cycles at least. A slot that an abort or
    a reset cuts off has no `slot_last` and is not counted.

    `rows_level` and `columns_level` have two bits a line, line 0 lowest: what it carries in scheme
    number `levels` of `half_select.SCHEMES`, held as the lines are. `slot_down` is high in the
    slots of the phases that step cells down.

    While `ready` is low no slot begins, which holds the driver up unless it has something else
    to do; the `READY_LATENCY` slots on their way still come. A real array is always ready.

    While `read.active` the lines belong to a read (see `read_drive`), for which no update may run
    or start: `read_valid` and `convert` mark its slots on the pins, `LATENCY` cycles after
    `read.fire`, and `pulses` counts its line pulses since `read.clear`.

    `kappa` answers `rank` at most `KAPPA_LATENCY` cycles later and rests with it. `fetch_data` is
    row `fetch_row` of column `fetch_column` of X, or of Delta if `fetch_delta`,
    `datapath.FETCH_LATENCY` cycles after `fetch_valid`.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = p = parameters
        ranks = range(max(2, p.max_rank))
        super().__init__(
            {
                "start": In(1),
                "abort": In(1),
                "busy": Out(1),
                "done": Out(1),
                "m": In(bits_for(p.max_m)),
                "n": In(bits_for(p.max_n)),
                "k": In(bits_for(p.max_rank)),
                "origin_row": In(bits_for(p.grid_rows - 1)),
                "origin_column": In(bits_for(p.grid_columns - 1)),
                "slots_min": In(LOG2_BITS),
                "slots_max": In(LOG2_BITS),
                "scrambled": In(1),
                "length_less_1": In(TIMING_BITS),
                "dead": In(TIMING_BITS),
                "levels": In(range(len(SCHEMES))),
                "seed": In(WORD_BITS),
                "rank": Out(ranks),
                "kappa": In(SCALAR),
                "fetch_valid": Out(1),
                "fetch_delta": Out(1),
                "fetch_row": Out(bits_for(p.rows(p.max_dimension) - 1)),
                "fetch_column": Out(ranks),
                "fetch_data": In(word_row(p)),
                "rows_positive": Out(p.tile_rows),
                "rows_negative": Out(p.tile_rows),
                "columns_positive": Out(p.tile_columns),
                "columns_negative": Out(p.tile_columns),
                "rows_level": Out(2 * p.tile_rows),
                "columns_level": Out(2 * p.tile_columns),
                "slot_down": Out(1),
                "ready": In(1, init=1),
                "slot_valid": Out(1),
                "slot_last": Out(1),
                "read": In(read_drive(p)),
                "read_valid": Out(1),
                "convert": Out(1),
                "tile_row": Out(bits_for(p.grid_rows - 1)),
                "tile_column": Out(bits_for(p.grid_columns - 1)),
                "clips": Out(COUNTER_BITS),
                "pulses": Out(COUNTER_BITS),
                "slots": Out(range(p.max_slots + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The blocks, how they hang together, and the states that conduct them."""
        m = Module()
        p = self.parameters
        m.submodules.mixer = mixer = Mixer()
        columns = ColumnDuties(p)
        m.submodules.column_duties = ResetInserter(self.abort)(columns)
        m.submodules.loader = loader = TileLoader(p)
        m.submodules.sequencer = sequencer = SlotSequencer(p)
        m.submodules.row_driver = row_driver = LineDriver(p, p.tile_rows, ROW_SHIFTS)
        m.submodules.column_driver = column_driver = LineDriver(p, p.tile_columns, COLUMN_SHIFTS)
        m.submodules.counter = counter = PulseCounter(p.tile_rows + p.tile_columns)

        read, reading = self.read, self.read.active
        state = Signal(State)
        driving = Signal()  # in State.DRIVE
        begin, clear, clearing_lines, clear_lines = Signal(), Signal(), Signal(), Signal()
        seed = Signal(WORD_BITS)
        further = Signal(TIMING_BITS + 1)
        down = Signal()
        m.d.sync += [
            clear.eq(begin),
            clearing_lines.eq(begin | read.clear),
            clear_lines.eq(clearing_lines),
            seed.eq(line_seed(mixer.a)),
            further.eq(self.length_less_1 + self.dead),
        ]
        wait = Signal(range(max(p.tile_rows + p.tile_columns, WARM_UP_ROUNDS) + 1))
        log2 = self._plan(m, columns)
        counted = Signal(p.tile_rows + p.tile_columns)  # pulses, a cycle after the pins
        m.d.sync += counted.eq(
            Mux(
                self.slot_last | self.read_valid,
                Cat(row_driver.positive, column_driver.positive)
                | Cat(row_driver.negative, column_driver.negative),
                0,
            )
        )
        m.d.comb += [
            self.busy.eq(state != State.IDLE),
            begin.eq(self.start & ~self.busy & ~self.abort),
            mixer.load.eq(clear),
            mixer.seed.eq(self.seed),
            mixer.advance.eq(
                (state == State.WARM_UP)
                | (state == State.SEED_LINES)
                | ((state == State.LOAD) & (wait < MASK_ROUNDS))
            ),
            # Factors
            self.fetch_column.eq(self.rank),
            self.fetch_delta.eq(state == State.SCALE),
            self.fetch_valid.eq(columns.fetch_valid | loader.fetch_valid),
            self.fetch_row.eq(Mux(state == State.SCALE, columns.fetch_row, loader.fetch_row)),
            columns.m.eq(self.m),
            columns.fetch_data.eq(self.fetch_data),
            columns.read_row.eq(loader.read_row),
            loader.m.eq(self.m),
            loader.n.eq(self.n),
            loader.origin_row.eq(self.origin_row),
            loader.origin_column.eq(self.origin_column),
            loader.abort.eq(self.abort),
            loader.run.eq(state == State.LOAD),
            loader.first.eq(state == State.SCALE),
            loader.fetch_data.eq(self.fetch_data),
            # Lines: seeded from the first row line to the last column line.
            row_driver.token.eq((state == State.SEED_LINES) & (wait == 1)),
            column_driver.token.eq(row_driver.token_out),
            row_driver.load.eq(read.load_rows | loader.row_load),
            row_driver.duties.eq(Mux(reading, read.duties, loader.row_duties)),
            row_driver.fire.eq(Mux(reading, read.fire & ~read.transposed, sequencer.fire)),
            column_driver.load.eq(read.load_columns | loader.column_load),
            column_driver.duties.eq(Mux(reading, read.duties, columns.read_duties)),
            column_driver.fire.eq(Mux(reading, read.fire & read.transposed, sequencer.fire)),
            # Slots
            sequencer.run.eq(driving & self.ready),
            sequencer.abort.eq(self.abort),
            sequencer.log2.eq(log2),
            sequencer.further.eq(further),
            sequencer.row_mask.eq(mixer.a[WORD_BITS - (p.width - 1) :]),
            sequencer.column_mask.eq(mixer.b[WORD_BITS - (p.width - 1) :]),
            loader.next.eq(sequencer.last),
            row_driver.threshold.eq(Mux(reading, read.threshold, sequencer.row_threshold)),
            row_driver.negative_phase.eq(sequencer.row_negative),
            row_driver.negative_level.eq(down),
            column_driver.threshold.eq(Mux(reading, read.threshold, sequencer.column_threshold)),
            column_driver.negative_phase.eq(sequencer.column_negative),
            column_driver.negative_level.eq(~down),
            down.eq(sequencer.row_negative ^ sequencer.column_negative),
            # Pins
            self.rows_positive.eq(row_driver.positive),
            self.rows_negative.eq(row_driver.negative),
            self.columns_positive.eq(column_driver.positive),
            self.columns_negative.eq(column_driver.negative),
            self.rows_level.eq(row_driver.levels),
            self.columns_level.eq(column_driver.levels),
            counter.lines.eq(counted),
            counter.clear.eq(clear_lines),
            self.pulses.eq(counter.count),
        ]
        for driver in (row_driver, column_driver):
            m.d.comb += [
                driver.clear.eq(clear_lines),
                driver.draw.eq(sequencer.draw),
                driver.seed.eq(seed),
                driver.scrambled.eq(self.scrambled | reading),
                driver.both_phases.eq(reading),
                driver.select.eq(self.levels != SCHEMES.index("none")),
                driver.inhibit.eq(self.levels == SCHEMES.index("V/3")),
                driver.hold.eq(self.slot_valid & ~self.slot_last),
                driver.abort.eq(self.abort),
            ]

        # What a read's slot is travels along with it; a slot of an update stays for its length.
        for port, fired in (
            (self.read_valid, read.fire & reading),
            (self.convert, read.fire & read.convert & reading),
        ):
            slots = Signal(line_driver.LATENCY, name=f"{port.name}_slots")
            m.d.sync += slots.eq(Mux(self.abort, 0, Cat(fired, slots)))
            m.d.comb += port.eq(slots[-1])
        coming = Signal(line_driver.LATENCY - 1)
        coming_down = Signal(line_driver.LATENCY - 1)
        left = Signal(TIMING_BITS)
        m.d.sync += coming.eq(Mux(self.abort, 0, Cat(sequencer.fire & ~reading, coming)))
        m.d.sync += coming_down.eq(Cat(down, coming_down))
        with m.If(self.abort | ~(coming[-1] | (self.slot_valid & ~self.slot_last))):
            m.d.sync += [self.slot_valid.eq(0), self.slot_last.eq(0), self.slot_down.eq(0)]
        with m.Elif(coming[-1]):
            m.d.sync += [
                self.slot_valid.eq(1),
                self.slot_down.eq(coming_down[-1]),
                self.slot_last.eq(self.length_less_1 == 0),
                left.eq(self.length_less_1),
            ]
        with m.Else():
            m.d.sync += [self.slot_last.eq(left == 1), left.eq(left - 1)]

        # The tile moves on after its last slot, and its pins follow later.
        for port, present in (
            (self.tile_row, Mux(reading, read.tile_row, loader.tile_row)),
            (self.tile_column, Mux(reading, read.tile_column, loader.tile_column)),
        ):
            for stage in range(line_driver.LATENCY):
                delayed = Signal.like(port, name=f"{port.name}_{stage}")
                m.d.sync += delayed.eq(present)
                present = delayed
            m.d.sync += port.eq(present)
        m.d.sync += self.clips.eq(Mux(clear, 0, self.clips + columns.clipped))

        m.d.sync += [self.done.eq(0), wait.eq(wait + 1)]
        with m.Switch(state):
            with m.Case(State.IDLE):
                m.d.sync += wait.eq(0)
                with m.If(begin):
                    m.d.sync += [state.eq(State.WARM_UP), self.rank.eq(0)]
            with m.Case(State.WARM_UP), m.If(wait == WARM_UP_ROUNDS):
                following = Mux(self.scrambled, State.FETCH_KAPPA, State.SEED_LINES)
                m.d.sync += [state.eq(following), wait.eq(0)]
            with m.Case(State.SEED_LINES), m.If(wait == p.tile_rows + p.tile_columns):
                m.d.sync += [state.eq(State.FETCH_KAPPA), wait.eq(0)]
            with m.Case(State.FETCH_KAPPA), m.If(wait == KAPPA_LATENCY):
                m.d.sync += [state.eq(State.PLAN), wait.eq(0)]
            with m.Case(State.PLAN), m.If(wait == PLAN_CYCLES - 1):
                m.d.sync += [self.slots.eq(1 << log2), wait.eq(0)]
                with m.If(~columns.significand[-1]):
                    m.d.sync += [self.slots.eq(0), state.eq(State.DRAIN)]
                with m.Else():
                    m.d.comb += columns.start.eq(1)
                    m.d.sync += state.eq(State.SCALE)
            with m.Case(State.SCALE):
                m.d.sync += wait.eq(0)
                with m.If(columns.done):
                    m.d.sync += state.eq(State.LOAD)
            with m.Case(State.LOAD), m.If(loader.done):
                m.d.sync += [state.eq(State.DRIVE), driving.eq(1)]
            with m.Case(State.DRIVE):
                m.d.sync += wait.eq(0)
                with m.If(sequencer.last):
                    m.d.sync += state.eq(Mux(loader.last, State.DRAIN, State.LOAD))
                    m.d.sync += driving.eq(0)
            with m.Case(State.DRAIN), m.If(wait == drain_cycles(p) - 1):
                m.d.sync += wait.eq(0)
                with m.If(self.rank + 1 == self.k):
                    m.d.sync += [state.eq(State.IDLE), self.done.eq(1)]
                with m.Else():
                    m.d.sync += [state.eq(State.FETCH_KAPPA), self.rank.eq(self.rank + 1)]
        with m.If(self.abort):
            m.d.sync += [state.eq(State.IDLE), self.done.eq(0), driving.eq(0)]
        return m

    def _plan(self, m: Module, columns: ColumnDuties) -> Signal:
        """The rank's log2 of slots, and the significand and shift that scale its duties.

        Registers in a row that follow `kappa`, which rests as long as `rank` does. The shift comes
        two cycles after the plan, before the first word that it scales.
        """
        p = self.parameters
        full_bits = 2 * (p.width - 1)  # duties 1 and 1 coincide in every slot
        enough = Signal(signed(EXPONENT_BITS + 1))
        log2 = Signal(bits_for(ceil_log2(p.max_slots)))
        at_least = Mux(enough < self.slots_min, self.slots_min, enough)
        most = Mux(self.slots_max < ceil_log2(p.max_slots), self.slots_max, ceil_log2(p.max_slots))
        shift = Signal(signed(EXPONENT_BITS + 2))
        shift_max = duty_scaler.shift_max(p.width)
        m.d.sync += [
            shift.eq(SIGNIFICAND_BITS + 1 + log2 - enough),
            enough.eq(self.kappa.exponent + full_bits),
            log2.eq(Mux(at_least < most, at_least, most)),
            columns.significand.eq(self.kappa.significand),
            columns.shift.eq(Mux(shift < 0, 0, Mux(shift > shift_max, shift_max, shift))),
        ]
        return log2
