"""The accelerator: registers, core and line drivers behind their ports."""

from amaranth import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Member, Out

from golden_model.half_select import SCHEMES
from golden_model.parameters import Parameters
from hdl.axi import connect_flat, flat_members, lite_signature, stream_signature
from hdl.code_receiver import code_beat, sensed_bits
from hdl.core import Core
from hdl.register_file import RegisterFile
from hdl.registers import RegisterMap
from hdl.scalar_unit import written_layout
from hdl.update import UpdateDriver

PORTS = {
    "clk": "Clock; everything is synchronous to its rising edge.",
    "rst": "Synchronous reset, active high; lines are idle in the next cycle.",
    "s_axil": "AXI4-Lite subordinate: registers (registers.md).",
    "s_axis": "AXI4-Stream receiver: state, block and vector packets, a row of words a beat.",
    "m_axis": "AXI4-Stream transmitter: state packets and packets of sums.",
    "rows_positive": "Row lines of the tile driven with positive polarity in this slot.",
    "rows_negative": "Row lines of the tile driven with negative polarity in this slot.",
    "columns_positive": "Column lines driven with positive polarity in this slot.",
    "columns_negative": "Column lines driven with negative polarity in this slot.",
    "slot_valid": "The lines carry a slot of an update; idle without this and read_valid.",
    "rows_level": "Two bits a row line: 0 ground, 1 inhibit, 2 positive, 3 negative select level.",
    "columns_level": "Two bits a column line, as for rows.",
    "slot_down": "The slot's coincidences step cells down: what inhibit levels stand for.",
    "slot_last": "Last clock cycle of a slot; a pulse cut off before it does not count.",
    "tile_row": "Row of the grid's tiles that the lines belong to.",
    "tile_column": "Column of the grid's tiles that the lines belong to.",
    "rank": "Rank that the slot belongs to.",
    "read_valid": "The lines carry a slot of a read's drive.",
    "read_transposed": "1: columns are driven and rows sensed; 0: rows driven, columns sensed.",
    "convert": "Last slot of a drive: the array converts what the drive has integrated.",
    "sensed": "Sensed lines of the tile to convert, from line 0; valid with convert.",
    "adc_valid": "A beat of ADC codes; taken in any cycle.",
    "adc_codes": "Codes of the next sensed lines, signed, the first in the lowest bits.",
    "adc_saturated": "Which of these codes the ADCs have limited.",
    "array_ready": "The array takes slots; high for a real one. Low holds the drivers up.",
}
"""Meaning of each port, or of all ports with the prefix."""

_PINS = (
    "rows_positive",
    "rows_negative",
    "columns_positive",
    "columns_negative",
    "slot_valid",
    "slot_last",
    "slot_down",
    "rows_level",
    "columns_level",
    "tile_row",
    "tile_column",
    "rank",
    "read_valid",
    "convert",
)
"""Pins that the line drivers drive."""


