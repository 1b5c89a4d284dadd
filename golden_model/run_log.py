"""The results of a comparison: one JSON object a line, appended as runs finish, never lost.

A line is appended whole and reaches the disk before the next run is counted as done. A process that
is killed while it appends leaves at most an unfinished last line, which the next one removes.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from golden_model.sweep import ComparisonError

Line = dict[str, Any]
"""One result."""


def read_lines(path: Path) -> list[Line]:
    """The whole lines of `path`, which another process may be appending to.

    Raises `ComparisonError` if `path` cannot be read, or has a line that is no result.
    """
    try:
        return _parse(path, path.read_bytes())[0]
    except OSError as error:
        raise ComparisonError(f"cannot read {path}: {error.strerror}") from error


class RunLog:
    """Results in a file, open for one process to append to."""

    lines: list[Line]
    """The results in the file, those appended by this object too."""
    removed: int
    """Bytes of the unfinished last line that was removed."""

    def __init__(self, path: Path) -> None:
        """Open `path`, new or not, and remove an unfinished last line.

        Raises `ComparisonError` if `path` cannot be used, if another process appends to it, and if
        one of its lines is no result; the file is then left as it is.
        """
        self.path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            raise ComparisonError(f"cannot write {path}: {error.strerror}") from error
        try:
            self._lock()
            contents = path.read_bytes()
            self.lines, whole = _parse(path, contents)
            self.removed = len(contents) - whole
            if self.removed:
                os.ftruncate(self._file, whole)
            elif contents and not contents.endswith(b"\n"):
                self._write(b"\n")
        except BaseException:
            os.close(self._file)
            raise

    def append(self, line: Mapping[str, Any]) -> None:
        """Append `line`; it is on disk when this returns.

        Raises `ComparisonError` if the disk takes no more; the file is then as it was before.
        """
        text = json.dumps(line, allow_nan=False) + "\n"
        self._write(text.encode())
        self.lines.append(dict(line))

    def close(self) -> None:
        """Let other processes append."""
        os.close(self._file)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _lock(self) -> None:
        """Keep other processes out until the file is closed or the process ends."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ComparisonError(
                f"{self.path} is in use: another comparison writes to this folder; "
                "wait for it or take another folder"
            ) from None

    def _write(self, data: bytes) -> None:
        """Append `data` whole, or raise `ComparisonError` and leave nothing of it."""
        size = os.fstat(self._file).st_size
        try:
            written = 0
            while written < len(data):
                written += os.write(self._file, data[written:])
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, size)
            raise ComparisonError(
                f"cannot append to {self.path}: {error.strerror}; the {len(self.lines)} results "
                "in it are safe: make room and give the same command again to continue"
            ) from error


def _parse(path: Path, contents: bytes) -> tuple[list[Line], int]:
    """The results in `contents` of `path`, and how many bytes they take.

    A last line without its end counts if it is whole. Raises `ComparisonError` for any other line
    that is no result.
    """
    lines: list[Line] = []
    size = 0
    for number, text in enumerate(io.BytesIO(contents), start=1):
        line = _result(text)
        if line is None and not text.endswith(b"\n"):
            break
        if line is None:
            raise ComparisonError(
                f"line {number} of {path} is not a result of this program: the file is damaged. "
                "Remove that line, or the file, and give the same command again: only runs that "
                "are missing are repeated"
            )
        lines.append(line)
        size += len(text)
    return lines, size


def _result(text: bytes) -> Line | None:
    """The result that `text` writes, or None if it is none."""
    try:
        line = json.loads(text)
    except ValueError:
        return None
    if not isinstance(line, dict) or not {"run", "status", "settings"} <= line.keys():
        return None
    return line
