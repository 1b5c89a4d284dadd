"""The README's examples run, in their order."""

import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_the_python_examples_run(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    examples = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(examples) == 3
    for example in examples:
        exec(example, names)
    error = names["gradient"] - names["errors"].T @ names["activations"] / 256
    assert (error**2).sum() < 0.9 * ((names["errors"].T @ names["activations"] / 256) ** 2).sum()
    assert (tmp_path / "build" / "accelerator" / "eigenbar.v").exists()
