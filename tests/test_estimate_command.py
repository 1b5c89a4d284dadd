"""`eigenbar estimate`: a table, JSON, and errors in one line."""

import json

import pytest


def test_estimate_prints_every_layer_and_their_sum(command_line, tmp_path):
    path = tmp_path / "estimate.json"
    status, output, _ = command_line("estimate", "--dataset", "digits", "--json", path)
    assert status == 0
    assert all(name in output for name in ("conv1", "fc2", "all", "multiply cycles", "memory"))
    results = json.loads(path.read_text())
    cells = [layer["cells"] for layer in results["layers"]]
    assert results["batch"]["cells"] == sum(cells)


def test_estimate_takes_images_of_any_shape(command_line):
    status, output, _ = command_line(
        "estimate", "--image", "3,32,32", "--network", "mlp", "--classes", 100
    )
    assert status == 2  # 3073 inputs are above the default preset's max_n
    status, output, _ = command_line(
        "estimate", "--image", "3,32,32", "--network", "mlp", "--preset", "large"
    )
    assert status == 0
    assert "3,073" in output


def test_estimate_prices_reads_optimiser_and_updates(command_line, tmp_path):
    path, table = tmp_path / "estimate.json", tmp_path / "table.toml"
    table.write_text("adc_step = 0\ndac_bit = 0\nread_cell = 1\nadd_32 = 0\n")
    options = ("--dataset", "digits", "--json", path, "--read-set", "encoding=bit-serial")
    status, output, _ = command_line("estimate", *options, "--energy", table)
    batch = json.loads(path.read_text())["batch"]
    assert status == 0
    assert "most update energy pj" in output
    assert batch["read_energy_pj"] == batch["cell_reads"]
    command_line("estimate", "--dataset", "digits", "--json", path)
    whole = json.loads(path.read_text())["batch"]
    assert batch["cell_reads"] == 7 * whole["cell_reads"]


def test_a_rank_sum_update_shows_in_the_estimate(command_line, tmp_path):
    path = tmp_path / "estimate.json"
    found = []
    for update in ("rank-sequential", "rank-sum"):
        command_line("estimate", "--dataset", "digits", "--update", update, "--json", path)
        found.append(json.loads(path.read_text())["batch"])
    alone, summed = found
    assert summed["memory"] == alone["memory"] + alone["cells"]
    assert (summed["outer_products"], summed["cell_writes"]) == (0, alone["cells"])
    assert summed["optimizer_energy_pj"] > alone["optimizer_energy_pj"]


def test_results_that_the_disk_has_no_room_for_leave_no_part_of_a_file(
    command_line, tmp_path, full_disk
):
    path = tmp_path / "estimate.json"
    path.write_text("earlier")
    with full_disk(100):
        status, _, error = command_line("estimate", "--dataset", "digits", "--json", path)
    assert status == 2
    assert error.startswith(f"eigenbar: cannot write {path}: File too large; ")
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--update", "sum"), "update = 'sum' is unknown"),
        (("--read-set", "dac_bits=1"), "dac_bits = 1 must be an integer from 2 to 16"),
        (("--energy", "missing.toml"), "cannot read missing.toml"),
        (("--image", "3,32"), "--image '3,32' must be three integers C,H,W"),
        (("--image", "0,8,8"), "of at least 1"),
        (("--slots", 3), "slots = 3 must be a power of two"),
        (("--slots", 0), "slots = 0 must be a power of two"),
        (("--classes", 0), "classes = 0 must be at least 1"),
        (("--batch", 10**20), "must be at most 1000000 images"),
        (("--layer-ranks", "4,x"), "must be integers K,K,..."),
        (("--rank", 4000), "rank = 4000 is above every layer's"),
        (("--image", "1,9,9"), "height and width must be multiples of 4"),
    ],
)
def test_what_does_not_fit_is_an_error_of_one_line(command_line, arguments, message):
    status, _, error = command_line("estimate", *arguments)
    assert status == 2
    assert message in error
    assert len(error.strip().splitlines()) == 1
