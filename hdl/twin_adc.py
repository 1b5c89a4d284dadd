"""The ADCs of the crossbar's digital twin: sums into codes, some of them a clock cycle."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, ceil_log2

from golden_model.twin import SHIFT_MAX, TwinSpec
from hdl.twin_drive import drive_lines
from hdl.twin_read_walk import beats_per_group
from hdl.twin_sums import sums_layout

LATENCY = 4
"""Clock cycles from sums to the first beat of their codes."""


def codes_layout(spec: TwinSpec) -> data.ArrayLayout:
    """A beat of codes, that of the first line lowest."""
    return data.ArrayLayout(signed(spec.adc_bits), spec.adcs)


class AdcBank(wiring.Component):
    """code = round(sum / 2**`shift`), half to even, saturated to `resolution` bits.

    `valid` brings sums in the order of the sensed lines: those of all lanes, or that of lane 0 if
    `transposed`, the last with `closes`. Codes leave `adcs` a cycle, `LATENCY` cycles after the
    sums that fill a beat or close. Sums of all lanes may follow each other after `beats_per_group`
    cycles, single ones at once. There are ceil(`sensed` / `adcs`) beats, with `done` in the last,
    whose codes beyond `sensed` mean nothing. `shift` (up to `SHIFT_MAX`), `resolution` (2 to
    `adc_bits`) and the rest of the settings rest meanwhile, and `shift` and `resolution` rest from
    two cycles before the sums on. Golden counterpart: `twin.TwinArray.read`.
    """

    def __init__(self, spec: TwinSpec) -> None:
        self._spec = spec
        super().__init__(
            {
                "transposed": In(1),
                "sensed": In(bits_for(drive_lines(spec))),
                "shift": In(range(SHIFT_MAX + 1)),
                "resolution": In(bits_for(spec.adc_bits)),
                "valid": In(1),
                "closes": In(1),
                "sums": In(sums_layout(spec)),
                "adc_valid": Out(1),
                "adc_codes": Out(codes_layout(spec)),
                "adc_saturated": Out(spec.adcs),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Sums that wait for their beat; rounding; shift; limits."""
        m = Module()
        spec, lanes, adcs = self._spec, self._spec.cells_per_cycle, self._spec.adcs
        held = Signal(data.ArrayLayout(signed(spec.sum_bits), max(lanes, adcs)))
        place = Signal(range(adcs))
        beats_left = Signal(range(beats_per_group(spec)))
        sending = Signal()
        closing = Signal()

        # Where the next sums go: groups of lanes one after another, or single sums.
        places = max(1, adcs // lanes)
        full = place == Mux(self.transposed, adcs - 1, places - 1)
        leaves = self.valid & (full | self.closes)
        with m.If(self.valid & self.transposed):
            for number in range(adcs):
                with m.If(place == number):
                    m.d.sync += held[number].eq(self.sums[0])
        with m.Elif(self.valid):
            for group in range(places):
                with m.If(place == group):
                    for lane in range(lanes):
                        m.d.sync += held[group * lanes + lane].eq(self.sums[lane])
        with m.Elif(sending):
            for number in range(lanes - adcs):
                m.d.sync += held[number].eq(held[number + adcs])
        # Beats of a whole group, and of the last, which may have fewer lines.
        beat = ceil_log2(adcs)
        last_line = (self.sensed - 1)[: len(self.sensed)]
        last_beats = last_line[beat : max(beat, ceil_log2(lanes))]
        m.d.sync += sending.eq(leaves | (beats_left != 0))
        with m.If(leaves):
            m.d.sync += [
                closing.eq(self.closes),
                beats_left.eq(
                    Mux(
                        self.transposed,
                        0,
                        Mux(self.closes, last_beats, beats_per_group(spec) - 1),
                    )
                ),
            ]
        with m.Elif(beats_left != 0):
            m.d.sync += beats_left.eq(beats_left - 1)
        with m.If(self.valid):
            m.d.sync += place.eq(Mux(leaves, 0, place + 1))

        stages = [(sending, sending & closing & (beats_left == 0))]
        for stage in range(1, LATENCY):
            sends, ends = Signal(name=f"sends_{stage}"), Signal(name=f"ends_{stage}")
            m.d.sync += [sends.eq(stages[-1][0]), ends.eq(stages[-1][1])]
            stages.append((sends, ends))
        m.d.comb += [self.adc_valid.eq(stages[-1][0]), self.done.eq(stages[-1][1])]

        rounds = Signal()
        half = Signal(SHIFT_MAX)
        limit = Signal(spec.adc_bits)
        m.d.sync += [
            rounds.eq(self.shift != 0),
            half.eq(((1 << self.shift) - 1) >> 1),  # one below half of a code, 0 without a shift
            limit.eq(((1 << self.resolution) - 1) >> 1),
        ]
        for number in range(adcs):
            total = held[number]
            odd = (total >> self.shift)[0]
            biased = Signal(signed(max(spec.sum_bits, SHIFT_MAX) + 1), name=f"biased_{number}")
            quotient = Signal.like(biased, name=f"quotient_{number}")
            highest = Signal(signed(spec.adc_bits), name=f"highest_{number}")
            m.d.comb += highest.eq(limit)
            above, below = quotient > highest, quotient < ~highest
            m.d.sync += [
                biased.eq(total + half + (odd & rounds)),
                quotient.eq(biased >> self.shift),
                self.adc_codes[number].eq(Mux(above, highest, Mux(below, ~highest, quotient))),
                self.adc_saturated[number].eq(above | below),
            ]
        return m
