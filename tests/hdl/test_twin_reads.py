"""The crossbar's digital twin answers reads with the golden twin's codes, in its cycles."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth import ResetInserter, Signal

from golden_model.twin import SHIFT_MAX, Law, TwinSpec
from hdl.twin import CONVERSION_OVERHEAD, conversion_cycles
from hdl.twin_lane import Command
from tests.hdl.simulate import simulate
from tests.hdl.test_twin import SPEC, TwinBench
from tests.hdl.test_update import packed

FAULTS = ("overflow", "line_fault", "tile_fault", "read_fault")


def settings_of(random, spec):
    """A tile and a conversion of it, whose sums are neither all limited nor all lost."""
    transposed = bool(random.integers(2))
    return {
        "tile": divmod(int(random.integers(spec.tiles)), spec.grid_columns),
        "transposed": transposed,
        "sensed": int(random.integers(1, (spec.rows if transposed else spec.columns) + 1)),
        "resolution": min(spec.adc_bits, int(random.integers(2, spec.sum_bits + 4))),
        "shift": int(random.integers(0, spec.sum_bits // 2)),
    }


def random_drive(random, spec, transposed):
    """Some lines, or none, driven for up to a few slots."""
    lines = spec.columns if transposed else spec.rows
    longest = int(random.integers(1, min(spec.longest_drive, 9) + 1))
    drive = random.integers(-longest, longest + 1, lines)
    return drive * (random.random(lines) < random.choice([0.0, 0.3, 1.0]))


class ReadBench(TwinBench):
    """Reads as the accelerator has them on its pins, and the codes that come."""

    def __init__(self, spec):
        super().__init__(spec)
        self.beats = []

    async def watch(self, ctx):
        """Gathers each beat: cycle, codes, which of them are limited."""
        dut, cycle = self.dut, 0
        pins = (dut.adc_valid, dut.adc_codes, dut.adc_saturated)
        async for _, _, valid, codes, saturated in ctx.tick().sample(*pins):
            cycle += 1
            if valid:
                self.beats.append((cycle, list(codes), saturated))

    def set_read(self, ctx, lines, transposed, tile):
        """A slot of a drive on the pins."""
        dut = self.dut
        driven, sensed = ("columns", "rows") if transposed else ("rows", "columns")
        ctx.set(getattr(dut, f"{driven}_positive"), packed(lines > 0))
        ctx.set(getattr(dut, f"{driven}_negative"), packed(lines < 0))
        ctx.set(getattr(dut, f"{sensed}_positive"), 0)
        ctx.set(getattr(dut, f"{sensed}_negative"), 0)
        ctx.set(dut.tile_row, tile[0])
        ctx.set(dut.tile_column, tile[1])
        ctx.set(dut.read_valid, 1)
        ctx.set(dut.read_transposed, transposed)

    async def drive(self, ctx, drive, *, tile=(0, 0), transposed=False, pause=lambda: False,
                    sensed, resolution, shift):  # fmt: skip
        """A pulse-width drive whose last slot converts."""
        dut = self.dut
        ctx.set(dut.resolution, resolution)
        ctx.set(dut.shift, shift)
        slots = max(1, int(np.abs(drive).max(initial=0)))
        for slot in range(slots):
            while pause():
                await ctx.tick()
            self.set_read(ctx, np.sign(drive) * (np.abs(drive) > slot), transposed, tile)
            ctx.set(dut.convert, slot == slots - 1)
            ctx.set(dut.sensed, sensed if slot == slots - 1 else 0)
            await ctx.tick()
            ctx.set(dut.read_valid, 0)
            ctx.set(dut.convert, 0)

    async def codes(self, ctx, sensed):
        """Those of a conversion of `sensed` lines, and which are limited; no more of them come."""
        await self.settle(ctx)
        await ctx.tick()
        adcs = self.spec.adcs
        assert len(self.beats) == -(-sensed // adcs)
        codes = np.array([code for _, beat, _ in self.beats for code in beat], dtype=np.int64)
        limited = [bool(flags >> n & 1) for _, _, flags in self.beats for n in range(adcs)]
        self.beats.clear()
        return codes[:sensed], np.array(limited[:sensed], dtype=bool)

    def expected(self, drive, *, tile=(0, 0), **settings):
        return self.golden.read(*tile, drive, **settings)

    async def check_read(self, ctx, drive, **settings):
        """Codes and limits are the golden ones; returns how many are limited."""
        codes, limited = await self.codes(ctx, settings["sensed"])
        golden_codes, golden_limited = self.expected(drive, **settings)
        assert codes.tolist() == golden_codes.tolist()
        assert limited.tolist() == golden_limited.tolist()
        return np.count_nonzero(limited)

    async def check_faults(self, ctx, *raised):
        await ctx.tick().repeat(2)
        assert [name for name in FAULTS if ctx.get(getattr(self.dut, name))] == list(raised)

    def run(self, *testbenches):
        simulate(self.dut, *testbenches, processes=[self.watch])


@pytest.mark.parametrize(
    ("law", "sizes"),
    [
        (Law.SOFT_BOUNDS, {"rows": 4, "columns": 6, "cells_per_cycle": 2, "adcs": 4}),
        (Law.CONSTANT_STEP, {"rows": 3, "columns": 8, "cells_per_cycle": 8, "adcs": 2,
                             "grid_rows": 2, "grid_columns": 3, "fraction_bits": 6}),
        (Law.IDEAL, {"rows": 9, "columns": 4, "cells_per_cycle": 1, "adcs": 1, "states": 12,
                     "dac_bits": 4, "fraction_bits": 0}),
        (Law.SOFT_BOUNDS, {"rows": 5, "columns": 16, "cells_per_cycle": 4, "adcs": 4,
                           "adc_bits": 24, "states": 2, "fraction_bits": 9}),
        (Law.IDEAL, {"rows": 1, "columns": 1, "cells_per_cycle": 1, "adcs": 8, "dac_bits": 2}),
        (Law.SOFT_BOUNDS, {"rows": 7, "columns": 32, "cells_per_cycle": 16, "adcs": 2,
                           "adc_bits": 5, "dac_bits": 16}),
    ],
)  # fmt: skip
def test_random_reads_give_the_golden_codes(law, sizes):
    """Of random cells, stuck ones among them, in between random slots, at random moments."""
    random = np.random.default_rng(len(sizes))
    bench = ReadBench(TwinSpec(**{"states": 40, "law": law, **sizes}))
    limited = 0

    async def drive(ctx):
        nonlocal limited
        await bench.scatter(ctx, random)
        for turn in range(40):
            settings = settings_of(random, bench.spec)
            lines = random_drive(random, bench.spec, settings["transposed"])
            if turn % 4 == 0:
                await bench.random_slots(ctx, random, 6)
            ctx.set(bench.dut.rows_positive, 0)
            await bench.drive(ctx, lines, pause=lambda: random.random() < 0.2, **settings)
            limited += await bench.check_read(ctx, lines, **settings)
        await bench.check_faults(ctx)
        await bench.check(ctx)

    bench.run(drive)
    assert limited


def test_codes_round_half_to_even_and_saturate():
    """Every sum of one driven cell at every resolution, and the largest shift."""
    spec = TwinSpec(rows=1, columns=1, cells_per_cycle=1, states=12, fraction_bits=0, adc_bits=6)
    bench = ReadBench(spec)

    async def drive(ctx):
        for conductance in range(spec.states):
            await bench.request(ctx, Command.PROGRAM, 0, conductance=conductance)
            bench.golden.program(conductance)
            for resolution, shift in ((2, 0), (3, 1), (6, 1), (6, 2), (4, 2), (2, 3), (6, 31)):
                for code in (1, -3):
                    settings = {"transposed": False, "sensed": 1, "resolution": resolution,
                                "shift": shift}  # fmt: skip
                    await bench.drive(ctx, np.array([code]), **settings)
                    await bench.check_read(ctx, np.array([code]), **settings)

    assert SHIFT_MAX == 31
    bench.run(drive)


@pytest.mark.parametrize("sizes", [(64, 16, 4), (16, 8, 64), (8, 8, 1)])
@pytest.mark.parametrize("transposed", [False, True])
def test_a_conversion_takes_the_cycles_of_the_formula(sizes, transposed):
    """For any number of driven and sensed lines, with the codes in its last cycle."""
    columns, cells_per_cycle, adcs = sizes
    spec = TwinSpec(rows=6, columns=columns, cells_per_cycle=cells_per_cycle, adcs=adcs)
    bench = ReadBench(spec)
    lines, sensed_lines = (columns, 6) if transposed else (6, columns)

    async def drive(ctx):
        for driven in (0, 1, lines // 2, lines):
            for sensed in (0, 1, sensed_lines // 2 + 1, sensed_lines):
                line = (np.arange(lines) < driven).astype(int)
                settings = {"transposed": transposed, "sensed": sensed, "resolution": 12,
                            "shift": 4}  # fmt: skip
                await bench.drive(ctx, line, **settings)
                cycles = conversion_cycles(spec, line, transposed=transposed, sensed=sensed)
                for cycle in range(cycles):
                    assert not ctx.get(bench.dut.ready)
                    assert ctx.get(bench.dut.adc_valid) or cycle < cycles - 1
                    await ctx.tick()
                assert ctx.get(bench.dut.ready)
                assert ctx.get(bench.dut.idle)
                await bench.check_read(ctx, line, **settings)

    bench.run(drive)


def test_a_read_of_a_tile_takes_little_more_than_its_groups():
    """64 x 64 cells, 16 a cycle: 256 cycles, and 11 or 13 more."""
    spec = TwinSpec(rows=64, columns=64, cells_per_cycle=16)
    assert CONVERSION_OVERHEAD == 10
    ones = np.ones(64)
    assert conversion_cycles(spec, ones, transposed=False, sensed=64) == 256 + 10 + 4
    assert conversion_cycles(spec, ones, transposed=True, sensed=64) == 256 + 10 + 2 + 1


@pytest.mark.parametrize("slots", [1, 5])
def test_a_conversion_sees_all_slots_before_it(slots):
    """Also those that still queue, or are at the pins' registers, when the drive ends."""
    bench = ReadBench(replace(SPEC, law=Law.IDEAL, asymmetry=0, step_spread=0, asymmetry_spread=0))
    settings = {"transposed": True, "sensed": 4, "resolution": 12, "shift": 2}
    ones = np.ones(6, dtype=int)

    async def drive(ctx):
        before = bench.expected(ones, **settings)[0]
        for _ in range(slots):
            await bench.slot(ctx, np.ones(4), np.ones(6))
        assert (bench.expected(ones, **settings)[0] > before).all()
        await bench.drive(ctx, ones, **settings)
        await bench.check_read(ctx, ones, **settings)
        await bench.check(ctx)

    bench.run(drive)


