"""The board's end of the host link in simulation, behind a serial port that runs it.

`SimulatedPort` offers pyserial's names. Simulated time passes while its `read` waits, so that the
host's end of the link runs in the same thread, and every run is the same.
"""

from collections import deque

import numpy as np
from amaranth.sim import Simulator

from hdl.host_link import HostLink
from hdl.uart import CHARACTER_BITS

CYCLE = 1e-6
"""Seconds of a simulated clock cycle."""


class Noise:
    """Characters on a line, each spoiled with a probability of `rate`."""

    def __init__(self, rate, random):
        self._rate, self._random = rate, random
        self.spoiled = 0

    def line(self, byte):
        """The bits on the line that become of `byte`, its start and stop bit among them."""
        bits = self._character(byte)
        if self._random.random() >= self._rate:
            return bits
        self.spoiled += 1
        match self._random.integers(4):
            case 0:
                bits[self._random.integers(CHARACTER_BITS)] ^= 1
                return bits
            case 1:
                return []
            case 2:
                return bits + bits
            case _:
                return bits + self._character(int(self._random.integers(256)))

    @staticmethod
    def _character(byte):
        return [0, *(byte >> bit & 1 for bit in range(8)), 1]


class SimulatedPort:
    """A serial port to a simulated `HostLink`, clocked, whose streams testbenches are to serve."""

    def __init__(self, spec, rate=0.0, seed=0):
        random = np.random.default_rng(seed)
        self.board = HostLink(spec)
        self.to_board, self.to_host = Noise(rate, random), Noise(rate, random)
        self.timeout = None
        self.restarts = 0
        self._clocks = spec.clocks_per_bit
        self._outgoing, self._incoming = deque(), deque()
        self._half_cycles = 0
        self._simulator = Simulator(self.board)
        self._simulator.add_clock(CYCLE)
        for testbench in (self._drive, self._sample, self._count):
            self.add(testbench)

    def add(self, testbench):
        """Run `testbench` beside the board."""
        self._simulator.add_testbench(testbench, background=True)

    def clock(self):
        """Simulated seconds."""
        return self._half_cycles * CYCLE / 2

    def write(self, data):
        for byte in data:
            self._outgoing.extend(self.to_board.line(byte))

    @property
    def in_waiting(self):
        return len(self._incoming)

    def read(self, size=1):
        end = self.clock() + self.timeout
        while len(self._incoming) < size and self.clock() < end:
            self._simulator.advance()
            self._half_cycles += 1
        return bytes(self._incoming.popleft() for _ in range(min(size, len(self._incoming))))

    async def _drive(self, ctx):
        while True:
            ctx.set(self.board.rx, self._outgoing.popleft() if self._outgoing else 1)
            await ticks(ctx, self._clocks)

    async def _sample(self, ctx):
        while True:
            await until(ctx, ~self.board.tx)
            await ticks(ctx, self._clocks // 2 - 1)
            byte = 0
            for bit in range(8):
                await ticks(ctx, self._clocks)
                byte |= ctx.get(self.board.tx) << bit
            await ticks(ctx, self._clocks)
            assert ctx.get(self.board.tx) == 1, "a stop bit"
            self._incoming.extend(self._received(self.to_host.line(byte)))

    @staticmethod
    def _received(bits):
        """What a receiver makes of whole characters: none of one without start bit."""
        for first in range(0, len(bits), CHARACTER_BITS):
            start, *data, _ = bits[first : first + CHARACTER_BITS]
            if start == 0:
                yield sum(bit << place for place, bit in enumerate(data))

    async def _count(self, ctx):
        while True:
            await until(ctx, self.board.restart)
            self.restarts += 1


def producer(port, data, random, stalls):
    """A testbench that sends `data` in every session, pausing up to `stalls` cycles at times."""

    async def testbench(ctx):
        to_send, session = port.board.to_send, 0
        while True:
            while port.restarts == session:
                await ctx.tick()
            session = port.restarts
            for byte in data:
                await pause(ctx, random, stalls)
                ctx.set(to_send.payload, byte)
                ctx.set(to_send.valid, 1)
                await until(ctx, to_send.ready | port.board.restart)
                ctx.set(to_send.valid, 0)
                if port.restarts != session:
                    break

    return testbench


def consumer(port, taken, random, stalls):
    """A testbench that keeps in `taken` what comes from the host in this session, likewise."""

    async def testbench(ctx):
        board, session = port.board, 0
        while True:
            await pause(ctx, random, stalls)
            ctx.set(board.received.ready, 1)
            valid, byte = await until(
                ctx,
                board.received.valid | board.restart,
                board.received.valid & ~board.restart,
                board.received.payload,
            )
            ctx.set(board.received.ready, 0)
            if port.restarts != session:
                session = port.restarts
                taken.clear()
            if valid:
                taken.append(byte)

    return testbench


async def pause(ctx, random, stalls):
    """One time in eight, up to `stalls` cycles."""
    if stalls and random.integers(8) == 0:
        await ticks(ctx, int(random.integers(1, stalls)))


# The loops that Amaranth's `repeat` and `until` are; those cannot be left before they end, which
# these testbenches, still running at the end of a test, are.


async def ticks(ctx, count):
    """That many clock cycles."""
    for _ in range(count):
        await ctx.tick()


async def until(ctx, condition, *values):
    """The `values` at the first clock edge at which the `condition` holds."""
    while True:
        _, _, holds, *sampled = await ctx.tick().sample(condition, *values)
        if holds:
            return sampled
