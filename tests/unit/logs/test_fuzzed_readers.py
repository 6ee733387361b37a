"""Damaged logs of every form: ingested with every row accounted for, or refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import fuzz_readers
from tools.fuzz_readers import hunt


def test_no_damaged_log_crashes_the_readers_or_loses_a_row(tmp_path: Path) -> None:
    found, broken = hunt(seconds=60.0, seed=0, home=tmp_path, most=50)
    assert broken is None, broken
    assert found["ingested"] >= 5
    assert found["refused"] >= 5


def test_a_lost_row_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = fuzz_readers.rows_of
    monkeypatch.setattr(fuzz_readers, "rows_of", lambda path: counted(path) + 1)
    _, broken = hunt(seconds=60.0, seed=0, home=tmp_path, most=50)
    assert broken is not None
    assert "rows in the files" in broken
