"""The native harness: the machine as a Verilated C++ model behind a small C interface.

For long runs. Buffers go in and out whole, and no Python runs in a clock cycle. The model is built
as a shared library with what sim/native.cpp adds, without a VPI and without public signals but for
the memories of the twin's cells, which are then read in no simulated time.
"""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden_model.parameters import Parameters
from golden_model.twin import TwinSpec
from hdl.system import FAULTS, system_verilog
from sim.machine import PATIENCE, Cells, check_written
from sim.runner import MODEL_OPTIMISATION, MODEL_OPTIONS, TOP, build_once, model_commands
from sim.tools import SimulatorError, environment

SOURCE = Path(__file__).with_suffix(".cpp")

WAVES = {".fst": "fst", ".vcd": "vcd"}
"""Formats of waveforms by the suffix of their file."""

_FAILURES = {
    1: f"the machine did not answer within {PATIENCE} clock cycles",
    2: "the machine's packet ended early",
    3: "the machine's packet did not end",
}
"""What a `Result` of the C++ part means."""


def waves_format(path: Path | None) -> str | None:
    """The format, of `WAVES`, in which waveforms go to `path`; None if there is none.

    Raises `SimulatorError` for another suffix.
    """
    if path is not None and path.suffix not in WAVES:
        raise SimulatorError(
            f"waveforms cannot go to {path}: its name must end in {' or '.join(WAVES)}"
        )
    return None if path is None else WAVES[path.suffix]


def build_native(
    parameters: Parameters, spec: TwinSpec, waves: str | None = None, folder: Path | None = None
) -> Path:
    """The shared library of the machine, built or found built; `waves`, of `WAVES`, if it records.

    Raises `SimulatorError` if Verilator, or what it needs, is missing or fails.
    """
    variables = environment("verilator")
    if waves == "fst":
        _require_headers("lz4.h", "zlib.h")
    text, _ = system_verilog(parameters, spec)
    lanes = range(spec.cells_per_cycle)
    public = (f'public_flat_rd -module "{TOP}.twin.lane_{lane}" -var "cells"' for lane in lanes)
    files = {
        "lanes.h": f"#define LANES(USE) {' '.join(f'USE({lane})' for lane in lanes)}\n",
        "cells.vlt": "\n".join(["`verilator_config", *public, ""]),
        "native.cpp": SOURCE.read_text(),
    }
    defines = [
        f"-DEIGENBAR_LANES={spec.cells_per_cycle}",
        f"-DEIGENBAR_STREAM_BYTES={parameters.stream_bytes}",
    ]
    if waves is not None:
        defines.append(f"-DEIGENBAR_WAVES_{waves.upper()}=1")

    def commands(source: Path) -> list[list[str]]:
        for name, content in files.items():
            source.with_name(name).write_text(content)
        return model_commands(
            [source.with_name("native.cpp"), source.with_name("cells.vlt"), source],
            f"{TOP}.so",
            variables["PATH"],
            options=[] if waves is None else [f"--trace-{waves}"],
            compiler=["-fPIC", *defines],
            linker=["-shared"],
        )

    name = "native" if waves is None else f"native-{waves}"
    recipe = repr((files, defines, waves, MODEL_OPTIONS, MODEL_OPTIMISATION)).encode()
    return build_once(text, commands, name, recipe, variables, folder) / f"{TOP}.so"


def _require_headers(*names: str) -> None:
    """Raise `SimulatorError` now, rather than minutes later, if the compiler lacks one of them."""
    text = "".join(f"#include <{name}>\n" for name in names)
    command = ["g++", "-x", "c++", "-E", "-"]
    if subprocess.run(command, input=text, text=True, capture_output=True, check=False).returncode:
        raise SimulatorError(
            "recording FST needs the libraries lz4 and zlib with their headers (Debian or Ubuntu: "
            "apt install liblz4-dev zlib1g-dev); or record VCD: name a file .vcd"
        )


