"""A server started again with the same log reads it no second time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nurture_rl.logs.schema import CONTACTS, EVENTS
from nurture_rl.serving.deciding.preload import load_once
from nurture_rl.serving.forbidding import Forbidding
from nurture_rl.serving.records import Contact
from nurture_rl.serving.storage.store import Store


def write_log(folder: Path, *names: str) -> None:
    rows = [
        {"contact_id": name, "zone_confidence": 1.0, "consent": True, "attributes": "{}"}
        for name in names
    ]
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, CONTACTS), folder / "contacts.parquet")
    pq.write_table(EVENTS.empty_table(), folder / "events.parquet")


def test_a_log_is_loaded_once_by_its_content_and_again_when_it_changed(tmp_path: Path) -> None:
    write_log(tmp_path / "log", "ada", "bob")
    store = Store(tmp_path / "store.db")
    assert load_once(store, tmp_path / "log", Forbidding()) == (2, 0)
    store.close()
    store = Store(tmp_path / "store.db")
    assert load_once(store, tmp_path / "log", Forbidding()) is None
    (tmp_path / "log").rename(tmp_path / "moved")
    assert load_once(store, tmp_path / "moved", Forbidding()) is None
    write_log(tmp_path / "log", "ada", "bob", "eve")
    assert load_once(store, tmp_path / "log", Forbidding()) == (1, 0)
    store.close()


def test_a_log_whose_loading_was_cut_short_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_log(tmp_path / "log", "ada")
    store = Store(tmp_path / "store.db")

    def cut(contacts: Sequence[Contact], gone: Sequence[str]) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(store, "add_loaded", cut)
        with pytest.raises(KeyboardInterrupt):
            load_once(store, tmp_path / "log", Forbidding())
    assert load_once(store, tmp_path / "log", Forbidding()) == (1, 0)
    store.close()
