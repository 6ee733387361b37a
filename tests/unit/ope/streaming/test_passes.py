"""Row groups as units of work: joined, in their order, and told of as they pass."""

from __future__ import annotations

import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from nurture_rl.ope.streaming.passes import Pace, RowGroup, batches, in_order, joined, row_groups


def table(folder: Path, rows: int, size: int) -> Path:
    pq.write_table(pa.table({"k": range(rows)}), folder / "t.parquet", row_group_size=size)
    return folder / "t.parquet"


def test_small_row_groups_are_put_together(tmp_path: Path) -> None:
    groups = row_groups(table(tmp_path, 10, 3))
    assert joined(groups, 5) == [RowGroup((0, 1), 0, 6), RowGroup((2, 3), 6, 4)]
    assert joined(groups, 3) == groups
    assert joined(groups, 100) == [RowGroup((0, 1, 2, 3), 0, 10)]


def test_every_row_is_read_once_with_its_place(tmp_path: Path) -> None:
    path = table(tmp_path, 10, 3)
    seen = [
        (first, part["k"].to_pylist())
        for group in joined(row_groups(path), 5)
        for part, first in batches(path, group, ["k"], 4)
    ]
    assert [row for _, rows in seen for row in rows] == list(range(10))
    assert all(rows[0] == first for first, rows in seen)


def test_work_side_by_side_comes_back_in_order(tmp_path: Path) -> None:
    groups = row_groups(table(tmp_path, 8, 1))

    def work(group: RowGroup) -> int:
        time.sleep(0.02 * (group.first_row % 3 == 0))
        return group.first_row

    assert [(group.first_row, part) for group, part in in_order(groups, work, 3)] == [
        (row, row) for row in range(8)
    ]


def test_progress_names_what_is_left() -> None:
    pace = Pace(total=1000, done=200)
    pace.began -= 10.0
    assert pace.line(600).startswith("600 of 1,000 decisions (60%), 40 a second, 10 s left")