class Accelerator(wiring.Component):
    """The whole accelerator of `parameters`, with flat ports named as in `PORTS`.

    Words on the streams take `Parameters.stream_word_bytes` bytes each, lane 0 in the lowest; on
    the way out they are sign-extended, on the way in higher bits are ignored.

    With `trace`, for simulation, ports trace_... have the scalar unit's writes besides, see
    `scalar_unit.written_layout`.
    """

    def __init__(self, parameters: Parameters, *, trace: bool = False) -> None:
        self.parameters = p = parameters
        written = dict(written_layout(p)) if trace else {}
        self._traced = tuple(written)
        self._update = UpdateDriver(p)
        lite = lite_signature(RegisterMap.of(p).address_bits)
        stream = stream_signature(p.stream_bytes)
        pins: dict[str, Member] = {
            name: Out(self._update.signature.members[name].shape) for name in _PINS
        }
        super().__init__(
            flat_members("s_axil", lite.flip())
            | flat_members("s_axis", stream.flip())
            | flat_members("m_axis", stream)
            | pins
            | {
                "array_ready": In(1, init=1),
                "read_transposed": Out(1),
                "sensed": Out(sensed_bits(p)),
                "adc_valid": In(1),
                "adc_codes": In(code_beat(p)),
                "adc_saturated": In(p.adcs),
            }
            | {f"trace_{name}": Out(field.width) for name, field in written.items()}
        )

    def elaborate(self, platform: object) -> Module:
        """Connect registers, core and line drivers; collect errors."""
        m = Module()
        p = self.parameters
        m.submodules.registers = registers = RegisterFile(RegisterMap.of(p))
        m.submodules.core = core = Core(p)
        m.submodules.update = update = self._update
        connect_flat(m, self, "s_axil", registers.bus)
        for name in self._traced:
            m.d.comb += getattr(self, f"trace_{name}").eq(Value.cast(core.written[name]))

        # Streams: words in containers of whole bytes
        container = 8 * p.stream_word_bytes
        for lane in range(p.lanes):
            low = lane * container
            out = core.output.payload.words[lane]
            m.d.comb += [
                core.input.payload.words[lane].eq(self.s_axis_tdata[low : low + p.width]),
                self.m_axis_tdata[low : low + container].eq(out),
            ]
        m.d.comb += [
            core.input.payload.last.eq(self.s_axis_tlast),
            core.input.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(core.input.ready),
            self.m_axis_tlast.eq(core.output.payload.last),
            self.m_axis_tvalid.eq(core.output.valid),
            core.output.ready.eq(self.m_axis_tready),
        ]

        # Settings
        slots_min, slots_max = registers.slots_min_log2, registers.slots_max_log2
        most = p.max_slots.bit_length() - 1
        # Lines from the layer's first tile to the end of the grid; none if it lies outside.
        farthest = (1 << len(registers.tile_row)) - 1
        rows_left, columns_left = (
            Signal(range((grid - farthest) * lines, grid * lines + 1), name=name)
            for name, grid, lines in (
                ("rows_left", p.grid_rows, p.tile_rows),
                ("columns_left", p.grid_columns, p.tile_columns),
            )
        )
        m.d.sync += [
            rows_left.eq((p.grid_rows - registers.tile_row) * p.tile_rows),
            columns_left.eq((p.grid_columns - registers.tile_column) * p.tile_columns),
        ]
        m.d.sync += [
            core.tiles_valid.eq((registers.n <= rows_left) & (registers.m <= columns_left)),
            core.slots_valid.eq(
                (slots_min <= slots_max)
                & (slots_max <= most)
                & (registers.levels_scheme < len(SCHEMES))
            ),
        ]
        for name in ("m", "n", "k", "block", "blocks", "last"):
            m.d.comb += getattr(core, name).eq(getattr(registers, name))
        for name in ("load", "store", "update"):
            m.d.comb += getattr(core, name).eq(getattr(registers, f"mode_{name}"))
        for name in ("m", "n", "k", "seed"):
            m.d.comb += getattr(update, name).eq(getattr(registers, name))
        m.d.comb += [
            update.origin_row.eq(registers.tile_row),
            update.origin_column.eq(registers.tile_column),
            update.length_less_1.eq(registers.slot_timing_length_less_1),
            update.dead.eq(registers.slot_timing_dead),
            update.levels.eq(registers.levels_scheme),
            update.slots_min.eq(slots_min),
            update.slots_max.eq(slots_max),
            update.scrambled.eq(registers.mode_scrambled),
            core.carry.significand.eq(registers.carry_significand),
            core.carry.exponent.eq(registers.carry_exponent),
            core.rate.significand.eq(registers.rate_significand),
            core.rate.exponent.eq(registers.rate_exponent),
            core.vectors.eq(registers.vectors),
            core.read_settings.m.eq(registers.m),
            core.read_settings.n.eq(registers.n),
            core.read_settings.origin_row.eq(registers.tile_row),
            core.read_settings.origin_column.eq(registers.tile_column),
            registers.weight_significand_write.eq(core.finished),
            registers.weight_exponent_write.eq(core.finished),
        ]
        for name in ("transposed", "bit_serial", "dac_bits", "sum_bits"):
            m.d.comb += getattr(core.read_settings, name).eq(getattr(registers, f"read_{name}"))
        for c in range(p.max_rank):
            m.d.comb += [
                core.host_weight[c].significand.eq(registers.weight_significand[c]),
                core.host_weight[c].exponent.eq(registers.weight_exponent[c]),
                registers.weight_significand_next[c].eq(core.weight[c].significand),
                registers.weight_exponent_next[c].eq(core.weight[c].exponent),
                registers.scale_significand[c].eq(core.scale[c].significand),
                registers.scale_exponent[c].eq(core.scale[c].exponent),
            ]

        # Commands, status and errors
        busy = core.busy
        start, read = registers.control_start, registers.control_read
        # Of the cycle before, so that a command reaches everything that it begins.
        idle, started = Signal(), Signal()
        m.d.sync += [idle.eq(~registers.busy), started.eq(core.start | core.read)]
        aborting = Signal()  # by the command
        m.d.sync += aborting.eq(core.abort)
        done = Signal()
        with m.If(started | aborting):
            m.d.sync += done.eq(0)
        with m.Elif(core.finished | core.read_finished):
            m.d.sync += done.eq(1)
        m.d.sync += core.drain.eq(
            ~busy
            & (registers.error_packet_short | registers.error_packet_long | registers.error_aborted)
        )
        errors = [field.name for field in registers.map["ERROR"].fields]
        m.d.comb += [
            core.start.eq(start & idle),
            core.read.eq(read & ~start & idle),
            core.abort.eq(registers.control_abort & busy),
            # The next write is looked at while a command that starts is on its way.
            registers.busy.eq(busy | start | read),
            registers.status_busy.eq(busy),
            registers.status_done.eq(done),
            registers.status_error.eq(
                Cat(getattr(registers, f"error_{name}") for name in errors).any()
            ),
            registers.status_phase.eq(core.phase),
            registers.error_dimensions_set.eq(core.refused),
            registers.error_start_busy_set.eq(((start | read) & ~idle) | (start & read)),
            registers.error_packet_short_set.eq(core.packet_short),
            registers.error_packet_long_set.eq(core.packet_long),
            registers.error_aborted_set.eq(aborting),
            registers.error_write_set.eq(registers.bad_write),
            registers.error_adc_set.eq(core.unexpected),
            registers.cycles.eq(core.cycles),
            registers.phase_cycles.eq(core.phase_cycles),
            registers.multiply_cycles.eq(core.multiply_cycles),
            registers.saturations.eq(core.saturations),
            registers.clips.eq(update.clips),
            registers.pulses.eq(update.pulses),
            registers.slots_used.eq(update.slots),
            registers.adc_saturations.eq(core.adc_saturations),
            registers.sum_saturations.eq(core.sum_saturations),
        ]

        # Update driver
        kappa = core.update_scale[update.rank]
        m.d.comb += [
            update.start.eq(core.update_start),
            update.ready.eq(self.array_ready),
            update.abort.eq(core.aborting),
            core.update_done.eq(update.done),
            update.kappa.eq(kappa),
            core.fetch_delta.eq(update.fetch_delta),
            core.fetch_row.eq(update.fetch_row),
            core.fetch_column.eq(update.fetch_column),
            update.fetch_data.eq(core.fetch_data),
        ]
        m.d.comb += [getattr(self, name).eq(getattr(update, name)) for name in _PINS]

        # Reads
        wiring.connect(m, core.drive, update.read)
        m.d.comb += [
            self.read_transposed.eq(registers.read_transposed),
            self.sensed.eq(core.sensed),
            core.ready.eq(self.array_ready),
            core.convert.eq(update.convert),
            core.adc_valid.eq(self.adc_valid),
            core.adc_codes.eq(self.adc_codes),
            core.adc_saturated.eq(self.adc_saturated),
        ]
        update_cycles = Signal(32)
        with m.If(started):
            m.d.sync += update_cycles.eq(0)
        with m.Elif(update.busy):
            m.d.sync += update_cycles.eq(update_cycles + 1)
        m.d.comb += registers.update_cycles.eq(update_cycles)
        return m
