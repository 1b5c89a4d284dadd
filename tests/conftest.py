"""What tests share: the command line, and an accelerator that simulators build fast."""

import os
import resource
from contextlib import contextmanager
from dataclasses import replace

# Set before NumPy is imported: tests run on all cores already.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
from hypothesis import settings

import eigenbar
from golden_model.parameters import PRESETS

# The first call of a function may compile it; how long a test takes is no property to test.
settings.register_profile("eigenbar", deadline=None)
settings.load_profile("eigenbar")


@pytest.fixture
def command_line(monkeypatch, capsys):
    """Run `eigenbar` with arguments; returns exit status, standard output and standard error."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["eigenbar", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            eigenbar.main()
        output = capsys.readouterr()
        return exit_.value.code or 0, output.out, output.err

    return run


@pytest.fixture
def full_disk():
    """Within `full_disk(most)` no file can grow beyond so many bytes: as on a disk without room."""

    @contextmanager
    def limit(most):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limit


@pytest.fixture(scope="session")
def accelerator():
    """A narrow accelerator that holds the layers of the CNN on digits."""
    return replace(PRESETS["small"], grid_rows=24, grid_columns=20)
