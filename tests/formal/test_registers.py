"""Proofs of the registers' AXI4-Lite port: every request is answered once."""

import pytest
from amaranth import Cat, ResetSignal, Signal
from amaranth.hdl import Assert, Cover

from golden_model.parameters import Parameters
from hdl import register_file
from hdl.axi import OKAY, SLVERR
from hdl.register_file import RegisterFile
from hdl.registers import RegisterMap
from tests.formal.prove import Status, mutant, past, prove

PARAMETERS = Parameters(width=8, lanes=2, columns=1, max_rank=1, max_m=2, max_n=2, max_block=1,
                        buffer_rows=4, tile_rows=2, tile_columns=2, max_slots=2,
                        adcs=2)  # fmt: skip
MAP = RegisterMap.of(PARAMETERS)


def outstanding(m, request, answer):
    """Requests taken and not yet answered."""
    count = Signal(3)
    m.d.sync += count.eq(count + request - answer)
    return count


def every_request_is_answered_once(m, dut, inside):
    """Whatever the manager does: a write for each address and data, a read for each address.

    Responses follow requests, each at the latest in the second cycle in which it could be taken,
    and are held until they are taken. A write that is answered with an error changes no register.
    """
    bus = dut.bus
    answer = bus.bvalid & bus.bready
    addresses = outstanding(m, bus.awvalid & bus.awready, answer)
    words = outstanding(m, bus.wvalid & bus.wready, answer)
    reads = outstanding(m, bus.arvalid & bus.arready, bus.rvalid & bus.rready)
    m.d.comb += [
        Assert(addresses == inside.have_address + bus.bvalid, "no answer without an address"),
        Assert(words == inside.have_data + bus.bvalid, "no answer without data"),
        Assert(reads == bus.rvalid, "a read is answered in the next cycle, and once"),
    ]
    # Nobody waits for ever: what is there is answered as soon as the last answer is gone.
    both = (addresses > bus.bvalid) & (words > bus.bvalid) & (~bus.bvalid | bus.bready)
    m.d.comb += [
        Assert(~past(m, both & ~ResetSignal()) | bus.bvalid, "a write is answered at once"),
        Assert(bus.awready | (addresses > bus.bvalid), "an address waits for its data only"),
        Assert(bus.wready | (words > bus.bvalid), "data wait for their address only"),
    ]
    for valid, ready, payload in (
        (bus.bvalid, bus.bready, bus.bresp),
        (bus.rvalid, bus.rready, Cat(bus.rdata, bus.rresp)),
    ):
        waited = past(m, valid & ~ready & ~ResetSignal())
        m.d.comb += [
            Assert(~waited | valid, "an answer is held"),
            Assert(~waited | (payload == past(m, payload)), "an answer is stable"),
        ]
    m.d.comb += [
        Assert(~bus.bvalid | (bus.bresp == OKAY) | (bus.bresp == SLVERR)),
        Assert(~bus.rvalid | (bus.rresp == OKAY) | (bus.rresp == SLVERR)),
        Assert(~dut.bad_write | (inside.have_address & inside.have_data)),
    ]
    settings = Cat(dut.m, dut.n, dut.k, dut.block, dut.blocks, dut.last, dut.seed)
    m.d.comb += Assert(
        ~past(m, dut.busy & ~ResetSignal()) | (settings == past(m, settings)),
        "settings rest while busy",
    )
    m.d.comb += Cover(past(m, bus.bvalid & ~bus.bready) & ~bus.awready & bus.rvalid)


def test_every_request_is_answered_once():
    outcome = prove(RegisterFile(MAP), every_request_is_answered_once, method="induction", depth=3)
    assert outcome.proved


@pytest.mark.nightly
def test_requests_can_wait_behind_answers():
    outcome = prove(RegisterFile(MAP), every_request_is_answered_once, method="reach", depth=10)
    assert outcome.proved


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("have_address & have_data & (~bus.bvalid | bus.bready)", "have_address & have_data"),
        ("have_address.eq(0), have_data.eq(0), bus.bvalid", "have_address.eq(0), bus.bvalid"),
        ("~self.busy if register.locked else 1", "1"),
        ("bus.arready.eq(~bus.rvalid | bus.rready)", "bus.arready.eq(1)"),
    ],
)
def test_a_broken_port_is_refuted(old, new):
    broken = mutant(register_file, old, new)
    outcome = prove(
        broken.RegisterFile(MAP), every_request_is_answered_once, method="induction", depth=6
    )
    assert outcome.status is Status.REFUTED
