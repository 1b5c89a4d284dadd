"""Real bitstreams, of the smallest machine, with the real tools (extra fpga)."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from golden_model.parameters import PRESETS
from hdl.boards import BOARDS
from hdl.build import Job, build
from hdl.machines import Loopback, hosted
from hdl.system import twin_spec
from hdl.toolchains import TOOLCHAINS

pytestmark = pytest.mark.nightly

OPEN = [board for board in BOARDS.values() if board.family in TOOLCHAINS]


def job(board, **changes):
    return Job(board, lambda mhz: Loopback(), {}, **changes)


@pytest.mark.parametrize("board", OPEN, ids=lambda board: board.name)
def test_the_same_inputs_give_the_same_bitstream(board, tmp_path):
    first = build(job(board, seeds=2), tmp_path / "first")
    second = build(job(board, seeds=2), tmp_path / "second")
    contents = Path(first["bitstream"]).read_bytes()
    assert contents == Path(second["bitstream"]).read_bytes()
    assert hashlib.sha256(contents).hexdigest() == first["sha256"]
    assert first["fmax_mhz"] > first["constraint_mhz"] == board.machine_mhz
    assert 0 < first["utilization"]["LUT"]["used"] < 100
    assert 0 < first["utilization"]["FF"]["used"] < 50


@pytest.mark.parametrize("board", OPEN, ids=lambda board: board.name)
def test_the_clock_of_a_pll_is_what_is_placed_for(board, tmp_path):
    """nextpnr derives the clock from the PLL's settings, and its constraint is ours."""
    mhz = 2 * board.clock_mhz
    results = build(job(board, wanted_mhz=mhz), tmp_path)
    assert results["constraint_mhz"] == mhz
    (report,) = tmp_path.glob("steps/seed1-*/log")
    assert f"(PASS at {mhz:.2f} MHz)" in report.read_text()


def test_a_whole_machine_meets_its_clock(tmp_path):
    """Accelerator, twin and link on an ECP5."""
    board, parameters = BOARDS["ulx3s_85f"], PRESETS["tiny"]
    twin = twin_spec(parameters, (8, 8), states=256)
    results = build(Job(board, hosted(parameters, twin, 1_000_000), {}), tmp_path)
    assert results["fmax_mhz"] > results["constraint_mhz"] == 50
    assert all(
        0 < count["used"] < 0.5 * count["available"] for count in results["utilization"].values()
    )


def test_the_gowin_bitstream_holds_the_pll(tmp_path):
    """Apicula's own reader finds it, with the output's divider; it shows no other."""
    board = BOARDS["tang_primer_20k"]
    results = build(job(board, wanted_mhz=54), tmp_path)
    unpack = [sys.executable, "-c", "from apycula.gowin_unpack import main; main()"]
    subprocess.run(
        [*unpack, "-d", board.chip, "-o", "top.v", results["bitstream"]],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    read = (tmp_path / "top.v").read_text()
    assert "rPLL PLL_1" in read
    assert "PLL_1.ODIV_SEL = 16;" in read
