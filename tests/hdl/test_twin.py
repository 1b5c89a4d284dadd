"""The crossbar's digital twin: its cells equal the golden twin's after any slots."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth import Elaboratable, Module, ResetInserter, Signal

from golden_model.pulses import UpdatePulses
from golden_model.twin import Law, TwinArray, TwinSpec
from hdl.twin import ACCESS_CYCLES, CrossbarTwin, draw_cycles, slot_cycles
from hdl.twin_lane import Command
from hdl.twin_queue import QUEUE_DEPTH
from hdl.update import READY_LATENCY
from tests.hdl.simulate import simulate
from tests.hdl.test_update import SMALL, Bench, packed, random_factors, settings_of

LINES = (
    "rows_positive",
    "rows_negative",
    "columns_positive",
    "columns_negative",
    "slot_valid",
    "tile_row",
    "tile_column",
)
SPREAD = {"asymmetry": 0.1, "step_spread": 0.25, "asymmetry_spread": 0.1}
SPEC = TwinSpec(rows=4, columns=6, cells_per_cycle=2, states=20, law=Law.SOFT_BOUNDS, **SPREAD)


class Pair(Elaboratable):
    """A twin on the lines of an update driver."""

    def __init__(self, twin, driver):
        self._twin, self._driver = twin, driver

    def elaborate(self, platform):
        m = Module()
        twin, driver = self._twin, self._driver
        m.submodules += [twin, driver]
        for name in LINES:
            m.d.comb += getattr(twin, name).eq(getattr(driver, name))
        m.d.comb += driver.ready.eq(twin.ready)
        return m


class TwinBench:
    """A twin, its golden counterpart, and what drivers and a host do to both."""

    def __init__(self, spec):
        self.spec = spec
        self.dut = CrossbarTwin(spec)
        self.golden = TwinArray(spec)
        self.cells = spec.tiles * spec.rows * spec.columns

    async def request(self, ctx, command, cell, **word):
        port = self.dut.request
        ctx.set(port.payload, {"command": command, "cell": cell, "word": word})
        ctx.set(port.valid, 1)
        await ctx.tick().until(port.ready)
        ctx.set(port.valid, 0)

    async def read(self, ctx, cell):
        port = self.dut.response
        await self.request(ctx, Command.READ, cell)
        ctx.set(port.ready, 1)
        (word,) = await ctx.tick().sample(port.payload).until(port.valid)
        ctx.set(port.ready, 0)
        return word

    async def scatter(self, ctx, random):
        """Conductances, steps and stuck cells over all their values, in both."""
        golden, spec = self.golden, self.spec
        golden.program(random.integers(0, spec.top, golden.conductance.shape, endpoint=True))
        if spec.step_bits:
            golden.up[:] = random.integers(0, 1 << spec.step_bits, golden.up.shape)
            golden.down[:] = random.integers(0, 1 << spec.step_bits, golden.down.shape)
        golden.stick(random.random(golden.stuck.shape) < 0.1)
        for cell in range(self.cells):
            await self.request(ctx, Command.LOAD, cell, **self.word(cell))

    def word(self, cell):
        golden = self.golden
        return {
            "conductance": int(golden.conductance.flat[cell]),
            "stuck": int(golden.stuck.flat[cell]),
            "up": int(golden.up.flat[cell]),
            "down": int(golden.down.flat[cell]),
        }

    def set_lines(self, ctx, rows, columns, tile_row=0, tile_column=0):
        dut = self.dut
        ctx.set(dut.rows_positive, packed(rows > 0))
        ctx.set(dut.rows_negative, packed(rows < 0))
        ctx.set(dut.columns_positive, packed(columns > 0))
        ctx.set(dut.columns_negative, packed(columns < 0))
        ctx.set(dut.tile_row, tile_row)
        ctx.set(dut.tile_column, tile_column)
        ctx.set(dut.slot_valid, 1)

    async def slot(self, ctx, rows, columns, tile_row=0, tile_column=0):
        """One slot on the pins, and in the golden twin."""
        self.set_lines(ctx, rows, columns, tile_row, tile_column)
        await ctx.tick()
        ctx.set(self.dut.slot_valid, 0)
        self.golden.apply(tile_row, tile_column, rows, columns)

    async def random_slots(self, ctx, random, count):
        """Bursts of slots that stop no later than a driver after `ready` has fallen."""
        late = 0
        for _ in range(count):
            while late >= READY_LATENCY or random.random() < 0.02:
                late = 0 if ctx.get(self.dut.ready) else late
                await ctx.tick()
            late = 0 if ctx.get(self.dut.ready) else late + 1
            share = random.choice([0.1, 0.5, 1.0])
            rows, columns = (
                random.choice([-1, 1], lines) * (random.random(lines) < share)
                for lines in (self.spec.rows, self.spec.columns)
            )
            tile = int(random.integers(self.spec.tiles))
            await self.slot(ctx, rows, columns, *divmod(tile, self.spec.grid_columns))
            # Whatever the pins carry outside of slots does not matter.
            ctx.set(self.dut.rows_positive, int(random.integers(1 << self.spec.rows)))

    async def settle(self, ctx):
        """Wait until all is done; returns the clock cycles that it took."""
        cycles = 0
        while not ctx.get(self.dut.idle):
            await ctx.tick()
            cycles += 1
            assert cycles < 10_000, "it never comes to rest"
        return cycles

    async def check(self, ctx, cells=None):
        """All `cells` are the golden ones, and no driver's mistake was seen."""
        dut = self.dut
        await self.settle(ctx)
        for cell in range(self.cells) if cells is None else cells:
            word = await self.read(ctx, cell)
            assert {name: word[name] for name in self.word(cell)} == self.word(cell)
        assert [ctx.get(flag) for flag in (dut.overflow, dut.line_fault, dut.tile_fault)] == [0] * 3


