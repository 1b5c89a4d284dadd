"""The tables of docs/training.md are those of the code.

`python -m tests.golden_model.test_training_document` writes them anew.
"""

import re
from pathlib import Path

import pytest

from golden_model.architectures import NETWORKS, batch_bytes, layer_shapes
from golden_model.datasets import CLASSES, SHAPES
from golden_model.parameters import PRESETS

DOCUMENT = Path(__file__).parents[2] / "docs" / "training.md"

SETS = {"cnn": "fashion-mnist", "mlp": "digits", "lenet5": "mnist", "vgg8": "cifar-10"}
"""What each network's table is for."""

BATCHES = (16, 64, 256)


def layer_table(network):
    rows = ["| layer | m x n | positions |", "|---|---|---|"]
    rows += [
        f"| `{layer.name}` | {layer.m} x {layer.n} | {layer.positions} |"
        for layer in layer_shapes(network, SHAPES[SETS[network]], CLASSES)
    ]
    return "\n".join(rows)


def memory_table():
    batches = " | ".join(f"batch {batch}" for batch in BATCHES)
    rows = [f"| network | {batches} |", "|---|" + "---|" * len(BATCHES)]
    for network, data_set in SETS.items():
        sizes = (batch_bytes(network, SHAPES[data_set], CLASSES, batch) for batch in BATCHES)
        numbers = " | ".join(f"{size / 1e6:.0f} MB" for size in sizes)
        rows.append(f"| `{network}`, `{data_set}` | {numbers} |")
    return "\n".join(rows)


def tables():
    """The tables by their marks in the document."""
    layers = {f"{network} {data_set}": layer_table(network) for network, data_set in SETS.items()}
    return {**layers, "memory": memory_table()}


def with_tables(text):
    """`text` with the tables below their marks replaced."""
    for mark, table in tables().items():
        text = re.sub(rf"(<!-- {mark} -->\n)(\n(\|.*\n)+)?", rf"\1\n{table}\n", text)
    return text


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
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text()))
