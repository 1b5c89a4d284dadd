"""Image data sets: where they are looked for, how they are checked, and what they look like.

`digits` is carried by the package scikit-learn (1,797 real handwritten digits of 8 x 8 pixels).
`fashion-mnist` and `mnist` (60,000 training and 10,000 test images of 28 x 28 pixels) come as four
IDX files each, gzip or not. A folder that the user names is the user's choice, so it alone is
searched; otherwise Debian's folder is, and then the files are downloaded, if the package pooch is
installed. Every file of a known set is checked against the SHA-256 of its uncompressed contents.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import textwrap
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FOLDER_VARIABLE = "EIGENBAR_DATA"
"""Environment variable that names a folder of IDX files."""

DEBIAN_FOLDER = Path("/usr/share/datasets")
"""Where Debian's packages dataset-… put their files, a folder each."""

IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
"""Names of a set's files: training images and labels, test images and labels; each may end .gz."""

DIGITS_TRAINING = 1437
"""Images of `digits` that train; the other 360 test."""

GZIP_MAGIC = b"\x1f\x8b"
IDX_UNSIGNED_BYTE = 0x08


class DatasetError(ValueError):
    """A data set is unknown, cannot be found, or its files are damaged."""


@dataclass(frozen=True)
class Dataset:
    """Images and their labels, for training and for testing."""

    name: str
    """What `load` was asked for."""
    train_images: NDArray[np.float32]
    """Images N x C x H x W, from 0 to 1."""
    train_labels: NDArray[np.int64]
    """N class numbers, from 0."""
    test_images: NDArray[np.float32]
    """Images of the test set, as `train_images`."""
    test_labels: NDArray[np.int64]
    """Class numbers of the test set."""
    classes: int
    """Number of classes."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape (C, H, W) of an image."""
        channels, height, width = self.train_images.shape[1:]
        return channels, height, width


@dataclass(frozen=True)
class Source:
    """A set that is published as four IDX files."""

    url: str
    """Address of the folder of the gzip files."""
    archives: tuple[str, str, str, str]
    """MD5 of each gzip file as published, in the order of `IDX_FILES`."""
    contents: tuple[str, str, str, str]
    """SHA-256 of each file uncompressed, in the order of `IDX_FILES`."""
    debian: str
    """Debian's package, or nothing."""


