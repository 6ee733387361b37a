"""Events part by part, sorted on disk: the same bytes however the log is cut."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nurture_rl.errors import LogError
from nurture_rl.logs import (
    contact_buckets,
    csv_blocks,
    fingerprint,
    namings,
    readers,
    spilled_events,
    written_events,
)
from nurture_rl.logs.duplicates import hashed
from nurture_rl.logs.ingest import ingest_folder
from nurture_rl.logs.namings import NamingIndex, distinct_namings
from tools.fuzzing import raw_files

FORMS = ("parquet", "csv", "jsonl.gz")


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


def cut_small(patch: pytest.MonkeyPatch) -> None:
    """Let every part be so small that a short log has many."""
    blocks = csv_blocks.csv_blocks
    patch.setattr(readers, "PART_ROWS", 7)
    patch.setattr(readers, "csv_blocks", lambda path, part: blocks(path, part, 97))
    patch.setattr(csv_blocks, "_PATIENCE", 3)
    patch.setattr(contact_buckets, "BUCKET_ROWS", 9)
    patch.setattr(contact_buckets, "MOST_BUCKETS", 20)
    patch.setattr(spilled_events, "COMPARED", 5)
    patch.setattr(spilled_events, "TOLD_EVERY", 20)
    patch.setattr(namings, "_SELDOM", 3)


@pytest.fixture(params=FORMS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A log of strange rows, one in ten events twice, and of a few contacts with plain ones."""
    made, luck = tmp_path / "raw", random.Random(4)
    made.mkdir()
    scanner: list[raw_files.Row] = [
        {
            "event_id": f"s{i}",
            "contact_id": "c1",
            "occurred_at": f"2024-03-02T11:00:0{1 + 3 * (i > 0) + i}Z",
            "type": "click" if i else "delivered",
            "message_id": "scanned",
            "properties": {"url": f"/{i}"},
        }
        for i in range(5)
    ]
    crowd: list[raw_files.Row] = [
        {
            "event_id": f"d{i}",
            "contact_id": f"d{i * 7 % 15}",
            "occurred_at": f"2024-03-0{1 + i % 4}T11:00:00Z",
            "type": ("click", "visit")[i % 2],
        }
        for i in range(90)
    ]
    for name, rows in (
        ("events", [*scanner, *crowd, *raw_files.events(luck, 300)]),
        ("contacts", raw_files.contacts(luck, 40)),
    ):
        raw_files.write(made / f"{name}.{request.param}", request.param, rows, luck)
    return made


