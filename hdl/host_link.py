"""The board's end of the host link: two reliable byte streams over the pins of a UART.

The host's end is `sim.host_link`, the frames are those of `golden_model.link`; docs/link.md has the
rules. Received bytes pass, in this order, through

    UartReceiver -> CobsDecoder -> FrameReceiver -> ReceiveRing -> received

and bytes to send through

    to_send -> SendRing -> FrameSender -> CobsEncoder -> UartTransmitter
"""

from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden_model.link import LinkSpec
from hdl.byte_ring import ReceiveRing, SendRing
from hdl.cobs import CobsDecoder, CobsEncoder
from hdl.frame_receiver import FrameReceiver
from hdl.frame_sender import FrameSender
from hdl.uart import UartReceiver, UartTransmitter


class HostLink(wiring.Component):
    """Bytes from and to the host: in order, complete, each once, whatever the line does to them.

    `rx` and `tx` are the pins of the UART. `restart` is high for a cycle when the host begins a
    new session: whatever is behind the link must forget everything. A byte that passes in that
    cycle is the last of the old session, and lost; after it both streams begin anew, so that
    `received` may fall without having been ready. Throughput of the streams a byte every two
    cycles, more than the line's.
    """

    def __init__(self, spec: LinkSpec) -> None:
        self._spec = spec
        super().__init__(
            {
                "rx": In(1, init=1),
                "tx": Out(1, init=1),
                "received": Out(stream.Signature(8)),
                "to_send": In(stream.Signature(8)),
                "restart": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The two chains, and what the receiver has to tell the sender."""
        m = Module()
        spec = self._spec
        m.submodules.uart_receiver = uart_receiver = UartReceiver(spec.clocks_per_bit)
        m.submodules.decoder = decoder = CobsDecoder()
        m.submodules.receiver = receiver = FrameReceiver(spec.receive_bytes)
        m.submodules.receive_ring = receive_ring = ReceiveRing(spec.receive_bytes)
        m.submodules.send_ring = send_ring = SendRing(spec.send_bytes, spec.max_payload)
        m.submodules.sender = sender = FrameSender(spec)
        m.submodules.encoder = encoder = CobsEncoder()
        m.submodules.uart_transmitter = uart_transmitter = UartTransmitter(spec.clocks_per_bit)
        wiring.connect(m, uart_receiver.output, decoder.input)
        wiring.connect(m, decoder.output, receiver.input)
        wiring.connect(m, sender.output, encoder.input)
        wiring.connect(m, encoder.output, uart_transmitter.input)
        wiring.connect(m, wiring.flipped(self.received), receive_ring.output)
        wiring.connect(m, wiring.flipped(self.to_send), send_ring.input)
        m.d.comb += [
            uart_receiver.rx.eq(self.rx),
            self.tx.eq(uart_transmitter.tx),
            self.restart.eq(receiver.restart),
            decoder.lost.eq(uart_receiver.error),
            receiver.end.eq(decoder.end),
            receiver.whole.eq(decoder.whole),
            receiver.expected.eq(receive_ring.end),
            receiver.room.eq(receive_ring.room),
            receive_ring.put.eq(receiver.put),
            receive_ring.byte.eq(receiver.byte),
            receive_ring.commit.eq(receiver.commit),
            receive_ring.drop.eq(receiver.drop),
            receive_ring.clear.eq(receiver.restart),
            send_ring.acknowledge.eq(receiver.acknowledge),
            send_ring.acknowledged.eq(receiver.acknowledged),
            send_ring.go_back.eq(receiver.go_back),
            send_ring.clear.eq(receiver.restart),
            send_ring.advance.eq(sender.advance),
            send_ring.address.eq(sender.address),
            sender.clear.eq(receiver.restart),
            sender.answer.eq(receiver.answer),
            sender.syn.eq(receiver.syn),
            sender.ask.eq(receiver.ask),
            sender.session.eq(receiver.session),
            sender.expected.eq(receive_ring.end),
            sender.taken.eq(receive_ring.taken),
            sender.window.eq(receive_ring.room),
            sender.arrived.eq(send_ring.arrived),
            sender.sent.eq(send_ring.sent),
            sender.length.eq(send_ring.length),
            sender.data.eq(send_ring.data),
        ]
        return m
