"""Flip-flops beside an ECP5's block RAMs and multipliers, moved into registers that these have.

Yosys 0.70 maps memories and products to DP16KD and MULT18X18D but uses none of their registers, so
that a registered word of memory starts 5.8 ns after its clock instead of 0.9, and each factor goes
to a flip-flop first, wherever there is room for one, and to its multiplier after that (ns: of
prjtrellis' timing of speed grade 6). `use_block_registers` mends a netlist in Yosys' JSON form.

What a register computes stays the same: only flip-flops without a reset, of the block's own clock,
are taken, each as the one that follows an output or comes before an input. Sources: Lattice, ECP5
and ECP5-5G Memory User Guide (FPGA-TN-02204: OUTREG is a register after the memory, enabled by
OCE) and sysDSP Usage Guide (FPGA-TN-02205: registers of the operands and of the product).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Cell = dict[str, Any]
Bit = int | str
"""A net's number, or a constant."""

_MULTIPLIER = {
    **{f"REG_{register}_CE": "CE0" for register in ("INPUTA", "INPUTB", "OUTPUT")},
    **{f"REG_{register}_RST": "RST0" for register in ("INPUTA", "INPUTB", "OUTPUT")},
    "GSR": "DISABLED",
}


@dataclass(frozen=True)
class _FlipFlop:
    """A flip-flop without reset that starts at zero."""

    name: str
    clock: Bit
    enable: Bit
    """Constant "1" if it always takes its input."""
    input: Bit
    output: Bit


def use_block_registers(netlist: Cell, top: str) -> int:
    """Move flip-flops of module `top` into block RAMs and multipliers; how many there are fewer.

    A block RAM's port takes those that follow all its outputs, if nothing else does; a multiplier
    likewise those after its product, and those before its factors if both have them. A flip-flop
    that has something else to feed stays as well.
    """
    return _Module(netlist["modules"][top]).move()