class NativeHarness:
    """A running machine, see `sim.machine.Harness`; cells are read in no simulated time."""

    def __init__(self, parameters: Parameters, library: Path, waves: Path | None = None) -> None:
        """Load `library` and reset the machine; a library that records does so to `waves`."""
        self._beat = parameters.stream_bytes
        self._library = ctypes.CDLL(str(library))
        self._library.eigenbar_create.restype = ctypes.c_void_p
        for function in ("cycles", "coincidences"):
            getattr(self._library, f"eigenbar_{function}").restype = ctypes.c_uint64
        path = None if waves is None else str(waves).encode()
        self._machine: int | None = self._library.eigenbar_create(path)
        self._call("reset")

    def _call(self, function: str, *arguments: Any) -> Any:
        if self._machine is None:
            raise SimulatorError("the simulation has been closed")
        call = getattr(self._library, f"eigenbar_{function}")
        return call(ctypes.c_void_p(self._machine), *arguments)

    def _checked(self, function: str, *arguments: Any) -> None:
        """Call a function whose last argument is the patience, and raise what it found wrong."""
        result = self._call(function, *arguments, ctypes.c_uint64(PATIENCE))
        if result:
            raise SimulatorError(f"the native harness at {function}: {_FAILURES[result]}")

    def write(self, address: int, word: int) -> None:
        """See `Harness`."""
        response = ctypes.c_uint32()
        self._checked(
            "write", ctypes.c_uint32(address), ctypes.c_uint32(word), ctypes.byref(response)
        )
        check_written(address, response.value)

    def read(self, addresses: Sequence[int]) -> list[int]:
        """See `Harness`."""
        word = ctypes.c_uint32()
        words = []
        for address in addresses:
            self._checked("read", ctypes.c_uint32(address), ctypes.byref(word))
            words.append(word.value)
        return words

    def poll(self, address: int, mask: int, value: int) -> None:
        """See `Harness`."""
        self._checked("poll", *(ctypes.c_uint32(number) for number in (address, mask, value)))

    def exchange(self, packets: Sequence[bytes], answers: int, length: int) -> bytes:
        """See `Harness`."""
        lengths = [len(packet) // self._beat for packet in packets]
        ends = np.cumsum(lengths, dtype=np.uint64)
        output = np.empty(answers * length, np.uint8)
        self._checked(
            "exchange",
            b"".join(packets),
            _pointer(ends),
            ctypes.c_uint64(len(packets)),
            _pointer(output),
            ctypes.c_uint64(answers * length // self._beat),
            ctypes.c_uint64(length // self._beat),
        )
        return output.tobytes()

    def converters(self, resolution: int, shift: int) -> None:
        """See `Harness`."""
        self._call("converters", ctypes.c_uint32(resolution), ctypes.c_uint32(shift))

    def program(self, cells: Cells, words: Cells) -> None:
        """See `Harness`."""
        cells, words = _cells(cells), _cells(words)
        self._checked("program", _pointer(cells), _pointer(words), ctypes.c_uint64(cells.size))

    def cells(self, cells: Cells, *, by_port: bool = False) -> Cells:
        """See `Harness`; with `by_port` through the twin's port, as a host would."""
        cells = _cells(cells)
        words = np.empty_like(cells)
        arguments = (_pointer(cells), _pointer(words), ctypes.c_uint64(cells.size))
        self._checked("rest")
        if by_port:
            self._checked("cells", *arguments)
        else:
            self._call("peek", *arguments)
        return words

    @property
    def faults(self) -> list[str]:
        """See `Harness`."""
        word = self._call("faults")
        return [name for bit, name in enumerate(FAULTS) if word >> bit & 1]

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
        if self._machine is not None:
            self._call("destroy")
            self._machine = None


def _cells(values: Cells) -> Cells:
    return np.ascontiguousarray(values, np.uint32)


def _pointer(array: NDArray[Any]) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)
