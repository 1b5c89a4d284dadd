"""Data sets by name: the order of search, downloads, and what is said when there is nothing."""

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from golden_model import cifar, datasets
from golden_model.dataset_files import DatasetError
from golden_model.datasets import CLASSES, DATASETS, SHAPES, find, load
from golden_model.images import Images
from tests.golden_model.set_files import (
    colour_batches,
    grey_arrays,
    grey_files,
    md5,
    pack,
    sha256,
    with_batch_md5,
    write_cifar,
    write_idx,
    write_npz,
)

SOURCES = datasets.SOURCES


def published(name, files):
    """The sources, had set `name` been published as `files`."""
    return {name: replace(SOURCES[name], contents=sha256(files))}


def searched(monkeypatch, folder):
    """Let the usual folders be below `folder`."""
    monkeypatch.setattr(datasets, "DEBIAN_FOLDER", folder / "debian")
    monkeypatch.setenv("KERAS_HOME", str(folder / "keras"))
    (folder / "current").mkdir()
    monkeypatch.chdir(folder / "current")
    monkeypatch.delenv(datasets.FOLDER_VARIABLE, raising=False)


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A small set that is published as `mnist`, and no Debian folder."""
    files = grey_files()
    monkeypatch.setattr(datasets, "SOURCES", published("mnist", files))
    searched(monkeypatch, tmp_path)
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
    images = first.train_images[:]
    assert images.dtype == np.float32
    assert (images.min(), images.max()) == (0.0, 1.0)
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


def test_the_environment_variable_names_a_folder(small, tmp_path, monkeypatch):
    monkeypatch.setenv(datasets.FOLDER_VARIABLE, str(write_idx(tmp_path / "own", small)))
    assert len(load("mnist").train_labels) == 6


def test_a_named_folder_comes_before_debians(small, tmp_path):
    write_idx(tmp_path / "debian" / "mnist", small)
    with pytest.raises(DatasetError, match=r"own does not hold the files of mnist.*t10k-labels"):
        load("mnist", tmp_path / "own")


def test_debians_folder_comes_before_a_download(small, tmp_path, offline):
    write_idx(tmp_path / "debian" / "mnist", small, compress=True)
    assert len(load("mnist").train_labels) == 6


@pytest.mark.parametrize(
    "folder", ["keras/datasets/fashion-mnist", "current/data/FashionMNIST/raw"]
)
def test_the_caches_of_keras_and_torchvision_are_searched(small, tmp_path, monkeypatch, folder):
    monkeypatch.setattr(datasets, "SOURCES", published("fashion-mnist", small))
    write_idx(tmp_path / folder, small, compress=True)
    assert len(load("fashion-mnist").train_labels) == 6


@pytest.mark.parametrize("folder", ["keras/datasets", "current/data"])
def test_npz_files_are_found_and_held_to_the_checksums_of_the_idx_files(small, tmp_path, folder):
    path = write_npz(tmp_path / folder / "mnist.npz", grey_arrays())
    assert len(load("mnist").train_labels) == 6
    write_npz(path, grey_arrays(train=9))
    with pytest.raises(DatasetError, match=r"x_train of .*mnist.npz is not the file of mnist"):
        load("mnist")


@pytest.mark.parametrize("below", ["", "mnist", "MNIST/raw"])
def test_a_named_folder_is_searched_with_its_usual_subfolders(small, tmp_path, below):
    write_idx(tmp_path / "own" / below, small)
    assert len(load("mnist", tmp_path / "own").train_labels) == 6


def test_a_set_that_is_not_whole_is_no_reason_to_look_elsewhere(small, tmp_path):
    write_idx(tmp_path / "current/data/mnist", small)
    folder = write_idx(tmp_path / "debian/mnist", small)
    (folder / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(DatasetError, match=r"debian/mnist has .* but not train-labels-idx1-ubyte"):
        load("mnist")


@pytest.fixture
def colours(monkeypatch, tmp_path):
    """A small set that is published as CIFAR-10; returns what writes a form of it."""
    searched(monkeypatch, tmp_path)

    def write(form, folder):
        written = write_cifar(folder, form, colour_batches())
        monkeypatch.setattr(cifar, "FORMS", (with_batch_md5(form, written),))
        return written

    return write


@pytest.mark.parametrize(
    ("form", "folder"),
    [
        (cifar.BINARY, "current/data/cifar-10-batches-bin"),
        (cifar.PYTHON, "current/data/cifar-10-batches-py"),
        (cifar.PYTHON, "keras/datasets/cifar-10-batches-py"),
        (cifar.PYTHON, "keras/datasets/cifar-10-batches-py-target/cifar-10-batches-py"),
    ],
)
def test_cifar_is_found_in_the_usual_caches(colours, tmp_path, form, folder):
    colours(form, tmp_path / folder)
    dataset = load("cifar-10")
    assert dataset.shape == SHAPES["cifar-10"]
    assert (len(dataset.train_labels), len(dataset.test_labels)) == (20, 4)


def test_cifar_of_other_contents_is_refused(colours, tmp_path):
    folder = colours(cifar.PYTHON, tmp_path / "own")
    (folder / "data_batch_2").write_bytes((folder / "data_batch_1").read_bytes())
    with pytest.raises(DatasetError, match="own/data_batch_2 is not the file of cifar-10: the MD5"):
        load("cifar-10", folder)


def test_cifar_is_downloaded_as_an_archive_and_read_from_it(colours, tmp_path, monkeypatch):
    folder = write_cifar(tmp_path / "cifar-10-batches-bin", cifar.BINARY, colour_batches())
    asked = []

    def retrieve(url, known_hash, fname, path):
        asked.append((url, known_hash))
        path.mkdir(parents=True)
        archive = pack(folder, path / fname)
        form = replace(cifar.BINARY, archive_md5=md5(archive.read_bytes()))
        monkeypatch.setattr(cifar, "FORMS", (form,))

    pooch = SimpleNamespace(retrieve=retrieve, os_cache=lambda _: tmp_path / "cache")
    monkeypatch.setitem(sys.modules, "pooch", pooch)
    assert len(load("cifar-10").train_labels) == 20
    url = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
    assert asked == [(url, "md5:c32a1d4ab5d03f1284b67883e8d87530")]


def test_cifar_that_is_nowhere_is_reported_with_every_form(colours, offline, tmp_path):
    with pytest.raises(DatasetError) as caught:
        load("cifar-10")
    message = str(caught.value)
    for form in (cifar.BINARY, cifar.PYTHON):
        assert all(text in message for text in (form.folder, *form.archives))
    assert all(str(folder) in message for folder in datasets.usual_folders())


def test_images_take_a_byte_a_pixel_and_come_as_numbers_from_0_to_1():
    pixels = np.arange(256, dtype=np.uint8).reshape(4, 1, 8, 8)
    images = Images(pixels)
    chosen = images[np.array([3, 1])]
    assert chosen.dtype == np.float32
    assert np.array_equal(chosen, (pixels[[3, 1]] / np.float32(255)).astype(np.float32))
    assert (len(images), images.shape, np.asarray(images).max()) == (4, (4, 1, 8, 8), 1)


def test_every_set_has_a_stated_shape():
    assert set(SHAPES) == set(DATASETS)


def test_a_download_is_asked_for_with_the_published_checksum(small, tmp_path, monkeypatch):
    asked = []

    def retrieve(url, known_hash, fname, path):
        asked.append((url, known_hash))
        write_idx(path, small, compress=True)

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
    for folder in ("debian", "keras/datasets", "current/data"):
        assert str(tmp_path / folder) in message
    assert "--data-folder" in message
    assert "EIGENBAR_DATA" in message
    assert "cvdf-datasets" in message
    assert "Name or service not known" in message


def test_without_pooch_the_report_says_how_to_get_it(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(DatasetError, match=r"pooch is not installed: pip install 'eigenbar\[data"):
        load("mnist")


def test_contents_of_another_set_are_refused_by_their_checksum(small, tmp_path):
    folder = write_idx(tmp_path / "own", grey_files(train=9))
    with pytest.raises(DatasetError, match=r"train-images\S* is not the file of mnist.*SHA"):
        load("mnist", folder)


def test_the_real_sets_that_are_here_have_the_published_contents():
    """Those that `find` finds on this machine; digits always are."""
    sizes = {"digits": (1437, 360), "cifar-10": (50000, 10000)}
    for name in DATASETS:
        if reader := find(name):
            dataset = reader()
            images = dataset.train_images, dataset.test_images
            assert tuple(map(len, images)) == sizes.get(name, (60000, 10000))
            assert dataset.shape == SHAPES[name]
            assert dataset.classes == CLASSES
            assert np.bincount(dataset.test_labels).min() > 0
