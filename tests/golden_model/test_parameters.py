"""Parameters are validated, bounded, and written and read without loss."""

from dataclasses import FrozenInstanceError, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden_model.formats import EXACT_BITS
from golden_model.parameters import PRESETS, ParameterError, Parameters


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_toml_round_trip(preset, tmp_path):
    path = tmp_path / "parameters.toml"
    path.write_text(preset.to_toml())
    assert Parameters.from_toml(path) == preset


def test_parameters_are_immutable():
    with pytest.raises(FrozenInstanceError):
        Parameters().width = 8  # type: ignore[misc]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"width": 7}, "width = 7 .* from 8 to 18"),
        ({"width": 16.0}, "width = 16.0 .* an integer"),
        ({"width": True}, "width = True"),
        ({"lanes": 12}, "lanes = 12 .* a power of two from 2 to 64"),
        ({"tile_rows": 40}, "tile_rows = 40 must be a multiple of lanes = 16"),
        (
            {"tile_columns": 32, "grid_columns": 4},
            "grid_columns = 4 cannot hold max_m = 256 .* takes at least 8",
        ),
        ({"grid_rows": 31}, "grid_rows = 31 cannot hold max_n = 2048 .* takes at least 32"),
        ({"adcs": 32}, "adcs = 32 exceed lanes = 16: .* lower adcs or raise lanes"),
        ({"adc_bits": 25}, "adc_bits = 25 .* from 2 to 24"),
        ({"buffer_rows": 64}, "buffer_rows = 64 cannot hold one sample"),
        ({"width": 8}, "max_slots = 256 is finer than a duty"),
        ({"colums": 4}, "unknown parameter 'colums'; choose from: width, lanes, columns"),
    ],
)
def test_a_wrong_parameter_names_itself_and_what_is_allowed(values, message):
    with pytest.raises(ParameterError, match=message):
        Parameters.from_mapping(values)


def test_an_unknown_preset_lists_the_known_ones():
    with pytest.raises(ParameterError, match="'huge'; choose one of: tiny, small, default, large"):
        Parameters.preset("huge")


@pytest.mark.parametrize("text", ["width = ", "width = 16\nwidth = 8", "\0"])
def test_malformed_toml_names_the_file(text, tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ParameterError, match=r"bad\.toml is not valid TOML"):
        Parameters.from_toml(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ParameterError, match=r"cannot read .*none\.toml: No such file"):
        Parameters.from_toml(tmp_path / "none.toml")


def test_settings_change_fields_and_explain_their_form():
    assert Parameters().with_settings(["lanes=8", "tile_rows=0x20"]).tile_rows == 32
    with pytest.raises(ParameterError, match="'lanes' must have the form NAME=INTEGER"):
        Parameters().with_settings(["lanes"])


@st.composite
def any_parameters(draw):
    limits = {f.name: f.metadata for f in fields(Parameters)}
    values = {}
    for name, limit in limits.items():
        if limit["power_of_two"]:
            top = limit["high"].bit_length() - 1
            values[name] = 1 << draw(st.integers(limit["low"].bit_length() - 1, top))
        else:
            values[name] = draw(st.integers(limit["low"], limit["high"]))
    for tile, size, grid in (
        ("tile_rows", "max_n", "grid_rows"),
        ("tile_columns", "max_m", "grid_columns"),
    ):
        values[tile] = max(values[tile] // values["lanes"], 1) * values["lanes"]
        values[grid] = max(values[grid], -(-values[size] // values[tile]))
    return values


@given(any_parameters())
def test_no_sum_of_a_valid_configuration_leaves_the_exact_integers(values):
    """The bounds of docs/arithmetic.md, recomputed from extreme words."""
    try:
        p = Parameters(**values)
    except ParameterError:
        return
    word = 1 << (p.width - 1)
    history = word * ((1 << p.history_bits) - 1)
    lane = max(
        history + p.max_block * word * word,
        word * (1 << (p.width - 2)) + word * word,
        p.rows(p.max_dimension) * word * word,
    )
    assert lane < 1 << (p.accumulator_bits - 1)
    assert p.max_dimension * word * word < 1 << (p.dot_bits - 1)
    assert max(lane, p.max_dimension * word * word) <= 1 << EXACT_BITS
    assert p.block_limit(p.max_m, p.max_n) >= 1
