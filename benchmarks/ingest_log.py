"""A log of any size as raw files: web and mail events of contacts, some of them broken or repeated.

The contents follow from the sizes alone. One event in a hundred comes twice, one in a thousand is
of an unknown type, and one in ten says who by a cookie or by a cookie and an address.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq

_BATCH = 1_000_000  # events made at once
_PER_CONTACT = 40  # events, on average
_START_US = 1_700_000_000_000_000  # 14 November 2023, UTC
_SPAN_US = 365 * 86_400 * 1_000_000
_TYPES = ("page_view", "open", "click", "delivered", "sent", "visit", "form_submitted", "activity")
_TOPICS = ("pricing", "security", "onboarding", "case_study", "webinar", "api")
_TWICE, _STRANGE, _KEYED = 100, 1_000, 10  # one event in so many


def write_log(folder: Path, events: int, form: str) -> None:
    """Write `events.<form>` and `contacts.parquet` into a folder.

    Args:
        folder: made where it is not there.
        events: rows of the file of events.
        form: `parquet` or `csv`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    contacts = max(1, events // _PER_CONTACT)
    _write_contacts(folder / "contacts.parquet", contacts)
    writer: pq.ParquetWriter | csv.CSVWriter | None = None
    for start in range(0, events, _BATCH):
        part = _events(start, min(events, start + _BATCH), contacts, form)
        if writer is None:
            path = folder / f"events.{form}"
            if form == "csv":
                writer = csv.CSVWriter(path, part.schema)
            else:
                writer = pq.ParquetWriter(path, part.schema, compression="zstd")
        writer.write_table(part)
    if writer is not None:
        writer.close()


def _write_contacts(path: Path, contacts: int) -> None:
    number = np.arange(contacts)
    columns = {
        "contact_id": _names("c", number),
        "keys": _lists(_names("email:", number)),
        "time_zone": pa.array(["Europe/Berlin"] * contacts),
        "consent": pa.array(number % 5 > 0),
    }
    pq.write_table(pa.table(columns), path)


def _events(start: int, end: int, contacts: int, form: str) -> pa.Table:
    """Events of the numbers from `start` to before `end`, in the order in which they arrive."""
    luck = np.random.default_rng([start, end])
    number = np.arange(start, end)
    n = number.size
    again = luck.random(n) < 1 / _TWICE
    again[0] = False
    source = np.where(again, luck.integers(start, start + np.maximum(1, number - start)), number)
    # A repeated event says what the first one said: all follows from its number.
    mixed = _mixed(source)
    who = (mixed % np.uint64(contacts)).astype(np.int64)
    occurred = _START_US + (mixed >> np.uint64(7)).astype(np.int64) % _SPAN_US
    seconds = (mixed >> np.uint64(40)).astype(np.int64) % 30
    keyed = (mixed >> np.uint64(21)) % np.uint64(_KEYED) == 0
    both = keyed & ((mixed >> np.uint64(25)) % np.uint64(2) == 0)
    strange = (mixed >> np.uint64(11)) % np.uint64(_STRANGE) == 0
    kind = pa.array(_TYPES).take(pa.array(((mixed >> np.uint64(17)) % np.uint64(8)).astype(int)))
    columns = {
        "event_id": _names("e", _mixed(source + 7)),
        "contact_id": pc.if_else(pa.array(keyed), None, _names("c", who)),
        "keys": _keys(who, keyed, both),
        "occurred_at": _times(occurred),
        "recorded_at": _times(occurred + seconds * 1_000_000),
        "type": pc.if_else(pa.array(strange), "clik", kind),
        "source": pa.array(["web", "mail"]).take(pa.array(who % 2)),
        "message_id": pc.if_else(
            pa.array(mixed % np.uint64(3) == 0), _names("m", source // 3), None
        ),
        "topic": pa.array(_TOPICS).take(pa.array(source % 6)),
        "value": pa.array(np.round((mixed % np.uint64(9_973)).astype(float) / 100, 2)),
        "is_machine": pa.array(source % 50 == 0),
        "properties": pc.binary_join_element_wise(
            '{"campaign":"c', pa.array(source % 500).cast(pa.string()), '","page":"/docs"}', ""
        ),
    }
    table = pa.table(columns)
    return table if form == "parquet" else _as_text(table)


def _as_text(table: pa.Table) -> pa.Table:
    """What a CSV file can hold: times with a Z, lists as JSON."""
    for name in ("occurred_at", "recorded_at"):
        plain = table[name].cast(pa.timestamp("us")).cast(pa.string())
        text = pc.binary_join_element_wise(plain, pa.scalar("Z"), "")
        table = table.set_column(table.schema.get_field_index(name), name, text)
    keys = table["keys"].combine_chunks()
    inner = pc.binary_join(keys, '","')
    lists = pc.binary_join_element_wise('["', inner, '"]', "")
    return table.set_column(table.schema.get_field_index("keys"), "keys", lists)


def _mixed(number: np.ndarray[tuple[int], np.dtype[np.int64]]) -> np.ndarray:
    """Numbers that look random and never repeat (the finaliser of splitmix64)."""
    mixed = number.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _names(before: str, number: np.ndarray) -> pa.Array:
    return pc.binary_join_element_wise(before, pa.array(number).cast(pa.string()), "")


def _times(instants_us: np.ndarray) -> pa.Array:
    return pa.array(instants_us).cast(pa.timestamp("us", tz="UTC"))


def _lists(cells: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(np.arange(len(cells) + 1), pa.int32()), cells)


def _keys(who: np.ndarray, keyed: np.ndarray, both: np.ndarray) -> pa.Array:
    """A cookie, or that and an address; nothing where the event names its contact."""
    cookies = _names("cookie:", who).to_pylist()
    addresses = _names("email:", who).to_pylist()
    cells = [
        [cookie, address] if two else [cookie] if one else None
        for cookie, address, one, two in zip(cookies, addresses, keyed, both, strict=True)
    ]
    return pa.array(cells, pa.list_(pa.string()))
