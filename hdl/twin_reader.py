"""How the crossbar's digital twin answers reads: from driven lines to codes."""

from amaranth import Cat, Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden_model.twin import TwinSpec
from hdl.twin_adc import AdcBank
from hdl.twin_drive import DriveCounter
from hdl.twin_lane import lane_depth
from hdl.twin_read_walk import ReadWalk
from hdl.twin_sums import ReadSums

_INSIDE = ("drive", "base", "transposed", "sensed", "sensed_lines", "done")


class TwinReader(wiring.Component):
    """Counts a read's drives and converts the sums of what they make of the cells.

    The pins are those of `DriveCounter`, with `sensed` for its `sensed_lines`, and of `AdcBank`.
    `converting` asks for the lanes, which a pulse of `start` gives: from then on a group of cells
    is read in every cycle of `read`, at `address`, whose `conductances` must come two cycles later,
    until `done`, which comes with the last codes.
    """

    def __init__(self, spec: TwinSpec) -> None:
        self._spec = spec
        self._counter = DriveCounter(spec)
        self._bank = AdcBank(spec)
        pins = {
            name: member
            for name, member in self._counter.signature.members.items()
            if name not in _INSIDE
        }
        bank = self._bank.signature.members
        codes = ("shift", "resolution", "adc_valid", "adc_codes", "adc_saturated")
        super().__init__(
            {
                **pins,
                "sensed": self._counter.signature.members["sensed_lines"],
                **{name: bank[name] for name in codes},
                "start": In(1),
                "done": Out(1),
                "read": Out(1),
                "address": Out(range(lane_depth(spec))),
                "conductances": In(data.ArrayLayout(spec.conductance_bits, spec.cells_per_cycle)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Counters, walk, sums, ADCs, and their connections."""
        m = Module()
        spec = self._spec
        m.submodules.counter = counter = self._counter
        m.submodules.walk = walk = ReadWalk(spec)
        m.submodules.sums = sums = ReadSums(spec)
        m.submodules.bank = bank = self._bank
        for name, member in self.signature.members.items():
            for part in (counter, bank):
                if name in part.signature.members and name not in _INSIDE:
                    inner, outer = getattr(part, name), getattr(self, name)
                    m.d.comb += inner.eq(outer) if member.flow == In else outer.eq(inner)
        for part in (walk, bank):
            m.d.comb += [
                part.transposed.eq(counter.transposed),
                part.sensed.eq(counter.sensed),
            ]
        m.d.comb += [
            counter.sensed_lines.eq(self.sensed),
            counter.done.eq(bank.done),
            self.done.eq(bank.done),
            walk.start.eq(self.start),
            walk.base.eq(counter.base),
            walk.driven.eq(Cat(counter.drive[line].any() for line in range(len(walk.driven)))),
            self.read.eq(walk.visit.visits),
            self.address.eq(walk.address),
            sums.transposed.eq(counter.transposed),
            sums.drive.eq(counter.drive),
            sums.visit.eq(walk.visit),
            sums.conductances.eq(self.conductances),
            bank.valid.eq(sums.valid),
            bank.closes.eq(sums.closes),
            bank.sums.eq(sums.sums),
        ]
        return m
