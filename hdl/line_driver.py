"""The drivers of one side of the crossbar: the duties of its lines, and their pins."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden_model.parameters import Parameters
from golden_model.random_bits import WORD_BITS
from hdl.column_duties import duty_row
from hdl.duty_scaler import line_duty
from hdl.random_bits import LineGenerators


class LineDriver(wiring.Component):
    """Drives the `lines` row lines, or column lines, of a tile.

    In a slot (`fire`) a line is driven if its duty exceeds the slot's threshold and its polarity is
    the phase's (`negative_phase`). The threshold is `threshold` for all lines if `scrambled`, and
    otherwise the top bits of the line's own generator. The pins are registers: a slot's pulses
    appear a cycle after `fire`, and all lines are idle unless `fire` was high and `idle` low.
    A line is never driven with both polarities, because both pins come from one comparison and the
    phase. Golden counterpart: `pulses.UpdatePulses.trains`.

    Duties are loaded a row at a time, line 0's row first: `load` shifts the lines by `lanes` and
    puts `duties` at the end. The generators are seeded likewise, see `LineGenerators`; `step`
    advances them in the cycle before `fire`.

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
                "step": In(1),
                "scrambled": In(1),
                "threshold": In(parameters.width - 1),
                "fire": In(1),
                "negative_phase": In(1),
                "idle": In(1),
                "positive": Out(lines),
                "negative": Out(lines),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """For each line a duty register, a comparison and two pin registers."""
        m = Module()
        width, lanes = self._parameters.width, self._parameters.lanes

        m.submodules.generators = generators = LineGenerators(self._lines, self._shifts)
        m.d.comb += [
            generators.load.eq(self.seed_load),
            generators.seed.eq(self.seed),
            self.seed_carry.eq(generators.carry),
            generators.step.eq(self.step),
        ]

        positive, negative = [], []
        duties = [Signal(line_duty(width), name=f"duty_{line}") for line in range(self._lines)]
        entering = duties[lanes:] + [self.duties[lane] for lane in range(lanes)]
        for line, duty in enumerate(duties):
            with m.If(self.load):
                m.d.sync += duty.eq(entering[line])
            drawn = generators.states[line][WORD_BITS - (width - 1) :]
            fires = Signal(name=f"fires_{line}")
            m.d.comb += fires.eq(Mux(self.scrambled, self.threshold, drawn) < duty.magnitude)
            positive.append(fires & ~duty.negative)
            negative.append(fires & duty.negative)
        m.d.sync += [self.positive.eq(0), self.negative.eq(0)]
        with m.If(self.fire & ~self.idle):
            with m.If(self.negative_phase):
                m.d.sync += self.negative.eq(Cat(negative))
            with m.Else():
                m.d.sync += self.positive.eq(Cat(positive))
        return m
