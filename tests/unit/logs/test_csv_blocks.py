"""CSV files read by whole blocks: the same cells, lines and reasons as record by record."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest

from nurture_rl.logs import csv_blocks as blocks
from nurture_rl.logs.csv_blocks import csv_blocks
from nurture_rl.logs.csv_records import lines_of, read_some
from nurture_rl.logs.quarantine import BadLine

Content = tuple[list[tuple[str, ...]], list[int], list[BadLine]]

_PIECES = (
    "a",
    "b,",
    ",",
    ",",
    "\n",
    "\n",
    "\r\n",
    '"',
    '""',
    '"x"',
    ' "',
    "\r",
    "é",
    "\ufeff",
    "\x00",
    "ü,ü\n",
)
_ODD = (b"\xff", b"\xc3", b"\xed\xa0\x80")


def by_blocks(path: Path, size: int) -> Content:
    """The records, the lines they start on, and what is no record, by blocks of a size."""
    records: list[tuple[str, ...]] = []
    lines: list[int] = []
    bad: list[BadLine] = []
    for block in csv_blocks(path, size=size):
        columns = [column.to_pylist() for column in block.table.columns]
        records += zip(*columns, strict=True)
        lines += block.lines.tolist()
        bad += block.bad
    return records, lines, sorted(bad, key=lambda one: one.line)


def one_by_one(path: Path, header: list[str]) -> Content:
    """The same by Python's reader alone."""
    lines = lines_of(path)
    next(lines)
    got = read_some(lines, header, ",", before=1, most=10**9)
    return list(zip(*got.columns.values(), strict=True)), got.lines, got.bad


def written(path: Path, luck: random.Random) -> Path:
    parts = [luck.choice(_PIECES).encode() for _ in range(luck.choice([3, 30, 300]))]
    if luck.random() < 0.3:
        parts.insert(luck.randrange(len(parts)), luck.choice(_ODD))
    if luck.random() < 0.5:  # most files are well made: only now and then a quote stands wrong
        parts = [part for part in parts if part not in (b'"', b' "', b"\r", b'""')]
    path.write_bytes(b"p,q\n" + b"".join(parts))
    return path


@pytest.mark.parametrize("size", [1, 50, 10_000])
def test_any_text_is_read_as_record_by_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(blocks, "_PATIENCE", 2)
    monkeypatch.setattr(blocks, "_FEW", 2)
    luck = random.Random(size)
    for _ in range(250):
        path = written(tmp_path / "t.csv", luck)
        assert by_blocks(path, size) == one_by_one(path, ["p", "q"]), path.read_bytes()


def test_one_wrong_quote_sends_only_its_neighbours_through_the_slow_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "_PATIENCE", 2)
    slow: list[int] = []

    def counted(*given: object) -> object:
        got = read_some(*given)  # type: ignore[arg-type]
        slow.append(len(got.lines) + len(got.bad))
        return got

    monkeypatch.setattr(blocks, "read_some", counted)
    rows = ['"x, 1",y'] * 500 + ['a"b",c', '"d"e,f', "one"] + ['"z ""z""",y'] * 500
    path = tmp_path / "t.csv"
    path.write_text("p,q\n" + "\n".join(rows))
    records, lines, bad = by_blocks(path, 4_000)
    assert len(records) == 1001
    assert [(one.line, one.reason.split(":")[0]) for one in bad] == [
        (503, "malformed"),
        (504, "malformed"),
    ]
    assert records[-1] == ('z "z"', "y")
    assert lines[-1] == 1004
    assert 0 < sum(slow) < 20


def test_a_field_too_long_is_refused_and_what_follows_is_not(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    text = 'p,q\na,b\n"' + "y" * 90_000 + "\n" + "y" * 90_000 + '",c\nd,e\n'
    path.write_bytes(gzip.compress(text.encode()))
    records, lines, bad = by_blocks(path, 1_000)
    assert (records[0], lines[0]) == (("a", "b"), 2)
    assert bad[0].reason == ("malformed: field larger than field limit (131072) in lines 3 to 4")
    assert (records, lines, bad) == one_by_one(path, ["p", "q"])
