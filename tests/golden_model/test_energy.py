"""Energies: events times the table, the table against its sources, the user's own."""

import re
from dataclasses import fields, replace
from pathlib import Path

import pytest

from golden_model.energy import DEVICES, EnergyError, EnergyTable, energies, training_energy
from golden_model.events import Events, read_events
from golden_model.parameters import Parameters
from golden_model.reads import Reads

DOCUMENT = Path(__file__).parents[2] / "docs" / "energy.md"
NONE = EnergyTable.from_mapping(
    {entry.name: 0.0 for entry in fields(EnergyTable) if entry.name != "device"}
)
EVENTS = Events(
    dac_bits=3,
    adc_conversions=5,
    cell_reads=7,
    sum_additions=11,
    multiply_accumulates=13,
    memory_accesses=17,
    line_pulses=19,
    cell_pulses=23,
)


def test_reads_drive_every_line_and_sense_those_of_every_tile():
    """A layer of 70 x 100 in tiles of 64 rows and 32 columns: 2 by 3 of them."""
    parameters = Parameters(tile_rows=64, tile_columns=32, grid_columns=8)
    forward = read_events(Reads(dac_bits=6), parameters, 70, 100, 1, 0)
    assert forward == Events(dac_bits=600, adc_conversions=140, cell_reads=7000, sum_additions=140)
    transposed = read_events(Reads(dac_bits=6), parameters, 70, 100, 0, 1)
    assert transposed == Events(
        dac_bits=420, adc_conversions=297, cell_reads=6930, sum_additions=297
    )


def test_bit_serial_reads_convert_once_a_bit_of_the_magnitudes():
    parameters = Parameters()
    whole, serial = (
        read_events(Reads(dac_bits=6, encoding=encoding), parameters, 70, 100, 3, 2)
        for encoding in ("pulse-width", "bit-serial")
    )
    assert serial.adc_conversions == 5 * whole.adc_conversions
    assert serial.cell_reads == 5 * whole.cell_reads
    assert serial.dac_bits == whole.dac_bits


@pytest.mark.parametrize(
    ("entry", "part", "expected"),
    [
        ("dac_bit", "dac", 3),
        ("adc_step", "adc", 5 * 2**10),
        ("read_cell", "cell_reads", 7),
        ("multiply_32", "arithmetic", 13 / 4),
        ("access", "memory", 17 * 16 / 64),
        ("line_cell", "lines", 19 * (64 + 32) / 2),
        ("write_rram", "writes", 23),
    ],
)
def test_each_entry_of_the_table_prices_its_events(entry, part, expected):
    parameters = Parameters(width=16, tile_rows=64, tile_columns=32, grid_columns=8)
    table, reads = replace(NONE, **{entry: 1.0}), Reads(adc_bits=10)
    found = energies(EVENTS, table, parameters, reads, memory=100)
    assert found == {name: expected if name == part else 0 for name in found}


def test_additions_cost_by_their_bits():
    table, parameters = replace(NONE, add_32=1.0), Parameters()
    found = energies(EVENTS, table, parameters, Reads(sum_bits=24), memory=100)
    assert found["sums"] == 11 * 24 / 32
    assert found["arithmetic"] == 13 * parameters.accumulator_bits / 32


def test_a_larger_memory_costs_more_an_access():
    def access(words):
        table = EnergyTable()
        return energies(EVENTS, table, Parameters(width=16), Reads(), words)["memory"]

    assert access(10) == access(4096)  # 8 KB
    assert access(4 * 4096) == pytest.approx(2 * access(4096))  # 32 KB
    assert access(128 * 4096) == pytest.approx(11.3 * access(4096), rel=0.01)  # 1 MB


def test_the_published_energies_of_narrow_arithmetic_are_met():
    """Horowitz has 0.2 pJ for a multiplication and 0.03 for an addition of 8 bits."""
    table = EnergyTable()
    assert table.multiply_32 / 16 == pytest.approx(0.2, abs=0.01)
    assert table.add_32 / 4 == pytest.approx(0.03, abs=0.006)


def test_isaacs_converters_are_what_its_powers_and_rates_say():
    table = EnergyTable()
    assert table.adc_step * 2**8 == pytest.approx(16e-3 / 8 / 1.2e9 * 1e12, rel=0.01)
    assert table.dac_bit == pytest.approx(4e-3 / (8 * 128) * 100e-9 * 1e12, rel=0.01)
    assert table.read_cell == pytest.approx(0.3e-3 * 100e-9 / 128**2 * 1e12, rel=0.02)


@pytest.mark.parametrize("device", DEVICES)
def test_every_class_of_devices_has_its_write_energy(device):
    table = replace(EnergyTable(), device=device)
    assert table.write == getattr(table, f"write_{device}") > 0


def test_energies_are_told_for_an_image_and_for_an_update():
    table = replace(NONE, write_rram=1000.0, dac_bit=1000.0)
    told = training_energy(EVENTS, table, Parameters(), Reads(), 100, images=8, updates=2)
    assert told["energy_parts"]["writes"] == 23 / 8
    assert told["energy"] == (23 + 3) / 8
    assert told["energy_update"] == 23 / 2


def test_a_toml_file_replaces_entries(tmp_path):
    path = tmp_path / "table.toml"
    path.write_text('device = "pcm"\nwrite_pcm = 12\n')
    table = EnergyTable.from_toml(path)
    assert table == replace(EnergyTable(), device="pcm", write_pcm=12)
    assert table.write == 12


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("write_mram = 1.0", "unknown entry 'write_mram'; choose from: device, write_rram"),
        ("device = 'mram'", "device = 'mram' is unknown; choose one of: rram, pcm"),
        ("dac_bit = -1.0", r"dac_bit = -1.0 \(pJ a bit\) must be a finite number of at least 0"),
        ("dac_bit = nan", "dac_bit = nan"),
        ("dac_bit = '1'", "dac_bit = '1'"),
        ("dac_bit = true", "dac_bit = True"),
        ("dac_bit", "is not valid TOML"),
    ],
)
def test_a_table_that_will_not_do_is_refused_by_name(tmp_path, text, message):
    path = tmp_path / "table.toml"
    path.write_text(text)
    with pytest.raises(EnergyError, match=message) as error:
        EnergyTable.from_toml(path)
    assert str(path) in str(error.value)


def test_a_table_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(EnergyError, match="cannot read"):
        EnergyTable.from_toml(tmp_path / "missing.toml")


def test_the_document_has_every_entry_with_value_unit_and_source():
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", DOCUMENT.read_text(), re.MULTILINE))
    for entry in fields(EnergyTable):
        if entry.name != "device":
            cells = (f"{entry.default:g}", entry.metadata["unit"], entry.metadata["source"])
            assert rows[entry.name] == " | ".join(cells)
