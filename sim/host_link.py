"""The host's end of the host link: a reliable byte stream both ways over a serial port.

The other end is `hdl.host_link`; frames are those of `golden_model.link`, and docs/link.md has the
rules. All timers are here: the board answers, and sends again only what it is asked for.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from golden_model.link import OFFSETS, Frame, LinkSpec, decode, encode

MAX_BACK_OFF = 8
"""Largest factor by which a wait without an answer is longer than the first one."""


class LinkError(RuntimeError):
    """The far end of a link does not answer, or is not what it should be."""


class Port(Protocol):
    """A serial port, by the names of pyserial."""

    timeout: float | None
    """Seconds after which `read` returns what it has."""

    @property
    def in_waiting(self) -> int:
        """Bytes that `read` would return at once."""
        ...

    def read(self, size: int = 1, /) -> bytes:
        """Up to `size` bytes, fewer if `timeout` passes first."""
        ...

    def write(self, data: bytes, /) -> int | None:
        """Send all of `data`."""
        ...


@dataclass
class LinkStatistics:
    """Frames of a link so far."""

    sent: int = 0
    """Frames sent, of any kind."""
    resent: int = 0
    """Frames sent whose payload begins with a byte sent before."""
    received: int = 0
    """Undamaged frames of the session received, those then discarded included."""
    discarded: Counter[str] = field(default_factory=Counter)
    """Frames discarded: `damaged`, of another `session`, `behind` what has come already, or beyond
    a `gap`."""


class HostLink:
    """The host's end: `write` and `read` are in order, complete, and each byte once.

    Parameters
    ----------
    port
        The serial port; its `timeout` is set. It stays its owner's to close.
    spec
        The board's link.
    timeout
        Seconds to wait for an answer at first: more than two frames and the port's latency take.
    retries
        Waits without an answer, each twice as long as the last up to `MAX_BACK_OFF` times the
        first, after which `LinkError` is raised.
    patience
        Seconds after which `LinkError` is raised if the board answers but takes and sends nothing.
    clock
        The time in seconds; of a simulated port, simulated.
    numbers
        Draws the numbers of sessions.
    """

    def __init__(
        self,
        port: Port,
        spec: LinkSpec,
        *,
        timeout: float = 0.1,
        retries: int = 8,
        patience: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        numbers: random.Random | None = None,
    ) -> None:
        port.timeout = timeout
        self.statistics = LinkStatistics()
        """Frames so far, of all sessions."""
        self._port, self._spec, self._clock = port, spec, clock
        self._timeout, self._retries, self._patience = timeout, retries, patience
        self._numbers = numbers or random.SystemRandom()
        self._is_open = False
        self._begin(0)

    def _begin(self, session: int) -> None:
        """Forget everything for a new session. Offsets count from its first byte, unlimited."""
        self._session = session
        self._partial = bytearray()  # of a frame that has not ended
        self._inbox = bytearray()  # received, not yet read
        self._received = 0
        self._outbox = bytearray()  # from `_acknowledged` on
        self._acknowledged = self._sent = self._farthest = self._limit = 0
        self._answer = False  # a frame is due even if there is nothing to send
        self._ask = False  # it says RESEND
        self._asked = False  # no in-order frame has come since one said so
        self._beyond = -1  # offset of the last payload that came instead

    def open(self) -> None:
        """Begin a new session: the board forgets everything, and what was not read yet is lost.

        Raises `LinkError` if nothing answers.
        """
        self._is_open = False
        wait = self._timeout
        for _ in range(self._retries):
            # A number of its own for each attempt: a late answer to the last one counts for
            # nothing. A board that happens to be in that very session answers from its middle.
            self._begin(self._numbers.randrange(1, 1 << 16))
            self._port.write(b"\0")
            self._send(b"", syn=True)
            deadline = self._clock() + wait
            while self._clock() < deadline:
                self._receive()
                if self._is_open:
                    return
            wait = min(2 * wait, MAX_BACK_OFF * self._timeout)
        raise LinkError(
            f"no board answered {self._retries} attempts to begin a session: check the port, its "
            "baud rate, and that the board holds a design with a host link"
        )

    def write(self, data: bytes) -> None:
        """Send `data`; returns when all of it is under way, perhaps before it has arrived.

        Meanwhile takes in what the board sends, however much. Raises `LinkError`.
        """
        self._require_open()
        self._outbox += data
        end = self._acknowledged + len(self._outbox)
        self._until(lambda: self._farthest >= end, "to take what is sent")

    def flush(self) -> None:
        """Wait until the board has all that was written. Raises `LinkError`."""
        self._require_open()
        self._until(lambda: not self._outbox, "to take what is sent")

    def read(self, count: int) -> bytes:
        """The next `count` bytes that the board sends, when all have come. Raises `LinkError`."""
        self._require_open()
        self._until(lambda: len(self._inbox) >= count, f"for {count} bytes")
        data = bytes(self._inbox[:count])
        del self._inbox[:count]
        return data

    def close(self) -> None:
        """End the session on this side, without waiting for anything: `flush` does that."""
        self._is_open = False

    def _require_open(self) -> None:
        if not self._is_open:
            raise LinkError("the link is not open: call open() first")

    def _until(self, done: Callable[[], bool], purpose: str) -> None:
        """Exchange frames until `done`, and ask again whenever nothing moves for too long."""
        wait, unanswered = self._timeout, 0
        moved = self._clock()
        deadline = moved + wait
        self._send_due()
        while not done():
            state = self._acknowledged, self._received, self._limit
            heard = self._receive()
            self._send_due()
            now = self._clock()
            if heard:
                unanswered = 0
            if state != (self._acknowledged, self._received, self._limit):
                wait, moved = self._timeout, now
                deadline = now + wait
            elif now - moved > self._patience:
                raise LinkError(
                    f"waited {self._patience:g} s {purpose}: the board answers, but what is behind "
                    "its link does not go on; reset it, or begin a new session with open()"
                )
            elif now >= deadline:
                if unanswered == self._retries:
                    raise LinkError(
                        f"the board stopped answering while waiting {purpose}: {unanswered} "
                        "retries; check that it is powered, and begin a new session with open()"
                    )
                unanswered += 1
                wait = min(2 * wait, MAX_BACK_OFF * self._timeout)
                deadline = now + wait
                self._port.write(b"\0")  # ends what noise on the line may have begun
                self._sent = self._acknowledged
                self._answer = self._ask = self._asked = True
                self._send_due()

    def _receive(self) -> bool:
        """Take in what the port has, or waits for; whether a frame of this session was in it."""
        before = self.statistics.received
        *frames, rest = self._port.read(max(1, self._port.in_waiting)).split(b"\0")
        for part in frames:
            stuffed = bytes(self._partial + part)
            self._partial.clear()
            if not stuffed:
                continue
            frame = decode(stuffed)
            if frame is None:
                self.statistics.discarded["damaged"] += 1
                self._ask_once()
            elif frame.session != self._session:
                self.statistics.discarded["session"] += 1
            else:
                self.statistics.received += 1
                self._take(frame)
        self._partial += rest
        return self.statistics.received > before

    def _take(self, frame: Frame) -> None:
        """An undamaged frame of this session."""
        if frame.syn and frame.offset == frame.acknowledged == 0:
            self._is_open = True
        if not self._is_open:
            return
        acknowledged = self._acknowledged + _difference(frame.acknowledged, self._acknowledged)
        if self._acknowledged <= acknowledged <= self._farthest:
            del self._outbox[: acknowledged - self._acknowledged]
            self._acknowledged = acknowledged
            self._sent = max(self._sent, acknowledged)
            self._limit = acknowledged + frame.window
        if frame.resend:
            self._sent = self._acknowledged
        ahead = _difference(frame.offset, self._received)
        if ahead == 0:
            self._inbox += frame.payload
            self._received += len(frame.payload)
            self._asked = False
            self._beyond = -1
            self._answer |= bool(frame.payload)
        elif ahead > 0:
            self.statistics.discarded["gap"] += 1
            if frame.payload:
                # Offsets that fall tell that the board went back, and the first frame is lost anew.
                self._asked &= self._received + ahead > self._beyond
                self._beyond = self._received + ahead
            self._ask_once()
        elif frame.payload:
            self.statistics.discarded["behind"] += 1
            self._answer = True

    def _ask_once(self) -> None:
        """Ask for what was lost, once: what is under way behind it is lost as well."""
        if self._is_open and not self._asked:
            self._answer = self._ask = self._asked = True

    def _send_due(self) -> None:
        """Send all that the window lets pass, and an answer if one is due."""
        while True:
            first = self._sent - self._acknowledged
            payload = bytes(self._outbox[first : first + self._spec.max_payload])
            # A frame waits until it fits whole: the board tells when half its ring is free.
            if not payload or self._sent + len(payload) > self._limit:
                break
            self._send(payload)
        if self._answer:
            self._send(b"")

    def _send(self, payload: bytes, syn: bool = False) -> None:
        frame = Frame(
            session=self._session,
            offset=self._sent % OFFSETS,
            acknowledged=self._received % OFFSETS,
            window=OFFSETS - 1,  # whatever comes is taken in
            payload=payload,
            syn=syn,
            resend=self._ask,
        )
        self._port.write(encode(frame))
        self.statistics.sent += 1
        self.statistics.resent += bool(payload) and self._sent < self._farthest
        self._sent += len(payload)
        self._farthest = max(self._farthest, self._sent)
        self._answer = self._ask = False


def _difference(offset: int, reference: int) -> int:
    """How far `offset`, modulo `OFFSETS`, is ahead of `reference`; negative if it is behind."""
    return (offset - reference + OFFSETS // 2) % OFFSETS - OFFSETS // 2
