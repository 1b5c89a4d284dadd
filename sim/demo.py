"""The demonstration: train, generate, co-simulate the training data, report."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from golden_model import datasets, training
from golden_model.files import write_json
from golden_model.page import check_plotting
from golden_model.parameters import Parameters
from golden_model.training_settings import TrainingSettings
from hdl.generation import generate
from sim.cosim import cosimulate, training_batches
from sim.report import write_report
from sim.tools import environment

RUNS: dict[str, dict[str, str]] = {
    "MBGD, float": {"optimizer": "mbgd", "arithmetic": "float"},
    "SBPCA, float": {"optimizer": "sbpca", "arithmetic": "float"},
    "SBPCA, fixed": {"optimizer": "sbpca", "arithmetic": "fixed"},
}
"""The training runs that the demonstration compares."""

CAPTURED_STEP = 20
"""Batches trained before the one whose activations and errors are replayed."""


@dataclass(frozen=True)
class Demo:
    """What to demonstrate."""

    parameters: Parameters
    dataset: str = "digits"
    rank: int = 4
    epochs: int = 10
    seed: int = 0
    simulator: str = "verilator"

    def settings(self) -> dict[str, TrainingSettings]:
        """The training runs by name."""
        common = TrainingSettings(
            dataset=self.dataset,
            rank=self.rank,
            epochs=self.epochs,
            seed=self.seed,
            parameters=self.parameters,
        )
        return {name: replace(common, **choice) for name, choice in RUNS.items()}  # type: ignore[arg-type]


def run_demo(
    demo: Demo,
    out: Path,
    *,
    builds: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Run `demo`; the results, which are also in `out`/demo.json and, as a page, demo.html.

    Results are written as they come. Raises the errors of training, generation and co-simulation.
    """
    environment(demo.simulator)  # what is missing is told before the time that training takes
    check_plotting()
    results: dict[str, Any] = {
        "dataset": demo.dataset,
        "parameters": demo.parameters.as_dict(),
        "training": {},
    }
    data = datasets.load(demo.dataset)
    for name, settings in demo.settings().items():

        def show(state: training.Progress, name: str = name) -> None:
            progress(f"training: {name}, epoch {state.epoch} of {demo.epochs}")

        results["training"][name] = training.train(settings, data, progress=show)

    progress("generating Verilog")
    results["verilog"] = [str(path) for path in generate(demo.parameters, out / "verilog")]
    write_json(out / "demo.json", results)

    progress("capturing a training batch")
    fixed = demo.settings()["SBPCA, fixed"]
    batches = training_batches(fixed, data, CAPTURED_STEP, update=True)
    start = time.perf_counter()
    results["cosimulation"] = cosimulate(
        demo.parameters, batches, demo.simulator, folder=builds, progress=progress
    )
    results["cosimulation"]["seconds_with_build"] = time.perf_counter() - start
    write_json(out / "demo.json", results)
    write_report(results, batches, out / "demo.html")
    return results
