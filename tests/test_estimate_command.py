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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--image", "3,32"), "--image '3,32' must be three integers C,H,W"),
        (("--image", "0,8,8"), "of at least 1"),
        (("--slots", 3), "slots = 3 must be a power of two"),
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