@pytest.mark.parametrize("law", Law)
@pytest.mark.parametrize(
    "sizes",
    [
        {"rows": 4, "columns": 6, "cells_per_cycle": 2},
        {"rows": 3, "columns": 8, "cells_per_cycle": 8, "grid_rows": 2, "grid_columns": 3},
        {"rows": 1, "columns": 1, "cells_per_cycle": 1, "states": 3},
        {"rows": 5, "columns": 3, "cells_per_cycle": 1, "states": 2, "fraction_bits": 9},
    ],
)
def test_random_slots_leave_the_golden_conductances(law, sizes):
    random = np.random.default_rng(len(sizes))
    bench = TwinBench(TwinSpec(**{"states": 40, "law": law, **sizes}))

    async def drive(ctx):
        await bench.check(ctx, range(min(bench.cells, 10)))  # as it starts
        await bench.scatter(ctx, random)
        for _ in range(3):
            await bench.random_slots(ctx, random, 60)
            await bench.check(ctx)

    simulate(bench.dut, drive)


@pytest.mark.parametrize("law", Law)
def test_slots_upon_the_same_cell_follow_each_other(law):
    """Every slot finds what the one before it left, however soon it comes."""
    bench = TwinBench(TwinSpec(rows=1, columns=2, cells_per_cycle=2, states=9, law=law))

    async def drive(ctx):
        for polarity in (1, 1, 1, -1, 1, -1, -1):
            await bench.slot(ctx, np.array([1]), np.array([polarity, -1]))
        await bench.check(ctx)

    simulate(bench.dut, drive)


def test_the_pulses_of_an_update_leave_the_golden_conductances():
    """Drivers, held up by the twin, against the golden pulses and cells."""
    parameters = SMALL
    m, n, k = 11, 9, 2
    spec = replace(SPEC, grid_rows=3, grid_columns=2)
    assert (spec.rows, spec.columns) == (parameters.tile_rows, parameters.tile_columns)
    bench, driver = TwinBench(spec), Bench(parameters)
    random = np.random.default_rng(4)
    x, delta, kappas = random_factors(random, parameters, m, n, k, spread=9)
    settings = settings_of(scrambled=False, seed=77)
    waited = 0

    async def drive(ctx):
        nonlocal waited
        driver.load(x, delta, kappas)
        driver.configure(ctx, m, n, k, **settings)
        await driver.start(ctx)
        while not driver.done:
            waited += not ctx.get(driver.dut.ready)
            await driver.tick(ctx)
        await bench.settle(ctx)
        for rank in UpdatePulses(parameters, x, delta, kappas, **settings).ranks():
            bench.golden.pulse(rank.steps)
        await bench.check(ctx)

    module = Pair(bench.dut, driver.dut)
    simulate(module, drive)
    assert waited > 100


def test_a_draw_makes_the_golden_cells_and_takes_its_cycles():
    bench = TwinBench(SPEC)

    async def drive(ctx):
        dut = bench.dut
        await bench.scatter(ctx, np.random.default_rng(1))
        for seed in (5, 0xFFFFFFFF):
            await bench.settle(ctx)
            ctx.set(dut.seed, seed)
            ctx.set(dut.draw, 1)
            await ctx.tick()
            ctx.set(dut.draw, 0)
            assert await bench.settle(ctx) == draw_cycles(SPEC)
            bench.golden.draw(seed)
            await bench.check(ctx)

    simulate(bench.dut, drive)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 6), (4, 2), (0, 6), (4, 0)])
def test_a_slot_takes_the_cycles_of_the_formula(rows, columns):
    bench = TwinBench(SPEC)

    async def drive(ctx):
        await bench.slot(ctx, np.arange(4) < rows, np.arange(6) < columns)
        busy = slot_cycles(SPEC, rows, columns)
        assert await bench.settle(ctx) == (2 + busy if busy else 1)  # registers at the entrance
        await bench.check(ctx)

    simulate(bench.dut, drive)


