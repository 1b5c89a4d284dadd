"""Programs of the scalar unit: what happens to weights and norms beside the passes.

A program runs for one rank or for every rank. Each line below is one instruction `(operation, left,
right, destination)`; the golden counterparts are the scalar expressions of `golden_model.fixed`.
"""

from dataclasses import dataclass
from enum import IntEnum, unique


@unique
class Operation(IntEnum):
    """What an instruction does."""

    MULTIPLY = 0  # destination = left * right
    ADD = 1  # destination = left + right
    REST = 2  # destination = max(left - sign * right, 0), sign being that of OVERLAP


@unique
class Register(IntEnum):
    """Operands and destinations."""

    # Stored for every rank:
    WEIGHT = 0
    PREVIOUS_INVERSE = 1
    OWN_INVERSE = 2  # 1 / norm of the factor in hand
    OTHER_INVERSE = 3  # own and other differ in their lowest bit
    OWN_NORM = 4
    OTHER_NORM = 5
    HISTORY = 6  # the aligner has a copy
    WORK = 7
    # Not stored:
    ONE = 8
    CARRY = 9
    RATE = 10
    HOST_WEIGHT = 11
    SCALE = 12  # written only
    UPDATE = 13  # written only
    OVERLAP = 14  # magnitude of the rank's last dot product
    SQUARE = 15  # what the norm unit was given
    ROOT = 16  # its reciprocal square root


R = Register
STORED = R.WORK + 1


@unique
class Modifier(IntEnum):
    """What else an instruction's result undergoes."""

    NONE = 0
    TIMES_RESIDUAL = 1  # * 2**(exponent of the rank's residual)
    UNLESS_ZERO = 2  # not stored if SQUARE is zero
    UNLESS_VANISHED = 3  # zero if the rank's residual vanished


@dataclass(frozen=True)
class Instruction:
    """One instruction of a program."""

    operation: Operation
    left: Register = R.ONE
    right: Register = R.ONE
    destination: Register = R.WORK
    modifier: Modifier = Modifier.NONE


CARRY = (Instruction(Operation.MULTIPLY, R.HOST_WEIGHT, R.CARRY, R.WEIGHT),)
"""At the start of a batch: the weights that the host left, times CARRY."""

NORM = (
    Instruction(Operation.MULTIPLY, R.ROOT, R.ONE, R.OWN_INVERSE),
    Instruction(Operation.MULTIPLY, R.SQUARE, R.ROOT, R.OWN_NORM),
)
"""Norm of one rank of the factor in hand, from the norm unit."""

PIVOT = (
    Instruction(Operation.MULTIPLY, R.OWN_INVERSE, R.ONE, R.PREVIOUS_INVERSE),
    Instruction(Operation.MULTIPLY, R.ROOT, R.ONE, R.OWN_INVERSE, Modifier.UNLESS_ZERO),
    Instruction(Operation.MULTIPLY, R.SQUARE, R.ROOT, R.OWN_NORM, Modifier.UNLESS_ZERO),
)
"""Norm of the rank that Gram-Schmidt is at; the previous one if its residual vanished."""

HISTORY = (
    Instruction(Operation.MULTIPLY, R.WEIGHT, R.OWN_INVERSE, R.HISTORY),
    Instruction(Operation.MULTIPLY, R.HISTORY, R.OTHER_NORM, R.HISTORY),
)
"""What the factor in hand is multiplied by before new data is added."""

WEIGHT = (
    Instruction(Operation.MULTIPLY, R.OVERLAP, R.OWN_INVERSE),
    Instruction(Operation.MULTIPLY, R.WORK, R.PREVIOUS_INVERSE),
    Instruction(Operation.REST, R.ONE, R.WORK),
    Instruction(Operation.MULTIPLY, R.WEIGHT, R.WORK),
    Instruction(
        Operation.MULTIPLY, R.OWN_NORM, R.OTHER_INVERSE, R.HISTORY, Modifier.TIMES_RESIDUAL
    ),
    Instruction(Operation.ADD, R.HISTORY, R.WORK, R.WEIGHT, Modifier.UNLESS_VANISHED),
)
"""t' = diag(R) + t (1 - new . previous), with the error factors in hand."""

SCALE = (
    Instruction(Operation.MULTIPLY, R.WEIGHT, R.OWN_INVERSE),
    Instruction(Operation.MULTIPLY, R.WORK, R.OTHER_INVERSE),
    Instruction(Operation.MULTIPLY, R.WORK, R.ONE, R.SCALE),
    Instruction(Operation.MULTIPLY, R.RATE, R.WORK, R.UPDATE),
)
"""tau = t / (norms), with the activation factors in hand; and kappa = RATE * tau."""

PROGRAMS: dict[str, tuple[Instruction, ...]] = {
    "CARRY": CARRY,
    "NORM": NORM,
    "PIVOT": PIVOT,
    "HISTORY": HISTORY,
    "WEIGHT": WEIGHT,
    "SCALE": SCALE,
}

Name = IntEnum("Name", {name: i for i, name in enumerate(PROGRAMS)})  # type: ignore[misc]
"""Programs by number, for the unit's `program` port."""
