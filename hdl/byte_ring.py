"""The link's two rings of bytes, addressed by the bytes' offsets in their streams.

A ring of `size` bytes, a power of two, holds the byte at offset o of a stream, modulo 2**16, at
address o mod `size`: an offset is sequence number and address at once.
"""

from amaranth import Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from golden_model.link import HEADER

OFFSET = HEADER["offset"]
"""Bits of an offset."""


class ReceiveRing(wiring.Component):
    """Bytes of frames on their way to `output`: kept if their frame proves good, else dropped.

    `put` writes `byte` behind those put since the last `commit` or `drop`, at most `room` of them;
    `commit` lets `output` have them, `drop` forgets them. `end` is the offset behind the last byte
    committed, `taken` that of the next byte of `output`. `clear` empties the ring in the next
    cycle, `output` included, and starts both offsets at 0. Throughput of `output` a byte every
    three cycles.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        super().__init__(
            {
                "clear": In(1),
                "put": In(1),
                "byte": In(8),
                "commit": In(1),
                "drop": In(1),
                "end": Out(OFFSET),
                "taken": Out(OFFSET),
                "room": Out(bits_for(size)),
                "output": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Three pointers: of what may be rolled back, of what is committed, of what is taken."""
        m = Module()
        m.submodules.bytes = ring = memory.Memory(shape=8, depth=self._size, init=[])
        write, read = ring.write_port(), ring.read_port()
        tentative = Signal(OFFSET)
        m.d.comb += [
            self.room.eq(self.taken + self._size - self.end),
            write.en.eq(self.put),
            write.addr.eq(tentative),
            write.data.eq(self.byte),
            read.addr.eq(self.taken),
        ]
        with m.If(self.put):
            m.d.sync += tentative.eq(tentative + 1)
        with m.If(self.commit):
            m.d.sync += self.end.eq(tentative)
        with m.If(self.drop):
            m.d.sync += tentative.eq(self.end)
        # The cycle after a byte is taken reads the next; a block memory is slow to answer.
        fetched = Signal()
        m.d.sync += self.output.payload.eq(read.data)
        with m.If(self.output.valid & self.output.ready):
            m.d.sync += [self.taken.eq(self.taken + 1), fetched.eq(0), self.output.valid.eq(0)]
        with m.Else():
            m.d.sync += [fetched.eq(self.taken != self.end), self.output.valid.eq(fetched)]
        with m.If(self.clear):
            m.d.sync += [
                tentative.eq(0), self.end.eq(0), self.taken.eq(0), fetched.eq(0),
                self.output.valid.eq(0),
            ]  # fmt: skip
        return m


class SendRing(wiring.Component):
    """Bytes of `input` until the other end has acknowledged them, to be sent as often as it takes.

    `sent` is the offset of the next byte to send, and `length` the bytes that a frame may take from
    there: 0 in the cycle after anything has moved `sent`. `advance` moves it by `length`.
    `acknowledge` frees the bytes before offset `acknowledged`, which must have been there for two
    cycles; an offset outside of what the ring holds is passed over. `go_back` moves `sent` to the
    first byte not acknowledged, that of an `acknowledge` in the same cycle. `data` is the byte at
    offset `address`, a cycle later. `arrived` is high when `input` has passed a byte. `clear`
    empties the ring and starts all offsets at 0. Throughput of `input` a byte every two cycles.
    """

    def __init__(self, size: int, max_payload: int) -> None:
        self._size, self._max_payload = size, max_payload
        super().__init__(
            {
                "clear": In(1),
                "input": In(stream.Signature(8)),
                "arrived": Out(1),
                "acknowledge": In(1),
                "acknowledged": In(OFFSET),
                "go_back": In(1),
                "advance": In(1),
                "sent": Out(OFFSET),
                "length": Out(range(max_payload + 1)),
                "address": In(OFFSET),
                "data": Out(8),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Three pointers: the first byte not acknowledged, the next to send, the next to come."""
        m = Module()
        m.submodules.bytes = ring = memory.Memory(shape=8, depth=self._size, init=[])
        write, read = ring.write_port(), ring.read_port()
        first = Signal(OFFSET)
        end = Signal(OFFSET)
        level = Signal(range(self._size + 1))
        pending = Signal(range(self._size + 1))
        freed = Signal(OFFSET)
        valid = Signal()
        returning = Signal()
        m.d.comb += [
            self.arrived.eq(self.input.valid & self.input.ready),
            write.en.eq(self.arrived),
            write.addr.eq(end),
            write.data.eq(self.input.payload),
            read.addr.eq(self.address),
            self.data.eq(read.data),
            level.eq(end - first),
            pending.eq(end - self.sent),
        ]
        m.d.sync += [
            self.input.ready.eq(~self.arrived & (level != self._size)),
            self.length.eq(Mux(pending > self._max_payload, self._max_payload, pending)),
            freed.eq(self.acknowledged - first),
            valid.eq(freed <= level),
            returning.eq(self.go_back),
        ]
        with m.If(self.arrived):
            m.d.sync += end.eq(end + 1)
        with m.If(self.acknowledge & valid):
            m.d.sync += first.eq(self.acknowledged)
        # What was sent before `sent` went back may be acknowledged only then.
        behind = (self.sent - first)[OFFSET - 1]
        with m.If(returning | behind):
            m.d.sync += [self.sent.eq(first), self.length.eq(0)]
        with m.Elif(self.advance):
            m.d.sync += [self.sent.eq(self.sent + self.length), self.length.eq(0)]
        with m.If(self.clear):
            m.d.sync += [
                first.eq(0), self.sent.eq(0), end.eq(0), self.length.eq(0), self.input.ready.eq(0),
                returning.eq(0),
            ]  # fmt: skip
        return m
