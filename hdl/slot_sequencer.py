"""The slots of a tile's update: four phases, and the thresholds of the scrambled encoding."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, ceil_log2

from golden_model.parameters import Parameters
from golden_model.pulses import PHASES
from hdl.random_bits import reversed_bits

TIMING_BITS = 16
"""Bits of the length of a slot, and of the dead time after it."""


class SlotSequencer(wiring.Component):
    """Counts the slots of four phases, 2**`log2` a phase, each of 1 + `further` clock cycles.

    A slot begins in a cycle of `run`, unless it belongs to the slot before. `last` marks the last
    cycle of the last slot of the last phase, after which counting starts anew. A cycle after each
    slot's first, `fire` is high, with the slot's thresholds for rows and columns and the
    polarities of its phase: slot i has row threshold (i << (width - 1 - log2)) XOR `row_mask` and
    column threshold reverse(i) XOR `column_mask`, where reverse turns `width` - 1 bits around.
    `draw` is `fire` for what may also advance when aborted. `abort` starts anew and withdraws
    `fire`. `further` must rest from the cycle before `run` on,
    and `log2` for three cycles. Golden counterpart: `pulses.scrambled_thresholds`.
    """

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        threshold_bits = parameters.width - 1
        super().__init__(
            {
                "run": In(1),
                "abort": In(1),
                "further": In(TIMING_BITS + 1),
                "log2": In(bits_for(ceil_log2(parameters.max_slots))),
                "row_mask": In(threshold_bits),
                "column_mask": In(threshold_bits),
                "last": Out(1),
                "fire": Out(1),
                "draw": Out(1),
                "row_threshold": Out(threshold_bits),
                "column_threshold": Out(threshold_bits),
                "row_negative": Out(1),
                "column_negative": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Counters of cycles, slots and phases, and a register stage."""
        m = Module()
        threshold_bits = self._parameters.width - 1
        # The row threshold counts in steps of its own, so that nothing has to be shifted in a slot;
        # its step and the highest slot number are functions of `log2`, which rests meanwhile.
        slot = Signal(threshold_bits)
        phase = Signal(2)
        row = Signal(threshold_bits)
        highest = Signal(threshold_bits)
        step = Signal(threshold_bits)
        with m.Switch(self.log2):
            for log2 in range(ceil_log2(self._parameters.max_slots) + 1):
                with m.Case(log2):
                    m.d.sync += [
                        highest.eq((1 << log2) - 1),
                        step.eq((1 << (threshold_bits - log2)) % (1 << threshold_bits)),
                    ]
        left = Signal.like(self.further)  # cycles of the slot after this one
        free = Signal(init=1)  # left is 0
        ending = Signal()  # left is 1
        one = Signal()  # a slot takes one cycle
        two = Signal()  # a slot takes two cycles
        end = Signal()  # slot is the highest
        single = Signal()  # the highest slot is 0
        begins, ends = Signal(), Signal()
        m.d.comb += [
            begins.eq(self.run & free),
            ends.eq(Mux(free, self.run & one, ending)),
            self.last.eq(ends & end & (phase == len(PHASES) - 1)),
        ]
        m.d.sync += [
            self.fire.eq(begins),
            self.draw.eq(begins),
            one.eq(self.further == 0),
            two.eq(self.further == 1),
            left.eq(left - ~free),
            free.eq(free | ending),
            ending.eq(left == 2),
            single.eq(highest == 0),
            end.eq(slot == highest),
        ]
        with m.If(ends):
            m.d.sync += [slot.eq(slot + 1), row.eq(row + step), end.eq(slot + 1 == highest)]
            with m.If(end):
                m.d.sync += [slot.eq(0), end.eq(single), phase.eq(phase + 1)]
        with m.If(begins):
            m.d.sync += [
                left.eq(self.further),
                free.eq(one),
                ending.eq(two),
                self.row_threshold.eq(row ^ self.row_mask),
                self.column_threshold.eq(reversed_bits(slot) ^ self.column_mask),
            ]
            with m.Switch(phase):
                for number, (row_polarity, column_polarity) in enumerate(PHASES):
                    with m.Case(number):
                        m.d.sync += [
                            self.row_negative.eq(row_polarity < 0),
                            self.column_negative.eq(column_polarity < 0),
                        ]
        with m.If(self.abort):
            m.d.sync += [self.fire.eq(0), left.eq(0), free.eq(1), ending.eq(0)]
            m.d.sync += [slot.eq(0), end.eq(single), row.eq(0), phase.eq(0)]
        return m
