"""Generated configurations: the core equals the golden integer model on every bit of each.

Parameters, dimensions, ranks and data are drawn; `make nightly` runs them. Their number can be set:
EIGENBAR_CONFIGURATIONS.
"""

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from golden_model.parameters import Parameters
from tests.hdl.core_bench import KINDS, assert_batch_equals_golden_model

SHARES = 32
"""Tests that the configurations are shared among, to run side by side."""

CONFIGURATIONS = int(os.environ.get("EIGENBAR_CONFIGURATIONS", "320"))


@st.composite
def configurations(draw):
    """Parameters, m, n, k, samples of each block, kind of data, seed."""
    lanes = draw(st.sampled_from((4, 8, 16, 32)))
    # Simulation takes as long as there are cells: large arrays are drawn, but not often.
    cells = draw(st.sampled_from((16, 32, 32, 64, 256)))
    columns = draw(st.integers(1, max(1, min(8, cells // lanes))))
    m, n = (draw(st.integers(1, 3 * lanes)) for _ in range(2))
    k = draw(st.integers(1, min(3 * columns, m, n)))
    block = draw(st.integers(1, 5))
    sizes = [block] * draw(st.integers(0, 1)) + [draw(st.integers(1, block))]
    parameters = Parameters(
        width=draw(st.integers(8, 18)),
        lanes=lanes,
        columns=columns,
        max_rank=draw(st.integers(max(k, columns), 3 * columns)),
        max_m=draw(st.integers(m, 3 * lanes)),
        max_n=draw(st.integers(n, 3 * lanes)),
        max_block=8,
        buffer_rows=32,
        tile_rows=lanes,
        tile_columns=lanes,
        max_slots=16,
    )
    kind = draw(st.sampled_from(KINDS))
    return parameters, m, n, k, sizes, kind, draw(st.integers(0, 2**32 - 1))


@pytest.mark.nightly
@pytest.mark.parametrize("share", range(SHARES))
def test_generated_configurations_equal_the_golden_model(share):
    @seed(share)
    @settings(
        max_examples=CONFIGURATIONS // SHARES,
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(configurations())
    def batch_equals_golden_model(configuration):
        parameters, m, n, k, sizes, kind, data_seed = configuration
        random = np.random.default_rng(data_seed)
        assert_batch_equals_golden_model(parameters, m, n, k, sizes, kind, random)

    batch_equals_golden_model()
