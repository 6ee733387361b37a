"""Columns as found in a file → columns of the contract's types, with a reason for each bad cell.

An empty string means "not given" in every format, because a CSV file cannot tell the two apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nurture_rl.logs.quarantine import first_reason, reason_where
from nurture_rl.logs.schema import UTC_TIME, WALL_TIME

_SECOND = len("2026-03-01T10:00:00")  # characters up to the second
_SHORTEST = _SECOND + len("Z")
_CLOCK = r"[1-9]\d{3}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?"
_ZONED = rf"^{_CLOCK}(Z|[+-]\d{{2}}(:?\d{{2}})?)$"
_NAIVE = rf"^([1-9]\d{{3}}-\d{{2}}-\d{{2}}|{_CLOCK})$"
YEARS = (1900, 2199)  # clocks of no zone can be asked for much before or after
_FIRST, _AFTER_LAST = (
    pa.scalar(datetime(year, 1, 1), WALL_TIME) for year in (YEARS[0], YEARS[1] + 1)
)
_FOUR_DIGITS = pa.scalar(datetime(1000, 1, 2), WALL_TIME)  # of a year, in any zone
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_INTEGER = r"^[+-]?\d{1,18}$"
_OBJECTS = (pa.types.is_string, pa.types.is_struct, pa.types.is_map)
_SORTED = msgspec.json.Encoder(order="sorted")


@dataclass(frozen=True, slots=True)
class Converted:
    """One column in the contract's type."""

    values: pa.Array  # [n], null where nothing or nothing usable was given
    reasons: pa.Array  # [n] strings, null where the cell is good


def convert_column(name: str, column: pa.Array, target: pa.DataType) -> Converted:
    """Convert one column; a cell that does not fit becomes null and carries its reason.

    Args:
        name: the column, for the reasons.
        column: the cells as the file gave them, [n].
        target: a type of the contract's tables.
    """
    column = _plain(column)
    if pa.types.is_null(column.type):
        return _good(pa.nulls(len(column), target))
    if pa.types.is_timestamp(target):
        return _to_time(name, column, target)
    if pa.types.is_list(target):
        return _to_list(name, column, target)
    if pa.types.is_string(target):
        fits = pa.types.is_string(column.type)
        return _good(column) if fits else _all_wrong(name, column, target, "a string")
    if pa.types.is_boolean(target):
        return _to_bool(name, column)
    return _to_number(name, column, target)


def canonical_objects(name: str, column: pa.Array) -> Converted:
    """JSON objects (text, struct or map) → text with sorted keys: equal objects, equal text."""
    column = _plain(column)
    kind = column.type
    if not any(fits(kind) for fits in (pa.types.is_null, *_OBJECTS)):
        reason = reason_where(column.is_valid(), f"wrong type: {name} must be a JSON object")
        return Converted(pa.nulls(len(column), pa.string()), reason)
    if not pa.types.is_string(kind):
        cells = column.to_pylist()
        texts = [None if cell is None else _SORTED.encode(_object(cell)).decode() for cell in cells]
        column = pa.array(texts, pa.string())
    encoded = column.dictionary_encode()
    canonical = [_canonical_object(text) for text in encoded.dictionary.to_pylist()]
    values = pa.array(canonical, pa.string()).take(encoded.indices)
    bad = pc.and_(column.is_valid(), values.is_null())
    return Converted(values, reason_where(bad, f"wrong type: {name} must be a JSON object"))


