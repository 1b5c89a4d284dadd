"""Reads at the accelerator's ports: a crossbar at its pins, and the packets of sums.

What the sums are is `golden_model.reads`; the pins and the packet are those of docs/reads.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden_model.parameters import Parameters
from golden_model.reads import Array, Reads, ReadSpec

SUM_BITS = 32
"""Bits of a sum in a packet, two's complement."""


@dataclass(frozen=True)
class VectorSums:
    """What the accelerator answers to a vector."""

    sums: Array
    """A sum a sensed line."""
    adc: int
    """ADC codes that saturated."""
    saturated: int
    """Partial sums that saturated."""

    def packet(self, parameters: Parameters) -> NDArray[np.int64]:
        """The packet, beats x lanes, as unsigned containers.

        Rows of `lanes` sums of 32 bits, each as many beats as a sum takes containers, the lowest
        part first; then a row with the counts of what saturated, limited to a container.
        """
        bits = 8 * parameters.stream_word_bytes
        largest = (1 << bits) - 1
        sums = np.zeros(parameters.rows(len(self.sums)) * parameters.lanes, np.int64)
        sums[: len(self.sums)] = self.sums
        shifts = np.arange(0, SUM_BITS, bits)[:, None]
        planes = (sums.reshape(-1, 1, parameters.lanes) >> shifts) & largest
        beats = planes.reshape(-1, parameters.lanes)
        counts = np.zeros((1, parameters.lanes), np.int64)
        counts[0, :2] = min(self.adc, largest), min(self.saturated, largest)
        return np.concatenate([beats, counts])

    @classmethod
    def of_packet(
        cls, parameters: Parameters, packet: NDArray[np.int64], sensed: int
    ) -> VectorSums:
        """What `packet`, beats x lanes of unsigned containers, says of `sensed` lines.

        Raises ValueError for a packet of another length.
        """
        bits = 8 * parameters.stream_word_bytes
        parts = SUM_BITS // bits
        beats = parameters.rows(sensed) * parts + 1
        if packet.shape != (beats, parameters.lanes):
            raise ValueError(f"a packet of {len(packet)} beats, not {beats}")
        planes = packet[:-1].reshape(-1, parts, parameters.lanes).astype(np.int64)
        sums = (planes << np.arange(0, SUM_BITS, bits)[:, None]).sum(axis=1).reshape(-1)
        sums = (sums ^ (1 << (SUM_BITS - 1))) - (1 << (SUM_BITS - 1))
        return cls(sums[:sensed].astype(np.float64), int(packet[-1, 0]), int(packet[-1, 1]))


class PinReads:
    """Reads of an m x n crossbar of `cells`, from -`largest` to `largest`, through the pins.

    Raises `ReadError` for reads that the golden model cannot hold exactly.
    """

    def __init__(
        self,
        parameters: Parameters,
        reads: Reads,
        cells: Array,
        largest: int,
        *,
        transposed: bool = False,
    ) -> None:
        self.transposed = transposed
        lines = (parameters.tile_rows, parameters.tile_columns)
        self._driven, self._sensed = reversed(lines) if transposed else lines
        self._spec = ReadSpec(reads, self._driven, largest)
        self._cells = np.asarray(cells if transposed else cells.T, self._spec.dtype)
        self._integrated = np.zeros(self._driven)

    @property
    def inputs(self) -> int:
        """Codes of a vector."""
        return len(self._cells)

    @property
    def full(self) -> int:
        """The largest code."""
        return self._spec.full

    def answers(self, vectors: Array) -> Iterator[VectorSums]:
        """What the accelerator answers to each of `vectors`, rows of codes; beyond full limited."""
        codes = np.clip(vectors, -self._spec.full, self._spec.full).astype(self._spec.dtype)
        for vector in codes:
            sums, saturations, _ = self._spec.read(self._cells, vector[None])
            yield VectorSums(sums[0], saturations.adc, saturations.sums)

    def slot(self, driven: NDArray[np.integer]) -> None:
        """A slot of a drive: the polarity of each driven line, 0 for an idle one."""
        self._integrated += driven

    def convert(
        self, driven_tile: int, sensed_tile: int, sensed: int
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The ADCs at the end of a drive: a code of each of `sensed` lines, and which saturated.

        Lines without cells count as cells of 0. What was integrated is cleared.
        """
        tile = np.zeros((self._driven, sensed))
        place = self._cells[driven_tile * self._driven :, sensed_tile * self._sensed :]
        place = place[: self._driven, :sensed]
        tile[: place.shape[0], : place.shape[1]] = place
        codes, saturated = self._spec.convert(self._integrated @ tile)
        self._integrated[:] = 0
        return codes.astype(np.int64), saturated
