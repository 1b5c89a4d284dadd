"""Both ends of the host link through the UART's pins: bytes in are bytes out, in order, once."""

import random
from contextlib import contextmanager

import numpy as np
import pytest

from golden_model.link import MAX_PAYLOAD, OVERHEAD_BYTES, LinkSpec
from hdl.uart import CHARACTER_BITS
from sim.host_link import HostLink
from tests.sim.link_port import CYCLE, SimulatedPort

pytestmark = pytest.mark.xdist_group("verilator")

SPEC = LinkSpec(clocks_per_bit=4)
SMALL = LinkSpec(clocks_per_bit=5, receive_bytes=128, send_bytes=128, max_payload=40)


@contextmanager
def connected(spec, **settings):
    port = SimulatedPort(spec, **settings)
    numbers = random.Random(settings.get("seed", 0))
    link = HostLink(port, spec, timeout=4e-4, retries=20, clock=port.clock, numbers=numbers)
    link.open()
    yield port, link
    assert port.violations == 0
    port.close()


def noise(length, seed):
    """Bytes of which a quarter and more are zero, with which COBS has work."""
    generator = np.random.default_rng([length, seed])
    data = generator.integers(0, 256, length, dtype=np.uint8)
    return (data * (generator.integers(0, 4, length) != 0)).tobytes()


def taken_by(port, count):
    """What the board has taken, when that is `count` bytes or 10 milliseconds have passed."""
    end = port.clock() + 1e-2
    while len(port.taken) < count and port.clock() < end:
        port.read(1)
    return port.taken


@pytest.mark.parametrize("spec", [SPEC, SMALL], ids=["default", "small"])
@pytest.mark.parametrize("stalls", [0, 2000])
def test_a_clean_line_carries_every_byte_with_nothing_sent_twice(spec, stalls):
    down, up = noise(5000, 1), noise(4000, 2)
    with connected(spec, produced=up, stalls=stalls) as (port, link):
        for start in range(0, len(down), 500):
            link.write(down[start : start + 500])
        assert link.read(len(up)) == up
        link.flush()
        assert taken_by(port, len(down)) == down
        assert link.statistics.resent == 0
        assert not link.statistics.discarded


@pytest.mark.parametrize(
    ("spec", "rate", "stalls"),
    [(SPEC, 0.001, 0), (SPEC, 0.0001, 2000), (SMALL, 0.005, 2000), (SMALL, 0.0005, 0)],
)
def test_a_line_that_spoils_characters_carries_every_byte_once_and_in_order(spec, rate, stalls):
    """Of the spoiled ones a quarter each has a bit flipped, is dropped, doubled, or followed by
    another.
    """
    down, up = noise(20000, 3), noise(16000, 4)
    with connected(spec, produced=up, stalls=stalls, rate=rate, seed=5) as (port, link):
        read = bytearray()
        for start in range(0, len(down), 1000):
            link.write(down[start : start + 1000])
            read += link.read(800)
        link.flush()
        assert read == up
        assert taken_by(port, len(down)) == down
        assert port.to_board.spoiled > 0
        assert port.to_host.spoiled > 0
        assert link.statistics.resent > 0


def test_offsets_wrap_in_both_directions():
    down, up = noise(150000, 6), noise(140000, 7)
    with connected(SPEC, produced=up, rate=0.0001, seed=8) as (port, link):
        link.write(down)
        assert link.read(len(up)) == up
        link.flush()
        assert taken_by(port, len(down)) == down


def test_a_new_session_forgets_the_last_one_in_the_middle_of_its_traffic():
    down, up = noise(3000, 9), noise(3000, 10)
    with connected(SPEC, produced=up, rate=0.0005, seed=11) as (port, link):
        for _ in range(10):
            link.write(noise(1500, 12))
            link.read(700)
            before = port.restarts
            link.open()
            assert port.restarts > before
        link.write(down)
        assert link.read(len(up)) == up
        link.flush()
        assert taken_by(port, len(down)) == down


def test_writing_goes_on_while_nobody_reads_what_the_board_sends():
    """The board takes a byte only when it has sent the one before, and both rings are small."""
    data = noise(5000, 13)
    with connected(SMALL, echo=True) as (_, link):
        link.write(data)
        assert link.read(len(data)) == data


def test_bytes_that_nobody_takes_close_the_window_and_lose_nothing():
    data = noise(SPEC.receive_bytes + 200, 14)
    with connected(SPEC) as (port, link):
        port.hold(True)
        link.write(data[: SPEC.receive_bytes])
        link.flush()
        resting = port.clock()
        sent = link.statistics.sent
        with pytest.raises(StopWaiting):
            interrupted(port, link, data[SPEC.receive_bytes :], resting + 0.02)
        assert port.taken == b""
        assert link.statistics.sent - sent < 20, "asked now and then, ever less often"
        port.hold(False)
        link.flush()
        assert taken_by(port, len(data)) == data


class StopWaiting(Exception):
    pass


def interrupted(port, link, data, deadline):
    """Write `data`, and give up at the `deadline`."""
    read = port.read

    def impatient(size=1):
        if port.clock() > deadline:
            raise StopWaiting
        return read(size)

    port.read = impatient
    try:
        link.write(data)
    finally:
        port.read = read


def test_frames_of_another_making_and_noise_leave_the_link_working():
    with connected(SPEC, echo=True) as (port, link):
        generator = np.random.default_rng(15)
        for length in (1, 10, 300, 3000):
            port.write(generator.integers(0, 256, length, dtype=np.uint8).tobytes())
            link.write(b"still here")
            assert link.read(10) == b"still here"


@pytest.mark.parametrize(("damaged", "least"), [(0.0, 0.93), (0.01, 0.8)])
def test_a_line_is_used_as_far_as_overhead_and_losses_let_it_be(damaged, least):
    """Clock cycles of the simulated board, not a timing of this machine; see docs/link.md."""
    up, frame = noise(50000, 16), MAX_PAYLOAD + OVERHEAD_BYTES
    with connected(SPEC, produced=up, rate=damaged / frame, seed=17) as (port, link):
        start = port.clock()
        assert link.read(len(up)) == up
        cycles = (port.clock() - start) / CYCLE
        assert len(up) * CHARACTER_BITS * SPEC.clocks_per_bit / cycles > least * MAX_PAYLOAD / frame
