"""The register map and the register file behind AXI4-Lite."""

import numpy as np
import pytest

from golden_model import scalar
from golden_model.parameters import PRESETS, Parameters
from hdl.axi import OKAY, SLVERR
from hdl.register_file import RegisterFile
from hdl.registers import Kind, RegisterMap
from hdl.sequencer import Phase
from tests.hdl.simulate import simulate

P = PRESETS["tiny"]
MAP = RegisterMap.of(P)


class Manager:
    """Issues AXI4-Lite requests with random delays on every channel."""

    def __init__(self, ctx, dut, seed):
        self.ctx, self.dut, self.bus = ctx, dut, dut.bus
        self.random = np.random.default_rng(seed)

    async def tick(self):
        await self.ctx.tick()

    async def write(self, address, word, strobe=0xF):
        ctx, bus = self.ctx, self.bus
        ctx.set(bus.awaddr, address)
        ctx.set(bus.wdata, word)
        ctx.set(bus.wstrb, strobe)
        pending = {"aw", "w"}
        while True:
            for channel in pending:
                if self.random.integers(2):
                    ctx.set(getattr(bus, f"{channel}valid"), 1)
            ctx.set(bus.bready, int(self.random.integers(2)))
            *_, aw, w, awr, wr, bv, br, resp = await ctx.tick().sample(
                bus.awvalid, bus.wvalid, bus.awready, bus.wready, bus.bvalid, bus.bready, bus.bresp
            )
            if aw and awr:
                ctx.set(bus.awvalid, 0)
                pending.discard("aw")
            if w and wr:
                ctx.set(bus.wvalid, 0)
                pending.discard("w")
            if bv:
                assert not pending, "answered before it was asked"
                if br:
                    ctx.set(bus.bready, 0)
                    return resp

    async def read(self, address):
        ctx, bus = self.ctx, self.bus
        ctx.set(bus.araddr, address)
        asked = False
        while True:
            if not asked and self.random.integers(2):
                ctx.set(bus.arvalid, 1)
            ctx.set(bus.rready, int(self.random.integers(2)))
            *_, av, ar, rv, rr, data, resp = await ctx.tick().sample(
                bus.arvalid, bus.arready, bus.rvalid, bus.rready, bus.rdata, bus.rresp
            )
            if rv and rr:
                assert asked
                ctx.set(bus.rready, 0)
                return data, resp
            if av and ar:
                ctx.set(bus.arvalid, 0)
                asked = True


def run(test, seed=0):
    dut = RegisterFile(MAP)

    async def bench(ctx):
        await test(ctx, dut, Manager(ctx, dut, seed))

    simulate(dut, bench)


def test_constants_read_back_the_parameters():
    async def test(ctx, dut, bus):
        assert await bus.read(MAP.address("ID")) == (0x45494742, OKAY)
        for name, value in P.as_dict().items():
            assert await bus.read(MAP.address(name.upper())) == (value, OKAY)

    run(test)


@pytest.mark.parametrize("seed", range(4))
def test_registers_behave_as_declared_under_random_access(seed):
    """A model of the declaration predicts every answer of random reads and writes."""
    random = np.random.default_rng(seed)
    model = {
        address: register.encode(**{f.name: f.reset for f in register.fields})
        for register in MAP.registers
        for address in register.addresses()
    }
    owner = {a: register for register in MAP.registers for a in register.addresses()}

    async def test(ctx, dut, bus):
        busy = 0
        for _ in range(150):
            address = 4 * int(random.integers(0, 1 << (MAP.address_bits - 2)))
            register = owner.get(address)
            if random.integers(8) == 0:
                busy = int(random.integers(2))
                ctx.set(dut.busy, busy)
            if random.integers(2):
                expected = (0, SLVERR) if register is None else (model[address], OKAY)
                assert await bus.read(address) == expected
                continue
            word, strobe = int(random.integers(1 << 32)), int(random.integers(16))
            refused = register is None or not register.writable or (register.locked and busy)
            response = await bus.write(address, word, strobe)
            assert response == (SLVERR if refused else OKAY)
            if refused:
                continue
            mask = sum(0xFF << 8 * i for i in range(4) if strobe >> i & 1)
            for field in register.fields:
                if field.kind in (Kind.SETTING, Kind.STATE):
                    changed = field.mask & mask
                    model[address] = (model[address] & ~changed) | (word & changed)

    run(test, seed)


def test_bad_writes_are_reported_and_change_nothing():
    async def test(ctx, dut, bus):
        seen = []
        assert await bus.write(MAP.address("M"), 7) == OKAY
        ctx.set(dut.busy, 1)
        for address in (MAP.address("ID"), MAP.address("M"), 0xFC):
            assert await bus.write(address, 1) == SLVERR
            seen.append(ctx.get(dut.m))
        assert seen == [7, 7, 7]
        assert (await bus.read(MAP.address("ID")))[0] == 0x45494742

    run(test)


def test_sticky_bits_stay_until_one_is_written():
    async def test(ctx, dut, bus):
        ctx.set(dut.error_packet_long_set, 1)
        await ctx.tick()
        ctx.set(dut.error_packet_long_set, 0)
        bit = MAP["ERROR"].encode(packet_long=1)
        assert await bus.read(MAP.address("ERROR")) == (bit, OKAY)
        await bus.write(MAP.address("ERROR"), ~bit & 0x7F)
        assert await bus.read(MAP.address("ERROR")) == (bit, OKAY)
        await bus.write(MAP.address("ERROR"), bit)
        assert await bus.read(MAP.address("ERROR")) == (0, OKAY)

    run(test)


def test_a_command_is_a_pulse_of_one_cycle():
    async def test(ctx, dut, bus):
        pulses = []

        async def write():
            return await bus.write(MAP.address("CONTROL"), 1)

        original = bus.ctx.tick

        def counting_tick():
            pulses.append(ctx.get(dut.control_start))
            return original()

        bus.ctx.tick = counting_tick
        await write()
        assert sum(pulses) == 1
        assert (await bus.read(MAP.address("CONTROL"))) == (0, OKAY)

    run(test)


def test_hardware_writes_weights_back():
    async def test(ctx, dut, bus):
        word = scalar.encode(0.75)
        ctx.set(dut.weight_significand_next[1], word & 0x3FFFF)
        ctx.set(dut.weight_exponent_next[1], word >> 18)
        ctx.set(dut.weight_significand_write, 1)
        ctx.set(dut.weight_exponent_write, 1)
        await ctx.tick()
        ctx.set(dut.weight_significand_write, 0)
        ctx.set(dut.weight_exponent_write, 0)
        assert await bus.read(MAP.address("WEIGHT", 1)) == (word, OKAY)

    run(test)


def test_encode_refuses_unknown_fields_and_large_values():
    with pytest.raises(ValueError, match="no field 'speed', but load"):
        MAP["MODE"].encode(speed=1)
    with pytest.raises(ValueError, match="exceeds 16 bits"):
        MAP["M"].encode(value=1 << 16)


def test_documentation_names_every_register():
    text = RegisterMap.of(Parameters()).markdown()
    assert all(f"| {register.name}" in text for register in MAP.registers)
    assert "WEIGHT[16]" in text


def test_every_phase_has_a_counter():
    assert MAP["PHASE_CYCLES"].count == len(Phase.__members__)
