"""CIFAR-10 in the two forms of its publisher, from folders or straight from the archives.

60,000 colour images of 32 x 32 pixels in ten classes (Krizhevsky, *Learning multiple layers of
features from tiny images*, 2009), as five batches for training and one for testing. docs/data.md
says where the checksums come from.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from golden_model.batch_pickle import BatchPickleError, read_batch
from golden_model.dataset_files import DatasetError, check, find_all, read
from golden_model.images import Dataset, Images

SHAPE = (3, 32, 32)
"""Shape (C, H, W) of an image: red, green and blue."""

CLASSES = 10
"""Classes: airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck."""

BATCHES = (
    "data_batch_1",
    "data_batch_2",
    "data_batch_3",
    "data_batch_4",
    "data_batch_5",
    "test_batch",
)
"""Names of the batches: the last tests, the others train."""

BATCH_LIMIT = 64 << 20
"""Bytes a batch may have, twice what the published ones have: more is not read."""

PIECE = 1 << 20
"""Bytes of an archive that are read at once."""

Batch = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Pixels, images x 3072, and labels."""


@dataclass(frozen=True)
class Form:
    """A form in which CIFAR-10 is published."""

    folder: str
    """Folder that the archive extracts to."""
    ending: str
    """What follows a batch's name in that of its file."""
    archives: tuple[str, ...]
    """Names of the archive, the publisher's first."""
    archive_md5: str
    """MD5 of the archive."""
    batch_md5: tuple[str, ...]
    """MD5 of each batch's file, in the order of `BATCHES`."""
    parse: Callable[[bytes, str], Batch]
    """Reads the contents of a batch, given for the errors where they came from."""


@dataclass(frozen=True)
class Place:
    """Where CIFAR-10 was found."""

    form: Form
    """The form it has there."""
    path: Path
    """A folder with the batches, or an archive."""


def parse_binary(data: bytes, place: str) -> Batch:
    """The batch in binary contents `data` of `place`: for each image its label, then its pixels.

    Raises `DatasetError` for contents that do not end with an image, and for other labels.
    """
    size = 1 + int(np.prod(SHAPE))
    if not data or len(data) % size:
        raise DatasetError(
            f"{place} is truncated or no batch: {len(data)} bytes are no multiple of the {size} of "
            "an image and its label; get it anew"
        )
    records = np.frombuffer(data, np.uint8).reshape(-1, size)
    return _checked(records[:, 1:], records[:, 0], place)


def parse_python(data: bytes, place: str) -> Batch:
    """The batch in pickled contents `data` of `place`, of which nothing is run.

    Raises `DatasetError` for a pickle that is damaged or asks for anything else than a batch has.
    """
    try:
        batch = read_batch(data)
    except BatchPickleError as error:
        raise DatasetError(f"{place} is a pickle {error}; remove it and get it anew") from error
    pixels, labels = batch.get("data"), batch.get("labels")
    size = int(np.prod(SHAPE))
    if not isinstance(pixels, np.ndarray) or pixels.ndim != 2 or pixels.shape[1] != size:
        raise DatasetError(f"{place} has no array data of images x {size} bytes; get it anew")
    if (
        not isinstance(labels, list)
        or len(labels) != len(pixels)
        or not all(type(label) is int and 0 <= label < CLASSES for label in labels)
    ):
        raise DatasetError(
            f"{place} has no list of labels from 0 to {CLASSES - 1} for its {len(pixels)} images; "
            "get it anew"
        )
    return _checked(pixels, np.array(labels, np.uint8), place)


def _checked(pixels: NDArray[np.uint8], labels: NDArray[np.uint8], place: str) -> Batch:
    if not len(labels):
        raise DatasetError(f"{place} has no images; get it anew")
    if labels.max() >= CLASSES:
        raise DatasetError(
            f"{place} has label {labels.max()} where 0 to {CLASSES - 1} are expected; get it anew"
        )
    return pixels, labels


BINARY = Form(
    "cifar-10-batches-bin",
    ".bin",
    ("cifar-10-binary.tar.gz",),
    "c32a1d4ab5d03f1284b67883e8d87530",
    (
        "5dd7e06a14cb22eb9f671a540d1b7c25",
        "5ea93a67294ea407fff1d09f752e9692",
        "942cd6a4bcdd0dd3c604fbe906cb4421",
        "ae636b3ba5c66a11e91e8cb52e771fcb",
        "53f37980c15c3d472c316c40844f3f0d",
        "803d5f7f4d78ea53de84dbe85f74fb6d",
    ),
    parse_binary,
)
"""The form for C programs."""

