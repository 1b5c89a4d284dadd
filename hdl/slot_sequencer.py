"""The slots of a tile's update: four phases, and the thresholds of the scrambled encoding."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, ceil_log2

from golden_model.parameters import Parameters
from golden_model.pulses import PHASES
from hdl.random_bits import reversed_bits


class SlotSequencer(wiring.Component):
    """Counts the slots of four phases while `run` is high, one a cycle, 2**`log2` a phase.

    `last` marks the last slot of the last phase, after which counting starts anew. A cycle after
    each slot's `run`, `fire` is high, with the slot's thresholds for rows and columns and the
    polarities of its phase: slot i has row threshold (i << (width - 1 - log2)) XOR `row_mask` and
    column threshold reverse(i) XOR `column_mask`, where reverse turns `width` - 1 bits around.
    `abort` starts anew and withdraws `fire`. Golden counterpart: `pulses.scrambled_thresholds`.
    """

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        threshold_bits = parameters.width - 1
        super().__init__(
            {
                "run": In(1),
                "abort": In(1),
                "log2": In(bits_for(ceil_log2(parameters.max_slots))),
                "row_mask": In(threshold_bits),
                "column_mask": In(threshold_bits),
                "last": Out(1),
                "fire": Out(1),
                "row_threshold": Out(threshold_bits),
                "column_threshold": Out(threshold_bits),
                "row_negative": Out(1),
                "column_negative": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Counters of slots and phases, and a register stage."""
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
        end = slot == highest
        m.d.comb += self.last.eq(end & (phase == len(PHASES) - 1))
        m.d.sync += self.fire.eq(self.run)
        with m.If(self.run):
            m.d.sync += [
                slot.eq(slot + 1),
                row.eq(row + step),
                self.row_threshold.eq(row ^ self.row_mask),
                self.column_threshold.eq(reversed_bits(slot) ^ self.column_mask),
            ]
            with m.If(end):
                m.d.sync += [slot.eq(0), phase.eq(phase + 1)]
            with m.Switch(phase):
                for number, (row_polarity, column_polarity) in enumerate(PHASES):
                    with m.Case(number):
                        m.d.sync += [
                            self.row_negative.eq(row_polarity < 0),
                            self.column_negative.eq(column_polarity < 0),
                        ]
        with m.If(self.abort):
            m.d.sync += [self.fire.eq(0), slot.eq(0), row.eq(0), phase.eq(0)]
        return m
