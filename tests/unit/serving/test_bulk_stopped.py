"""A batch that stopped goes on, or says what is in its way; its table is what the store holds."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from nurture_rl.errors import ConfigError, LogError
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.upkeep import bulk_work
from nurture_rl.serving.upkeep.bulk import LOST, _Batch, decide_batch
from tests.unit.release.bundles import small_bundle
from tests.unit.serving.contacts import contact
from tests.unit.serving.test_bulk import count, options, stored


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a bundle."""
    path = tmp_path_factory.mktemp("bundle") / "bundle"
    small_bundle(path)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store of forty contacts."""
    path = tmp_path / "store.db"
    with closing(Store(path)) as store:
        store.put_contacts([contact(f"lead-{i:02}") for i in range(40)])
    return path


def test_a_command_that_failed_before_anybody_was_asked_for_can_be_mended(
    folder: Path, path: Path, tmp_path: Path
) -> None:
    out, given = tmp_path / "sent.parquet", tmp_path / "list.csv"
    wrong = options(folder, out, store=str(path), contacts=str(tmp_path / "lst.csv"))
    with pytest.raises(LogError, match="give a Parquet or CSV file"):
        decide_batch(wrong)
    pc.write_csv(pa.table({"contact_id": ["lead-03"]}), given)
    assert decide_batch(replace(wrong, contacts=str(given))).made["decisions"] == 1


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("settings.json", "work is damaged .*; give another path"),
        ("asked.parquet", "work is damaged .*; give another path"),
        ("part-000000.parquet", "part-000000.parquet is damaged .*; remove this file"),
    ],
)
def test_a_damaged_folder_is_told(
    folder: Path,
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    says: str,
) -> None:
    asked = options(folder, tmp_path / "sent.parquet", store=str(path))
    with monkeypatch.context() as patch:
        patch.setattr(_Batch, "_whole", _no_space)
        with pytest.raises(OSError, match="no space"):
            decide_batch(asked)
    damaged = tmp_path / ".sent.parquet.work" / name
    damaged.write_bytes(damaged.read_bytes()[:5])
    with pytest.raises(LogError, match=says):
        decide_batch(asked)
    if name.startswith("part"):
        damaged.unlink()
        assert decide_batch(asked).made["decisions"] == 40


def _no_space(batch: _Batch) -> None:
    raise OSError("no space left on device")


def test_a_file_in_the_way_is_told(folder: Path, path: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    (tmp_path / ".sent.parquet.work").write_text("kept")
    for out in (tmp_path / "file" / "sent.parquet", tmp_path / "sent.parquet"):
        with pytest.raises(ConfigError, match="got a file where one of them has to be"):
            decide_batch(options(folder, out, store=str(path)))
    assert count(path) == 0


def test_what_the_store_has_no_more_is_not_in_the_table(
    folder: Path, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch is interrupted, the store is put back as it was before, and the batch goes on."""
    monkeypatch.setattr(bulk_work, "PART", 10)
    before = Path(shutil.copy(path, tmp_path / "backup.db"))
    asked, real = options(folder, tmp_path / "sent.parquet", store=str(path)), Service.decide
    calls: list[int] = []

    def broken(self: Service, asks: Any, now_us: int | None = None) -> Any:
        calls.append(len(asks))
        if len(calls) == 3:
            raise OSError("no space left on device")
        return real(self, asks, now_us)

    monkeypatch.setattr(Service, "decide", broken)
    with pytest.raises(OSError, match="no space"):
        decide_batch(asked)
    shutil.copy(before, path)
    made = decide_batch(asked).made
    rows = pq.read_table(tmp_path / "sent.parquet").to_pylist()
    assert {row["decision_id"] for row in rows} == stored(path).keys()
    assert (made["decisions"], made["refused"]) == (20, {LOST: 20})
