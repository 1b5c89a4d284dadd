"""The program sequencer: what the scalar unit and the aligner do beside the passes of a batch."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden_model.parameters import Parameters
from hdl.loader import BLOCK_BITS
from hdl.scalar_programs import PROGRAMS, Name
from hdl.shapes import column_shape, group_shape


class ProgramSequencer(wiring.Component):
    """Runs the scalar programs of a batch in their order, each as soon as what it needs is there.

    `start`: CARRY; for each factor, when its last group's squares are `converted`, the norm unit
    and NORM for every rank (`normed` pulses after a factor); then for every block and factor

    - HISTORY for all ranks, and as the passes come to each group, the aligner when `projected`;
    - PIVOT for each rank, when `norm_done`;
    - for the error factors WEIGHT, when the last group's overlaps are `converted`;

    and SCALE in the end, after which `finished` is high until the next `start`.
    """

    def __init__(self, parameters: Parameters) -> None:
        p = parameters
        self._columns = p.columns
        super().__init__(
            {
                "start": In(1),
                "finished": Out(1),
                "blocks": In(BLOCK_BITS),
                "last_group": In(group_shape(p)),
                "last_column": In(column_shape(p)),
                "normed": Out(1),
                # Datapath and aligner
                "projected": In(1),
                "align_start": Out(1),
                "align_group": Out(group_shape(p)),
                # Orthogonaliser
                "norm_start": Out(1),
                "norm_done": In(1),
                "converted": In(1),
                # Scalar unit
                "program_start": Out(1),
                "program": Out(range(len(PROGRAMS))),
                "program_side": Out(1),
                "program_single": Out(1),
                "program_group": Out(group_shape(p)),
                "program_column": Out(column_shape(p)),
                "program_done": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """One state machine; flags keep what comes before it is waited for."""
        m = Module()
        side = Signal()
        group, column = Signal.like(self.last_group), Signal.like(self.last_column)
        blocks_left = Signal(BLOCK_BITS)
        waiting = Signal()  # what the state began is under way
        projected, normed, converted = Signal(), Signal(), Signal()
        last_rank = (group == self.last_group) & (column == self.last_column)
        m.d.comb += [
            self.program_side.eq(side),
            self.program_group.eq(group),
            self.program_column.eq(column),
            self.align_group.eq(group),
        ]
        for flag, event in (
            (projected, self.projected),
            (normed, self.norm_done),
            (converted, self.converted),
        ):
            with m.If(event):
                m.d.sync += flag.eq(1)

        def program(name: str) -> Signal:
            """Run a program; high when it is done."""
            m.d.comb += [self.program.eq(Name[name]), self.program_start.eq(~waiting)]
            m.d.sync += waiting.eq(~self.program_done)
            return self.program_done

        def first_rank() -> None:
            m.d.sync += [group.eq(0), column.eq(0)]

        def next_rank() -> None:
            m.d.sync += column.eq(column + 1)
            with m.If(column == self._columns - 1):
                m.d.sync += [column.eq(0), group.eq(group + 1)]

        with m.FSM():
            with m.State("IDLE"), m.If(self.start):
                m.d.sync += [self.finished.eq(0), blocks_left.eq(self.blocks), side.eq(0)]
                m.d.sync += [projected.eq(0), normed.eq(0), converted.eq(0), waiting.eq(0)]
                first_rank()
                m.next = "CARRY"
            with m.State("CARRY"), m.If(program("CARRY")):
                m.next = "SQUARES"
            with m.State("SQUARES"), m.If(converted):
                m.d.sync += converted.eq(0)
                m.next = "ROOT"
            with m.State("ROOT"):
                m.d.comb += self.norm_start.eq(~waiting)
                m.d.sync += waiting.eq(1)
                with m.If(normed):
                    m.d.sync += [normed.eq(0), waiting.eq(0)]
                    m.next = "NORM"
            with m.State("NORM"):
                m.d.comb += self.program_single.eq(1)
                with m.If(program("NORM")):
                    next_rank()
                    m.next = "ROOT"
                    with m.If(last_rank):
                        first_rank()
                        m.d.comb += self.normed.eq(1)
                        m.d.sync += side.eq(~side)
                        m.next = "SQUARES"
                        with m.If(side):
                            m.next = "BLOCK"
            with m.State("BLOCK"):
                m.next = "HISTORY"
                with m.If(blocks_left == 0):
                    m.next = "SCALE"
            with m.State("HISTORY"), m.If(program("HISTORY")):
                m.next = "ALIGN"
            with m.State("ALIGN"), m.If(projected):
                m.d.comb += self.align_start.eq(1)
                m.d.sync += [projected.eq(0), group.eq(group + 1)]
                with m.If(group == self.last_group):
                    first_rank()
                    m.next = "ROOT_OF_PIVOT"
            with m.State("ROOT_OF_PIVOT"), m.If(normed):
                m.d.sync += normed.eq(0)
                m.next = "PIVOT"
            with m.State("PIVOT"):
                m.d.comb += self.program_single.eq(1)
                with m.If(program("PIVOT")):
                    next_rank()
                    m.next = "ROOT_OF_PIVOT"
                    with m.If(last_rank):
                        first_rank()
                        m.d.sync += side.eq(1)
                        m.next = "HISTORY"
                        with m.If(side):
                            m.next = "OVERLAPS"
            with m.State("OVERLAPS"), m.If(converted):
                m.d.sync += converted.eq(0)
                m.next = "WEIGHT"
            with m.State("WEIGHT"), m.If(program("WEIGHT")):
                m.d.sync += [side.eq(0), blocks_left.eq(blocks_left - 1)]
                m.next = "BLOCK"
            with m.State("SCALE"), m.If(program("SCALE")):
                m.d.sync += self.finished.eq(1)
                m.next = "IDLE"
        return m
