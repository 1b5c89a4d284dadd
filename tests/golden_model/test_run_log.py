"""The results' file: what is in it stays in it, whatever ends the process that appends."""

import errno
import json
import os
import resource

import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden_model.run_log import RunLog, read_lines
from golden_model.sweep import ComparisonError


def result(name):
    """A line of results."""
    return {"run": name, "status": "done", "settings": {}}


@pytest.fixture
def path(tmp_path):
    """A file of two results."""
    path = tmp_path / "runs.jsonl"
    with RunLog(path) as log:
        log.append(result("a"))
        log.append(result("b"))
    return path


def test_results_are_appended_a_line_each(path):
    with RunLog(path) as log:
        log.append(result("c"))
        assert log.lines == [result("a"), result("b"), result("c")]
    assert [json.loads(line) for line in path.read_text().splitlines()] == log.lines
    assert read_lines(path) == log.lines


@given(st.data())
def test_a_kill_while_appending_loses_no_whole_line(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("log") / "runs.jsonl"
    lines = [(json.dumps(result(name)) + "\n").encode() for name in "abc"]
    contents = b"".join(lines)
    cut = data.draw(st.integers(0, len(contents)))
    path.write_bytes(contents[:cut])
    whole = sum(cut >= sum(map(len, lines[: n + 1])) - 1 for n in range(3))  # the end is optional
    expected = [result(name) for name in "abc"[:whole]]
    assert read_lines(path) == expected
    assert path.stat().st_size == cut  # reading repairs nothing
    with RunLog(path) as log:
        assert log.lines == expected
        assert log.removed == max(0, cut - sum(map(len, lines[:whole])))
        log.append(result("d"))
    assert read_lines(path) == [*expected, result("d")]


@pytest.mark.parametrize("damage", [b"\0\0\0\n", b'{"run": "b", "sta\n', b"[1]\n", b'{"x": 1}\n'])
def test_a_damaged_line_is_named_and_nothing_is_changed(path, damage):
    first, second = path.read_bytes().splitlines(keepends=True)
    contents = first + damage + second + b'{"unfinished'
    path.write_bytes(contents)
    for use in (RunLog, read_lines):
        with pytest.raises(ComparisonError, match=r"line 2 of .*runs\.jsonl is not a result"):
            use(path)
    assert path.read_bytes() == contents


def test_one_process_appends_at_a_time(path):
    with RunLog(path):
        with pytest.raises(ComparisonError, match="in use: another comparison writes"):
            RunLog(path)
        assert len(read_lines(path)) == 2
    RunLog(path).close()


@pytest.fixture
def full_disk(path):
    """The disk takes ten more bytes, then no more."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_disk_that_fills_while_appending_leaves_the_whole_lines(path, full_disk):
    contents = path.read_bytes()
    with RunLog(path) as log, pytest.raises(ComparisonError, match=r"the 2 results in it are safe"):
        log.append(result("c"))
    assert path.read_bytes() == contents


def test_a_line_that_does_not_reach_the_disk_is_taken_back(path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with RunLog(path) as log:
        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(ComparisonError, match="No space left on device; the 2 results"):
            log.append(result("c"))
        monkeypatch.undo()
        log.append(result("d"))
    assert read_lines(path) == [result("a"), result("b"), result("d")]


def test_numbers_that_json_has_not_are_not_written(path):
    with RunLog(path) as log, pytest.raises(ValueError, match="JSON compliant"):
        log.append({**result("c"), "loss": float("nan")})
    assert len(read_lines(path)) == 2


def test_a_file_that_cannot_be_used_is_named(tmp_path):
    with pytest.raises(ComparisonError, match=r"cannot write .*: Is a directory"):
        RunLog(tmp_path)
    with pytest.raises(ComparisonError, match=r"cannot read .*: No such file"):
        read_lines(tmp_path / "runs.jsonl")