def test_conversions_follow_each_other_and_other_accesses_wait():
    """A drive may begin as soon as `ready` is back; a host's access comes after the codes."""
    bench = ReadBench(SPEC)
    random = np.random.default_rng(5)

    async def drive(ctx):
        await bench.scatter(ctx, random)
        for cell in range(12):
            settings = settings_of(random, SPEC)
            lines = random_drive(random, SPEC, settings["transposed"])
            await bench.drive(ctx, lines, **settings)
            if cell % 3 == 0:
                word = await bench.read(ctx, cell)
                assert word.conductance == bench.golden.conductance.flat[cell]
            while not ctx.get(bench.dut.ready):
                await ctx.tick()
            codes, _ = bench.expected(lines, **settings)
            beats = np.array([beat for _, beat, _ in bench.beats]).ravel()
            assert beats[: len(codes)].tolist() == codes.tolist()
            bench.beats.clear()
        await bench.check_faults(ctx)

    bench.run(drive)


def test_a_drive_counts_the_slots_of_each_line():
    """Also of a line whose polarity changes, as bits of a real array's integrator would."""
    bench = ReadBench(SPEC)
    settings = {"transposed": False, "sensed": 6, "resolution": 12, "shift": 0}
    pattern = np.array([[1, 0, -1, 1], [1, -1, 1, 0], [1, -1, -1, 0], [1, 1, -1, 1]])

    async def drive(ctx):
        await bench.scatter(ctx, np.random.default_rng(6))
        for lines in pattern[:-1]:
            bench.set_read(ctx, lines, False, (0, 0))
            await ctx.tick()
        await bench.drive(ctx, pattern[-1], **settings)
        await bench.check_read(ctx, pattern.sum(axis=0), **settings)
        await bench.check_faults(ctx)

    bench.run(drive)


