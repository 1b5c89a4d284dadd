"""What a host writes to the accelerator for a batch: register settings and stream packets."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from golden_model import scalar
from golden_model.fixed import FixedState
from golden_model.formats import Words
from golden_model.half_select import SCHEMES
from golden_model.parameters import Parameters
from golden_model.reads import Reads
from hdl.registers import RegisterMap
from sim.job import Batch

_CONTAINERS = {1: np.int8, 2: np.int16, 4: np.int32}


def pack_rows(parameters: Parameters, vectors: Sequence[Words]) -> bytes:
    """Vectors of words as the rows of a stream packet, each vector starting a new row."""
    dtype = np.dtype(_CONTAINERS[parameters.stream_word_bytes]).newbyteorder("<")
    rows = []
    for vector in vectors:
        row = np.zeros(parameters.rows(len(vector)) * parameters.lanes, dtype)
        row[: len(vector)] = vector
        rows.append(row)
    return np.concatenate(rows).tobytes()


def pack_state(parameters: Parameters, state: FixedState) -> bytes:
    """The state packet."""
    return pack_rows(parameters, [*state.x.T, *state.delta.T])


def pack_block(parameters: Parameters, activations: Words, errors: Words) -> bytes:
    """A block packet."""
    samples = itertools.chain.from_iterable(zip(activations, errors, strict=True))
    return pack_rows(parameters, list(samples))


def unpack_containers(parameters: Parameters, packet: bytes) -> NDArray[np.int64]:
    """The beats of a packet, beats x lanes, as unsigned containers."""
    dtype = np.dtype(f"<u{parameters.stream_word_bytes}")
    return np.frombuffer(packet, dtype).astype(np.int64).reshape(-1, parameters.lanes)


def unpack_state(parameters: Parameters, packet: bytes, n: int, m: int, k: int) -> list[Words]:
    """X (n x k) and Delta (m x k) of a state packet, words beyond n and m included as rows."""
    dtype = np.dtype(_CONTAINERS[parameters.stream_word_bytes]).newbyteorder("<")
    words = np.frombuffer(packet, dtype).astype(np.float64)
    rows_n, rows_m = (parameters.rows(size) * parameters.lanes for size in (n, m))
    if words.size != k * (rows_n + rows_m):
        raise ValueError(f"a packet of {words.size} words, not {k * (rows_n + rows_m)}")
    return [words[: k * rows_n].reshape(k, -1).T, words[k * rows_n :].reshape(k, -1).T]


def batch_packets(parameters: Parameters, batch: Batch) -> list[bytes]:
    """The packets that `batch` streams in."""
    packets = [pack_block(parameters, a, d) for a, d in batch.blocks]
    if batch.state is not None:
        packets.insert(0, pack_state(parameters, batch.state))
    return packets


def read_settings(
    registers: RegisterMap,
    m: int,
    n: int,
    reads: Reads,
    vectors: int,
    origin: tuple[int, int],
    *,
    transposed: bool,
) -> Iterator[tuple[str, int]]:
    """Name and word of each register to write before `vectors` vectors are read."""
    yield "M", m
    yield "N", n
    yield "VECTORS", vectors
    encoded = registers["READ"].encode(
        transposed=int(transposed),
        bit_serial=int(reads.encoding == "bit-serial"),
        dac_bits=reads.dac_bits,
        sum_bits=reads.sum_bits,
    )
    yield "READ", encoded
    yield "TILE", _tile(registers, origin)


def batch_settings(
    registers: RegisterMap, batch: Batch, *, store: bool = True
) -> Iterator[tuple[str, int, int]]:
    """Name, word and index of each register to write before `batch` starts.

    With `store` the state comes back when the batch is done.
    """
    samples = batch.samples
    sizes = {"M": batch.m, "N": batch.n, "K": batch.k, "BLOCK": max(samples, default=1),
             "BLOCKS": len(samples), "LAST": samples[-1] if samples else 1}  # fmt: skip
    for name, value in sizes.items():
        yield name, value, 0
    yield "CARRY", scalar.encode(batch.carry), 0
    if batch.state is not None:
        for c, weight in enumerate(batch.state.weight):
            yield "WEIGHT", scalar.encode(float(weight)), c
    update = batch.update
    mode = registers["MODE"].encode(
        load=int(batch.state is not None),
        store=int(store),
        update=int(update is not None),
        scrambled=int(update is not None and update.scrambled),
    )
    yield "MODE", mode, 0
    origin = (0, 0) if update is None else update.origin
    yield "TILE", _tile(registers, origin), 0
    if update is not None:
        yield "RATE", scalar.encode(update.rate), 0
        yield "SEED", update.seed, 0
        slots = {"min_log2": update.slots_min, "max_log2": update.slots_max}
        yield "SLOTS", registers["SLOTS"].encode(**slots), 0
        scheme = SCHEMES.index(update.levels)
        yield "LEVELS", registers["LEVELS"].encode(scheme=scheme), 0
        timing = {"length_less_1": update.slot_length - 1, "dead": update.dead}
        yield "SLOT_TIMING", registers["SLOT_TIMING"].encode(**timing), 0


def _tile(registers: RegisterMap, origin: tuple[int, int]) -> int:
    row, column = origin
    return registers["TILE"].encode(row=row, column=column)
