"""Compiled functions and their sources compute the same bits; old machine code is never used."""

import os
import subprocess
import sys

import pytest

from golden_model import compiled

BATCH = """
import hashlib
import numpy as np
from golden_model import compiled
from golden_model.fixed import FixedSbpca
from golden_model.parameters import Parameters

digest = hashlib.sha256()
for seed, (width, m, n, k) in enumerate([(8, 5, 9, 5), (12, 20, 7, 3), (18, 16, 33, 8)]):
    random = np.random.default_rng(seed)
    layer = FixedSbpca(Parameters(width=width, max_slots=64), m, n, k)
    for scale in (1.0, 0.0, 3.0):
        errors = scale * random.standard_normal((50, 3)) @ random.standard_normal((3, m))
        layer.factorise(random.standard_normal((50, n)), errors, 16)
        for array in (*layer.state().values(), layer.scale):
            digest.update((np.ascontiguousarray(array) + 0.0).tobytes())
print(compiled.AVAILABLE, digest.hexdigest())
"""


def run(tmp_path, **variables):
    """What the batches come to in a process of its own with the environment `variables`."""
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)} | variables
    command = [sys.executable, "-c", BATCH]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return result.stdout.split()


@pytest.mark.skipif(not compiled.AVAILABLE, reason="there is nothing to compare without numba")
def test_compiled_functions_compute_the_bits_of_their_sources(tmp_path):
    plain = run(tmp_path, NUMBA_DISABLE_JIT="1")
    fast = run(tmp_path)
    assert (plain[0], fast[0]) == ("False", "True")
    assert plain[1] == fast[1]
    assert list(tmp_path.glob("eigenbar/compiled/*/**/*.nbi"))


def test_a_cache_folder_that_cannot_be_made_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    compiled._cache_folder.cache_clear()
    try:
        assert compiled._cache_folder() == ""
        assert compiled.compiled(lambda x: x + 1)(2) == 3
    finally:
        compiled._cache_folder.cache_clear()


def test_another_source_takes_another_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folders = []
    for text in ("a = 1", "a = 2"):
        (tmp_path / "source.py").write_text(text)
        monkeypatch.setattr(compiled, "__file__", str(tmp_path / "compiled.py"))
        compiled._cache_folder.cache_clear()
        folders.append(compiled._cache_folder())
    compiled._cache_folder.cache_clear()
    assert folders[0] != folders[1]
