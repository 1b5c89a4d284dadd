"""The registers behind their AXI4-Lite port."""

from collections import defaultdict
from functools import reduce
from operator import or_

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Member, Out

from hdl.axi import DATA_BITS, OKAY, SLVERR, lite_signature
from hdl.registers import Field, Kind, Register, RegisterMap

_BANK_BITS = 4
"""Bits of a register's place in its bank: what a read selects in one clock cycle."""


def _ports(register: Register, field: Field) -> dict[str, Member]:
    """The hardware side of a field; an array register's ports are arrays."""
    shape = data.ArrayLayout(field.width, register.count) if register.count else field.width
    name = register.port(field)
    value = Out(shape, init=[field.reset] * register.count if register.count else field.reset)
    match field.kind:
        case Kind.CONSTANT:
            return {}
        case Kind.STATUS:
            return {name: In(shape)}
        case Kind.SETTING | Kind.PULSE:
            return {name: value}
        case Kind.STATE:
            return {name: value, f"{name}_next": In(shape), f"{name}_write": In(1)}
        case Kind.STICKY:
            return {name: value, f"{name}_set": In(shape)}


class RegisterFile(wiring.Component):
    """The registers of a `RegisterMap`, on an AXI4-Lite subordinate port.

    Ports follow from the declaration, named REGISTER_field in lower case (REGISTER alone for a
    field called value): an input for a read-only field, an output for a setting, a one-cycle
    output for a pulse, `…_set` inputs beside the output of a sticky bit, `…_next` and `…_write`
    beside that of a field that hardware writes back.

    Every request is answered once: a write in the third cycle after its address and its data were
    taken, a read in the third cycle after its address. A write changes registers in the cycle of
    its answer; writes may follow each other every other cycle. A write to a read-only or unmapped
    address, or to a locked register while `busy`, changes nothing, is answered SLVERR and pulses
    `bad_write`; a read of an unmapped address is answered SLVERR with zero.
    """

    def __init__(self, map_: RegisterMap) -> None:
        self.map = map_
        ports: dict[str, Member] = {}
        for register in self.map.registers:
            for field in register.fields:
                ports |= _ports(register, field)
        super().__init__(
            {
                "bus": In(lite_signature(self.map.address_bits)),
                "busy": In(1),
                "bad_write": Out(1),
                **ports,
            }
        )

    def elaborate(self, platform: object) -> Module:
        """One transaction of each direction at a time."""
        m = Module()
        bus = self.bus
        word_bits = self.map.address_bits - 2

        # Writes: hold address and data until both are there and the last answer is gone; whether a
        # write is allowed is found in the cycle before it.
        have_address = Signal()
        have_data = Signal()
        found = Signal()
        allowed = Signal()
        address, payload, strobe = Signal(word_bits), Signal(DATA_BITS), Signal(DATA_BITS // 8)
        write = Signal()
        accepted = Signal()
        m.d.comb += [
            bus.awready.eq(~have_address | write),
            bus.wready.eq(~have_data | write),
            write.eq(found & (~bus.bvalid | bus.bready)),
            accepted.eq(write & allowed),
            self.bad_write.eq(write & ~allowed),
        ]
        m.d.sync += [found.eq(have_address & have_data & ~write), allowed.eq(0)]
        with m.Switch(address):
            for register in self.map.registers:
                if register.writable:
                    with m.Case(*(place >> 2 for place in register.addresses())):
                        m.d.sync += allowed.eq(~self.busy if register.locked else 1)
        with m.If(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(write):
            m.d.sync += [have_address.eq(0), have_data.eq(0), bus.bvalid.eq(1)]
            m.d.sync += bus.bresp.eq(Mux(allowed, OKAY, SLVERR))
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [have_address.eq(1), address.eq(bus.awaddr[2:])]
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += [have_data.eq(1), payload.eq(bus.wdata), strobe.eq(bus.wstrb)]
        mask = Cat(bit.replicate(8) for bit in strobe)
        for register in self.map.registers:
            for index, offset in enumerate(register.addresses()):
                selected = accepted & (address == offset >> 2)
                for field in register.fields:
                    self._update(m, register, field, index, selected, payload, mask)

        # Reads: the address, the word of each bank at its place, the bank's word, a register each.
        asked = Signal()
        fetched = Signal()
        read_address = Signal(word_bits)
        place, bank = read_address[:_BANK_BITS], Signal(max(1, word_bits - _BANK_BITS))
        m.d.comb += bus.arready.eq(~asked & ~fetched & (~bus.rvalid | bus.rready))
        m.d.sync += [
            asked.eq(bus.arvalid & bus.arready),
            fetched.eq(asked),
            read_address.eq(bus.araddr[2:]),
            bank.eq(read_address[_BANK_BITS:]),
        ]
        with m.If(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        with m.If(fetched):
            m.d.sync += [bus.rvalid.eq(1), bus.rdata.eq(0), bus.rresp.eq(SLVERR)]
        words: dict[int, dict[int, Value]] = defaultdict(dict)
        for register in self.map.registers:
            for index, offset in enumerate(register.addresses()):
                number, low = divmod(offset >> 2, 1 << _BANK_BITS)
                words[number][low] = self._read(register, index)
        for number, places in words.items():
            word, mapped = Signal(DATA_BITS, name=f"word_{number}"), Signal(name=f"mapped_{number}")
            m.d.sync += [word.eq(0), mapped.eq(0)]
            with m.Switch(place):
                for low, value in places.items():
                    with m.Case(low):
                        m.d.sync += [word.eq(value), mapped.eq(1)]
            with m.If(fetched & (bank == number)):
                m.d.sync += [bus.rdata.eq(word), bus.rresp.eq(Mux(mapped, OKAY, SLVERR))]
        return m

    def _port(self, register: Register, field: Field, index: int, suffix: str = "") -> Value:
        port = getattr(self, register.port(field) + suffix)
        return port[index] if register.count else port

    def _read(self, register: Register, index: int) -> Value:
        """The word that reading `register` gives."""
        parts = [Const(0, DATA_BITS)]
        for field in register.fields:
            if field.kind == Kind.CONSTANT:
                parts.append(Const(field.reset << field.low, DATA_BITS))
            elif field.kind != Kind.PULSE:
                parts.append(self._port(register, field, index) << field.low)
        return reduce(or_, parts)

    def _update(
        self,
        m: Module,
        register: Register,
        field: Field,
        index: int,
        selected: Value,
        payload: Value,
        mask: Value,
    ) -> None:
        """How `field` changes when its register is `selected`, and otherwise."""
        if field.kind in (Kind.CONSTANT, Kind.STATUS):
            return
        port = self._port(register, field, index)
        bits = slice(field.low, field.low + field.width)
        new, enabled = payload[bits], mask[bits]
        if field.kind == Kind.PULSE:
            m.d.sync += port.eq(Mux(selected, new & enabled, 0))
            return
        if field.kind == Kind.STICKY:
            cleared = Mux(selected, new & enabled, 0)
            m.d.sync += port.eq((port & ~cleared) | self._port(register, field, index, "_set"))
            return
        if field.kind == Kind.STATE:
            with m.If(getattr(self, register.port(field) + "_write")):
                m.d.sync += port.eq(self._port(register, field, index, "_next"))
        with m.If(selected):
            m.d.sync += port.eq((port & ~enabled) | (new & enabled))
