"""A reader with the line drivers, between a host and an array that answers through its pins."""

from collections import deque

import numpy as np
from amaranth import Elaboratable, Module
from amaranth.lib import wiring

from golden_model.read_pins import PinReads
from hdl.reader import Reader
from hdl.update import UpdateDriver

IDLE_LINES = (0, 0, 0, 0)


class ReadMachine(Elaboratable):
    """The reader and the line drivers, as the accelerator connects them."""

    def __init__(self, parameters):
        self.reader = Reader(parameters)
        self.lines = UpdateDriver(parameters)

    def elaborate(self, platform):
        m = Module()
        m.submodules.reader = reader = self.reader
        m.submodules.lines = lines = self.lines
        wiring.connect(m, reader.drive, lines.read)
        m.d.comb += [lines.abort.eq(reader.abort), reader.convert.eq(lines.convert)]
        return m


def bits(word, count):
    """The lowest `count` bits of `word`, as integers."""
    return np.array([(word >> bit) & 1 for bit in range(count)])


class ReadBench:
    """The world around a `ReadMachine`, a clock cycle at a time.

    `answer` is the number of cycles from `convert` to the first codes, `gap` the chance that a
    beat of codes, or a stream, waits for a cycle, `busy` the chance that the array is not ready.
    """

    def __init__(self, parameters, random, *, answer=1, gap=0.0, busy=0.0):
        self.parameters, self.random = parameters, random
        self.dut = ReadMachine(parameters)
        self.answer, self.gap, self.busy = answer, gap, busy
        self.array = None
        self.packets = []
        """Packets received, beats x lanes of unsigned containers."""
        self.cycles = 0
        """Cycles of the run in which the reader was busy."""
        self.errors = set()
        self.drives = 0
        """Conversions seen."""
        self._time = 0
        self._origin = (0, 0)
        self._incoming = deque()
        self._beats = []
        self._codes = deque()

    def configure(self, ctx, reads, m, n, transposed, vectors, cells, largest, origin=(0, 0)):
        """The settings of a run, and the array that it reads, in the grid from `origin` on."""
        self._origin = origin
        reader = self.dut.reader
        self.array = PinReads(self.parameters, reads, cells, largest, transposed=transposed)
        settings = {
            "transposed": int(transposed),
            "bit_serial": int(reads.encoding == "bit-serial"),
            "dac_bits": reads.dac_bits,
            "sum_bits": reads.sum_bits,
            "m": m,
            "n": n,
            "origin_row": origin[0],
            "origin_column": origin[1],
        }
        ctx.set(reader.settings, settings)
        ctx.set(reader.vectors, vectors)
        ctx.set(reader.sizes_valid, 1)

    def send(self, codes, *, rows=None):
        """Queue the packet of a vector of `codes`; of `rows` beats, if it is to be malformed."""
        lanes = self.parameters.lanes
        right = self.parameters.rows(len(codes))
        words = np.full((rows or right) * lanes, -3)  # lanes that must not count
        words[: len(codes)] = codes[: len(words)]
        beats = words.reshape(-1, lanes).tolist()
        self._incoming.extend((beat, i == len(beats) - 1) for i, beat in enumerate(beats))

    def discard_input(self):
        """Drop what has not been taken, as the accelerator does after an error."""
        self._incoming.clear()

    def stray_beat(self):
        """A beat of codes that no conversion asked for."""
        adcs = self.parameters.adcs
        self._codes.append((self._time, [1] * adcs, (1 << adcs) - 1))

    def whole_packets(self):
        """Whether every packet out has its last beat."""
        return not self._beats

    @property
    def owed(self):
        """Beats of codes that the array has yet to send."""
        return len(self._codes)

    async def tick(self, ctx):
        """A clock cycle."""
        reader, random = self.dut.reader, self.random
        sending = bool(self._incoming) and random.random() >= self.gap
        if sending:
            words, last = self._incoming[0]
            ctx.set(reader.input.payload, {"words": words, "last": last})
        ctx.set(reader.input.valid, int(sending))
        receiving = random.random() >= self.gap
        ctx.set(reader.output.ready, int(receiving))
        ctx.set(reader.ready, int(random.random() >= self.busy))
        self._set_codes(ctx)

        self.look(ctx)
        if sending and ctx.get(reader.input.ready):
            self._incoming.popleft()
        if receiving and ctx.get(reader.output.valid):
            payload = ctx.get(reader.output.payload)
            mask = (1 << 8 * self.parameters.stream_word_bytes) - 1
            self._beats.append([int(word) & mask for word in payload.words])
            if payload.last:
                self.packets.append(np.array(self._beats))
                self._beats = []
        self.cycles += ctx.get(reader.busy)
        for name in ("refused", "short", "long", "unexpected", "finished"):
            if ctx.get(getattr(reader, name)):
                self.errors.add(name)
        await ctx.tick()
        self._time += 1

    def _set_codes(self, ctx):
        """Codes whose time has come: in order, a beat a cycle."""
        reader = self.dut.reader
        due = bool(self._codes) and self._codes[0][0] <= self._time
        due = due and self.random.random() >= self.gap
        ctx.set(reader.adc_valid, int(due))
        if due:
            _, codes, saturated = self._codes.popleft()
            ctx.set(reader.adc_codes, codes)
            ctx.set(reader.adc_saturated, saturated)
        else:  # rubbish that must not count
            ctx.set(reader.adc_codes, [1] * self.parameters.adcs)
            ctx.set(reader.adc_saturated, (1 << self.parameters.adcs) - 1)

    def look(self, ctx):
        """What the array sees: no more than one side driven, no line both ways, idle between."""
        dut, p = self.dut.lines, self.parameters
        pins = tuple(
            ctx.get(pin)
            for pin in (
                dut.rows_positive,
                dut.rows_negative,
                dut.columns_positive,
                dut.columns_negative,
            )
        )
        transposed = self.array.transposed
        driven, idle = (pins[2:], pins[:2]) if transposed else (pins[:2], pins[2:])
        assert not ctx.get(dut.slot_valid)
        assert not driven[0] & driven[1]
        assert idle == (0, 0)
        if not ctx.get(dut.read_valid):
            assert pins == IDLE_LINES
            assert not ctx.get(dut.convert)
            return
        count = p.tile_columns if transposed else p.tile_rows
        self.array.slot(bits(driven[0], count) - bits(driven[1], count))
        if ctx.get(dut.convert):
            assert ctx.get(self.dut.reader.sensed) or pins == IDLE_LINES  # only clears
            self._convert(ctx)

    def _convert(self, ctx):
        dut, adcs = self.dut.lines, self.parameters.adcs
        assert not self._codes, "converts while codes are still to come"
        self.drives += 1
        sensed = ctx.get(self.dut.reader.sensed)
        pins = (dut.tile_row, dut.tile_column)
        tiles = [ctx.get(pin) - first for pin, first in zip(pins, self._origin, strict=True)]
        driven_tile, sensed_tile = reversed(tiles) if self.array.transposed else tiles
        codes, saturated = self.array.convert(driven_tile, sensed_tile, sensed)
        padding = -sensed % adcs
        codes = np.append(codes, self.random.integers(-2, 2, padding)).reshape(-1, adcs)
        saturated = np.append(saturated, [True] * padding).reshape(-1, adcs)
        for beat, (word, flags) in enumerate(zip(codes, saturated, strict=True)):
            flag = sum(int(bit) << lane for lane, bit in enumerate(flags))
            self._codes.append((self._time + self.answer + beat, word.tolist(), flag))

    async def start(self, ctx):
        """A pulse of `start`."""
        self.packets, self._beats, self.cycles = [], [], 0
        self.errors, self.drives = set(), 0
        ctx.set(self.dut.reader.start, 1)
        await self.tick(ctx)
        ctx.set(self.dut.reader.start, 0)

    async def finish(self, ctx, limit=200_000):
        """Until the reader is idle."""
        for _ in range(limit):
            if not ctx.get(self.dut.reader.busy):
                return
            await self.tick(ctx)
        raise AssertionError("the reader never finished")

    async def read(self, ctx, vectors):
        """A whole run of `vectors`, which must end as it should; the sums of each."""
        for codes in vectors:
            self.send(codes)
        await self.start(ctx)
        await self.finish(ctx)
        assert self.errors == {"finished"}
        expected = list(self.array.answers(vectors))
        assert len(self.packets) == len(expected)
        for packet, answer in zip(self.packets, expected, strict=True):
            assert packet.tolist() == answer.packet(self.parameters).tolist()
        await ctx.tick()  # counts the last vector's
        reader = self.dut.reader
        assert ctx.get(reader.adc_saturations) == sum(answer.adc for answer in expected)
        assert ctx.get(reader.sum_saturations) == sum(answer.saturated for answer in expected)
        return expected
