"""Mistaken people are the share that was asked for, and stay mistaken when it grows."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from experiments.identity_error.mixed_up import MERGED, SPLIT, mixed_up

PEOPLE = [f"p{i:02d}" for i in range(40)]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("tables")
    lists = pa.list_(pa.string())
    zones = ["Europe/Berlin", "America/New_York"]
    contacts = {
        "contact_id": PEOPLE,
        "keys": pa.array([[f"email:{name}"] for name in PEOPLE], lists),
        "time_zone": [zones[i % 2] for i in range(len(PEOPLE))],
    }
    events = {
        "type": ["page_view", "reply"] * len(PEOPLE),
        "keys": pa.array(
            [[key] for name in PEOPLE for key in (f"cookie:{name}", f"email:{name}")], lists
        ),
    }
    decisions = {"contact_id": PEOPLE, "features": [0.0] * len(PEOPLE)}
    for name, columns in (("contacts", contacts), ("events", events), ("decisions", decisions)):
        pq.write_table(pa.table(columns), home / f"{name}.parquet")
    return home


def keys(folder: Path, name: str) -> list[list[str]]:
    found: list[list[str]] = pq.read_table(folder / f"{name}.parquet")["keys"].to_pylist()
    return found


def test_page_views_of_some_lie_under_a_browser_of_nobody(tables: Path, tmp_path: Path) -> None:
    assert mixed_up(tables, tmp_path / "few", SPLIT, 0.1, seed=3) == 4
    assert mixed_up(tables, tmp_path / "more", SPLIT, 0.2, seed=3) == 8
    few, more = (
        {key for row in keys(tmp_path / name, "events") for key in row if key.endswith("~2")}
        for name in ("few", "more")
    )
    assert len(few) == 4
    assert few < more
    assert keys(tmp_path / "few", "contacts") == keys(tables, "contacts")
    assert all(key.startswith("cookie:") for key in more)


def test_two_of_one_time_zone_share_a_key(tables: Path, tmp_path: Path) -> None:
    assert mixed_up(tables, tmp_path, MERGED, 0.2, seed=3) == 8
    contacts = pq.read_table(tmp_path / "contacts.parquet").to_pylist()
    homes: dict[str, list[str]] = {}
    for row in contacts:
        for key in row["keys"][1:]:
            homes.setdefault(key, []).append(row["time_zone"])
    assert [len(zones) for zones in homes.values()] == [2] * 4
    assert all(one == other for one, other in homes.values())
    assert keys(tmp_path, "events") == keys(tables, "events")
    assert "features" not in pq.read_table(tmp_path / "decisions.parquet").column_names
