"""The reader reads through the digital twin what the golden reads compute on its cells."""

import numpy as np
import pytest
from amaranth import Elaboratable, Module

from golden_model.parameters import Parameters
from golden_model.read_pins import PinReads
from golden_model.reads import Reads, ReadSpec
from golden_model.twin import TwinSpec
from hdl.twin import CrossbarTwin
from hdl.twin_lane import Command
from tests.hdl.read_bench import ReadMachine
from tests.hdl.simulate import simulate

PARAMETERS = Parameters(
    width=8, lanes=2, columns=1, max_rank=1, max_m=10, max_n=10, max_block=1, buffer_rows=16,
    tile_rows=4, tile_columns=6, grid_rows=3, grid_columns=2, max_slots=2, adcs=2, adc_bits=8,
)  # fmt: skip
SPEC = TwinSpec(rows=4, columns=6, grid_rows=3, grid_columns=2, states=8, fraction_bits=0,
                cells_per_cycle=2, adcs=2, adc_bits=8, dac_bits=8)  # fmt: skip
M, N = 9, 10
LINES = ("rows_positive", "rows_negative", "columns_positive", "columns_negative", "slot_valid",
         "read_valid", "convert", "tile_row", "tile_column")  # fmt: skip


class Machine(Elaboratable):
    """The reader, the line drivers and the twin, pin by pin."""

    def __init__(self):
        self.read = ReadMachine(PARAMETERS)
        self.twin = CrossbarTwin(SPEC)

    def elaborate(self, platform):
        m = Module()
        m.submodules.read, m.submodules.twin = self.read, self.twin
        reader, twin = self.read.reader, self.twin
        m.d.comb += [getattr(twin, name).eq(getattr(self.read.lines, name)) for name in LINES]
        m.d.comb += [
            twin.read_transposed.eq(reader.settings.transposed),
            twin.sensed.eq(reader.sensed),
            reader.ready.eq(twin.ready),
            reader.adc_valid.eq(twin.adc_valid),
            reader.adc_codes.eq(twin.adc_codes),
            reader.adc_saturated.eq(twin.adc_saturated),
        ]
        return m


async def program(ctx, twin, conductances):
    """Cells of an m x n layer, whose rows are the inputs, from the grid's first tile on."""
    ctx.set(twin.request.valid, 1)
    for (output, input_), conductance in np.ndenumerate(conductances):
        tile = input_ // SPEC.rows * SPEC.grid_columns + output // SPEC.columns
        row, column = input_ % SPEC.rows, output % SPEC.columns
        request = {
            "command": Command.LOAD,
            "cell": (tile * SPEC.rows + row) * SPEC.columns + column,
            "word": {"conductance": int(conductance)},
        }
        ctx.set(twin.request.payload, request)
        await ctx.tick().until(twin.request.ready)
    ctx.set(twin.request.valid, 0)


@pytest.mark.parametrize("encoding", ["pulse-width", "bit-serial"])
def test_reads_through_the_twin_are_the_golden_reads_of_its_cells(encoding):
    random = np.random.default_rng(len(encoding))
    machine = Machine()
    reader, twin = machine.read.reader, machine.twin
    conductances = random.integers(0, SPEC.states, (M, N))
    cells = 2.0 * conductances - SPEC.top
    reads = Reads("analog", encoding, 5, 6, 10, output_bound=1.0)

    async def run(ctx, transposed):
        m, n = M, N - transposed  # a transposed read leaves out the bias
        array = PinReads(PARAMETERS, reads, cells[:, :n], SPEC.top, transposed=transposed)
        lines = SPEC.columns if transposed else SPEC.rows
        ctx.set(twin.resolution, reads.adc_bits)
        ctx.set(twin.shift, ReadSpec(reads, lines, SPEC.top).shift)
        serial = int(encoding == "bit-serial")
        ctx.set(
            reader.settings,
            {"transposed": int(transposed), "bit_serial": serial, "dac_bits": reads.dac_bits,
             "sum_bits": reads.sum_bits, "m": m, "n": n, "origin_row": 0, "origin_column": 0},
        )  # fmt: skip
        ctx.set(reader.vectors, 1)
        ctx.set(reader.sizes_valid, 1)
        ctx.set(reader.output.ready, 1)
        codes = random.integers(-15, 16, array.inputs)
        words = np.zeros(PARAMETERS.rows(array.inputs) * PARAMETERS.lanes, int)
        words[: len(codes)] = codes
        rows = words.reshape(-1, PARAMETERS.lanes).tolist()
        ctx.set(reader.start, 1)
        await ctx.tick()
        ctx.set(reader.start, 0)
        beats = []
        while ctx.get(reader.busy):
            ctx.set(reader.input.valid, int(bool(rows)))
            if rows:
                ctx.set(reader.input.payload, {"words": rows[0], "last": len(rows) == 1})
                if ctx.get(reader.input.ready):
                    rows.pop(0)
            if ctx.get(reader.output.valid):
                beats.append([word & 0xFF for word in ctx.get(reader.output.payload.words)])
            await ctx.tick()
        (answer,) = array.answers(codes[None].astype(float))
        assert beats == answer.packet(PARAMETERS).tolist()
        assert answer.adc or encoding == "bit-serial"

    async def host(ctx):
        await program(ctx, twin, conductances)
        for transposed in (False, True, False):
            await run(ctx, transposed)
        assert not ctx.get(twin.read_fault | twin.line_fault | twin.tile_fault)

    simulate(machine, host)
