"""The loader: stream packets into the factor memory and the ping-pong block buffer."""

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from golden_model.parameters import Parameters
from hdl.reset_less import reset_less
from hdl.shapes import word_row

BLOCK_BITS = 16
"""Bits of the number of blocks in a batch."""


class _State(enum.Enum, shape=2):  # type: ignore[call-arg]
    IDLE = 0
    STATE = 1
    BLOCK = 2


def beat_layout(parameters: Parameters) -> data.StructLayout:
    """A beat of an AXI stream: a row of words, and whether it ends the packet."""
    return data.StructLayout({"words": word_row(parameters), "last": 1})


class Loader(wiring.Component):
    """Takes the packets of a batch in their order and checks their lengths.

    `start` begins a batch: with `load`, a state packet (for each rank the rows of its activation
    factor, then for each rank the rows of its error factor), written to the factor memory, whose
    end raises `state_loaded`; then `blocks` packets of `block` samples (the last of `last`
    samples), each sample its rows of activations and its rows of errors. Blocks fill the halves of
    the buffer in turn; `full` tells which hold a whole block, `release` frees one.

    Lanes beyond n or m in a vector's last row are stored as zero, whatever the stream carried.
    A packet that ends early pulses `short`, one that does not end on its last beat pulses `long`,
    and `failing` is high in the cycle before; the loader then stops until the next `start`. With
    `drain` an idle loader discards beats; otherwise it takes none. One beat a cycle, and two cycles
    between packets of blocks. A beat is written in the cycle after it was taken: that of the last
    one is the first of `full` or `state_loaded`.

    The configuration must rest from the cycle before `start` on, which must not be the first one
    after a reset.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = p = parameters
        rows = range(p.rows(p.max_dimension))
        super().__init__(
            {
                "input": In(stream.Signature(beat_layout(p))),
                "start": In(1),
                "drain": In(1),
                "load": In(1),
                "n": In(range(p.max_n + 1)),
                "m": In(range(p.max_m + 1)),
                "rows_n": In(range(p.rows(p.max_n) + 1)),
                "rows_m": In(range(p.rows(p.max_m) + 1)),
                "ranks": In(range(p.max_rank + 1)),
                "block": In(range(p.max_block + 1)),
                "last": In(range(p.max_block + 1)),
                "blocks": In(BLOCK_BITS),
                "release": In(2),
                "full": Out(2),
                "state_loaded": Out(1),
                "short": Out(1),
                "long": Out(1),
                "failing": Out(1),
                "buffer_write": Out(1),
                "buffer_address": Out(range(2 * p.buffer_rows)),
                "factor_write": Out(1),
                "factor_delta": Out(1),
                "factor_row": Out(rows),
                "factor_column": Out(range(max(2, p.max_rank))),
                "write_data": Out(word_row(p)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """A row counter within a vector, and a count of vectors within the packet."""
        m = Module()
        p = self.parameters
        lane_bits = ceil_log2(p.lanes)
        row = Signal.like(self.factor_row)
        errors = Signal()  # the vector in hand belongs to the error side
        vector = Signal(range(max(p.max_block, p.max_rank) + 1))  # sample or rank
        row_end = Signal()  # at the vector's last row
        vector_end = Signal()  # at the last vector of the packet, or of its side
        last_vector = Signal.like(vector, reset_less=True)
        final_block = Signal()  # blocks_left is 1
        bank = Signal()
        address = Signal(range(p.buffer_rows))
        blocks_left = Signal(BLOCK_BITS)
        opened = Signal()  # the buffer has room for the block in hand
        state = Signal(_State)
        state_beat = Signal()
        block_beat = Signal()

        # Of each side, the last row of a vector, whether it is the only one, and the lanes that are
        # beyond the vector there
        last_rows, single_rows, beyond = [], [], []
        for side, size, rows in (("n", self.n, self.rows_n), ("m", self.m, self.rows_m)):
            last_row = Signal.like(row, name=f"last_row_{side}", reset_less=True)
            lanes = Signal(p.lanes, name=f"lanes_beyond_{side}", reset_less=True)
            single_row = Signal(name=f"single_row_{side}")
            m.d.sync += [last_row.eq(rows - 1), single_row.eq(rows == 1)]
            remaining = size[:lane_bits]
            for lane in range(p.lanes):
                m.d.sync += lanes[lane].eq((remaining != 0) & (remaining <= lane))
            last_rows.append(last_row)
            single_rows.append(single_row)
            beyond.append(lanes)
        # Of a block, and of the final one, the last sample, and whether it is the only one
        last_samples, single_samples = [], []
        for name, samples in (("block", self.block), ("final_block", self.last)):
            last_sample = Signal.like(vector, name=f"last_sample_of_{name}", reset_less=True)
            single_sample = Signal(name=f"single_sample_of_{name}")
            m.d.sync += [last_sample.eq(samples - 1), single_sample.eq(samples == 1)]
            last_samples.append(last_sample)
            single_samples.append(single_sample)
        write_data, factor_row, factor_column, factor_delta, buffer_address = (
            reset_less(m, output)
            for output in (
                self.write_data,
                self.factor_row,
                self.factor_column,
                self.factor_delta,
                self.buffer_address,
            )
        )
        outside = Mux(row_end, Mux(errors, beyond[1], beyond[0]), 0)
        m.d.comb += [
            state_beat.eq(self.input.valid & (state == _State.STATE)),
            block_beat.eq(self.input.valid & (state == _State.BLOCK) & opened),
        ]
        m.d.sync += [
            self.factor_write.eq(state_beat),
            factor_row.eq(row),
            factor_column.eq(vector),
            factor_delta.eq(errors),
            self.buffer_write.eq(block_beat),
            buffer_address.eq(Cat(address, bank)),
            *(
                word.eq(Mux(outside[lane], 0, self.input.payload.words[lane]))
                for lane, word in enumerate(write_data)
            ),
            self.short.eq(0),
            self.long.eq(0),
            self.full.eq(self.full & ~self.release),
        ]

        def check_length(end: Value) -> None:
            """Stop at a packet that is too short or too long."""
            with m.If(self.input.payload.last != end):
                m.d.comb += self.failing.eq(1)
                m.d.sync += [self.short.eq(~end), self.long.eq(end)]
                m.d.sync += state.eq(_State.IDLE)

        def begin_packet() -> None:
            m.d.sync += [row.eq(0), errors.eq(0), vector.eq(0), address.eq(0), opened.eq(0)]
            m.d.sync += row_end.eq(single_rows[0])

        def begin_vector(errors: Value) -> None:
            m.d.sync += [row.eq(0), row_end.eq(Mux(errors, single_rows[1], single_rows[0]))]

        def next_row() -> None:
            m.d.sync += row.eq(row + 1)
            m.d.sync += row_end.eq(row + 1 == Mux(errors, last_rows[1], last_rows[0]))

        def next_vector() -> None:
            m.d.sync += [vector.eq(vector + 1), vector_end.eq(vector + 1 == last_vector)]

        with m.Switch(state):
            with m.Case(_State.IDLE):
                m.d.comb += self.input.ready.eq(self.drain)
            with m.Case(_State.STATE):
                m.d.comb += self.input.ready.eq(1)
                with m.If(state_beat):
                    next_row()
                    with m.If(row_end):
                        begin_vector(errors | vector_end)
                        next_vector()
                        with m.If(vector_end):
                            m.d.sync += [vector.eq(0), vector_end.eq(last_vector == 0)]
                            m.d.sync += errors.eq(1)
                    end = row_end & vector_end & errors
                    with m.If(end):
                        begin_packet()
                        m.d.sync += self.state_loaded.eq(1)
                        m.d.sync += state.eq(_State.BLOCK)
                    check_length(end)
            with m.Case(_State.BLOCK):
                m.d.comb += self.input.ready.eq(opened)
                with m.If(~opened):
                    m.d.sync += [
                        last_vector.eq(Mux(final_block, last_samples[1], last_samples[0])),
                        vector_end.eq(Mux(final_block, single_samples[1], single_samples[0])),
                    ]
                    m.d.sync += opened.eq((blocks_left != 0) & ~self.full.bit_select(bank, 1))
                    with m.If(blocks_left == 0):
                        m.d.sync += state.eq(_State.IDLE)
                with m.If(block_beat):
                    m.d.sync += address.eq(address + 1)
                    next_row()
                    with m.If(row_end):
                        begin_vector(~errors)
                        m.d.sync += errors.eq(~errors)
                        with m.If(errors):
                            next_vector()
                    end = row_end & errors & vector_end
                    with m.If(end):
                        begin_packet()
                        m.d.sync += [
                            self.full.bit_select(bank, 1).eq(1),
                            bank.eq(~bank),
                            blocks_left.eq(blocks_left - 1),
                            final_block.eq(blocks_left == 2),
                        ]
                    check_length(end)
        with m.If(self.start):
            begin_packet()
            m.d.sync += [
                state.eq(Mux(self.load, _State.STATE, _State.BLOCK)),
                blocks_left.eq(self.blocks),
                final_block.eq(self.blocks == 1),
                last_vector.eq(self.ranks - 1),
                vector_end.eq(self.ranks == 1),
                bank.eq(0),
                self.full.eq(0),
                self.state_loaded.eq(~self.load),
            ]
        return m
