"""Proof that a batch comes to its end, if whatever the sequencer asks for is answered."""

import pytest
from amaranth import Array, Cat, Const, Mux, ResetSignal, Signal
from amaranth.hdl import Assert, Assume, Cover

from golden_model.parameters import Parameters
from hdl import sequencer
from hdl.sequencer import Sequencer
from tests.formal.prove import Status, mutant, past, prove

PARAMETERS = Parameters(width=8, lanes=2, columns=2, max_rank=3, max_m=4, max_n=4, max_block=2,
                        buffer_rows=8, tile_rows=2, tile_columns=2, max_slots=2,
                        adcs=2)  # fmt: skip
GROUPS = 2
BLOCKS = 4
"""Stage of the run in which blocks are worked on."""
STAGES = {"IDLE": 0, "STORE": 1, "UPDATE": 2, "FINISH": 3, "NORM": 5, "NORMED": 5, "LOAD": 6,
          "CHECK": 7}  # fmt: skip
"""Stages of the other states, a run going down."""


def owed(m, asked, answered, name):
    """Whether an answer has been asked for and has not come."""
    flag = Signal(name=name)
    with m.If(asked):
        m.d.sync += flag.eq(1)
    with m.Elif(answered):
        m.d.sync += flag.eq(0)
    return flag


def a_batch_comes_to_its_end(m, dut, inside):
    """From every reachable state: what is left of a batch falls in every clock cycle until the
    sequencer is idle, but for those in which it waits, when it rests; and what it waits for is a
    packet, a free datapath, or an answer to what it asked for and has not got.

    What is left is, by weight: stages of the run and blocks; parts of the block; ranks; passes.

    Assumed: settings rest while busy; answers come only to what was asked for.
    """
    state = inside.sequence_state
    states = {state.decoder(n).split("/")[0]: n for n in range(14)}

    def at(*names):
        return Cat(state == states[name] for name in names).any()

    group, pivot_group, pivot = inside.group, inside.pivot_group, inside.pivot
    side, waiting = inside.side, inside.waiting
    settled, ready, aligned = inside.settled_groups, inside.ready_groups, inside.group_aligned
    programs = inside.submodule("programs")
    last_group, last_column = dut.last_group, dut.last_column
    settings = Cat(dut.m, dut.n, dut.k, dut.block, dut.blocks, dut.last, dut.load, dut.store,
                   dut.update)  # fmt: skip
    m.d.comb += Assume(~past(m, dut.busy | dut.start) | (settings == past(m, settings)))

    # Answers that are owed.
    taken = dut.pass_start & dut.pass_ready
    owed_norm = owed(m, taken & at("NORM") & (group == last_group), programs.normed, "owed_norm")
    owed_align = owed(m, taken & at("PROJECT"), dut.aligned, "owed_align")
    owed_settled, owed_ready = [], []
    for g in range(GROUPS):
        told = dut.settled & (dut.settled_group == g)
        asked = taken & at("ACCUMULATE", "SUBTRACT") & (group == g)
        owed_settled.append(owed(m, asked, told, f"owed_settled_{g}"))
        known = dut.coefficients_ready & (dut.coefficients_group == g)
        asked = taken & at("DOT") & (group == g)
        owed_ready.append(owed(m, asked, known, f"owed_ready_{g}"))
        m.d.comb += [
            Assume(~told | owed_settled[g]),
            Assume(~known | owed_ready[g]),
        ]
    m.d.comb += [
        Assume(~programs.normed | owed_norm),
        Assume(~dut.aligned | owed_align),
        Assume(~dut.settled | (dut.settled_group < GROUPS)),
        Assume(~dut.coefficients_ready | (dut.coefficients_group < GROUPS)),
    ]

    # Where the sequencer is.
    block = at("PROJECT", "ACCUMULATE", "DOT", "SUBTRACT", "OVERLAP")
    orthogonalise = at("DOT", "SUBTRACT")
    rank = pivot_group * PARAMETERS.columns + pivot
    next_group = pivot_group + (pivot == PARAMETERS.columns - 1)
    ranks_valid = (dut.k >= 1) & (dut.k <= PARAMETERS.max_rank)
    waits_at_start = at("CHECK", "LOAD", "UPDATE", "STORE")
    m.d.comb += [
        Assert(state < len(states)),
        Assert(dut.busy == ~at("IDLE")),
        Assert(at("IDLE", "CHECK") | ranks_valid),
        Assert(~at("CHECK") | inside.checked | ~waiting),
        Assert(~at("CHECK") | ~waiting | ~inside.valid | ranks_valid),
        Assert(at("IDLE") | ~ranks_valid | (Cat(last_column, last_group) == dut.k - 1)),
        Assert(at("IDLE", "CHECK") | (group <= last_group)),
        Assert(waits_at_start | at("IDLE") | ~waiting),
        Assert(at("IDLE") | ~at("CHECK", "LOAD") | ((group == 0) & ~side)),
        Assert(~at("NORMED", "WAIT", "FINISH", "STORE", "UPDATE") | (group == 0)),
        Assert(~at("WAIT", "FINISH", "STORE", "UPDATE") | ~side),
        Assert(~at("OVERLAP") | side),
        Assert(~block | (inside.blocks_left != 0)),
        Assert(~at("FINISH", "UPDATE", "STORE") | (inside.blocks_left == 0)),
        Assert(~orthogonalise | (rank <= last_group * PARAMETERS.columns + last_column)),
        Assert(~orthogonalise | (pivot < PARAMETERS.columns)),
        Assert(~at("DOT") | (group >= pivot_group)),
        Assert(~at("SUBTRACT") | (group >= next_group)),
        Assert(~at("SUBTRACT") | (rank < last_group * PARAMETERS.columns + last_column)),
        Assert(owed_norm == at("NORMED")),
        Assert(~owed_align | (at("ACCUMULATE") & ~aligned)),
    ]
    for g in range(GROUPS):
        here = Const(g, 2)
        stands, comes = settled[g] | owed_settled[g], ready[g] | owed_ready[g]
        m.d.comb += [
            # Accumulated groups will settle, and so will those that a pivot was subtracted from;
            # nothing is done to a group before it has settled.
            Assert(~owed_settled[g] | ~settled[g]),
            Assert(~owed_settled[g] | at("PROJECT", "ACCUMULATE") | orthogonalise),
            Assert(~owed_settled[g] | (here <= last_group)),
            Assert(~at("PROJECT", "ACCUMULATE") | Mux(here < group, stands, ~owed_settled[g])),
            Assert(~orthogonalise | (here >= pivot_group) | ~owed_settled[g]),
            Assert(~orthogonalise | (here < pivot_group) | (here > last_group) | stands),
            Assert(~at("DOT") | (here < pivot_group) | (here >= group) | settled[g]),
            Assert(~at("SUBTRACT") | (here >= next_group) | ~owed_settled[g]),
            Assert(~at("SUBTRACT") | (here < group) | (here > last_group) | settled[g]),
            # Coefficients of every group that the pivot's dot products were taken with will come.
            Assert(~at("DOT") | (here < pivot_group) | (here >= group) | comes),
            Assert(~at("SUBTRACT") | (here < group) | (here > last_group) | comes),
        ]

    # What it waits for.
    for_group = Array(settled)[group], Array(ready)[group]
    owed_group = Array(owed_settled)[group], Array(owed_ready)[group]
    for_pass = dut.pass_start & ~dut.pass_ready
    pauses = [
        (at("LOAD") & waiting & ~dut.state_loaded, 1),
        (at("NORMED") & ~programs.normed, owed_norm),
        (at("WAIT") & (inside.blocks_left != 0) & ~dut.full.bit_select(inside.bank, 1), 1),
        (for_pass, 1),
        (at("ACCUMULATE") & ~aligned, owed_align),
        (at("DOT") & ~for_group[0], owed_group[0]),
        (at("SUBTRACT") & ~for_group[1], owed_group[1]),
        (at("FINISH") & ~programs.finished, 1),
        (at("UPDATE") & waiting & ~dut.update_done, 1),
        (at("STORE") & waiting & dut.sender_busy, 1),
    ]
    m.d.comb += [Assert(~waits | answer, "what it waits for is owed") for waits, answer in pauses]

    # What is left. No table of constants: induction would not know what is in the memory that
    # Yosys makes of one.
    stage = Const(BLOCKS, 3)
    for name, number in STAGES.items():
        stage = Mux(at(name), number, stage)
    projects = at("PROJECT", "ACCUMULATE")
    part = Mux(at("WAIT"), 3, Mux(at("OVERLAP"), 0, Mux(at("NORM", "NORMED"), ~side, 2 - side)))
    groups_left = (last_group - group)[:1]
    ranks = (last_group * PARAMETERS.columns + last_column - rank)[:3]
    passes = Cat(
        projects & at("PROJECT"),
        Mux(at("NORMED"), 0, groups_left),
        at("DOT"),
        Mux(orthogonalise, ranks, 0),
        projects | at("NORM"),
        part[:2],
    )
    in_block = block | at("WAIT", "NORM", "NORMED")
    first = waits_at_start & ~waiting
    left = Cat(
        at("CHECK") & ~inside.checked, first, Mux(in_block, passes, 0), inside.blocks_left, stage
    )
    before = past(m, left)
    rests = past(m, Cat(waits for waits, _ in pauses).any())
    went_on = past(m, dut.busy & ~ResetSignal())
    m.d.comb += [
        Assert(~went_on | rests | (left < before), "it goes on"),
        Assert(~went_on | ~rests | (left == before), "it rests"),
        Cover(dut.finished),
    ]


