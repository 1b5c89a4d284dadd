"""The drivers of one side of the crossbar: the duties of its lines, and their pins."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden_model.parameters import Parameters
from golden_model.random_bits import WORD_BITS
from hdl.column_duties import duty_row
from hdl.duty_scaler import line_duty
from hdl.random_bits import LineGenerators

LATENCY = 3
"""Clock cycles from a slot to its pulses: the generators' step, the comparison, the pins."""


class LineDriver(wiring.Component):
    """Drives the `lines` row lines, or column lines, of a tile.

    In a slot (`fire`) a line is driven if its duty exceeds the slot's threshold and its polarity is
    the phase's (`negative_phase`). The threshold is `threshold` for all lines if `scrambled`, and
    otherwise the top bits of the line's own generator, which `fire` advances. The pins are
    registers: a slot's pulses appear `LATENCY` cycles after `fire`, `abort` idles all lines in the
    next cycle and withdraws the slots on their way, and no line is driven in any other cycle.
    A line is never driven with both polarities, because both pins come from one comparison and the
    phase. Golden counterpart: `pulses.UpdatePulses.trains`.

    Duties are loaded a row at a time, line 0's row first: `load` shifts the lines by `lanes` and
    puts `duties` at the end; they must rest from the cycle after `fire` to its pulses. The
    generators are seeded likewise, see `LineGenerators`.

    Parameters
    ----------
    parameters : Parameters
        For the width and the lanes.
    lines : int
        Lines of this side, a multiple of the lanes.
    shifts : tuple of three int
        Recurrence of the lines' generators.
    """

    def __init__(self, parameters: Parameters, lines: int, shifts: tuple[int, int, int]) -> None:
        self._parameters = parameters
        self._lines = lines
        self._shifts = shifts
        super().__init__(
            {
                "load": In(1),
                "duties": In(duty_row(parameters)),
                "seed_load": In(1),
                "seed": In(WORD_BITS),
                "seed_carry": Out(WORD_BITS),
                "scrambled": In(1),
                "threshold": In(parameters.width - 1),
                "fire": In(1),
                "negative_phase": In(1),
                "abort": In(1),
                "positive": Out(lines),
                "negative": Out(lines),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """For each line a duty, a comparison and two pins, all of them registers."""
        m = Module()
        width, lanes = self._parameters.width, self._parameters.lanes

        m.submodules.generators = generators = LineGenerators(self._lines, self._shifts)
        m.d.comb += [
            generators.load.eq(self.seed_load),
            generators.seed.eq(self.seed),
            self.seed_carry.eq(generators.carry),
            generators.step.eq(self.fire),
        ]

        threshold = Signal.like(self.threshold)
        positive, negative = [], []
        duties = [Signal(line_duty(width), name=f"duty_{line}") for line in range(self._lines)]
        entering = duties[lanes:] + [self.duties[lane] for lane in range(lanes)]
        for line, duty in enumerate(duties):
            with m.If(self.load):
                m.d.sync += duty.eq(entering[line])
            drawn = generators.states[line][WORD_BITS - (width - 1) :]
            fires = Signal(name=f"fires_{line}")
            m.d.sync += fires.eq(Mux(self.scrambled, threshold, drawn) < duty.magnitude)
            positive.append(fires & ~duty.negative)
            negative.append(fires & duty.negative)

        slots, phases = Signal(LATENCY - 1), Signal(LATENCY - 1)
        m.d.sync += [
            threshold.eq(self.threshold),
            slots.eq(Mux(self.abort, 0, Cat(self.fire, slots))),
            phases.eq(Cat(self.negative_phase, phases)),
            self.positive.eq(0),
            self.negative.eq(0),
        ]
        with m.If(slots[-1] & ~self.abort):
            with m.If(phases[-1]):
                m.d.sync += self.negative.eq(Cat(negative))
            with m.Else():
                m.d.sync += self.positive.eq(Cat(positive))
        return m
