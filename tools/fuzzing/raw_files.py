"""Raw log files as careless exporters write them, and the ways in which files break on the way."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

Row = dict[str, object]

ACTIONS = ("send:hello@9", "pause:1", "exit")
FORMS = ("csv", "tsv", "csv.gz", "jsonl", "jsonl.gz", "parquet")
_TEXTS = (
    *("pricing", "", "null", " x ", "é中😀", 'say "so"', "one\ntwo", "cr\rlf\r\n", "a,b\tc"),
    *("\x00", "\ufeff", "\u2028", "=1+1", "x" * 300, "{", "[1", "-", "'"),
)
_TIMES = (
    *("2024-03-01T10:00:00Z", "2024-03-01 10:00:00.123456789Z", "2024-03-01T10:00:00+02:00"),
    *("2024-03-01T10:00:00", "2024-02-30T10:00:00Z", "2024-03-01", "9999-12-31T23:59:59Z"),
    *("1677-01-01T00:00:00Z", "2024-03-01T24:00:00Z", "2024-03-01T10:00Z", "soon", "", 1709287200),
    *("2024-03-01T10:00:00+99:99", "2024-03-01T10:00:00-00", "2024-03-01T10:00:60Z"),
)
_NUMBERS = (
    *(
        0,
        1,
        -1,
        1.5,
        -0.0,
        1e308,
        2**63,
        2**31,
        10**400,
        True,
        None,
        "1e5",
        "+3",
        ".5",
        "5.",
        "0x1F",
    ),
    *("1e999", "NaN", "inf", "1,5", "--1", " 1", "١"),
)
_ODD: tuple[object, ...] = (
    *_TEXTS,
    *_NUMBERS,
    *_TIMES,
    [],
    {},
    [None],
    [[1]],
    {"a": {"b": [1, None]}},
    ["a:b", ""],
)


def events(luck: random.Random, n: int) -> list[Row]:
    """Events, most of them usable."""
    rows: list[Row] = []
    for i in range(n):
        row: Row = {
            "event_id": f"e{luck.randrange(n)}" if luck.random() < 0.1 else f"e{i}",
            "contact_id": luck.choice([f"c{i % 5}", None, f"c{i % 5}", " NaN "]),
            "keys": luck.choice([None, [f"email:{i % 7}"], ["cookie:1", f"email:{i % 5}"]]),
            "occurred_at": f"2024-03-{1 + i % 7:02}T10:00:{i % 60:02}Z",
            "recorded_at": luck.choice([None, f"2024-03-{1 + i % 28:02}T12:30:00+01:00"]),
            "type": luck.choice(["open", "click", "click", "sent", "delivered", "reply", "clik"]),
            "message_id": luck.choice([None, f"m{i % 3}"]),
            "reply_class": luck.choice([None, None, "question", "nice"]),
            "value": luck.choice([None, i / 4, 1e13]),
            "is_machine": luck.choice([None, True, False]),
            "properties": luck.choice(
                [None, {"b": 1, "a": [2, "é"]}, {}, {"url": f"/{i % 4}"}, {"user_agent": "x bot"}]
            ),
        }
        if luck.random() < 0.5:
            row["campaign"] = luck.choice(_TEXTS)
        rows.append(_bent(luck, row))
    return rows


def contacts(luck: random.Random, n: int) -> list[Row]:
    """Contacts, most of them usable."""
    zones = ["Europe/Berlin", None, "Europe/Berln"]
    return [
        _bent(
            luck,
            {
                "contact_id": f"c{i % 6}",
                "keys": luck.choice([None, [f"email:{i % 7}"]]),
                "time_zone": luck.choice(zones),
                "zone_confidence": luck.choice([None, 0.5, 2]),
                "consent": luck.choice([None, True, False]),
                "attributes": luck.choice([None, {"size": i}]),
                "score": luck.choice(_TEXTS),
            },
        )
        for i in range(n)
    ]


def decisions(luck: random.Random, n: int) -> list[Row]:
    """Decisions, most of them usable."""
    rows = []
    for i in range(n):
        likely = luck.choice([[0.25, 0.75, 0], dict(zip(ACTIONS, (0.3, 0.3, 0.4), strict=True))])
        row: Row = {
            "decision_id": f"d{i}",
            "contact_id": f"c{i % 5}",
            "journey": "inbound_lead",
            "episode_id": f"c{i % 5}/1",
            "anchor": "2024-03-01T00:00:00",
            "step": i,
            "decided_at": f"2024-03-{1 + i % 28:02}T08:00:00Z",
            "action": luck.choice(ACTIONS),
            "propensity": luck.choice([None, 0.75, 0.3]),
            "probabilities": likely,
            "mask": [True, True, likely.__class__ is dict],
            "features": luck.choice([None, [1, 0.5]]),
        }
        rows.append(_bent(luck, row))
    return rows


def _bent(luck: random.Random, row: Row) -> Row:
    """A row in which now and then a cell is something else."""
    if luck.random() < 0.08:
        row[luck.choice(list(row))] = luck.choice(_ODD)
    return row


def write(path: Path, form: str, rows: Sequence[Row], luck: random.Random) -> None:
    """Write rows in a form; what it cannot hold is written as text."""
    if form.startswith("parquet"):
        pq.write_table(_table(rows), path)
        return
    text = _lines(rows) if form.startswith("jsonl") else _cells(rows, form, luck)
    data = text.encode("utf-8", "surrogatepass")
    path.write_bytes(gzip.compress(data) if form.endswith("gz") else data)


def _lines(rows: Sequence[Row]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def _cells(rows: Sequence[Row], form: str, luck: random.Random) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    buffer = io.StringIO(newline="")
    writer = csv.writer(
        buffer,
        delimiter="\t" if form.startswith("tsv") else ",",
        lineterminator=luck.choice(["\n", "\r\n"]),
        quoting=luck.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    )
    writer.writerow(names)
    for row in rows:
        cells = [row.get(name) for name in names]
        writer.writerow([_plain(cell) for cell in cells])
        if luck.random() < 0.02:
            buffer.write("\n" * luck.randrange(3))
    return buffer.getvalue()


def _plain(cell: object) -> object:
    if isinstance(cell, list | dict | bool):
        return json.dumps(cell)
    return cell


def _table(rows: Sequence[Row]) -> pa.Table:
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {}
    for name in names:
        cells = [row.get(name) for row in rows]
        texts = [None if cell is None else str(_plain(cell)) for cell in cells]
        columns[name] = pa.array(texts, pa.string())
        try:
            typed = pa.array(cells)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            continue
        if "struct<>" not in str(typed.type):  # Parquet has no object without members
            columns[name] = typed
    return pa.table(columns)


def damaged(data: bytes, luck: random.Random) -> bytes:
    """A file's bytes after one of the things that happen to files."""
    if not data:
        return b"\x00"
    at = luck.randrange(len(data))
    end = min(len(data), at + luck.choice([1, 2, 16, 400]))
    kind = luck.randrange(9)
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + bytes([data[at] ^ (1 << luck.randrange(8))]) + data[at + 1 :]
    if kind == 2:
        return data[:at] + luck.randbytes(end - at) + data[end:]
    if kind == 3:
        return data[:at] + data[end:]
    if kind == 4:
        return data[:end] + data[at:]
    if kind == 5:
        signs = [b'"', b"\r", b"\n", b"\x00", b"\xff", b",", b"\\", b"{", b"\xef\xbb\xbf", b"\t"]
        return data[:at] + luck.choice(signs) + data[at:]
    if kind == 6:
        return data[:at] + b"y" * luck.choice([200, 140_000]) + data[at:]
    if kind == 7:
        try:
            return data.decode().encode(luck.choice(["utf-16", "cp1252", "utf-7"]), "replace")
        except UnicodeDecodeError:
            return data[::-1]
    return b"\xef\xbb\xbf" + data
