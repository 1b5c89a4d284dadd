"""CIFAR-10: both forms, folders and archives, and every way in which they can be wrong."""

import gzip
import io
import tarfile
from dataclasses import replace

import numpy as np
import pytest

from golden_model import cifar
from golden_model.cifar import BATCHES, BINARY, PYTHON, Place, find, parse_python, read_cifar
from golden_model.dataset_files import DatasetError
from tests.golden_model.set_files import (
    binary_batch,
    colour_batches,
    md5,
    pack,
    python2_batch,
    python3_batch,
    with_batch_md5,
    write_cifar,
)


def same_as(batches, dataset):
    pixels = np.concatenate([pixels for pixels, _ in batches]).reshape(-1, 3, 32, 32)
    labels = np.concatenate([labels for _, labels in batches])
    last = len(batches[-1][1])
    assert np.array_equal(np.rint(dataset.train_images[:] * 255), pixels[:-last])
    assert np.array_equal(np.rint(dataset.test_images[:] * 255), pixels[-last:])
    assert np.array_equal(dataset.train_labels, labels[:-last])
    assert np.array_equal(dataset.test_labels, labels[-last:])
    assert dataset.classes == 10
    assert dataset.shape == (3, 32, 32)


@pytest.mark.parametrize("archive", [False, True])
@pytest.mark.parametrize("form", [BINARY, PYTHON])
def test_both_forms_are_read_from_folder_and_archive(tmp_path, form, archive):
    batches = colour_batches()
    folder = write_cifar(tmp_path / "made" / form.folder, form, batches)
    if archive:
        folder = pack(folder, tmp_path / form.archives[0]).parent
    place = find(folder)
    assert place.form is form
    same_as(batches, read_cifar("cifar-10", place, checksums=False))
    assert len(list(tmp_path.iterdir())) == 1 + archive  # nothing was extracted


def test_pickles_of_python_3_are_read_too(tmp_path):
    batches = colour_batches()
    folder = write_cifar(tmp_path, PYTHON, batches, python3_batch(3))
    same_as(batches, read_cifar("cifar-10", Place(PYTHON, folder), checksums=False))


def test_keras_names_for_the_archive_are_known(tmp_path):
    batches = colour_batches()
    folder = write_cifar(tmp_path / "made" / PYTHON.folder, PYTHON, batches)
    path = pack(folder, tmp_path / "cifar-10-batches-py-target_archive")
    assert find(tmp_path) == Place(PYTHON, path)


def test_a_folder_without_cifar_has_none(tmp_path):
    assert find(tmp_path) is None
    assert find(tmp_path / "nowhere") is None


@pytest.mark.parametrize("form", [BINARY, PYTHON])
@pytest.mark.parametrize("batch", [0, 4, 5])
def test_a_changed_bit_in_any_file_is_found_by_its_checksum(tmp_path, form, batch):
    folder = write_cifar(tmp_path, form, colour_batches())
    form = with_batch_md5(form, folder)
    read_cifar("cifar-10", Place(form, folder))
    path = folder / f"{BATCHES[batch]}{form.ending}"
    data = bytearray(path.read_bytes())
    data[1000] ^= 1  # a pixel
    path.write_bytes(data)
    message = f"{path.name} is not the file of cifar-10: the MD5 of its contents"
    with pytest.raises(DatasetError, match=message):
        read_cifar("cifar-10", Place(form, folder))
    read_cifar("cifar-10", Place(form, folder), checksums=False)


def test_an_archive_is_checked_as_a_whole(tmp_path):
    folder = write_cifar(tmp_path / BINARY.folder, BINARY, colour_batches())
    path = pack(folder, tmp_path / "cifar-10-binary.tar.gz")
    form = replace(BINARY, archive_md5=md5(path.read_bytes()))
    read_cifar("cifar-10", Place(form, path))
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(DatasetError, match=r"cifar-10-binary.tar.gz is not the file of cifar-10"):
        read_cifar("cifar-10", Place(form, path))


