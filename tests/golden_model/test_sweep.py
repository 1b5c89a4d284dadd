"""Sweeps: which runs they take, what makes two runs the same, and what a file must hold."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden_model.arrays import Device
from golden_model.parameters import Parameters
from golden_model.sweep import (
    BASE,
    ComparisonError,
    Sweep,
    identity,
    label,
    parse_seeds,
    recorded_settings,
    relevant,
    varied,
)
from golden_model.training_settings import with_width

FILE = """
seeds = "0-1"

[settings]
network = "mlp"
epochs = 2
parameters.columns = 2

[[group]]
optimizer = "mbgd"
learning_rate = [0.1, 0.3]

[[group]]
rank = [1, 2]
parameters.width = [8, 16]
device = [{states = 64}, {states = 64, scrambled = false}]
array = "pulsed"
"""


@pytest.fixture
def sweep_file(tmp_path):
    """Write a sweep file; returns its path."""

    def write(text):
        path = tmp_path / "sweep.toml"
        path.write_text(text)
        return path

    return write


def test_a_file_gives_the_product_of_each_groups_axes_for_every_seed(sweep_file):
    runs = Sweep.from_toml(sweep_file(FILE)).runs()
    base = replace(BASE, network="mlp", epochs=2, parameters=Parameters(columns=2))
    expected = []
    for seed in (0, 1):
        seeded = replace(base, seed=seed)
        expected += [replace(seeded, optimizer="mbgd", learning_rate=rate) for rate in (0.1, 0.3)]
        pulsed = replace(seeded, array="pulsed")
        expected += [
            replace(pulsed, rank=rank, parameters=parameters, device=Device(64, 6.0, encoding))
            for rank in (1, 2)
            for parameters in (with_width(base.parameters, 8), with_width(base.parameters, 16))
            for encoding in (True, False)
        ]
    assert runs == expected


def test_the_documents_example_is_a_sweep(sweep_file):
    document = (Path(__file__).parents[2] / "docs" / "compare.md").read_text()
    (example,) = re.findall(r"```toml\n(.*?)```", document, re.DOTALL)
    assert len(Sweep.from_toml(sweep_file(example)).runs()) == 3 * (3 + 5 * 3 + 2 * 3 * 2)


def test_a_sweep_without_groups_is_one_run(sweep_file):
    assert Sweep.from_toml(sweep_file("")).runs() == [BASE]


def test_given_axes_take_the_place_of_the_groups_own(sweep_file):
    sweep = Sweep.from_toml(sweep_file("[[group]]\nrank = [1, 2]\n[[group]]\nblock = [4]"))
    runs = sweep.with_axes({"rank": [7]}).runs()
    assert [(run.rank, run.block) for run in runs] == [(7, 8), (7, 4)]


def test_a_run_that_two_groups_share_is_done_once():
    sweep = Sweep(BASE, [{"rank": [1, 2]}, {"rank": [2, 3]}], [0])
    assert [run.rank for run in sweep.runs()] == [1, 2, 3]


def test_settings_that_a_run_ignores_do_not_multiply_it():
    axes = {"optimizer": ["mbgd", "sbpca"], "rank": [1, 2], "arithmetic": ["float", "fixed"],
            "parameters.width": [8, 16], "device.states": [64, 128]}  # fmt: skip
    runs = Sweep(BASE, [axes], [0]).runs()
    assert [(run.optimizer, run.rank, run.arithmetic, run.parameters.width) for run in runs] == [
        ("mbgd", 1, "float", 8),
        ("sbpca", 1, "float", 8),
        ("sbpca", 1, "fixed", 8),
        ("sbpca", 1, "fixed", 16),
        ("sbpca", 2, "float", 8),
        ("sbpca", 2, "fixed", 8),
        ("sbpca", 2, "fixed", 16),
    ]


@given(
    st.sampled_from(["seed", "epochs", "rank", "batch", "block"]), st.integers(1, 9),
    st.integers(1, 9),
)  # fmt: skip
def test_runs_are_the_same_exactly_if_their_settings_are(name, first, second):
    runs = [replace(BASE, **{name: value}) for value in (first, second)]
    assert (identity(runs[0]) == identity(runs[1])) == (first == second)


def test_where_tiles_lie_in_the_grid_matters_to_no_run():
    wide = replace(BASE.parameters, grid_rows=128, grid_columns=16)
    for run in (BASE, replace(BASE, array="pulsed")):
        assert identity(replace(run, parameters=wide)) == identity(run)


def test_devices_matter_to_pulsed_arrays_only():
    assert "device.states" not in relevant(BASE)
    pulsed = replace(BASE, array="pulsed")
    assert relevant(pulsed)["device.states"] == BASE.device.states
    assert relevant(pulsed).keys() - relevant(BASE).keys() > {"parameters.max_slots"}


def test_parts_of_a_device_that_others_do_not_have_do_not_multiply_runs():
    axes = {
        "array": ["pulsed"],
        "device.law": ["ideal", "linear-step", "soft-bounds"],
        "device.linear.slope_up": [0.1, 0.2],
        "device.rounding": ["none", "nearest"],
        "device.refresh.period": [1, 2],
        "device.drift.exponent": [0.0, 0.1],
    }
    devices = [run.device for run in Sweep(BASE, [axes], [0]).runs()]
    assert [device.law for device in devices] == [
        "ideal", *["linear-step"] * 8, *["soft-bounds"] * 4
    ]  # fmt: skip
    pairs = Sweep(BASE, [{**axes, "device.cell": ["pair"]}], [0]).runs()
    assert len(pairs) == 2 * len(devices)


def test_published_devices_are_an_axis(sweep_file):
    sweep = sweep_file('[[group]]\narray = "pulsed"\ndevice = ["rram", "ecram"]')
    assert [run.device for run in Sweep.from_toml(sweep).runs()] == [
        Device.preset("rram"),
        Device.preset("ecram"),
    ]


def test_published_devices_go_by_their_names():
    axes = {"array": ["pulsed"], "device": ["pcm", "ecram"], "rank": [1, 2]}
    changed = {"array": ["pulsed"], "device": ["fefet"], "device.law": ["soft-bounds"]}
    runs = [relevant(run) for run in Sweep(BASE, [axes, changed], [0]).runs()]
    names = varied(runs)
    labels = [label(run, names) for run in runs]
    assert labels[:4] == ["pcm, rank 1", "pcm, rank 2", "ecram, rank 1", "ecram, rank 2"]
    assert labels[4].startswith("soft-bounds, ")


def test_an_unknown_device_is_named(sweep_file):
    sweep = Sweep.from_toml(sweep_file('[[group]]\narray = "pulsed"\ndevice = ["flash"]'))
    with pytest.raises(ComparisonError, match="unknown device preset 'flash'"):
        sweep.runs()


def test_a_run_is_named_by_what_it_does_not_share_with_the_others():
    axes = {"optimizer": ["mbgd", "sbpca"], "rank": [1, 2], "learning_rate": [0.1, 0.2]}
    runs = [relevant(run) for run in Sweep(BASE, [axes], [0]).runs()]
    names = varied(runs)
    assert names == ["optimizer", "rank", "learning_rate"]
    assert label(runs[0], names) == "mbgd, learning rate 0.1"
    assert label(runs[-1], names) == "sbpca, rank 2, learning rate 0.2"


def test_a_recorded_run_has_the_identity_of_its_settings():
    run = replace(BASE, rank=3, device=Device(states=64), parameters=Parameters.preset("tiny"))
    recorded = run.as_dict()
    assert identity(recorded_settings(recorded)) == identity(run)
    del recorded["block"]  # recorded before there was such a setting
    assert identity(recorded_settings(recorded)) == identity(run)


@pytest.mark.parametrize(("text", "seeds"), [("3", [3]), ("0-2,7", [0, 1, 2, 7])])
def test_seeds_are_numbers_and_ranges(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "2-0", "-1", "1,,2", "0-"])
def test_seeds_that_are_none_are_refused(text):
    with pytest.raises(ComparisonError, match="must be numbers from 0 or ranges"):
        parse_seeds(text)


def test_a_range_of_more_seeds_than_anyone_runs_is_refused():
    assert len(parse_seeds("1-10000")) == 10000
    with pytest.raises(ComparisonError, match="are too many: at most 10000 in a range"):
        parse_seeds("0-99999999999")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rank = 4", "unknown key 'rank'; choose from: seeds, settings, group"),
        ("[settings]\nspeed = 1", "unknown setting 'speed'; choose from those: dataset"),
        ("[settings]\nrank = [1, 2]", r"rank = \[1, 2\] must be an integer"),
        ("[settings]\nparameters.width = 2", "width = 2 .* from 8 to 18"),
        ("[settings]\nseed = 1", r"seed does not belong in \[settings\]"),
        ("settings = 3", "settings must be a table"),
        ("[group]\nrank = 1", r"group must be a table, as often as need be: \[\[group\]\]"),
        ("[[group]]\nseed = [1]", r"seed does not belong in \[\[group\]\]"),
        ("[[group]]\nrank = []", "rank = .* has no value to take"),
        ("seeds = []", "seeds = .* must be a list of integers"),
        ("seeds = [0.5]", "seeds = .* must be a list of integers"),
        ("seeds = 'a'", "must be numbers from 0 or ranges"),
        ("seeds = ", "is not valid TOML"),
    ],
)
def test_a_file_that_is_no_sweep_is_refused_with_the_key(sweep_file, text, message):
    with pytest.raises(ComparisonError, match=rf"sweep\.toml.*{message}"):
        Sweep.from_toml(sweep_file(text))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ComparisonError, match=r"cannot read .*none\.toml: No such file"):
        Sweep.from_toml(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"learning_rate": [0.1, float("nan")]}, "learning_rate = nan must be a finite number"),
        ({"parameters.width": [8, 2]}, r"width = 2 .* must be an integer from 8 to 18"),
        ({"train_limit": [0]}, "train_limit = 0 must be an integer of at least 1"),
        ({"rank": [0]}, "rank = 0 must be"),
        ({"array": ["pulsed"], "arithmetic": ["fixed", "float"]}, "array = pulsed goes with"),
        ({"ranks": [1]}, "unknown setting 'ranks'"),
        ({"array": ["pulsed"], "arithmetic": ["rtl"]}, "rtl is trained by `eigenbar train` alone"),
    ],
)
def test_a_combination_that_is_not_allowed_is_named(axes, message):
    with pytest.raises(ComparisonError, match=rf"{message}.*\(in group 2, .*seed = 5\)"):
        Sweep(BASE, [{}, axes], [5]).runs()
