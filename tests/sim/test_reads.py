"""Reads of the generated Verilog equal the golden model, through its AXI ports and the pins."""

import pytest

from sim.cosim import build_accelerator, random_batches
from sim.job import Job
from sim.read_cosim import READ_BENCH, cosimulate_reads, random_reads
from sim.runner import run
from tests.sim.test_cosim import SIMULATORS

pytestmark = pytest.mark.xdist_group("simulation")  # one worker builds, once


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_both_ways_and_encodings_of_several_tiles_between_batches(accelerator, simulator, stall):
    runs = random_reads(accelerator, ((13, 21), (40, 9)), 2, seed=3)
    batches = random_batches(accelerator, (13, 21, 2, 5), 2, 3, "gaussian", 4, update=True)
    results = cosimulate_reads(accelerator, runs, simulator, batches=batches, stall=stall, seed=2)
    assert [row["first_mismatches"] for row in results["runs"]] == [[]] * len(runs)
    assert results["mismatches"] == 0
    assert all(row["adc_saturations"] for row in results["runs"])
    assert any(row["sum_saturations"] for row in results["runs"])
    assert results["runs"][0]["drives"] == 1 + 2 * 2 * 3  # vectors, tiles of columns, tiles of rows


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_a_host_that_makes_mistakes_reading_sees_them_and_can_go_on(accelerator, simulator):
    runs = random_reads(accelerator, ((13, 21),), 2, seed=5)[:1]
    built = build_accelerator(accelerator, simulator)
    seen = run(built, READ_BENCH, Job(accelerator, (), seed=6, reads=runs), "mistakes")
    for packet in range(2):
        assert seen[f"packet {packet} too short"] == {"packet_short": 1}
        assert seen[f"packet {packet} too long"] == {"packet_long": 1}
    refused = [errors for name, errors in seen.items() if " = 0x" in name]
    assert refused == [{"dimensions": 1}] * 7
    assert seen["starts while busy"] == {"start_busy": 1}
    assert seen["codes without a conversion"] == {"adc": 1}
    aborts = {name: errors for name, errors in seen.items() if name.startswith("abort")}
    assert list(aborts.values()) == [{"aborted": 1}] * 12
    assert any("owed" in name for name in aborts)