def test_the_host_takes_turns_with_slots():
    """Requests between slots see whole slots; programming leaves stuck cells and limits others."""
    bench = TwinBench(replace(SPEC, states=21))
    random = np.random.default_rng(2)
    assert bench.spec.top + 5 < 1 << bench.spec.conductance_bits

    async def drive(ctx):
        await bench.scatter(ctx, random)
        golden = bench.golden
        for cell in range(bench.cells):
            rows, columns = random.integers(-1, 2, 4), random.integers(-1, 2, 6)
            await bench.slot(ctx, rows, columns)
            await ctx.tick().repeat(2)  # into the queue, where it goes before a request
            value = int(random.integers(0, bench.spec.top + 6))
            await bench.request(ctx, Command.PROGRAM, cell, conductance=value)
            if not golden.stuck.flat[cell]:
                golden.conductance.flat[cell] = min(value, bench.spec.top)
            word = await bench.read(ctx, cell)
            assert word.conductance == golden.conductance.flat[cell]
        await bench.check(ctx)

    simulate(bench.dut, drive)


def test_accesses_follow_each_other_after_their_cycles():
    bench = TwinBench(SPEC)

    async def drive(ctx):
        port = bench.dut.request
        ctx.set(port.payload.command, Command.PROGRAM)
        ctx.set(port.valid, 1)
        for cycle in range(5 * ACCESS_CYCLES):
            assert ctx.get(port.ready) == (cycle % ACCESS_CYCLES == 0)
            await ctx.tick()

    simulate(bench.dut, drive)


def test_an_answer_waits_until_it_is_taken():
    bench = TwinBench(SPEC)

    async def drive(ctx):
        port = bench.dut.response
        await bench.scatter(ctx, np.random.default_rng(3))
        await bench.request(ctx, Command.READ, 7)
        await ctx.tick().until(port.valid)
        await bench.slot(ctx, np.ones(4), np.ones(6))
        for _ in range(20):
            assert ctx.get(port.valid)
            before = bench.word(7)
            await ctx.tick()
        assert ctx.get(port.payload.stuck) == before["stuck"]
        ctx.set(port.ready, 1)
        await ctx.tick()
        ctx.set(port.ready, 0)
        await bench.check(ctx)

    simulate(bench.dut, drive)


def test_drivers_mistakes_are_seen_and_change_nothing():
    spec = replace(SPEC, grid_rows=3)

    def mistake(fault, disturb):
        bench = TwinBench(spec)

        async def drive(ctx):
            flags = ("line_fault", "tile_fault", "overflow")
            bench.set_lines(ctx, np.ones(4), np.ones(6))
            disturb(ctx, bench.dut)
            await ctx.tick()
            ctx.set(bench.dut.slot_valid, 0)
            await ctx.tick().repeat(2)
            raised = [flag for flag in flags if ctx.get(getattr(bench.dut, flag))]
            assert raised == [fault]
            assert ctx.get(bench.dut.idle)

        simulate(bench.dut, drive)

    mistake("line_fault", lambda ctx, dut: ctx.set(dut.rows_negative, 0b100))
    mistake("line_fault", lambda ctx, dut: ctx.set(dut.columns_negative, 0b10))
    mistake("tile_fault", lambda ctx, dut: ctx.set(dut.tile_row, 3))


def test_a_slot_that_holds_for_many_cycles_pulses_once_and_one_cut_off_not_at_all():
    bench = TwinBench(SPEC)

    async def drive(ctx):
        for last in (1, 0, 1):
            ctx.set(bench.dut.slot_last, 0)
            bench.set_lines(ctx, np.ones(4), np.ones(6))
            await ctx.tick().repeat(5)
            ctx.set(bench.dut.slot_last, last)
            await ctx.tick()
            ctx.set(bench.dut.slot_valid, 0)
            if last:
                bench.golden.apply(0, 0, np.ones(4), np.ones(6))
            await bench.settle(ctx)
        await bench.check(ctx)

    simulate(bench.dut, drive)


def test_a_slot_too_many_is_lost_and_told():
    bench = TwinBench(SPEC)

    async def drive(ctx):
        bench.set_lines(ctx, np.ones(4), np.ones(6))
        for _ in range(QUEUE_DEPTH + 1):  # one of them is already being applied
            await ctx.tick()
        assert not ctx.get(bench.dut.overflow)
        await ctx.tick().repeat(4)
        assert ctx.get(bench.dut.overflow)

    simulate(bench.dut, drive)


def test_conductances_survive_a_reset():
    bench = TwinBench(SPEC)
    reset = Signal()

    async def drive(ctx):
        await bench.slot(ctx, np.ones(4), np.ones(6))
        await bench.settle(ctx)
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        await bench.check(ctx)

    simulate(ResetInserter(reset)(bench.dut), drive)
