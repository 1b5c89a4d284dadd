"""Files: written whole or not at all, and TOML read with clear errors."""

from __future__ import annotations

import json
import os
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile, mkdtemp
from typing import IO, Any


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, that takes the place of `path` when the block ends without an exception.

    Until then `path` stays as it is; after an exception nothing is left of the new file. An
    `OSError` of writing, which knows no file, is given the name `path`.
    """
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            yield file
            file.close()
            os.chmod(file.name, 0o666 & ~_umask())
            os.replace(file.name, path)
        except BaseException as error:
            with suppress(OSError):  # what could not be written once, when closed again
                file.close()
            os.unlink(file.name)
            if isinstance(error, OSError) and error.filename is None:
                error.filename = str(path)
            raise


@contextmanager
def growing(final: Path) -> Iterator[Path]:
    """A folder to fill, that becomes `final` when the block ends without an exception.

    Where `final` has come to be meanwhile, by another process, that one stays. After an exception
    nothing is left of the new folder. Raises `OSError` if the folder above cannot be written.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(dir=final.parent, prefix=f".{final.name}-"))
    try:
        yield folder
        with suppress(OSError):
            folder.rename(final)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def why_unwritable(path: Path) -> str | None:
    """Why a file cannot be written at `path`, told before the work whose results it would take."""
    if path.is_dir():
        return f"cannot write {path}: it is a folder"
    if not path.parent.is_dir():
        return f"cannot write {path}: there is no folder {path.parent}"
    if not os.access(path.parent, os.W_OK):
        return f"cannot write {path}: no permission to write to {path.parent}"
    return None


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write `values` to `path` as JSON; raises ValueError for numbers that JSON has not."""
    text = json.dumps(values, indent=2, allow_nan=False) + "\n"
    with replacing(path) as file:
        file.write(text.encode())


def read_toml(path: Path, error_type: type[Exception]) -> dict[str, Any]:
    """The TOML document in `path`; raises `error_type` if it cannot be read or is none."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise error_type(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise error_type(f"{path} is not valid TOML: {error}") from error


def _umask() -> int:
    """The permissions that new files must not have, which only setting them tells."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
