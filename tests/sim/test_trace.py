"""Traces of hardware and model are equal, and tell where a broken design goes wrong first."""

import shutil

import pytest

from golden_model.parameters import Parameters
from hdl import scalar_programs, scalar_unit
from hdl.scalar_programs import Instruction, Operation, Register
from sim.cosim import cosimulate, random_batches
from sim.trace import Trace

pytestmark = pytest.mark.xdist_group("simulation")  # one worker builds, once

SIMULATOR = "icarus" if shutil.which("iverilog") else "verilator"  # the one that builds faster

TINY = Parameters.preset("tiny")


def traced(folder, batches=1):
    """Results of small co-simulated batches whose traces go to `folder`."""
    runs = random_batches(TINY, (3, 5, 3, 2), 2, batches, "gaussian", 1, update=True)
    return cosimulate(TINY, runs, SIMULATOR, trace=folder)


def test_traces_of_hardware_and_model_are_equal(tmp_path):
    results = traced(tmp_path / "trace", batches=2)
    rtl, golden, cycles = (
        (tmp_path / "trace" / name).read_text().splitlines()
        for name in ("rtl.trace", "golden.trace", "rtl.cycles")
    )
    assert results["first_difference"] is None
    assert rtl == golden
    assert len(cycles) == len(rtl)
    numbers = [int(cycle) for cycle in cycles if cycle != "-"]
    assert numbers == sorted(numbers)
    places = [line.split(" = ")[0] for line in rtl]
    assert places[0] == "gaussian 0 start CARRY X 0 WEIGHT"
    assert "gaussian 0 block 1 PIVOT DELTA 2 NORM" in places
    assert "gaussian 1 block 1 SCALE X 2 UPDATE" in places
    assert any(place.startswith("gaussian 1 UPDATE 2 tile ") for place in places)
    assert places[-1].startswith("gaussian 1 end saturations ")


def test_a_broken_design_differs_first_where_it_is_broken(tmp_path, monkeypatch):
    weight = list(scalar_programs.WEIGHT)
    assert weight[-1].operation is Operation.ADD
    # The weight forgets the history: its last instruction adds nothing.
    weight[-1] = Instruction(
        Operation.MULTIPLY, Register.HISTORY, Register.ONE, Register.WEIGHT, weight[-1].modifier
    )
    broken = scalar_programs.PROGRAMS | {"WEIGHT": tuple(weight)}
    monkeypatch.setattr(scalar_unit, "PROGRAMS", broken)
    results = traced(tmp_path)
    assert results["mismatches"] > 0
    # The first block has no history to forget.
    assert "'gaussian 0 block 1 WEIGHT DELTA 0 WEIGHT = " in results["first_difference"]


def test_a_trace_that_ends_early_differs_there():
    assert Trace(rtl=["a"], golden=["a"]).first_difference() is None
    difference = Trace(rtl=["a"], golden=["a", "b"]).first_difference()
    assert difference == "line 2: the hardware has 'nothing', the model 'b'"