PYTHON = Form(
    "cifar-10-batches-py",
    "",
    # Keras gives the archive names of its own.
    (
        "cifar-10-python.tar.gz",
        "cifar-10-batches-py.tar.gz",
        "cifar-10-batches-py-target_archive",
    ),
    "c58f30108f718f92721af3b95e74349a",
    (
        "c99cafc152244af753f735de768cd75f",
        "d4bba439e000b95fd0a9bffe97cbabec",
        "54ebc095f3ab1f0389bbae665268c751",
        "634d18415352ddfa80567beed471001a",
        "482c414d41f54cd18b22e5b47cb7c3cb",
        "40351d587109b95175f43aff81a1287e",
    ),
    parse_python,
)
"""The form for Python programs."""

FORMS = (BINARY, PYTHON)
"""The forms, in the order in which they are looked for."""

SUBFOLDERS = (BINARY.folder, PYTHON.folder, f"cifar-10-batches-py-target/{PYTHON.folder}")
"""Where below a folder the batches usually lie, the last for Keras."""

URL = "https://www.cs.toronto.edu/~kriz/"
"""Address of the folder of the archives."""


def find(folder: Path) -> Place | None:
    """Where the batches lie in `folder`, before an archive of them; None if nowhere.

    Raises `DatasetError` if only some of the batches are there.
    """
    for form in FORMS:
        if find_all(folder, [batch + form.ending for batch in BATCHES]):
            return Place(form, folder)
    for form in FORMS:
        for archive in form.archives:
            if find_all(folder, [archive]):
                return Place(form, folder / archive)
    return None


def read_cifar(name: str, place: Place, *, checksums: bool = True) -> Dataset:
    """Data set `name` from `place`: an archive is read as it is, not extracted.

    The MD5 of an archive, or of each batch of a folder, is checked, before anything in it is read;
    without `checksums` other contents of the same form are read too. Raises `DatasetError` for
    contents of another checksum, and for damaged or missing batches.
    """
    form = place.form
    archive = place.path.is_file()
    if archive and checksums:
        check(name, str(place.path), _pieces(place.path), "md5", form.archive_md5)
    contents = _from_archive(place) if archive else _from_folder(place)
    batches: dict[str, Batch] = {}
    for file, data in contents:
        batch = file.removesuffix(form.ending)
        where = f"{file} of {place.path}" if archive else str(place.path / file)
        if checksums and not archive:
            check(name, where, [data], "md5", form.batch_md5[BATCHES.index(batch)])
        batches[batch] = form.parse(data, where)
    missing = [batch + form.ending for batch in BATCHES if batch not in batches]
    if missing:
        raise DatasetError(f"{place.path} lacks {', '.join(missing)}; get it anew")
    train = _joined([batches[batch] for batch in BATCHES[:-1]])
    test = _joined([batches[BATCHES[-1]]])
    return Dataset(name, *train, *test, CLASSES)


def _joined(batches: Sequence[Batch]) -> tuple[Images, NDArray[np.int64]]:
    """Images and labels of all `batches`."""
    pixels = np.concatenate([pixels for pixels, _ in batches]).reshape(-1, *SHAPE)
    return Images(pixels), np.concatenate([labels for _, labels in batches]).astype(np.int64)


def _from_folder(place: Place) -> Iterator[tuple[str, bytes]]:
    """Name and contents of each batch's file."""
    for batch in BATCHES:
        path = place.path / f"{batch}{place.form.ending}"
        if path.is_file() and path.stat().st_size > BATCH_LIMIT:
            raise DatasetError(_too_large(str(path)))
        yield path.name, read(path)


def _from_archive(place: Place) -> Iterator[tuple[str, bytes]]:
    """Name and contents of each file of the archive that is named as a batch's is."""
    wanted = [batch + place.form.ending for batch in BATCHES]
    try:
        with tarfile.open(place.path, "r:gz") as archive:
            for member in archive:
                name = Path(member.name).name
                if name not in wanted or not member.isfile():
                    continue
                if member.size > BATCH_LIMIT:
                    raise DatasetError(_too_large(f"{name} of {place.path}"))
                file: IO[bytes] | None = archive.extractfile(member)
                assert file is not None  # as it is for every regular file
                yield name, file.read()
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DatasetError(
            f"{place.path} is a damaged archive ({error}); remove it and get it anew"
        ) from error


def _too_large(place: str) -> str:
    return f"{place} is larger than any batch of CIFAR-10 ({BATCH_LIMIT} bytes); get it anew"


def _pieces(path: Path) -> Iterator[bytes]:
    """The contents of `path`, piece by piece."""
    try:
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                yield piece
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror or error}") from error
