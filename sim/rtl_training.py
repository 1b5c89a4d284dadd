"""Training with the generated hardware in the loop: `eigenbar train --arithmetic rtl`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from golden_model import training
from golden_model.datasets import Dataset
from golden_model.training_settings import TrainingSettings
from hdl.system import twin_spec
from sim.machine import Harness, Placement, SimulatedMachine
from sim.native import NativeHarness, build_native, waves_format
from sim.tools import SimulatorError

HARNESSES = ("native", "cocotb")


@contextmanager
def machine(
    settings: TrainingSettings,
    shape: tuple[int, int, int],
    classes: int,
    *,
    harness: str = "native",
    simulator: str = "verilator",
    waves: Path | None = None,
    builds: Path | None = None,
) -> Iterator[SimulatedMachine]:
    """A machine that holds the layers of `settings`, in `harness`, one of `HARNESSES`.

    With `waves` all its signals are recorded there (native). Builds are kept below `builds`.
    Raises `SimulatorError` if the simulator is missing or the drivers cannot reach all tiles.
    """
    parameters = settings.parameters
    plans = settings.plan(shape, classes)
    placement = Placement.of(plans, parameters)
    spec = twin_spec(parameters, placement.grid, settings.device.states)
    running: Harness
    if harness == "native":
        library = build_native(parameters, spec, waves_format(waves), builds)
        running = NativeHarness(parameters, library, waves)
    else:
        raise SimulatorError(f"unknown harness {harness!r}; choose one of: {', '.join(HARNESSES)}")
    try:
        yield SimulatedMachine(parameters, plans, placement, spec, running)
    finally:
        running.close()


def train(
    settings: TrainingSettings,
    dataset: Dataset,
    *,
    harness: str = "native",
    simulator: str = "verilator",
    waves: Path | None = None,
    builds: Path | None = None,
    **options: Any,
) -> dict[str, Any]:
    """`training.train` with `options`, on a `machine` for settings whose arithmetic is `rtl`."""
    files = (options.get(name) for name in ("checkpoint", "resume", "results"))
    training.check_files(*files)  # before the time that a build takes
    with machine(
        settings,
        dataset.shape,
        dataset.classes,
        harness=harness,
        simulator=simulator,
        waves=waves,
        builds=builds,
    ) as running:
        return training.train(settings, dataset, machine=running, **options)
