"""`eigenbar generate` as its user sees it."""

import json
import os
import tomllib

import pytest

from golden_model.parameters import Parameters
from hdl.verilog import NAME, Design

FILES = {
    f"{NAME}.v",
    "parameters.toml",
    "registers.md",
    "registers.json",
    "design.json",
    f"{NAME}.h",
    f"{NAME}.core",
    f"{NAME}.xml",
}


@pytest.fixture
def run(command_line, tmp_path):
    """Run `eigenbar generate --out OUT`, OUT being a new folder unless given."""

    def generate(*arguments, out=tmp_path / "out"):
        return command_line("generate", "--out", out, *arguments)

    return generate


def test_all_files_are_written_and_agree(run, tmp_path):
    out = tmp_path / "out"
    status, output, _ = run("--preset", "tiny", "--set", "max_n=24", "--json", tmp_path / "g.json")
    parameters = tomllib.loads((out / "parameters.toml").read_text())
    design = json.loads((out / "design.json").read_text())
    verilog = (out / f"{NAME}.v").read_text()
    assert status == 0
    assert set(os.listdir(out)) == FILES
    assert output.split() == json.loads((tmp_path / "g.json").read_text())["files"]
    assert Parameters.from_toml(out / "parameters.toml").max_n == 24
    assert design["parameters"] == parameters
    assert f"module {design['module']}(" in verilog
    for port in design["ports"]:
        width = "" if port["width"] == 1 else rf"[{port['width'] - 1}:0] "
        assert f"\n  {port['direction']} {width}{port['name']};" in verilog
    assert "samples" in design["ideal_block_cycles"]
    assert all(isinstance(cycles, int) for cycles in design["latencies"].values())


def test_the_same_parameters_give_the_same_bytes(run, tmp_path, monkeypatch):
    run("--preset", "tiny")
    first = {name: (tmp_path / "out" / name).read_bytes() for name in FILES}
    monkeypatch.setattr(Design, "of", staticmethod(Design.of.__wrapped__))  # without its cache
    run("--preset", "tiny", out=tmp_path / "again")
    assert {name: (tmp_path / "again" / name).read_bytes() for name in FILES} == first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--preset", "huge"], "unknown preset 'huge'; choose one of: tiny, small, default, large"),
        (["--set", "width=7"], "width = 7 (bits of a word"),
        (["--set", "width"], "setting 'width' must have the form NAME=INTEGER"),
        (["--set", "colums=4"], "unknown parameter 'colums'"),
        (["--config", "missing.toml"], "cannot read missing.toml"),
        (["--config", "x.toml", "--preset", "tiny"], "--preset and --config exclude each other"),
    ],
)
def test_a_users_error_is_one_clear_line_and_writes_nothing(run, tmp_path, options, message):
    status, output, error = run(*options)
    assert status == 2
    assert output == ""
    assert error.startswith("eigenbar: ")
    assert message in error
    assert len(error.splitlines()) == 1
    assert os.listdir(tmp_path) == []


def test_malformed_toml_is_named_with_its_place(run, tmp_path):
    config = tmp_path / "bad.toml"
    config.write_text("width = 16\nlanes = = 4\n")
    status, _, error = run("--config", config)
    assert status == 2
    assert "bad.toml is not valid TOML" in error
    assert "line 2" in error


def test_a_folder_that_cannot_be_written_is_named(run, tmp_path):
    (tmp_path / "file").write_text("kept")
    status, _, error = run("--preset", "tiny", out=tmp_path / "file" / "out")
    assert status == 2
    assert "cannot write to" in error
    assert "choose another folder with --out" in error
    assert (tmp_path / "file").read_text() == "kept"


def test_failing_half_way_leaves_the_folder_as_it_was(run, tmp_path, monkeypatch):
    run("--preset", "tiny")
    before = {name: (tmp_path / "out" / name).read_bytes() for name in FILES}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hdl.generation.os.replace", full)
    status, _, error = run("--preset", "tiny", "--set", "max_n=24")
    assert status == 2
    assert "No space left on device" in error
    assert {
        name: (tmp_path / "out" / name).read_bytes() for name in os.listdir(tmp_path / "out")
    } == before
