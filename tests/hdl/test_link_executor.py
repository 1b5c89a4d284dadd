"""The executor performs a host's commands as the commands' own module says, however all stall."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from amaranth import Elaboratable, Module, ResetInserter, Signal
from amaranth.lib import wiring

from golden_model.commands import (
    BOARD_REGISTERS,
    Error,
    Opcode,
    Tag,
    cell_bytes,
    decode,
    encode,
    field_bytes,
)
from golden_model.parameters import PRESETS
from golden_model.twin import TwinSpec
from hdl.answer_merger import AnswerMerger
from hdl.axi import DECERR, OKAY, SLVERR
from hdl.board_registers import board_registers
from hdl.link_executor import LinkExecutor
from hdl.lite_manager import LiteManager
from hdl.register_file import RegisterFile
from hdl.registers import RegisterMap
from hdl.twin import CrossbarTwin, cell_count
from tests.hdl.simulate import simulate

P = PRESETS["tiny"]
SPEC = TwinSpec(rows=4, columns=6, grid_rows=2, cells_per_cycle=2, states=300, fraction_bits=0)
MAPS = {0: RegisterMap.of(P), BOARD_REGISTERS: board_registers(SPEC)}
BEAT = P.stream_bytes


class Rig(Elaboratable):
    """An executor with two register files and a twin; the accelerator's streams are the test's."""

    def __init__(self):
        self.executor = LinkExecutor(P, SPEC)
        self.merger = AnswerMerger(BEAT)
        self.commands, self.answers = self.executor.commands, self.merger.output
        self.sent, self.received = self.executor.beats, self.merger.beats
        self.reset = Signal()

    def elaborate(self, platform):
        m = Module()
        accelerator, board = (RegisterFile(map_) for map_ in MAPS.values())
        manager = LiteManager(accelerator.map.address_bits, board.map.address_bits)
        twin = CrossbarTwin(SPEC)
        for part in (self.executor, self.merger, accelerator, board, manager, twin):
            m.submodules += ResetInserter(self.reset)(part)
        wiring.connect(m, self.executor.answers, self.merger.answers)
        wiring.connect(m, self.executor.access, manager.access)
        wiring.connect(m, self.executor.response, manager.response)
        wiring.connect(m, self.executor.request, twin.request)
        wiring.connect(m, self.executor.cells, twin.response)
        wiring.connect(m, manager.accelerator, accelerator.bus)
        wiring.connect(m, manager.board, board.bus)
        m.d.sync += board.cycles[0].eq(board.cycles[0] + 1)
        return m


@dataclass
class Host:
    """Random commands, what they are to be answered, and the beats that they are to send."""

    random: np.random.Generator
    commands: bytes = b""
    answers: list[bytes] = field(default_factory=list)
    beats: list[tuple[int, int]] = field(default_factory=list)
    words: dict[int, int] = field(default_factory=dict)
    cells: dict[int, int] = field(default_factory=dict)

    def access(self, write):
        """A setting, a constant, an address that has no register, or one beyond all of them."""
        base = int(self.random.choice(list(MAPS)))
        map_ = MAPS[base]
        name = str(self.random.choice(["SEED", "ID", "none", "beyond"]))
        if name in ("none", "beyond"):
            offset = BOARD_REGISTERS - 4 if name == "beyond" else (1 << map_.address_bits) - 4
            address, response, word = base + offset, DECERR if name == "beyond" else SLVERR, 0
        else:
            address, response = base + map_.address(name), OKAY
            word = self.words.get(address, map_[name].fields[0].reset)
        if not write:
            return address, response, word
        word = int(self.random.integers(1 << 32))
        self.commands += encode(Opcode.WRITE, address=address, word=word)
        if name == "SEED":
            self.words[address] = word
        else:
            self.error(Error.REFUSED, address)

    def error(self, error, detail):
        self.answers.append(encode(Tag.ERROR, error=error, detail=detail))

    def read(self):
        address, response, word = self.access(write=False)
        self.commands += encode(Opcode.READ, address=address)
        self.answers.append(encode(Tag.WORD, response=response, word=word))

    def wait(self):
        address, response, word = self.access(write=False)
        mask = int(self.random.integers(1 << 32))
        value = int(self.random.choice([word & mask, 1 << 7]))
        self.commands += encode(Opcode.WAIT, address=address, mask=mask, value=value, reads=3)
        self.answers.append(encode(Tag.WORD, response=response, word=word))

    def send(self):
        count, ends = int(self.random.integers(4)), bool(self.random.integers(2))
        data = self.random.bytes(count * BEAT)
        self.commands += encode(Opcode.SEND_LAST if ends else Opcode.SEND, count=count) + data
        for number in range(count):
            beat = int.from_bytes(data[number * BEAT : (number + 1) * BEAT], "little")
            self.beats.append((beat, int(ends and number == count - 1)))

    def range(self):
        cells = cell_count(SPEC)
        first = int(self.random.choice([self.random.integers(cells), cells - 2, 1 << 31]))
        return first, int(self.random.integers(5))

    def program(self):
        first, count = self.range()
        words = self.random.integers(SPEC.states, size=count).tolist()
        data = b"".join(word.to_bytes(cell_bytes(SPEC), "little") for word in words)
        self.commands += encode(Opcode.PROGRAM, cell=first, count=count) + data
        self.cells |= dict(zip(range(first, first + count), words, strict=True))
        self.miss(first, count)

    def read_cells(self):
        first, count = self.range()
        words = [
            self.cells.get(cell, SPEC.middle) if cell < cell_count(SPEC) else 0
            for cell in range(first, first + count)
        ]
        data = b"".join(word.to_bytes(cell_bytes(SPEC), "little") for word in words)
        self.commands += encode(Opcode.CELLS, cell=first, count=count)
        self.answers.append(encode(Tag.CELLS, count=count) + data)
        self.miss(first, count)

    def miss(self, first, count):
        if count and first + count > cell_count(SPEC):
            self.error(Error.CELL, max(first, cell_count(SPEC)))


def take_apart(data):
    """The answers of stream `data`, and the beats that came among them."""
    answers, beats, start = [], [], 0
    while start < len(data):
        tag = Tag(data[start])
        end = start + 1 + field_bytes(tag)
        if tag in (Tag.BEAT, Tag.LAST_BEAT):
            beat = data[end : end + BEAT]
            beats.append((int.from_bytes(beat, "little"), int(tag == Tag.LAST_BEAT)))
            start = end + BEAT
            continue
        if tag == Tag.CELLS:
            end += decode(tag, data[start + 1 : end])["count"] * cell_bytes(SPEC)
        answers.append(data[start:end])
        start = end
    return answers, beats


def offer(port, values, random, stall=0.0):
    """A testbench that transfers `values` into stream `port` with random pauses."""

    async def testbench(ctx):
        for value in values:
            while random.random() < stall:
                await ctx.tick()
            ctx.set(port.payload, value)
            ctx.set(port.valid, 1)
            await ctx.tick().until(port.ready)
            ctx.set(port.valid, 0)

    return testbench


def take(port, values, count, random, stall=0.0):
    """A testbench that appends `count` transfers of stream `port` to `values`, with pauses."""

    async def testbench(ctx):
        waited = 0
        while len(values) < count:
            while random.random() < stall:
                await ctx.tick()
            ctx.set(port.ready, 1)
            *_, valid, value = await ctx.tick().sample(port.valid, port.payload)
            ctx.set(port.ready, 0)
            waited = 0 if valid else waited + 1
            assert waited < 10_000, f"only {len(values)} of {count} came"
            if valid:
                values.append(value)

    return testbench


def exchange(host, incoming, seed=0, stall=0.0, pause=0.0):
    """Do all of `host` while beats `incoming` arrive; the bytes answered and the beats sent.

    Bytes and beats stall, and arriving beats pause, with these probabilities.
    """
    dut = Rig()
    answered, sent = [], []
    expected = sum(map(len, host.answers)) + len(incoming) * (1 + BEAT)
    random = [np.random.default_rng((seed, end)) for end in range(4)]
    beats = [{"data": value, "last": last} for value, last in incoming]
    simulate(
        dut,
        offer(dut.commands, host.commands, random[0], stall),
        offer(dut.received, beats, random[1], pause),
        take(dut.answers, answered, expected, random[2], stall),
        take(dut.sent, sent, len(host.beats), random[3], stall),
    )
    return bytes(answered), [(beat.data, beat.last) for beat in sent]


@pytest.mark.parametrize("seed", range(4))
def test_commands_are_performed_and_answered_in_order_while_packets_come(seed):
    random = np.random.default_rng(seed)
    host = Host(random)
    kinds = [lambda: host.access(write=True), host.read, host.wait, host.send, host.program,
             host.read_cells]  # fmt: skip
    for kind in random.choice(kinds, 60):
        kind()
    incoming = [
        (int.from_bytes(random.bytes(BEAT), "little"), int(random.integers(2))) for _ in range(20)
    ]
    data, sent = exchange(host, incoming, seed, stall=0.5, pause=0.95)
    answers, beats = take_apart(data)
    assert answers == host.answers
    assert beats == incoming
    assert sent == host.beats
    assert {Tag(answer[0]) for answer in answers} == {Tag.WORD, Tag.CELLS, Tag.ERROR}


def test_answers_and_packets_take_turns():
    host = Host(np.random.default_rng(0))
    for _ in range(8):
        host.commands += encode(Opcode.READ, address=MAPS[0].address("ID"))
        host.answers.append(encode(Tag.WORD, response=OKAY, word=MAPS[0]["ID"].fields[0].reset))
    incoming = [(number, 1) for number in range(200)]
    data, _ = exchange(host, incoming)
    answers, beats = take_apart(data)
    assert answers == host.answers
    assert beats == incoming
    assert data.rindex(host.answers[-1]) < len(data) // 4, "answers waited for all packets"


def test_wait_reads_a_register_until_its_bits_are_as_wanted():
    bit = 1 << 9
    address = BOARD_REGISTERS + MAPS[BOARD_REGISTERS].address("CYCLES")
    dut, answered, random = Rig(), [], np.random.default_rng(0)
    command = encode(Opcode.WAIT, address=address, mask=bit, value=bit, reads=1000)
    simulate(dut, offer(dut.commands, command, random), take(dut.answers, answered, 6, random))
    word = decode(Tag.WORD, bytes(answered[1:]))["word"]
    assert bit <= word < bit + 20


def test_after_an_unknown_opcode_nothing_is_done_until_reset():
    dut = Rig()
    address = BOARD_REGISTERS + MAPS[BOARD_REGISTERS].address("SEED")
    write = encode(Opcode.WRITE, address=address, word=7)
    read = encode(Opcode.READ, address=address)
    answered, random = [], np.random.default_rng(0)

    async def host(ctx):
        await offer(dut.commands, b"\x99" + write + read + bytes(300), random)(ctx)
        assert ctx.get(dut.executor.errors) == 1 << Error.OPCODE - 1
        await ctx.tick().repeat(50)
        assert bytes(answered) == encode(Tag.ERROR, error=Error.OPCODE, detail=0x99)
        ctx.set(dut.reset, 1)
        await ctx.tick()
        ctx.set(dut.reset, 0)
        answered.clear()
        assert ctx.get(dut.executor.errors) == 0
        await offer(dut.commands, read, random)(ctx)
        await ctx.tick().repeat(50)
        assert bytes(answered) == encode(Tag.WORD, response=OKAY, word=0)

    async def take_in(ctx):
        ctx.set(dut.answers.ready, 1)
        async for *_, valid, byte in ctx.tick().sample(dut.answers.valid, dut.answers.payload):
            if valid:
                answered.append(byte)

    simulate(dut, host, processes=[take_in])
