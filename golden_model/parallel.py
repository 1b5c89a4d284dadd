"""Work split over threads, in a way that leaves every result the same to the bit.

NumPy lets go of the interpreter inside its matrix products and array functions, so that threads
compute at once. The pieces of the work are the caller's, the same whatever the number of threads,
and come back in their order: one thread and eight compute the same bits.

Two threads of Python serve better than two of the BLAS library: they split the copies and the
element by element functions too, and do not wait for each other after every product.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_threads = 1
_pool: ThreadPoolExecutor | None = None  # the threads besides the caller's


def set_threads(count: int) -> None:
    """Let `each` use `count` threads from now on; one, the default, takes none but the caller's.

    Raises ValueError for less than one.
    """
    global _threads, _pool
    if count < 1:
        raise ValueError(f"{count} threads: take 1 or more")
    if _pool is not None:
        _pool.shutdown()
    _threads = count
    _pool = ThreadPoolExecutor(count - 1, "eigenbar") if count > 1 else None


def each(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """`function` of each of `items`, in their order; raises what the first of them raises.

    Calls may run at once, so they must not change what another reads, nor call `each`. The caller's
    thread works too: waking another takes longer than many a part of the work.
    """
    if _pool is None:
        return list(map(function, items))
    waiting = deque((item, Future[Result]()) for item in items)
    results = [result for _, result in waiting]

    def work() -> None:
        while True:
            try:
                item, result = waiting.popleft()
            except IndexError:
                return
            try:
                result.set_result(function(item))
            except BaseException as error:
                result.set_exception(error)

    for _ in range(min(_threads, len(results)) - 1):
        _pool.submit(work)
    work()
    return [result.result() for result in results]


def parts(count: int, largest: int) -> list[slice]:
    """As few slices of at most `largest` of `count` items as it takes, about equally long."""
    pieces = max(1, -(-count // largest))
    edges = [count * piece // pieces for piece in range(pieces + 1)]
    return [slice(start, stop) for start, stop in pairwise(edges)]
