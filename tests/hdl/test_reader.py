"""The reader's packets, counts, cycles and drives equal the golden model's."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st

from golden_model.parameters import Parameters
from golden_model.reads import Reads
from hdl.reader import read_cycles
from tests.hdl.read_bench import ReadBench
from tests.hdl.simulate import simulate

SMALL = Parameters(
    width=8,
    lanes=4,
    columns=1,
    max_m=20,
    max_n=24,
    max_block=16,
    buffer_rows=64,
    tile_rows=4,
    tile_columns=8,
    max_slots=32,
    adcs=2,
    adc_bits=12,
)
ENCODINGS = ("pulse-width", "bit-serial")


def random_read(random, m, n, transposed, vectors, largest=15):
    """Cells and vectors of 8-bit codes, extremes and codes beyond any DAC among them."""
    cells = random.integers(-largest, largest + 1, (m, n))
    cells[random.random(cells.shape) < 0.3] = largest
    codes = random.integers(-128, 128, (vectors, m if transposed else n))
    codes[random.random(codes.shape) < 0.2] = 127
    codes[random.random(codes.shape) < 0.1] = 0
    return cells.astype(float), codes.astype(float)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("transposed", [False, True])
def test_several_tiles_each_way_with_saturations_of_both_kinds(encoding, transposed):
    random = np.random.default_rng(1)
    bench = ReadBench(SMALL, random)
    seen = []

    async def drive(ctx):
        for m, n in ((19, 23), (20, 24), (1, 1), (3, 17)):
            sum_bits = 9 if encoding == "bit-serial" else 6
            reads = Reads("analog", encoding, 5, 5, sum_bits, output_bound=1.0)
            cells, vectors = random_read(random, m, n, transposed, 2)
            bench.configure(ctx, reads, m, n, transposed, 2, cells, 15)
            seen.extend(await bench.read(ctx, vectors))
            assert bench.cycles == read_cycles(
                SMALL, reads, m, n, transposed=transposed, vectors=2, answer=bench.answer
            )

    simulate(bench.dut, drive)
    assert any(answer.adc for answer in seen)
    assert any(answer.saturated for answer in seen)


def test_a_default_read_of_a_tile_takes_the_cycles_that_it_says():
    """Rows and columns of the default preset, whose tile has more rows of lanes than the vector."""
    parameters, random = Parameters(), np.random.default_rng(2)
    bench = ReadBench(parameters, random, answer=4)

    async def drive(ctx):
        for transposed in (False, True):
            reads = Reads("analog", dac_bits=6, adc_bits=8, sum_bits=32)
            cells, vectors = random_read(random, 65, 30, transposed, 1, 1023)
            bench.configure(ctx, reads, 65, 30, transposed, 1, cells, 1023)
            await bench.read(ctx, vectors)
            assert bench.cycles == read_cycles(
                parameters, reads, 65, 30, transposed=transposed, vectors=1, answer=4
            )

    simulate(bench.dut, drive)


@st.composite
def configurations(draw):
    """Parameters, a seed, and what the array and the streams make wait."""
    lanes = draw(st.sampled_from((2, 4, 8)))
    parameters = Parameters(
        width=draw(st.integers(8, 18)),
        lanes=lanes,
        columns=1,
        max_rank=1,
        max_m=draw(st.integers(1, 24)),
        max_n=draw(st.integers(1, 24)),
        max_block=1,
        buffer_rows=64,
        tile_rows=lanes * draw(st.integers(1, 4)),
        tile_columns=lanes * draw(st.integers(1, 4)),
        grid_rows=15,
        grid_columns=15,
        max_slots=2,
        adcs=1 << draw(st.integers(0, lanes.bit_length() - 1)),
        adc_bits=draw(st.integers(4, 24)),
    )
    waits = {
        "answer": draw(st.integers(1, 8)),
        "gap": draw(st.sampled_from((0.0, 0.3))),
        "busy": draw(st.sampled_from((0.0, 0.3))),
    }
    return parameters, draw(st.integers(0, 2**32 - 1)), waits


def random_settings(random, parameters, encoding):
    """Converters and a register of sums that at most three bits more than a tile gives fit."""
    serial = encoding == "bit-serial"
    dac_bits = int(random.integers(2, min(parameters.width, 16) + 1 if serial else 7))
    shifts = dac_bits - 1 if serial and dac_bits > 2 else 0
    adc_bits = int(random.integers(2, min(parameters.adc_bits, 32 - shifts) + 1))
    least = adc_bits + shifts
    sum_bits = int(random.integers(least, min(least + 3, 32) + 1))
    bound = float(random.choice([0.1, 1.0, 4.0]))
    return Reads("analog", encoding, dac_bits, adc_bits, sum_bits, output_bound=bound)


def check_random_reads(parameters, seed, waits):
    """Both ways and encodings of layers within the maxima, somewhere in the grid."""
    random = np.random.default_rng(seed)
    bench = ReadBench(parameters, random, **waits)

    async def drive(ctx):
        for encoding, transposed in itertools.product(ENCODINGS, (False, True)):
            m = int(random.integers(1, parameters.max_m + 1))
            n = int(random.integers(1, parameters.max_n + 1))
            reads = random_settings(random, parameters, encoding)
            cells, vectors = random_read(random, m, n, transposed, 2)
            origin = tuple(random.integers(0, 3, 2).tolist())
            bench.configure(ctx, reads, m, n, transposed, 2, cells, 15, origin)
            await bench.read(ctx, vectors)

    simulate(bench.dut, drive)


@settings(max_examples=8, derandomize=True, phases=(Phase.generate,))
@given(configurations())
def test_reads_of_any_configuration_equal_the_golden_model(configuration):
    check_random_reads(*configuration)


@pytest.mark.nightly
@pytest.mark.parametrize("share", range(8))
def test_reads_of_many_configurations_equal_the_golden_model(share):
    @seed(share)
    @settings(max_examples=25, database=None, phases=(Phase.generate,))
    @given(configurations())
    def reads_equal_golden_model(configuration):
        check_random_reads(*configuration)

    reads_equal_golden_model()


def test_codes_of_16_bits_and_sums_of_32_fill_their_registers():
    """Bit-serial codes of +-32767 through cells that make every ADC saturate, at once and later."""
    parameters = replace(SMALL, width=18, adc_bits=24)
    bench = ReadBench(parameters, np.random.default_rng(4))

    async def drive(ctx):
        for sign in (1, -1):
            reads = Reads("analog", "bit-serial", 16, 17, 32, output_bound=0.5)
            cells = sign * np.full((2, 24), (1 << 18) - 1.0)
            bench.configure(ctx, reads, 2, 24, False, 1, cells, (1 << 18) - 1)
            (answer,) = await bench.read(ctx, np.full((1, 24), 1e5))
            assert answer.adc == 6 * 15 * 2
            assert answer.saturated > 0
            assert abs(answer.sums[0]) >= (1 << 31) - 1

    simulate(bench.dut, drive)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_abort_at_any_moment_idles_the_lines_and_the_next_read_is_exact(encoding):
    random = np.random.default_rng(5)
    bench = ReadBench(SMALL, random, answer=15)
    reads = Reads("analog", encoding, dac_bits=4, adc_bits=6, sum_bits=9)
    cells, vectors = random_read(random, 9, 6, False, 1)
    cycles = read_cycles(SMALL, reads, 9, 6, transposed=False, vectors=1, answer=15)
    owed = driven = 0

    async def drive(ctx):
        nonlocal owed, driven
        reader, lines = bench.dut.reader, bench.dut.lines
        bench.configure(ctx, reads, 9, 6, False, 1, cells, 15)
        for moment in range(12):
            for codes in vectors:
                bench.send(codes)
            await bench.start(ctx)
            for _ in range(int(random.integers(1, cycles // 2))):
                await bench.tick(ctx)
            while moment % 4 == 0 and not ctx.get(lines.read_valid):
                await bench.tick(ctx)
            while moment % 4 == 1 and not bench.owed:
                await bench.tick(ctx)
            owed += bench.owed > 0
            driven += ctx.get(lines.read_valid)
            ctx.set(reader.abort, 1)
            await bench.tick(ctx)
            assert not ctx.get(lines.read_valid | lines.convert)
            ctx.set(reader.abort, 0)
            bench.discard_input()
            assert "finished" not in bench.errors
            await bench.finish(ctx)  # of a packet on its way
            assert bench.whole_packets()
            await bench.read(ctx, vectors)

    simulate(bench.dut, drive)
    assert owed > 1
    assert driven > 1


@pytest.mark.parametrize(("rows", "error"), [(1, "short"), (2, "short"), (4, "long"), (5, "long")])
def test_a_packet_of_the_wrong_length_ends_the_run(rows, error):
    random = np.random.default_rng(rows)
    bench = ReadBench(SMALL, random)
    reads = Reads("analog", dac_bits=3, adc_bits=6, sum_bits=9)
    cells, vectors = random_read(random, 7, 9, False, 2)

    async def drive(ctx):
        bench.configure(ctx, reads, 7, 9, False, 2, cells, 15)
        bench.send(vectors[0])
        bench.send(vectors[1], rows=rows)
        await bench.start(ctx)
        await bench.finish(ctx)
        await bench.tick(ctx)
        assert bench.errors == {error}
        assert len(bench.packets) == 1
        bench.discard_input()
        await bench.read(ctx, vectors)

    simulate(bench.dut, drive)


@pytest.mark.parametrize(
    "wrong",
    [{"dac_bits": 1}, {"dac_bits": 9}, {"sum_bits": 1}, {"sum_bits": 33}, {"vectors": 0},
     {"sizes_valid": 0}],
    ids=str,
)  # fmt: skip
def test_settings_outside_their_range_are_refused(wrong):
    bench = ReadBench(SMALL, np.random.default_rng(0))
    reads = Reads("analog", dac_bits=3, adc_bits=6, sum_bits=9)

    async def drive(ctx):
        bench.configure(ctx, reads, 7, 9, False, 1, np.ones((7, 9)), 15)
        for name, value in wrong.items():
            port = getattr(bench.dut.reader, name, None)
            ctx.set(bench.dut.reader.settings[name] if port is None else port, value)
        await bench.start(ctx)
        await bench.finish(ctx)
        assert bench.errors == {"refused"}
        assert bench.drives == 0

    simulate(bench.dut, drive)


def test_codes_that_no_conversion_asked_for_are_reported_and_ignored():
    random = np.random.default_rng(6)
    bench = ReadBench(SMALL, random)
    reads = Reads("analog", dac_bits=4, adc_bits=6, sum_bits=9)
    cells, vectors = random_read(random, 7, 9, False, 1)

    async def drive(ctx):
        bench.configure(ctx, reads, 7, 9, False, 1, cells, 15)
        bench.send(vectors[0])
        await bench.start(ctx)
        while bench.drives < 3:
            await bench.tick(ctx)
        while bench.owed:
            await bench.tick(ctx)
        bench.stray_beat()
        await bench.finish(ctx)
        assert bench.errors == {"unexpected", "finished"}
        (answer,) = bench.array.answers(vectors)
        assert bench.packets[0].tolist() == answer.packet(SMALL).tolist()

    simulate(bench.dut, drive)


def test_pulses_count_the_slots_in_which_lines_are_driven():
    random = np.random.default_rng(8)
    bench = ReadBench(SMALL, random)
    reads = Reads("analog", dac_bits=4, adc_bits=6, sum_bits=9)
    cells, vectors = random_read(random, 7, 9, True, 2)

    async def drive(ctx):
        bench.configure(ctx, reads, 7, 9, True, 2, cells, 15)
        await bench.read(ctx, vectors)
        sensed_tiles = 3  # 9 rows in tiles of 4
        assert ctx.get(bench.dut.lines.pulses) == sensed_tiles * np.abs(vectors).clip(0, 7).sum()

    simulate(bench.dut, drive)
