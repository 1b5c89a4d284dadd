"""The registers of a board, beside those of its accelerator: declared in board.rdl."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from golden_model.commands import PROTOCOL
from golden_model.twin import Law, TwinSpec
from hdl.registers import RegisterMap

DECLARATION = Path(__file__).with_name("board.rdl")

LAWS = tuple(Law)
"""Laws of devices by the number that register LAW has."""

TWIN_FIELDS = ("grid_rows", "grid_columns", "states", "fraction_bits", "dac_bits")
"""Fields of a twin's spec that a register of the same name tells."""


@cache
def board_registers(spec: TwinSpec) -> RegisterMap:
    """The register map of a board with the twin of `spec`; addresses are the same for all."""
    values = {name: getattr(spec, name) for name in (*TWIN_FIELDS, "adc_bits")}
    values |= {"protocol": PROTOCOL, "law": LAWS.index(spec.law)}
    return RegisterMap.declared(DECLARATION, values)
