"""Training on the simulated hardware, in both harnesses, equals the golden model to the bit."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from golden_model import datasets, training
from golden_model.arrays import Device
from golden_model.checkpoints import load
from golden_model.crossbar import Crossbar
from golden_model.fixed import Samples, golden_runner, initial_fixed_state
from golden_model.machine import Pulses
from golden_model.optimizers import LayerPlan
from golden_model.parameters import PRESETS
from golden_model.reads import Reads, ReadSpec
from golden_model.scalar import multiply, round_scalar
from golden_model.training_settings import TrainingError, TrainingSettings
from hdl.boards import BOARDS
from sim import rtl_training
from sim.machine import Placement
from sim.native import NativeHarness
from sim.rtl_training import Simulation
from sim.runner import TOP
from sim.tools import SimulatorError

pytestmark = pytest.mark.xdist_group("simulation")  # one worker builds, once

HARNESSES = [
    ("native", "verilator"),
    pytest.param(
        "cocotb",
        "icarus",
        marks=pytest.mark.skipif(not shutil.which("iverilog"), reason="Icarus is not installed"),
    ),
]


@pytest.fixture
def settings(accelerator):
    """Training of the CNN on digits, all of whose layers lie in one grid of tiles."""
    return TrainingSettings(
        dataset="digits",
        rank=2,
        batch=8,
        train_limit=16,
        parameters=replace(accelerator, grid_rows=64),
        arithmetic="rtl",
        array="pulsed",
        device=Device(states=256),
    )


@pytest.fixture
def digits():
    return datasets.load("digits")


def compare_reads(machine, layer, crossbar, parameters, random, transposed):
    """Random codes through a layer's array, some of which saturate ADCs and partial sums."""
    reads = Reads("analog", dac_bits=4, adc_bits=6, sum_bits=6, output_bound=0.5)
    lines = parameters.tile_columns if transposed else parameters.tile_rows
    spec = ReadSpec(reads, lines, crossbar.largest_cell)
    cells, _ = crossbar.signed_cells
    driven = (cells[:, :-1] if transposed else cells.T).astype(spec.dtype)
    codes = random.integers(-7, 8, (3, len(driven))).astype(spec.dtype)
    codes[0] = 7 * np.sign(driven.sum(axis=1))
    sums, saturations, saturated = machine.read(
        layer, codes, reads, spec.shift, transposed=transposed
    )
    wanted, counts, vectors = spec.read(driven, codes)
    assert np.array_equal(sums, wanted)
    assert saturations == counts
    assert np.array_equal(saturated, vectors)


def compare_layers(machine, parameters, plans, turns):
    """Batches, updates and reads of layers that take `turns`: each a layer, and the encoding."""
    random = np.random.default_rng(4)
    run = golden_runner(parameters)
    states, crossbars = {}, {}
    for layer in sorted({layer for layer, _ in turns}):
        plan = plans[layer]
        states[layer] = initial_fixed_state(parameters, plan.m, plan.n, plan.rank, layer)
        crossbars[layer] = Crossbar(parameters, plan.m, plan.n, 1.0, 256)
        crossbars[layer].program(random.uniform(-1, 1, (plan.m, plan.n)))
        machine.program(layer, crossbars[layer].conductances)
    for batch, (layer, scrambled) in enumerate(turns):
        plan = plans[layer]
        a, d = (Samples(random.integers(-127, 128, (13, size))) for size in (plan.n, plan.m))
        result = machine.factorise(layer, states[layer], a, d, 5, 0.5)
        expected = run(states[layer], a, d, 5, 0.5)
        for name in ("x", "delta", "weight"):
            assert np.array_equal(getattr(result.state, name), getattr(expected.state, name))
        assert np.array_equal(result.scale, expected.scale)
        assert result.saturations == expected.saturations
        states[layer] = result.state

        rate = round_scalar(2.0 ** (-parameters.width * 2))
        counters = machine.update(layer, Pulses(rate, 0, 5, scrambled, seed=batch))
        report = crossbars[layer].update(
            expected.state.x,
            expected.state.delta,
            [multiply(scale, rate) for scale in expected.scale.tolist()],
            slots_min=0,
            slots_max=5,
            scrambled=scrambled,
            seed=batch,
        )
        assert report.coincidences > 0
        assert (counters.pulses, counters.clips) == (report.pulses, report.clips)
        assert counters.coincidences == report.coincidences
        for each, crossbar in crossbars.items():
            assert np.array_equal(machine.conductances(each), crossbar.conductances)
        for transposed in (False, True):
            compare_reads(machine, layer, crossbars[layer], parameters, random, transposed)


