"""A reader sees the old content or the new, never a part."""

from __future__ import annotations

from pathlib import Path

import pytest

from nurture_rl.logs.atomic import atomic_folder, atomic_write_bytes


class Interrupted(Exception):
    """Stands for whatever stops a writer."""


def fill_and_stop(path: Path) -> None:
    with atomic_folder(path) as partial:
        (partial / "half.txt").write_text("half")
        raise Interrupted


def test_an_interrupted_folder_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        fill_and_stop(tmp_path / "log")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_folder_leaves_the_older_one_whole(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "log") as partial:
        (partial / "a.txt").write_text("old")
    with pytest.raises(Interrupted):
        fill_and_stop(tmp_path / "log")
    assert [path.name for path in (tmp_path / "log").iterdir()] == ["a.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_the_folder_appears_only_at_the_end_and_replaces_the_older_one(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "log"
    with atomic_folder(target) as partial:
        (partial / "a.txt").write_text("old")
        assert not target.exists()
    with atomic_folder(target) as partial:
        (partial / "b.txt").write_text("new")
    assert [path.name for path in target.iterdir()] == ["b.txt"]
    assert [path.name for path in target.parent.iterdir()] == ["log"]


def test_bytes_replace_bytes_and_leave_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    atomic_write_bytes(path, b"old")
    atomic_write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_refused_write_leaves_no_partial_file(tmp_path: Path) -> None:
    (tmp_path / "a.bin").mkdir()
    with pytest.raises(OSError, match=r"a\.bin"):
        atomic_write_bytes(tmp_path / "a.bin", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]
