"""Blocks are placed where they may stand, and beside what they belong to."""

import pytest

from hdl import block_places
from hdl.block_places import BlockPlacer
from hdl.toolchains import BuildError

DEVICE = "LFE5U-25F"
PAIRS = 12
SITES = {
    "MULT18X18D": [(4 + 9 * x, y, "MULT18_0") for x in range(7) for y in (10, 34, 46, 58)],
    "DP16KD": [(5 + 9 * x, y, "EBR0") for x in range(7) for y in (12, 22, 36, 48)],
}


@pytest.fixture(autouse=True)
def small_fpga(monkeypatch, request):
    if "device" not in request.fixturenames:
        monkeypatch.setattr(block_places, "sites", lambda device: SITES)


def cell(kind, inputs, outputs):
    """A cell of the netlist with these wires."""
    ports = [(f"I{i}", "input", bit) for i, bit in enumerate(inputs)]
    ports += [(f"O{i}", "output", bit) for i, bit in enumerate(outputs)]
    return {
        "type": kind,
        "attributes": {},
        "port_directions": {name: direction for name, direction, _ in ports},
        "connections": {name: [bit] for name, _, bit in ports},
    }


def netlist(pairs=PAIRS):
    """Multipliers, each with a memory of its own behind some logic, and a wire to all of them."""
    cells, wire = {}, 2
    for pair in range(pairs):
        cells[f"multiplier_{pair}"] = cell("MULT18X18D", [1], range(wire, wire + 4))
        for bit in range(4):
            cells[f"lut_{pair}_{bit}"] = cell("LUT4", [wire + bit], [wire + 4 + bit])
        cells[f"memory_{pair}"] = cell("DP16KD", [1, *range(wire + 4, wire + 8)], [])
        wire += 8
    return {"modules": {"top": {"cells": cells}}}


def places(design):
    """Column and row of each block."""
    found = {}
    for name, one in design["modules"]["top"]["cells"].items():
        if bel := one["attributes"].get("BEL"):
            column, row, _ = bel.split("/")
            found[name] = int(column[1:]), int(row[1:])
    return found


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("device", "multipliers", "memories"), [("LFE5U-25F", 28, 56), ("LFE5U-85F", 156, 208)]
)
def test_an_fpga_has_the_places_that_its_maker_says(device, multipliers, memories):
    """From the database in nextpnr's package (extra fpga)."""
    found = block_places.sites(device)
    assert {kind: len(set(of)) for kind, of in found.items()} == {
        "MULT18X18D": multipliers,
        "DP16KD": memories,
    }


def test_each_block_has_a_place_of_its_kind_for_itself():
    design = netlist()
    assert BlockPlacer(DEVICE)(design, "top") == 2 * PAIRS
    bels = {
        name: one["attributes"]["BEL"]
        for name, one in design["modules"]["top"]["cells"].items()
        if one["type"] != "LUT4"
    }
    assert len(set(bels.values())) == 2 * PAIRS
    for kind, of in (("MULT18X18D", "multiplier"), ("DP16KD", "memory")):
        allowed = {f"X{x}/Y{y}/{name}" for x, y, name in SITES[kind]}
        assert {bel for name, bel in bels.items() if name.startswith(of)} <= allowed


def test_a_memory_stands_by_the_multiplier_that_it_belongs_to():
    design = netlist()
    BlockPlacer(DEVICE)(design, "top")
    at = places(design)

    def apart(one, other):
        return sum(abs(a - b) for a, b in zip(at[one], at[other], strict=True))

    own = [apart(f"multiplier_{i}", f"memory_{i}") for i in range(PAIRS)]
    others = [apart(f"multiplier_{i}", f"memory_{j}") for i in range(PAIRS) for j in range(PAIRS)]
    assert sum(own) / len(own) < 0.6 * sum(others) / len(others)


def test_the_same_seed_gives_the_same_places():
    first, second, other = netlist(), netlist(), netlist()
    BlockPlacer(DEVICE, seed=1)(first, "top")
    BlockPlacer(DEVICE, seed=1)(second, "top")
    BlockPlacer(DEVICE, seed=2)(other, "top")
    assert places(first) == places(second) != places(other)


def test_a_design_without_blocks_stays_as_it_is():
    design = {"modules": {"top": {"cells": {"lut": cell("LUT4", [2], [3])}}}}
    assert BlockPlacer(DEVICE)(design, "top") == 0
    assert places(design) == {}


def test_more_blocks_than_places_are_refused():
    with pytest.raises(BuildError, match="29 MULT18X18D do not fit LFE5U-25F, which has 28"):
        BlockPlacer(DEVICE)(netlist(29), "top")


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr(block_places, "_PACKAGES", False)
    with pytest.raises(BuildError, match=r"pip install 'eigenbar\[speed\]'"):
        BlockPlacer(DEVICE)(netlist(), "top")
