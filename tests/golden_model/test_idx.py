"""IDX and npz files: what they hold, and every way in which they can be wrong."""

import gzip

import numpy as np
import pytest

from golden_model.dataset_files import DatasetError
from golden_model.idx import NPZ_ARRAYS, find_idx, parse_idx, read_idx, read_npz
from tests.golden_model.set_files import (
    grey_arrays,
    grey_files,
    idx,
    sha256,
    write_idx,
    write_npz,
)


@pytest.mark.parametrize("compress", [False, True])
def test_idx_files_are_read_gzip_or_not(tmp_path, compress):
    files = grey_files()
    paths = find_idx(write_idx(tmp_path, files, compress))
    dataset = read_idx("mnist", paths, sha256(files))
    assert dataset.shape == (1, 4, 5)
    assert dataset.train_images.shape == (6, 1, 4, 5)
    assert dataset.train_images[:].dtype == np.float32
    assert dataset.train_labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert dataset.test_labels.tolist() == [0, 1, 2, 0]
    assert dataset.classes == 3
    pixels = parse_idx(files[0], tmp_path)
    assert np.array_equal(np.rint(dataset.train_images[:, 0] * 255), pixels)


def test_an_npz_file_holds_the_same_as_the_idx_files_by_the_same_checksums(tmp_path):
    arrays, files = grey_arrays(), grey_files()
    whole = read_idx("mnist", find_idx(write_idx(tmp_path, files)))
    labels = arrays[1].astype(np.int64)  # some npz files have labels of 64 bits
    path = write_npz(tmp_path / "mnist.npz", (arrays[0], labels, *arrays[2:]))
    dataset = read_npz("mnist", path, sha256(files))
    assert np.array_equal(dataset.train_images, whole.train_images)
    assert np.array_equal(dataset.test_images, whole.test_images)
    assert np.array_equal(dataset.train_labels, whole.train_labels)
    assert np.array_equal(dataset.test_labels, whole.test_labels)


@pytest.mark.parametrize("changed", range(4))
def test_a_changed_value_in_an_npz_file_is_found_by_its_checksum(tmp_path, changed):
    arrays = grey_arrays()
    arrays[changed].flat[0] ^= 1
    path = write_npz(tmp_path / "mnist.npz", arrays)
    message = f"{NPZ_ARRAYS[changed]} of .*mnist.npz is not the file of mnist.*SHA-256"
    with pytest.raises(DatasetError, match=message):
        read_npz("mnist", path, sha256(grey_files()))


def damaged(tmp_path, index, change):
    files = grey_files()
    files[index] = change(files[index])
    return find_idx(write_idx(tmp_path / "own", files))


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
        read_idx("mnist", damaged(tmp_path, index, change))


def test_a_flipped_bit_inside_a_gzip_file_is_found(tmp_path):
    def flip(data):
        packed = bytearray(gzip.compress(data))
        packed[len(packed) // 2] ^= 0x10
        return bytes(packed)

    with pytest.raises(DatasetError, match="is a damaged gzip"):
        read_idx("mnist", damaged(tmp_path, 0, flip))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    paths = damaged(tmp_path, 0, lambda data: data)
    paths[0].unlink()
    paths[0].mkdir()
    with pytest.raises(DatasetError, match=r"cannot read .*train-images\S*: Is a directory"):
        read_idx("mnist", paths)


def test_files_that_are_not_all_there_are_named(tmp_path):
    folder = write_idx(tmp_path / "own", grey_files())
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DatasetError, match="but not t10k-labels-idx1-ubyte: the set is not whole"):
        find_idx(folder)


def objects(path):
    np.savez(path, **{name: np.array([{}], object) for name in NPZ_ARRAYS})


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_bytes(b"PK\x03\x04 no archive"), "not an npz file"),
        (lambda path: path.write_bytes(b"text"), "not an npz file"),
        (lambda path: np.save(path.open("wb"), np.zeros(3)), "not an npz file"),
        (objects, "not an npz file of plain numbers.*allow_pickle=False"),
        (lambda path: path.mkdir(), "cannot read .*: Is a directory"),
        (lambda path: write_npz(path, grey_arrays()[:3], NPZ_ARRAYS[:3]), "has no array y_test"),
        (
            lambda path: write_npz(path, [a / 255 for a in grey_arrays()]),
            "x_train of .* has numbers other than integers from 0 to 255",
        ),
        (
            lambda path: write_npz(path, [a.astype(int) - 1 for a in grey_arrays()]),
            "numbers other than integers from 0 to 255",
        ),
        (
            lambda path: write_npz(path, [a[..., None] for a in grey_arrays()]),
            "x_train of .* has 4 dimensions where 3 are expected",
        ),
    ],
)
def test_an_npz_file_that_is_none_is_named_with_what_is_wrong(tmp_path, write, message):
    path = tmp_path / "mnist.npz"
    write(path)
    with pytest.raises(DatasetError, match=message):
        read_npz("mnist", path)


def test_a_truncated_npz_file_is_damaged(tmp_path):
    path = write_npz(tmp_path / "mnist.npz", grey_arrays())
    data = bytearray(path.read_bytes())
    data[200] ^= 1  # inside x_train, of which zip keeps a checksum
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=r"or damaged .*CRC"):
        read_npz("mnist", path)