def test_the_size_of_parts_changes_no_byte(folder: Path, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    told: list[str] = []
    first = ingest_folder(folder, whole, None, None, told.append)
    with pytest.MonkeyPatch.context() as patch:
        cut_small(patch)
        second = ingest_folder(folder, cut, None, None, told.append)
    assert first == second
    assert contents(whole) == contents(cut)
    assert "duplicate event_id" in first.tables[0].reasons
    assert sum("rows checked so far" in line for line in told) >= 2


def test_the_size_of_parts_changes_no_byte_under_rules_of_privacy(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "pseudonym.key").write_bytes(b"0123456789abcdef")
    (tmp_path / "pseudonym.key").chmod(0o600)
    rules = "keep_days: 3\nproperties: [a]\npurposes: {click: web}\n"
    (folder / "privacy.yaml").write_text(f"{rules}pseudonyms: ../pseudonym.key\n", "utf-8")
    first = ingest_folder(folder, tmp_path / "whole", None, None, lambda line: None)
    with pytest.MonkeyPatch.context() as patch:
        cut_small(patch)
        second = ingest_folder(folder, tmp_path / "cut", None, None, lambda line: None)
    assert first == second
    assert contents(tmp_path / "whole") == contents(tmp_path / "cut")
    assert {"no consent", "too old"} <= first.tables[0].reasons.keys()
    events = pq.read_table(tmp_path / "whole" / "events.parquet")
    order = [(name, "ascending") for name in ("contact_id", "occurred_at", "event_id")]
    assert events.equals(events.sort_by(order))


def test_the_order_of_row_groups_is_that_of_one(folder: Path, tmp_path: Path) -> None:
    one, several = tmp_path / "one", tmp_path / "several"
    first = ingest_folder(folder, one, None, None, lambda line: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(written_events, "GROUP_ROWS", 16)
        second = ingest_folder(folder, several, None, None, lambda line: None)
    assert pq.read_metadata(several / "events.parquet").num_row_groups > 3
    assert first.fingerprint == second.fingerprint
    table = pq.read_table(several / "events.parquet")
    for groups in (0, 16):  # read again and again, or kept
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fingerprint, "_KEPT_GROUPS", groups)
            read = fingerprint.fingerprint({"events": several / "events.parquet"})
        assert read == fingerprint.fingerprint({"events": table})
    assert table.equals(pq.read_table(one / "events.parquet"))
    order = [(name, "ascending") for name in ("contact_id", "occurred_at", "event_id")]
    assert table.equals(table.sort_by(order))


def test_machines_are_found_among_all_events_of_a_contact(folder: Path, tmp_path: Path) -> None:
    one, several = tmp_path / "one", tmp_path / "several"
    first = ingest_folder(folder, one, None, None, lambda line: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contact_buckets, "BUCKET_ROWS", 2)
        second = ingest_folder(folder, several, None, None, lambda line: None)
    assert "too_soon" in first.notes[-1]
    assert "many_links" in first.notes[-1]
    assert first == second
    assert contents(one) == contents(several)


def test_events_of_one_moment_stand_by_their_ids(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    rows: list[raw_files.Row] = [
        {
            "event_id": name,
            "contact_id": name[0],
            "occurred_at": "2024-03-02T11:00:00Z",
            "type": "visit",
        }
        for name in ("b3", "a2", "b1", "a10", "c", "b2")
    ]
    raw_files.write(raw / "events.csv", "csv", rows, random.Random(0))
    contacts: list[raw_files.Row] = [{"contact_id": name} for name in "abc"]
    raw_files.write(raw / "contacts.csv", "csv", contacts, random.Random(0))
    ingest_folder(raw, tmp_path / "out", None, None, lambda line: None)
    written = pq.read_table(tmp_path / "out" / "events.parquet")["event_id"].to_pylist()
    assert written == ["a10", "a2", "b1", "b2", "b3", "c"]


def test_a_log_that_ends_in_an_error_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "events2.parquet").write_bytes(b"PAR1 cut off")
    with pytest.raises(LogError, match=r"expected events2.parquet to be a whole, readable"):
        ingest_folder(folder, tmp_path / "out", None, None, lambda line: None)
    (folder / "events2.parquet").unlink()

    def full(*given: object, **more: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(OSError, match="no space"):
        ingest_folder(folder, tmp_path / "out", None, None, lambda line: None)
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_namings_are_told_apart() -> None:
    rows = pa.table(
        {
            "contact_id": pa.array(["a", None, "a", None, "-", "a:1", "a"]),
            "keys": pa.array(
                [None, ["k:a"], ["k:a"], ["k:a", "k:b"], [], ["k:ak:b"], ["k:a", "k:b"]]
            ),
        }
    )
    several = pa.concat_tables([rows, rows.slice(2, 3)])
    index = NamingIndex()
    (first, codes), (second, others) = map(distinct_namings, (several, rows.slice(3)))
    index.add(first)
    index.add(second)
    assert len(index.namings()) == len(rows)
    assert index.numbers(0, codes).tolist() == [0, 1, 2, 3, 4, 5, 6, 2, 3, 4]
    assert index.numbers(1, others).tolist() == [3, 4, 5, 6]


def test_properties_that_are_no_objects_refuse_their_rows(folder: Path, tmp_path: Path) -> None:
    row = {"event_id": "p", "contact_id": "c1", "occurred_at": "2024-03-01T10:00:00Z"}
    odd = [{**row, "type": "visit", "properties": [1, 2]}]
    pq.write_table(pa.Table.from_pylist(odd), folder / "events-odd.parquet")
    summary = ingest_folder(folder, tmp_path / "out", None, None, lambda line: None)
    rows = pq.read_table(tmp_path / "out" / "quarantine.parquet").to_pylist()
    reasons = [one["reason"] for one in rows if one["file"] == "events-odd.parquet"]
    assert reasons == ["wrong type: properties must be a JSON object"]
    assert summary.tables[0].read == 396


def test_hashes_of_ids_tell_apart_what_differs_anywhere() -> None:
    texts = ["", "a", "b", "a" * 7, "a" * 8, "a" * 9, "ä" * 40, *("x" * 64 + end for end in "yzY")]
    texts += [f"{i:020}" for i in range(10_000)] + [f"{i}" for i in range(10_000)]
    found = hashed(pa.array(texts))
    assert len(set(found.tolist())) == len(set(texts))
    part = pa.array(["before", *texts * 2]).slice(1 + len(texts))  # it begins inside of its buffers
    assert hashed(part).tolist() == found.tolist()
    assert hashed(pa.array(texts[::-1])).tolist() == found.tolist()[::-1]  # beside other ids
    assert hashed(pa.array([], pa.string())).size == 0


@pytest.mark.parametrize("largest", [9, 900, 90_000, 9_000_000])
def test_rows_are_grouped_by_number_and_stay_in_order(largest: int) -> None:
    numbers = np.random.default_rng(3).integers(0, largest, 1_000) + 5_000_000
    assert np.array_equal(
        contact_buckets._grouped(numbers), np.lexsort((np.arange(1_000), numbers))
    )