@pytest.mark.parametrize("form", [BINARY, PYTHON])
def test_missing_batches_are_named(tmp_path, form):
    folder = write_cifar(tmp_path / form.folder, form, colour_batches())
    (folder / f"data_batch_3{form.ending}").unlink()
    path = pack(folder, tmp_path / form.archives[0])
    message = f"lacks data_batch_3{form.ending}; get it anew"
    with pytest.raises(DatasetError, match=message):
        read_cifar("cifar-10", Place(form, path), checksums=False)
    with pytest.raises(DatasetError, match=f"but not data_batch_3{form.ending}: the set is not"):
        find(folder)


def test_a_truncated_archive_is_damaged(tmp_path):
    folder = write_cifar(tmp_path / BINARY.folder, BINARY, colour_batches())
    path = pack(folder, tmp_path / "cifar-10-binary.tar.gz")
    whole = path.read_bytes()
    for data in (whole[: len(whole) // 2], b"", b"text", gzip.compress(b"no tar" * 200)):
        path.write_bytes(data)
        with pytest.raises(DatasetError, match=r"cifar-10-binary.tar.gz is a damaged archive"):
            read_cifar("cifar-10", Place(BINARY, path), checksums=False)


def test_a_batch_larger_than_any_published_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar, "BATCH_LIMIT", 4 * 3073 - 1)
    folder = write_cifar(tmp_path / BINARY.folder, BINARY, colour_batches())
    path = pack(folder, tmp_path / "cifar-10-binary.tar.gz")
    for place in (folder, path):
        with pytest.raises(DatasetError, match=r"data_batch_1.bin.* is larger than any batch"):
            read_cifar("cifar-10", Place(BINARY, place), checksums=False)


def test_links_in_an_archive_lead_nowhere(tmp_path):
    path = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for batch in BATCHES[1:]:
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{batch}.bin")
            data = binary_batch(*colour_batches()[0])
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        link = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(DatasetError, match=r"lacks data_batch_1.bin"):
        read_cifar("cifar-10", Place(BINARY, path), checksums=False)


PIXELS, LABELS = colour_batches()[0]


@pytest.mark.parametrize(
    ("form", "data", "message"),
    [
        (BINARY, b"", "test_batch.bin is truncated or no batch: 0 bytes"),
        (BINARY, binary_batch(PIXELS, LABELS)[:-1], "12291 bytes are no multiple of the 3073"),
        (BINARY, binary_batch(PIXELS, [0, 1, 10, 2]), "has label 10 where 0 to 9 are expected"),
        (PYTHON, python2_batch(PIXELS, LABELS)[:-9], "test_batch is a pickle damaged"),
        (PYTHON, python2_batch(PIXELS, [0, 1, 10, 2]), "no list of labels from 0 to 9 for its 4"),
        (PYTHON, python2_batch(PIXELS, LABELS[:3]), "no list of labels from 0 to 9 for its 4"),
        (PYTHON, python3_batch(2)(PIXELS[:, 1:], LABELS), "has no array data of images x 3072"),
        (PYTHON, python3_batch(3)(PIXELS[:0], LABELS[:0]), "has no images"),
        (PYTHON, python3_batch(2)(PIXELS * 1.0, LABELS), "pickle with an array of f8 where bytes"),
        (PYTHON, b"\x80\x02cos\nsystem\nU\x02ls\x85R.", "pickle asking for os.system.*an attack"),
    ],
)
def test_a_damaged_batch_is_named_with_what_is_wrong(tmp_path, form, data, message):
    folder = write_cifar(tmp_path, form, colour_batches())
    (folder / f"test_batch{form.ending}").write_bytes(data)
    with pytest.raises(DatasetError, match=message):
        read_cifar("cifar-10", Place(form, folder), checksums=False)


def test_an_array_in_the_order_of_fortran_is_refused():
    with pytest.raises(DatasetError, match="building what no batch has"):
        parse_python(python3_batch(2)(np.asfortranarray(PIXELS), LABELS), "batch")
