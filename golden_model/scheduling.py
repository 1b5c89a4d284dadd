"""Where runs are done: in parallel processes of this machine, or on a Dask cluster.

Both are executors as the standard library has them (concurrent.futures), so nothing else knows the
difference.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from golden_model.sweep import ComparisonError

THREADS_VARIABLE = "OPENBLAS_NUM_THREADS"
"""Environment variable of NumPy's BLAS library that says how many threads a product takes."""

CONNECTION_SECONDS = 5
"""How long a scheduler may take to answer."""


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def local_processes(count: int) -> Iterator[Executor]:
    """`count` processes, each with one thread for NumPy, so that results do not depend on `count`.

    When the block ends with an exception (an interruption too) they are stopped at once. Raises
    `ComparisonError` for a count below 1, and if a process dies.
    """
    if count < 1:
        raise ComparisonError(f"processes = {count} must be at least 1")
    earlier = set(multiprocessing.active_children())
    threads = os.environ.get(THREADS_VARIABLE)
    os.environ[THREADS_VARIABLE] = "1"  # read by the processes, which start with the first runs
    executor = ProcessPoolExecutor(
        count, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker
    )
    try:
        yield executor
    except BaseException as error:
        executor.shutdown(wait=False, cancel_futures=True)
        workers = set(multiprocessing.active_children()) - earlier
        for process in workers:
            process.terminate()
        for process in workers:
            process.join()
        if isinstance(error, BrokenProcessPool):
            raise ComparisonError(
                "a worker process died (killed, or out of memory); finished runs are kept: give "
                "the same command again to continue, with fewer --processes if memory is short"
            ) from error
        raise
    finally:
        if threads is None:
            del os.environ[THREADS_VARIABLE]
        else:
            os.environ[THREADS_VARIABLE] = threads
        executor.shutdown()


def _start_worker() -> None:
    """Leave interruptions to the parent process, and end when it does, even if it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


@contextmanager
def dask_cluster(address: str) -> Iterator[Executor]:
    """The Dask cluster whose scheduler is at `address`, such as `tcp://host:8786`.

    Its workers must have this package installed, and see data folders under the same paths. When
    the block ends, runs that have not finished are cancelled.

    Raises `ComparisonError` if Dask is not installed, if no scheduler answers or it goes away, and
    if workers lack the package or are lost too often.
    """
    try:
        from distributed import Client
        from distributed.comm import connect
        from distributed.scheduler import KilledWorker
    except ImportError as error:
        raise ComparisonError(
            "a cluster needs Dask, which is not installed: pip install 'eigenbar[cluster]'"
        ) from error

    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # the errors below say what it was

    async def reach() -> None:
        await (await connect(address, timeout=CONNECTION_SECONDS)).close()

    try:
        asyncio.run(reach())  # a client that cannot connect leaves a trace of its own
    except (OSError, ValueError) as error:
        raise ComparisonError(
            f"no Dask scheduler answers at {address} ({error}); start one with `dask scheduler`, "
            "give the address that it prints, or leave --scheduler out to use this machine"
        ) from error
    with Client(address, timeout=CONNECTION_SECONDS) as client:
        executor = client.get_executor(pure=False)
        try:
            yield executor
        except (KilledWorker, CancelledError) as error:
            what = "lost its scheduler" if isinstance(error, CancelledError) else f"failed: {error}"
            raise ComparisonError(
                f"the cluster at {address} {what}; finished runs are kept: "
                "give the same command again to continue"
            ) from error
        except ImportError as error:
            raise ComparisonError(
                f"a worker of {address} cannot import what a run needs ({error}); "
                "install eigenbar with its extra data on every worker"
            ) from error
        finally:
            executor.shutdown(wait=False)
