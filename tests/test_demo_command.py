"""`eigenbar demo` as its user sees it."""

import json
import re

import pytest


@pytest.mark.xdist_group("simulation")
def test_the_demonstration_trains_simulates_and_reports(command_line, accelerator, tmp_path):
    config, out = tmp_path / "small.toml", tmp_path / "results"
    config.write_text(accelerator.to_toml())
    status, output, _ = command_line(
        "demo", "--config", config, "--epochs", 1, "--rank", 2, "--out", out
    )
    results = json.loads((out / "demo.json").read_text())
    page = (out / "demo.html").read_text()
    assert status == 0
    assert list(results["training"]) == ["MBGD, float", "SBPCA, float", "SBPCA, fixed"]
    assert results["cosimulation"]["mismatches"] == 0
    assert results["cosimulation"]["pulses"] > 0
    assert str(out / "demo.html") in output.replace("\n", "")
    assert (out / "verilog" / "eigenbar.v").exists()
    assert page.count("<svg") == 3
    assert "none differs" in page
    assert not re.search(r'(src|href)="(?!#|data:)', page)  # needs no other file


def test_missing_matplotlib_is_told_before_the_work(command_line, monkeypatch, tmp_path):
    monkeypatch.setattr("golden_model.page.find_spec", lambda _: None)
    status, _, error = command_line("demo", "--out", tmp_path / "results")
    assert status == 2
    assert "pip install 'eigenbar[report]'" in error
    assert not (tmp_path / "results").exists()


def test_a_layer_that_does_not_fit_is_named(command_line, tmp_path):
    status, _, error = command_line("demo", "--preset", "tiny", "--out", tmp_path / "results")
    assert status == 2
    assert "exceeds the accelerator's max_m x max_n" in error
    assert not (tmp_path / "results").exists()
