"""What goes on a board."""

import pytest

from hdl.machines import clocks_per_bit
from hdl.toolchains import BuildError


@pytest.mark.parametrize(
    ("clock_mhz", "baud", "clocks"),
    [(50, 1_000_000, 50), (27, 115_200, 234), (49.5, 1_000_000, 50)],
)
def test_a_rate_near_a_divisor_of_the_clock_is_taken(clock_mhz, baud, clocks):
    assert clocks_per_bit(clock_mhz, baud) == clocks


@pytest.mark.parametrize(
    ("clock_mhz", "baud", "message"),
    [
        (27, 6_000_000, "27 MHz do not give 6000000 baud: 4.50 cycles a bit.* such as 6750000"),
        (27, 0, "baud = 0 must be at least 1 bit a second"),
        (27, 9_000_000, "3.00 cycles a bit.* at least 4 .* --baud, such as 6750000"),
    ],
)
def test_a_rate_that_the_clock_does_not_give_is_told_one_that_it_does(clock_mhz, baud, message):
    with pytest.raises(BuildError, match=message):
        clocks_per_bit(clock_mhz, baud)
