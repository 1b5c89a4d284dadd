"""Checkpoints: named arrays and a description in one NumPy archive, written whole or not."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden_model.files import replacing
from golden_model.training_settings import TrainingError

_DESCRIPTION = "description"
_FORMAT = "eigenbar checkpoint 1"


def save(path: Path, arrays: Mapping[str, NDArray[Any]], description: Mapping[str, Any]) -> None:
    """Write `arrays` and what JSON can say of them, `description`, to `path`."""
    text = json.dumps({"format": _FORMAT, **description}, allow_nan=False)
    contents: dict[str, Any] = {_DESCRIPTION: np.array(text), **arrays}
    with replacing(path) as file:
        np.savez(file, **contents)


def load(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Arrays and description that `save` wrote to `path`.

    Raises `TrainingError` if `path` cannot be read or is not a whole checkpoint.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        description = json.loads(str(arrays.pop(_DESCRIPTION)))
        if description.pop("format") != _FORMAT:
            raise ValueError("another format")
    except FileNotFoundError as error:
        raise TrainingError(f"no checkpoint at {path} to resume from") from error
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        AttributeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise TrainingError(
            f"{path} is not a checkpoint of this program, or damaged ({error}); "
            "remove it and train anew"
        ) from error
    return arrays, description
