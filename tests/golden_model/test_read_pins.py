"""A crossbar read through its pins gives what reads as integers give; packets say it all."""

import numpy as np
import pytest

from golden_model.parameters import PRESETS, Parameters
from golden_model.read_pins import PinReads, VectorSums
from golden_model.reads import Reads, ReadSpec

TINY = PRESETS["tiny"]


@pytest.mark.parametrize("transposed", [False, True])
def test_drives_slot_by_slot_and_conversions_add_up_to_the_sums(transposed):
    """A pulse-width read by hand: 12 x 20 cells in tiles of 8 x 8."""
    random = np.random.default_rng(0)
    reads = Reads("analog", dac_bits=4, adc_bits=6, output_bound=1.0)
    cells = random.integers(-15, 16, (12, 20)).astype(float)
    pins = PinReads(TINY, reads, cells, 15, transposed=transposed)
    codes = random.integers(-9, 10, pins.inputs).astype(float)
    (answer,) = pins.answers(codes[None])
    outputs = 20 if transposed else 12
    sums, saturated = np.zeros(outputs), 0
    for sensed_tile in range(-(-outputs // 8)):
        lines = min(8, outputs - 8 * sensed_tile)
        for driven_tile in range(-(-pins.inputs // 8)):
            tile = np.zeros(8)
            part = codes[8 * driven_tile : 8 * driven_tile + 8]
            tile[: len(part)] = np.clip(part, -7, 7)
            for slot in range(pins.full):
                pins.slot((np.sign(tile) * (np.abs(tile) > slot)).astype(int))
            converted, beyond = pins.convert(driven_tile, sensed_tile, lines)
            sums[8 * sensed_tile : 8 * sensed_tile + lines] += converted
            saturated += int(beyond.sum())
    assert sums.tolist() == answer.sums.tolist()
    assert saturated == answer.adc > 0


def test_a_conversion_clears_what_was_integrated():
    pins = PinReads(TINY, Reads("analog", dac_bits=4, adc_bits=8), np.ones((1, 8)), 1)
    pins.slot(np.ones(8, int))
    assert pins.convert(0, 0, 0)[0].size == 0
    pins.slot(-np.ones(8, int))
    assert pins.convert(0, 0, 1)[0].tolist() == [-8]


@pytest.mark.parametrize(
    ("parameters", "parts"),
    [(TINY, 4), (Parameters(), 2), (Parameters(width=18), 1)],
    ids=["8 bits", "16 bits", "18 bits"],
)
def test_a_packet_has_the_lowest_parts_first_and_the_counts_last(parameters, parts):
    largest = (1 << 8 * parameters.stream_word_bytes) - 1
    sums = np.array([-1.0, 0x12345678, -(2.0**31), 5.0, 6.0])
    packet = VectorSums(sums, adc=7, saturated=1 << 40).packet(parameters)
    rows = parameters.rows(5)
    assert packet.shape == (rows * parts + 1, parameters.lanes)
    assert packet[0, :2].tolist() == [largest, 0x12345678 & largest]
    assert packet[-1, :3].tolist() == [7, largest, 0]
    again = VectorSums.of_packet(parameters, packet, 5)
    assert again.sums.tolist() == sums.tolist()
    assert (again.adc, again.saturated) == (7, largest)


def test_a_packet_of_another_length_is_refused():
    packet = np.zeros((8, TINY.lanes), np.int64)
    with pytest.raises(ValueError, match="a packet of 8 beats, not 9"):
        VectorSums.of_packet(TINY, packet, 5)


def test_the_adc_alone_is_that_of_a_read():
    spec = ReadSpec(Reads("analog", dac_bits=4, adc_bits=4, output_bound=1.0), 8, 15)
    unit = 1 << spec.shift
    codes, saturated = spec.convert(np.array([0.5, 1.5, 7.4, 7.5, -8.5, -8.6]) * unit)
    assert codes.tolist() == [0, 2, 7, 7, -8, -8]
    assert saturated.tolist() == [False, False, False, True, False, True]
