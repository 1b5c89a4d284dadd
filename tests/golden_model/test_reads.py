"""Reads as integers: exhaustively at small widths, against Python's integers; noise; errors."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from golden_model.reads import ReadError, Reads, ReadSpec


def analog(**settings):
    return Reads("analog", **settings)


def read_one(spec, cells, codes):
    """The sums of `codes` (inputs) through `cells` (inputs x outputs), in Python's integers."""
    reads, sums, adc, register = spec.reads, [], 0, 0
    low, high = -(1 << (reads.adc_bits - 1)), (1 << (reads.adc_bits - 1)) - 1
    least, most = -(1 << (reads.sum_bits - 1)), (1 << (reads.sum_bits - 1)) - 1
    bits = range(reads.dac_bits - 1) if reads.encoding == "bit-serial" else [None]
    for column in range(len(cells[0])):
        total = 0
        for first in range(0, len(codes), spec.lines):
            tile = range(first, min(first + spec.lines, len(codes)))
            for bit in bits:
                drive = {
                    i: codes[i] if bit is None else (abs(codes[i]) >> bit & 1) * sign(codes[i])
                    for i in tile
                }
                exact = sum(drive[i] * cells[i][column] for i in tile)
                code = round(Fraction(exact, 1 << spec.shift))  # half to even
                adc += not low <= code <= high
                total += min(max(code, low), high) << (bit or 0)
            register += not least <= total <= most
            total = min(max(total, least), most)
        sums.append(total)
    return sums, adc, register


def sign(value):
    return (value > 0) - (value < 0)


@pytest.mark.parametrize("encoding", ["pulse-width", "bit-serial"])
@pytest.mark.parametrize(("adc_bits", "output_bound"), [(2, 1.0), (3, 0.3), (3, 2.0), (4, 1.0)])
def test_every_read_at_small_widths_is_what_the_integers_say(encoding, adc_bits, output_bound):
    """All codes of 3 bits on three lines in tiles of two, through all cells of four states."""
    reads = analog(
        encoding=encoding, dac_bits=3, adc_bits=adc_bits, output_bound=output_bound, sum_bits=6
    )
    spec = ReadSpec(reads, lines=2, largest=3)
    codes = np.array(list(itertools.product(range(-3, 4), repeat=3)), spec.dtype)
    cells = np.array(list(itertools.product((-3, -1, 1, 3), repeat=3)), spec.dtype).T
    sums, saturations, saturated = spec.read(cells, codes)
    adc = register = 0
    for row, vector in enumerate(codes.astype(int).tolist()):
        expected, beyond, over = read_one(spec, cells.astype(int).tolist(), vector)
        assert sums[row].tolist() == expected
        assert saturated[row] == (beyond > 0)
        adc, register = adc + beyond, register + over
    assert (saturations.adc, saturations.sums) == (adc, register)


@pytest.mark.parametrize("encoding", ["pulse-width", "bit-serial"])
@pytest.mark.parametrize("bits", [(8, 8), (12, 14), (16, 24)])
def test_wide_reads_are_exact_too(encoding, bits):
    reads = analog(encoding=encoding, dac_bits=bits[0], adc_bits=bits[1], sum_bits=40)
    spec, random = ReadSpec(reads, lines=64, largest=1023), np.random.default_rng(0)
    codes = random.integers(-spec.full, spec.full + 1, (3, 150)).astype(spec.dtype)
    cells = (2 * random.integers(0, 1024, (150, 2)) - 1023).astype(spec.dtype)
    sums, saturations, _ = spec.read(cells, codes)
    adc = 0
    for row, vector in enumerate(codes.astype(int).tolist()):
        expected, beyond, _ = read_one(spec, cells.astype(int).tolist(), vector)
        assert sums[row].tolist() == expected
        adc += beyond
    assert saturations.adc == adc


def test_partial_sums_saturate_in_the_order_of_the_tiles():
    """+7, +7 saturates at +7, and -7 from there is 0: not the saturated sum, 7 - 7 + 7."""
    spec = ReadSpec(analog(dac_bits=4, adc_bits=4, sum_bits=4), lines=1, largest=1)
    assert spec.shift == 2
    cells = np.array([[1.0], [1.0], [1.0], [1.0], [-1.0], [-1.0]], spec.dtype)
    codes = np.full((1, 6), 7, spec.dtype)  # 7 / 4 = 1.75, codes of 2
    sums, saturations, _ = spec.read(cells, codes)
    assert sums.tolist() == [[3]]  # 2, 4, 6, 7, 5, 3
    assert (saturations.adc, saturations.sums) == (0, 1)


def test_sums_that_float32_holds_are_held_in_float32():
    assert ReadSpec(analog(), 64, 1023).dtype == np.float32
    assert ReadSpec(analog(), 256, 1023).dtype == np.float64
    assert ReadSpec(analog(sum_bits=25), 64, 1023).dtype == np.float64


@pytest.mark.parametrize(
    ("bound", "full_scale"), [(1.0, 1), (1.01, 2), (4.0, 4), (5.0, 8), (0.5, 0.5)]
)
def test_the_adcs_full_scale_is_raised_to_a_power_of_two(bound, full_scale):
    spec = ReadSpec(analog(dac_bits=2, adc_bits=4, output_bound=bound), 64, 1024)
    assert spec.unit == 1024
    assert (1 << (spec.shift + 3)) == full_scale * spec.unit


def test_an_adc_resolves_no_more_than_a_half_step_by_a_code():
    assert ReadSpec(analog(adc_bits=24), 64, 1).shift == 0


