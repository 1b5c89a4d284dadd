"""The board's end of the host link in simulation, behind a serial port that runs it.

`SimulatedPort` offers pyserial's names, and a clock of simulated seconds, which pass while its
`read` waits: the host's end of the link runs in the same thread, and every run is the same.
"""

import ctypes
import shutil
from collections import deque
from pathlib import Path

import numpy as np

from hdl.host_link import HostLink
from hdl.uart import CHARACTER_BITS
from hdl.verilog import to_verilog
from sim.runner import TOP, build_once, make_command
from sim.tools import environment

CYCLE = 1e-8
"""Seconds of a simulated clock cycle."""

SOURCE = Path(__file__).with_suffix(".cpp")


def build(spec):
    """The shared library of a `HostLink`, built or found built."""
    variables = environment("verilator")

    def commands(source):
        folder = source.parent
        source.with_name("link_port.cpp").write_text(SOURCE.read_text())
        verilate = [
            "perl", shutil.which("verilator", path=variables["PATH"]) or "verilator",
            "--cc", "--exe", "-Mdir", str(folder), "--top-module", TOP, "--prefix", "Vtop",
            "-o", f"{TOP}.so", "-O3", "-Wno-fatal", "-Wno-lint", "-Wno-style",
            "-CFLAGS", "-fPIC", "-LDFLAGS", "-shared",
            str(folder / "link_port.cpp"), str(source),
        ]  # fmt: skip
        return [verilate, make_command(folder, "-O2")]

    recipe = SOURCE.read_bytes() + Path(__file__).read_bytes()
    text = to_verilog(HostLink(spec))
    for stream in ("received", "to_send"):  # Verilator has a use of its own for two underscores
        text = text.replace(f"{stream}__", f"{stream}_")
    folder = build_once(text, commands, "link", recipe, variables)
    return folder / f"{TOP}.so"


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
    """A serial port to a simulated `HostLink`, clocked and reset.

    In every session the board sends `produced`, or what it takes if `echo`. Either of its streams
    pauses up to `stalls` cycles after one byte in eight. One character in 1 / `rate` is spoiled on
    its way, in either direction.
    """

    def __init__(self, spec, *, produced=b"", echo=False, stalls=0, rate=0.0, seed=0):
        random = np.random.default_rng(seed)
        self.to_board, self.to_host = Noise(rate, random), Noise(rate, random)
        self.timeout = None
        self._incoming = deque()
        self._library = ctypes.CDLL(str(build(spec)))
        self._library.link_create.restype = ctypes.c_void_p
        for function in ("link_cycles", "link_taken"):
            getattr(self._library, function).restype = ctypes.c_uint64
        self._board = ctypes.c_void_p(
            self._library.link_create(spec.clocks_per_bit, stalls, int(echo), ctypes.c_uint64(seed))
        )
        self._library.link_produce(self._board, produced, ctypes.c_uint64(len(produced)))

    def close(self):
        self._library.link_destroy(self._board)

    def clock(self):
        """Simulated seconds."""
        return self._library.link_cycles(self._board) * CYCLE

    def write(self, data):
        bits = bytes(bit for byte in data for bit in self.to_board.line(byte))
        self._library.link_line(self._board, bits, ctypes.c_uint64(len(bits)))

    @property
    def in_waiting(self):
        return len(self._incoming)

    def read(self, size=1):
        end = self.clock() + self.timeout
        while len(self._incoming) < size and (left := round((end - self.clock()) / CYCLE)) > 0:
            byte = self._library.link_hear(self._board, ctypes.c_uint64(left))
            if byte >= 0:
                self._incoming.extend(_received(self.to_host.line(byte)))
        return bytes(self._incoming.popleft() for _ in range(min(size, len(self._incoming))))

    def hold(self, hold):
        """Whether the board takes nothing."""
        self._library.link_hold(self._board, int(hold))

    @property
    def taken(self):
        """What the board has taken in this session."""
        count = self._library.link_taken(self._board, None, ctypes.c_uint64(0))
        data = ctypes.create_string_buffer(count)
        self._library.link_taken(self._board, data, ctypes.c_uint64(count))
        return data.raw

    @property
    def restarts(self):
        """Sessions that have begun on the board."""
        return self._library.link_restarts(self._board)

    @property
    def violations(self):
        """Cycles in which a stream's payload or valid was not held, and bad start or stop bits."""
        return self._library.link_violations(self._board)


def _received(bits):
    """What a receiver makes of whole characters: nothing of one without a start bit."""
    for first in range(0, len(bits), CHARACTER_BITS):
        start, *data, _ = bits[first : first + CHARACTER_BITS]
        if start == 0:
            yield sum(bit << place for place, bit in enumerate(data))
