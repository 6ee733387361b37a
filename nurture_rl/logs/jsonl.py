"""One JSON object a line, each field of the contract's type: decoded strictly, line by line."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Annotated, Any

import msgspec
import pyarrow as pa

from nurture_rl.logs.quarantine import BadLine, shown
from nurture_rl.logs.schema import TableKind, raw_schema

_SORTED = msgspec.json.Encoder(order="sorted")
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_JSON_OBJECTS = ("properties", "attributes")
_BY_ACTION = {"probabilities": float, "mask": bool}  # lists, or objects by action id


def read_jsonl(
    lines: Iterable[bytes], kind: TableKind, before: int = 0
) -> tuple[pa.Table, list[dict[str, object] | None], list[int], list[BadLine]]:
    """Decode lines of one table; blank lines are skipped.

    Args:
        lines: with their ends.
        kind: the table.
        before: lines of the file that came before.

    Returns:
        The known columns [n] (times still as text), the unknown fields of each row [n], the
        1-based line of each row [n], and the lines that are not such an object.
    """
    record = _record_type(kind)
    decoder = msgspec.json.Decoder(record)
    rows: list[tuple[object, ...]] = []
    extras: list[dict[str, object] | None] = []
    numbers: list[int] = []
    bad: list[BadLine] = []
    for number, line in enumerate(lines, before + 1):
        if line.isspace():
            continue
        try:
            row, extra = decoder.decode(line), None
        except _UNREADABLE:
            try:
                row, extra = _with_extras(line, record)
            except _UNREADABLE as error:
                reason = _reason(error)
                bad.append(BadLine(number, reason, shown(line)))
                continue
        rows.append(msgspec.structs.astuple(row))
        extras.append(extra)
        numbers.append(number)
    return _table(rows, kind), extras, numbers, bad


@cache
def _record_type(kind: TableKind) -> type[msgspec.Struct]:
    """The strict record of one line: every field optional here, required ones are checked later."""
    fields = [
        (field.name, _python_type(field), None)
        for field in raw_schema(kind)
        if not field.name.startswith("_")
    ]
    return msgspec.defstruct("Line", fields, forbid_unknown_fields=True, gc=False)


def _python_type(field: pa.Field) -> Any:
    kind = field.type
    if field.name in _JSON_OBJECTS:
        return dict[str, object] | str | None
    if field.name in _BY_ACTION:
        item = _BY_ACTION[field.name]
        return list[item] | dict[str, item] | None  # type: ignore[valid-type]
    if pa.types.is_list(kind):
        return list[_scalar(kind.value_type)] | None  # type: ignore[misc]
    return _scalar(kind) | None


def _scalar(kind: pa.DataType) -> Any:
    if pa.types.is_boolean(kind):
        return bool
    if pa.types.is_integer(kind):
        return Annotated[int, msgspec.Meta(ge=-(2**31), lt=2**31)]
    return float if pa.types.is_floating(kind) else str


def _with_extras(
    line: bytes, record: type[msgspec.Struct]
) -> tuple[msgspec.Struct, dict[str, object] | None]:
    """The record of a line that has fields beyond the contract, and those fields.

    Raises:
        msgspec.DecodeError: the line is not a JSON object, or a known field has another type.
        UnicodeDecodeError: the line is not UTF-8.
        RecursionError: the line is nested too deeply.
    """
    values = msgspec.json.decode(line, type=dict[str, object])
    known = {name: values.pop(name) for name in record.__struct_fields__ if name in values}
    given = {name: value for name, value in values.items() if value is not None and value != ""}
    return msgspec.convert(known, record), given or None


def _reason(error: Exception) -> str:
    if isinstance(error, msgspec.ValidationError):
        return f"wrong type: {error}"
    return f"malformed: {error}"


def _table(rows: list[tuple[object, ...]], kind: TableKind) -> pa.Table:
    """The rows as columns of the contract's types, but times still text."""
    fields = [field for field in raw_schema(kind) if not field.name.startswith("_")]
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(fields)
    arrays = []
    for field, column in zip(fields, columns, strict=True):
        if field.name in _JSON_OBJECTS:
            column = tuple(_text(cell) for cell in column)
        text = pa.types.is_timestamp(field.type)
        if field.name in _BY_ACTION and any(isinstance(cell, dict) for cell in column):
            text, column = True, tuple(None if cell is None else _json(cell) for cell in column)
        arrays.append(pa.array(column, pa.string() if text else field.type))
    return pa.table(arrays, names=[field.name for field in fields])


def _json(cell: object) -> str:
    return msgspec.json.encode(cell).decode()


def _text(cell: object) -> object:
    return _SORTED.encode(cell).decode() if isinstance(cell, dict) else cell
