"""The boards, and their constraint files."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from golden_model.parameters import PRESETS
from hdl.boards import BOARDS, UnknownBoardError, board_named
from hdl.constraints import FOLDER, constraints_file, constraints_text
from hdl.pll import pll_setting


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_a_constraint_file_holds_the_pins_and_clock_of_amaranth_boards(board):
    assert constraints_file(board).read_text() == constraints_text(board)


def test_there_is_a_file_for_each_board_and_no_other():
    assert set(FOLDER.iterdir()) == {constraints_file(board) for board in BOARDS.values()}


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_a_board_is_named_after_its_platform(board):
    platform = board.platform.__name__.lower().replace("_", "")
    assert platform.startswith(board.name.replace("_", ""))


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_every_port_has_a_pin_of_its_own(board):
    assert [pin.port for pin in board.pins] == ["clk", "uart_rx", "uart_tx", "running", "fault"]
    assert len({pin.site for pin in board.pins}) == 5


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_a_board_has_a_preset_and_a_clock_that_can_be_made(board):
    assert board.preset in PRESETS
    if board.machine_mhz != board.clock_mhz:
        setting = pll_setting(board.family, board.clock_mhz, board.machine_mhz)
        assert setting.output_mhz == pytest.approx(board.machine_mhz)


def test_facts_that_the_schematics_give_too():
    """Radiona's ULX3S v3.0.3: 25 MHz at G2, FTDI's TXD at M1 and RXD at L4, LED D0 at B2."""
    board = BOARDS["ulx3s_85f"]
    assert board.clock_mhz == 25
    assert [pin.site for pin in board.pins] == ["G2", "M1", "L4", "B2", "C2"]


def test_an_unknown_board_is_told_the_known_ones():
    with pytest.raises(
        UnknownBoardError, match=r"'ulx3s'; choose one of: ulx3s_85f, ecpix5_85, ices"
    ):
        board_named("ulx3s")


def test_an_installation_carries_the_constraint_files(tmp_path):
    pytest.importorskip("setuptools")
    root = Path(__file__).parents[2]
    for name in ("pyproject.toml", "README.md", "LICENSE", "eigenbar.py"):
        shutil.copy(root / name, tmp_path)
    shutil.copytree(FOLDER, tmp_path / FOLDER.name)
    subprocess.run(
        [sys.executable, "-c", "import setuptools; setuptools.setup()", "-q",
         "build_py", "--build-lib", "installed"],
        check=True, cwd=tmp_path,
    )  # fmt: skip
    installed = tmp_path / "installed" / FOLDER.name
    assert {path.name for path in installed.iterdir()} == {path.name for path in FOLDER.iterdir()}