@pytest.mark.parametrize(("harness", "simulator"), HARNESSES)
def test_layers_that_take_turns_on_a_machine_equal_the_golden_model(
    settings, digits, harness, simulator
):
    simulation = Simulation(harness, simulator)
    plans = settings.plan(digits.shape, digits.classes)
    turns = [(0, True), (3, False), (0, False), (3, True)]  # conv1 and fc2
    with rtl_training.machine(settings, digits.shape, digits.classes, simulation) as machine:
        compare_layers(machine, settings.parameters, plans, turns)
        assert machine.counters()["cycles"] > machine.counters()["cycles"] == 0


def test_reads_of_training_in_hardware_equal_those_of_fixed_arithmetic(settings, digits):
    reads = Reads("analog", dac_bits=4, output_bound=0.25, retries=1)
    few = replace(settings, train_limit=2, batch=1, reads=reads)
    expected = training.train(replace(few, arithmetic="fixed"), digits)
    result = rtl_training.train(few, digits)
    for name in ("test_accuracy", "train_loss", "pulses", "reads"):
        assert result[name] == expected[name], name
    assert result["reads"]["adc_saturations"] > 0
    assert result["machine"]["read_cycles"] > 0


def test_training_in_hardware_equals_fixed_arithmetic(settings, digits, tmp_path):
    fixed, rtl = tmp_path / "fixed", tmp_path / "rtl"
    longer = replace(settings, epochs=2)
    expected = training.train(replace(longer, arithmetic="fixed"), digits, checkpoint=fixed)
    rtl_training.train(settings, digits, checkpoint=rtl)
    result = rtl_training.train(longer, digits, checkpoint=rtl, resume=True)
    (arrays, _), (wanted, _) = load(rtl), load(fixed)
    assert arrays.keys() == wanted.keys()
    for name, array in wanted.items():
        if not name.endswith("/writes"):  # which the hardware does not count
            assert np.array_equal(arrays[name], array), name
    for name in ("test_accuracy", "train_loss", "saturations", "pulses", "clips", "coincidences"):
        assert result[name] == expected[name], name
    assert result["energy"] == expected["energy"]
    assert result["machine"]["cycles"] > result["machine"]["run_cycles"] > 0
    assert "bounded" not in result


def test_cells_read_from_the_model_are_those_that_the_twin_answers(settings, digits):
    cells = np.arange(2000, dtype=np.uint32)
    words = np.random.default_rng(1).integers(0, 256, cells.size)
    with rtl_training.machine(settings, digits.shape, digits.classes, Simulation()) as machine:
        harness = machine.harness
        assert isinstance(harness, NativeHarness)
        harness.program(cells, words)
        assert np.array_equal(harness.cells(cells), words)
        assert np.array_equal(harness.cells(cells, by_port=True), words)


