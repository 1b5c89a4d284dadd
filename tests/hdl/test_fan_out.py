"""What drives many inputs is repeated, and each copy drives no more than its part."""

from collections import Counter

import pytest

from hdl.fan_out import BLOCK_LIMIT, CONTROL_LIMIT, LIMIT, limit_fan_out

CLOCK, INPUT, SHARED = 2, 3, 4
FIRST_FREE = 5


def cell(kind, **ports):
    """A cell of the netlist; ports that end with an underscore are outputs."""
    return {
        "type": kind,
        "attributes": {},
        "parameters": {},
        "port_directions": {
            name.rstrip("_"): "output" if name.endswith("_") else "input" for name in ports
        },
        "connections": {name.rstrip("_"): [bit] for name, bit in ports.items()},
    }


def netlist(kind, port, count, source=FIRST_FREE):
    """A flip-flop whose data is wire `source`, and `count` cells of `kind` that it drives."""
    sink_bits = range(FIRST_FREE + 1, FIRST_FREE + 1 + count)
    cells = {"driver": cell("TRELLIS_FF", CLK=CLOCK, DI=source, Q_=SHARED)}
    output = {"LUT4": "Z_", "TRELLIS_FF": "Q_"}.get(kind, "P_")
    for number, bit in enumerate(sink_bits):
        ports = {"DI": INPUT} if kind == "TRELLIS_FF" else {}
        cells[f"sink_{number}"] = cell(kind, **ports, **{port: SHARED, output: bit})
    return {
        "modules": {
            "top": {
                "cells": cells,
                "ports": {"clk": {"bits": [CLOCK]}, "input": {"bits": [INPUT]}},
                "netnames": {"all": {"bits": list(range(2, FIRST_FREE + 1 + count))}},
            }
        }
    }


def driven(design, port):
    """How many sinks each wire drives at `port`."""
    cells = design["modules"]["top"]["cells"].items()
    return Counter(one["connections"][port][0] for name, one in cells if name.startswith("sink"))


@pytest.mark.parametrize(
    ("kind", "port", "most"),
    [
        ("LUT4", "A", LIMIT),
        ("MULT18X18D", "A0", BLOCK_LIMIT),
        ("DP16KD", "ADA0", BLOCK_LIMIT),
        ("TRELLIS_FF", "CE", CONTROL_LIMIT),
        ("TRELLIS_FF", "LSR", CONTROL_LIMIT),
    ],
)
def test_no_copy_drives_more_than_the_limit(kind, port, most):
    design = netlist(kind, port, 2 * most + 1)
    assert limit_fan_out(design, "top") == 2
    counts = driven(design, port)
    assert len(counts) == 3
    assert counts[SHARED] > 0
    assert max(counts.values()) <= most
    cells = design["modules"]["top"]["cells"]
    outputs = {
        one["connections"]["Q"][0]
        for name, one in cells.items()
        if name == "driver" or "copy" in name
    }
    assert outputs == set(counts)


def test_what_drives_no_more_than_the_limit_is_left_alone():
    design = netlist("DP16KD", "ADA0", BLOCK_LIMIT)
    assert limit_fan_out(design, "top") == 0
    assert driven(design, "ADA0") == {SHARED: BLOCK_LIMIT}


def test_a_register_that_takes_a_port_into_the_clocks_domain_is_not_repeated():
    design = netlist("LUT4", "A", 3 * LIMIT, source=INPUT)
    assert limit_fan_out(design, "top") == 0
