"""What lines that are not selected carry while a slot is driven: half-select schemes.

A cell is selected where a selected row crosses a selected column, and sees the row's voltage less
the column's: V in an upward slot, -V in a downward one. Which voltage the other cells see depends
on the scheme; docs/updates.md has the table and the sources.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from golden_model.pulses import PHASES

SCHEMES = ("none", "V/2", "V/3")
"""Schemes by their number in register LEVELS; with `none` the level pins rest at `GROUND`."""

GROUND, INHIBIT, POSITIVE, NEGATIVE = range(4)
"""Levels of a line: codes on the level pins."""

Levels = NDArray[np.int8]


def downward(slots: int) -> NDArray[np.bool_]:
    """Whether each of the 4 `slots` of a tile's phases is a downward one: polarities differ."""
    return np.repeat([rows != columns for rows, columns in PHASES], slots)


def select_levels(
    rows: NDArray[np.int8], columns: NDArray[np.int8], down: NDArray[np.bool_], scheme: str
) -> tuple[Levels, Levels]:
    """Levels of row and column lines, (slots x lines) each, from their polarities in each slot.

    Selected rows are positive in an upward slot and negative in a downward one, selected columns
    the other way around, whatever the polarities that have them fire.
    """
    if scheme == "none":
        return np.zeros_like(rows), np.zeros_like(columns)
    others = INHIBIT if scheme == "V/3" else GROUND
    up = ~down[:, None]
    return (
        np.where(rows != 0, np.where(up, POSITIVE, NEGATIVE), others).astype(np.int8),
        np.where(columns != 0, np.where(up, NEGATIVE, POSITIVE), others).astype(np.int8),
    )


def line_voltages(
    rows: Levels, columns: Levels, down: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Voltages, as parts of V, that a board puts on lines of these levels.

    Inhibited lines carry V/6, of the sign opposite to that of the selected lines of their side.
    """
    away = np.where(down, 1.0, -1.0)[:, None] / 6
    sides = []
    for levels, inhibit in ((rows, away), (columns, -away)):
        parts = np.array([0.0, 0.0, 0.5, -0.5])[levels]
        sides.append(np.where(levels == INHIBIT, inhibit, parts))
    return sides[0], sides[1]


def cell_voltages(rows: Levels, columns: Levels, down: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Voltage of each cell, as a part of V, (slots x rows x columns): row's less column's."""
    row_voltages, column_voltages = line_voltages(rows, columns, down)
    return row_voltages[:, :, None] - column_voltages[:, None, :]
