"""Training with the generated hardware in the loop, simulated or on a board.

It is `eigenbar train --arithmetic rtl` or `board`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from golden_model import training
from golden_model.datasets import Dataset
from golden_model.files import why_unwritable
from golden_model.parameters import Parameters
from golden_model.training_settings import TrainingSettings
from golden_model.twin import TwinSpec
from hdl.system import twin_spec
from sim.board_port import DEFAULT_BAUD, open_board
from sim.machine import HardwareMachine, Harness, Placement
from sim.native import NativeHarness, build_native, waves_format
from sim.served import ServedHarness, build_system
from sim.tools import SimulatorError, environment
from sim.waves import write_view

HARNESSES = ("native", "cocotb")

Running = tuple[Harness, TwinSpec]
"""A harness, and the twin that it has, which may have more tiles than were needed."""


class Hardware(Protocol):
    """Where the hardware of a training comes from; no result depends on it."""

    def running(self, parameters: Parameters, needed: TwinSpec) -> AbstractContextManager[Running]:
        """An accelerator of `parameters` with a twin of which `needed` is a part, in a context."""
        ...


@dataclass(frozen=True)
class BoardAt:
    """A board at a serial port."""

    port: str
    """Name of the port on this computer, or a URL that pyserial knows."""
    baud: int = DEFAULT_BAUD
    """Bits a second of its UART."""

    @contextmanager
    def running(self, parameters: Parameters, needed: TwinSpec) -> Iterator[Running]:
        """See `Hardware`; raises `BoardError`, or `LinkError` if nothing answers."""
        with open_board(self.port, self.baud, parameters, needed) as harness:
            yield harness, harness.spec


@dataclass(frozen=True)
class Simulation:
    """How the hardware is simulated; no result depends on it.

    Raises `SimulatorError` for what does not go together.
    """

    harness: str = "native"
    """`native`, Verilator's C++ model by itself, or `cocotb`."""
    simulator: str = "verilator"
    """The simulator of cocotb."""
    waves: Path | None = None
    """File that takes all signals, FST or VCD (native)."""
    builds: Path | None = None
    """Folder that keeps builds, `runner.BUILDS` unless given."""

    @contextmanager
    def running(self, parameters: Parameters, needed: TwinSpec) -> Iterator[Running]:
        """See `Hardware`; raises `SimulatorError` if a simulator fails."""
        harness: Harness
        if self.harness == "native":
            library = build_native(parameters, needed, waves_format(self.waves), self.builds)
            if self.waves is not None:
                write_view(self.waves, parameters)
            harness = NativeHarness(parameters, library, self.waves)
        else:
            built = build_system(parameters, needed, self.simulator, self.builds)
            harness = ServedHarness(parameters, built)
        try:
            yield harness, needed
        finally:
            harness.close()

    def __post_init__(self) -> None:
        if self.harness not in HARNESSES:
            raise SimulatorError(
                f"unknown harness {self.harness!r}; choose one of: {', '.join(HARNESSES)}"
            )
        if self.harness == "native" and self.simulator != "verilator":
            raise SimulatorError(
                f"the native harness is Verilator's: simulator {self.simulator} goes with harness "
                "cocotb"
            )
        if self.harness == "cocotb" and self.waves is not None:
            raise SimulatorError("waves are recorded by the native harness: choose that")
        waves_format(self.waves)
        if self.waves is not None and (reason := why_unwritable(self.waves)):
            raise SimulatorError(reason)
        environment(self.simulator)


@contextmanager
def machine(
    settings: TrainingSettings, shape: tuple[int, int, int], classes: int, hardware: Hardware
) -> Iterator[HardwareMachine]:
    """A machine that holds the layers of `settings` for images of `shape` and `classes`.

    Raises `SimulatorError` if the drivers cannot reach all tiles, and what `hardware` raises.
    """
    parameters = settings.parameters
    plans = settings.plan(shape, classes)
    placement = Placement.of(plans, parameters)
    # Never fewer DAC bits than usual, so that trainings with other reads share a build.
    dac_bits = max(TwinSpec.dac_bits, settings.reads.dac_bits)
    needed = twin_spec(parameters, placement.grid, settings.device.states, dac_bits)
    with hardware.running(parameters, needed) as (harness, spec):
        yield HardwareMachine(parameters, plans, placement, spec, harness)


def train(
    settings: TrainingSettings,
    dataset: Dataset,
    *,
    hardware: Hardware | None = None,
    **options: Any,
) -> dict[str, Any]:
    """`training.train` with its `options` on a `machine`, of settings whose arithmetic has one.

    `hardware` is simulated natively unless given.
    """
    files = (options.get(name) for name in ("checkpoint", "resume", "results"))
    training.check_files(*files)  # before the time that a build takes
    shape, classes = dataset.shape, dataset.classes
    with machine(settings, shape, classes, hardware or Simulation()) as running:
        return training.train(settings, dataset, machine=running, **options)
