"""What each setting means, read from the records that hold the settings.

The comment beside a field, or above it, is its description: it stands in one place, and the help
pages cannot say something else.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
import tokenize
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from io import StringIO
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints


@dataclass(frozen=True, slots=True)
class Key:
    """One setting."""

    name: str  # dotted, from the root
    kind: str  # of its value
    default: str | None  # as it is typed; None where a value must be given
    text: str  # meaning, unit and range


def keys_of(cls: type[Any], prefix: str = "") -> Iterator[Key]:
    """Every setting of a record, those of records inside it after it.

    Args:
        cls: a data class.
        prefix: what comes before its names.
    """
    described = comments_of(cls)
    kinds = get_type_hints(cls)
    for one in fields(cls):
        kind, name = kinds[one.name], prefix + one.name
        inner = _record_of(one.default_factory if kind is Any else kind)
        if inner is not None:
            yield from keys_of(inner, f"{name}.")
            continue
        default = one.default
        if default is MISSING and one.default_factory is not MISSING:
            default = one.default_factory()
        yield Key(name, _spelt(kind), _typed(default), described.get(one.name, ""))


def comments_of(cls: type[Any]) -> dict[str, str]:
    """The comment beside or above each field of a data class, by the field's name."""
    cls = getattr(cls, "made_from", cls)
    comments: dict[str, str] = {}
    for parent in reversed(cls.__mro__):
        if is_dataclass(parent):
            comments |= _comments_in(textwrap.dedent(inspect.getsource(parent)))
    return comments


def _comments_in(source: str) -> dict[str, str]:
    comments = {
        token.start[0]: token.string.lstrip("# ").rstrip()
        for token in tokenize.generate_tokens(StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    lines = source.splitlines()
    (body,) = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
    comment_of: dict[str, str] = {}
    for node in body.body:
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)):
            continue
        first = node.lineno
        while lines[first - 2].lstrip().startswith("#"):
            first -= 1
        last = node.end_lineno or node.lineno
        texts = [comments[line] for line in range(first, last + 1) if line in comments]
        comment_of[node.target.id] = " ".join(texts)
    return comment_of


def _record_of(kind: Any) -> type[Any] | None:
    among = [one for one in (kind, *get_args(kind)) if is_dataclass(one)]
    return among[0] if among and get_origin(kind) not in (dict, list) else None  # type: ignore[return-value]


def _spelt(kind: Any) -> str:
    """A type in words."""
    words = {int: "whole number", float: "number", str: "text", bool: "true or false", Any: "any"}
    args = [one for one in get_args(kind) if one is not NoneType]
    if kind in words:
        return words[kind]
    if get_origin(kind) in (list, tuple):
        return f"list of {_spelt(args[0])}"
    if get_origin(kind) is dict:
        return "mapping"
    if not args:
        return str(getattr(kind, "__name__", kind))
    either = [_spelt(one) for one in args if not (one is int and float in args)]
    return ", or ".join([*either, "null"] if NoneType in get_args(kind) else either)


def _typed(value: Any) -> str | None:
    if value is MISSING or value == "???":
        return None
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    if isinstance(value, list | tuple):
        return f"[{', '.join(str(one) for one in value)}]"
    return str(value)
