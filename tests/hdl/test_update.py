"""The update driver's pins, counters and cycles equal the golden model's, slot by slot."""

from dataclasses import replace

import numpy as np
import pytest

from golden_model import scalar
from golden_model.crossbar import Crossbar
from golden_model.half_select import SCHEMES, downward, select_levels
from golden_model.parameters import Parameters
from golden_model.pulses import PHASES, UpdatePulses
from hdl.datapath import FETCH_LATENCY
from hdl.update import KAPPA_LATENCY, READY_LATENCY, UpdateDriver, update_cycles
from tests.hdl.simulate import simulate

SMALL = Parameters(
    width=8,
    lanes=2,
    columns=3,
    max_m=20,
    max_n=24,
    max_block=16,
    buffer_rows=64,
    tile_rows=4,
    tile_columns=6,
    grid_rows=12,
    grid_columns=12,
    max_slots=32,
    adcs=2,
)


class Bench:
    """An update driver, the factor memory and scales around it, and what its pins did."""

    def __init__(self, parameters, *, kappa_latency=KAPPA_LATENCY):
        self.parameters = parameters
        self.dut = UpdateDriver(parameters)
        self.slots = []
        self.cycles = 0
        self.done = False
        self._fetches = [None] * (FETCH_LATENCY - 1)
        self._ranks = [0] * (kappa_latency - 1)

    def load(self, x, delta, kappas):
        """Factors as the accelerator's memory holds them: rubbish beyond n and m."""
        lanes = self.parameters.lanes
        random = np.random.default_rng(1)
        low, high = self.parameters.word.minimum, self.parameters.word.maximum
        self._factors = []
        for factor in (x, delta):
            rows = -(-len(factor) // lanes)
            padded = random.integers(low, high, (rows * lanes, factor.shape[1]))
            padded[: len(factor)] = factor
            self._factors.append(padded)
        unused = [scalar.encode(0.75)] * (self.parameters.columns - len(kappas))
        self._kappas = [scalar.encode(float(kappa)) for kappa in kappas] + unused

    def configure(self, ctx, m, n, k, *, origin=(0, 0), length=1, dead=0, levels="none",
                  **encoding):  # fmt: skip
        """`encoding` is that of the golden pulses."""
        self.length, self.dead = length, dead
        for name, value in {
            "m": m, "n": n, "k": k, **encoding, "origin_row": origin[0],
            "origin_column": origin[1], "length_less_1": length - 1, "dead": dead,
            "levels": SCHEMES.index(levels),
        }.items():  # fmt: skip
            ctx.set(getattr(self.dut, name), int(value))

    async def tick(self, ctx):
        """A clock cycle: answer the fetches, and look at the pins."""
        dut, lanes = self.dut, self.parameters.lanes
        request = None
        if ctx.get(dut.fetch_valid):
            row, column = ctx.get(dut.fetch_row), ctx.get(dut.fetch_column)
            factor = self._factors[ctx.get(dut.fetch_delta)]
            assert (row + 1) * lanes <= len(factor), "fetched a row that the factor does not have"
            request = factor[row * lanes : (row + 1) * lanes, column].tolist()
        self._fetches.append(request)
        self._ranks.append(ctx.get(dut.rank))
        self.cycles += ctx.get(dut.busy)
        await ctx.tick()
        answer = self._fetches.pop(0)
        ctx.set(dut.fetch_data, answer or [self.parameters.word.maximum] * lanes)
        word = self._kappas[self._ranks.pop(0)]
        exponent = word >> 18
        ctx.set(
            dut.kappa,
            {
                "significand": word & 0x3FFFF,
                "exponent": exponent - 1024 if exponent > 511 else exponent,
            },
        )
        self.look(ctx)

    def look(self, ctx):
        """Record a slot; lines are idle outside of slots and never driven both ways."""
        dut = self.dut
        pins = [
            ctx.get(pin)
            for pin in (
                dut.rows_positive,
                dut.rows_negative,
                dut.columns_positive,
                dut.columns_negative,
            )
        ]
        assert pins[0] & pins[1] == 0
        assert pins[2] & pins[3] == 0
        assert not (pins[0] and pins[1])
        place = tuple(ctx.get(port) for port in (dut.rank, dut.tile_row, dut.tile_column))
        slot, last = (*place, *pins), ctx.get(dut.slot_last)
        levels = tuple(ctx.get(pin) for pin in (dut.rows_level, dut.columns_level, dut.slot_down))
        if ctx.get(dut.slot_valid):
            if self._held == 0:
                assert self._idle >= self.dead
            else:
                assert slot == self._slot, "lines and places hold for the slot's length"
                assert levels == self._levels
            self._levels, self._slot, self._held, self._idle = levels, slot, self._held + 1, 0
            assert last == (self._held == self.length)
        else:
            assert pins == [0, 0, 0, 0]
            assert not last
            assert levels == (0, 0, 0)
            self._held, self._idle = 0, self._idle + 1
        if last:
            self.slots.append(slot)
            self.levels.append(levels)
            self._held = 0
        self.done = bool(ctx.get(dut.done))

    async def start(self, ctx):
        self.slots, self.levels, self.cycles, self.done = [], [], 0, False
        self._held, self._idle, self._slot = 0, self.dead, None
        ctx.set(self.dut.start, 1)
        await self.tick(ctx)
        ctx.set(self.dut.start, 0)

    async def run(self, ctx, limit=200_000):
        await self.start(ctx)
        for _ in range(limit):
            assert ctx.get(self.dut.busy) != self.done
            if self.done:
                return
            await self.tick(ctx)
        raise AssertionError("the driver never finished")


def packed(levels):
    """Bits of the lines that are true, as an integer."""
    return int(sum(1 << int(line) for line in np.flatnonzero(levels)))


GOLDEN = ("slots_min", "slots_max", "scrambled", "seed", "origin")
"""Settings that the golden pulses depend on."""


def expected_levels(parameters, x, delta, kappas, scheme, encoding):
    """The level pins of every slot, from the golden model."""
    levels = []
    for train in UpdatePulses(parameters, x, delta, kappas, **encoding).trains():
        down = downward(len(train.rows) // len(PHASES))
        rows, columns = (
            [int(sum(int(level) << 2 * line for line, level in enumerate(slot))) for slot in side]
            for side in select_levels(train.rows, train.columns, down, scheme)
        )
        levels += zip(rows, columns, down.tolist(), strict=True)
    return levels


def expected_slots(parameters, x, delta, kappas, **settings):
    """The pins of every slot, from the golden model."""
    slots = []
    golden = {name: value for name, value in settings.items() if name in GOLDEN}
    for train in UpdatePulses(parameters, x, delta, kappas, **golden).trains():
        place = (train.rank, train.tile_row, train.tile_column)
        for row, column in zip(train.rows, train.columns, strict=True):
            pins = (packed(row > 0), packed(row < 0), packed(column > 0), packed(column < 0))
            slots.append((*place, *pins))
    return slots


def random_factors(random, parameters, m, n, k, spread=4):
    """Words over the whole range, extremes and zeros among them, and kappas around one count."""
    low, high = parameters.word.minimum, parameters.word.maximum
    factors = []
    for dimension in (n, m):
        words = random.integers(low, high, (dimension, k), endpoint=True)
        special = random.integers(0, 12, (dimension, k))
        words[special == 0], words[special == 1], words[special == 2] = low, high, 0
        factors.append(words.astype(np.float64))
    full = 4.0 ** (parameters.width - 1)
    kappas = [
        scalar.round_scalar(
            float(random.uniform(0.5, 1)) * 2.0 ** int(random.integers(-2, spread)) / full
        )
        for _ in range(k)
    ]
    return factors[0], factors[1], kappas


def check_update(bench, ctx, x, delta, kappas, settings):
    """The slots and counters of the run that `bench` has just finished."""
    parameters, dut = bench.parameters, bench.dut
    expected = expected_slots(parameters, x, delta, kappas, **settings)
    assert len(bench.slots) == len(expected)
    assert bench.slots == expected
    encoding = {name: settings[name] for name in settings_of(True, 0)}
    scheme = settings.get("levels", "none")
    assert bench.levels == expected_levels(parameters, x, delta, kappas, scheme, encoding)
    report = Crossbar(parameters, len(delta), len(x), 1.0, 101).update(x, delta, kappas, **encoding)
    assert ctx.get(dut.clips) == report.clips
    assert ctx.get(dut.pulses) == report.pulses
    assert ctx.get(dut.slots) == report.slots[-1]
    assert bench.cycles == update_cycles(
        parameters, len(delta), len(x), report.slots, settings["scrambled"],
        bench.length + bench.dead,
    )  # fmt: skip
    return report


def settings_of(scrambled, seed, slots_min=0, slots_max=15):
    return {
        "slots_min": slots_min,
        "slots_max": slots_max,
        "scrambled": scrambled,
        "seed": seed,
    }


async def update(bench, ctx, x, delta, kappas, settings):
    """Configure, run to the end and check."""
    bench.load(x, delta, kappas)
    bench.configure(ctx, len(delta), len(x), len(kappas), **settings)
    await bench.run(ctx)
    return check_update(bench, ctx, x, delta, kappas, settings)


@pytest.mark.parametrize("scrambled", [True, False])
@pytest.mark.parametrize(
    "changes",
    [
        {"width": 8, "lanes": 4, "tile_rows": 8, "tile_columns": 4},
        {"width": 9, "tile_rows": 2, "tile_columns": 10},
        {"width": 12, "columns": 1, "max_slots": 1},
        {"width": 16, "lanes": 8, "tile_rows": 16, "tile_columns": 8, "max_slots": 8},
        {"width": 18, "max_m": 2, "max_n": 4, "max_slots": 64},
    ],
)
def test_pins_equal_the_golden_pulses(changes, scrambled):
    parameters = replace(SMALL, **changes)
    random = np.random.default_rng(parameters.width + scrambled)
    bench = Bench(parameters, kappa_latency=int(random.integers(1, KAPPA_LATENCY + 1)))

    async def drive(ctx):
        for _ in range(3):
            m = int(random.integers(1, parameters.max_m + 1))
            n = int(random.integers(1, parameters.max_n + 1))
            k = int(random.integers(1, parameters.columns + 1))
            x, delta, kappas = random_factors(random, parameters, m, n, k)
            seed = int(random.integers(0, 2**32))
            await update(bench, ctx, x, delta, kappas, settings_of(scrambled, seed))

    simulate(bench.dut, drive)


@pytest.mark.parametrize("case", range(8))
def test_random_parameters_and_shapes(case):
    random = np.random.default_rng([case, 2])
    lanes = 2 << int(random.integers(0, 3))
    parameters = replace(
        SMALL,
        width=int(random.integers(8, 19)),
        lanes=lanes,
        columns=int(random.integers(1, 6)),
        max_m=int(random.integers(1, 25)),
        max_n=int(random.integers(1, 25)),
        tile_rows=lanes * int(random.integers(1, 5)),
        tile_columns=lanes * int(random.integers(1, 5)),
        max_slots=1 << int(random.integers(0, 5)),
    )
    bench = Bench(parameters)

    async def drive(ctx):
        for scrambled in (True, False):
            m = int(random.integers(1, parameters.max_m + 1))
            n = int(random.integers(1, parameters.max_n + 1))
            k = int(random.integers(1, parameters.columns + 1))
            x, delta, kappas = random_factors(random, parameters, m, n, k)
            low, high = (int(log2) for log2 in random.integers(0, 16, 2))
            settings = settings_of(scrambled, int(random.integers(0, 2**32)), low, high)
            await update(bench, ctx, x, delta, kappas, settings)

    simulate(bench.dut, drive)


def test_the_default_preset_drives_one_tile():
    parameters = Parameters()
    bench = Bench(parameters)
    x, delta, kappas = random_factors(np.random.default_rng(3), parameters, 50, 64, 1)

    async def drive(ctx):
        for scrambled in (True, False):
            await update(bench, ctx, x, delta, kappas, settings_of(scrambled, 0xFFFFFFFF))

    simulate(bench.dut, drive)


def test_slots_and_duties_at_the_limits_of_kappa():
    """Kappas so small that no line fires, so large that all clip, and slots out of range."""
    bench = Bench(SMALL)
    x, delta, _ = random_factors(np.random.default_rng(5), SMALL, 7, 5, 3)
    smallest, largest = scalar.SMALLEST, scalar.LARGEST
    few, many = scalar.round_scalar(1 / 2**14), scalar.round_scalar(40 / 2**14)

    async def drive(ctx):
        report = await update(bench, ctx, x, delta, [smallest, largest, many], settings_of(True, 1))
        assert report.slots == [1, 32, 32]
        assert report.clips > np.count_nonzero(delta[:, 1])
        report = await update(
            bench, ctx, x, delta, [few, many, smallest], settings_of(True, 2, 3, 2)
        )
        assert report.slots == [4, 4, 4]
        report = await update(bench, ctx, x, delta, [few, few, few], settings_of(False, 0, 15, 15))
        assert report.slots == [32, 32, 32]

    simulate(bench.dut, drive)


@pytest.mark.parametrize("width", [8, 13, 18])
def test_every_shift_of_a_duty_is_exact(width):
    """Kappas of every exponent that matters, at one slot, so that duties run from 0 to clipped."""
    parameters = replace(SMALL, width=width, columns=1, max_n=2, max_slots=1)
    bench = Bench(parameters)
    random = np.random.default_rng(width)
    x = np.full((1, 1), float(parameters.word.minimum))

    async def drive(ctx):
        for exponent in range(-2 * width - 24, -2 * width + 26):
            delta = random.integers(-(2 ** (width - 1)), 2 ** (width - 1), (20, 1))
            delta[:4, 0] = [1, -1, 2 ** (width - 1) - 1, -(2 ** (width - 1))]
            kappa = scalar.round_scalar(float(random.uniform(0.5, 1)) * 2.0**exponent)
            if exponent % 3 == 0:
                kappa = 2.0**exponent  # ties
            settings = settings_of(True, exponent % 7, 0, 0)
            await update(bench, ctx, x, delta.astype(np.float64), [kappa], settings)

    simulate(bench.dut, drive)


def test_a_layer_lies_anywhere_in_the_grid_of_tiles():
    """Its pulses are the same wherever it begins; its tiles count from there."""
    parameters = replace(SMALL, grid_rows=9, grid_columns=5)
    bench = Bench(parameters)
    x, delta, kappas = random_factors(np.random.default_rng(11), parameters, 13, 9, 2)

    async def drive(ctx):
        places, pins = [], []
        for origin in ((0, 0), (6, 0), (0, 2), (6, 2)):
            settings = {**settings_of(True, 1), "origin": origin}
            await update(bench, ctx, x, delta, kappas, settings)
            places.append({tuple(np.subtract(slot[1:3], origin)) for slot in bench.slots})
            pins.append([slot[3:] for slot in bench.slots])
        assert places == [{(row, column) for row in range(3) for column in range(3)}] * 4
        assert pins == pins[:1] * 4

    simulate(bench.dut, drive)


@pytest.mark.parametrize("scrambled", [True, False])
@pytest.mark.parametrize("levels", ["V/2", "V/3"])
def test_level_pins_select_and_inhibit_as_the_scheme_says(scrambled, levels):
    bench = Bench(SMALL)
    x, delta, kappas = random_factors(np.random.default_rng(21), SMALL, 9, 7, 2)

    async def drive(ctx):
        settings = {**settings_of(scrambled, 8, 2, 3), "levels": levels, "length": 2, "dead": 1}
        await update(bench, ctx, x, delta, kappas, settings)

    simulate(bench.dut, drive)


@pytest.mark.parametrize("scrambled", [True, False])
@pytest.mark.parametrize(("length", "dead"), [(1, 1), (2, 0), (3, 2), (1, 9), (12, 5)])
def test_lines_hold_for_a_slots_length_and_are_idle_for_its_dead_time(scrambled, length, dead):
    bench = Bench(SMALL)
    x, delta, kappas = random_factors(np.random.default_rng([length, dead]), SMALL, 9, 7, 2)

    async def drive(ctx):
        settings = {**settings_of(scrambled, 4, 1, 3), "length": length, "dead": dead}
        await update(bench, ctx, x, delta, kappas, settings)

    simulate(bench.dut, drive)


def test_ranks_of_zero_kappa_and_columns_of_zeros_take_no_pulses():
    bench = Bench(SMALL)
    x, delta, kappas = random_factors(np.random.default_rng(6), SMALL, 8, 9, 3)
    delta[:, 0] = 0
    kappas[1] = 0.0

    async def drive(ctx):
        report = await update(bench, ctx, x, delta, kappas, settings_of(True, 9, 2))
        assert report.slots[1] == 0
        assert all(slot[5] == slot[6] == 0 for slot in bench.slots if slot[0] == 0)
        assert {slot[0] for slot in bench.slots} == {0, 2}
        report = await update(bench, ctx, x, delta, [0.0, 0.0, 0.0], settings_of(False, 9, 2))
        assert report.pulses == 0

    simulate(bench.dut, drive)


@pytest.mark.parametrize("length", [1, 2, 7])
@pytest.mark.parametrize("scrambled", [True, False])
def test_an_array_that_is_not_ready_holds_up_slots_but_changes_none(scrambled, length):
    random = np.random.default_rng(10)
    bench = Bench(SMALL)
    x, delta, kappas = random_factors(random, SMALL, 9, 8, 2)
    settings = {**settings_of(scrambled, 5, 2), "length": length, "dead": 2 * (length > 1)}

    async def drive(ctx):
        bench.load(x, delta, kappas)
        bench.configure(ctx, 9, 8, 2, **settings)
        await bench.start(ctx)
        held_up, late = 0, 0
        while not bench.done:
            ready = int(random.integers(30)) != 0 if ctx.get(bench.dut.ready) else held_up > 40
            ctx.set(bench.dut.ready, ready)
            held_up = 0 if ready else held_up + 1
            await bench.tick(ctx)
            late = 0 if ready else late + ctx.get(bench.dut.slot_last)
            assert late <= READY_LATENCY
        assert bench.slots == expected_slots(SMALL, x, delta, kappas, **settings)

    simulate(bench.dut, drive)


@pytest.mark.parametrize("scrambled", [True, False])
@pytest.mark.parametrize("length", [1, 3])
def test_abort_idles_all_lines_on_the_next_cycle_and_the_next_update_is_exact(scrambled, length):
    random = np.random.default_rng(7)
    bench = Bench(SMALL)
    x, delta, kappas = random_factors(random, SMALL, 11, 9, 2)
    encoding = settings_of(scrambled, 77, 2, 4)
    settings = {**encoding, "length": length}
    report = Crossbar(SMALL, 11, 9, 1.0, 9).update(x, delta, kappas, **encoding)
    cycles = update_cycles(SMALL, 11, 9, report.slots, scrambled, length)
    interrupted_slots = 0

    async def drive(ctx):
        nonlocal interrupted_slots
        bench.load(x, delta, kappas)
        bench.configure(ctx, 11, 9, 2, **settings)
        for _ in range(14):
            await bench.start(ctx)
            for _ in range(int(random.integers(0, cycles))):
                await bench.tick(ctx)
            interrupted_slots += ctx.get(bench.dut.slot_valid)
            ctx.set(bench.dut.abort, 1)
            for held in range(int(random.integers(1, 3))):
                ctx.set(bench.dut.start, held)  # abort prevails
                await bench.tick(ctx)
                assert not ctx.get(bench.dut.slot_valid)
                assert not ctx.get(bench.dut.busy)
                assert not bench.done
            ctx.set(bench.dut.start, 0)
            ctx.set(bench.dut.abort, 0)
            if random.integers(2):
                await bench.tick(ctx)
                assert not ctx.get(bench.dut.slot_valid)
                assert not ctx.get(bench.dut.busy)
            if random.integers(4) == 0:
                await bench.run(ctx)
                check_update(bench, ctx, x, delta, kappas, settings)
        await bench.run(ctx)
        check_update(bench, ctx, x, delta, kappas, settings)

    simulate(bench.dut, drive)
    assert interrupted_slots > 3


def test_abort_while_lines_are_seeded_does_not_disturb_the_scrambled_encoding():
    bench = Bench(SMALL)
    x, delta, kappas = random_factors(np.random.default_rng(12), SMALL, 4, 4, 1)

    async def drive(ctx):
        for cycles in range(9, 23):
            bench.load(x, delta, kappas)
            bench.configure(ctx, 4, 4, 1, **settings_of(False, 1))
            await bench.start(ctx)
            for _ in range(cycles):
                await bench.tick(ctx)
            ctx.set(bench.dut.abort, 1)
            await bench.tick(ctx)
            ctx.set(bench.dut.abort, 0)
            await update(bench, ctx, x, delta, kappas, settings_of(True, 2, 4))

    simulate(bench.dut, drive)


def test_abort_in_the_last_cycle_prevents_done():
    bench = Bench(SMALL)
    x, delta, kappas = random_factors(np.random.default_rng(13), SMALL, 4, 4, 1)
    settings = settings_of(True, 3, 2, 2)

    async def drive(ctx):
        bench.load(x, delta, kappas)
        bench.configure(ctx, 4, 4, 1, **settings)
        for early in (1, 0):  # the second time abort comes too late
            await bench.start(ctx)
            for _ in range(update_cycles(SMALL, 4, 4, [4], True) - early):
                await bench.tick(ctx)
            ctx.set(bench.dut.abort, 1)
            done = bool(ctx.get(bench.dut.done))
            for _ in range(3):
                await bench.tick(ctx)
                done |= bench.done
            ctx.set(bench.dut.abort, 0)
            assert done == (not early)
            await bench.tick(ctx)

    simulate(bench.dut, drive)


def test_start_while_busy_is_ignored():
    bench = Bench(SMALL)
    x, delta, kappas = random_factors(np.random.default_rng(8), SMALL, 5, 5, 1)
    settings = settings_of(True, 5)

    async def drive(ctx):
        bench.load(x, delta, kappas)
        bench.configure(ctx, 5, 5, 1, **settings)
        await bench.start(ctx)
        ctx.set(bench.dut.start, 1)
        while not bench.done:
            await bench.tick(ctx)
            ctx.set(bench.dut.start, int(ctx.get(bench.dut.busy)))
        check_update(bench, ctx, x, delta, kappas, settings)

    simulate(bench.dut, drive)


def test_pulses_on_the_pins_update_a_crossbar_as_the_golden_model_does():
    bench = Bench(SMALL)
    random = np.random.default_rng(10)
    x, delta, kappas = random_factors(random, SMALL, 10, 11, 3, spread=6)
    settings = settings_of(False, 123)
    pulsed, counted = Crossbar(SMALL, 10, 11, 1.0, 15), Crossbar(SMALL, 10, 11, 1.0, 15)

    def levels(word, lines):
        return (word >> np.arange(lines)) & 1

    async def drive(ctx):
        await update(bench, ctx, x, delta, kappas, settings)

    simulate(bench.dut, drive)
    for _, tile_row, tile_column, *pins in bench.slots:
        lines = (SMALL.tile_rows, SMALL.tile_rows, SMALL.tile_columns, SMALL.tile_columns)
        tile = pulsed.tile(tile_row, tile_column)
        tile.apply(*(levels(pin, count) for pin, count in zip(pins, lines, strict=True)))
    report = counted.update(x, delta, kappas, **settings)
    assert report.bounded > 0
    assert np.array_equal(pulsed.weights, counted.weights)
