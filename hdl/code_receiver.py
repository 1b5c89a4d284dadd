"""The receiver of ADC codes: it knows which a conversion owes, and to what sums they belong."""

from amaranth import Cat, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from golden_model.parameters import Parameters


def sensed_bits(parameters: Parameters) -> int:
    """Bits of a number of sensed lines of a tile."""
    return bits_for(max(parameters.tile_rows, parameters.tile_columns))


def code_beat(parameters: Parameters) -> data.ArrayLayout:
    """The codes of a beat: one of each ADC."""
    return data.ArrayLayout(signed(parameters.adc_bits), parameters.adcs)


class CodeReceiver(wiring.Component):
    """Takes the codes of one conversion after another, `adcs` a beat, in the order of the lines.

    `convert` begins a conversion of `sensed` lines; `pending` is high from the next cycle until the
    codes of all of them have come, and `done` with the last of these beats. The
    pins `adc_…` are taken in any cycle and appear a cycle later: `valid`, with `codes`, which of
    them belong to lines (`inside`), which of those saturated, and the number `beat` of the beat.

    Codes of a conversion during which `abort` came are taken like others but not `valid`: an abort
    leaves the array with codes yet to send, and they must not pass for those of the next
    conversion. Codes that no conversion asked for pulse `unexpected`.
    """

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = p = parameters
        most = max(p.tile_rows, p.tile_columns)
        super().__init__(
            {
                "convert": In(1),
                "sensed": In(sensed_bits(p)),
                "abort": In(1),
                "adc_valid": In(1),
                "adc_codes": In(code_beat(p)),
                "adc_saturated": In(p.adcs),
                "pending": Out(1),
                "done": Out(1),
                "unexpected": Out(1),
                "valid": Out(1),
                "codes": Out(code_beat(p)),
                "inside": Out(p.adcs),
                "saturated": Out(p.adcs),
                "beat": Out(range(max(2, most // p.adcs))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The pins in registers, a count of lines to come, and whether their codes count."""
        m = Module()
        adcs = self._parameters.adcs
        taken = Signal()
        discarded = Signal()
        saturated = Signal(adcs)
        left = Signal.like(self.sensed)
        ending = Signal()  # the next beat is the last: left <= adcs
        m.d.sync += [
            taken.eq(self.adc_valid),
            self.codes.eq(self.adc_codes),
            saturated.eq(self.adc_saturated),
        ]
        m.d.comb += [
            self.done.eq(taken & self.pending & ending),
            self.unexpected.eq(taken & ~self.pending),
            self.valid.eq(taken & self.pending & ~discarded),
            self.inside.eq(Cat(left > lane for lane in range(adcs))),
            self.saturated.eq(saturated & self.inside),
        ]
        with m.If(self.convert):
            m.d.sync += [left.eq(self.sensed), self.beat.eq(0), discarded.eq(0)]
            m.d.sync += [self.pending.eq(self.sensed != 0), ending.eq(self.sensed <= adcs)]
        with m.Elif(taken & self.pending):
            m.d.sync += self.beat.eq(self.beat + 1)
            m.d.sync += [left.eq(left - adcs), ending.eq(left <= 2 * adcs)]
            with m.If(ending):
                m.d.sync += [left.eq(0), self.pending.eq(0)]
        with m.If(self.abort):
            m.d.sync += discarded.eq(1)
        return m
