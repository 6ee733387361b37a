"""Parameters and names in the form that MLflow takes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

KEY_LENGTH, PARAM_LENGTH, TAG_LENGTH = 250, 6000, 8000  # MLflow's limits, characters
_REFUSED = re.compile(r"[^\w.\- :/]")  # characters that MLflow takes in no name
_CUT = " … cut"

T = TypeVar("T")


def flat_params(params: Mapping[str, object]) -> dict[str, str]:
    """Nested mappings as one level, `policy.alpha`, with every value as text of legal length."""
    return {
        clean_name(name): cut(str(value), PARAM_LENGTH)
        for name, value in _leaves(params, prefix="")
    }


def clean_name(name: str) -> str:
    """A name with every character that MLflow refuses replaced by an underscore."""
    return _REFUSED.sub("_", name)[:KEY_LENGTH]


def cut(text: str, length: int) -> str:
    """Text of at most `length` characters, marked where something is missing."""
    return text if len(text) <= length else text[: length - len(_CUT)] + _CUT


def batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Runs of at most `size` items, in order."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _leaves(params: Mapping[str, object], prefix: str) -> Iterator[tuple[str, object]]:
    for key, value in params.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
