"""Training with the generated hardware in the loop: `eigenbar train --arithmetic rtl`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golden_model import training
from golden_model.datasets import Dataset
from golden_model.files import why_unwritable
from golden_model.training_settings import TrainingSettings
from hdl.system import twin_spec
from sim.machine import Harness, Placement, SimulatedMachine
from sim.native import NativeHarness, build_native, waves_format
from sim.served import ServedHarness, build_system
from sim.tools import SimulatorError, environment
from sim.waves import write_view

HARNESSES = ("native", "cocotb")


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
    settings: TrainingSettings,
    shape: tuple[int, int, int],
    classes: int,
    simulation: Simulation,
) -> Iterator[SimulatedMachine]:
    """A machine that holds the layers of `settings` for images of `shape` and `classes`.

    Raises `SimulatorError` if a simulator fails or the drivers cannot reach all tiles.
    """
    parameters = settings.parameters
    plans = settings.plan(shape, classes)
    placement = Placement.of(plans, parameters)
    states, dac_bits = settings.device.states, settings.reads.dac_bits
    spec = twin_spec(parameters, placement.grid, states, dac_bits)
    running: Harness
    if simulation.harness == "native":
        waves = simulation.waves
        library = build_native(parameters, spec, waves_format(waves), simulation.builds)
        if waves is not None:
            write_view(waves, parameters)
        running = NativeHarness(parameters, library, waves)
    else:
        built = build_system(parameters, spec, simulation.simulator, simulation.builds)
        running = ServedHarness(parameters, built)
    try:
        yield SimulatedMachine(parameters, plans, placement, spec, running)
    finally:
        running.close()


def train(
    settings: TrainingSettings,
    dataset: Dataset,
    *,
    simulation: Simulation | None = None,
    **options: Any,
) -> dict[str, Any]:
    """`training.train` with its `options` on a `machine`, of settings whose arithmetic is `rtl`."""
    files = (options.get(name) for name in ("checkpoint", "resume", "results"))
    training.check_files(*files)  # before the time that a build takes
    shape, classes = dataset.shape, dataset.classes
    with machine(settings, shape, classes, simulation or Simulation()) as running:
        return training.train(settings, dataset, machine=running, **options)
