"""The partial sums of a read: ADC codes add up, tile after tile, and saturate."""

from itertools import pairwise

from amaranth import Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from golden_model.parameters import Parameters
from golden_model.reads import MAX_DAC_BITS
from hdl import pulse_counter
from hdl.code_receiver import code_beat
from hdl.pulse_counter import COUNTER_BITS, PulseCounter

SUM_BITS = 32
"""Bits of a sum, two's complement: the most at which it can be told to saturate."""

_SUMMING = 5
"""Clock cycles from codes to sums on their way into the memory."""


def latency(parameters: Parameters) -> int:
    """Clock cycles from codes to sums that can be fetched, and counts of what saturated."""
    return _SUMMING + pulse_counter.latency(parameters.adcs)


def sum_beat(parameters: Parameters) -> data.ArrayLayout:
    """The sums that belong to the codes of a beat: a row of the memory of sums."""
    return data.ArrayLayout(signed(SUM_BITS), parameters.adcs)


def sum_rows(parameters: Parameters, dimension: int) -> int:
    """Rows of `adcs` sums that `dimension` sums take."""
    return -(-dimension // parameters.adcs)


def largest_bit(parameters: Parameters) -> int:
    """Highest bit of a magnitude that a bit-serial read drives."""
    return min(parameters.width, MAX_DAC_BITS) - 2


class PartialSums(wiring.Component):
    """sum = saturate(sum + tile), tile = the codes of a line in a tile, each times 2**`bit`.

    `valid` adds `codes` times 2**`bit` to row `row` of the sums; to 0 instead where `fresh`. With
    `final`, the last codes of a tile, the sums then saturate to `sum_bits` bits. Codes of lanes
    outside `inside` count as 0. A row must rest for `latency` cycles between two beats. Golden
    counterpart: `reads.ReadSpec.read`.

    `fetch_data` is row `fetch_row` in the next cycle, for which no codes may be under way.
    `adc_saturations` counts the bits of `saturated` that come with valid codes, `sum_saturations`
    the sums that saturated, both since `clear`; they stay at their largest value.

    Between the codes of a tile sums are wider than `SUM_BITS`, so that none is lost before the
    tile's end: a tile gives at most `adc_bits` + `largest_bit` + 1 bits.
    """

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = p = parameters
        rows = range(max(2, sum_rows(p, p.max_dimension)))
        super().__init__(
            {
                "valid": In(1),
                "codes": In(code_beat(p)),
                "inside": In(p.adcs),
                "saturated": In(p.adcs),
                "row": In(rows),
                "bit": In(range(largest_bit(p) + 1)),
                "fresh": In(1),
                "final": In(1),
                "sum_bits": In(bits_for(SUM_BITS)),
                "clear": In(1),
                "adc_saturations": Out(COUNTER_BITS),
                "sum_saturations": Out(COUNTER_BITS),
                "fetch_row": In(rows),
                "fetch_data": Out(sum_beat(p)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Fetch and shift; what was fetched; add; check; saturate; write: a register each."""
        m = Module()
        p = self._parameters
        bits = max(SUM_BITS, p.adc_bits + largest_bit(p) + 1) + 1
        m.submodules.memory = memory = Memory(
            shape=data.ArrayLayout(signed(bits), p.adcs),
            depth=sum_rows(p, p.max_dimension),
            init=[],
        )
        read, write = memory.read_port(), memory.write_port()
        outermost = Signal(signed(bits))  # the largest sum; its complement is the least one
        m.d.sync += outermost.eq((Const(1, SUM_BITS) << (self.sum_bits - 1)[:5]) - 1)

        # What belongs to a beat travels along with it.
        beat = Signal(
            data.StructLayout({"valid": 1, "row": self.row.shape(), "fresh": 1, "final": 1})
        )
        m.d.comb += [
            beat.valid.eq(self.valid),
            beat.row.eq(self.row),
            beat.fresh.eq(self.fresh),
            beat.final.eq(self.final),
        ]
        stages = [
            Signal.like(beat, name=name)
            for name in ("asked", "fetched", "added", "checked", "held")
        ]
        for earlier, later in pairwise([beat, *stages]):
            m.d.sync += later.eq(earlier)
        asked, _, added, _, held = stages

        beyond = Signal(p.adcs)
        for lane in range(p.adcs):
            raised = Signal(signed(bits), name=f"raised_{lane}", reset_less=True)
            code = Signal(signed(bits), name=f"code_{lane}", reset_less=True)
            before = Signal(signed(bits), name=f"before_{lane}", reset_less=True)
            total = Signal(signed(bits), name=f"total_{lane}", reset_less=True)
            exceeds = Signal(name=f"exceeds_{lane}")
            limit = Signal(signed(bits), name=f"limit_{lane}", reset_less=True)
            summed = Signal(signed(bits), name=f"summed_{lane}", reset_less=True)
            result = Signal(signed(bits), name=f"result_{lane}", reset_less=True)
            m.d.sync += [
                raised.eq(Mux(self.inside[lane], self.codes[lane] << self.bit, 0)),
                code.eq(raised),
                before.eq(Mux(asked.fresh, 0, read.data[lane])),
                total.eq(before + code),
            ]
            # Magnitude bits above the largest: the sum is beyond the range on its side.
            sign = total[-1].replicate(bits).as_signed()
            above = ((total ^ sign) & ~outermost).any()
            m.d.sync += [
                exceeds.eq(added.valid & added.final & above),
                limit.eq(outermost ^ sign),
                summed.eq(total),
                result.eq(Mux(exceeds, limit, summed)),
                beyond[lane].eq(exceeds),
            ]
            m.d.comb += [
                write.data[lane].eq(result),
                self.fetch_data[lane].eq(read.data[lane]),
            ]
        m.d.comb += [
            read.addr.eq(Mux(self.valid, self.row, self.fetch_row)),
            write.addr.eq(held.row),
            write.en.eq(held.valid),
        ]

        for name, events, count in (
            ("adc_counter", Mux(self.valid, self.saturated, 0), self.adc_saturations),
            ("sum_counter", beyond, self.sum_saturations),
        ):
            m.submodules[name] = counter = PulseCounter(p.adcs)
            m.d.comb += [
                counter.clear.eq(self.clear),
                counter.lines.eq(events),
                count.eq(counter.count),
            ]
        return m
