"""Runs of tools, each done once: its folder is named by a hash of all that it follows from."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from golden_model.files import growing
from hdl.toolchains import BuildError, Tool

LOG = "log"
"""File of a step's folder that has what its tool printed."""

# A tool may work for an hour: it must not outlive a build that is killed, whose pipe then closes.
_END_WITH_PARENT = """\
import os, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
"""


class StepError(BuildError):
    """A tool failed; `log` is what it printed."""

    def __init__(self, tool: Tool, log: str) -> None:
        tail = "\n".join(log.splitlines()[-12:])
        super().__init__(f"{tool.name} failed:\n{tail}")
        self.log = log


class Steps:
    """The steps in a folder, of one process at a time.

    A step's folder appears when its tool has ended well; an interrupted one leaves nothing, or, if
    this process is killed, what the next one clears away. Raises `BuildError` if the folder cannot
    be written or another process is at it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: set[subprocess.Popen[bytes]] = set()
        self._guard = threading.Lock()
        self._stopped = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise BuildError(
                f"cannot write to {folder}: {error.strerror}; choose another folder with --out"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise BuildError(
                f"another build is at work in {folder}: wait for it, or choose another folder "
                "with --out"
            ) from None
        for left in folder.glob(".*-*"):
            shutil.rmtree(left)

    def __enter__(self) -> Steps:
        return self

    def __exit__(self, *_: object) -> None:
        """End the tools that still run, and let other processes at the folder."""
        self.stop()
        os.close(self._lock)

    def stop(self) -> None:
        """End the tools that run, and start no more: their steps fail."""
        with self._guard:
            self._stopped = True
            for process in self._running:
                process.terminate()

    def run(
        self,
        name: str,
        tool: Tool,
        arguments: Sequence[str],
        files: Mapping[str, bytes] | None = None,
    ) -> Path:
        """The folder in which `tool` has run with `arguments` on `files`, now or earlier.

        The tool works in that folder, beside those of earlier steps: an argument like
        `../synthesis-0123/top.json` names what it needs of them, and is part of the hash. Raises
        `StepError` if the tool fails. May be called by several threads at once.
        """

        def execute(folder: Path) -> None:
            for file, contents in (files or {}).items():
                (folder / file).write_bytes(contents)
            self._execute(tool, arguments, folder)

        return self._once(f"{name}-{_digest(tool, arguments, files or {})}", execute)

    def derive(self, name: str, inputs: Sequence[str], write: Callable[[Path], None]) -> Path:
        """The folder that `write` has filled, now or earlier, with what follows from `inputs`."""
        return self._once(f"{name}-{_hash(json.dumps(list(inputs)).encode())}", write)

    def _once(self, name: str, write: Callable[[Path], None]) -> Path:
        final = self.folder / name
        if final.is_dir():
            return final
        try:
            with growing(final) as folder:
                write(folder)
        except OSError as error:
            raise BuildError(f"cannot write to {self.folder}: {error.strerror}") from error
        return final

    def _execute(self, tool: Tool, arguments: Sequence[str], folder: Path) -> None:
        with (folder / LOG).open("wb") as log:
            with self._guard:
                if self._stopped:
                    raise StepError(tool, "stopped")
                process = subprocess.Popen(
                    [sys.executable, "-c", _END_WITH_PARENT + tool.program, *arguments],
                    cwd=folder,
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    # What the tool leaves there goes with the folder.
                    env={**os.environ, "TMPDIR": str(folder.absolute())},
                )
                self._running.add(process)
            try:
                status = process.wait()
            finally:
                process.terminate()  # after an interruption it still runs
                process.communicate()
                with self._guard:
                    self._running.discard(process)
        if status:
            raise StepError(tool, (folder / LOG).read_text(errors="replace"))


def _digest(tool: Tool, arguments: Sequence[str], files: Mapping[str, bytes]) -> str:
    called = json.dumps([tool.name, tool.version, list(arguments)]).encode()
    listed = (
        f"{file}:{hashlib.sha256(contents).hexdigest()};".encode()
        for file, contents in sorted(files.items())
    )
    return _hash(called, *listed)


def _hash(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]
