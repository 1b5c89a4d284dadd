"""The harness of a board, against a board in Python that does as commands' own module says."""

from collections import defaultdict

import numpy as np
import pytest

from golden_model.commands import (
    BOARD_REGISTERS,
    PROTOCOL,
    Error,
    Opcode,
    Tag,
    cell_bytes,
    decode,
    encode,
    field_bytes,
)
from golden_model.parameters import PRESETS
from hdl.board_registers import board_registers
from hdl.system import twin_spec
from sim.board import BoardHarness
from sim.command_stream import BoardError
from sim.host_link import LinkStatistics

P = PRESETS["tiny"]
SPEC = twin_spec(P, (3, 2), 300)
MAP = board_registers(SPEC)
CELLS = SPEC.tiles * SPEC.rows * SPEC.columns


class Board:
    """The board, and the link to it: answers lie ready as soon as a command has been written."""

    def __init__(self):
        self.words = defaultdict(int)
        for register in MAP.registers:
            self.words[BOARD_REGISTERS + register.address] = register.fields[0].reset
        self.words[BOARD_REGISTERS + MAP.address("STATUS")] = 1
        self.cells = np.full(CELLS, SPEC.middle)
        self.sent = bytearray()
        self.journeys = 0
        self.commands = []
        self.answers = bytearray()
        self.statistics = LinkStatistics()

    def open(self):
        self.answers.clear()

    def close(self):
        self.open()

    def read(self, count):
        assert len(self.answers) >= count, "nothing more will come"
        data = bytes(self.answers[:count])
        del self.answers[:count]
        return data

    def write(self, data):
        self.journeys += 1
        while data:
            opcode, data = Opcode(data[0]), data[1:]
            fields = decode(opcode, data)
            data = self.perform(opcode, fields, data[field_bytes(opcode) :])
            self.commands.append(opcode)

    def perform(self, opcode, fields, data):
        match opcode:
            case Opcode.WRITE:
                if fields["address"] == 0x10:
                    self.answer(Tag.ERROR, error=Error.REFUSED, detail=0x10)
                self.words[fields["address"]] = fields["word"]
            case Opcode.READ | Opcode.WAIT:
                self.answer(Tag.WORD, response=0, word=self.words[fields["address"]])
            case Opcode.SEND | Opcode.SEND_LAST:
                size = fields["count"] * P.stream_bytes
                self.sent += data[:size]
                return data[size:]
            case Opcode.PROGRAM:
                size = fields["count"] * cell_bytes(SPEC)
                words = np.frombuffer(data[:size], "<u2")
                self.cells[fields["cell"] : fields["cell"] + len(words)] = words
                return data[size:]
            case Opcode.CELLS:
                words = self.cells[fields["cell"] : fields["cell"] + fields["count"]]
                self.answer(Tag.CELLS, count=len(words))
                self.answers += words.astype("<u2").tobytes()
        return data

    def answer(self, tag, **fields):
        self.answers += encode(tag, **fields)


@pytest.fixture
def board():
    return Board()


def test_cells_are_programmed_and_read_whatever_their_order(board):
    random = np.random.default_rng(0)
    harness = BoardHarness(board, P, SPEC)
    expected = board.cells.copy()
    for _ in range(20):
        cells = random.permutation(CELLS)[: random.integers(1, CELLS)].astype(np.uint32)
        words = random.integers(0, SPEC.states, cells.size).astype(np.uint32)
        harness.program(cells, words)
        expected[cells] = words
        assert np.array_equal(harness.cells(cells), words)
        square = random.permutation(CELLS)[:12].reshape(3, 4).astype(np.uint32)
        assert np.array_equal(harness.cells(square), expected[square])


def test_what_needs_no_answer_shares_a_journey(board):
    harness = BoardHarness(board, P, SPEC)
    before = board.journeys
    for address in range(0x100, 0x140, 4):
        harness.write(address, address)
    harness.converters(5, 2)
    harness.poll(0x100, 0xFFF, 0x100)
    assert board.journeys == before
    assert harness.read([0x104, 0x108]) == [0x104, 0x108]
    assert board.journeys == before + 1


