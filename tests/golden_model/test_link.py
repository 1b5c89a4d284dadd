"""Frames of the host link: what is encoded is decoded, what is damaged is not."""

import itertools
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden_model.link import (
    HEADER_BYTES,
    MAX_PAYLOAD,
    OVERHEAD_BYTES,
    Frame,
    LinkSpec,
    LinkSpecError,
    decode,
    encode,
    stuff,
    unstuff,
)

OFFSET = st.integers(0, 65535)
FRAMES = st.builds(
    Frame,
    session=OFFSET,
    offset=OFFSET,
    acknowledged=OFFSET,
    window=OFFSET,
    payload=st.binary(max_size=MAX_PAYLOAD),
    syn=st.booleans(),
    resend=st.booleans(),
)


def test_stuffed_bytes_are_those_of_the_published_examples():
    """Wikipedia, Consistent Overhead Byte Stuffing, section Encoding examples."""
    assert stuff(bytes.fromhex("00")) == bytes.fromhex("0101")
    assert stuff(bytes.fromhex("0000")) == bytes.fromhex("010101")
    assert stuff(bytes.fromhex("11220033")) == bytes.fromhex("0311220233")
    assert stuff(bytes.fromhex("11223344")) == bytes.fromhex("0511223344")
    assert stuff(bytes.fromhex("11000000")) == bytes.fromhex("0211010101")


def test_every_short_string_is_unstuffed_and_its_stuffing_has_no_zero():
    for length in range(7):
        for values in itertools.product((0, 1, 2, 255), repeat=length):
            stuffed = stuff(bytes(values))
            assert 0 not in stuffed
            assert len(stuffed) == length + 1
            assert unstuff(stuffed) == bytes(values)


@pytest.mark.parametrize("damaged", [b"\2", b"\5abc", b"\2a\3b", b"\3\0a", b"\0"])
def test_what_ends_within_a_run_or_holds_a_zero_is_not_unstuffed(damaged):
    assert unstuff(damaged) is None


@given(FRAMES)
def test_a_frame_comes_back(frame):
    *stuffed, end = encode(frame)
    assert end == 0
    assert 0 not in stuffed
    assert len(stuffed) + 1 == len(frame.payload) + OVERHEAD_BYTES
    assert decode(bytes(stuffed)) == frame


@given(FRAMES, st.data())
def test_a_damaged_frame_is_refused(frame, data):
    """One byte changed, dropped, doubled or inserted: a burst of at most 16 bits, which CRC-32
    always finds, or a length that is wrong as well.
    """
    stuffed = bytearray(encode(frame)[:-1])
    place = data.draw(st.integers(0, len(stuffed) - 1))
    match data.draw(st.sampled_from(["changed", "dropped", "doubled", "inserted"])):
        case "changed":
            stuffed[place] ^= data.draw(st.integers(1, 255))
        case "dropped":
            del stuffed[place]
        case "doubled":
            stuffed.insert(place, stuffed[place])
        case "inserted":
            stuffed.insert(place, data.draw(st.integers(0, 255)))
    assert decode(bytes(stuffed)) is None


@given(st.binary(max_size=40))
def test_noise_is_refused(noise):
    assert decode(noise) is None


def test_a_header_that_lies_about_its_length_is_refused():
    frame = Frame(1, 0, 0, 0, b"abc")
    content = bytearray(unstuff(encode(frame)[:-1])[:-4])
    assert content[3] == 3
    assert len(content) == HEADER_BYTES + 3
    content[3] = 2
    assert decode(stuff(bytes(content) + zlib.crc32(content).to_bytes(4, "little"))) is None


def test_a_payload_too_long_for_a_frame_is_an_error():
    with pytest.raises(ValueError, match="exceeds the 239 of a frame"):
        encode(Frame(1, 0, 0, 0, bytes(MAX_PAYLOAD + 1)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"clocks_per_bit": 3}, "clocks_per_bit = 3 must be an integer from 4 to 65535"),
        ({"max_payload": 240}, "max_payload = 240 must be an integer from 1 to 239"),
        ({"receive_bytes": 1000}, "receive_bytes = 1000 must be a power of two"),
        ({"send_bytes": 32768}, "send_bytes = 32768 must be an integer from 2 to 16384"),
        ({"receive_bytes": 256}, r"receive_bytes = 256 must be at least 2 x max_payload = 478"),
        ({"send_bytes": 128}, r"send_bytes = 128 must be at least 1 x max_payload = 239"),
        ({"send_bytes": 2048.0}, "send_bytes = 2048.0 must be an integer"),
    ],
)
def test_what_cannot_be_built_is_an_error(settings, message):
    with pytest.raises(LinkSpecError, match=message):
        LinkSpec(**settings)
