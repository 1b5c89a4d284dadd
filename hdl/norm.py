"""The norm unit: reciprocal square root of a scalar, and its square."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from golden_model import scalar
from hdl.reset_less import reset_less
from hdl.rounding import EXPONENT, PRODUCT_BITS, lead, round_to_scalar
from hdl.shapes import SCALAR

ROOT_LATENCY = 7
"""Clock cycles from `start` to `root`."""

LATENCY = 9
"""Clock cycles from `start` to `reciprocal`."""

_S = scalar.SIGNIFICAND_BITS
_SEED_UNIT = 1 << (scalar.RSQRT_ENTRY_BITS - 1)


def _seeds() -> list[int]:
    """The seeds of `scalar.RSQRT_TABLE` and their squares, both as significands: 1 <= s <= 2.

    The bit between them tells that the square is at least 2.
    """
    words = []
    for entry in scalar.RSQRT_TABLE:
        seed = scalar.encode(entry / _SEED_UNIT)
        square = scalar.encode(scalar.multiply(entry / _SEED_UNIT, entry / _SEED_UNIT))
        assert seed >> _S == 1
        assert square >> _S in (1, 2)
        significand = (1 << _S) - 1
        words.append((seed & significand) | (square & significand) << (_S + 1)
                     | (square >> _S == 2) << _S)  # fmt: skip
    return words


class NormUnit(wiring.Component):
    """root = 1 / sqrt(square), reciprocal = root * root, both zero for zero.

    One Newton step from a table, as `scalar.reciprocal_square_root` and to the same bits. `start`
    takes `square`, which is kept beside the results; they hold until the next `start`, which may
    come with `done`, high `LATENCY` cycles after `start`. Three multipliers, in a row.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "start": In(1),
                "square": In(SCALAR),
                "kept": Out(SCALAR),
                "root": Out(SCALAR),
                "reciprocal": Out(SCALAR),
                "done": Out(1),
                "nearly": Out(1),  # the cycle before
            }
        )

    def elaborate(self, platform: object) -> Module:
        """A register a stage; `stage[i]` is high i + 1 cycles after `start`."""
        m = Module()
        stage = Signal(LATENCY)
        m.d.sync += stage.eq(Cat(self.start, stage))
        m.d.comb += [self.done.eq(stage[-1]), self.nearly.eq(stage[-2])]

        m.submodules.table = table = memory.Memory(
            shape=2 * _S + 1, depth=1 << scalar.RSQRT_INDEX_BITS, init=_seeds()
        )
        lookup = table.read_port()
        odd = self.square.exponent[0]
        index = Cat(self.square.significand[_S - scalar.RSQRT_INDEX_BITS : _S - 1], odd)
        m.d.comb += [lookup.addr.eq(index), lookup.en.eq(self.start)]
        kept, root, reciprocal = (
            reset_less(m, output) for output in (self.kept, self.root, self.reciprocal)
        )
        with m.If(self.start):
            m.d.sync += kept.eq(self.square)
        nonzero = self.kept.significand[-1]
        entry = Signal.like(lookup.data, reset_less=True)
        m.d.sync += entry.eq(lookup.data)  # a block memory is slow to answer
        half = (self.kept.exponent + 1) >> 1
        seed = entry[:_S]
        square_of_seed = entry[_S + 1 :]

        # reduced * seed**2, seed * correction, root**2, one after another
        value, correction = (
            Signal(SCALAR, name=name, reset_less=True) for name in ("value", "correction")
        )
        rounded = []
        for name, left, right, exponents in (
            (
                "reduced",
                self.kept.significand,
                square_of_seed,
                Mux(entry[_S], 2, 1) - self.kept.exponent[0],
            ),
            ("root", seed, correction.significand, correction.exponent - half),
            (
                "square",
                self.root.significand,
                self.root.significand,
                self.root.exponent << 1,
            ),
        ):
            product = Signal(PRODUCT_BITS, name=f"{name}_product", reset_less=True)
            power = Signal(EXPONENT, name=f"{name}_power", reset_less=True)
            m.d.sync += [product.eq(left * right), power.eq(exponents)]
            rounded.append(round_to_scalar(m, *lead(product, power), name))
        m.d.sync += [value.eq(rounded[0]), correction.eq(self._correction(m, value))]
        with m.If(stage[5]):
            m.d.sync += root.eq(rounded[1])
            with m.If(~nonzero):
                m.d.sync += [root.significand.eq(0), root.exponent.eq(-512)]
        with m.If(stage[7]):
            m.d.sync += reciprocal.eq(rounded[2])
        return m

    def _correction(self, m: Module, value: Signal) -> Signal:
        """3 - `value`, which is near 1: exact below 2, rounded above."""
        fraction = Signal(_S + 2)
        above = value.exponent < 1  # value < 1, so 3 - value > 2
        exact = (3 << (_S - 1)) - value.significand  # in units of 2**(1 - _S), up to 2
        wider = (3 << _S) - value.significand  # in units of 2**-_S, beyond 2
        with m.If(above):
            m.d.comb += fraction.eq(wider)
        with m.Elif(exact[_S]):  # exactly 2
            m.d.comb += fraction.eq(exact << 1)
        with m.Else():
            m.d.comb += fraction.eq(exact << 2)
        power = Mux(above | exact[_S], 2, 1)
        return round_to_scalar(m, fraction, power, "correction")