def test_a_drive_that_was_broken_off_is_thrown_away():
    """A conversion of no lines gives no codes, and the next drive begins afresh."""
    bench = ReadBench(SPEC)
    settings = {"transposed": False, "sensed": 6, "resolution": 12, "shift": 3}
    lines = np.array([3, 0, -2, 1])

    async def drive(ctx):
        await bench.scatter(ctx, np.random.default_rng(7))
        await bench.drive(ctx, np.array([5, 5, 5, 5]), **{**settings, "sensed": 0})
        assert ctx.get(bench.dut.ready)
        await bench.drive(ctx, lines, **settings)
        await bench.check_read(ctx, lines, **settings)
        await bench.check_faults(ctx)

    bench.run(drive)


def test_a_drive_has_its_longest():
    """As many slots as a count holds; those beyond count for nothing, and are told."""
    bench = ReadBench(replace(SPEC, dac_bits=3))
    settings = {"transposed": False, "sensed": 6, "resolution": 12, "shift": 0}

    async def drive(ctx):
        for slots in (3, 4):
            await bench.check_faults(ctx)
            await bench.drive(ctx, np.full(4, -slots), **settings)
            await bench.check_read(ctx, np.full(4, -3), **settings)
        await bench.check_faults(ctx, "read_fault")

    bench.run(drive)


