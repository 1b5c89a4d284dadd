"""A board's bitstream: generate, synthesise, place and route with several seeds, pack."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from amaranth.back import rtlil

from golden_model.files import replacing, write_json
from golden_model.scheduling import usable_cores
from hdl.board_top import BoardTop
from hdl.boards import BoardSpec
from hdl.constraints import constraints_file
from hdl.flow import TOP, count_cells, place, synthesise
from hdl.machines import Machine
from hdl.place_report import what_is_short
from hdl.pll import PllSetting, pll_setting
from hdl.steps import StepError, Steps
from hdl.toolchains import TOOLCHAINS, BuildError

RESULTS = "build.json"
"""File of the output folder that takes the results."""

STEPS = "steps"
"""Folder of the output folder that keeps what each tool has made."""

Progress = Callable[[str, int, int], None]
"""Is told what has ended or begun, and of how many steps how many have ended."""

Placed = tuple[Path, dict[str, Any]]
"""What `flow.place` returns."""


@dataclass(frozen=True)
class Job:
    """What to build. Raises `BuildError` for what cannot be."""

    board: BoardSpec
    machine: Machine
    about: Mapping[str, Any]
    """What the results say of the machine."""
    seeds: int = 1
    """Seeds to place with, from 1."""
    wanted_mhz: float | None = None
    """The machine's clock, the board's `machine_mhz` unless given."""

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise BuildError(f"seeds = {self.seeds} must be at least 1")

    @cached_property
    def pll(self) -> PllSetting | None:
        """How the PLL makes the clock, if it is not the oscillator's; raises `pll.ClockError`."""
        wanted = self.board.machine_mhz if self.wanted_mhz is None else self.wanted_mhz
        if wanted == self.board.clock_mhz:
            return None
        return pll_setting(self.board.family, self.board.clock_mhz, wanted)

    @property
    def clock_mhz(self) -> float:
        """The machine's clock: the nearest to the wanted one, from below, that the PLL makes."""
        return self.board.clock_mhz if self.pll is None else self.pll.output_mhz

    @property
    def steps(self) -> int:
        """Steps that progress counts: each seed, and four others."""
        return 4 + self.seeds

    def top(self) -> BoardTop:
        """The machine on the board."""
        return BoardTop(self.board, self.machine(self.clock_mhz), self.pll)


def build(
    job: Job, out: Path, progress: Progress = lambda text, done, steps: None
) -> dict[str, Any]:
    """Build `job` in folder `out`: the bitstream, and the results as JSON, which are returned.

    docs/fpga.md lists them. Steps done before are not done again, so that an interrupted build
    goes on where it was; the same job gives the same bitstream. Seeds are placed side by side on
    all cores. Raises `BuildError` if a tool is missing or fails, if the design does not fit the
    FPGA, and if it misses its clock, whose results are written all the same, and `pll.ClockError`
    for a clock that the PLL does not make.
    """
    clock_mhz = job.clock_mhz
    toolchain = TOOLCHAINS[job.board.family]
    tools = {
        "yosys": toolchain.yosys.version,
        "nextpnr": toolchain.place_and_route.version,
        "packer": toolchain.packer.version,
    }
    bitstream = out / f"{job.board.name}.{toolchain.suffix}"
    with Steps(out / STEPS) as steps:
        for old in (bitstream, out / RESULTS):
            old.unlink(missing_ok=True)
        placed, failed = _implement(job, steps, progress)
        best = max(sorted(placed), key=lambda seed: placed[seed][1]["fmax_mhz"])
        folder, report = placed[best]
        outcomes: dict[int, dict[str, Any]] = {
            **{seed: {"fmax_mhz": report["fmax_mhz"]} for seed, (_, report) in placed.items()},
            **{seed: {"error": str(error)} for seed, error in failed.items()},
        }
        results = {
            "board": job.board.name,
            "device": job.board.device,
            "constraint_mhz": round(clock_mhz, 4),
            **report,
            "seed": best,
            "seeds": [{"seed": seed, **outcomes[seed]} for seed in sorted(outcomes)],
            "tools": tools,
            **job.about,
            "bitstream": None,
            "sha256": None,
        }
        if report["fmax_mhz"] < clock_mhz:
            write_json(out / RESULTS, results)
            raise BuildError(_missed(results))
        progress("packing", job.steps - 1, job.steps)
        routed = f"../{folder.name}/{toolchain.routed[1]}"
        packed = steps.run(
            "packing", toolchain.packer, toolchain.packing(job.board, routed, bitstream.name)
        )
        contents = (packed / bitstream.name).read_bytes()
        with replacing(bitstream) as file:
            file.write(contents)
        results["bitstream"] = str(bitstream)
        results["sha256"] = hashlib.sha256(contents).hexdigest()
        write_json(out / RESULTS, results)
        progress("built", job.steps, job.steps)
    return results


