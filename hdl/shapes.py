"""Shapes of the values that pass between components."""

from amaranth import signed
from amaranth.lib import data

from golden_model import scalar
from golden_model.parameters import Parameters


def word_row(parameters: Parameters) -> data.ArrayLayout:
    """A row: `lanes` words."""
    return data.ArrayLayout(signed(parameters.width), parameters.lanes)


def factor_row(parameters: Parameters) -> data.ArrayLayout:
    """A row of each of `columns` ranks: element [c][l] is lane l of rank c."""
    return data.ArrayLayout(word_row(parameters), parameters.columns)


def wide_row(parameters: Parameters) -> data.ArrayLayout:
    """Accumulators of a row of each of `columns` ranks."""
    lanes = data.ArrayLayout(signed(parameters.accumulator_bits), parameters.lanes)
    return data.ArrayLayout(lanes, parameters.columns)


def dot_products(parameters: Parameters) -> data.ArrayLayout:
    """A dot product for each of `columns` ranks."""
    return data.ArrayLayout(signed(parameters.dot_bits), parameters.columns)


SCALAR = data.StructLayout(
    {"significand": scalar.SIGNIFICAND_BITS, "exponent": signed(scalar.EXPONENT_BITS)}
)
"""A scalar of `golden_model.scalar`: significand / 2**SIGNIFICAND_BITS * 2**exponent."""
