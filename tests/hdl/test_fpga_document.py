"""Figures of accelerators on FPGAs: the document says what was recorded, which can be repeated."""

import copy
import runpy
from pathlib import Path

import pytest

from hdl.steps import Steps

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
WRITER = runpy.run_path(str(BENCHMARKS / "documents" / "fpga.py"))
BENCHMARK = runpy.run_path(str(BENCHMARKS / "fpga_table.py"))
TABLES = WRITER["tables"](*WRITER["recorded"]())
PLACED = [entry for entry in BENCHMARK["load"](BENCHMARK["RESULTS"]) if "seeds" in entry]


@pytest.mark.parametrize("mark", TABLES)
def test_the_tables_are_those_of_the_recorded_results(mark):
    assert f"<!-- {mark} -->\n\n{TABLES[mark]}\n" in WRITER["DOCUMENT"].read_text()


@pytest.mark.parametrize("entry", PLACED, ids=lambda entry: entry["configuration"])
def test_the_recorded_parameters_are_those_of_the_configuration(entry):
    parameters = BENCHMARK["parameters"](entry["configuration"])
    assert entry["parameters"] == parameters.as_dict()
    for shape in entry["shapes"]:
        assert shape["b"] <= parameters.block_limit(shape["m"], shape["n"])


def test_all_that_was_timed_on_the_cpu_computes_the_same():
    _, rates = WRITER["recorded"]()
    assert {rate["form"].partition(",")[0] for rate in rates} == {"published", "hardware"}
    assert max(rate["difference_of_x"] for rate in rates) < 1e-5


def changed(entry, luts=1.0, mhz=1.0):
    """Result `entry` with so many times its LUTs and its MHz."""
    other = copy.deepcopy(entry)
    other["utilization"]["LUT"]["used"] *= luts
    for seed in other["seeds"]:
        seed["fmax_mhz"] *= mhz
    return other


@pytest.mark.parametrize(
    ("luts", "mhz", "told"),
    [(1.02, 0.86, []), (0.5, 2.0, []), (1.04, 1.0, ["LUTs"]), (1.04, 0.84, ["LUTs", "MHz"])],
)
def test_a_larger_or_slower_accelerator_is_told(luts, mhz, told):
    found = BENCHMARK["worse"](changed(PLACED[0], luts, mhz), PLACED[0])
    assert [message.split()[1] for message in found] == told


def test_a_result_takes_the_place_of_an_earlier_one_of_its_configuration(tmp_path):
    keep, path = BENCHMARK["keep"], tmp_path / "results.json"
    for configuration, family, seeds in [
        ("16x4x16", "ECP5", 1), ("4x1x8", "iCE40", 1), ("4x1x8", "ECP5", 1), ("16x4x16", "ECP5", 2),
    ]:  # fmt: skip
        keep(path, {"configuration": configuration, "family": family, "seeds": seeds})
    assert [tuple(entry.values()) for entry in BENCHMARK["load"](path)] == [
        ("4x1x8", "ECP5", 1), ("16x4x16", "ECP5", 2), ("4x1x8", "iCE40", 1),
    ]  # fmt: skip


@pytest.mark.nightly
def test_the_smallest_accelerator_is_no_larger_and_no_slower_than_recorded(tmp_path):
    """Within 3 % of LUTs and 15 % of MHz, with the same seed (extra fpga)."""
    with Steps(tmp_path) as steps:
        assert BENCHMARK["check"](steps, BENCHMARK["load"](BENCHMARK["RESULTS"])) == []
