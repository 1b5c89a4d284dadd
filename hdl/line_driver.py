"""The drivers of one side of the crossbar: the duties of its lines, and their pins."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden_model.parameters import Parameters
from golden_model.random_bits import WORD_BITS
from hdl.column_duties import duty_row
from hdl.duty_scaler import line_duty
from hdl.random_bits import LineGenerators

COMPARISON = 2
"""Clock cycles from a slot to the comparisons with the duties."""

LATENCY = 4
"""Clock cycles from a slot to its pulses: generators, thresholds, comparisons, pins."""


class LineDriver(wiring.Component):
    """Drives the `lines` row lines, or column lines, of a tile.

    In a slot (`fire`) a line is driven if its duty exceeds the slot's threshold and its polarity is
    the phase's (`negative_phase`), or whatever its polarity in a slot of `both_phases`. The
    threshold is `threshold` for all lines if `scrambled`, and otherwise the top bits of the
    line's own generator, which `draw` advances: the two are joined by XOR, as the generators rest
    at zero unless they were seeded since `clear`. The pins are registers: a slot's pulses appear
    `LATENCY` cycles after `fire` and stay while `hold` is high, `abort` idles all lines in the next
    cycle and withdraws the slots on their way, and no line is driven in any other cycle. No other
    slot may appear while `hold` is high. A line is never driven with both polarities, because both
    pins come from one comparison and the line's polarity. Golden counterparts:
    `pulses.UpdatePulses.trains`, and for reads the duties as counts of slots.

    `levels` has two bits a line, registers like the pins, 0 unless `select` is high. In a slot they
    are 2 for a driven line, or 3 if the slot is `negative_level`; 1 for the others if `inhibit` is
    high. In a slot of `both_phases` they are 2 or 3 as the line's polarity is, and none is 1.
    Golden counterpart: `half_select.select_levels`.

    Duties are loaded a row at a time: each cycle of `load` takes `duties` for the next `lanes`
    lines, in turn from line 0 on and then again; `abort` goes back to line 0. A slot takes the
    duties as they are `COMPARISON` cycles after its `fire`. For `clear`, `token` and `seed` see
    `LineGenerators`.

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
                "clear": In(1),
                "token": In(1),
                "token_out": Out(1),
                "seed": In(WORD_BITS),
                "scrambled": In(1),
                "threshold": In(parameters.width - 1),
                "fire": In(1),
                "draw": In(1),
                "negative_phase": In(1),
                "negative_level": In(1),
                "select": In(1),
                "inhibit": In(1),
                "hold": In(1),
                "both_phases": In(1),
                "abort": In(1),
                "positive": Out(lines),
                "negative": Out(lines),
                "levels": Out(2 * lines),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """For each line a duty, a comparison and two pins, all of them registers."""
        m = Module()
        width, lanes = self._parameters.width, self._parameters.lanes

        m.submodules.generators = generators = LineGenerators(self._lines, self._shifts)
        m.d.comb += [
            generators.clear.eq(self.clear),
            generators.token.eq(self.token),
            self.token_out.eq(generators.token_out),
            generators.seed.eq(self.seed),
            generators.step.eq(self.draw),
        ]

        turn = Signal(self._lines // lanes, init=1)
        with m.If(self.abort):
            m.d.sync += turn.eq(1)
        with m.Elif(self.load):
            m.d.sync += turn.eq(turn.rotate_left(1))

        threshold = Signal(width - 1, reset_less=True)
        positive, negative = [], []
        for line in range(self._lines):
            duty = Signal(line_duty(width), name=f"duty_{line}", reset_less=True)
            joined = Signal(width - 1, name=f"threshold_{line}", reset_less=True)
            fires = Signal(name=f"fires_{line}", reset_less=True)
            polarity = Signal(name=f"polarity_{line}", reset_less=True)
            with m.If(self.load & turn[line // lanes]):
                m.d.sync += duty.eq(self.duties[line % lanes])
            drawn = generators.states[line][WORD_BITS - (width - 1) :]
            m.d.sync += [
                joined.eq(threshold ^ drawn),
                fires.eq(joined < duty.magnitude),
                polarity.eq(duty.negative),
            ]
            positive.append(fires & ~polarity)
            negative.append(fires & polarity)

        slots, reads, negative_levels = (
            Signal(LATENCY - 1, name=name) for name in ("slots", "reads", "negative_levels")
        )
        positive_phases = Signal(LATENCY - 1)
        negative_phases = Signal(LATENCY - 1)
        m.d.sync += [
            threshold.eq(Mux(self.scrambled, self.threshold, 0)),
            slots.eq(Mux(self.abort, 0, Cat(self.fire, slots))),
            positive_phases.eq(Cat(~self.negative_phase | self.both_phases, positive_phases)),
            negative_phases.eq(Cat(self.negative_phase | self.both_phases, negative_phases)),
            reads.eq(Cat(self.both_phases, reads)),
            negative_levels.eq(Cat(self.negative_level, negative_levels)),
        ]
        now_positive, now_negative = Signal(self._lines), Signal(self._lines)
        m.d.comb += [
            now_positive.eq(Mux(positive_phases[-1], Cat(positive), 0)),
            now_negative.eq(Mux(negative_phases[-1], Cat(negative), 0)),
        ]
        inhibited = self.inhibit & ~reads[-1]
        levels = []
        for line in range(self._lines):
            driven = now_positive[line] | now_negative[line]
            minus = Mux(reads[-1], now_negative[line], negative_levels[-1])
            levels += [Mux(driven, minus, inhibited) & self.select, driven & self.select]
        with m.If(self.abort | ~(slots[-1] | self.hold)):
            m.d.sync += [self.positive.eq(0), self.negative.eq(0), self.levels.eq(0)]
        with m.Elif(slots[-1]):
            m.d.sync += [
                self.positive.eq(now_positive),
                self.negative.eq(now_negative),
                self.levels.eq(Cat(levels)),
            ]
        return m
