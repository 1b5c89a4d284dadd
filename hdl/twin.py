"""The digital twin of a crossbar: an array of cells in block memory, with the array's own pins."""

from typing import Any

import numpy as np
from amaranth import Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2
from numpy.typing import ArrayLike

from golden_model.random_bits import WARM_UP_ROUNDS, WORD_BITS
from golden_model.twin import DRAW_ROUNDS, TwinSpec
from hdl import twin_adc, twin_lane, twin_sums
from hdl.random_bits import Mixer
from hdl.twin_draw import CellDraw
from hdl.twin_lane import CellLane, Command, cell_layout
from hdl.twin_queue import SlotQueue
from hdl.twin_read_walk import beats_per_group, groups
from hdl.twin_reader import TwinReader
from hdl.twin_walk import RowWalk

SETTLE_CYCLES = twin_lane.LATENCY - 1
"""Clock cycles for which the lanes finish what they have begun."""

SLOT_OVERHEAD = SETTLE_CYCLES + 2
"""Clock cycles that a slot takes beside those of its groups of cells."""

ACCESS_CYCLES = SETTLE_CYCLES + 2
"""Clock cycles from a request to the next, READ's answer not counted."""

CONVERSION_OVERHEAD = 4 + twin_sums.LATENCY + twin_adc.LATENCY - 2
"""Clock cycles that a conversion takes beside its visits, its last beats and the adder tree."""


def cell_count(spec: TwinSpec) -> int:
    """Cells of all tiles."""
    return spec.tiles * spec.rows * spec.columns