def test_packets_come_back_whole_among_other_answers(board):
    harness = BoardHarness(board, P, SPEC)
    packets = [bytes(range(2 * P.stream_bytes)), bytes(P.stream_bytes)]
    beats = [bytes([number] * P.stream_bytes) for number in range(4)]
    harness.poll(0x100, 0xFF, 0)
    for beat, tag in zip(beats, [Tag.BEAT, Tag.LAST_BEAT] * 2, strict=True):
        board.answers += encode(tag) + beat
    assert harness.exchange(packets, 2, 2 * P.stream_bytes) == b"".join(beats)
    assert board.sent == b"".join(packets)
    assert board.commands[-2:] == [Opcode.SEND_LAST] * 2


@pytest.mark.parametrize(
    ("tags", "message"),
    [((Tag.LAST_BEAT, Tag.LAST_BEAT), "ended early"), ((Tag.BEAT, Tag.BEAT), "did not end")],
)
def test_a_packet_of_another_length_is_an_error(board, tags, message):
    harness = BoardHarness(board, P, SPEC)
    for tag in tags:
        board.answers += encode(tag) + bytes(P.stream_bytes)
    with pytest.raises(BoardError, match=message):
        harness.exchange([], 1, 2 * P.stream_bytes)


def test_a_refused_word_is_told_with_the_next_answer(board):
    harness = BoardHarness(board, P, SPEC)
    harness.write(0x10, 1)
    with pytest.raises(BoardError, match="register 0x0010 did not take a word"):
        harness.read([0x14])


def test_a_poll_in_vain_is_told_with_the_next_answer(board):
    harness = BoardHarness(board, P, SPEC)
    harness.poll(0x100, 1, 1)
    with pytest.raises(BoardError, match="0x0100 did not become 0x1"):
        harness.read([0x14])


def test_a_counter_that_carries_while_it_is_read_is_read_again(board):
    harness = BoardHarness(board, P, SPEC)
    high = BOARD_REGISTERS + MAP.address("CYCLES", 1)
    words = iter([(6, 0xFFFFFFFF, 7), (7, 5, 7)])

    def read(addresses):
        assert addresses[0] == addresses[2] == high
        return list(next(words))

    harness.read = read
    assert harness.cycles == (7 << 32) + 5


def test_faults_are_named(board):
    harness = BoardHarness(board, P, SPEC)
    assert harness.faults == []
    board.words[BOARD_REGISTERS + MAP.address("FAULTS")] = 0b1001
    assert harness.faults == ["overflow", "read_fault"]


@pytest.mark.parametrize(
    ("register", "word", "message"),
    [
        ("ID", 7, "not an Eigenbar board"),
        ("PROTOCOL", PROTOCOL + 1, f"version {PROTOCOL + 1}, not {PROTOCOL}: build"),
        ("LAW", 1, "law = 1, but 0 is needed"),
        ("STATES", 256, "states = 256, but 300 is needed"),
        ("GRID_ROWS", 2, "grid_rows = 2, but at least 3 is needed"),
    ],
)
def test_a_board_that_does_not_fit_is_refused(board, register, word, message):
    board.words[BOARD_REGISTERS + MAP.address(register)] = word
    with pytest.raises(BoardError, match=message):
        BoardHarness(board, P, SPEC)


def test_a_board_with_more_tiles_does(board):
    board.words[BOARD_REGISTERS + MAP.address("GRID_COLUMNS")] = 5
    assert BoardHarness(board, P, SPEC).spec.grid_columns == 5


def test_an_answer_that_is_none_is_an_error(board):
    harness = BoardHarness(board, P, SPEC)
    board.answers += b"\x00"
    with pytest.raises(BoardError, match="0x00, which begins no answer"):
        harness.read([0x14])
