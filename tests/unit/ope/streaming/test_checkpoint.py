"""Progress on disk: what was saved comes back, for its own stream only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nurture_rl.errors import LogError
from nurture_rl.ope.streaming.accumulate import moments_of
from nurture_rl.ope.streaming.checkpoint import Progress, load_progress, save_progress
from tests.unit.ope.streaming.makers import SMALL, some_rows

# Hashes wrap around; where loops run uncompiled, the interpreter warns of it.
pytestmark = pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered in scalar")


def progress() -> Progress:
    rows = some_rows(0, 30)
    rows.groups["week"] = np.arange(30) % 4  # type: ignore[index]
    bad = np.array([4, 17])
    return Progress(moments_of(rows, SMALL), 3, 32, bad, np.array([2, 8], dtype=np.int8))


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    path, own = tmp_path / "progress.npz", progress()
    save_progress(path, own, "abc")
    found = load_progress(path, SMALL, "abc")
    assert found is not None
    assert np.array_equal(found.moments.sums, own.moments.sums)
    assert np.array_equal(found.moments.bounds, own.moments.bounds)
    assert np.array_equal(found.moments.by["week"], own.moments.by["week"])
    assert (found.moments.matched, found.next_group) == (own.moments.matched, 3)
    assert (found.rows_read, found.bad_row.tolist()) == (32, [4, 17])
    assert found.bad_fault.tolist() == [2, 8]
    assert [file.name for file in tmp_path.iterdir()] == ["progress.npz"]


def test_no_file_is_no_progress(tmp_path: Path) -> None:
    assert load_progress(tmp_path / "none.npz", SMALL, "abc") is None


def test_progress_of_another_stream_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "progress.npz"
    save_progress(path, progress(), "abc")
    with pytest.raises(LogError, match="expected xyz, got abc"):
        load_progress(path, SMALL, "xyz")
