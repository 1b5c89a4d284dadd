"""The one description of an accelerator, read by the golden model, the RTL and the simulation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from golden_model.files import read_toml
from golden_model.formats import EXACT_BITS, WordFormat
from golden_model.reads import MAX_ADC_BITS

HISTORY_BITS = 28
"""Least bits of the weight that multiplies the previous factors before new data is added."""


class ParameterError(ValueError):
    """A parameter is unknown, of the wrong type, outside its range, or at odds with another."""


def _bounded(default: int, low: int, high: int, doc: str, *, power_of_two: bool = False) -> Any:
    return field(
        default=default,
        metadata={"low": low, "high": high, "doc": doc, "power_of_two": power_of_two},
    )


@dataclass(frozen=True)
class Parameters:
    """Parameters of one generated accelerator. Immutable; validated on construction.

    Sizes named `max_…` bound what the registers may ask for at run time. The derived properties
    give every width of the datapath; construction fails with `ParameterError` where a product or
    sum could leave the integers that float64 holds exactly, so nothing wraps or rounds silently.
    """

    width: int = _bounded(16, 8, 18, "bits of a word: activations, errors, factors, coefficients")
    lanes: int = _bounded(16, 2, 64, "words of a row, multiplied at once", power_of_two=True)
    columns: int = _bounded(4, 1, 16, "ranks computed at once")
    max_rank: int = _bounded(16, 1, 64, "most ranks, computed in groups of `columns`")
    max_m: int = _bounded(256, 1, 4096, "largest layer output (error) dimension")
    max_n: int = _bounded(2048, 1, 4096, "largest layer input (activation) dimension")
    max_block: int = _bounded(2048, 1, 16384, "most samples in a block", power_of_two=True)
    buffer_rows: int = _bounded(
        4096, 4, 1 << 20, "rows of the block buffer, each of its two halves", power_of_two=True
    )
    tile_rows: int = _bounded(64, 2, 1024, "row lines of the crossbar tile (activation side)")
    tile_columns: int = _bounded(64, 2, 1024, "column lines of the crossbar tile (error side)")
    grid_rows: int = _bounded(64, 1, 4096, "rows of tiles that the drivers can address")
    grid_columns: int = _bounded(16, 1, 4096, "columns of tiles that the drivers can address")
    max_slots: int = _bounded(256, 1, 1024, "most slots of an update's phase", power_of_two=True)
    adcs: int = _bounded(4, 1, 64, "ADCs side by side: codes of a read a cycle", power_of_two=True)
    adc_bits: int = _bounded(12, 2, MAX_ADC_BITS, "bits of an ADC's code pins")

    def __post_init__(self) -> None:
        for parameter in fields(self):
            self._check(parameter.name, parameter.metadata)
        self._check_multiple("tile_rows")
        self._check_multiple("tile_columns")
        self._check_grid("grid_rows", "max_n", "tile_rows")
        self._check_grid("grid_columns", "max_m", "tile_columns")
        if self.max_slots > 1 << (self.width - 1):
            raise ParameterError(
                f"max_slots = {self.max_slots} is finer than a duty of width = {self.width} bits: "
                f"at most {1 << (self.width - 1)} slots, or a larger width"
            )
        if self.adcs > self.lanes:
            raise ParameterError(
                f"adcs = {self.adcs} exceed lanes = {self.lanes}: at most as many codes come "
                "in a cycle as a row has words; lower adcs or raise lanes"
            )
        if self.max_rank < self.columns:
            raise ParameterError(
                f"max_rank = {self.max_rank} leaves some of columns = {self.columns} without a "
                "rank: raise max_rank or lower columns"
            )
        if self.buffer_rows < self.sample_rows(self.max_m, self.max_n):
            raise ParameterError(
                f"buffer_rows = {self.buffer_rows} cannot hold one sample of max_m + max_n = "
                f"{self.max_m} + {self.max_n} words on {self.lanes} lanes: it takes at least "
                f"{self.sample_rows(self.max_m, self.max_n)}; raise buffer_rows or lower the maxima"
            )
        if self.accumulator_bits > EXACT_BITS + 1 or self.dot_bits > EXACT_BITS + 1:
            raise ParameterError(
                f"sums of up to {max(self.accumulator_bits, self.dot_bits)} bits are not exact in "
                f"the golden model (limit {EXACT_BITS + 1}): lower width, max_block, max_m or max_n"
            )
        # Columns fill their words, so norms differ by 2 sqrt(dimension) at most, which bounds the
        # orthonormaliser's coefficients to a word.
        if 4 * max(self.max_m, self.max_n) > 1 << (2 * (self.width - 1)):
            raise ParameterError(
                f"max_m and max_n of at most {1 << (2 * (self.width - 2))} go with width = "
                f"{self.width}: orthonormalisation coefficients would not fit a word"
            )

    def _check(self, name: str, limits: Mapping[str, Any]) -> None:
        value = getattr(self, name)
        low, high = limits["low"], limits["high"]
        allowed = f"an integer from {low} to {high}"
        if limits["power_of_two"]:
            allowed = f"a power of two from {low} to {high}"
        valid = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        if not valid or (limits["power_of_two"] and value & (value - 1)):
            raise ParameterError(f"{name} = {value!r} ({limits['doc']}) must be {allowed}")

    def _check_multiple(self, name: str) -> None:
        value = getattr(self, name)
        if value % self.lanes:
            raise ParameterError(
                f"{name} = {value} must be a multiple of lanes = {self.lanes}: "
                "lines are driven in whole rows of words"
            )

    def _check_grid(self, name: str, size: str, tile: str) -> None:
        value, needed = getattr(self, name), -(-getattr(self, size) // getattr(self, tile))
        if value < needed:
            raise ParameterError(
                f"{name} = {value} cannot hold {size} = {getattr(self, size)} lines in tiles of "
                f"{tile} = {getattr(self, tile)}: it takes at least {needed}; "
                f"raise {name} or {tile}, or lower {size}"
            )

    @property
    def word(self) -> WordFormat:
        """Format of activations, errors, factors and coefficients."""
        return WordFormat(self.width)

    @property
    def max_dimension(self) -> int:
        """Larger of `max_m` and `max_n`."""
        return max(self.max_m, self.max_n)

    def groups(self, rank: int) -> int:
        """Groups of `columns` ranks, the last perhaps smaller, that `rank` ranks take."""
        return -(-rank // self.columns)

    def rows(self, dimension: int) -> int:
        """Rows of `lanes` words that a vector of `dimension` words takes."""
        return -(-dimension // self.lanes)

    def sample_rows(self, m: int, n: int) -> int:
        """Rows of the block buffer that one sample of an m x n layer takes."""
        return self.rows(m) + self.rows(n)

    def block_limit(self, m: int, n: int) -> int:
        """Most samples of an m x n layer that a block can have."""
        return min(self.max_block, self.buffer_rows // self.sample_rows(m, n))

    @property
    def history_digits(self) -> int:
        """Digits of width - 1 bits in the weight of the previous factors."""
        return -(-HISTORY_BITS // (self.width - 1))

    @property
    def history_bits(self) -> int:
        """Bits of the weight of the previous factors, an unsigned integer."""
        return self.history_digits * (self.width - 1)

    @property
    def accumulator_bits(self) -> int:
        """Signed bits of a lane's accumulator in any instruction."""
        product = 1 << (2 * self.width - 2)
        history = 1 << (self.width - 1 + self.history_bits)
        accumulation = history + self.max_block * product
        subtraction = 2 * product
        lane_dot = self.rows(self.max_dimension) * product
        return max(accumulation, subtraction, lane_dot).bit_length() + 1

    @property
    def dot_bits(self) -> int:
        """Signed bits of a dot product over all lanes."""
        return (self.max_dimension << (2 * self.width - 2)).bit_length() + 1

    @property
    def stream_word_bytes(self) -> int:
        """Bytes that a word takes on the AXI streams: 1, 2 or 4, the word in the low bits."""
        return 1 if self.width == 8 else 2 if self.width <= 16 else 4

    @property
    def stream_bytes(self) -> int:
        """Bytes of an AXI stream beat: one row."""
        return self.lanes * self.stream_word_bytes

    @classmethod
    def preset(cls, name: str) -> Parameters:
        """The parameters of preset `name`; raises `ParameterError` if there is none."""
        if name not in PRESETS:
            raise ParameterError(f"unknown preset {name!r}; choose one of: {', '.join(PRESETS)}")
        return PRESETS[name]

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], base: Parameters | None = None) -> Parameters:
        """`base` (the default preset unless given) with the fields in `values` replaced."""
        known = [parameter.name for parameter in fields(cls)]
        for name in values:
            if name not in known:
                raise ParameterError(f"unknown parameter {name!r}; choose from: {', '.join(known)}")
        return replace(base or cls(), **values)

    @classmethod
    def from_toml(cls, path: Path) -> Parameters:
        """Parameters read from TOML file `path`, fields not named there having their defaults."""
        values = read_toml(Path(path), ParameterError)
        try:
            return cls.from_mapping(values)
        except ParameterError as error:
            raise ParameterError(f"{path}: {error}") from error

    def to_toml(self) -> str:
        """These parameters as a TOML document, each line with its meaning."""
        lines = (
            f"{parameter.name} = {getattr(self, parameter.name)}  # {parameter.metadata['doc']}"
            for parameter in fields(self)
        )
        return "\n".join(lines) + "\n"

    def with_settings(self, settings: Iterable[str]) -> Parameters:
        """These parameters with each "NAME=VALUE" of `settings` applied."""
        values: dict[str, int] = {}
        for setting in settings:
            name, separator, text = setting.partition("=")
            try:
                values[name.strip()] = int(text, 0)
            except ValueError:
                separator = ""
            if not separator:
                raise ParameterError(f"setting {setting!r} must have the form NAME=INTEGER")
        return self.from_mapping(values, base=self)

    def as_dict(self) -> dict[str, int]:
        """The fields by name."""
        return asdict(self)


PRESETS: dict[str, Parameters] = {
    "tiny": Parameters(
        width=8,
        lanes=4,
        columns=2,
        max_rank=4,
        max_m=16,
        max_n=32,
        max_block=16,
        buffer_rows=128,
        tile_rows=8,
        tile_columns=8,
        grid_rows=32,
        grid_columns=16,
        max_slots=64,
    ),
    "small": Parameters(
        width=8,
        lanes=4,
        columns=2,
        max_rank=6,
        max_m=128,
        max_n=160,
        max_block=512,
        buffer_rows=4096,
        tile_rows=8,
        tile_columns=8,
        grid_rows=64,
        grid_columns=16,
        max_slots=64,
    ),
    "default": Parameters(),
    "large": Parameters(
        lanes=32,
        columns=8,
        max_rank=16,
        max_m=1024,
        max_n=4096,
        max_block=8192,
        buffer_rows=16384,
        tile_rows=128,
        tile_columns=128,
        grid_rows=64,
        grid_columns=32,
    ),
}
"""Named parameters: `tiny` for small FPGAs and quick tests, `small`, which holds the
layers of the CNN on digits, `default`, and `large` for ASICs.
"""