def _plain(column: pa.Array) -> pa.Array:
    """Undo dictionary and large encodings; empty strings become null."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    if pa.types.is_string(column.type):
        empty = pc.equal(column, "")
        if pc.any(empty).as_py():
            column = pc.if_else(empty, pa.scalar(None, pa.string()), column)
    return column


def _good(values: pa.Array) -> Converted:
    return Converted(values, pa.nulls(len(values), pa.string()))


def _all_wrong(name: str, column: pa.Array, target: pa.DataType, expected: str) -> Converted:
    reason = f"wrong type: {name} must be {expected}, got a column of {column.type}"
    return Converted(pa.nulls(len(column), target), reason_where(column.is_valid(), reason))


def _wrong_cells(name: str, cells: pa.Array, values: pa.Array, expected: str) -> Converted:
    """The reasons of cells that gave no value."""
    bad = pc.and_(cells.is_valid(), values.is_null())
    reasons = reason_where(bad, f"wrong type: {name} must be {expected}, got '", cells, "'")
    return Converted(values, reasons)


def _to_time(name: str, column: pa.Array, target: pa.DataType) -> Converted:
    read = _read_time(name, column, target)
    instants = read.values.cast(WALL_TIME)
    far = pc.or_(pc.less(instants, _FIRST), pc.greater_equal(instants, _AFTER_LAST))
    told = f" is not of the years {YEARS[0]} to {YEARS[1]}"
    reason = reason_where(far, f"impossible time: {name} ", read.values, told)
    return Converted(read.values, first_reason([read.reasons, reason]))


def _read_time(name: str, column: pa.Array, target: pa.DataType) -> Converted:
    zoned = target == UTC_TIME
    if pa.types.is_timestamp(column.type):
        if zoned and column.type.tz is None:
            values = pa.nulls(len(column), UTC_TIME)
            return Converted(values, _without_zone(name, column.is_valid(), column))
        if not zoned and column.type.tz is not None:
            return _all_wrong(name, column, WALL_TIME, "a local wall time without a zone")
        return _good(column.cast(target, safe=False))
    expected = "an ISO-8601 time with Z or an offset" if zoned else "a local ISO-8601 time, no zone"
    if not pa.types.is_string(column.type):
        return _all_wrong(name, column, target, expected)
    usual = _usual_times(column) if zoned else None
    if usual is not None:
        return _good(usual)
    fits = pc.match_substring_regex(column, _ZONED if zoned else _NAIVE)
    values = _parse_times(pc.if_else(fits, column, pa.scalar(None, pa.string())), target)
    wrong = _wrong_cells(name, column, values, expected)
    if not zoned or wrong.reasons.null_count == len(column):
        return wrong
    naive = _without_zone(name, pc.match_substring_regex(column, _NAIVE), column)
    return Converted(values, first_reason([naive, wrong.reasons]))


def _without_zone(name: str, bad: pa.Array, text: pa.Array) -> pa.Array:
    return reason_where(
        bad, f"time without zone: {name} '", text, "' could be any zone; write Z or an offset"
    )


def _usual_times(text: pa.Array) -> pa.Array | None:
    """UTC times to the second at least, where Arrow can tell that all of them are; else None.

    As long as `_SHORTEST` is no other text that Arrow takes for a time in a zone.
    """
    if (pc.min(pc.binary_length(text)).as_py() or 0) < _SHORTEST:
        return None
    try:
        times = text.cast(UTC_TIME)
    except pa.ArrowInvalid:
        return None
    early = pc.any(pc.less(times.cast(WALL_TIME), _FOUR_DIGITS)).as_py()
    return None if early else times


def _parse_times(text: pa.Array, target: pa.DataType) -> pa.Array:
    """ISO times, cut to microseconds; null where the calendar has no such time."""
    if (pc.max(pc.binary_length(text)).as_py() or 0) > _SECOND + len(".123456"):
        text = pc.replace_substring_regex(text, r"(\.\d{6})\d+", r"\1")
    try:
        return text.cast(target)
    except pa.ArrowInvalid:  # some cell is like 30 February: look at each, slowly
        return pa.array([_moment(cell) for cell in text.to_pylist()], target)


def _moment(text: str | None) -> datetime | None:
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError:
        return None


def _to_bool(name: str, column: pa.Array) -> Converted:
    if pa.types.is_boolean(column.type):
        return _good(column)
    if not pa.types.is_string(column.type):
        return _all_wrong(name, column, pa.bool_(), "true or false")
    lower = pc.utf8_lower(column)
    known = pc.is_in(lower, value_set=pa.array(["true", "false", "1", "0"]))
    truth = pc.is_in(lower, value_set=pa.array(["true", "1"]))
    values = pc.if_else(known, truth, pa.scalar(None, pa.bool_()))
    return _wrong_cells(name, column, values, "true or false")


def _to_number(name: str, column: pa.Array, target: pa.DataType) -> Converted:
    whole = pa.types.is_integer(target)
    expected = "a whole number of 32 bits" if whole else "a finite number"
    wide = pa.int64() if whole else pa.float64()
    numeric = pa.types.is_integer(column.type) or (not whole and _is_fraction(column.type))
    if pa.types.is_string(column.type):
        given = _read_number(column, _INTEGER if whole else _NUMBER, wide)
    elif numeric:
        given = column.cast(wide, safe=False)
    else:
        return _all_wrong(name, column, target, expected)
    fits = _fits_32_bits(given) if whole else pc.is_finite(given)
    values = pc.if_else(fits, given, pa.scalar(None, wide)).cast(target)
    return _wrong_cells(name, column, values, expected)


def _read_number(column: pa.Array, pattern: str, wide: pa.DataType) -> pa.Array:
    """The numbers of texts; null, or not finite, where a text is none."""
    if pa.types.is_floating(wide):
        try:
            return column.cast(wide)  # Arrow takes no other text for a finite fraction
        except pa.ArrowInvalid:
            pass
    fits = pc.match_substring_regex(column, pattern)
    text = pc.if_else(fits, column, pa.scalar(None, pa.string()))
    # Arrow reads no leading plus sign.
    return pc.utf8_ltrim(text, characters="+").cast(wide)


def _fits_32_bits(values: pa.Array) -> pa.Array:
    return pc.and_(pc.greater_equal(values, -(2**31)), pc.less(values, 2**31))


def _is_fraction(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _to_list(name: str, column: pa.Array, target: pa.DataType) -> Converted:
    expected = f"a list of {target.value_type} without gaps"
    if pa.types.is_string(column.type):
        decode = _list_reader(target.value_type)
        said = np.flatnonzero(np.asarray(column.is_valid()))
        lists = pa.array(map(decode, column.take(pa.array(said)).to_pylist()), target)
        place = np.full(len(column), -1)
        place[said] = np.arange(said.size)
        values = lists.take(pa.array(place, mask=place < 0))
        return _wrong_cells(name, column, values, expected)
    if not _is_list_of(column.type, target.value_type):
        return _all_wrong(name, column, target, expected)
    values = column.cast(target)
    gaps = np.zeros(len(values), dtype=bool)
    gaps[np.asarray(pc.list_parent_indices(values))[np.asarray(values.flatten().is_null())]] = True
    reasons = reason_where(pa.array(gaps), f"wrong type: {name} must be {expected}, got a null")
    return Converted(values, reasons)


def _is_list_of(kind: pa.DataType, item: pa.DataType) -> bool:
    """Whether cells of `kind` are lists whose items are of the family of `item`."""
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or _is_fixed(kind)):
        return False
    given = kind.value_type
    if pa.types.is_null(given):
        return True
    if pa.types.is_floating(item):
        return bool(_is_fraction(given) or pa.types.is_integer(given))
    return bool(given == item or (pa.types.is_large_string(given) and pa.types.is_string(item)))


def _is_fixed(kind: pa.DataType) -> bool:
    return bool(pa.types.is_fixed_size_list(kind))


def _list_reader(item: pa.DataType) -> Callable[[str | None], list[object] | None]:
    """A reader of JSON lists of one item type; None for what is not such a list."""
    python = bool if pa.types.is_boolean(item) else str if pa.types.is_string(item) else float
    decoder = msgspec.json.Decoder(list[python])  # type: ignore[valid-type]

    def read(text: str | None) -> list[object] | None:
        try:
            return None if text is None else decoder.decode(text)
        except (msgspec.DecodeError, RecursionError):  # ValidationError is one too
            return None

    return read


def _canonical_object(text: str) -> str | None:
    try:
        return _SORTED.encode(msgspec.json.decode(text, type=dict[str, object])).decode()
    except (msgspec.DecodeError, RecursionError):
        return None


def _object(cell: object) -> object:
    """A struct cell without its absent members; a map cell (a list of pairs) as an object."""
    members = cell.items() if isinstance(cell, dict) else cell
    return {name: value for name, value in members if value is not None}  # type: ignore[attr-defined]
