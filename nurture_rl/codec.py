"""Typed records as JSON files, written and read by one codec."""

from __future__ import annotations

import json
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from nurture_rl.errors import LogError

Record = TypeVar("Record")


def write_record(record: Any, path: Path) -> None:
    """Write a frozen dataclass as JSON, one key a line.

    Numbers that JSON has no word for are written as the texts "nan", "inf" and "-inf". The
    influences of estimates, one number per contact, are emptied.
    """
    values = _finite(msgspec.to_builtins(record, enc_hook=_plain))
    path.write_text(json.dumps(values, indent=1, allow_nan=False) + "\n", "utf-8")


def read_record(path: Path, kind: type[Record]) -> Record:
    """Read what `write_record` wrote.

    Raises:
        LogError: the file is no record of that kind, as after an update of the package.
    """
    try:
        return to_record(json.loads(path.read_text("utf-8")), kind)
    except (ValueError, msgspec.ValidationError) as error:
        raise LogError(
            f"{path}: expected a record of {kind.__name__}, got another ({error}); remove its "
            "folder and run again"
        ) from error


def to_record(values: Any, kind: type[Record]) -> Record:
    """Plain JSON values as a record.

    Raises:
        msgspec.ValidationError: they are none of that kind.
    """
    return msgspec.convert(values, kind, strict=False, dec_hook=_array)


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(f"expected arrays, numbers and records, got {type(value)}")


def _array(kind: type, value: object) -> object:
    del kind  # the only type of ours that msgspec does not know is that of arrays
    return np.array(value)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if isfinite(value) else str(value)
    if isinstance(value, dict):
        return {key: [] if key == "influence" else _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
