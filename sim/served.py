"""The cocotb harness: the machine in any simulator, serving a host in another process.

The simulator runs `sim.server_bench`, which takes requests from a socket, a call of `Harness` each,
and answers them; between requests simulated time stands still. Python runs in its cycles, so it is
for short runs, and for simulators that the native harness does not have.
"""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from golden_model.parameters import Parameters
from golden_model.twin import TwinSpec
from hdl.system import system_verilog
from sim.job import Serve
from sim.machine import Cells, check_written
from sim.runner import Build, build, run
from sim.tools import SimulatorError

BENCH = "sim.server_bench"


def build_system(
    parameters: Parameters, spec: TwinSpec, simulator: str, folder: Path | None = None
) -> Build:
    """`System` built for `simulator`, or found built."""
    text, ports = system_verilog(parameters, spec)
    return build(text, ports, simulator, folder)


class ServedHarness:
    """A running machine, see `sim.machine.Harness`."""

    def __init__(self, parameters: Parameters, built: Build) -> None:
        """Start the simulation that was `built` of a system of `parameters`."""
        self._folder = tempfile.TemporaryDirectory(prefix="eigenbar-")
        address = str(Path(self._folder.name) / "host")
        self._thread = ThreadPoolExecutor(1, "eigenbar-simulator")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(address)
            server.listen(1)
            server.settimeout(0.1)
            self._simulation = self._thread.submit(run, built, BENCH, Serve(parameters, address))
            self._connection: Connection | None = None
            while self._connection is None:
                try:
                    self._connection = Connection(server.accept()[0].detach())
                except TimeoutError:
                    if self._simulation.done():
                        self._ended()

    def _call(self, function: str, *arguments: Any) -> Any:
        """What the bench answers to a call of `function`."""
        if self._connection is None:
            raise SimulatorError("the simulation has been closed")
        try:
            self._connection.send((function, arguments))
            return self._connection.recv()
        except (EOFError, OSError):
            self._ended()

    def _ended(self) -> NoReturn:
        """The simulation ended unasked: raise why."""
        self._simulation.result()
        raise SimulatorError("the simulation ended before it was asked to")

    def write(self, address: int, word: int) -> None:
        """See `Harness`."""
        check_written(address, self._call("write", address, word))

    def read(self, addresses: Sequence[int]) -> list[int]:
        """See `Harness`."""
        words: list[int] = self._call("read", addresses)
        return words

    def poll(self, address: int, mask: int, value: int) -> None:
        """See `Harness`."""
        self._call("poll", address, mask, value)

    def exchange(self, packets: Sequence[bytes], answers: int, length: int) -> bytes:
        """See `Harness`."""
        received: bytes = self._call("exchange", packets, answers, length)
        return received

    def converters(self, resolution: int, shift: int) -> None:
        """See `Harness`."""
        self._call("converters", resolution, shift)

    def program(self, cells: Cells, words: Cells) -> None:
        """See `Harness`."""
        self._call("program", cells, words)

    def cells(self, cells: Cells) -> Cells:
        """See `Harness`."""
        words: Cells = self._call("cells", cells)
        return words

    @property
    def faults(self) -> list[str]:
        """See `Harness`."""
        faults: list[str] = self._call("faults")
        return faults

    @property
    def cycles(self) -> int:
        """See `Harness`."""
        cycles: int = self._call("cycles")
        return cycles

    @property
    def coincidences(self) -> int:
        """See `Harness`."""
        coincidences: int = self._call("coincidences")
        return coincidences

    def counters(self) -> dict[str, int]:
        """See `Harness`: nothing else."""
        return {}

    def close(self) -> None:
        """See `Harness`."""
        if self._connection is not None:
            with suppress(OSError):  # it ended by itself
                self._connection.send(None)
            self._connection.close()
            self._connection = None
        self._thread.shutdown()
        self._folder.cleanup()
