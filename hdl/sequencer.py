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
from hdl.scalar_programs import PROGRAMS, Name


class Phase(enum.Enum, shape=4):  # type: ignore[call-arg]
    """What the accelerator is doing, as STATUS reports it."""

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


class Sequencer(wiring.Component):
    """Runs one batch: load, norms, blocks, scales, update, store.

    `start` begins with the configuration at the ports, which must not change until `busy` falls.
    Dimensions outside the generated maxima pulse `refused` and nothing runs. Reset aborts.

    A block runs, for the activation factors and then for the error factors: PROJECT (with the
    HISTORY program meanwhile), ALIGN, ACCUMULATE, and for each rank DOT, COEFFICIENTS and, but for
    the last rank, SUBTRACT; the error factors add OVERLAP and the WEIGHT program. Nothing of a pass
    overlaps the next, so a block takes the cycles of its passes and programs added up.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = p = parameters
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
                "slots_valid": In(1),
                # Sizes for the other components
                "rows_n": Out(range(p.rows(p.max_n) + 1)),
                "rows_m": Out(range(p.rows(p.max_m) + 1)),
                "samples": Out(range(p.max_block + 1)),
                # Loader
                "loader_start": Out(1),
                "state_loaded": In(1),
                "full": In(2),
                "release": Out(2),
                # Datapath
                "pass_start": Out(1),
                "order": Out(pass_layout(p)),
                "pass_done": In(1),
                # Scalar unit
                "program_start": Out(1),
                "program": Out(range(len(PROGRAMS))),
                "side": Out(1),
                "first_column": Out(range(max(2, p.columns))),
                "program_done": In(1),
                # Update driver and sender
                "update_start": Out(1),
                "update_done": In(1),
                "sender_start": Out(1),
                "sender_busy": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """One state machine; a pass or a program is a state that starts it and waits."""
        m = Module()
        p = self.parameters
        side = Signal()
        column = Signal(range(max(2, p.columns)))
        bank = Signal()
        blocks_left = Signal(BLOCK_BITS)
        waiting = Signal()  # what the state began is under way
        programming = Signal()  # so is the program beside it
        lane_bits = ceil_log2(p.lanes)

        m.d.comb += [
            self.rows_n.eq((self.n + (p.lanes - 1)) >> lane_bits),
            self.rows_m.eq((self.m + (p.lanes - 1)) >> lane_bits),
            self.samples.eq(Mux(blocks_left == 1, self.last, self.block)),
            self.side.eq(side),
            self.order.side.eq(side),
            self.order.bank.eq(bank),
            self.order.column.eq(column),
            self.first_column.eq(column),
        ]
        block_rows = Signal(32)
        m.d.sync += block_rows.eq(self.block * (self.rows_n + self.rows_m))
        valid = (
            (self.m >= 1)
            & (self.m <= p.max_m)
            & (self.n >= 1)
            & (self.n <= p.max_n)
            & (self.k >= 1)
            & (self.k <= p.columns)
            & (self.k <= self.m)
            & (self.k <= self.n)
            & (self.block >= 1)
            & (self.block <= p.max_block)
            & (block_rows <= p.buffer_rows)
            & (self.last >= 1)
            & (self.last <= self.block)
            & self.slots_valid
        )
        last_column = column + 1 >= self.k

        def run_pass(state: str, phase: Any, kind: Kind, after: Callable[[], None]) -> None:
            """A state that runs one pass."""
            with m.State(state):
                m.d.comb += [
                    self.phase.eq(phase),
                    self.order.kind.eq(kind),
                    self.pass_start.eq(~waiting),
                ]
                m.d.sync += waiting.eq(1)
                with m.If(waiting & self.pass_done):
                    m.d.sync += waiting.eq(0)
                    after()

        def run_program(state: str, phase: Any, name: str, after: Callable[[], None]) -> None:
            """A state that runs one scalar program."""
            with m.State(state):
                m.d.comb += [
                    self.phase.eq(phase),
                    self.program.eq(Name[name]),
                    self.program_start.eq(~waiting),
                ]
                m.d.sync += waiting.eq(1)
                with m.If(waiting & self.program_done):
                    m.d.sync += waiting.eq(0)
                    after()

        def go(state: str) -> Callable[[], None]:
            def move() -> None:
                m.next = state

            return move

        m.d.comb += self.busy.eq(1)
        with m.FSM(name="sequence"):
            with m.State("IDLE"):
                m.d.comb += [self.busy.eq(0), self.phase.eq(Phase.IDLE)]
                m.d.sync += [waiting.eq(0), programming.eq(0), side.eq(0), column.eq(0), bank.eq(0)]
                m.d.sync += blocks_left.eq(self.blocks)
                with m.If(self.start):
                    m.next = "CHECK"
            with m.State("CHECK"):  # the second cycle sees the rows of a block
                m.d.comb += self.phase.eq(Phase.CHECK)
                m.d.sync += waiting.eq(1)
                with m.If(waiting):
                    m.d.sync += waiting.eq(0)
                    m.d.comb += [self.loader_start.eq(valid), self.refused.eq(~valid)]
                    m.next = "IDLE"
                    with m.If(valid):
                        m.next = "LOAD"
            with m.State("LOAD"):
                m.d.comb += self.phase.eq(Phase.LOAD)
                m.d.sync += waiting.eq(1)
                with m.If(waiting & self.state_loaded):
                    m.d.sync += waiting.eq(0)
                    m.next = "CARRY"
            run_program("CARRY", Phase.PREPARE, "CARRY", go("NORM"))
            run_pass("NORM", Phase.PREPARE, Kind.NORM, go("NORM_PROGRAM"))

            def after_norm() -> None:
                m.d.sync += side.eq(~side)
                m.next = "NORM"
                with m.If(side):
                    m.next = "WAIT"

            run_program("NORM_PROGRAM", Phase.PREPARE, "NORM", after_norm)
            with m.State("WAIT"):
                m.d.comb += self.phase.eq(Phase.WAIT)
                m.d.sync += waiting.eq(0)
                with m.If(blocks_left == 0):
                    m.next = "SCALE"
                with m.Elif(self.full.bit_select(bank, 1)):
                    m.next = "PROJECT"

            with m.State("PROJECT"):
                m.d.comb += [
                    self.phase.eq(Phase.PROJECT),
                    self.order.kind.eq(Kind.PROJECT),
                    self.pass_start.eq(~waiting & ~programming),
                    self.program.eq(Name["HISTORY"]),
                    self.program_start.eq(~waiting & ~programming),
                ]
                with m.If(self.pass_start):
                    m.d.sync += [waiting.eq(1), programming.eq(1)]
                with m.If(self.pass_done):
                    m.d.sync += waiting.eq(0)
                with m.If(self.program_done):
                    m.d.sync += programming.eq(0)
                pass_over = ~waiting | self.pass_done
                program_over = ~programming | self.program_done
                with m.If(~self.pass_start & pass_over & program_over):
                    m.d.sync += [waiting.eq(0), programming.eq(0)]
                    m.next = "ALIGN"
            run_program("ALIGN", Phase.PROJECT, "ALIGN", go("ACCUMULATE"))

            def after_accumulate() -> None:
                m.d.sync += column.eq(0)
                with m.If(side):
                    m.d.comb += self.release.bit_select(bank, 1).eq(1)
                m.next = "DOT"

            run_pass("ACCUMULATE", Phase.ACCUMULATE, Kind.ACCUMULATE, after_accumulate)
            run_pass("DOT", Phase.ORTHOGONALISE, Kind.DOT, go("COEFFICIENTS"))

            def after_coefficients() -> None:
                m.next = "SUBTRACT"
                with m.If(last_column):
                    m.d.sync += [column.eq(0), side.eq(1)]
                    m.next = "PROJECT"
                    with m.If(side):
                        m.next = "OVERLAP"

            run_program("COEFFICIENTS", Phase.ORTHOGONALISE, "COEFFICIENTS", after_coefficients)

            def after_subtract() -> None:
                m.d.sync += column.eq(column + 1)
                m.next = "DOT"

            run_pass("SUBTRACT", Phase.ORTHOGONALISE, Kind.SUBTRACT, after_subtract)
            run_pass("OVERLAP", Phase.WEIGH, Kind.OVERLAP, go("WEIGHT"))

            def after_weight() -> None:
                m.d.sync += [side.eq(0), bank.eq(~bank), blocks_left.eq(blocks_left - 1)]
                m.next = "WAIT"

            run_program("WEIGHT", Phase.WEIGH, "WEIGHT", after_weight)

            def after_scale() -> None:
                m.next = "STORE"
                with m.If(self.update):
                    m.next = "UPDATE"

            run_program("SCALE", Phase.FINISH, "SCALE", after_scale)
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

            # The last residuals become the factor: at once while their norm is taken for the
            # activations, after their overlap with the previous factor for the errors.
            committing = Mux(
                self.order.kind == Kind.DOT,
                ~side & last_column,
                self.order.kind == Kind.OVERLAP,
            )
            m.d.comb += self.order.commit.eq(committing)
        return m
