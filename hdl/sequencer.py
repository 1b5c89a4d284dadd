"""The sequencer: the passes and scalar programs of a batch, in their order."""

from collections.abc import Callable
from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from golden_model.parameters import Parameters
from hdl.loader import BLOCK_BITS
from hdl.passes import Kind, pass_layout
from hdl.program_sequencer import ProgramSequencer
from hdl.shapes import column_shape, group_shape


class Phase(enum.Enum, shape=4):  # type: ignore[call-arg]
    """What the accelerator is doing, as STATUS reports it: the pass that it is at, or waits for."""

    IDLE = 0
    CHECK = 1
    LOAD = 2
    PREPARE = 3
    WAIT = 4
    PROJECT = 5
    ACCUMULATE = 6
    ORTHOGONALISE = 7
    WEIGH = 8
    FINISH = 9
    UPDATE = 10
    STORE = 11
    READ = 12


class Sequencer(wiring.Component):
    """Runs one batch: load, norms, blocks, scales, update, store.

    `start` begins with the configuration at the ports, which must not change until `busy` falls.
    Dimensions outside the generated maxima, or settings of the pulses that are not valid in the
    second cycle, pulse `refused` and nothing runs. Reset aborts. The sizes follow the configuration
    a cycle later.

    A block runs, for the activation factors and then for the error factors: PROJECT and ACCUMULATE
    for each group of ranks; for each rank, the pivot, DOT with its group and each later one, and
    SUBTRACT from each group with a later rank; the error factors add OVERLAP for each group. Passes
    enter the datapath in this order and without a gap, but that ACCUMULATE waits for its group's
    `aligned`, DOT for `settled` and SUBTRACT for `coefficients_ready` of theirs. Scalar programs
    run beside them: `hdl.program_sequencer`.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = p = parameters
        self._programs = programs = ProgramSequencer(p)
        program_ports = {
            name: programs.signature.members[name]
            for name in (
                "projected", "align_start", "align_group", "norm_start", "norm_done", "converted",
                "program_start", "program", "program_side", "program_single", "program_group",
                "program_column", "program_done",
            )
        }  # fmt: skip
        super().__init__(
            {
                "start": In(1),
                "busy": Out(1),
                "finished": Out(1),
                "refused": Out(1),
                "phase": Out(Phase),
                # Configuration
                "m": In(16),
                "n": In(16),
                "k": In(16),
                "block": In(16),
                "blocks": In(BLOCK_BITS),
                "last": In(16),
                "load": In(1),
                "store": In(1),
                "update": In(1),
                "pulses_valid": In(1),
                # Sizes for the other components; `sizes_valid`: m and n are within the maxima
                "sizes_valid": Out(1),
                "rows_n": Out(range(p.rows(p.max_n) + 1)),
                "rows_m": Out(range(p.rows(p.max_m) + 1)),
                "samples": Out(range(p.max_block + 1)),
                "last_group": Out(group_shape(p)),
                "last_column": Out(column_shape(p)),
                # Loader
                "loader_start": Out(1),
                "state_loaded": In(1),
                "full": In(2),
                # Datapath
                "pass_start": Out(1),
                "pass_ready": In(1),
                "order": Out(pass_layout(p)),
                "settled": In(1),
                "settled_group": In(group_shape(p)),
                "aligned": In(1),
                "coefficients_ready": In(1),
                "coefficients_group": In(group_shape(p)),
                # Scalar unit, aligner, orthogonaliser
                **program_ports,
                # Update driver and sender
                "update_start": Out(1),
                "update_done": In(1),
                "sender_start": Out(1),
                "sender_busy": In(1),
            }
        )
        self._program_ports = tuple(program_ports)

    def elaborate(self, platform: object) -> Module:
        """One state machine, a state a kind of pass; flags tell what has come to stand."""
        m = Module()
        p = self.parameters
        m.submodules.programs = programs = self._programs
        groups = p.groups(p.max_rank)
        side = Signal()
        bank = Signal()
        group = Signal(group_shape(p))
        pivot_group = Signal(group_shape(p))
        pivot = Signal(column_shape(p))
        blocks_left = Signal(BLOCK_BITS)
        checked = Signal()
        waiting = Signal()  # what the state began is under way
        for name in self._program_ports:
            inner, outer = getattr(programs, name), getattr(self, name)
            flows_out = programs.signature.members[name].flow == Out
            m.d.comb += outer.eq(inner) if flows_out else inner.eq(outer)

        valid = self._sizes(m, blocks_left)
        last_group = self.last_group
        last_rank = (pivot_group == last_group) & (pivot == self.last_column)
        group_end = group == last_group
        next_group = Mux(pivot == p.columns - 1, pivot_group + 1, pivot_group)

        # Flags: what passes wait for
        settled = Signal(groups, name="settled_groups")
        ready = Signal(groups, name="ready_groups")
        aligned = Signal(name="group_aligned")
        with m.If(self.settled):
            m.d.sync += settled.bit_select(self.settled_group, 1).eq(1)
        with m.If(self.coefficients_ready):
            m.d.sync += ready.bit_select(self.coefficients_group, 1).eq(1)
        with m.If(self.aligned):
            m.d.sync += aligned.eq(1)

        accepted = Signal()
        order = self.order
        active = Signal(p.columns)
        is_pivot_group = group == pivot_group
        from_pivot = Signal(p.columns)  # the pivot and later columns of its group
        ones = (1 << p.columns) - 1
        m.d.comb += [
            active.eq(Mux(group_end, ~(~1 << self.last_column), ones)),
            from_pivot.eq(Mux(is_pivot_group, ones << pivot, ones)),
            accepted.eq(self.pass_start & self.pass_ready),
            order.side.eq(side),
            order.group.eq(group),
            order.columns.eq(active),
            order.in_group.eq(is_pivot_group),
            order.pivot.eq(pivot),
            order.last_rank.eq(last_rank),
            order.bank.eq(bank),
            programs.blocks.eq(self.blocks),
            programs.last_group.eq(last_group),
            programs.last_column.eq(self.last_column),
        ]

        def run_pass(phase: Any, kind: Kind, when: object, after: Callable[[], None]) -> None:
            """Start a pass `when` it may; `after` it was taken."""
            m.d.comb += [self.phase.eq(phase), order.kind.eq(kind), self.pass_start.eq(when)]
            with m.If(accepted):
                after()

        def each_group(state: str, then: Callable[[], None]) -> Callable[[], None]:
            """After the pass over a group: the next group in `state`, or after the last, `then`."""

            def move() -> None:
                m.d.sync += group.eq(group + 1)
                m.next = state
                with m.If(group_end):
                    m.d.sync += group.eq(0)
                    then()

            return move

        m.d.comb += self.busy.eq(1)
        with m.FSM(name="sequence"):
            with m.State("IDLE"):
                m.d.comb += [self.busy.eq(0), self.phase.eq(Phase.IDLE)]
                m.d.sync += [checked.eq(0), waiting.eq(0), side.eq(0), bank.eq(0)]
                m.d.sync += [group.eq(0), pivot_group.eq(0), pivot.eq(0)]
                m.d.sync += [settled.eq(0), ready.eq(0), aligned.eq(0)]
                m.d.sync += blocks_left.eq(self.blocks)
                with m.If(self.start):
                    m.next = "CHECK"
            with m.State("CHECK"):  # rows, then rows of a block, then whether they are valid
                m.d.comb += self.phase.eq(Phase.CHECK)
                m.d.sync += [checked.eq(1), waiting.eq(checked)]
                with m.If(waiting):
                    m.d.sync += waiting.eq(0)
                    m.d.comb += [self.loader_start.eq(valid), self.refused.eq(~valid)]
                    m.next = "IDLE"
                    with m.If(valid):
                        m.d.comb += programs.start.eq(1)
                        m.next = "LOAD"
            with m.State("LOAD"):
                m.d.comb += self.phase.eq(Phase.LOAD)
                m.d.sync += waiting.eq(1)
                with m.If(waiting & self.state_loaded):
                    m.d.sync += waiting.eq(0)
                    m.next = "NORM"

            def after_norms() -> None:
                m.next = "NORMED"

            with m.State("NORM"):
                run_pass(Phase.PREPARE, Kind.NORM, 1, each_group("NORM", after_norms))
            with m.State("NORMED"):
                m.d.comb += self.phase.eq(Phase.PREPARE)
                with m.If(programs.normed):
                    m.d.sync += side.eq(~side)
                    m.next = "NORM"
                    with m.If(side):
                        m.next = "WAIT"
            with m.State("WAIT"):
                m.d.comb += self.phase.eq(Phase.WAIT)
                with m.If(blocks_left == 0):
                    m.next = "FINISH"
                with m.Elif(self.full.bit_select(bank, 1)):
                    m.next = "PROJECT"

            def after_project() -> None:
                m.d.sync += aligned.eq(0)
                m.next = "ACCUMULATE"

            with m.State("PROJECT"):
                run_pass(Phase.PROJECT, Kind.PROJECT, 1, after_project)

            def after_last_accumulate() -> None:
                m.d.sync += [pivot_group.eq(0), pivot.eq(0)]
                m.next = "DOT"

            def after_accumulate() -> None:
                m.d.sync += settled.bit_select(group, 1).eq(0)
                each_group("PROJECT", after_last_accumulate)()

            with m.State("ACCUMULATE"):
                m.d.comb += order.release.eq(side & group_end)
                run_pass(Phase.ACCUMULATE, Kind.ACCUMULATE, aligned, after_accumulate)

            def after_dot() -> None:
                m.d.sync += [ready.bit_select(group, 1).eq(0), group.eq(group + 1)]
                m.next = "DOT"
                with m.If(group_end):
                    m.d.sync += group.eq(next_group)
                    m.next = "SUBTRACT"
                    with m.If(last_rank):
                        m.d.sync += [group.eq(0), side.eq(1)]
                        m.next = "PROJECT"
                        with m.If(side):
                            m.next = "OVERLAP"

            with m.State("DOT"):
                m.d.comb += order.columns.eq(active & from_pivot)
                run_pass(Phase.ORTHOGONALISE, Kind.DOT, settled.bit_select(group, 1), after_dot)

            def after_subtract() -> None:
                m.d.sync += [settled.bit_select(group, 1).eq(0), group.eq(group + 1)]
                m.next = "SUBTRACT"
                with m.If(group_end):
                    m.d.sync += [
                        group.eq(next_group),
                        pivot_group.eq(next_group),
                        pivot.eq(Mux(pivot == p.columns - 1, 0, pivot + 1)),
                    ]
                    m.next = "DOT"

            with m.State("SUBTRACT"):
                m.d.comb += order.columns.eq(active & Mux(is_pivot_group, from_pivot << 1, ones))
                run_pass(
                    Phase.ORTHOGONALISE,
                    Kind.SUBTRACT,
                    ready.bit_select(group, 1),
                    after_subtract,
                )

            def after_overlaps() -> None:
                m.d.sync += [side.eq(0), bank.eq(~bank), blocks_left.eq(blocks_left - 1)]
                m.next = "WAIT"

            with m.State("OVERLAP"):
                run_pass(Phase.WEIGH, Kind.OVERLAP, 1, each_group("OVERLAP", after_overlaps))

            with m.State("FINISH"):
                m.d.comb += self.phase.eq(Phase.FINISH)
                with m.If(programs.finished):
                    m.next = "STORE"
                    with m.If(self.update):
                        m.next = "UPDATE"
            with m.State("UPDATE"):
                m.d.comb += [self.phase.eq(Phase.UPDATE), self.update_start.eq(~waiting)]
                m.d.sync += waiting.eq(1)
                with m.If(waiting & self.update_done):
                    m.d.sync += waiting.eq(0)
                    m.next = "STORE"
            with m.State("STORE"):
                m.d.comb += [
                    self.phase.eq(Phase.STORE),
                    self.sender_start.eq(self.store & ~waiting),
                ]
                m.d.sync += waiting.eq(1)
                with m.If(waiting & ~self.sender_busy):
                    m.d.sync += waiting.eq(0)
                    m.d.comb += self.finished.eq(1)
                    m.next = "IDLE"
        return m

    def _sizes(self, m: Module, blocks_left: Signal) -> Signal:
        """Drive what follows from the configuration; whether it is one that can run."""
        p = self.parameters
        lane_bits = ceil_log2(p.lanes)
        block_rows = Signal(32, reset_less=True)
        ranks_valid = Signal()
        samples_valid = Signal()
        valid = Signal()
        m.d.sync += [
            self.rows_n.eq((self.n + (p.lanes - 1)) >> lane_bits),
            self.rows_m.eq((self.m + (p.lanes - 1)) >> lane_bits),
            block_rows.eq(self.block * (self.rows_n + self.rows_m)),
            self.sizes_valid.eq(
                (self.m >= 1) & (self.m <= p.max_m) & (self.n >= 1) & (self.n <= p.max_n)
            ),
            ranks_valid.eq(
                (self.k >= 1) & (self.k <= p.max_rank) & (self.k <= self.m) & (self.k <= self.n)
            ),
            samples_valid.eq(
                (self.block >= 1)
                & (self.block <= p.max_block)
                & (self.last >= 1)
                & (self.last <= self.block)
            ),
            valid.eq(
                self.sizes_valid
                & ranks_valid
                & samples_valid
                & (block_rows <= p.buffer_rows)
                & self.pulses_valid
            ),
        ]
        final_block = Signal()
        m.d.sync += final_block.eq(blocks_left == 1)
        m.d.comb += self.samples.eq(Mux(final_block, self.last, self.block))
        with m.Switch(self.k):
            for k in range(1, p.max_rank + 1):
                with m.Case(k):
                    m.d.sync += [
                        self.last_group.eq((k - 1) // p.columns),
                        self.last_column.eq((k - 1) % p.columns),
                    ]
        return valid
