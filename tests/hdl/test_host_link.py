"""Both ends of the host link through the UART's pins: bytes in are bytes out, in order, once."""

import random

import numpy as np
import pytest

from golden_model.link import LinkSpec
from sim.host_link import HostLink
from tests.hdl.link_bench import SimulatedPort, consumer, producer, ticks, until

SPEC = LinkSpec(clocks_per_bit=4, receive_bytes=128, send_bytes=128, max_payload=40)


def connected(rate=0.0, seed=0):
    port = SimulatedPort(SPEC, rate, seed)
    link = HostLink(
        port, SPEC, timeout=0.006, retries=20, clock=port.clock, numbers=random.Random(seed)
    )
    return port, link


def noise(length, seed):
    """Bytes of which a quarter are zero, which COBS has work with."""
    generator = np.random.default_rng([length, seed])
    data = generator.integers(0, 256, length, dtype=np.uint8)
    return (data * (generator.integers(0, 4, length) != 0)).tobytes()


def finish(port, link, taken, length):
    """Until the consumer has taken all that the board has received."""
    link.flush()
    while len(taken) < length:
        port.read(1)


@pytest.mark.parametrize("stalls", [0, 400])
def test_a_clean_line_carries_each_byte_in_one_frame(stalls):
    port, link = connected()
    down, up, taken = noise(700, 1), noise(600, 2), bytearray()
    generator = np.random.default_rng(1)
    port.add(producer(port, up, generator, stalls))
    port.add(consumer(port, taken, generator, stalls))
    link.open()
    for start in range(0, len(down), 70):
        link.write(down[start : start + 70])
    assert link.read(len(up)) == up
    finish(port, link, taken, len(down))
    assert taken == down
    assert link.statistics.resent == 0
    assert not link.statistics.discarded


@pytest.mark.parametrize("seed", range(3))
def test_a_line_that_spoils_characters_carries_every_byte_once_and_in_order(seed):
    """One character in 250 has a bit flipped, is dropped, doubled, or followed by another."""
    port, link = connected(rate=0.004, seed=seed)
    down, up, taken = noise(500, seed), noise(400, seed), bytearray()
    generator = np.random.default_rng(seed)
    port.add(producer(port, up, generator, 400))
    port.add(consumer(port, taken, generator, 400))
    link.open()
    read = bytearray()
    for start in range(0, len(down), 100):
        link.write(down[start : start + 100])
        read += link.read(80)
    finish(port, link, taken, len(down))
    assert read == up
    assert taken == down
    assert port.to_board.spoiled > 0
    assert port.to_host.spoiled > 0


def test_a_new_session_forgets_the_last_one_in_the_middle_of_its_traffic():
    port, link = connected()
    down, up, taken = noise(300, 3), noise(300, 4), bytearray()
    generator = np.random.default_rng(3)
    port.add(producer(port, up, generator, 0))
    port.add(consumer(port, taken, generator, 0))
    link.open()
    link.write(noise(200, 5))
    link.read(100)
    link.open()
    link.write(down)
    assert link.read(len(up)) == up
    finish(port, link, taken, len(down))
    assert taken == down
    assert port.restarts >= 2
    assert link.statistics.discarded["session"] > 0


def test_writing_goes_on_while_nobody_reads_what_the_board_sends():
    """An echo with room for nothing: each byte must be sent before the next is taken."""
    port, link = connected()
    data = noise(600, 6)

    async def echo(ctx):
        received, to_send = port.board.received, port.board.to_send
        while True:
            ctx.set(received.ready, 1)
            (byte,) = await until(ctx, received.valid, received.payload)
            ctx.set(received.ready, 0)
            ctx.set(to_send.payload, byte)
            ctx.set(to_send.valid, 1)
            await until(ctx, to_send.ready)
            ctx.set(to_send.valid, 0)

    port.add(echo)
    link.open()
    link.write(data)
    assert link.read(len(data)) == data


def test_bytes_that_nobody_takes_close_the_window_and_lose_nothing():
    port, link = connected()
    data, taken = noise(SPEC.receive_bytes + 60, 7), bytearray()
    resting = []

    async def reader(ctx):
        await ticks(ctx, 30000)
        resting.append(True)
        await consumer(port, taken, np.random.default_rng(7), 0)(ctx)

    port.add(reader)
    link.open()
    link.write(data)
    assert resting, "the last bytes fit only when some had been taken"
    finish(port, link, taken, len(data))
    assert taken == data