SOURCES: Mapping[str, Source] = {
    "fashion-mnist": Source(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        (
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
        (
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
        "dataset-fashion-mnist",
    ),
    "mnist": Source(
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        (
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
        (
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
        "",
    ),
}
"""The published sets; addresses and MD5 are their publishers'."""

DATASETS = ("digits", *SOURCES)
"""Names that `load` knows."""

SHAPES: Mapping[str, tuple[int, int, int]] = {
    "digits": (1, 8, 8),
    "fashion-mnist": (1, 28, 28),
    "mnist": (1, 28, 28),
}
"""Shape (C, H, W) of the images of each set."""

CLASSES = 10
"""Classes of each of the sets."""


def load(name: str, folder: Path | None = None) -> Dataset:
    """Data set `name`, from `folder` or the folder of the environment variable if one is given.

    Raises `DatasetError` for an unknown name, for files that are damaged or not those of the set,
    and, with every place that was searched, when there are none.
    """
    if name not in DATASETS:
        raise DatasetError(f"unknown data set {name!r}; choose one of: {', '.join(DATASETS)}")
    if name == "digits":
        return _digits()
    if folder is None and os.environ.get(FOLDER_VARIABLE):
        folder = Path(os.environ[FOLDER_VARIABLE])
    source = SOURCES[name]
    if folder is not None:
        paths = find_files(folder)
        if paths is None:
            raise DatasetError(
                f"{folder} does not hold the files of {name}: it must have "
                f"{', '.join(IDX_FILES)}, each as it is or with .gz"
            )
    else:
        paths = find_files(DEBIAN_FOLDER / name) or _download(name, source)
    return read_files(name, paths, source.contents)


def find_files(folder: Path) -> list[Path] | None:
    """Paths of the four `IDX_FILES` in `folder`, plain before gzip; None unless all are there."""
    paths = []
    for file in IDX_FILES:
        candidates = [folder / file, folder / f"{file}.gz"]
        found = [path for path in candidates if path.is_file()]
        if not found:
            return None
        paths.append(found[0])
    return paths


def read_files(name: str, paths: list[Path], checksums: tuple[str, ...] | None = None) -> Dataset:
    """A data set from its IDX files `paths`, in the order of `IDX_FILES`.

    `checksums` are the SHA-256 of the files' uncompressed contents. Raises `DatasetError` for a
    damaged file, for files that do not belong together, and for contents of another checksum.
    """
    contents = [_uncompressed(path) for path in paths]
    arrays = [parse_idx(data, path) for data, path in zip(contents, paths, strict=True)]
    for array, path, dimensions in zip(arrays, paths, (3, 1, 3, 1), strict=True):
        if array.ndim != dimensions:
            raise DatasetError(
                f"{path} has {array.ndim} dimensions where {dimensions} are expected: "
                f"the order is {', '.join(IDX_FILES)}"
            )
    for images, labels, path in ((0, 1, paths[1]), (2, 3, paths[3])):
        if len(arrays[images]) != len(arrays[labels]):
            raise DatasetError(
                f"{path} has {len(arrays[labels])} labels for the {len(arrays[images])} images of "
                f"{paths[images].name}: the files do not belong together; get both anew"
            )
    if arrays[0].shape[1:] != arrays[2].shape[1:]:
        raise DatasetError(
            f"{paths[2]} has images of {arrays[2].shape[1:]} pixels, {paths[0].name} of "
            f"{arrays[0].shape[1:]}: the files do not belong together; get both anew"
        )
    for data, path, checksum in zip(contents, paths, checksums or (), strict=checksums is not None):
        actual = hashlib.sha256(data).hexdigest()
        if actual != checksum:
            raise DatasetError(
                f"{path} is not the file of {name}: the SHA-256 of its contents is {actual}, not "
                f"{checksum}; remove it and get it anew"
            )
    return Dataset(
        name,
        _scaled(arrays[0]),
        arrays[1].astype(np.int64),
        _scaled(arrays[2]),
        arrays[3].astype(np.int64),
        int(max(arrays[1].max(initial=0), arrays[3].max(initial=0))) + 1,
    )


def parse_idx(data: bytes, path: Path) -> NDArray[np.uint8]:
    """The array in IDX file contents `data`, read from `path`.

    IDX is: two zero bytes, the type (8 for unsigned bytes), the number of dimensions, each
    dimension as a big-endian 32-bit integer, then the values, the last dimension fastest.

    Raises `DatasetError` for contents that are not IDX of unsigned bytes, and for too few or too
    many of them.
    """
    if len(data) < 4 or data[:3] != bytes([0, 0, IDX_UNSIGNED_BYTE]) or data[3] == 0:
        raise DatasetError(
            f"{path} is not an IDX file of unsigned bytes: it starts with "
            f"{data[:4].hex(' ') or 'nothing'} instead of 00 00 08 and the number of dimensions; "
            "get it anew"
        )
    header = 4 + 4 * data[3]
    shape = tuple(np.frombuffer(data[4:header], ">u4").tolist()) if len(data) >= header else (0,)
    expected = header + int(np.prod(shape, dtype=object))
    if len(data) < header or len(data) != expected:
        problem = "truncated" if len(data) < max(header, expected) else "too long"
        raise DatasetError(
            f"{path} is {problem}: {len(data)} bytes (uncompressed) where its header of "
            f"{header} bytes"
            + (f" says {expected}" if len(data) >= header else " alone takes more")
            + "; get it anew"
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _scaled(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pixels N x H x W from 0 to 255 as images N x 1 x H x W from 0 to 1."""
    return np.divide(pixels[:, None], 255, dtype=np.float32)


def _uncompressed(path: Path) -> bytes:
    """Contents of `path`, uncompressed if it is a gzip file."""
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data.startswith(GZIP_MAGIC) else data
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DatasetError(f"{path} is a damaged gzip file ({error}); get it anew") from error
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror or error}") from error


def _download(name: str, source: Source) -> list[Path]:
    """Paths of the set's gzip files, downloaded to the user's cache unless they are there.

    Raises `DatasetError` with every place that was searched.
    """
    try:
        import pooch
    except ImportError:
        reason = "not tried, since the package pooch is not installed: pip install 'eigenbar[data]'"
    else:
        try:
            return [
                Path(
                    pooch.retrieve(
                        f"{source.url}{file}.gz",
                        known_hash=f"md5:{checksum}",
                        fname=f"{file}.gz",
                        path=pooch.os_cache("eigenbar") / name,
                    )
                )
                for file, checksum in zip(IDX_FILES, source.archives, strict=True)
            ]
        except (OSError, ValueError) as error:
            reason = f"failed: {textwrap.shorten(str(error), 160)}"
    debian = f" (Debian's package {source.debian})" if source.debian else ""
    raise DatasetError(
        f"no files of {name} found. Looked in {DEBIAN_FOLDER / name}{debian}; in a folder of the "
        f"user's: none given, give one with --data-folder or {FOLDER_VARIABLE}, holding "
        f"{', '.join(IDX_FILES)}, each as it is or with .gz; and at {source.url}: {reason}. "
        "The data set digits needs no files."
    )


def _digits() -> Dataset:
    """scikit-learn's digits, in a fixed random order of which the first `DIGITS_TRAINING` train."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DatasetError(
            "data set digits is carried by scikit-learn, which is not installed: "
            "pip install 'eigenbar[data]'"
        ) from error
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    images = (digits.images[order, None] / 16).astype(np.float32)
    labels = digits.target[order].astype(np.int64)
    train, test = slice(DIGITS_TRAINING), slice(DIGITS_TRAINING, None)
    return Dataset("digits", images[train], labels[train], images[test], labels[test], 10)
