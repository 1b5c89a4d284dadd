"""A batch on the core equals the golden integer model on every bit."""

import numpy as np
import pytest

from golden_model.parameters import Parameters
from tests.hdl.core_bench import KINDS, assert_batch_equals_golden_model

# A dozen of the configurations that tests/hdl/test_configurations.py draws by the hundred: width,
# lanes, columns, most ranks, m, n, k, samples of each block, data.
DOZEN = [
    (8, 4, 2, 2, 5, 13, 2, [3, 3, 2], "first"),
    (8, 4, 2, 6, 5, 13, 2, [3, 3, 2], "minimum"),
    (16, 2, 3, 6, 10, 6, 3, [4], "plain"),
    (16, 2, 3, 3, 10, 6, 3, [4, 4], "maximum"),
    (11, 8, 2, 6, 3, 16, 1, [8, 1], "zero"),
    (9, 4, 2, 6, 5, 13, 5, [3, 2], "rank-one"),
    (9, 4, 2, 6, 6, 16, 6, [3, 3], "sparse"),
    (18, 2, 3, 9, 8, 11, 7, [2, 2], "plain"),
    (18, 4, 3, 7, 9, 9, 7, [5, 1], "minimum"),
    (12, 4, 1, 3, 9, 3, 3, [4, 1], "plain"),
    (13, 4, 1, 2, 1, 1, 1, [1, 1], "sparse"),
    (14, 8, 4, 10, 10, 12, 9, [2, 1], "first"),
]


@pytest.mark.parametrize(
    ("width", "lanes", "columns", "max_rank", "m", "n", "k", "sizes", "kind"), DOZEN
)
def test_batch_equals_golden_model(width, lanes, columns, max_rank, m, n, k, sizes, kind):
    parameters = Parameters(width=width, lanes=lanes, columns=columns, max_rank=max_rank, max_m=10,
                            max_n=16, max_block=8, buffer_rows=64, tile_rows=lanes,
                            tile_columns=lanes, grid_columns=8, max_slots=16,
                            adcs=2)  # fmt: skip
    random = np.random.default_rng([width, k, KINDS.index(kind)])
    assert_batch_equals_golden_model(parameters, m, n, k, sizes, kind, random)