def test_mistakes_of_reads_are_seen():
    spec = replace(SPEC, grid_rows=3)
    settings = {"transposed": False, "sensed": 6, "resolution": 12, "shift": 0}

    def mistake(fault, disturb, counted, **changes):
        """After a read, a drive of all rows for a slot, disturbed, and what of it counts."""
        bench = ReadBench(spec)

        async def drive(ctx):
            dut = bench.dut
            await bench.scatter(ctx, np.random.default_rng(8))
            await bench.settle(ctx)
            await bench.drive(ctx, np.array([-2, 1, 2, 1]), **settings)
            await bench.check_read(ctx, np.array([-2, 1, 2, 1]), **settings)
            bench.set_read(ctx, np.ones(4), False, (0, 0))
            ctx.set(dut.convert, 1)
            ctx.set(dut.sensed, 6)
            disturb(ctx, dut)
            await ctx.tick()
            for pin in (dut.slot_valid, dut.read_valid, dut.convert):
                ctx.set(pin, 0)
            await bench.check_read(ctx, counted, **{**settings, **changes})
            await bench.check_faults(ctx, fault)

        bench.run(drive)

    ones = np.ones(4)
    mistake("line_fault", lambda ctx, dut: ctx.set(dut.rows_negative, 0b100), [1, 1, 0, 1])
    mistake("line_fault", lambda ctx, dut: ctx.set(dut.columns_negative, 0b10), ones)
    mistake("tile_fault", lambda ctx, dut: ctx.set(dut.tile_row, 3), np.zeros(4))
    mistake("read_fault", lambda ctx, dut: ctx.set(dut.slot_valid, 1), ones)

    def transposed(ctx, dut):
        """Asks four rows for six sums."""
        bits = {"rows": 0, "columns": 0b111111}
        for side, lines in bits.items():
            ctx.set(getattr(dut, f"{side}_positive"), lines)
        ctx.set(dut.read_transposed, 1)

    mistake("read_fault", transposed, np.ones(6), transposed=True, sensed=4)


@pytest.mark.parametrize("pin", ["read_valid", "slot_valid"])
def test_reads_and_slots_during_a_conversion_are_seen(pin):
    """A read is ignored; a slot is applied like any other."""
    bench = ReadBench(SPEC)
    settings = {"transposed": False, "sensed": 6, "resolution": 12, "shift": 0}

    async def drive(ctx):
        await bench.drive(ctx, np.ones(4), **settings)
        golden = bench.expected(np.ones(4), **settings)[0]
        await ctx.tick().repeat(8)
        ctx.set(bench.dut.columns_positive, 1)
        ctx.set(bench.dut.convert, 1)
        ctx.set(getattr(bench.dut, pin), 1)
        await ctx.tick()
        ctx.set(getattr(bench.dut, pin), 0)
        ctx.set(bench.dut.convert, 0)
        codes, _ = await bench.codes(ctx, 6)
        assert codes.tolist() == golden.tolist()
        await bench.check_faults(ctx, "read_fault")
        if pin == "slot_valid":
            bench.golden.apply(0, 0, np.ones(4), np.arange(6) == 0)
        for cell in range(bench.cells):
            assert (await bench.read(ctx, cell)).conductance == bench.golden.conductance.flat[cell]

    bench.run(drive)


def test_a_reset_ends_a_conversion():
    """No more codes come, and the next read is whole."""
    bench = ReadBench(SPEC)
    reset = Signal()
    settings = {"transposed": True, "sensed": 4, "resolution": 12, "shift": 1}

    async def drive(ctx):
        await bench.scatter(ctx, np.random.default_rng(9))
        await bench.settle(ctx)
        for wait in range(0, 20, 3):
            await bench.drive(ctx, np.full(6, 2), **settings)
            await ctx.tick().repeat(wait + 1)
            bench.beats.clear()
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            bench.beats.clear()
            assert ctx.get(bench.dut.idle)
            await bench.drive(ctx, np.ones(6), **settings)
            await bench.check_read(ctx, np.ones(6), **settings)
        await bench.check(ctx)

    simulate(ResetInserter(reset)(bench.dut), drive, processes=[bench.watch])
