"""Cells as a file writes them → cells as the tables do, with a reason for each that fails."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from nurture_rl.logs.convert import Converted
from nurture_rl.logs.mapped.mapping_file import CellSource, plain_cell
from nurture_rl.logs.quarantine import reason_where

UNMAPPED = "unmapped value"
LEFT_OUT = "left out by the mapping"
ZONED = r":\d{2}(\.\d+)?(Z|[+-]\d{2}(:?\d{2})?)$"
YES = frozenset({"true", "1", "yes", "y", "on"})
NO = frozenset({"false", "0", "no", "n", "off"})
_TYPES = {"seconds": 1_000_000, "milliseconds": 1_000}


def by_values(column: pa.Array, source: CellSource) -> Converted:
    """Words by the mapping's values.

    Returns:
        The words, and a reason where a cell is not among them and must be.
    """
    if not source.values:
        return Converted(column, pa.nulls(len(column), pa.string()))
    encoded = column.dictionary_encode()
    cells = encoded.dictionary.to_pylist()
    known = [plain_cell(cell) in source.values for cell in cells]
    words = [source.values.get(plain_cell(cell)) for cell in cells]
    if source.others == "keep":
        words = [
            word if is_known else cell
            for cell, word, is_known in zip(cells, words, known, strict=True)
        ]
    values = pa.array(words, pa.string()).take(encoded.indices)
    if source.others in ("keep", "empty"):
        return Converted(values, pa.nulls(len(column), pa.string()))
    strange = pc.invert(pa.array(known, pa.bool_()).take(encoded.indices))
    what = UNMAPPED if source.others == "refuse" else LEFT_OUT
    return Converted(values, reason_where(strange, f"{what}: {source.column} is '", column, "'"))


def to_utc(name: str, column: pa.Array, times: str, zone: str) -> Converted:
    """Moments as ISO text in UTC.

    A local time that the clock shows twice in autumn is taken as the earlier one.

    Args:
        name: the column, for reasons.
        column: cells, [n].
        times: `iso`, `seconds`, `milliseconds` or a pattern of strptime.
        zone: of cells that say none.

    Returns:
        Text that ends in Z; a reason where a cell is no such time, or names an hour that clocks
        skip in spring.
    """
    if times in _TYPES:
        return _of_epoch(name, column, times)
    if times == "iso":
        has_zone = pc.match_substring_regex(column, ZONED)
        zoned = pc.if_else(has_zone, column, None)
        naive = pc.if_else(has_zone, None, column)
        local = _iso(pc.replace_substring_regex(naive, r"^(\d{4}-\d{2}-\d{2})$", r"\1T00:00:00"))
    else:
        zoned, local = pa.nulls(len(column), pa.string()), _by_pattern(column, times)
    moment = _in_zone(local, zone)
    skipped = pc.and_(local.is_valid(), moment.is_null())
    text = pc.coalesce(zoned, _told(moment))
    wrong = pc.and_(column.is_valid(), pc.and_(text.is_null(), pc.invert(skipped)))
    return Converted(
        text,
        pc.coalesce(
            reason_where(
                skipped, f"no such time: {name} '", column, f"' is an hour that {zone} skips"
            ),
            reason_where(wrong, f"wrong time: {name} '", column, f"' is not written as {times}"),
        ),
    )


def to_number(name: str, column: pa.Array, decimal: str) -> Converted:
    """Numbers with a point; thousands are parted by what the decimal sign is not, or by spaces."""
    thousands = "." if decimal == "," else ","
    plain = pc.replace_substring_regex(column, r"[\s\x{00a0}\x{202f}']", "")
    apart = rf"^[+-]?\d{{1,3}}(\{thousands}\d{{3}})+(\{decimal}\d+)?$"
    is_apart = pc.match_substring_regex(plain, apart)
    joined = pc.replace_substring(plain, thousands, "")
    plain = pc.if_else(is_apart, joined, plain)
    good = pc.match_substring_regex(plain, rf"^[+-]?\d+(\{decimal}\d+)?([eE][+-]?\d+)?$")
    values = pc.if_else(good, pc.replace_substring(plain, decimal, "."), None)
    wrong = pc.and_(column.is_valid(), values.is_null())
    reason = f"wrong number: {name} '"
    told = reason_where(wrong, reason, column, f"' with '{decimal}' before the decimals")
    return Converted(values, told)


def to_truth(name: str, column: pa.Array) -> Converted:
    """Yes and no in the usual words; others need `values` in the mapping."""

    def read(cell: str) -> str | None:
        word = plain_cell(cell)
        return "true" if word in YES else "false" if word in NO else None

    values = _each(column, read)
    wrong = pc.and_(column.is_valid(), values.is_null())
    reason = "' is neither yes nor no; give its values in the mapping"
    return Converted(values, reason_where(wrong, f"wrong type: {name} '", column, reason))


def _each(column: pa.Array, read: Callable[[str], str | None]) -> pa.Array:
    """A function of every distinct cell."""
    encoded = column.dictionary_encode()
    words = [read(cell) for cell in encoded.dictionary.to_pylist()]
    return pa.array(words, pa.string()).take(encoded.indices)


def _of_epoch(name: str, column: pa.Array, times: str) -> Converted:
    good = pc.match_substring_regex(column, r"^\d{1,14}(\.\d+)?$")
    number = pc.if_else(good, column, None).cast(pa.float64())
    micros = pc.round(pc.multiply(number, float(_TYPES[times])))
    values = _told(micros.cast(pa.int64(), safe=False).cast(pa.timestamp("us")))
    wrong = pc.and_(column.is_valid(), values.is_null())
    reason = f"' is no count of {times} since 1970"
    return Converted(values, reason_where(wrong, f"wrong time: {name} '", column, reason))


def _iso(text: pa.Array) -> pa.Array:
    fits = pc.match_substring_regex(
        text, r"^[1-9]\d{3}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?$"
    )
    text = pc.if_else(fits, pc.replace_substring_regex(text, r"(\.\d{6})\d+", r"\1"), None)
    try:
        return text.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:  # some cell is like 30 February: look at each, slowly
        cells = text.to_pylist()
        return pa.array([_cast(cell) for cell in cells], pa.timestamp("us"))


def _cast(cell: str | None) -> object:
    try:
        return None if cell is None else pa.scalar(cell).cast(pa.timestamp("us")).as_py()
    except pa.ArrowInvalid:
        return None


def _by_pattern(column: pa.Array, pattern: str) -> pa.Array:
    """Local times; null where a cell is not written so, or names no day of the calendar."""
    read = pc.strptime(column, format=pattern, unit="us", error_is_null=True)
    # It takes 31 February as 3 March, so early days of a month are read once more, strictly.
    early = pc.less_equal(pc.day(read), 3)
    real = _each(pc.if_else(early, column, None), lambda cell: _strictly(cell, pattern))
    return pc.if_else(pc.and_(early, real.is_null()), None, read)


def _strictly(cell: str, pattern: str) -> str | None:
    try:
        datetime.strptime(cell, pattern)
    except ValueError:
        return None
    return cell


def _in_zone(local: pa.Array, zone: str) -> pa.Array:
    """Moments in UTC; null where the zone's clocks never show the time."""
    moment = pc.assume_timezone(local, zone, ambiguous="earliest", nonexistent="earliest")
    shown = pc.local_timestamp(moment)
    exists = pc.equal(shown, local)
    return pc.if_else(
        exists, moment.cast(pa.timestamp("us", tz="UTC")).cast(pa.timestamp("us")), None
    )


def _told(moment: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(moment.cast(pa.string()), pa.scalar("Z"), "")