def test_a_dac_scales_each_vector_by_a_power_of_two():
    spec = ReadSpec(analog(dac_bits=4), 64, 1)
    vectors = np.array([[0.5, -0.25, 0.03125, 0.09375], [96.0, -48.0, 8.0, 7.9], [0, 0, 0, 0]])
    codes, scales, clips = spec.quantise(vectors.astype(np.float32))
    assert codes.tolist() == [[4, -2, 0, 1], [6, -3, 0, 0], [0, 0, 0, 0]]  # 0.25, 0.75; half even
    assert scales.tolist() == [0.125, 16.0, 0.125]
    assert clips == 0


def test_a_dac_clips_what_rounds_beyond_its_largest_code():
    codes, _, clips = ReadSpec(analog(dac_bits=4), 64, 1).quantise(np.array([[0.99, -0.99, 0.93]]))
    assert (codes.tolist(), clips) == ([[7, -7, 7]], 2)


@pytest.mark.parametrize(("bound", "scale"), [(1.0, 0.125), (1.5, 0.25), (2.0, 0.25)])
def test_an_input_bound_scales_all_vectors_alike_and_clips(bound, scale):
    spec = ReadSpec(analog(dac_bits=4, input_bound=bound), 64, 1)
    codes, scales, clips = spec.quantise(np.array([[0.25, 9.0], [-9.0, 0.0]]))
    assert codes.tolist() == [[0.25 / scale, 7], [-7, 0]]
    assert scales.tolist() == [scale, scale]
    assert clips == 2


def test_quantising_what_was_quantised_changes_nothing():
    spec, random = ReadSpec(analog(dac_bits=6), 64, 1), np.random.default_rng(0)
    codes, scales, _ = spec.quantise(random.normal(size=(200, 5)).astype(np.float32))
    again, same, clips = spec.quantise(codes * scales[:, None])
    assert np.array_equal(codes, again)
    assert np.array_equal(scales, same)
    assert clips == 0


def test_vectors_near_the_smallest_floats_make_no_infinities():
    tiny = np.full((1, 3), 1e-44, np.float32)
    codes, scales, _ = ReadSpec(analog(dac_bits=16), 64, 1).quantise(tiny)
    assert np.isfinite(codes).all()
    assert (codes * scales[:, None] <= tiny).all()


def test_output_noise_has_the_deviation_asked_for_and_no_bias():
    spec = ReadSpec(analog(dac_bits=4, adc_bits=24, output_noise=0.5), 64, 1001)
    codes, cells = np.full((20_000, 1), 3, spec.dtype), np.full((1, 2), 5, spec.dtype)
    sums, _, _ = spec.read(cells, codes, np.random.default_rng(0))
    noise = sums.astype(np.float64) * 2.0**spec.shift - 15
    assert abs(noise.std() / (0.5 * spec.unit) - 1) < 0.02
    assert abs(noise.mean()) < 0.02 * spec.unit
    assert abs(np.corrcoef(noise.T)[0, 1]) < 0.05


def test_input_noise_is_that_of_a_line_for_all_cells_on_it():
    spec = ReadSpec(analog(dac_bits=4, adc_bits=24, input_noise=0.1), 64, 1001)
    codes = np.zeros((20_000, 2), spec.dtype)
    cells = np.array([[1001, 1001, 0], [0, 0, 1001]], spec.dtype)
    sums, _, _ = spec.read(cells, codes, np.random.default_rng(0))
    assert abs(sums.std() * 2.0**spec.shift / (0.1 * spec.unit) - 1) < 0.02
    assert np.array_equal(sums[:, 0], sums[:, 1])
    assert abs(np.corrcoef(sums[:, 0], sums[:, 2])[0, 1]) < 0.05


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "digital"}, "reads mode = 'digital' is unknown; choose one of: ideal, analog"),
        ({"encoding": "unary"}, "encoding = 'unary' is unknown; choose one of: pulse-width, bit"),
        ({"dac_bits": 1}, "dac_bits = 1 must be an integer from 2 to 16"),
        ({"adc_bits": 8.5}, r"adc_bits = 8\.5 must be an integer from 2 to 24"),
        ({"sum_bits": 41}, "sum_bits = 41 must be an integer from 2 to 40"),
        ({"retries": True}, "retries = True must be an integer from 0 to 16"),
        ({"input_noise": -0.1}, r"input_noise = -0\.1 must be a finite number of at least 0"),
        ({"output_noise": float("nan")}, "output_noise = nan must be a finite"),
        ({"output_bound": 0.0}, r"output_bound = 0\.0 must be a number from 2\^-90 to 2\^90"),
        ({"input_bound": float("inf")}, "input_bound = inf must be a number from"),
        ({"sum_bits": 7}, "sum_bits = 7 cannot hold what one tile gives: at least 8"),
        ({"encoding": "bit-serial", "sum_bits": 14}, "at least 15 with these converters"),
        ({"encoding": "bit-serial", "retries": 1}, "retries = 1 go with encoding = pulse-width"),
    ],
)
def test_reads_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ReadError, match=message):
        Reads(**settings)


def test_sums_that_float64_does_not_hold_are_refused_at_construction():
    ReadSpec(analog(dac_bits=16), 1024, (1 << 23) - 1)
    with pytest.raises(ReadError, match=r"sums of up to 56 bits are not exact .* lower dac_bits"):
        ReadSpec(analog(dac_bits=16), 1 << 18, (1 << 23) - 1)
