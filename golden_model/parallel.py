"""Work split over threads, in a way that leaves every result the same to the bit.

NumPy lets go of the interpreter inside its matrix products and array functions, so that threads
compute at once. The pieces of the work are the caller's, the same whatever the number of threads,
and come back in their order: one thread and eight compute the same bits.

Two threads of Python serve better than two of the BLAS library: they split the copies and the
element by element functions too, and do not wait for each other after every product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_pool: ThreadPoolExecutor | None = None


def set_threads(count: int) -> None:
    """Let `each` use `count` threads from now on; one, the default, takes none but the caller's.

    Raises ValueError for less than one.
    """
    global _pool
    if count < 1:
        raise ValueError(f"{count} threads: take 1 or more")
    if _pool is not None:
        _pool.shutdown()
    _pool = ThreadPoolExecutor(count, "eigenbar") if count > 1 else None


def each(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """`function` of each of `items`, in their order; raises what the first of them raises.

    Calls may run at once, so they must not change what another reads, nor call `each`.
    """
    return list(map(function, items) if _pool is None else _pool.map(function, items))


def parts(count: int, largest: int) -> list[slice]:
    """As few slices of at most `largest` of `count` items as it takes, about equally long."""
    pieces = max(1, -(-count // largest))
    edges = [count * piece // pieces for piece in range(pieces + 1)]
    return [slice(start, stop) for start, stop in pairwise(edges)]