def slot_cycles(spec: TwinSpec, fired_rows: int, fired_columns: int) -> int:
    """Clock cycles that a slot keeps the twin busy: only rows that fire are visited."""
    if not fired_rows or not fired_columns:
        return 0
    return fired_rows * (spec.columns // spec.cells_per_cycle) + SLOT_OVERHEAD


def conversion_cycles(spec: TwinSpec, drive: ArrayLike, *, transposed: bool, sensed: int) -> int:
    """Clock cycles from `convert` to the last codes, with no slots left to apply.

    `drive` is that of all rows, or of all columns if `transposed`: only groups of cells that have a
    driven line are visited, and only those of `sensed` lines.
    """
    if not sensed:
        return 0
    driven = np.asarray(drive) != 0
    if transposed:
        units = int(np.count_nonzero(driven.reshape(groups(spec), -1).any(axis=1)))
        return CONVERSION_OVERHEAD + twin_sums.tree_latency(spec) + sensed * max(1, units) + 1
    sensed_groups = -(-sensed // spec.cells_per_cycle)
    units = max(int(np.count_nonzero(driven)), beats_per_group(spec))
    last_lines = sensed - (sensed_groups - 1) * spec.cells_per_cycle
    return CONVERSION_OVERHEAD + sensed_groups * units + -(-last_lines // spec.adcs)


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
    CONVERT = 7


_INSIDE = ("slot", "waiting", "converting", "start", "done", "read", "address", "conductances")
_SHARED = ("ready", "line_fault", "tile_fault")


class CrossbarTwin(wiring.Component):
    """A grid of crossbar tiles that answers line drivers as devices would, cell by cell.

    The pins are those of a real array: in a slot's last cycle the four vectors of lines say which
    of them fire, with which polarity, on the tile that `tile_row` and `tile_column` select. A
    cell whose row and column both fire is pulsed, up if their polarities are equal and down if not.
    Slots queue up and are applied in their order, each as a whole, so conductances are those of
    `twin.TwinArray.apply` slot by slot. A slot takes `slot_cycles`; `ready` asks the drivers to
    wait, see `SlotQueue`.

    Reads share the lines and the tile, in cycles of `read_valid`; `convert` asks for the codes of
    `sensed` lines, those of `twin.TwinArray.read`, see `DriveCounter` and `AdcBank`. A conversion
    sees all slots that came before it. It takes `conversion_cycles` after the last of them, during
    which `ready` is low. Reads change no conductance.

    The four faults stay until reset: `overflow`, `line_fault` and `tile_fault` of slots
    (`SlotQueue`), `line_fault`, `tile_fault` and `read_fault` of reads (`DriveCounter`).

    `idle` tells that all slots have been applied and nothing else is under way. A pulse of `draw`
    makes fresh cells with the spread that follows from `seed` (which must rest for the
    `draw_cycles` it takes): in the middle, none stuck, golden counterpart `twin.TwinArray.draw`.
    Through `request` the host reads, programs or loads a cell at a time, cell number (tile * rows +
    row) * columns + column, which must exist; see `Command`, of which PULSE is not for the host.
    Only READ is answered, on `response`. Slots go first, then a conversion, then a draw; an
    access takes `ACCESS_CYCLES`.

    Conductances survive a reset, as an array's do. Slots in the queue, drives and codes do not, and
    a slot that is being applied is cut off.
    """

    def __init__(self, spec: TwinSpec) -> None:
        self.spec = spec
        self._queue = SlotQueue(spec)
        self._reader = TwinReader(spec)
        pins = {
            name: member
            for part in (self._queue, self._reader)
            for name, member in part.signature.members.items()
            if name not in _INSIDE
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
        """Queue; walk over the rows that fire; reader; lanes; and accesses to single cells."""
        m = Module()
        spec = self.spec
        m.submodules.queue = queue = self._queue
        m.submodules.reader = reader = self._reader
        m.submodules.walk = walk = RowWalk(spec)
        m.submodules.mixer = mixer = Mixer()
        m.submodules.cell_draw = cell_draw = CellDraw(spec)
        for name, member in self.signature.members.items():
            for part in (queue, reader):
                if name in part.signature.members and name not in _SHARED:
                    inner, outer = getattr(part, name), getattr(self, name)
                    m.d.comb += inner.eq(outer) if member.flow == In else outer.eq(inner)

        state = Signal(State)
        wait = Signal(range(max(WARM_UP_ROUNDS, DRAW_ROUNDS, twin_lane.LATENCY)))
        draw_waits = Signal()
        drawing = Signal()
        request = Signal(request_layout(spec))
        m.d.comb += [
            self.ready.eq(queue.ready & ~reader.converting),
            self.line_fault.eq(queue.line_fault | reader.line_fault),
            self.tile_fault.eq(queue.tile_fault | reader.tile_fault),
            self.idle.eq((state == State.IDLE) & ~queue.waiting & ~reader.converting & ~draw_waits),
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
                with m.Elif(reader.converting & ~queue.waiting):
                    m.d.comb += reader.start.eq(1)
                    m.d.sync += [request.command.eq(Command.READ), state.eq(State.CONVERT)]
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
            with m.Case(State.CONVERT), m.If(reader.done):
                m.d.sync += state.eq(State.IDLE)
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

        # Lanes: a group of cells that a walk visits, or one cell that is accessed.
        accessing, converting = state == State.ACCESS, state == State.CONVERT
        lane_bits = ceil_log2(spec.cells_per_cycle)
        selected, address = request.cell[:lane_bits], request.cell[lane_bits:]
        cells = Signal(data.ArrayLayout(cell_layout(spec), spec.cells_per_cycle))
        m.d.comb += self.response.payload.eq(cells[selected] if lane_bits else cells[0])
        for number in range(spec.cells_per_cycle):
            m.submodules[f"lane_{number}"] = lane = CellLane(spec)
            chosen = (selected == number) if lane_bits else 1
            m.d.comb += [
                lane.valid.eq(
                    (walk.valid & walk.pulse[number]) | reader.read | (accessing & chosen)
                ),
                lane.address.eq(
                    Mux(accessing, address, Mux(converting, reader.address, walk.address))
                ),
                reader.conductances[number].eq(lane.cell.conductance),
                lane.command.eq(request.command),
                lane.upward.eq(walk.upward[number]),
                lane.word.eq(Mux(drawing, cell_draw.cell, request.word)),
                cells[number].eq(lane.cell),
            ]
        return m
