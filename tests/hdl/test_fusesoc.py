"""The core file as FuseSoC and the tools behind it take it."""

import os
import subprocess
import sys

import pytest

from golden_model.parameters import PRESETS
from hdl.generation import generate
from hdl.verilog import NAME
from sim.tools import environment


@pytest.fixture
def cores(tmp_path):
    folder = tmp_path / "cores"
    generate(PRESETS["tiny"], folder)
    return folder


@pytest.fixture
def fusesoc(cores, tmp_path):
    """Run FuseSoC in a folder of its own, with the generated files as its cores."""

    def run(*arguments):
        own = {name: str(tmp_path / name) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")}
        return subprocess.run(
            [sys.executable, "-m", "fusesoc.main", "--cores-root", cores, *arguments],
            cwd=tmp_path, env=environment("verilator") | own, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    return run


def test_it_finds_the_core_and_its_targets(fusesoc):
    shown = fusesoc("core", "show", NAME)
    assert shown.returncode == 0
    assert f"eigenbar:hardware:{NAME}:" in shown.stdout
    assert all(f"\n{target}" in shown.stdout for target in ("default", "lint", "synth"))


def test_the_verilog_passes_its_lint(fusesoc):
    linted = fusesoc("run", "--target", "lint", NAME)
    assert linted.returncode == 0, linted.stdout
    assert "verilator -f" in linted.stdout
    assert "%Warning" not in linted.stdout


def test_the_lint_stops_at_a_latch(fusesoc, cores):
    latch = "module eigenbar(input a, output reg b);\n  always @* if (a) b = a;\nendmodule\n"
    (cores / f"{NAME}.v").write_text(latch)
    linted = fusesoc("run", "--target", "lint", NAME)
    assert linted.returncode != 0
    assert "LATCH" in linted.stdout


def test_synthesis_is_set_up_for_yosys(fusesoc, tmp_path):
    made = fusesoc("run", "--target", "synth", "--setup", NAME)
    assert made.returncode == 0, made.stdout
    (script,) = tmp_path.glob("build/*/synth/edalize_yosys_procs.tcl")
    assert "synth_ecp5" in script.read_text()
    assert os.path.exists(script.parent / "Makefile")
