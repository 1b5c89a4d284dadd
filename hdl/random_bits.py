"""Random bits of the pulse generators; golden counterpart `golden_model.random_bits`."""

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden_model.random_bits import MIXER_KEY, MIXER_START, WORD_BITS


class Mixer(wiring.Component):
    """The round function of the Speck cipher with 32-bit words, under a constant key.

    `load` starts from `seed`; each cycle of `advance` does a round:
    a' = ((a >>> 8) + b) XOR key and b' = (b <<< 3) XOR a', with rotations. The caller does the
    golden model's `WARM_UP_ROUNDS` after loading. Golden counterpart: `random_bits.Mixer`.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "seed": In(WORD_BITS),
                "load": In(1),
                "advance": In(1),
                "a": Out(WORD_BITS),
                "b": Out(WORD_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """One adder and its registers."""
        m = Module()
        a = Signal(WORD_BITS)
        m.d.comb += a.eq((self.a.rotate_right(8) + self.b)[:WORD_BITS] ^ MIXER_KEY)
        with m.If(self.load):
            m.d.sync += [self.a.eq(self.seed), self.b.eq(MIXER_START)]
        with m.Elif(self.advance):
            m.d.sync += [self.a.eq(a), self.b.eq(self.b.rotate_left(3) ^ a)]
        return m


def xorshift(state: Value, shifts: tuple[int, int, int]) -> Value:
    """The state after `state` of a xorshift register: XORs of at most eight bits."""
    left, right, again = shifts
    state = state ^ (state << left)[:WORD_BITS]
    state = state ^ (state >> right)
    return state ^ (state << again)[:WORD_BITS]


class LineGenerators(wiring.Component):
    """A xorshift register for each of `lines` lines; `step` advances all of them.

    A token that enters at `token` walks from line to line, one a cycle, and leaves at `token_out`
    for a further array; the line that holds it takes `seed` as its state. `clear` zeroes all
    states, in which they stay, and drops the token. Registers of their own decide for each line
    whether it takes a state, so that no net has to reach the bits of all of them in a cycle.
    Golden counterpart: `random_bits.LineGenerators`.

    Parameters
    ----------
    lines : int
        Number of registers.
    shifts : tuple of three int
        Shifts left, right and left of the recurrence.
    """

    def __init__(self, lines: int, shifts: tuple[int, int, int]) -> None:
        super().__init__(
            {
                "clear": In(1),
                "token": In(1),
                "token_out": Out(1),
                "seed": In(WORD_BITS),
                "step": In(1),
                "states": Out(data.ArrayLayout(WORD_BITS, lines)),
            }
        )
        self._lines = lines
        self._shifts = shifts

    def elaborate(self, platform: object) -> Module:
        """The walking token and the registers."""
        m = Module()
        tokens = Signal(self._lines)
        m.d.sync += tokens.eq(Mux(self.clear, 0, Cat(self.token, tokens)))
        m.d.comb += self.token_out.eq(tokens[-1])
        for line in range(self._lines):
            state = Signal(WORD_BITS, name=f"state_{line}", reset_less=True)
            m.d.comb += self.states[line].eq(state)
            with m.If(tokens[line] | self.clear):
                m.d.sync += state.eq(Mux(self.clear, 0, self.seed))
            with m.Elif(self.step):
                m.d.sync += state.eq(xorshift(state, self._shifts))
        return m


def line_seed(word: Value) -> Value:
    """`word`, or 1 instead of 0, in which a xorshift register would stay."""
    return Mux(word.any(), word, 1)


def reversed_bits(value: Value) -> Value:
    """`value` with its bits in reverse order."""
    return Cat(value[i] for i in reversed(range(len(value))))
