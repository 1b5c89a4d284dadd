"""What reading any data set takes: its errors, its files, found and read whole, their checksums."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

GZIP_MAGIC = b"\x1f\x8b"


class DatasetError(ValueError):
    """A data set is unknown, cannot be found, or its files are damaged."""


def find_all(folder: Path, names: Sequence[str], endings: Sequence[str] = ("",)) -> list[Path]:
    """Paths of the files `names` in `folder`, each with the first of `endings` that is there.

    Empty if none of them is there. Raises `DatasetError` if only some are, and for a folder that
    cannot be searched.
    """
    found: dict[str, Path] = {}
    try:
        for name in names:
            for path in (folder / f"{name}{ending}" for ending in endings):
                if path.is_file():
                    found.setdefault(name, path)
    except OSError as error:
        raise DatasetError(f"cannot search {folder}: {error.strerror or error}") from error
    missing = [name for name in names if name not in found]
    if found and missing:
        raise DatasetError(
            f"{folder} has {', '.join(path.name for path in found.values())} but not "
            f"{', '.join(missing)}: the set is not whole; get the missing files"
        )
    return list(found.values())


def read(path: Path) -> bytes:
    """Contents of `path`; raises `DatasetError` if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror or error}") from error


def read_uncompressed(path: Path) -> bytes:
    """Contents of `path`, uncompressed if it is a gzip file; raises `DatasetError` if damaged."""
    data = read(path)
    try:
        return gzip.decompress(data) if data.startswith(GZIP_MAGIC) else data
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DatasetError(f"{path} is a damaged gzip file ({error}); get it anew") from error


def check(
    name: str, place: str, pieces: Iterable[bytes | memoryview], algorithm: str, checksum: str
) -> None:
    """Raise `DatasetError` unless the contents `pieces` of `place` have the published `checksum`.

    `algorithm` is hashlib's name of it, `name` the data set.
    """
    digest = hashlib.new(algorithm, usedforsecurity=False)
    for piece in pieces:
        digest.update(piece)
    if digest.hexdigest() != checksum:
        spoken = {"md5": "MD5", "sha256": "SHA-256"}[algorithm]
        raise DatasetError(
            f"{place} is not the file of {name}: the {spoken} of its contents is "
            f"{digest.hexdigest()}, not {checksum}; remove it and get it anew, or name another "
            "folder"
        )
