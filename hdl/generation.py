"""Generation: Verilog, and the files that say how to use it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from golden_model.cost import BLOCK_STEPS, IDEAL_BLOCK_CYCLES
from golden_model.parameters import Parameters
from hdl import adder_tree, mac_array, magnitude, narrow
from hdl.c_header import c_header
from hdl.datapath import FETCH_LATENCY
from hdl.fusesoc import core_file
from hdl.ipxact import component
from hdl.registers import RegisterMap
from hdl.verilog import NAME, Design

VERILOG = f"{NAME}.v"
C_HEADER = f"{NAME}.h"


class GenerationError(RuntimeError):
    """The output cannot be written."""


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
            "history_digits": parameters.history_digits,
            "stream_bytes": parameters.stream_bytes,
        },
        "latencies": {
            "narrower": narrow.LATENCY,
            "mac_array": mac_array.LATENCY,
            "adder_tree": adder_tree.latency(parameters.lanes),
            "magnitude": magnitude.LATENCY,
            "fetch": FETCH_LATENCY,
        },
        "block_steps": BLOCK_STEPS,
        "ideal_block_cycles": IDEAL_BLOCK_CYCLES,
    }


def generate(parameters: Parameters, out: Path) -> list[Path]:
    """Write Verilog, parameters, register map and descriptions for tools into folder `out`.

    Files of these names are replaced, all of them or none; others stay. Returns the paths. Raises
    `GenerationError` if the folder cannot be written.
    """
    registers = RegisterMap.of(parameters)
    design = Design.of(parameters)
    files = {
        VERILOG: design.verilog,
        "parameters.toml": parameters.to_toml(),
        "registers.md": registers.markdown(),
        "registers.json": json.dumps(registers.as_dict(), indent=2) + "\n",
        "design.json": json.dumps(describe(design), indent=2) + "\n",
        C_HEADER: c_header(registers),
        f"{NAME}.core": core_file(VERILOG, C_HEADER),
        f"{NAME}.xml": component(design, registers, VERILOG, C_HEADER),
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
