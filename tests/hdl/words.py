"""A memory and nothing else, for what is shown of memories."""

from amaranth import Module
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out


class Words(wiring.Component):
    """`depth` words of `width` bits, an address for each of the two ports."""

    def __init__(self, width, depth):
        self._width, self._depth = width, depth
        super().__init__(
            {
                "write": In(1),
                "address": In(range(depth)),
                "data": In(width),
                "place": In(range(depth)),
                "word": Out(width),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.words = words = memory.Memory(shape=self._width, depth=self._depth, init=[])
        read, write = words.read_port(), words.write_port()
        m.d.comb += [
            write.en.eq(self.write),
            write.addr.eq(self.address),
            write.data.eq(self.data),
            read.addr.eq(self.place),
            self.word.eq(read.data),
        ]
        return m
