"""The core: everything between the registers and the line drivers."""

from amaranth import Module, Mux, ResetInserter, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden_model.parameters import Parameters
from hdl.aligner import Aligner
from hdl.datapath import Datapath
from hdl.loader import BLOCK_BITS, Loader, beat_layout
from hdl.orthogonaliser import Orthogonaliser
from hdl.read_walk import read_settings
from hdl.reader import VECTOR_BITS, Reader
from hdl.scalar_unit import ScalarUnit, written_layout
from hdl.sender import Sender
from hdl.sequencer import Phase, Sequencer
from hdl.shapes import SCALAR, word_row
from hdl.sum_sender import sent_layout

_READER_PORTS = (
    "adc_saturations",
    "sum_saturations",
    "ready",
    "drive",
    "convert",
    "sensed",
    "adc_valid",
    "adc_codes",
    "adc_saturated",
    "unexpected",
)
"""Ports of the reader that are the core's."""


class Core(wiring.Component):
    """SBPCA of one batch: packets in, factors and scalars out, bit for bit as `golden_model.fixed`.
    Reads: vectors in, sums out, as `golden_model.reads` (`Reader`).

    `start` begins a batch, `read` a run of reads; neither may come while `busy`, nor both at once.
    The configuration must not change while `busy`. A cycle after `abort`, in `aborting`, everything
    stops, except that a packet on its way out is finished; a malformed packet aborts likewise and
    pulses one of `packet_short` and `packet_long` meanwhile. The next start may come in the second
    cycle after that. `drain` discards input while idle. `weight`, `scale` and `update_scale` hold
    from the end of a batch (`finished`) to the next `start`; `read_finished` tells the end of
    reads. `slots_valid` and `tiles_valid` tell, from the second cycle after a start on, that the
    bounds of slots are in order, and that the layer lies within the grid. `written` has the scalar
    unit's writes, for a trace.

    Counters of the last run: `cycles` busy, `phase_cycles` of them in each `Phase`,
    `multiply_cycles` in which the array took a step, `saturations` of words.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = p = parameters
        rows = range(p.rows(p.max_dimension))
        columns = range(max(2, p.max_rank))
        scalars = data.ArrayLayout(SCALAR, p.max_rank)
        self._reader = reader = Reader(p)
        super().__init__(
            {
                "input": In(stream.Signature(beat_layout(p))),
                "output": Out(stream.Signature(sent_layout(p))),
                "start": In(1),
                "read": In(1),
                "abort": In(1),
                "drain": In(1),
                "m": In(16),
                "n": In(16),
                "k": In(16),
                "block": In(16),
                "blocks": In(BLOCK_BITS),
                "last": In(16),
                "load": In(1),
                "store": In(1),
                "update": In(1),
                "slots_valid": In(1),
                "tiles_valid": In(1),
                "carry": In(SCALAR),
                "rate": In(SCALAR),
                "host_weight": In(scalars),
                "busy": Out(1),
                "finished": Out(1),
                "read_finished": Out(1),
                "refused": Out(1),
                "packet_short": Out(1),
                "packet_long": Out(1),
                "aborting": Out(1),
                "phase": Out(Phase),
                "weight": Out(scalars),
                "scale": Out(scalars),
                "update_scale": Out(scalars),
                "cycles": Out(32),
                "phase_cycles": Out(data.ArrayLayout(32, len(Phase.__members__))),
                "multiply_cycles": Out(32),
                "saturations": Out(32),
                "written": Out(written_layout(p)),
                # Update driver
                "update_start": Out(1),
                "update_done": In(1),
                "fetch_delta": In(1),
                "fetch_row": In(rows),
                "fetch_column": In(columns),
                "fetch_data": Out(word_row(p)),
                # Reads
                "read_settings": In(read_settings(p)),
                "vectors": In(VECTOR_BITS),
                **{name: reader.signature.members[name] for name in _READER_PORTS},
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Wire the components together; the sequencer conducts."""
        m = Module()
        loader = Loader(self.parameters)
        datapath = Datapath(self.parameters)
        scalars = ScalarUnit(self.parameters)
        aligner = Aligner(self.parameters)
        orthogonaliser = Orthogonaliser(self.parameters)
        sequencer = Sequencer(self.parameters)
        sender = Sender(self.parameters)
        reader = self._reader
        # Registers, as they go to most of the machine. What the sequencer conducts is reset a cycle
        # after it.
        aborted = Signal()
        failing = (loader.failing | reader.failing) & ~self.aborting
        m.d.sync += [self.aborting.eq(self.abort | failing), aborted.eq(self.aborting)]
        aborting, following = ResetInserter(self.aborting), ResetInserter(aborted)
        m.submodules.loader = aborting(loader)
        m.submodules.datapath = following(datapath)
        m.submodules.scalar_unit = following(scalars)
        m.submodules.aligner = following(aligner)
        m.submodules.orthogonaliser = following(orthogonaliser)
        m.submodules.sequencer = aborting(sequencer)
        m.submodules.sender = sender
        m.submodules.reader = reader
        m.d.comb += [
            self.busy.eq(sequencer.busy | sender.busy | reader.busy),
            self.finished.eq(sequencer.finished),
            self.read_finished.eq(reader.finished),
            self.refused.eq(sequencer.refused | reader.refused),
            self.phase.eq(Mux(reader.busy, reader.phase, sequencer.phase)),
            self.packet_short.eq(loader.short | reader.short),
            self.packet_long.eq(loader.long | reader.long),
            sequencer.start.eq(self.start),
            sequencer.pulses_valid.eq(self.slots_valid & self.tiles_valid),
            sequencer.state_loaded.eq(loader.state_loaded),
            sequencer.full.eq(loader.full),
            sequencer.sender_busy.eq(sender.busy),
            sequencer.update_done.eq(self.update_done),
            self.update_start.eq(sequencer.update_start),
            loader.start.eq(sequencer.loader_start),
            loader.drain.eq(self.drain),
            loader.release.eq(datapath.release),
            datapath.start.eq(sequencer.pass_start),
            datapath.order.eq(sequencer.order),
            datapath.samples.eq(sequencer.samples),
            sequencer.pass_ready.eq(datapath.ready),
            sequencer.settled.eq(datapath.settled),
            sequencer.settled_group.eq(datapath.settled_group),
            sequencer.projected.eq(datapath.projected),
            sequencer.aligned.eq(aligner.ready),
            sequencer.coefficients_ready.eq(orthogonaliser.ready),
            sequencer.coefficients_group.eq(orthogonaliser.ready_group),
            sequencer.norm_done.eq(orthogonaliser.norm_done),
            sequencer.converted.eq(orthogonaliser.converted),
            sequencer.program_done.eq(scalars.done),
            self.written.eq(scalars.written),
            scalars.start.eq(sequencer.program_start),
            scalars.program.eq(sequencer.program),
            scalars.side.eq(sequencer.program_side),
            scalars.single.eq(sequencer.program_single),
            scalars.group.eq(sequencer.program_group),
            scalars.column.eq(sequencer.program_column),
            sender.start.eq(sequencer.sender_start),
        ]
        for name in ("m", "n", "k", "block", "blocks", "last", "load", "store", "update"):
            m.d.comb += getattr(sequencer, name).eq(getattr(self, name))
        for name in ("m", "n", "block", "blocks", "last", "load"):
            m.d.comb += getattr(loader, name).eq(getattr(self, name))
        m.d.comb += [unit.ranks.eq(self.k) for unit in (loader, sender)]
        for unit in (loader, datapath, sender):
            m.d.comb += [
                unit.rows_n.eq(sequencer.rows_n),
                unit.rows_m.eq(sequencer.rows_m),
            ]

        # Of loader and reader one runs at most, and the other takes and sends nothing.
        from_sender, from_reader = sender.output, reader.output
        m.d.comb += [
            reader.start.eq(self.read),
            reader.abort.eq(self.aborting),
            reader.settings.eq(self.read_settings),
            reader.vectors.eq(self.vectors),
            reader.sizes_valid.eq(sequencer.sizes_valid & self.tiles_valid),
            loader.input.payload.eq(self.input.payload),
            loader.input.valid.eq(self.input.valid),
            reader.input.payload.eq(self.input.payload),
            reader.input.valid.eq(self.input.valid),
            self.input.ready.eq(reader.input.ready | loader.input.ready),
            self.output.valid.eq(from_sender.valid | from_reader.valid),
            self.output.payload.last.eq(
                Mux(from_reader.valid, from_reader.payload.last, from_sender.payload.last)
            ),
            from_sender.ready.eq(self.output.ready),
            from_reader.ready.eq(self.output.ready),
        ]
        for sent, sums, words in zip(
            self.output.payload.words,
            from_reader.payload.words,
            from_sender.payload.words,
            strict=True,
        ):
            m.d.comb += sent.eq(Mux(from_reader.valid, sums, words))
        for name in _READER_PORTS:
            port = getattr(reader, name)
            if name == "drive":
                wiring.connect(m, port, wiring.flipped(self.drive))
            elif reader.signature.members[name].flow == In:
                m.d.comb += port.eq(getattr(self, name))
            else:
                m.d.comb += getattr(self, name).eq(port)

        # Memories are filled by the loader and read by the sender or the update driver.
        for name in ("buffer_write", "buffer_address", "write_data"):
            m.d.comb += getattr(datapath, name).eq(getattr(loader, name))
        for name in ("factor_write", "factor_delta", "factor_row", "factor_column"):
            m.d.comb += getattr(datapath, name).eq(getattr(loader, name))
        for name in ("fetch_delta", "fetch_row", "fetch_column"):
            m.d.comb += getattr(datapath, name).eq(
                Mux(sender.busy, getattr(sender, name), getattr(self, name))
            )
        m.d.comb += [unit.fetch_data.eq(datapath.fetch_data) for unit in (sender, self)]

        # Scalars
        for unit in (scalars, orthogonaliser):
            m.d.comb += [
                unit.last_group.eq(sequencer.last_group),
                unit.last_column.eq(sequencer.last_column),
            ]
        rank_group, rank_column = scalars.rank_group, scalars.rank_column
        m.d.comb += [
            orthogonaliser.start.eq(datapath.dots_valid),
            orthogonaliser.dots.eq(datapath.dots),
            orthogonaliser.first.eq(datapath.dots_first),
            orthogonaliser.tag.eq(datapath.dots_tag),
            orthogonaliser.norm.eq(sequencer.norm_start),
            orthogonaliser.norm_group.eq(sequencer.program_group),
            orthogonaliser.norm_column.eq(sequencer.program_column),
            orthogonaliser.read_group.eq(rank_group),
            orthogonaliser.read_column.eq(rank_column),
            aligner.start.eq(sequencer.align_start),
            aligner.group.eq(sequencer.align_group),
            aligner.magnitude.eq(datapath.magnitude),
            aligner.write.eq(scalars.history_write),
            aligner.write_group.eq(rank_group),
            aligner.write_column.eq(rank_column),
            aligner.write_data.eq(scalars.result),
            datapath.history.eq(aligner.history),
            datapath.projection_bits.eq(aligner.projection_bits),
            datapath.coefficient.eq(orthogonaliser.coefficient),
            datapath.fraction_bits.eq(orthogonaliser.fraction_bits),
            scalars.overlap.eq(orthogonaliser.scalar),
            scalars.overlap_negative.eq(orthogonaliser.negative),
            scalars.square.eq(orthogonaliser.square),
            scalars.root.eq(orthogonaliser.root),
            scalars.carry.eq(self.carry),
            scalars.rate.eq(self.rate),
        ]
        # An instruction reads them no earlier than in its second cycle.
        m.d.sync += [
            scalars.residual.eq(
                datapath.exponent[rank_group][rank_column] + aligner.shift[rank_group][rank_column]
            ),
            scalars.vanished.eq(datapath.vanished[rank_group][rank_column]),
        ]
        for rank in range(self.parameters.max_rank):
            group, column = divmod(rank, self.parameters.columns)
            m.d.comb += [
                scalars.host_weight[group][column].eq(self.host_weight[rank]),
                self.weight[rank].eq(scalars.weight[group][column]),
                self.scale[rank].eq(scalars.scale[group][column]),
                self.update_scale[rank].eq(scalars.update[group][column]),
            ]

        # Counters, a cycle behind
        started = Signal()
        counted = Signal()
        multiplied = Signal()
        counted_phase = Signal.like(self.phase)
        saturated = Signal(range(1 << (len(datapath.saturations) + 1)))
        m.d.sync += [
            started.eq(self.start | self.read),
            counted.eq(self.busy),
            counted_phase.eq(self.phase),
            multiplied.eq(datapath.multiplying),
            saturated.eq(datapath.saturations + orthogonaliser.saturated),
        ]
        with m.If(started):
            m.d.sync += [self.cycles.eq(0), self.multiply_cycles.eq(0), self.saturations.eq(0)]
            m.d.sync += [count.eq(0) for count in self.phase_cycles]
        with m.Else():
            for phase, count in zip(Phase, self.phase_cycles, strict=True):
                m.d.sync += count.eq(count + (counted & (counted_phase == phase)))
            m.d.sync += [
                self.cycles.eq(self.cycles + counted),
                self.multiply_cycles.eq(self.multiply_cycles + multiplied),
                self.saturations.eq(self.saturations + saturated),
            ]
        return m
