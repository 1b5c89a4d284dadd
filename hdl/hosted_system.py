"""A whole machine behind two streams of bytes: commands in, answers out."""

from amaranth import Module, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden_model.parameters import Parameters
from golden_model.twin import TwinSpec
from hdl.answer_merger import AnswerMerger
from hdl.axi import connect_flat
from hdl.board_registers import board_registers
from hdl.coincidence_counter import COUNTER_BITS, CoincidenceCounter
from hdl.link_executor import LinkExecutor
from hdl.lite_manager import LiteManager
from hdl.register_file import RegisterFile
from hdl.registers import RegisterMap
from hdl.system import System


class HostedSystem(wiring.Component):
    """`System`, on whose ports the commands of `golden_model.commands` are performed.

    Beside the accelerator's registers it has the board's (`board_registers`). `restart` makes it
    forget everything in the next cycle, all but the cells' conductances: accelerator, twin,
    registers, counters, and commands under way. In that cycle and in the next no byte goes out.

    `fault`, until `restart`: the twin has seen a fault, or a command was wrong.
    """

    def __init__(self, parameters: Parameters, spec: TwinSpec) -> None:
        self._parameters, self._spec = parameters, spec
        self._system = System(parameters, spec)
        super().__init__(
            {
                "commands": In(stream.Signature(8)),
                "answers": Out(stream.Signature(8)),
                "restart": In(1),
                "fault": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Connections, and the counters that only a board has."""
        m = Module()
        p, system = self._parameters, self._system
        registers = RegisterFile(board_registers(self._spec))
        executor = LinkExecutor(p, self._spec)
        manager = LiteManager(RegisterMap.of(p).address_bits, registers.map.address_bits)
        merger = AnswerMerger(p.stream_bytes)
        coincidences = CoincidenceCounter(p.tile_rows, p.tile_columns)
        forget = Signal()
        m.d.sync += forget.eq(self.restart)
        for name, part in {
            "system": system,
            "registers": registers,
            "executor": executor,
            "manager": manager,
            "merger": merger,
            "coincidences": coincidences,
        }.items():
            m.submodules[name] = ResetInserter(forget)(part)

        # Bytes
        quiet = self.restart | forget
        wiring.connect(m, executor.answers, merger.answers)
        m.d.comb += [
            executor.commands.payload.eq(self.commands.payload),
            executor.commands.valid.eq(self.commands.valid & ~quiet),
            self.commands.ready.eq(executor.commands.ready & ~quiet),
            self.answers.payload.eq(merger.output.payload),
            self.answers.valid.eq(merger.output.valid & ~quiet),
            merger.output.ready.eq(self.answers.ready & ~quiet),
        ]

        # Registers
        wiring.connect(m, executor.access, manager.access)
        wiring.connect(m, executor.response, manager.response)
        wiring.connect(m, manager.board, registers.bus)
        connect_flat(m, system, "s_axil", manager.accelerator)

        # Packets
        m.d.comb += [
            system.s_axis_tdata.eq(executor.beats.payload.data),
            system.s_axis_tlast.eq(executor.beats.payload.last),
            system.s_axis_tvalid.eq(executor.beats.valid),
            executor.beats.ready.eq(system.s_axis_tready),
            merger.beats.payload.data.eq(system.m_axis_tdata),
            merger.beats.payload.last.eq(system.m_axis_tlast),
            merger.beats.valid.eq(system.m_axis_tvalid),
            system.m_axis_tready.eq(merger.beats.ready),
        ]

        # The twin's host side
        m.d.comb += [
            system.request_valid.eq(executor.request.valid),
            executor.request.ready.eq(system.request_ready),
            system.request_command.eq(executor.request.payload.command),
            system.request_cell.eq(executor.request.payload.cell),
            system.request_word.eq(executor.request.payload.word),
            executor.cells.valid.eq(system.response_valid),
            system.response_ready.eq(executor.cells.ready),
            executor.cells.payload.as_value().eq(system.response_word),
            system.resolution.eq(registers.converters_resolution),
            system.shift.eq(registers.converters_shift),
            system.seed.eq(registers.seed),
            system.draw.eq(registers.control_draw),
            registers.status_idle.eq(system.idle),
        ]

        # Faults and counters
        cycles = Signal(COUNTER_BITS)
        m.d.sync += [
            cycles.eq(cycles + 1),
            self.fault.eq(system.faults.any() | executor.errors.any()),
        ]
        with m.If(forget):
            m.d.sync += [cycles.eq(0), self.fault.eq(0)]
        for register, flags in (("FAULTS", system.faults), ("ERRORS", executor.errors)):
            for field in registers.map[register].fields:
                port = getattr(registers, registers.map[register].port(field))
                m.d.comb += port.eq(flags[field.low])
        for name, counter in (("cycles", cycles), ("coincidences", coincidences.count)):
            m.d.comb += getattr(registers, name).as_value().eq(counter)
        for name in coincidences.signature.members:
            if name in system.lines:
                m.d.comb += getattr(coincidences, name).eq(getattr(system, name))
        return m
