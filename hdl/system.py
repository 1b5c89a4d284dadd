"""A whole machine without an analog chip: the accelerator and the digital twin of its array."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Member, Out

from golden_model.parameters import Parameters
from golden_model.random_bits import WORD_BITS
from golden_model.twin import TwinSpec
from hdl.accelerator import Accelerator
from hdl.twin import CrossbarTwin
from hdl.twin_lane import cell_layout
from hdl.verilog import to_verilog

FAULTS = ("overflow", "line_fault", "tile_fault", "read_fault")
"""The twin's faults, the bits of port `faults` from the lowest."""

STREAMS = ("s_axil", "s_axis", "m_axis")
"""Prefixes of the accelerator's ports for a host."""


def twin_spec(
    parameters: Parameters, grid: tuple[int, int], states: int, dac_bits: int = 8
) -> TwinSpec:
    """The twin of a `grid` (rows, columns) of tiles of ideal devices with `states` states.

    Its reads take codes of `dac_bits`. It equals `golden_model.crossbar`'s ideal devices. A row of
    a tile is updated in a clock cycle as far as its columns are a power of two.
    """
    columns = parameters.tile_columns
    return TwinSpec(
        rows=parameters.tile_rows,
        columns=columns,
        grid_rows=grid[0],
        grid_columns=grid[1],
        states=states,
        fraction_bits=0,
        cells_per_cycle=columns & -columns,
        dac_bits=dac_bits,
        adcs=parameters.adcs,
        adc_bits=parameters.adc_bits,
    )


class System(wiring.Component):
    """The accelerator of `parameters` whose lines drive the twin of `spec`.

    Outside are the accelerator's AXI ports under their own names, and the twin's host side:

    - `request_…` and `response_…`, streams of accesses to cells, see `CrossbarTwin`; a word is a
      cell of `twin_lane.cell_layout`, its conductance in the lowest bits;
    - `resolution` and `shift` of its ADCs, see `AdcBank`;
    - `draw` with `seed`, and `idle`: nothing is under way in the twin;
    - `faults`, the twin's `FAULTS`, until reset.

    What the two share they share by name, so every pin of the one that the other has is connected;
    the lines and what goes with them (`lines`) are outputs as well, to be watched.
    """

    def __init__(self, parameters: Parameters, spec: TwinSpec) -> None:
        if (spec.rows, spec.columns) != (parameters.tile_rows, parameters.tile_columns):
            raise ValueError(
                f"tiles of {spec.rows} x {spec.columns} lines for an accelerator that drives "
                f"{parameters.tile_rows} x {parameters.tile_columns}: they must be the same"
            )
        self._accelerator = accelerator = Accelerator(parameters)
        self._twin = twin = CrossbarTwin(spec)
        host: dict[str, Member] = {
            name: member
            for name, member in accelerator.signature.members.items()
            if name.startswith(STREAMS)
        }
        self.lines = tuple(
            name
            for name, member in accelerator.signature.members.items()
            if name in twin.signature.members and member.flow == Out
        )
        """Names of the accelerator's outputs that go to the twin."""
        super().__init__(
            host
            | {name: Out(accelerator.signature.members[name].shape) for name in self.lines}
            | {
                "resolution": In(twin.signature.members["resolution"].shape),
                "shift": In(twin.signature.members["shift"].shape),
                "draw": In(1),
                "seed": In(WORD_BITS),
                "idle": Out(1),
                "faults": Out(len(FAULTS)),
                "request_valid": In(1),
                "request_ready": Out(1),
                "request_command": In(2),
                "request_cell": In(len(twin.request.payload.cell)),
                "request_word": In(cell_layout(spec).size),
                "response_valid": Out(1),
                "response_ready": In(1),
                "response_word": Out(cell_layout(spec).size),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Connections only."""
        m = Module()
        m.submodules.accelerator = accelerator = self._accelerator
        m.submodules.twin = twin = self._twin
        for name, member in accelerator.signature.members.items():
            if name.startswith(STREAMS):
                outer, inner = getattr(self, name), getattr(accelerator, name)
            elif name in twin.signature.members:
                outer, inner = getattr(twin, name), getattr(accelerator, name)
            else:
                continue
            m.d.comb += inner.eq(outer) if member.flow == In else outer.eq(inner)
        m.d.comb += [getattr(self, name).eq(getattr(accelerator, name)) for name in self.lines]
        m.d.comb += [
            accelerator.array_ready.eq(twin.ready),
            twin.resolution.eq(self.resolution),
            twin.shift.eq(self.shift),
            twin.draw.eq(self.draw),
            twin.seed.eq(self.seed),
            self.idle.eq(twin.idle),
            *(self.faults[bit].eq(getattr(twin, name)) for bit, name in enumerate(FAULTS)),
            twin.request.valid.eq(self.request_valid),
            self.request_ready.eq(twin.request.ready),
            twin.request.payload.command.eq(self.request_command),
            twin.request.payload.cell.eq(self.request_cell),
            twin.request.payload.word.as_value().eq(self.request_word),
            self.response_valid.eq(twin.response.valid),
            twin.response.ready.eq(self.response_ready),
            self.response_word.eq(twin.response.payload.as_value()),
        ]
        return m


def system_verilog(parameters: Parameters, spec: TwinSpec) -> tuple[str, list[str]]:
    """The Verilog of `System`, module `hdl.verilog.NAME`, and the names of its ports."""
    system = System(parameters, spec)
    return to_verilog(system), ["clk", "rst", *system.signature.members]
