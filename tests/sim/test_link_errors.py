"""What the host's end of the link says when the far end is not there, or not what it should be."""

import itertools

import pytest

from golden_model.link import Frame, LinkSpec, decode, encode
from sim.host_link import MAX_BACK_OFF, HostLink, LinkError

SPEC = LinkSpec()
TIMEOUT = 0.5
RETRIES = 5


class Far:
    """A port in its own time, where `answer(frame)` is what the far end says to each frame."""

    def __init__(self, answer):
        self._answer = answer
        self._incoming = bytearray()
        self.timeout = None
        self.seconds = 0.0
        self.frames, self.times = [], []

    def clock(self):
        return self.seconds

    def write(self, data):
        for stuffed in filter(None, data.split(b"\0")):
            self.frames.append(decode(stuffed))
            self.times.append(self.seconds)
            self._incoming += self._answer(self.frames[-1])

    @property
    def in_waiting(self):
        return len(self._incoming)

    def read(self, size=1):
        data = bytes(self._incoming[:size])
        del self._incoming[:size]
        self.seconds += 0.001 if len(data) == size else self.timeout
        return data


def linked(answer, **settings):
    far = Far(answer)
    settings = {"timeout": TIMEOUT, "retries": RETRIES, **settings}
    return far, HostLink(far, SPEC, clock=far.clock, **settings)


def welcome(frame, window=2048):
    """The answer to the frame that begins a session."""
    return encode(Frame(frame.session, 0, 0, window, syn=True))


def test_a_silent_port_is_an_error_after_ever_longer_waits():
    far, link = linked(lambda frame: b"")
    with pytest.raises(LinkError, match=r"no board answered 5 attempts .* check the port"):
        link.open()
    waits = [later - earlier for earlier, later in itertools.pairwise(far.times)]
    assert waits == [TIMEOUT, 2 * TIMEOUT, 4 * TIMEOUT, MAX_BACK_OFF * TIMEOUT]
    assert all(frame.syn and frame.session for frame in far.frames)
    assert len({frame.session for frame in far.frames}) == RETRIES


def test_a_port_that_talks_of_something_else_is_an_error():
    _, link = linked(lambda frame: b"login: \0" * 500)
    with pytest.raises(LinkError, match="no board answered"):
        link.open()
    assert link.statistics.discarded["damaged"] > 0


def test_an_answer_from_another_session_or_from_the_middle_of_one_begins_none():
    sessions = itertools.count(1)

    def answer(frame):
        number = next(sessions)
        middle = Frame(frame.session, offset=9, acknowledged=0, window=9, syn=True)
        stale = Frame(frame.session % 65535 + 1, 0, 0, 9, syn=True)
        return {1: encode(middle), 2: encode(stale)}.get(number, welcome(frame))

    far, link = linked(answer)
    link.open()
    assert len(far.frames) == 3


def test_a_board_that_stops_answering_is_an_error_after_ever_longer_waits():
    far, link = linked(lambda frame: welcome(frame) if frame.syn else b"")
    link.open()
    with pytest.raises(LinkError, match=r"stopped answering while waiting .*: 5 retries"):
        link.read(1)
    waits = [later - earlier for earlier, later in itertools.pairwise(far.times)]
    assert [round(wait / TIMEOUT) for wait in waits[1:]] == [2, 4, 8, 8]
    assert all(frame.resend for frame in far.frames[1:])


def test_a_board_that_answers_but_does_not_go_on_is_an_error():
    def answer(frame):
        return welcome(frame, 0) if frame.syn else encode(Frame(frame.session, 0, 0, 0))

    far, link = linked(answer, patience=100.0)
    link.open()
    with pytest.raises(LinkError, match="the board answers, but what is behind its link"):
        link.write(b"a")
    assert far.seconds > 100


def test_nothing_is_sent_beyond_the_window():
    far, link = linked(lambda frame: welcome(frame, 500) if frame.syn else b"")
    link.open()
    with pytest.raises(LinkError, match="stopped answering"):
        link.write(bytes(1000))
    payloads = [frame.payload for frame in far.frames if frame.payload]
    assert len(payloads) == 2 * (1 + RETRIES), "two whole frames, and again at each retry"
    assert link.statistics.resent == 2 * RETRIES


def test_what_is_lost_is_asked_for_once():
    def answer(frame):
        session = frame.session
        if frame.syn:
            return welcome(frame) + b"".join(
                encode(Frame(session, offset, 0, 2048, b"abc")) for offset in (3, 6, 9)
            )
        return b"".join(encode(Frame(session, 3 * n, 0, 2048, b"abc")) for n in range(4))

    far, link = linked(answer)
    link.open()
    assert link.read(12) == b"abc" * 4
    assert [frame.resend for frame in far.frames].count(True) == 1
    assert link.statistics.discarded == {"gap": 3}
    assert far.frames[1].acknowledged == 0


def test_what_is_lost_again_is_asked_for_again_without_a_wait():
    answers = iter([(3, 6), (3, 6), (0, 3, 6)])

    def answer(frame):
        begin = welcome(frame) if frame.syn else b""
        if not frame.syn and not frame.resend:
            return b""
        return begin + b"".join(
            encode(Frame(frame.session, offset, 0, 2048, b"abc")) for offset in next(answers)
        )

    far, link = linked(answer)
    link.open()
    assert link.read(9) == b"abc" * 3
    assert [frame.resend for frame in far.frames].count(True) == 2
    assert far.seconds < TIMEOUT


@pytest.mark.parametrize(
    "use", [lambda link: link.read(1), lambda link: link.write(b"a"), lambda link: link.flush()]
)
def test_a_link_must_be_open(use):
    _, link = linked(welcome)
    with pytest.raises(LinkError, match="not open"):
        use(link)
    link.open()
    link.close()
    with pytest.raises(LinkError, match="not open"):
        use(link)