class _Module:
    def __init__(self, module: Cell) -> None:
        self._module = module
        self._cells: dict[str, Cell] = module["cells"]
        self._drivers: dict[Bit, str] = {}
        self._sinks: dict[Bit, list[tuple[str, str]]] = defaultdict(list)
        for name, cell in self._cells.items():
            for port, bits in cell["connections"].items():
                for bit in bits:
                    if cell["port_directions"][port] == "output":
                        self._drivers[bit] = name
                    else:
                        self._sinks[bit].append((name, port))
        for name, port in module["ports"].items():
            for bit in port["bits"]:
                self._sinks[bit].append((name, ""))
        self._gone: set[Bit] = set()

    def move(self) -> int:
        before = len(self._cells)
        for kind, use in (
            ("DP16KD", self._memory_outputs),
            ("MULT18X18D", self._product),
            ("MULT18X18D", self._factors),
        ):
            for name in [name for name, cell in self._cells.items() if cell["type"] == kind]:
                use(name, self._cells[name])
        for net in self._module["netnames"].values():
            net["bits"] = ["x" if bit in self._gone else bit for bit in net["bits"]]
        return before - len(self._cells)

    def _memory_outputs(self, name: str, cell: Cell) -> None:
        parameters = cell["parameters"]
        # A memory of 36 bits writes by port A and reads both halves by port B.
        pair = int(parameters["DATA_WIDTH_A"], 2) == 36
        sides = {"B": "AB"} if pair else {"A": "A", "B": "B"}
        for side, halves in sides.items():
            followers = self._followers(cell, [f"DO{half}" for half in halves])
            if (
                followers
                and self._alike(followers, cell["connections"][f"CLK{side}"][0])
                and parameters[f"CLK{side}MUX"] == f"CLK{side}"
                and all(cell["connections"][f"RST{half}"] == ["0"] for half in halves)
            ):
                self._take_after(name, cell, followers)
                cell["connections"][f"OCE{side}"] = [followers[0].enable]
                for half in halves:
                    parameters[f"REGMODE_{half}"] = "OUTREG"

    def _product(self, name: str, cell: Cell) -> None:
        followers = self._followers(cell, ["P"])
        if followers and self._always(followers):
            self._take_after(name, cell, followers)
            self._clock(cell, ["OUTPUT"], followers[0].clock)

    def _factors(self, name: str, cell: Cell) -> None:
        bits = {
            port: bits[0]
            for port, bits in cell["connections"].items()
            if port[0] in "AB" and bits != ["0"]
        }
        found = {port: self._flip_flop(self._drivers.get(bit, "")) for port, bit in bits.items()}
        before = [flip_flop for flip_flop in found.values() if flip_flop is not None]
        constant = any(not any(port[0] == factor for port in bits) for factor in "AB")
        clocked = cell["parameters"].get("REG_OUTPUT_CLK") is not None
        if (
            constant
            or len(before) < len(found)
            or not self._always(before)
            or (clocked and cell["connections"]["CLK0"] != [before[0].clock])
        ):
            return
        for port, flip_flop in found.items():
            assert flip_flop is not None
            cell["connections"][port] = [flip_flop.input]
            self._sinks[flip_flop.output].remove((name, port))
            self._sinks[flip_flop.input].append((name, port))
            if not self._sinks[flip_flop.output]:
                self._remove(flip_flop, flip_flop.output)
        self._clock(cell, ["INPUTA", "INPUTB"], before[0].clock)

    def _followers(self, cell: Cell, prefixes: Sequence[str]) -> list[_FlipFlop] | None:
        """The flip-flops that follow a cell's outputs, None if anything else does."""
        followers = []
        for port, (bit,) in cell["connections"].items():
            if port.rstrip("0123456789") in prefixes and self._sinks[bit]:
                (name, sink), *more = self._sinks[bit]
                flip_flop = self._flip_flop(name)
                if more or sink != "DI" or flip_flop is None:
                    return None
                followers.append(flip_flop)
        return followers

    def _flip_flop(self, name: str) -> _FlipFlop | None:
        cell = self._cells.get(name)
        if cell is None or cell["type"] != "TRELLIS_FF":
            return None
        connections, parameters = cell["connections"], cell["parameters"]
        always = parameters["CEMUX"].strip() == "1"
        if (
            connections.get("LSR", ["0"]) != ["0"]
            or parameters["LSRMUX"] != "LSR"
            or parameters["REGSET"] != "RESET"
            or parameters["CLKMUX"] != "CLK"
            or not (always or parameters["CEMUX"] == "CE")
        ):
            return None
        enable = "1" if always else connections["CE"][0]
        ((clock,), (data,), (output,)) = (connections[port] for port in ("CLK", "DI", "Q"))
        return _FlipFlop(name, clock, enable, data, output)

    @staticmethod
    def _alike(flip_flops: Sequence[_FlipFlop], clock: Bit) -> bool:
        return {(one.clock, one.enable) for one in flip_flops} == {(clock, flip_flops[0].enable)}

    def _always(self, flip_flops: Sequence[_FlipFlop]) -> bool:
        return self._alike(flip_flops, flip_flops[0].clock) and flip_flops[0].enable == "1"

    def _take_after(self, name: str, cell: Cell, followers: Iterable[_FlipFlop]) -> None:
        outputs = {flip_flop.input: flip_flop for flip_flop in followers}
        for port, (bit,) in cell["connections"].items():
            if cell["port_directions"][port] == "output" and bit in outputs:
                flip_flop = outputs[bit]
                cell["connections"][port] = [flip_flop.output]
                self._drivers[flip_flop.output] = name
                self._remove(flip_flop, bit)

    def _remove(self, flip_flop: _FlipFlop, gone: Bit) -> None:
        del self._cells[flip_flop.name]
        self._gone.add(gone)

    @staticmethod
    def _clock(cell: Cell, registers: Sequence[str], clock: Bit) -> None:
        cell["parameters"] |= _MULTIPLIER | {f"REG_{name}_CLK": "CLK0" for name in registers}
        for port, bit in (("CLK0", clock), ("CE0", "1"), ("RST0", "0")):
            cell["connections"][port] = [bit]
            cell["port_directions"][port] = "input"
