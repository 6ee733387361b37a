"""A backup is whole, checked and its owner's alone; a restore overwrites nothing unasked."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from nurture_rl.cli.main import main
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.deciding.decide import decide
from nurture_rl.serving.records import Decision
from nurture_rl.serving.storage.reading import StoreReader
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.upkeep.erasing import erase_contacts
from nurture_rl.serving.upkeep.verifying import verify_store
from tests.unit.serving.contacts import MIDNIGHT, ZONE, contact, event, view


def backup(store: Path, out: Path) -> int:
    return main(["backup", f"store={store}", f"out={out}"])


def restore(source: Path, store: Path, *words: str) -> int:
    return main(["restore", f"backup={source}", f"store={store}", *words])


def test_a_backup_beside_a_writing_server_is_whole_and_as_logged(
    bundle: Bundle, tmp_path: Path
) -> None:
    (made,) = decide(bundle, [view()], MIDNIGHT, 3, ZONE)
    assert isinstance(made, Decision)
    over = threading.Event()
    written: list[str] = []
    with closing(Store(tmp_path / "store.db")) as store:

        def write() -> None:
            while not over.is_set():
                name = f"d-{len(written)}"
                one = replace(made, decision_id=name, episode_id=name, contact_id=name)
                store.append_decisions([one])
                written.append(name)

        thread = threading.Thread(target=write)
        thread.start()
        try:
            for i in range(3):
                before = len(written)
                assert backup(tmp_path / "store.db", tmp_path / f"{i}.backup") == 0
                found = verify_store(tmp_path / f"{i}.backup")
                assert (found.broken, found.seen["decision"] >= before) == (0, True)
        finally:
            over.set()
            thread.join()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"store.db", "store.db.lock", "0.backup", "1.backup", "2.backup"}


def test_a_backup_is_its_owners_alone_and_overwrites_nothing(
    store_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, before = tmp_path / "b", os.umask(0o022)
    try:
        assert backup(store_file, out) == 0
    finally:
        os.umask(before)
    assert f"head {verify_store(store_file).head}" in capsys.readouterr().out
    assert out.stat().st_mode & 0o777 == 0o600
    content = out.read_bytes()
    assert backup(store_file, out) == 2
    assert "expected nothing at" in capsys.readouterr().err
    assert out.read_bytes() == content
    assert backup(tmp_path / "no.db", tmp_path / "c") == 2


def test_a_broken_store_is_not_backed_up_nor_restored(
    store_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(store_file)) as store:
        store.execute("UPDATE decisions SET arm = 'x' WHERE decision_id = 'bob-1'")
        store.commit()
    assert backup(store_file, tmp_path / "b") == 2
    assert "expected what was logged" in capsys.readouterr().err
    assert restore(store_file, tmp_path / "fresh.db") == 2
    assert "got decision bob-1 (entry 5): its row is not what" in capsys.readouterr().err
    assert not {"b", "fresh.db"} & {path.name for path in tmp_path.iterdir()}
    data = bytearray(store_file.read_bytes())
    data[4096 * 2 :] = bytes(len(data) - 4096 * 2)
    store_file.write_bytes(data)
    assert backup(store_file, tmp_path / "b") == 2


def test_a_restored_store_goes_on_with_its_chain(
    store_file: Path, tmp_path: Path, bundle: Bundle
) -> None:
    head = verify_store(store_file).head
    assert backup(store_file, tmp_path / "b") == 0
    assert restore(tmp_path / "b", tmp_path / "deep" / "new.db") == 0
    new = tmp_path / "deep" / "new.db"
    assert new.stat().st_mode & 0o777 == 0o600
    dan = view(decision_id="later", contact=contact("dan"))
    (made,) = decide(bundle, [dan], MIDNIGHT, 3, ZONE)
    assert isinstance(made, Decision)
    with closing(Store(new)) as store:
        store.append_decisions([made])
    found = verify_store(new, head)
    assert (found.broken, found.seen["decision"]) == (0, 7)


def test_a_restore_overwrites_no_store_unasked_and_none_in_use(
    store_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert backup(store_file, tmp_path / "b") == 0
    with closing(Store(store_file)) as store:
        assert restore(tmp_path / "b", store_file, "replace=true") == 2
        assert "another server has it" in capsys.readouterr().err
        store.put_contacts([contact("after")])
    assert restore(tmp_path / "b", store_file) == 2
    assert "write replace=true" in capsys.readouterr().err
    shutil.copy(store_file, tmp_path / "as it was")
    assert restore(tmp_path / "b", store_file, "replace=true") == 0
    (kept,) = tmp_path.glob("store.db.replaced-*")
    assert kept.read_bytes() == (tmp_path / "as it was").read_bytes()
    for path, there in ((store_file, False), (kept, True)):
        with closing(StoreReader(path)) as reader:
            assert bool(reader.contacts(["after"])) is there
    assert restore(tmp_path / "no", store_file) == 2
    (tmp_path / "text").write_text("no store" * 900)
    assert restore(tmp_path / "text", tmp_path / "x.db") == 2


def test_who_was_erased_after_the_backup_is_erased_from_what_is_restored(
    store_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert backup(store_file, tmp_path / "b") == 0
    erase_contacts(store_file, ["cleo"], "asked for")
    assert restore(tmp_path / "b", store_file, "replace=true") == 0
    assert "erased again, as after the backup: 1 contact" in capsys.readouterr().out
    found = verify_store(store_file)
    assert (found.broken, found.seen["erased decisions"]) == (0, 2)
    with closing(StoreReader(store_file)) as reader:
        assert reader.contacts(["cleo"]) == {}
        assert set(reader.erased(["cleo"])) == {"cleo"}
    assert b"cleo" not in store_file.read_bytes().lower()


def test_what_was_said_against_mail_after_the_backup_is_heard_again(
    store_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(Store(store_file)) as store:
        store.put_contacts([contact("ada"), contact("bob"), contact("cleo")])
    assert backup(store_file, tmp_path / "b") == 0
    with closing(Store(store_file)) as store:
        store.append_events([event("consent_given", MIDNIGHT, "cleo")])  # is not told again
        store.append_events([event("open", MIDNIGHT, "ada"), event("complaint", MIDNIGHT, "ada")])
        store.put_contacts([contact("bob", consent=False)])
    assert restore(tmp_path / "b", tmp_path / "beside.db", f"erased_in={store_file}") == 0
    assert "heard again, as after the backup: 1 word against mail" in capsys.readouterr().out
    assert restore(tmp_path / "b", store_file, "replace=true") == 0
    assert "heard again, as after the backup: 1 word against mail" in capsys.readouterr().out
    for path in (store_file, tmp_path / "beside.db"):
        assert verify_store(path).broken == 0
        with closing(StoreReader(path)) as reader:
            told = reader.events(["ada", "cleo"])
            assert [one.type for one in told["ada"]][-1] == "complaint"
            assert "open" not in [one.type for one in told["ada"]]
            assert told.get("cleo", ()) == ()
            consents = reader.contacts(["ada", "bob"])
            assert (consents["ada"].consent, consents["bob"].consent) == (True, False)


def test_who_came_back_before_the_backup_is_not_erased_again(
    store_file: Path, tmp_path: Path
) -> None:
    erase_contacts(store_file, ["bob", "cleo"], "asked for")
    with closing(Store(store_file)) as store:
        store.put_contacts([contact("bob"), contact("cleo")])
    assert backup(store_file, tmp_path / "b") == 0
    erase_contacts(store_file, ["bob"], "asked again")
    assert restore(tmp_path / "b", store_file, "replace=true") == 0
    with closing(StoreReader(store_file)) as reader:
        assert set(reader.contacts(["bob", "cleo"])) == {"cleo"}


def test_what_a_lost_store_left_beside_it_does_not_get_into_the_restored_one(
    store_file: Path, tmp_path: Path
) -> None:
    assert backup(store_file, tmp_path / "b") == 0
    wal = tmp_path / "store.db-wal"
    with closing(Store(store_file)) as store:
        store.put_contacts([contact("after")])
        left = wal.read_bytes()
    store_file.unlink()
    wal.write_bytes(left)
    assert restore(tmp_path / "b", store_file) == 0
    with closing(StoreReader(store_file)) as reader:
        assert reader.contacts(["after"]) == {}
    (kept,) = tmp_path.glob("store.db.replaced-*-wal")
    assert kept.read_bytes() == left
    wal.write_bytes(left)
    store_file.unlink()
    assert backup(tmp_path / "b", store_file) == 2


def test_a_backup_of_another_version_is_named_with_what_to_do(
    store_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert backup(store_file, tmp_path / "old.backup") == 0
    with closing(sqlite3.connect(tmp_path / "old.backup")) as store:
        store.execute("UPDATE meta SET value = '6' WHERE name = 'version'")
        store.commit()
    assert restore(tmp_path / "old.backup", tmp_path / "new.db") == 2
    told = capsys.readouterr().err
    assert "got 6; start the server on it once" in told
    assert f"at {tmp_path / 'old.backup'}, got" in told
