"""Image data sets by name: where they are looked for, how they are checked, what they look like.

`digits` is carried by the package scikit-learn (1,797 real handwritten digits of 8 x 8 pixels).
`fashion-mnist` and `mnist` (60,000 training and 10,000 test images of 28 x 28 pixels) and
`cifar-10` (50,000 and 10,000 of 3 x 32 x 32) are read from their published files, in whichever form
is found. A folder that the user names is the user's choice, so it alone is searched, with the
subfolders that are usual for the set; otherwise `usual_folders` are, and then the files are
downloaded, if the package pooch is installed. Every file is checked against a published checksum.
docs/data.md lists forms, folders and checksums.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from golden_model import cifar
from golden_model.dataset_files import DatasetError, find_all
from golden_model.idx import IDX_FILES, NPZ_ARRAYS, find_idx, read_idx, read_npz
from golden_model.images import Dataset, Images

__all__ = [
    "CLASSES",
    "DATASETS",
    "FOLDER_VARIABLE",
    "SHAPES",
    "Dataset",
    "DatasetError",
    "find",
    "load",
]

FOLDER_VARIABLE = "EIGENBAR_DATA"
"""Environment variable that names a folder of data sets."""

DEBIAN_FOLDER = Path("/usr/share/datasets")
"""Where Debian's packages dataset-… put their files, a folder each."""

TORCHVISION_FOLDER = "data"
"""Where most programs have torchvision put its files: a folder below the current one."""

DIGITS_TRAINING = 1437
"""Images of `digits` that train; the other 360 test."""

DIGITS_WHITE = 16
"""Largest value of a pixel in `digits`."""


@dataclass(frozen=True)
class Source:
    """A set that is published as four IDX files."""

    url: str
    """Address of the folder of the gzip files."""
    archives: tuple[str, str, str, str]
    """MD5 of each gzip file as published, in the order of `IDX_FILES`."""
    contents: tuple[str, str, str, str]
    """SHA-256 of each file uncompressed, in the order of `IDX_FILES`."""
    subfolders: tuple[str, ...]
    """Where below a folder its files usually lie: for Debian and Keras, for torchvision."""
    npz: tuple[str, ...]
    """Names of npz files with the same arrays."""


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
        ("fashion-mnist", "FashionMNIST/raw"),
        ("fashion_mnist.npz", "fashion-mnist.npz"),
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
        ("mnist", "MNIST/raw"),
        ("mnist.npz",),
    ),
}
"""The sets published as IDX files; addresses and MD5 are their publishers'."""

DATASETS = ("digits", *SOURCES, "cifar-10")
"""Names that `load` knows."""

SHAPES: Mapping[str, tuple[int, int, int]] = {
    "digits": (1, 8, 8),
    "fashion-mnist": (1, 28, 28),
    "mnist": (1, 28, 28),
    "cifar-10": cifar.SHAPE,
}
"""Shape (C, H, W) of the images of each set."""

CLASSES = 10
"""Classes of each of the sets."""


def usual_folders() -> list[Path]:
    """Folders that are searched when the user names none: Debian's, Keras' and torchvision's."""
    keras = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    return [DEBIAN_FOLDER, Path(keras) / "datasets", Path.cwd() / TORCHVISION_FOLDER]


def load(name: str, folder: Path | None = None) -> Dataset:
    """Data set `name`, from `folder` or the folder of the environment variable if one is given.

    Raises `DatasetError` for an unknown name, for files that are damaged or not those of the set,
    and, with every place that was searched, when there are none.
    """
    if reader := find(name, folder):
        return reader()
    if folder := _named(folder):
        raise DatasetError(
            f"{folder} does not hold the files of {name}: it must have {_form(name)}"
        )
    return _download(name)


