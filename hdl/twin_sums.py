"""The sums of the crossbar's digital twin: cells times drives, over the driven lines."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden_model.twin import TwinSpec
from hdl import adder_tree
from hdl.adder_tree import AdderTree
from hdl.twin_drive import drive_layout
from hdl.twin_read_walk import groups, visit_layout

CELL_CYCLES = 2
"""Clock cycles from an access to a lane until it has the cell."""

TREE_LEVELS = 2
"""Levels of the tree over the lanes in a pipeline stage."""

LATENCY = CELL_CYCLES + 2
"""Clock cycles from the last visit of a sensed unit to its sums, if rows are driven."""


def tree_latency(spec: TwinSpec) -> int:
    """Clock cycles more if columns are driven, whose lanes are added up."""
    return adder_tree.latency(spec.cells_per_cycle, TREE_LEVELS)


def sums_layout(spec: TwinSpec) -> data.ArrayLayout:
    """A sum for each lane."""
    return data.ArrayLayout(signed(spec.sum_bits), spec.cells_per_cycle)


class ReadSums(wiring.Component):
    """Exact sums of (2 g - top) * drive over the visits of a walk: an analog array's currents.

    `visit` is that of `ReadWalk`, with its address given to the lanes, whose `conductances` come
    `CELL_CYCLES` later. `drive` and `transposed` rest. `valid` is high, and `closes` with the last,
    when the sums of a sensed unit are complete: of a forward read a sum in each lane, `LATENCY`
    cycles after the visit that ends it, of a transposed read one in lane 0, `tree_latency` later.
    Golden counterpart: `twin.TwinArray.read`.
    """

    def __init__(self, spec: TwinSpec) -> None:
        self._spec = spec
        super().__init__(
            {
                "transposed": In(1),
                "drive": In(drive_layout(spec)),
                "visit": In(visit_layout(spec)),
                "conductances": In(data.ArrayLayout(spec.conductance_bits, spec.cells_per_cycle)),
                "valid": Out(1),
                "closes": Out(1),
                "sums": Out(sums_layout(spec)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Cells and their drives; products; the tree; accumulators."""
        m = Module()
        spec, lanes = self._spec, self._spec.cells_per_cycle
        product_bits = (spec.longest_drive * spec.top).bit_length() + 1
        m.submodules.tree = tree = AdderTree(product_bits, lanes, spec.sum_bits, TREE_LEVELS)

        visits = [self.visit]
        for stage in range(1, LATENCY + tree_latency(spec) + 1):
            later = Signal(visit_layout(spec), name=f"visit_{stage}")
            m.d.sync += later.eq(visits[-1])
            visits.append(later)
        driving = visits[CELL_CYCLES]
        complete = Signal(visit_layout(spec))
        m.d.comb += [
            complete.eq(Mux(self.transposed, visits[-1], visits[LATENCY])),
            self.valid.eq(complete.ends),
            self.closes.eq(complete.closes),
        ]
        # The next visit begins a sensed unit.
        begins = Signal(init=1)
        with m.If(complete.visits | complete.ends):
            m.d.sync += begins.eq(complete.ends)

        by_group = data.ArrayLayout(signed(spec.dac_bits), lanes)
        all_groups = data.View(
            data.ArrayLayout(by_group, groups(spec)),
            self.drive.as_value()[: by_group.size * groups(spec)],
        )
        by_columns = all_groups[driving.unit]
        by_row = self.drive[driving.unit]
        for lane in range(lanes):
            cell = Signal(signed(spec.conductance_bits + 1), name=f"cell_{lane}")
            factor = Signal(signed(spec.dac_bits), name=f"factor_{lane}")
            product = tree.values[lane]
            m.d.sync += [
                cell.eq((self.conductances[lane] << 1) - spec.top),
                factor.eq(
                    Mux(
                        driving.visits,
                        Mux(self.transposed, by_columns[lane], by_row),
                        0,
                    )
                ),
            ]
            registered = Signal(signed(product_bits), name=f"product_{lane}")
            m.d.sync += registered.eq(cell * factor)
            m.d.comb += product.eq(registered)
            added = Mux(self.transposed, tree.total, registered) if lane == 0 else registered
            total = Signal(signed(spec.sum_bits), name=f"total_{lane}")
            m.d.comb += self.sums[lane].eq(Mux(begins, 0, total) + added)
            with m.If(complete.visits | complete.ends):
                m.d.sync += total.eq(self.sums[lane])
        return m