def test_layers_lie_side_by_side_without_overlap(accelerator):
    sizes = [(16, 10), (32, 145), (128, 129), (10, 129)]
    plans = [LayerPlan("", m, n, 1, 1, 1) for m, n in sizes]
    placement = Placement.of(plans, replace(accelerator, grid_rows=64))
    tiles = [
        (row + i, column + j)
        for (row, column), (m, n) in zip(placement.origins, sizes, strict=True)
        for i in range(-(-n // accelerator.tile_rows))
        for j in range(-(-m // accelerator.tile_columns))
    ]
    assert len(set(tiles)) == len(tiles)
    assert all(row < placement.grid[0] and column < placement.grid[1] for row, column in tiles)


def test_a_network_of_too_many_tiles_names_the_parameter_to_raise(accelerator):
    plans = [LayerPlan("", 128, 160, 1, 1, 1)] * 4
    with pytest.raises(SimulatorError, match=r"80 x 16 tiles.*grid_rows = 24 .*--set grid_rows=80"):
        Placement.of(plans, accelerator)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"array": "ideal"}, "array = ideal does not go with arithmetic = rtl"),
        ({"optimizer": "mbgd"}, "optimizer = sbpca"),
        ({"device": Device(law="soft-bounds")}, "device law = soft-bounds does not go"),
        ({"device": Device(cell="pair")}, "device cell = pair does not go"),
        ({"device": Device(states=1 << 20)}, "device states = 1048576 exceed"),
        ({"reads": Reads("analog", dac_bits=9)}, "dac_bits = 9 must be at most 8 .* rtl"),
        ({"reads": Reads("analog", output_noise=0.1)}, "output_noise = 0.1 must be at most 0"),
    ],
)
def test_what_the_hardware_cannot_do_is_refused(settings, changed, message):
    with pytest.raises(TrainingError, match=message):
        replace(settings, **changed)


def test_hardware_arithmetic_without_hardware_is_refused(settings, digits):
    with pytest.raises(TrainingError, match="arithmetic = rtl needs a machine"):
        training.train(settings, digits)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"harness": "verilog"}, "unknown harness 'verilog'; choose one of: native, cocotb"),
        ({"simulator": "icarus"}, "native harness is Verilator's"),
        ({"harness": "cocotb", "waves": "a.fst"}, "recorded by the native harness"),
        ({"waves": "a.png"}, r"must end in \.fst or \.vcd"),
    ],
)
def test_simulations_that_do_not_go_together_are_refused(options, message, tmp_path):
    if "waves" in options:
        options = options | {"waves": tmp_path / options["waves"]}
    with pytest.raises(SimulatorError, match=message):
        Simulation(**options)


def test_the_command_tells_what_was_simulated(settings, command_line, tmp_path):
    config, results = tmp_path / "parameters.toml", tmp_path / "results.json"
    config.write_text(settings.parameters.to_toml())
    options = ("--arithmetic", "rtl", "--rank", 2, "--batch", 8, "--train-limit", 8)
    devices = ("--device-states", 256, "--config", config, "--json", results)
    status, output, _ = command_line("train", *options, *devices)
    assert status == 0
    machine = json.loads(results.read_text())["machine"]
    assert f"machine: {machine['cycles']} clock cycles, " in output
    assert set(machine) == {
        "cycles", "run_cycles", "update_cycles", "read_cycles", "seconds",
        "cycles_per_second",
    }  # fmt: skip


@pytest.mark.nightly
def test_the_view_shows_signals_that_the_waveforms_have(settings, digits, tmp_path):
    waves = tmp_path / "run.vcd"
    simulation = Simulation(waves=waves)
    with rtl_training.machine(settings, digits.shape, digits.classes, simulation):
        pass
    view = waves.with_suffix(".gtkw").read_text()
    recorded = vcd_signals(waves.read_text())
    wanted = {line.split()[-1] for line in view.splitlines() if re.search(rf"(^| ){TOP}\.", line)}
    assert len(wanted) > 10
    assert wanted <= recorded
    assert "UPDATE" in waves.with_suffix(".phases").read_text()


def vcd_signals(text):
    """Full names, with their ranges, of the signals that the VCD file `text` declares."""
    scopes, names = [], set()
    for line in text.splitlines():
        match line.split():
            case ["$scope", _, scope, "$end"]:
                scopes.append(scope)
            case ["$upscope", "$end"]:
                scopes.pop()
            case ["$var", _, _, _, name, *range_, "$end"]:
                names.add(".".join([*scopes, name]) + "".join(range_))
    return names


def test_the_preset_of_the_boards_holds_the_cnn_on_digits():
    parameters = PRESETS[BOARDS["ulx3s_85f"].preset]
    run = TrainingSettings(arithmetic="rtl", array="pulsed", parameters=parameters)
    plans = run.plan((1, 8, 8), 10)
    assert Placement.of(plans, parameters).grid == (53, 16)
