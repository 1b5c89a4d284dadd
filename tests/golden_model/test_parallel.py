"""Work split over threads: the order, the errors, and the parts."""

import threading
import time

import pytest

from golden_model import parallel


@pytest.fixture(params=[1, 3])
def threads(request):
    parallel.set_threads(request.param)
    yield request.param
    parallel.set_threads(1)


def test_results_come_in_the_order_of_the_items(threads):
    def late(item):
        time.sleep(0.01 * (4 - item))
        return 10 * item

    assert parallel.each(late, range(4)) == [0, 10, 20, 30]


def test_two_threads_work_at_once():
    parallel.set_threads(2)
    both = threading.Barrier(2, timeout=10)
    try:
        assert sorted(parallel.each(lambda _: both.wait(), range(2))) == [0, 1]
    finally:
        parallel.set_threads(1)


def test_what_the_first_item_raises_is_raised(threads):
    def fail(item):
        raise KeyError(item)

    with pytest.raises(KeyError, match="7"):
        parallel.each(fail, [7, 8])


def test_no_threads_at_all_are_refused():
    with pytest.raises(ValueError, match="0 threads: take 1 or more"):
        parallel.set_threads(0)


@pytest.mark.parametrize(("count", "largest", "lengths"), [
    (64, 16, [16, 16, 16, 16]),
    (65, 16, [13, 13, 13, 13, 13]),
    (5, 16, [5]),
    (7, 3, [2, 2, 3]),
    (0, 4, [0]),
])  # fmt: skip
def test_parts_cover_the_items_in_few_slices_of_about_equal_length(count, largest, lengths):
    slices = parallel.parts(count, largest)
    assert [part.stop - part.start for part in slices] == lengths
    assert [index for part in slices for index in range(count)[part]] == list(range(count))
