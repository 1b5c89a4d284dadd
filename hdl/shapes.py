"""Shapes of the values that pass between components."""

from typing import Any

from amaranth import Cat, Module, Shape, Signal, Value, signed
from amaranth.lib import data
from amaranth.utils import ceil_log2

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


def group_shape(parameters: Parameters) -> Shape:
    """The number of a group of ranks."""
    return Shape.cast(range(max(2, parameters.groups(parameters.max_rank))))


def column_shape(parameters: Parameters) -> Shape:
    """The number of a rank within its group: its column of the array."""
    return Shape.cast(range(max(2, parameters.columns)))


def group_bits(parameters: Parameters) -> int:
    """Bits of a group's number in addresses; 0 if there is only one."""
    return ceil_log2(parameters.groups(parameters.max_rank))


def column_bits(parameters: Parameters) -> int:
    """Bits of a column's number in addresses; 0 if there is only one."""
    return ceil_log2(parameters.columns)


def rank_address(parameters: Parameters, group: Value, column: Value) -> Value:
    """Address of a rank in a memory of 2**(`column_bits` + `group_bits`) ranks."""
    return Cat(column[: column_bits(parameters)], group[: group_bits(parameters)])


def split_rank(m: Module, parameters: Parameters, rank: Value, name: str) -> tuple[Value, Value]:
    """Group and column of `rank`, combinationally."""
    group = Signal(group_shape(parameters), name=f"{name}_group")
    column = Signal(column_shape(parameters), name=f"{name}_column")
    m.d.comb += column.eq(rank)
    for index in range(1, parameters.groups(parameters.max_rank)):
        first = index * parameters.columns
        with m.If(rank >= first):
            m.d.comb += [group.eq(index), column.eq(rank - first)]
    return group, column


def each_column(parameters: Parameters, shape: Any) -> data.ArrayLayout:
    """A value for each rank of a group, element [column]."""
    return data.ArrayLayout(shape, parameters.columns)


def each_rank(parameters: Parameters, shape: Any) -> data.ArrayLayout:
    """A value for each rank, element [group][column]."""
    groups = parameters.groups(parameters.max_rank)
    return data.ArrayLayout(each_column(parameters, shape), groups)


SCALAR = data.StructLayout(
    {"significand": scalar.SIGNIFICAND_BITS, "exponent": signed(scalar.EXPONENT_BITS)}
)
"""A scalar of `golden_model.scalar`: significand / 2**SIGNIFICAND_BITS * 2**exponent."""
