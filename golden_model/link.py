"""The host link's frames: how two byte streams travel over a UART that may spoil bytes.

A frame is a header, up to `MAX_PAYLOAD` bytes of payload and the CRC-32 of both, stuffed by COBS
(Cheshire and Baker, IEEE/ACM Transactions on Networking 7(2), 1999, doi 10.1109/90.769765) so that
no byte of it is zero, and ended by a zero. Every integer has its lowest byte first. docs/link.md
has the rules by which the two ends exchange frames; `sim.host_link` is the host's end of them,
`hdl.host_link` the board's.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

HEADER = {
    "session": 16,
    "flags": 8,
    "length": 8,
    "offset": 16,
    "acknowledged": 16,
    "window": 16,
}
"""Fields of the header in their order, with their bits; `length` counts the payload's bytes."""

SYN = 1
"""Flag: a session begins. From the host: forget the last one. From the board: it has."""

RESEND = 2
"""Flag: something was lost, go back to `acknowledged`."""

HEADER_BYTES = sum(HEADER.values()) // 8
CRC_BYTES = 4

MAX_PAYLOAD = 253 - HEADER_BYTES - CRC_BYTES
"""Most bytes of payload: with more, a frame could have runs that one code of COBS cannot count."""

OVERHEAD_BYTES = HEADER_BYTES + CRC_BYTES + 2
"""Bytes of a frame on the wire beyond its payload: the code of COBS and the end among them."""

OFFSETS = 1 << HEADER["offset"]
"""Offsets in a stream count modulo this."""

MAX_RING = OFFSETS // 4
"""Most bytes of a ring: offsets of what is under way then tell old from new."""

_HEADER = struct.Struct("<" + "".join({8: "B", 16: "H"}[bits] for bits in HEADER.values()))
_CRC = struct.Struct("<I")


class LinkSpecError(ValueError):
    """A parameter of a link is outside its range, or at odds with another."""


@dataclass(frozen=True)
class LinkSpec:
    """A link: the board's UART and rings, for both ends alike.

    Immutable; construction raises `LinkSpecError` for what cannot be built.
    """

    clocks_per_bit: int = 100
    """Clock cycles of the board in a bit of the UART: the clock's frequency over the baud rate."""
    receive_bytes: int = 2048
    """Bytes of the board's ring of what has come, a power of two, at least two whole payloads."""
    send_bytes: int = 2048
    """Bytes of the board's ring of what the host has not acknowledged, a power of two."""
    max_payload: int = MAX_PAYLOAD
    """Most bytes of payload that either end puts into a frame."""

    def __post_init__(self) -> None:
        for name, low, high in (
            ("clocks_per_bit", 4, 65535),
            ("max_payload", 1, MAX_PAYLOAD),
            ("receive_bytes", 2, MAX_RING),
            ("send_bytes", 2, MAX_RING),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise LinkSpecError(f"{name} = {value!r} must be an integer from {low} to {high}")
            if name.endswith("_bytes") and value & (value - 1):
                raise LinkSpecError(f"{name} = {value} must be a power of two")
        for name, payloads in (("receive_bytes", 2), ("send_bytes", 1)):
            if getattr(self, name) < payloads * self.max_payload:
                raise LinkSpecError(
                    f"{name} = {getattr(self, name)} must be at least {payloads} x max_payload = "
                    f"{payloads * self.max_payload}: raise {name} or lower max_payload"
                )


@dataclass(frozen=True)
class Frame:
    """A frame, as either end sends it."""

    session: int
    """The session it belongs to, 1 to 65535; 0 is the board's before its first."""
    offset: int
    """Offset of the payload's first byte in the sender's stream, modulo `OFFSETS`; the next
    payload's, if there is none."""
    acknowledged: int
    """Offset of the byte of the other stream that the sender waits for, modulo `OFFSETS`."""
    window: int
    """Bytes from `acknowledged` on for which the sender has room."""
    payload: bytes = b""
    """Up to `MAX_PAYLOAD` bytes of the stream."""
    syn: bool = False
    """See `SYN`."""
    resend: bool = False
    """See `RESEND`."""


def stuff(data: bytes) -> bytes:
    """COBS of up to 253 bytes: each run between zeros behind its length + 1, the zeros left out."""
    return b"".join(bytes([len(run) + 1]) + run for run in data.split(b"\0"))


def unstuff(stuffed: bytes) -> bytes | None:
    """What `stuff` made these bytes of; None if they end within a run, or hold a zero."""
    if b"\0" in stuffed:
        return None
    runs = []
    while stuffed:
        code = stuffed[0]
        if code > len(stuffed):
            return None
        runs.append(stuffed[1:code])
        stuffed = stuffed[code:]
    return b"\0".join(runs)


def encode(frame: Frame) -> bytes:
    """The bytes of `frame` on the wire, the zero that ends it included.

    Raises `ValueError` for a payload longer than `MAX_PAYLOAD`.
    """
    if len(frame.payload) > MAX_PAYLOAD:
        raise ValueError(
            f"a payload of {len(frame.payload)} bytes exceeds the {MAX_PAYLOAD} of a frame"
        )
    flags = SYN * frame.syn | RESEND * frame.resend
    content = (
        _HEADER.pack(
            frame.session,
            flags,
            len(frame.payload),
            frame.offset,
            frame.acknowledged,
            frame.window,
        )
        + frame.payload
    )
    return stuff(content + _CRC.pack(zlib.crc32(content))) + b"\0"


def decode(stuffed: bytes) -> Frame | None:
    """The frame of these bytes, without the zero that ended them; None if they are damaged."""
    data = unstuff(stuffed)
    if data is None or len(data) < HEADER_BYTES + CRC_BYTES:
        return None
    content, check = data[:-CRC_BYTES], data[-CRC_BYTES:]
    session, flags, length, offset, acknowledged, window = _HEADER.unpack_from(content)
    payload = content[HEADER_BYTES:]
    if _CRC.pack(zlib.crc32(content)) != check or len(payload) != length:
        return None
    return Frame(
        session, offset, acknowledged, window, payload, bool(flags & SYN), bool(flags & RESEND)
    )