def find(name: str, folder: Path | None = None) -> Callable[[], Dataset] | None:
    """What reads data set `name` where `load` finds it; None if nothing is there to be read.

    Downloads nothing. Raises `DatasetError` for an unknown name and for a set that is not whole.
    """
    if name not in DATASETS:
        raise DatasetError(f"unknown data set {name!r}; choose one of: {', '.join(DATASETS)}")
    if name == "digits":
        return _digits
    named = _named(folder)
    for searched in usual_folders() if named is None else [named]:
        for place in (searched, *(searched / below for below in _subfolders(name))):
            if reader := _reader(name, place):
                return reader
    return None


def _named(folder: Path | None) -> Path | None:
    """The folder that the user names: `folder`, or that of the environment variable, or none."""
    if folder is None and os.environ.get(FOLDER_VARIABLE):
        return Path(os.environ[FOLDER_VARIABLE])
    return folder


def _subfolders(name: str) -> tuple[str, ...]:
    """Where below a folder the files of set `name` usually lie."""
    return cifar.SUBFOLDERS if name == "cifar-10" else SOURCES[name].subfolders


def _reader(name: str, folder: Path) -> Callable[[], Dataset] | None:
    """What reads set `name` from files that are in `folder` itself; None if none are."""
    if name == "cifar-10":
        place = cifar.find(folder)
        return None if place is None else partial(cifar.read_cifar, name, place)
    source = SOURCES[name]
    if paths := find_idx(folder):
        return partial(read_idx, name, paths, source.contents)
    for npz in source.npz:
        if paths := find_all(folder, [npz]):
            return partial(read_npz, name, paths[0], source.contents)
    return None


def _form(name: str) -> str:
    """What the files of set `name` are, in words."""
    subfolders = f"there or in {', '.join(_subfolders(name))}"
    if name == "cifar-10":
        first, last = cifar.BATCHES[0], cifar.BATCHES[-1]
        archives = [archive for form in cifar.FORMS for archive in form.archives]
        return (
            f"{first} to {last}, binary (.bin) or pickled, {subfolders}, or {', '.join(archives)}"
        )
    return (
        f"{', '.join(IDX_FILES)}, each as it is or with .gz, or {' or '.join(SOURCES[name].npz)} "
        f"with {', '.join(NPZ_ARRAYS)}, {subfolders}"
    )


def _download(name: str) -> Dataset:
    """Set `name` from files downloaded to the user's cache, unless they are there already.

    Raises `DatasetError` with every place that was searched.
    """
    if name == "cifar-10":
        url, files = cifar.URL, {cifar.BINARY.archives[0]: cifar.BINARY.archive_md5}
    else:
        source = SOURCES[name]
        names = [f"{file}.gz" for file in IDX_FILES]
        url, files = source.url, dict(zip(names, source.archives, strict=True))
    try:
        import pooch
    except ImportError:
        reason = "not tried, since the package pooch is not installed: pip install 'eigenbar[data]'"
    else:
        try:
            folder = Path(pooch.os_cache("eigenbar")) / name
            for file, checksum in files.items():
                pooch.retrieve(
                    f"{url}{file}", known_hash=f"md5:{checksum}", fname=file, path=folder
                )
        except (OSError, ValueError) as error:
            reason = f"failed: {textwrap.shorten(str(error), 160)}"
        else:
            reader = _reader(name, folder)
            assert reader is not None  # the files were retrieved to there
            return reader()
    raise DatasetError(
        f"no files of {name} found. Looked in {', '.join(map(str, usual_folders()))} for "
        f"{_form(name)}; in a folder of the user's: none given, give one with --data-folder or "
        f"{FOLDER_VARIABLE}; and at {url}: {reason}. The data set digits needs no files."
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
    pixels = digits.images[order, None].astype(np.uint8)
    labels = digits.target[order].astype(np.int64)
    train, test = slice(DIGITS_TRAINING), slice(DIGITS_TRAINING, None)
    return Dataset(
        "digits",
        Images(pixels[train], DIGITS_WHITE),
        labels[train],
        Images(pixels[test], DIGITS_WHITE),
        labels[test],
        CLASSES,
    )
