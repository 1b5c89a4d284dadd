"""Functions compiled to machine code where numba is installed, and run as they are where it is not.

The golden model's loops over ranks hold a few numbers at a time, for which Python's own overhead is
most of the work. Compiled functions compute the same bits: they are IEEE 754 double precision
without contraction or reassociation, and all their sums are of integers that are exact.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable)

_CACHE_VARIABLE = "XDG_CACHE_HOME"

try:
    from numba import njit
    from numba.core import config
except ImportError:
    AVAILABLE = False
else:
    AVAILABLE = not config.DISABLE_JIT
    """Whether functions are compiled: numba is there, and NUMBA_DISABLE_JIT is not set."""


def compiled(function: Function, **options: Any) -> Function:
    """`function`, compiled when it is first called, with numba's `options`; free for threads.

    Machine code is kept in the user's cache folder, if it can be written.
    """
    if not AVAILABLE:
        return function
    folder, elsewhere = _cache_folder(), config.CACHE_DIR
    config.CACHE_DIR = folder or elsewhere  # read when a function is decorated
    try:
        return njit(function, cache=bool(folder), nogil=True, **options)
    finally:
        config.CACHE_DIR = elsewhere


vectorised = functools.partial(compiled, fastmath={"reassoc", "contract", "nsz"})
"""Compiled with sums in any order, which vector instructions need; what is not finite stays so."""


@functools.cache
def _cache_folder() -> str:
    """A folder for the machine code of exactly these sources, or nothing if none can be made.

    numba looks at the file of a function, not at those of the functions that it calls, so it would
    go on using their old code; a folder named by all sources cannot.
    """
    sources = sorted(Path(__file__).parent.glob("*.py"))
    key = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    base = os.environ.get(_CACHE_VARIABLE) or Path.home() / ".cache"
    folder = Path(base) / "eigenbar" / "compiled" / key
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return ""
    return str(folder) if os.access(folder, os.W_OK) else ""


def extremes(values: NDArray[np.float64]) -> tuple[float, float]:
    """Least and largest of `values`, of which none is NaN."""
    return values.min(), values.max()


def _loop_extremes(values: NDArray[np.float64]) -> tuple[float, float]:
    """`extremes` for the compiler: numba's own test every number for NaN, one at a time."""
    low = high = values[0]
    for value in values:
        low, high = min(low, value), max(high, value)
    return low, high


if AVAILABLE:
    extremes = compiled(_loop_extremes, fastmath={"nnan", "nsz"})
