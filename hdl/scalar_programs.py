"""Programs of the scalar unit: what happens to weights, norms and coefficients between passes.

A program is a prologue, run once for column `first_column`, and a body, run for every column from
there on (from the next one if there is a prologue) to the last rank. Each line below is one
instruction `(operation, left, right, destination)`; the golden counterparts are the scalar
expressions of `golden_model.fixed`.
"""

from dataclasses import dataclass
from enum import IntEnum, unique


@unique
class Operation(IntEnum):
    """What an instruction does."""

    LOAD = 0  # destination = |dot product|; remembers its sign
    MULTIPLY = 1  # destination = left * right
    ADD = 2  # destination = left + right
    SUBTRACT = 3  # destination = max(left - right, 0)
    REST = 4  # destination = left - sign * right, sign being that of the last dot product loaded
    SEED = 5  # REDUCED = left / 4**h in [1/4, 1), SEED = 1/sqrt(REDUCED) from the table
    FIX_HISTORY = 6  # digits of left in units of the projections; raises their shift if needed
    FIX_COEFFICIENT = 7  # left, with the sign of minus the dot product, as a word and 2**f


@unique
class Register(IntEnum):
    """Operands and destinations. Registers up to `WORK` exist for every column."""

    WEIGHT = 0
    PREVIOUS_INVERSE = 1
    OWN_INVERSE = 2  # 1 / norm of the factor in hand
    OTHER_INVERSE = 3  # own and other differ in their lowest bit
    OWN_NORM = 4
    OTHER_NORM = 5
    HISTORY = 6
    WORK = 7
    # One of each:
    SQUARE = 8
    REDUCED = 9
    SEED = 10
    ROOT = 11
    RECIPROCAL = 12
    # Not stored:
    ONE = 13
    THREE = 14
    CARRY = 15
    RATE = 16
    HOST_WEIGHT = 17
    SCALE = 18
    UPDATE = 19


R = Register
FIRST_SHARED = R.SQUARE
STORED = R.RECIPROCAL + 1


@unique
class Modifier(IntEnum):
    """What else an instruction's result undergoes."""

    NONE = 0
    UNDO_REDUCTION = 1  # * 2**(-1-h), h of the last SEED; zero if that was of zero
    TIMES_RESIDUAL = 2  # * 2**(exponent of the column's residual)
    UNLESS_ZERO = 3  # not stored if the last SEED was of zero
    UNLESS_VANISHED = 4  # zero if the column's residual vanished


@dataclass(frozen=True)
class Instruction:
    """One instruction of a program."""

    operation: Operation
    left: Register = R.ONE
    right: Register = R.ONE
    destination: Register = R.WORK
    modifier: Modifier = Modifier.NONE


@dataclass(frozen=True)
class Program:
    """Instructions for one column, then for each of the others."""

    prologue: tuple[Instruction, ...]
    body: tuple[Instruction, ...]


def _reciprocal_square_root() -> tuple[Instruction, ...]:
    """ROOT = 1 / sqrt(SQUARE): a seed and one Newton step."""
    return (
        Instruction(Operation.SEED, R.SQUARE),
        Instruction(Operation.MULTIPLY, R.SEED, R.SEED, R.ROOT),
        Instruction(Operation.MULTIPLY, R.REDUCED, R.ROOT, R.ROOT),
        Instruction(Operation.SUBTRACT, R.THREE, R.ROOT, R.ROOT),
        Instruction(Operation.MULTIPLY, R.SEED, R.ROOT, R.ROOT, Modifier.UNDO_REDUCTION),
    )


_NORM = (
    Instruction(Operation.LOAD, destination=R.SQUARE),
    *_reciprocal_square_root(),
)

CARRY = Program((), (Instruction(Operation.MULTIPLY, R.HOST_WEIGHT, R.CARRY, R.WEIGHT),))
"""At the start of a batch: the weights that the host left, times CARRY."""

NORM = Program(
    (),
    (
        *_NORM,
        Instruction(Operation.MULTIPLY, R.ROOT, R.ONE, R.OWN_INVERSE),
        Instruction(Operation.MULTIPLY, R.SQUARE, R.ROOT, R.OWN_NORM),
    ),
)
"""Norms of the factor in hand from the sums of squares of its columns."""

HISTORY = Program(
    (),
    (
        Instruction(Operation.MULTIPLY, R.WEIGHT, R.OWN_INVERSE, R.HISTORY),
        Instruction(Operation.MULTIPLY, R.HISTORY, R.OTHER_NORM, R.HISTORY),
    ),
)
"""What the factor in hand is multiplied by before new data is added."""

ALIGN = Program((), (Instruction(Operation.FIX_HISTORY, R.HISTORY),))
"""The history in the units of the projections."""

COEFFICIENTS = Program(
    (
        Instruction(Operation.MULTIPLY, R.OWN_INVERSE, R.ONE, R.PREVIOUS_INVERSE),
        *_NORM,
        Instruction(Operation.MULTIPLY, R.ROOT, R.ROOT, R.RECIPROCAL),
        Instruction(Operation.MULTIPLY, R.ROOT, R.ONE, R.OWN_INVERSE, Modifier.UNLESS_ZERO),
        Instruction(Operation.MULTIPLY, R.SQUARE, R.ROOT, R.OWN_NORM, Modifier.UNLESS_ZERO),
    ),
    (
        Instruction(Operation.LOAD),
        Instruction(Operation.MULTIPLY, R.WORK, R.RECIPROCAL),
        Instruction(Operation.FIX_COEFFICIENT, R.WORK),
    ),
)
"""Gram-Schmidt for one column: its norm, and how much of it to take from each later column."""

WEIGHT = Program(
    (),
    (
        Instruction(Operation.LOAD),
        Instruction(Operation.MULTIPLY, R.WORK, R.OWN_INVERSE),
        Instruction(Operation.MULTIPLY, R.WORK, R.PREVIOUS_INVERSE),
        Instruction(Operation.REST, R.ONE, R.WORK),
        Instruction(Operation.MULTIPLY, R.WEIGHT, R.WORK),
        Instruction(
            Operation.MULTIPLY, R.OWN_NORM, R.OTHER_INVERSE, R.HISTORY, Modifier.TIMES_RESIDUAL
        ),
        Instruction(Operation.ADD, R.HISTORY, R.WORK, R.WEIGHT, Modifier.UNLESS_VANISHED),
    ),
)
"""t' = diag(R) + t (1 - new . previous), with the error factors in hand."""

SCALE = Program(
    (),
    (
        Instruction(Operation.MULTIPLY, R.WEIGHT, R.OWN_INVERSE),
        Instruction(Operation.MULTIPLY, R.WORK, R.OTHER_INVERSE, R.SCALE),
        Instruction(Operation.MULTIPLY, R.RATE, R.SCALE, R.UPDATE),
    ),
)
"""tau = t / (norms), with the activation factors in hand; and kappa = RATE * tau."""

PROGRAMS: dict[str, Program] = {
    "CARRY": CARRY,
    "NORM": NORM,
    "HISTORY": HISTORY,
    "ALIGN": ALIGN,
    "COEFFICIENTS": COEFFICIENTS,
    "WEIGHT": WEIGHT,
    "SCALE": SCALE,
}

Name = IntEnum("Name", {name: i for i, name in enumerate(PROGRAMS)})  # type: ignore[misc]
"""Programs by number, for the unit's `program` port."""