def test_a_batch_comes_to_its_end():
    outcome = prove(Sequencer(PARAMETERS), a_batch_comes_to_its_end, method="induction", depth=3)
    assert outcome.proved


@pytest.mark.nightly
def test_a_batch_can_come_to_its_end():
    outcome = prove(Sequencer(PARAMETERS), a_batch_comes_to_its_end, method="reach", depth=40)
    assert outcome.proved


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("m.d.sync += aligned.eq(1)", "m.d.sync += aligned.eq(0)"),
        ("[ready.bit_select(group, 1).eq(0), group", "[ready.eq(0), group"),
        ("settled.bit_select(self.settled_group, 1).eq(1)", "settled.bit_select(0, 1).eq(1)"),
        ("blocks_left.eq(blocks_left - 1)", "blocks_left.eq(blocks_left)"),
        ("pivot.eq(Mux(pivot == p.columns - 1, 0, pivot + 1))", "pivot.eq(pivot)"),
        ("m.d.sync += side.eq(~side)", "m.d.sync += side.eq(side)"),
        ("with m.If(waiting & self.update_done)", "with m.If(~waiting & self.update_done)"),
        ("with m.Elif(self.full.bit_select(bank, 1))", "with m.Elif(0)"),
    ],
)
def test_a_sequencer_that_stops_is_not_proved(old, new):
    broken = mutant(sequencer, old, new)
    outcome = prove(
        broken.Sequencer(PARAMETERS), a_batch_comes_to_its_end, method="induction", depth=3
    )
    assert outcome.status in (Status.UNDECIDED, Status.REFUTED)
