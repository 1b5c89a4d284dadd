"""Data sets: the order of search, and every way in which files can be wrong."""

import gzip
import hashlib
import struct
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from golden_model import datasets
from golden_model.datasets import IDX_FILES, DatasetError, find_files, load, parse_idx, read_files


def idx(array):
    shape = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, 8, array.ndim]) + shape + array.astype(np.uint8).tobytes()


def contents(train=6, test=4, pixels=(4, 5)):
    random = np.random.default_rng(0)
    arrays = (
        random.integers(0, 256, (train, *pixels)),
        np.arange(train) % 3,
        random.integers(0, 256, (test, *pixels)),
        np.arange(test) % 3,
    )
    return [idx(array) for array in arrays]


def write(folder, files, compress=False):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in zip(IDX_FILES, files, strict=True):
        path = folder / (f"{name}.gz" if compress else name)
        path.write_bytes(gzip.compress(data) if compress else data)
    return folder


def checksums(files):
    return tuple(hashlib.sha256(data).hexdigest() for data in files)


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A small set that is published as `mnist`, and no Debian folder."""
    files = contents()
    source = replace(datasets.SOURCES["mnist"], contents=checksums(files))
    monkeypatch.setattr(datasets, "SOURCES", {"mnist": source})
    monkeypatch.setattr(datasets, "DEBIAN_FOLDER", tmp_path / "debian")
    monkeypatch.delenv(datasets.FOLDER_VARIABLE, raising=False)
    return files


@pytest.fixture
def offline(monkeypatch):
    """A pooch that finds no network."""

    def retrieve(*_, **__):
        raise OSError("Name or service not known")

    monkeypatch.setitem(sys.modules, "pooch", SimpleNamespace(retrieve=retrieve, os_cache=Path))
    return retrieve


def test_digits_are_real_images_split_the_same_way_every_time():
    first, second = load("digits"), load("digits")
    assert first.train_images.shape == (1437, 1, 8, 8)
    assert first.test_images.shape == (360, 1, 8, 8)
    assert first.train_images.dtype == np.float32
    assert (first.train_images.min(), first.train_images.max()) == (0.0, 1.0)
    assert first.classes == 10
    assert set(first.test_labels.tolist()) == set(range(10))
    assert np.array_equal(first.train_images, second.train_images)
    assert np.array_equal(first.test_labels, second.test_labels)


def test_digits_without_scikit_learn_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(DatasetError, match=r"pip install 'eigenbar\[data\]'"):
        load("digits")


def test_an_unknown_data_set_is_named_with_those_that_exist():
    with pytest.raises(DatasetError, match=r"unknown data set 'cifar'.*digits, fashion-mnist"):
        load("cifar")


@pytest.mark.parametrize("compress", [False, True])
def test_a_folder_of_idx_files_is_read_gzip_or_not(small, tmp_path, compress):
    dataset = load("mnist", write(tmp_path / "own", small, compress))
    assert dataset.train_images.shape == (6, 1, 4, 5)
    assert dataset.train_images.dtype == np.float32
    assert dataset.train_labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert dataset.test_labels.tolist() == [0, 1, 2, 0]
    assert dataset.classes == 3
    assert dataset.shape == (1, 4, 5)
    pixels = parse_idx(small[0], tmp_path)
    assert np.array_equal(np.rint(dataset.train_images[:, 0] * 255), pixels)


def test_the_environment_variable_names_a_folder(small, tmp_path, monkeypatch):
    monkeypatch.setenv(datasets.FOLDER_VARIABLE, str(write(tmp_path / "own", small)))
    assert len(load("mnist").train_labels) == 6


def test_a_named_folder_comes_before_debians(small, tmp_path):
    write(tmp_path / "debian" / "mnist", small)
    with pytest.raises(DatasetError, match=r"own does not hold the files of mnist.*t10k-labels"):
        load("mnist", tmp_path / "own")


def test_debians_folder_comes_before_a_download(small, tmp_path, offline):
    write(tmp_path / "debian" / "mnist", small, compress=True)
    assert len(load("mnist").train_labels) == 6


def test_a_download_is_asked_for_with_the_published_checksum(small, tmp_path, monkeypatch):
    asked = []

    def retrieve(url, known_hash, fname, path):
        asked.append((url, known_hash))
        return write(tmp_path / "cache", small, compress=True) / fname

    pooch = SimpleNamespace(retrieve=retrieve, os_cache=lambda _: tmp_path)
    monkeypatch.setitem(sys.modules, "pooch", pooch)
    assert len(load("mnist").train_labels) == 6
    base = "https://storage.googleapis.com/cvdf-datasets/mnist/"
    assert asked[0] == (
        f"{base}train-images-idx3-ubyte.gz",
        "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
    )
    assert len(asked) == 4


def test_files_that_are_nowhere_are_reported_with_every_place(small, tmp_path, offline):
    with pytest.raises(DatasetError) as caught:
        load("mnist")
    message = str(caught.value)
    assert str(tmp_path / "debian" / "mnist") in message
    assert "--data-folder" in message
    assert "EIGENBAR_DATA" in message
    assert "cvdf-datasets" in message
    assert "Name or service not known" in message


def test_without_pooch_the_report_says_how_to_get_it(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(DatasetError, match=r"pooch is not installed: pip install 'eigenbar\[data"):
        load("mnist")


def test_contents_of_another_set_are_refused_by_their_checksum(small, tmp_path):
    folder = write(tmp_path / "own", contents(train=9))
    with pytest.raises(DatasetError, match=r"train-images\S* is not the file of mnist.*SHA"):
        load("mnist", folder)


def damaged(tmp_path, index, change):
    files = contents()
    files[index] = change(files[index])
    folder = write(tmp_path / "own", files)
    paths = find_files(folder)
    assert paths is not None
    return paths


@pytest.mark.parametrize(
    ("index", "change", "message"),
    [
        (0, lambda data: data[:-3], "train-images-idx3-ubyte is truncated: 133 bytes"),
        (1, lambda data: data[:6], "train-labels-idx1-ubyte is truncated: 6 bytes"),
        (2, lambda data: data + b"\0", "t10k-images-idx3-ubyte is too long: 97 bytes"),
        (3, lambda data: b"", "t10k-labels-idx1-ubyte is not an IDX file.*starts with nothing"),
        (0, lambda data: b"\x89PNG" + data, "not an IDX file.*starts with 89 50 4e 47"),
        (0, lambda data: bytes([0, 0, 13]) + data[3:], "not an IDX file of unsigned bytes"),
        (0, lambda data: idx(np.zeros(6)), "has 1 dimensions where 3 are expected"),
        (1, lambda data: idx(np.zeros(5)), "has 5 labels for the 6 images"),
        (2, lambda data: idx(np.zeros((4, 4, 4))), r"images of \(4, 4\) pixels"),
        (0, lambda data: gzip.compress(data)[:-12], "train-images-idx3-ubyte is a damaged gzip"),
        (0, lambda data: b"\x1f\x8b" + data, "is a damaged gzip"),
    ],
)
def test_a_damaged_file_is_named_with_what_is_wrong(tmp_path, index, change, message):
    with pytest.raises(DatasetError, match=message):
        read_files("mnist", damaged(tmp_path, index, change))


def test_a_flipped_bit_inside_a_gzip_file_is_found(tmp_path):
    def flip(data):
        packed = bytearray(gzip.compress(data))
        packed[len(packed) // 2] ^= 0x10
        return bytes(packed)

    with pytest.raises(DatasetError, match="is a damaged gzip"):
        read_files("mnist", damaged(tmp_path, 0, flip))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    paths = damaged(tmp_path, 0, lambda data: data)
    paths[0].unlink()
    paths[0].mkdir()
    with pytest.raises(DatasetError, match=r"cannot read .*train-images\S*: Is a directory"):
        read_files("mnist", paths)


@pytest.mark.skipif(
    find_files(datasets.DEBIAN_FOLDER / "fashion-mnist") is None, reason="no Fashion-MNIST here"
)
def test_debians_fashion_mnist_has_the_published_contents():
    dataset = load("fashion-mnist")
    assert dataset.train_images.shape == (60000, 1, 28, 28)
    assert dataset.test_images.shape == (10000, 1, 28, 28)
    assert dataset.classes == 10
