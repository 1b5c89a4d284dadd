"""Project files for Vivado, the vendor's tools of the 7 series, of which nothing runs here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from amaranth.back import verilog

from golden_model.files import replacing, write_json
from hdl.boards import BoardSpec
from hdl.build import RESULTS, Job
from hdl.constraints import constraints_file
from hdl.flow import TOP
from hdl.toolchains import BuildError

_SCRIPT = """\
# vivado -mode batch -source {top}.tcl
read_verilog {top}.v
read_xdc {constraints}
synth_design -top {top} -part {part}
opt_design
place_design
phys_opt_design
route_design
report_utilization -file utilization.txt
report_timing_summary -file timing.txt
write_bitstream -force {board}.bit
"""


def part(board: BoardSpec) -> str:
    """Vivado's name of the FPGA on `board`: device, package and speed grade."""
    return f"{board.device}{board.package}-{board.speed}"


def write_project(job: Job, out: Path) -> dict[str, Any]:
    """Write Verilog, constraints and a Tcl script of `job` into folder `out`, and what they are.

    Returned is what the JSON file says: as `build` writes it, but for what only the vendor's tools
    know. Raises `BuildError` if the folder cannot be written.
    """
    constraints = constraints_file(job.board)
    script = _SCRIPT.format(
        top=TOP, constraints=constraints.name, part=part(job.board), board=job.board.name
    )
    files = {
        f"{TOP}.v": verilog.convert(job.top(), name=TOP, strip_internal_attrs=True).encode(),
        constraints.name: constraints.read_bytes(),
        f"{TOP}.tcl": script.encode(),
    }
    results = {
        "board": job.board.name,
        "device": part(job.board),
        "constraint_mhz": round(job.clock_mhz, 4),
        **job.about,
        "files": [str(out / name) for name in files],
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, contents in files.items():
            with replacing(out / name) as file:
                file.write(contents)
        write_json(out / RESULTS, results)
    except OSError as error:
        raise BuildError(
            f"cannot write to {out}: {error.strerror}; choose another folder with --out"
        ) from error
    return results
