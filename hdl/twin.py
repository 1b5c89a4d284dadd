"""The digital twin of a crossbar: an array of cells in block memory, with the array's own pins."""

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from golden_model.random_bits import WARM_UP_ROUNDS, WORD_BITS
from golden_model.twin import DRAW_ROUNDS, TwinSpec
from hdl import twin_lane
from hdl.random_bits import Mixer
from hdl.twin_draw import CellDraw
from hdl.twin_lane import CellLane, Command, cell_layout
from hdl.twin_queue import SlotQueue
from hdl.twin_walk import RowWalk

SETTLE_CYCLES = twin_lane.LATENCY - 1
"""Clock cycles for which the lanes finish what they have begun."""

SLOT_OVERHEAD = SETTLE_CYCLES + 2
"""Clock cycles that a slot takes beside those of its groups of cells."""

ACCESS_CYCLES = SETTLE_CYCLES + 2
"""Clock cycles from a request to the next, READ's answer not counted."""


def cell_count(spec: TwinSpec) -> int:
    """Cells of all tiles."""
    return spec.tiles * spec.rows * spec.columns


def slot_cycles(spec: TwinSpec, fired_rows: int, fired_columns: int) -> int:
    """Clock cycles that a slot keeps the twin busy: only rows that fire are visited."""
    if not fired_rows or not fired_columns:
        return 0
    return fired_rows * (spec.columns // spec.cells_per_cycle) + SLOT_OVERHEAD


def draw_cycles(spec: TwinSpec) -> int:
    """Clock cycles that a draw keeps the twin busy."""
    return 1 + WARM_UP_ROUNDS + cell_count(spec) * (DRAW_ROUNDS + SETTLE_CYCLES + 1)


def request_layout(spec: TwinSpec) -> data.StructLayout:
    """A host's request: what to do to which cell, and with which word."""
    return data.StructLayout(
        {"command": Command, "cell": range(cell_count(spec)), "word": cell_layout(spec)}
    )


class State(enum.Enum):
    """What the twin is doing."""

    IDLE = 0
    SWEEP = 1
    WARM_UP = 2
    DRAW = 3
    ACCESS = 4
    SETTLE = 5
    RESPOND = 6


class CrossbarTwin(wiring.Component):
    """A grid of crossbar tiles that answers line drivers as devices would, cell by cell.

    The pins are those of a real array: in a slot's last cycle the four vectors of lines say which
    of them fire, with which polarity, on the tile that `tile_row` and `tile_column` select. A
    cell whose row and column both fire is pulsed, up if their polarities are equal and down if not.
    Slots queue up and are applied in their order, each as a whole, so conductances are those of
    `twin.TwinArray.apply` slot by slot. A slot takes `slot_cycles`; `ready` asks the drivers to
    wait, see `SlotQueue`, which also has the three faults.

    `idle` tells that all slots have been applied and nothing else is under way. A pulse of `draw`
    makes fresh cells with the spread that follows from `seed` (which must rest for the
    `draw_cycles` it takes): in the middle, none stuck, golden counterpart `twin.TwinArray.draw`.
    Through `request` the host reads, programs or loads a cell at a time, cell number (tile * rows +
    row) * columns + column, which must exist; see `Command`, of which PULSE is not for the host.
    Only READ is answered, on `response`. Slots go first, a draw second; an access takes
    `ACCESS_CYCLES`.

    Conductances survive a reset, as an array's do. Slots in the queue do not, and one that is being
    applied is cut off.
    """

    def __init__(self, spec: TwinSpec) -> None:
        self.spec = spec
        self._queue = SlotQueue(spec)
        pins = {
            name: member
            for name, member in self._queue.signature.members.items()
            if name not in ("slot", "waiting")
        }
        super().__init__(
            {
                **pins,
                "idle": Out(1),
                "draw": In(1),
                "seed": In(WORD_BITS),
                "request": In(stream.Signature(request_layout(spec))),
                "response": Out(stream.Signature(cell_layout(spec))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Queue; walk over the rows that fire; lanes; and accesses to single cells."""
        m = Module()
        spec = self.spec
        m.submodules.queue = queue = self._queue
        m.submodules.walk = walk = RowWalk(spec)
        m.submodules.mixer = mixer = Mixer()
        m.submodules.cell_draw = cell_draw = CellDraw(spec)
        for name, member in self.signature.members.items():
            if name in queue.signature.members:
                inner, outer = getattr(queue, name), getattr(self, name)
                m.d.comb += inner.eq(outer) if member.flow == In else outer.eq(inner)

        state = Signal(State)
        wait = Signal(range(max(WARM_UP_ROUNDS, DRAW_ROUNDS, twin_lane.LATENCY)))
        draw_waits = Signal()
        drawing = Signal()
        request = Signal(request_layout(spec))
        m.d.comb += [
            self.idle.eq((state == State.IDLE) & ~queue.waiting & ~draw_waits),
            walk.slot.eq(queue.slot.payload),
            mixer.seed.eq(self.seed),
            cell_draw.a.eq(mixer.a),
            cell_draw.b.eq(mixer.b),
        ]

        m.d.sync += wait.eq(0)

        def count(cycles: int, following: Any) -> None:
            """Stay for `cycles`, then go on to state `following`."""
            with m.If(wait == cycles - 1):
                m.d.sync += state.eq(following)
            with m.Else():
                m.d.sync += wait.eq(wait + 1)

        with m.Switch(state):
            with m.Case(State.IDLE):
                m.d.sync += [request.eq(self.request.payload), drawing.eq(0)]
                with m.If(queue.slot.valid):
                    m.d.comb += [queue.slot.ready.eq(1), walk.start.eq(1)]
                    m.d.sync += [request.command.eq(Command.PULSE), state.eq(State.SWEEP)]
                with m.Elif(draw_waits):
                    m.d.comb += mixer.load.eq(1)
                    m.d.sync += [draw_waits.eq(0), drawing.eq(1), state.eq(State.WARM_UP)]
                    m.d.sync += [request.command.eq(Command.LOAD), request.cell.eq(0)]
                with m.Else():
                    m.d.comb += self.request.ready.eq(1)
                    with m.If(self.request.valid):
                        m.d.sync += state.eq(State.ACCESS)
            with m.Case(State.SWEEP), m.If(~walk.busy):
                m.d.sync += state.eq(State.SETTLE)
            with m.Case(State.WARM_UP):
                m.d.comb += mixer.advance.eq(1)
                count(WARM_UP_ROUNDS, State.DRAW)
            with m.Case(State.DRAW):
                m.d.comb += mixer.advance.eq(1)
                count(DRAW_ROUNDS, State.ACCESS)
            with m.Case(State.ACCESS):
                m.d.sync += state.eq(State.SETTLE)
            with m.Case(State.SETTLE):
                after = Mux(request.command == Command.READ, State.RESPOND, State.IDLE)
                last_cell = request.cell == cell_count(spec) - 1
                count(SETTLE_CYCLES, Mux(drawing & ~last_cell, State.DRAW, after))
                with m.If(drawing & (wait == SETTLE_CYCLES - 1)):
                    m.d.sync += request.cell.eq(request.cell + 1)
            with m.Case(State.RESPOND):
                m.d.comb += self.response.valid.eq(1)
                with m.If(self.response.ready):
                    m.d.sync += state.eq(State.IDLE)

        with m.If(self.draw):
            m.d.sync += draw_waits.eq(1)

        # Lanes: a group of cells that the walk visits, or one cell that is accessed.
        accessing = state == State.ACCESS
        lane_bits = ceil_log2(spec.cells_per_cycle)
        selected, address = request.cell[:lane_bits], request.cell[lane_bits:]
        cells = Signal(data.ArrayLayout(cell_layout(spec), spec.cells_per_cycle))
        m.d.comb += self.response.payload.eq(cells[selected] if lane_bits else cells[0])
        for number in range(spec.cells_per_cycle):
            m.submodules[f"lane_{number}"] = lane = CellLane(spec)
            chosen = (selected == number) if lane_bits else 1
            m.d.comb += [
                lane.valid.eq((walk.valid & walk.pulse[number]) | (accessing & chosen)),
                lane.address.eq(Mux(accessing, address, walk.address)),
                lane.command.eq(request.command),
                lane.upward.eq(walk.upward[number]),
                lane.word.eq(Mux(drawing, cell_draw.cell, request.word)),
                cells[number].eq(lane.cell),
            ]
        return m
