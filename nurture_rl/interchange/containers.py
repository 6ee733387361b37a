"""Files of other libraries, opened whole or refused in one line that names them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nurture_rl.errors import LogError, NurtureError
from nurture_rl.interchange.episodes import require_package


def require_file(path: Path, what: str, setting: str = "the path") -> None:
    """Guard a file that is to be opened.

    Args:
        path: the file.
        what: what it should be.
        setting: what to check where it is not.

    Raises:
        LogError: there is none, or it is a folder.
    """
    if path.is_dir():
        raise LogError(f"expected {what} at {path}, got a folder; name the file in it")
    if not path.is_file():
        raise LogError(f"expected {what} at {path}, there is no such file; check {setting}")


def npz_arrays(path: Path, what: str) -> dict[str, NDArray[Any]]:
    """Every array of an .npz file by name; nothing pickled is opened.

    Raises:
        LogError: no such file, no .npz file, or arrays of Python objects in it.
    """
    require_file(path, f"{what}, an .npz file,")
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:  # zip, zlib, numpy and ast each have their own
        fault = "one bare array" if isinstance(error, TypeError) else str(error)
        raise LogError(
            f"expected {path.name} to be an .npz file of plain arrays, got: {fault}; write it with "
            "numpy.savez and leave out keys that are None"
        ) from error


@contextmanager
def hdf5_file(path: Path) -> Iterator[Any]:
    """An HDF5 file to read.

    Raises:
        ConfigError: h5py is not installed.
        LogError: there is no such file, it is damaged, or it lacks what is read in the block.
    """
    h5py = require_package("h5py")
    require_file(path, "an HDF5 file")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except NurtureError:
        raise
    except Exception as error:  # h5py raises whatever HDF5 or the block came upon
        raise LogError(
            f"expected {path.name} to be a whole HDF5 file, got: {_line(error)}; write it again"
        ) from error


def minari_records(data: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Metadata of a Minari data set and its episodes, from its `data` folder.

    Raises:
        ConfigError: minari, or h5py beneath it, is not installed.
        LogError: there is no data set, or it is damaged.
    """
    storages = require_package("minari.dataset.minari_storage")
    if not (data / "metadata.json").is_file():
        raise LogError(
            f"expected a Minari data set at {data}, there is no metadata.json; give the folder "
            "`data` inside the data set's folder"
        )
    try:
        storage = storages.MinariStorage.read(data)
        metadata = dict(storage.metadata)
        return metadata, list(storage.get_episodes(range(metadata["total_episodes"])))
    except ImportError:
        require_package("h5py")
        raise
    except Exception as error:  # json, h5py and Minari's own assertions
        raise LogError(
            f"expected a whole Minari data set at {data}, got: {_line(error)}; make it again"
        ) from error


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
