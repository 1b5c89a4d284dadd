"""The tables of docs/training.md are those of the code.

`python -m tests.golden_model.test_training_document` writes them anew.
"""

from pathlib import Path

import pytest

from golden_model.architectures import NETWORKS, batch_bytes, layer_shapes
from golden_model.datasets import CLASSES, SHAPES
from golden_model.markdown import table, with_tables
from golden_model.parameters import PRESETS

DOCUMENT = Path(__file__).parents[2] / "docs" / "training.md"

SETS = {"cnn": "fashion-mnist", "mlp": "digits", "lenet5": "mnist", "vgg8": "cifar-10"}
"""What each network's table is for."""

BATCHES = (16, 64, 256)


def layer_table(network):
    layers = layer_shapes(network, SHAPES[SETS[network]], CLASSES)
    rows = [(f"`{layer.name}`", f"{layer.m} x {layer.n}", f"{layer.positions}") for layer in layers]
    return table(("layer", "m x n", "positions"), rows)


def memory_table():
    rows = []
    for network, data_set in SETS.items():
        sizes = (batch_bytes(network, SHAPES[data_set], CLASSES, batch) for batch in BATCHES)
        rows.append((f"`{network}`, `{data_set}`", *(f"{size / 1e6:.0f} MB" for size in sizes)))
    return table(("network", *(f"batch {batch}" for batch in BATCHES)), rows)


def tables():
    """The tables by their marks in the document."""
    layers = {f"{network} {data_set}": layer_table(network) for network, data_set in SETS.items()}
    return {**layers, "memory": memory_table()}


def test_every_network_has_a_table():
    assert tuple(SETS) == NETWORKS


@pytest.mark.parametrize("mark", tables())
def test_the_tables_are_those_of_the_code(mark):
    assert f"<!-- {mark} -->\n\n{tables()[mark]}\n" in DOCUMENT.read_text()


def test_the_presets_hold_what_the_document_says():
    layers = [
        (network, layer)
        for network, data_set in SETS.items()
        for layer in layer_shapes(network, SHAPES[data_set], CLASSES)
    ]
    too_large = {
        name: [
            (network, layer.name)
            for network, layer in layers
            if layer.m > preset.max_m or layer.n > preset.max_n
        ]
        for name, preset in PRESETS.items()
    }
    assert too_large["default"] == [("vgg8", "fc1")]
    assert too_large["large"] == []


if __name__ == "__main__":
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text(), tables()))
