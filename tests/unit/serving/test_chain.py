"""What was logged is vouched for: whatever is changed, taken out or cut off is found and named."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nurture_rl.cli.main import main
from nurture_rl.errors import LogError
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.deciding.decide import decide
from nurture_rl.serving.records import Decision, Withdrawal
from nurture_rl.serving.storage.chain import TABLE_OF, chain_link, row_digest
from nurture_rl.serving.storage.chain_walk import Head, Walk
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.store_errors import StoreConflict, StoreError
from nurture_rl.serving.upkeep.erasing import erase_contacts
from nurture_rl.serving.upkeep.export import export_log
from nurture_rl.serving.upkeep.exported_chain import CHAIN, cells_digest, verify_export
from nurture_rl.serving.upkeep.exported_rows import exported_cells
from nurture_rl.serving.upkeep.verifying import verify_store
from tests.unit.serving.contacts import MIDNIGHT, ZONE, view


@pytest.fixture(scope="module")
def kept_export(served: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "exported"
    assert main(["export_log", f"store={served}", f"out={folder}"]) == 0
    return folder


@pytest.fixture
def exported(kept_export: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(kept_export, tmp_path / "exported"))


def change(path: Path, *statements: str) -> None:
    """Run statements on a store as somebody would who knows SQLite."""
    with closing(sqlite3.connect(path, isolation_level=None)) as store:
        for statement in statements:
            assert store.execute(statement).rowcount


def places(walk: Walk) -> list[str]:
    assert len(walk.broken_places) == min(walk.broken, 20)
    return walk.broken_places


def test_a_store_as_it_was_served_is_whole(store_file: Path, exported: Path) -> None:
    for walk in (verify_store(store_file), verify_export(exported, None)):
        assert places(walk) == []
        assert walk.seen == {"store": 1, "decision": 6, "withdrawal": 1, "confirmation": 1}
        assert walk.head is not None
        assert walk.head.number == 8
    assert verify_store(store_file).head == verify_export(exported, None).head


# Columns of numbers that are null in most rows.
_EMPTY = ("scheduled_us", "confirm_by_us", "arm_share")


def cells_of(path: Path) -> Iterator[tuple[str, str, str, Any]]:
    """Table, key, column and value of one row of each table that the chain vouches for."""
    with closing(sqlite3.connect(path)) as store:
        for table in set(TABLE_OF.values()) - {"erasures"}:
            cursor = store.execute(f"SELECT * FROM {table} LIMIT 1")
            row = cursor.fetchone()
            for (column, *_), value in zip(cursor.description, row, strict=True):
                yield table, row[0], column, value


def other(value: Any) -> Any:
    """The value with one byte or its last digit changed."""
    match value:
        case None:
            return "x"
        case str():
            return value[:-1] + chr(ord(value[-1]) ^ 2)
        case bytes():
            return value[:-1] + bytes([value[-1] ^ 1])
        case float():
            return value + 2.0**-50
        case int():
            return value ^ 8
    raise TypeError(value)


def test_one_changed_byte_in_any_stored_column_is_found_and_named(store_file: Path) -> None:
    cells = list(cells_of(store_file))
    assert len(cells) == 21 + 4 + 2
    for table, key, column, value in cells:
        changed = 7 if column in _EMPTY and not value else other(value)
        with closing(sqlite3.connect(store_file, isolation_level=None)) as store:
            place = f"WHERE rowid = (SELECT min(rowid) FROM {table})"
            store.execute(f"UPDATE {table} SET {column} = ? {place}", (changed,))
            found = places(verify_store(store_file))
            store.execute(f"UPDATE {table} SET {column} = ? {place}", (value,))
        kind = table.removesuffix("s")
        assert found, column
        assert found[0].startswith(f"{kind} {key} (entry "), (column, found)
    assert places(verify_store(store_file)) == []


def test_a_changed_seed_or_entry_is_found(store_file: Path) -> None:
    for column, value in (("digest", "zeroblob(32)"), ("link", "zeroblob(32)"), ("kind", "'x'")):
        copy = Path(shutil.copy(store_file, store_file.with_name(f"{column}.db")))
        change(copy, f"UPDATE chain SET {column} = {value} WHERE number = 2")
        assert "bob-0 (entry 2)" in places(verify_store(copy))[0], column
    change(store_file, "UPDATE meta SET value = 12 WHERE name = 'seed'")
    assert "the seed 12 is not the one" in places(verify_store(store_file))[0]
    for lost in ("SET value = 'x' WHERE name = 'seed'", "SET name = 'x' WHERE name = 'seed'"):
        change(store_file, f"UPDATE meta {lost}")
        with pytest.raises(StoreError, match="expected seed and erasure_salt in the table meta"):
            verify_store(store_file)


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ("id = 'x' WHERE number = 0", "the chain's first entry: expected no id, got x"),
        ("erasure = 'x' WHERE number = 2", "decision bob-0 (entry 2): the erasure x is named"),
        ("kind = 'x' WHERE number = 3", "entry 3 (an erased x): expected a kind among decision"),
    ],
)
def test_what_entries_say_beside_their_digests_is_checked(
    store_file: Path, changed: str, place: str
) -> None:
    erase_contacts(store_file, ["cleo"], "asked for")
    change(store_file, f"UPDATE chain SET {changed}")
    (found,) = places(verify_store(store_file))
    assert found.startswith(place)


def test_rows_that_are_taken_out_or_put_in_are_named(store_file: Path) -> None:
    change(store_file, "DELETE FROM decisions WHERE decision_id = 'bob-0'")
    assert places(verify_store(store_file)) == ["decision bob-0 (entry 2): its row is missing"]
    change(store_file, "DELETE FROM chain WHERE id = 'bob-0' AND kind = 'decision'")
    assert places(verify_store(store_file)) == [
        "decision Cleo-0 (entry 3): expected entry 2 here: entries are missing or moved"
    ]
    change(store_file, "DELETE FROM chain WHERE id = 'ada-1'")
    assert places(verify_store(store_file))[-1] == (
        "decision ada-1: no entry of the chain vouches for it"
    )


def test_an_end_that_was_cut_off_is_seen_against_a_noted_head(store_file: Path) -> None:
    head = verify_store(store_file).head
    last = "id IN ('ada-0', 'bob-0') AND kind <> 'decision'"
    change(store_file, f"DELETE FROM chain WHERE {last}", "DELETE FROM withdrawals")
    change(store_file, "DELETE FROM confirmations")
    assert places(verify_store(store_file)) == []  # nothing inside shows it
    assert places(verify_store(store_file, head)) == [
        "the chain: cut off: it ends with entry 6, noted was 8"
    ]
    assert main(["verify", f"store={store_file}"]) == 0
    assert main(["verify", f"store={store_file}", f"head={head}"]) == 3


def test_a_chain_that_was_made_anew_is_seen_against_a_noted_head(store_file: Path) -> None:
    head = verify_store(store_file).head
    change(store_file, "UPDATE decisions SET arm = 'other' WHERE decision_id = 'ada-0'")
    with closing(sqlite3.connect(store_file)) as store:
        row = store.execute("SELECT * FROM decisions WHERE decision_id = 'ada-0'").fetchone()
        store.execute("UPDATE chain SET digest = ? WHERE number = 1", (row_digest(row),))
        before = b""
        for number, digest in store.execute("SELECT number, digest FROM chain").fetchall():
            before = chain_link(before, digest)
            store.execute("UPDATE chain SET link = ? WHERE number = ?", (before, number))
        store.commit()
    assert places(verify_store(store_file)) == []
    assert "not what was noted as the head" in places(verify_store(store_file, head))[0]


@pytest.mark.parametrize("erasure", ["NULL", "'here'", "'8'", "'ada-0'"])
def test_a_row_cannot_be_called_erased_by_hand(store_file: Path, erasure: str) -> None:
    change(store_file, "DELETE FROM decisions WHERE decision_id = 'bob-0'")
    change(store_file, f"UPDATE chain SET id = NULL, erasure = {erasure} WHERE number = 2")
    assert verify_store(store_file).broken == 1


def rewrite(folder: Path, column: str, row: int, value: Any) -> None:
    path = folder / "decisions.parquet"
    table = pq.read_table(path)
    cells = table[column].to_pylist()
    assert cells[row] != value
    cells[row] = value
    place = table.schema.get_field_index(column)
    field = table.schema.field(place)
    pq.write_table(table.set_column(place, field, pa.array(cells, field.type)), path)


def changed_cell(kind: pa.DataType, value: Any) -> Any:
    if pa.types.is_timestamp(kind):
        return 7 if value is None else value.replace(microsecond=value.microsecond ^ 1)
    if value is None and pa.types.is_floating(kind):
        return 0.5
    if isinstance(value, list):
        last = value[-1]
        return [*value[:-1], not last if isinstance(last, bool) else last + 2.0**-20]
    return not value if isinstance(value, bool) else other(value)


def test_one_changed_byte_in_any_exported_column_is_found_and_named(
    exported: Path, tmp_path: Path
) -> None:
    table = pq.read_table(exported / "decisions.parquet")
    assert set(table.column_names) >= {"deferred", "withdrawn", "seed", "confirm_by", "contact_id"}
    for field in table.schema:
        copy = tmp_path / "copy" / field.name
        shutil.copytree(exported, copy)
        row = 2 if field.name == "contact_id" else 1
        old = table[field.name].to_pylist()[row]
        if field.type == pa.list_(pa.int64()):
            new: Any = [*old[:-1], old[-1] ^ 1]
        else:
            new = "cleo" if field.name == "contact_id" else changed_cell(field.type, old)
        rewrite(copy, field.name, row, new)
        found = places(verify_export(copy, None))
        assert found, field.name
        assert ("Cleo-0" if row == 2 else "bob-0") in found[0], (field.name, found)


def test_another_seed_of_an_exported_decision_is_found_by_the_chain(exported: Path) -> None:
    seeds = pq.read_table(exported / "decisions.parquet")["seed"].to_pylist()
    rewrite(exported, "seed", 1, seeds[1] + 1)
    path = exported / "chain.parquet"
    entries = pq.read_table(path).to_pylist()
    cells = list(exported_cells(exported))[1]
    (entry,) = [one for one in entries if (one["kind"], one["id"]) == ("decision", "bob-0")]
    entry["row"] = cells_digest(cells, list(cells))  # as somebody would who knows how
    pq.write_table(pa.Table.from_pylist(entries, schema=CHAIN), path)
    (found,) = places(verify_export(exported, None))
    assert found.startswith("decision bob-0: its seed is not the first's")


def test_exported_rows_that_are_missing_moved_or_added_are_named(exported: Path) -> None:
    path = exported / "decisions.parquet"
    table = pq.read_table(path)
    pq.write_table(table.take([0, 2, 3, 4, 5]), path)
    assert places(verify_export(exported, None)) == ["decision bob-0 (entry 2): its row is missing"]
    pq.write_table(table.take([0, 2, 1, 3, 4, 5]), path)
    assert places(verify_export(exported, None)) == [
        "decision bob-0: out of order: decision Cleo-0 stands in its place"
    ]
    pq.write_table(table.take([0, 1, 2, 3, 4, 5, 5]), path)
    assert places(verify_export(exported, None)) == [
        "decision Cleo-1: no entry of the chain vouches for it"
    ]
    pq.write_table(table.slice(0, 0), path)
    assert verify_export(exported, None).broken == 6


def test_an_export_that_is_cut_off_with_its_chain_is_seen_against_the_head(
    exported: Path, store_file: Path
) -> None:
    head = verify_store(store_file).head
    for name, rows in (("decisions", 4), ("chain", 5)):
        table = pq.read_table(exported / f"{name}.parquet")
        pq.write_table(table.slice(0, rows), exported / f"{name}.parquet")
    assert places(verify_export(exported, None)) == []
    assert "cut off: it ends with entry 4" in places(verify_export(exported, head))[0]


def test_a_file_that_cannot_be_read_is_a_broken_place(exported: Path, store_file: Path) -> None:
    for name in ("decisions.parquet", "chain.parquet"):
        path = exported / name
        data = bytearray(path.read_bytes())
        data[60] ^= 255
        path.write_bytes(data)
        assert main(["verify", f"log={exported}"]) == 3
    with closing(sqlite3.connect(store_file)) as store:
        (root,) = store.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'decisions'")
    data, page = bytearray(store_file.read_bytes()), 4096 * (root[0] - 1)
    data[page : page + 4096] = bytes(4096)
    store_file.write_bytes(data)
    assert verify_store(store_file).broken


def test_the_command_says_what_it_found(
    store_file: Path, exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", f"store={store_file}", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["decisions"], made["erased"], made["broken"]) == (6, 0, 0)
    assert main(["verify", f"log={exported}", f"head={made['head']}"]) == 0
    assert "6 decisions, 0 erased, all as logged; head 8:" in capsys.readouterr().out
    rewrite(exported, "action", 3, "exit")
    assert main(["verify", f"log={exported}"]) == 3
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("decision ada-1 (entry 4): its row is not what was logged")
    assert "1 broken place; head 8:" in told[1]
    for words, text in (
        ([], "expected a store or a log"),
        ([f"store={store_file}", f"log={exported}"], "expected a store or a log"),
        ([f"store={store_file}.no"], "expected a store at"),
        ([f"log={exported.parent}"], "expected chain.parquet in"),
        ([f"store={store_file}", "head=8"], "expected a head as nurture verify prints it"),
    ):
        assert main(["verify", *words]) == 2
        assert text in capsys.readouterr().err


def test_a_head_is_read_back_as_it_is_printed() -> None:
    head = Head(7, bytes(range(32)))
    assert Head.parse(str(head)) == head
    with pytest.raises(LogError, match="64 HEX DIGITS"):
        Head.parse("7:ab")


@pytest.mark.usefixtures("either_database")
def test_decisions_of_many_threads_make_one_chain(bundle: Bundle, tmp_path: Path) -> None:
    (made,) = decide(bundle, [view()], MIDNIGHT, 3, ZONE)
    assert isinstance(made, Decision)
    store = Store(tmp_path / "store.db")

    def append(thread: int) -> None:
        for i in range(10):
            name = f"{thread}-{i}"
            mine = replace(made, decision_id=name, episode_id=name, contact_id=name)
            store.append_decisions([mine])
            with pytest.raises(StoreConflict):  # undone, with its entry
                store.append_decisions([replace(mine, decision_id=f"{name}x"), mine])

    threads = [threading.Thread(target=append, args=(thread,)) for thread in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    first = store.decisions(["0-0"])["0-0"]
    for reason in ("r", "again"):
        store.settle([Withdrawal(first, 5, reason, True)], {"1-1": 5})
    export_log(store, tmp_path / "exported")
    store.close()
    walk = verify_store(tmp_path / "store.db")
    seen = {"store": 1, "decision": 60, "withdrawal": 1, "confirmation": 1}
    assert (places(walk), walk.seen) == ([], seen)
    assert places(verify_export(tmp_path / "exported", walk.head)) == []


@pytest.mark.parametrize("version", ["3", "4"])
def test_an_older_store_is_chained_when_it_is_brought_up_to_date(
    store_file: Path, version: str
) -> None:
    change(store_file, f"UPDATE meta SET value = '{version}' WHERE name = 'version'")
    with closing(sqlite3.connect(store_file)) as store:
        for column in ("experiment", "arm_share"):
            store.execute(f"ALTER TABLE decisions DROP COLUMN {column}")
        store.executescript("DROP TABLE chain; DROP TABLE erasures;")
    Store(store_file).close()
    walk = verify_store(store_file)
    assert places(walk) == []
    assert walk.seen == {"store": 1, "decision": 6, "withdrawal": 1, "confirmation": 1}


def test_a_withdrawal_that_comes_twice_at_once_has_one_entry(store_file: Path) -> None:
    with closing(Store(store_file)) as store:
        made = store.decisions(["ada-1", "bob-1"])
        taken = [Withdrawal(made[name], at, "r", True) for at, name in enumerate(made)]
        store.settle([taken[1], taken[0], replace(taken[1], reason="again")], {})
        assert store.fates(["bob-1"])["bob-1"].reason == "r"
    walk = verify_store(store_file)
    assert (places(walk), walk.seen["withdrawal"]) == ([], 3)


def test_the_digest_of_a_row_is_the_same_in_every_version() -> None:
    row = ("d", 1, 0.5, b"\0\1", None, "ü", None, None)
    assert row_digest(row).hex()[:16] == "5038d12234dbe9f9"
    assert row_digest(row[:6]) == row_digest(row)  # later columns that are null
    assert row_digest(("d", 1, 0.5, b"\0\1", "ü")) != row_digest(row)


def test_an_export_as_csv_has_no_chain(store_file: Path, tmp_path: Path) -> None:
    with closing(Store(store_file)) as store:
        export_log(store, tmp_path / "csv", "csv")
    assert not (tmp_path / "csv" / "chain.parquet").exists()
