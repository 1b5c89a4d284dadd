"""Rank-sum updates: the change of every cell computed outside the array, and written cell by cell.

The partner to which updates by outer products are compared: the factors' outer products are summed
into the whole m x n change, which takes the memory and the products that the array would save, and
each cell is stepped by the number of device steps that stands for its change, rounded
stochastically, so that its mean is the change however small that is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from golden_model.sbpca import Array, Factors

_CHUNK = 1 << 20
"""Cells whose random numbers are held at once."""


def device_steps(
    gradient: Array | Factors, steps_per_unit: float, largest: int, seed: int
) -> NDArray[np.float32]:
    """Steps of each cell, m x n, that descend by `steps_per_unit` steps times `gradient`.

    A change of s steps becomes floor(s + u), u uniform in [0, 1) and drawn from `seed`: s in the
    mean. A cell takes at most `largest` steps, which is meant to be as many as it has states.
    """
    if isinstance(gradient, Factors):
        shape = len(gradient.delta), len(gradient.x)
    else:
        shape = gradient.shape[0], gradient.shape[1]
    random = np.random.default_rng([seed, 1])
    change: Array
    steps = np.empty(shape, np.float32)
    rows = max(1, _CHUNK // shape[1])
    for start in range(0, shape[0], rows):
        part = slice(start, start + rows)
        if isinstance(gradient, Factors):
            change = (gradient.delta[part] * gradient.weight) @ gradient.x.T
        else:
            change = gradient[part]
        wanted = change * -steps_per_unit + random.random(change.shape)
        steps[part] = np.clip(np.floor(wanted), -largest, largest)
    return steps
