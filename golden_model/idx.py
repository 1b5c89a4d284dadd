"""Grey images as MNIST is published: four IDX files, or the same four arrays in an npz file.

The arrays of `mnist.npz`, as Keras distributes it, are those of the IDX files. So both are checked
by the same facts: the SHA-256 of the four IDX files, uncompressed.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from golden_model.dataset_files import DatasetError, check, find_all, read_uncompressed
from golden_model.images import Dataset, Images

IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
"""Names of a set's files: training images and labels, test images and labels; each may end .gz."""

NPZ_ARRAYS = ("x_train", "y_train", "x_test", "y_test")
"""Names of the same in an npz file."""

IDX_UNSIGNED_BYTE = 0x08

Pixels = NDArray[np.uint8]


def find_idx(folder: Path) -> list[Path]:
    """Paths of the four `IDX_FILES` in `folder`, plain before gzip; empty if none is there.

    Raises `DatasetError` if only some of them are.
    """
    return find_all(folder, IDX_FILES, ("", ".gz"))


def read_idx(name: str, paths: Sequence[Path], checksums: Sequence[str] | None = None) -> Dataset:
    """Data set `name` from its IDX files `paths`, in the order of `IDX_FILES`.

    `checksums` are the SHA-256 of the files' uncompressed contents. Raises `DatasetError` for a
    damaged file, for files that do not belong together, and for contents of another checksum.
    """
    arrays = [parse_idx(read_uncompressed(path), path) for path in paths]
    return _dataset(name, arrays, [str(path) for path in paths], checksums)


def read_npz(name: str, path: Path, checksums: Sequence[str] | None = None) -> Dataset:
    """Data set `name` from the arrays `NPZ_ARRAYS` of npz file `path`; no pickles are read.

    `checksums` are those of `read_idx`. Raises `DatasetError` as that does.
    """
    places = [f"{array} of {path}" for array in NPZ_ARRAYS]
    arrays = []
    try:
        with np.load(path, allow_pickle=False) as archive:
            for array, place in zip(NPZ_ARRAYS, places, strict=True):
                if array not in archive:
                    raise DatasetError(
                        f"{path} has no array {array}; it must have {', '.join(NPZ_ARRAYS)}"
                    )
                arrays.append(_bytes(archive[array], place))
    except DatasetError:
        raise
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror or error}") from error
    # What a damaged archive makes NumPy raise, an array where an archive should be among it.
    except (ValueError, EOFError, MemoryError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise DatasetError(
            f"{path} is not an npz file of plain numbers, or damaged ({error}); get it anew"
        ) from error
    return _dataset(name, arrays, places, checksums)


def parse_idx(data: bytes, path: Path) -> Pixels:
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


def idx_header(shape: Sequence[int]) -> bytes:
    """What an IDX file of unsigned bytes starts with, for an array of `shape`."""
    return bytes([0, 0, IDX_UNSIGNED_BYTE, len(shape)]) + np.array(shape, ">u4").tobytes()


def _bytes(array: NDArray[np.generic], place: str) -> Pixels:
    """The numbers of `array`, which `place` has, as bytes."""
    if not np.issubdtype(array.dtype, np.integer) or not np.array_equal(
        values := array.astype(np.uint8), array
    ):
        raise DatasetError(f"{place} has numbers other than integers from 0 to 255; get it anew")
    return np.ascontiguousarray(values)


def _dataset(
    name: str, arrays: Sequence[Pixels], places: Sequence[str], checksums: Sequence[str] | None
) -> Dataset:
    """Data set `name` of the four `arrays`, once they fit together and have the `checksums`.

    `places` say where each came from, for the errors.
    """
    for array, place, dimensions in zip(arrays, places, (3, 1, 3, 1), strict=True):
        if array.ndim != dimensions:
            raise DatasetError(
                f"{place} has {array.ndim} dimensions where {dimensions} are expected: "
                f"the order is {', '.join(IDX_FILES)}"
            )
    for images, labels in ((0, 1), (2, 3)):
        if len(arrays[images]) != len(arrays[labels]):
            raise DatasetError(
                f"{places[labels]} has {len(arrays[labels])} labels for the {len(arrays[images])} "
                f"images of {places[images]}: they do not belong together; get both anew"
            )
    if arrays[0].shape[1:] != arrays[2].shape[1:]:
        raise DatasetError(
            f"{places[2]} has images of {arrays[2].shape[1:]} pixels, {places[0]} of "
            f"{arrays[0].shape[1:]}: they do not belong together; get both anew"
        )
    for array, place, checksum in zip(arrays, places, checksums or (), strict=bool(checksums)):
        check(name, place, (idx_header(array.shape), array.data), "sha256", checksum)
    train_pixels, train_labels, test_pixels, test_labels = arrays
    return Dataset(
        name,
        Images(train_pixels[:, None]),
        train_labels.astype(np.int64),
        Images(test_pixels[:, None]),
        test_labels.astype(np.int64),
        int(max(train_labels.max(initial=0), test_labels.max(initial=0))) + 1,
    )
