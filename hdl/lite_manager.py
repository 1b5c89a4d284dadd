"""Accesses to the registers behind two AXI4-Lite ports, one after another."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden_model.commands import BOARD_REGISTERS
from hdl.axi import DATA_BITS, DECERR, lite_signature

ADDRESS_BITS = BOARD_REGISTERS.bit_length()

ACCESS = data.StructLayout({"write": 1, "address": ADDRESS_BITS, "word": DATA_BITS})
"""What to do with which register."""

RESPONSE = data.StructLayout({"code": 2, "word": DATA_BITS})
"""AXI's response, and the word that was read."""


class LiteManager(wiring.Component):
    """Performs each `access` on port `board` or, below `BOARD_REGISTERS`, on `accelerator`.

    Each is answered once on `response`, before the next is taken: a read of a register file in 5
    cycles, a write in 6. An address that a port's `accelerator_bits` or `board_bits` do not reach
    is answered DECERR and goes to no port.
    """

    def __init__(self, accelerator_bits: int, board_bits: int) -> None:
        self._bits = {"accelerator": accelerator_bits, "board": board_bits}
        super().__init__(
            {
                "access": In(stream.Signature(ACCESS)),
                "response": Out(stream.Signature(RESPONSE)),
                **{name: Out(lite_signature(bits)) for name, bits in self._bits.items()},
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Hold the access, issue it on the port that it belongs to, hold what came back."""
        m = Module()
        ports = (self.accelerator, self.board)
        access = Signal(ACCESS)
        chosen = access.address[-1]
        offset = access.address[:-1]
        beyond = Mux(chosen, *(offset >> bits != 0 for bits in reversed(self._bits.values())))
        address_waits, word_waits = Signal(), Signal()
        m.d.comb += self.response.payload.eq(answer := Signal(RESPONSE))
        for number, port in enumerate(ports):
            selected = chosen == number
            m.d.comb += [
                port.awaddr.eq(offset),
                port.araddr.eq(offset),
                port.wdata.eq(access.word),
                port.wstrb.eq(~0),
                port.awvalid.eq(address_waits & access.write & selected),
                port.arvalid.eq(address_waits & ~access.write & selected),
                port.wvalid.eq(word_waits & selected),
            ]
            with m.If(selected & Mux(access.write, port.awready, port.arready)):
                m.d.sync += address_waits.eq(0)
            with m.If(selected & port.wready):
                m.d.sync += word_waits.eq(0)

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.access.ready.eq(1)
                m.d.sync += access.eq(self.access.payload)
                with m.If(self.access.valid):
                    m.next = "CHOOSE"
            with m.State("CHOOSE"):
                with m.If(beyond):
                    m.d.sync += [answer.code.eq(DECERR), answer.word.eq(0)]
                    m.next = "RESPOND"
                with m.Else():
                    m.d.sync += [address_waits.eq(1), word_waits.eq(access.write)]
                    m.next = "ISSUE"
            with m.State("ISSUE"):
                for port in ports:
                    m.d.comb += [port.bready.eq(1), port.rready.eq(1)]
                    with m.If(port.bvalid):
                        m.d.sync += [answer.code.eq(port.bresp), answer.word.eq(0)]
                        m.next = "RESPOND"
                    with m.If(port.rvalid):
                        m.d.sync += [answer.code.eq(port.rresp), answer.word.eq(port.rdata)]
                        m.next = "RESPOND"
            with m.State("RESPOND"):
                m.d.comb += self.response.valid.eq(1)
                with m.If(self.response.ready):
                    m.next = "IDLE"
        return m
