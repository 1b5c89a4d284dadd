"""Generation: Verilog, and the files that say how to use it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from amaranth import Shape
from amaranth.back import verilog
from amaranth.lib.wiring import In

from golden_model.cost import IDEAL_BLOCK_CYCLES
from golden_model.parameters import Parameters
from hdl import adder_tree, mac_array, magnitude, narrow
from hdl.accelerator import PORTS, Accelerator
from hdl.datapath import FETCH_LATENCY, pass_latency
from hdl.registers import RegisterMap

NAME = "eigenbar"
"""Name of the Verilog module."""


class GenerationError(RuntimeError):
    """The output cannot be written."""


@dataclass(frozen=True)
class Port:
    """A port of the Verilog module."""

    name: str
    direction: str
    """`input` or `output`."""
    width: int
    meaning: str


@dataclass(frozen=True)
class Design:
    """An accelerator as Verilog."""

    parameters: Parameters
    verilog: str
    """Module `NAME` with everything below it. The same parameters give the same text."""
    ports: tuple[Port, ...]

    @staticmethod
    @cache
    def of(parameters: Parameters) -> Design:
        """The design of `parameters`; takes seconds, and is kept."""
        accelerator = Accelerator(parameters)
        text = verilog.convert(accelerator, name=NAME, strip_internal_attrs=True)
        ports = [Port(name, "input", 1, PORTS[name]) for name in ("clk", "rst")]
        for name, member in accelerator.signature.members.items():
            meaning = next(text for prefix, text in PORTS.items() if name.startswith(prefix))
            direction = "input" if member.flow == In else "output"
            ports.append(Port(name, direction, Shape.cast(member.shape).width, meaning))
        return Design(parameters, text, tuple(ports))


def describe(design: Design) -> dict[str, Any]:
    """Ports, latencies, widths and ideal cycles of an accelerator, for tools to read."""
    parameters = design.parameters
    return {
        "module": NAME,
        "parameters": parameters.as_dict(),
        "ports": [asdict(port) for port in design.ports],
        "widths": {
            "accumulator": parameters.accumulator_bits,
            "dot_product": parameters.dot_bits,
            "history": parameters.history_bits,
            "stream_bytes": parameters.stream_bytes,
        },
        "latencies": {
            "narrower": narrow.LATENCY,
            "mac_array": mac_array.LATENCY,
            "adder_tree": adder_tree.latency(parameters.lanes),
            "magnitude": magnitude.LATENCY,
            "pass": pass_latency(parameters),
            "fetch": FETCH_LATENCY,
        },
        "ideal_block_cycles": IDEAL_BLOCK_CYCLES,
    }


def generate(parameters: Parameters, out: Path) -> list[Path]:
    """Write Verilog, parameters, register map and description into folder `out`.

    Files of these names are replaced, all of them or none; others stay. Returns the paths. Raises
    `GenerationError` if the folder cannot be written.
    """
    registers = RegisterMap.of(parameters)
    design = Design.of(parameters)
    files = {
        f"{NAME}.v": design.verilog,
        "parameters.toml": parameters.to_toml(),
        "registers.md": registers.markdown(),
        "registers.json": json.dumps(registers.as_dict(), indent=2) + "\n",
        "design.json": json.dumps(describe(design), indent=2) + "\n",
    }
    with _replacing_files(out) as folder:
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    return [out / name for name in files]


@contextmanager
def _replacing_files(out: Path) -> Iterator[Path]:
    """A folder whose files move into `out` when the block ends without an exception."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=out, prefix=".new-"))
    except OSError as error:
        raise GenerationError(
            f"cannot write to {out}: {error.strerror}; choose another folder with --out"
        ) from error
    try:
        yield folder
        for path in sorted(folder.iterdir()):
            os.replace(path, out / path.name)
    except OSError as error:
        raise GenerationError(f"cannot write to {out}: {error.strerror}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
