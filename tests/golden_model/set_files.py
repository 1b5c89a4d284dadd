"""Small data sets in the forms of the published ones, for the tests."""

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
from dataclasses import replace

import numpy as np

from golden_model.cifar import BATCHES
from golden_model.idx import IDX_FILES, NPZ_ARRAYS


def idx(array):
    shape = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, 8, array.ndim]) + shape + array.astype(np.uint8).tobytes()


def grey_arrays(train=6, test=4, pixels=(4, 5)):
    """Training images and labels, test images and labels."""
    random = np.random.default_rng(0)
    return (
        random.integers(0, 256, (train, *pixels), np.uint8),
        np.arange(train, dtype=np.uint8) % 3,
        random.integers(0, 256, (test, *pixels), np.uint8),
        np.arange(test, dtype=np.uint8) % 3,
    )


def grey_files(**sizes):
    """Contents of the four IDX files."""
    return [idx(array) for array in grey_arrays(**sizes)]


def write_idx(folder, files, compress=False):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in zip(IDX_FILES, files, strict=True):
        path = folder / (f"{name}.gz" if compress else name)
        path.write_bytes(gzip.compress(data) if compress else data)
    return folder


def write_npz(path, arrays, names=NPZ_ARRAYS):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **dict(zip(names, arrays, strict=True)))
    return path


def sha256(files):
    return tuple(hashlib.sha256(data).hexdigest() for data in files)


def colour_batches(images=4):
    """Pixels, images x 3072, and labels of the five training batches and the test batch."""
    random = np.random.default_rng(1)
    return [
        (random.integers(0, 256, (images, 3072), np.uint8), random.integers(0, 10, images))
        for _ in BATCHES
    ]


def binary_batch(pixels, labels):
    return b"".join(
        bytes([label]) + row.tobytes() for row, label in zip(pixels, labels, strict=True)
    )


def python2_batch(pixels, labels):
    """A pickle as Python 2's cPickle wrote the published ones: protocol 2, strings of bytes."""

    def text(value):
        return b"U" + bytes([len(value)]) + value

    def integer(value):
        return b"K" + bytes([value]) if value < 256 else b"M" + struct.pack("<H", value)

    raw = pixels.tobytes()
    array = b"".join(
        [
            b"cnumpy.core.multiarray\n_reconstruct\nq\x06cnumpy\nndarray\nq\x07K\x00\x85",
            text(b"b") + b"\x87Rq\x08(K\x01" + integer(len(pixels)) + integer(3072) + b"\x86",
            b"cnumpy\ndtype\nq\x09" + text(b"u1") + b"K\x00K\x01\x87Rq\x0a(K\x03" + text(b"|"),
            b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89",
            b"T" + struct.pack("<i", len(raw)) + raw + b"tb",
        ]
    )
    names = b"".join(text(b"image_%d.png" % number) + b"q\x0b" for number in range(len(labels)))
    return b"".join(
        [
            b"\x80\x02}q\x01(" + text(b"batch_label") + b"q\x02" + text(b"training batch 1 of 5"),
            text(b"labels") + b"q\x03]q\x04(" + b"".join(map(integer, labels)) + b"e",
            text(b"data") + b"q\x05" + array,
            text(b"filenames") + b"q\x0c]q\x0d(" + names + b"eu.",
        ]
    )


def python3_batch(protocol):
    """A function that pickles a batch with Python 3."""

    def pickled(pixels, labels):
        batch = {
            b"batch_label": b"testing batch 1 of 1",
            b"labels": [int(label) for label in labels],
            b"data": pixels,
            b"filenames": [b"image.png"] * len(labels),
        }
        return pickle.dumps(batch, protocol)

    return pickled


def write_cifar(folder, form, batches, pickled=python2_batch):
    """The files of `batches` in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = binary_batch if form.ending else pickled
    for name, batch in zip(BATCHES, batches, strict=True):
        (folder / f"{name}{form.ending}").write_bytes(contents(*batch))
    return folder


def pack(folder, path):
    """The archive `path` of `folder`, whose name its members bear."""
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, folder.name)
        note = tarfile.TarInfo(f"{folder.name}/readme.html")
        archive.addfile(note, io.BytesIO())
    return path


def md5(data):
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def with_batch_md5(form, folder):
    """`form` of CIFAR-10, had its publisher published the batches in `folder`."""
    names = [f"{batch}{form.ending}" for batch in BATCHES]
    return replace(form, batch_md5=tuple(md5((folder / name).read_bytes()) for name in names))
