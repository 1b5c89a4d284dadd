"""A board through the pins of its UART: training on it equals the golden model to the bit."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import tty
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import serial

from golden_model import datasets, training
from golden_model.arrays import Device
from golden_model.checkpoints import load
from golden_model.commands import Opcode, encode
from golden_model.fixed import Samples, golden_runner, initial_fixed_state
from golden_model.reads import Reads
from golden_model.training_settings import TrainingSettings
from hdl.registers import RegisterMap
from hdl.system import twin_spec
from sim import rtl_training
from sim.board_port import open_board
from sim.command_stream import BoardError
from sim.host_link import LinkError
from sim.machine import Placement
from sim.rtl_training import BoardAt
from sim.simulated_board import SIMULATED_BAUD, SimulatedBoard, build_board
from sim.tools import SimulatorError

pytestmark = pytest.mark.xdist_group("simulation")  # one worker builds, once


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


@pytest.fixture(scope="module")
def settings(accelerator):
    """Training of the CNN on digits, all of whose layers lie in one grid of tiles."""
    return TrainingSettings(
        dataset="digits",
        rank=2,
        batch=4,
        train_limit=4,
        parameters=replace(accelerator, grid_rows=64),
        arithmetic="board",
        array="pulsed",
        device=Device(states=256),
    )


@pytest.fixture(scope="module")
def spec(settings, digits):
    parameters = settings.parameters
    placement = Placement.of(settings.plan(digits.shape, digits.classes), parameters)
    return twin_spec(parameters, placement.grid, 256)


@pytest.fixture(scope="module")
def program(settings, spec):
    return build_board(settings.parameters, spec)


@contextmanager
def opened(board, settings, spec):
    with open_board(board.port, SIMULATED_BAUD, settings.parameters, spec) as harness:
        yield harness


def test_training_on_a_board_equals_fixed_although_one_frame_in_a_hundred_is_damaged(
    settings, digits, program, command_line, tmp_path
):
    fixed, trained, results = tmp_path / "fixed", tmp_path / "board", tmp_path / "results.json"
    expected = training.train(replace(settings, arithmetic="fixed"), digits, checkpoint=fixed)
    config = tmp_path / "parameters.toml"
    config.write_text(settings.parameters.to_toml())
    with SimulatedBoard(program, damage=0.01, seed=1) as board:
        status, output, error = command_line(
            "train", "--arithmetic", "board", "--port", board.port, "--baud", SIMULATED_BAUD,
            "--rank", 2, "--batch", 4, "--train-limit", 4, "--device-states", 256,
            "--config", config, "--checkpoint", trained, "--json", results,
        )  # fmt: skip
        assert status == 0, error
        passed = board.close()
    (arrays, _), (wanted, _) = load(trained), load(fixed)
    for name, array in wanted.items():
        if not name.endswith("/writes"):  # which the hardware does not count
            assert np.array_equal(arrays[name], array), name
    result = json.loads(results.read_text())
    for name in ("test_accuracy", "train_loss", "saturations", "pulses", "clips", "coincidences"):
        assert result[name] == expected[name], name
    machine = result["machine"]
    assert passed.to_board_damaged >= passed.to_board // 100 > 0
    assert passed.to_host_damaged >= passed.to_host // 100 > 0
    assert machine["frames_resent"] > 0
    assert machine["frames_damaged"] > 0
    assert f"link: {machine['frames_sent']} frames sent, {machine['frames_resent']} of" in output


def test_a_host_that_died_in_a_run_leaves_the_board_to_the_next(settings, digits, spec, program):
    parameters = settings.parameters
    plan = settings.plan(digits.shape, digits.classes)[0]
    state = initial_fixed_state(parameters, plan.m, plan.n, plan.rank, 0)
    random = np.random.default_rng(0)
    samples = [Samples(random.integers(-127, 128, (5, size))) for size in (plan.n, plan.m)]
    expected = golden_runner(parameters)(state, *samples, 5, 0.5)
    registers = RegisterMap.of(parameters)
    cells, words = np.arange(2, dtype=np.uint32), np.array([5, 7], np.uint32)
    with SimulatedBoard(program) as board:
        with opened(board, settings, spec) as harness:
            harness.program(cells, words)
            harness.write(registers.address("MODE"), registers["MODE"].encode(load=1))
            harness.write(registers.address("CONTROL"), registers["CONTROL"].encode(start=1))
            assert registers["STATUS"].decode(*harness.read([registers.address("STATUS")]))["busy"]
            harness.link.write(encode(Opcode.SEND, count=200) + bytes(7))
        with opened(board, settings, spec) as harness:
            assert not any(harness.read([registers.address("STATUS")]))
            assert np.array_equal(harness.cells(cells), words)
        hardware = BoardAt(board.port, SIMULATED_BAUD)
        with rtl_training.machine(settings, digits.shape, digits.classes, hardware) as machine:
            result = machine.factorise(0, state, *samples, 5, 0.5)
    assert np.array_equal(result.state.x, expected.state.x)
    assert np.array_equal(result.state.delta, expected.state.delta)
    assert np.array_equal(result.scale, expected.scale)


def test_a_malformed_command_is_answered_and_the_next_session_is_sound(settings, spec, program):
    with SimulatedBoard(program) as board:
        with opened(board, settings, spec) as harness:
            harness.link.write(b"\x99")
            with pytest.raises(BoardError, match="there is no command 0x99"):
                harness.read([0])
        with opened(board, settings, spec) as harness:
            assert harness.cycles > 0


def test_a_board_of_other_parameters_is_refused(settings, digits, program):
    other = replace(settings, parameters=replace(settings.parameters, max_block=256))
    more = replace(settings, device=Device(states=300))
    with SimulatedBoard(program) as board:
        hardware = BoardAt(board.port, SIMULATED_BAUD)
        with (
            pytest.raises(SimulatorError, match="machine has max_block = 512, not 256"),
            rtl_training.machine(other, digits.shape, digits.classes, hardware),
        ):
            pass
        with (
            pytest.raises(BoardError, match="states = 256, but 300 is needed"),
            rtl_training.machine(more, digits.shape, digits.classes, hardware),
        ):
            pass


@pytest.fixture
def silent_port():
    """A serial port at whose other end nobody answers."""
    near, far = pty.openpty()
    tty.setraw(far)
    yield os.ttyname(far)
    os.close(near)
    os.close(far)


def test_a_silent_board_is_told_of(settings, spec, silent_port):
    with (
        pytest.raises(LinkError, match="no board answered"),
        open_board(silent_port, 1_000_000, settings.parameters, spec),
    ):
        pass


def test_a_port_that_is_in_use_is_told_of(settings, spec, silent_port):
    with (
        serial.Serial(silent_port, exclusive=True),
        pytest.raises(BoardError, match=f"cannot open port {silent_port}: .*lock"),
        open_board(silent_port, 1_000_000, settings.parameters, spec),
    ):
        pass


@pytest.mark.parametrize(
    ("baud", "message"),
    [(0, "baud = 0 must be at least 1 bit a second"), (10**11, "cannot open port .*maximum")],
)
def test_a_rate_that_no_port_has_is_told_of(command_line, silent_port, baud, message):
    options = ("--arithmetic", "board", "--array", "pulsed", "--port", silent_port, "--baud", baud)
    status, _, error = command_line("train", *options)
    assert status == 2
    assert re.search(message, error)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--arithmetic", "board"), "needs --port, the serial port of the board"),
        (("--arithmetic", "board", "--port", "/dev/nowhere"), "cannot open port /dev/nowhere"),
        (
            ("--arithmetic", "board", "--port", "a", "--waves", "a.fst"),
            "goes with --arithmetic rtl",
        ),
        (("--port", "/dev/nowhere"), "--port /dev/nowhere goes with --arithmetic board"),
        (("--arithmetic", "board", "--array", "ideal"), "array = ideal does not go .* board"),
    ],
)
def test_a_board_asked_for_in_vain_is_told_of(command_line, options, message):
    status, _, error = command_line("train", *options)
    assert status == 2
    assert re.search(message, error)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--grid", "4"), "--grid '4' must be two integers ROWS,COLUMNS"),
        (("--grid", "1,1", "--damage", "2"), "damage = 2.0 must be a share"),
    ],
)
def test_a_simulated_board_that_cannot_be_is_refused(command_line, options, message):
    status, _, error = command_line("simulate-board", *options)
    assert status == 2
    assert message in error


@pytest.mark.nightly
def test_the_command_simulates_a_board_until_it_is_interrupted(settings, spec, program, tmp_path):
    config = tmp_path / "parameters.toml"
    config.write_text(settings.parameters.to_toml())
    grid = f"{spec.grid_rows},{spec.grid_columns}"
    command = [sys.executable, "-m", "eigenbar", "simulate-board", "--grid", grid,
               "--device-states", "256", "--damage", "0.2", "--config", config]  # fmt: skip
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        # What a shell started in the background ignores interruptions, and hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        _, port, _, baud = process.stdout.readline().split()
        with open_board(port, int(baud), settings.parameters, spec) as harness:
            for _ in range(10):
                assert harness.cycles > 0
        process.send_signal(signal.SIGINT)
        output = process.stdout.read()
    assert process.returncode == 0
    assert re.fullmatch(r"to the board (\d+) frames, (\d+) of them damaged; .*\n", output)


@pytest.mark.nightly
def test_a_training_resumed_by_another_host_equals_one_that_was_not_interrupted(
    settings, digits, program, tmp_path
):
    """With reads through the board's converters, and a line that is ten times as bad."""
    analog = Reads("analog", dac_bits=4, output_bound=0.25, retries=1)
    run = replace(settings, train_limit=1, batch=1, reads=analog)
    longer = replace(run, epochs=2)
    fixed, trained = tmp_path / "fixed", tmp_path / "board"
    expected = training.train(replace(longer, arithmetic="fixed"), digits, checkpoint=fixed)
    with SimulatedBoard(program, damage=0.1, seed=2) as board:
        hardware = BoardAt(board.port, SIMULATED_BAUD)
        rtl_training.train(run, digits, hardware=hardware, checkpoint=trained)
        result = rtl_training.train(
            longer, digits, hardware=hardware, checkpoint=trained, resume=True
        )
    (arrays, _), (wanted, _) = load(trained), load(fixed)
    for name, array in wanted.items():
        if not name.endswith("/writes"):
            assert np.array_equal(arrays[name], array), name
    assert result["reads"] == expected["reads"]
    assert result["machine"]["read_cycles"] > 0