def _implement(
    job: Job, steps: Steps, progress: Progress
) -> tuple[dict[int, Placed], dict[int, StepError]]:
    """All but packing: what `_place_all` returns. Raises `BuildError` for what does not fit."""
    toolchain = TOOLCHAINS[job.board.family]
    constraints = constraints_file(job.board)
    files = {constraints.name: constraints.read_bytes()}
    options = [*toolchain.device(job.board), toolchain.constraints.format(file=constraints.name)]
    progress("generating", 0, job.steps)
    source = rtlil.convert(job.top(), name=TOP, emit_src=False)
    progress("synthesising", 1, job.steps)
    netlist = synthesise(steps, toolchain, source)
    progress("counting cells", 2, job.steps)
    log = count_cells(steps, toolchain, netlist, options, files)
    if short := what_is_short(log, toolchain):
        raise BuildError(f"{job.board.name} ({job.board.device}) is too small: {short}")
    progress(f"placing and routing, seeds 1 to {job.seeds}", 3, job.steps)
    return _place_all(
        job.seeds,
        lambda seed: place(steps, toolchain, netlist, job.clock_mhz, seed, options, files),
        steps,
        lambda text, done: progress(text, 3 + done, job.steps),
    )


def _place_all(
    count: int,
    place_with: Callable[[int], Placed],
    steps: Steps,
    tell: Callable[[str, int], None],
) -> tuple[dict[int, Placed], dict[int, StepError]]:
    """Place with seeds 1 to `count`, side by side: those that went well, and those that failed.

    Raises `StepError` if all failed.
    """
    placed: dict[int, Placed] = {}
    failed: dict[int, StepError] = {}
    with ThreadPoolExecutor(min(count, usable_cores())) as pool:
        futures = {pool.submit(place_with, seed): seed for seed in range(1, count + 1)}
        try:
            for future in as_completed(futures):
                seed = futures[future]
                try:
                    placed[seed] = future.result()
                    said = f"{placed[seed][1]['fmax_mhz']} MHz"
                except StepError as error:
                    failed[seed] = error
                    said = "failed"
                tell(f"seed {seed}: {said}", len(placed) + len(failed))
        except BaseException:
            steps.stop()
            pool.shutdown(cancel_futures=True)
            raise
    if not placed:
        raise failed[1]
    return placed, failed


def _missed(results: Mapping[str, Any]) -> str:
    """What to tell of a design that is slower than its clock."""
    fmax, wanted = results["fmax_mhz"], results["constraint_mhz"]
    path = results["critical_path"]
    return (
        f"{results['board']} misses its clock of {wanted:g} MHz by {wanted - fmax:.2f} MHz: it "
        f"reaches {fmax:g} MHz, from {path['from']} to {path['to']} ({path['logic_ns']:g} ns of "
        f"logic, {path['routing_ns']:g} ns of routing); try more --seeds than "
        f"{len(results['seeds'])}, give a --clock of {math.floor(fmax)} MHz or less, or lower "
        "with --set lanes, columns or width"
    )
