"""AXI4-Lite and AXI4-Stream as signatures, and as ports with their customary flat names."""

from amaranth import Module, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Member, Out

DATA_BITS = 32
OKAY = 0b00
SLVERR = 0b10
DECERR = 0b11


def lite_signature(address_bits: int) -> wiring.Signature:
    """AXI4-Lite with 32-bit data, seen from the manager."""
    return wiring.Signature(
        {
            "awaddr": Out(address_bits),
            "awprot": Out(3),
            "awvalid": Out(1),
            "awready": In(1),
            "wdata": Out(DATA_BITS),
            "wstrb": Out(DATA_BITS // 8),
            "wvalid": Out(1),
            "wready": In(1),
            "bresp": In(2),
            "bvalid": In(1),
            "bready": Out(1),
            "araddr": Out(address_bits),
            "arprot": Out(3),
            "arvalid": Out(1),
            "arready": In(1),
            "rdata": In(DATA_BITS),
            "rresp": In(2),
            "rvalid": In(1),
            "rready": Out(1),
        }
    )


def stream_signature(data_bytes: int) -> wiring.Signature:
    """AXI4-Stream with TDATA and TLAST, seen from the transmitter."""
    return wiring.Signature(
        {
            "tdata": Out(unsigned(8 * data_bytes)),
            "tlast": Out(1),
            "tvalid": Out(1),
            "tready": In(1),
        }
    )


def flat_members(prefix: str, signature: wiring.Signature) -> dict[str, Member]:
    """The members of `signature` as ports named PREFIX_member."""
    return {f"{prefix}_{name}": member for name, member in signature.members.items()}


def connect_flat(
    m: Module, component: wiring.Component, prefix: str, interface: wiring.PureInterface
) -> None:
    """Connect `component`'s ports PREFIX_… to an `interface` inside it of the same signature."""
    for name, member in interface.signature.members.items():
        port, inner = getattr(component, f"{prefix}_{name}"), getattr(interface, name)
        m.d.comb += inner.eq(port) if member.flow == In else port.eq(inner)
