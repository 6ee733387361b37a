"""Stages are resumed by content, and an interrupted one leaves nothing that looks whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nurture_rl.errors import FitError
from nurture_rl.learned.checkpoints import checkpoint_beside
from nurture_rl.workflow.raw_folder import folder_hash
from nurture_rl.workflow.stages import RECORD, Workshop


def workshop(root: Path) -> tuple[Workshop, list[str]]:
    said: list[str] = []
    return Workshop(root, said.append), said


def test_equal_inputs_are_worked_on_once(tmp_path: Path) -> None:
    shop, said = workshop(tmp_path)
    calls: list[Path] = []

    def build(folder: Path) -> None:
        calls.append(folder)
        (folder / "result.txt").write_text("made", "utf-8")

    first = shop.stage("sum", {"a": 1}, build)
    again = shop.stage("sum", {"a": 1}, build)
    assert first == again
    assert len(calls) == 1
    assert said[-1] == f"sum: unchanged, using {first.name}"


def test_another_input_is_another_stage(tmp_path: Path) -> None:
    shop, _ = workshop(tmp_path)
    folders = {shop.stage("sum", {"a": a}, lambda folder: None) for a in (1, 2, 1.5)}
    folders |= {shop.stage("product", {"a": 1}, lambda folder: None)}
    assert len(folders) == 4


def test_an_interrupted_stage_is_done_again_and_leaves_no_folder(tmp_path: Path) -> None:
    shop, _ = workshop(tmp_path)

    def interrupted(folder: Path) -> None:
        (folder / "half.txt").write_text("half", "utf-8")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shop.stage("sum", {"a": 1}, interrupted)
    assert list((tmp_path / "stages").glob("sum-*")) == []
    folder = shop.stage("sum", {"a": 1}, lambda out: None)
    assert not (folder / "half.txt").exists()


def test_the_record_says_what_went_in(tmp_path: Path) -> None:
    shop, _ = workshop(tmp_path)
    folder = shop.stage("sum", {"a": 1, "path": tmp_path}, lambda out: None)
    record = json.loads((folder / RECORD).read_text("utf-8"))
    assert record["inputs"]["a"] == 1
    assert record["inputs"]["code"]  # results of other code are not reused


def test_a_folder_hash_follows_names_and_contents_alone(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.csv").write_text("1", "utf-8")
    assert folder_hash(tmp_path / "one") == folder_hash(tmp_path / "two")
    (tmp_path / "two" / "a.csv").write_text("2", "utf-8")
    assert folder_hash(tmp_path / "one") != folder_hash(tmp_path / "two")
    (tmp_path / "one" / "a.csv").rename(tmp_path / "one" / "b.csv")
    (tmp_path / "two" / "a.csv").write_text("1", "utf-8")
    assert folder_hash(tmp_path / "one") != folder_hash(tmp_path / "two")


def test_a_checkpoint_outlives_an_interruption_and_goes_when_the_stage_is_done(
    tmp_path: Path,
) -> None:
    shop, _ = workshop(tmp_path)
    seen: list[bool] = []

    def build(folder: Path) -> None:
        checkpoint = checkpoint_beside(folder)
        seen.append(checkpoint.is_file())
        checkpoint.write_text("half", "utf-8")
        if len(seen) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shop.stage("sum", {"a": 1}, build)
    assert len(list((tmp_path / "stages").glob(".sum-*.checkpoint"))) == 1
    shop.stage("sum", {"a": 1}, build)
    assert seen == [False, True]
    assert list((tmp_path / "stages").glob("*.checkpoint")) == []
    assert list((tmp_path / "stages").glob(".*.checkpoint")) == []


def test_a_refusal_leaves_no_checkpoint(tmp_path: Path) -> None:
    shop, _ = workshop(tmp_path)

    def build(folder: Path) -> None:
        checkpoint_beside(folder).write_text("half", "utf-8")
        raise FitError("it diverges")

    with pytest.raises(FitError):
        shop.stage("sum", {"a": 1}, build)
    assert list((tmp_path / "stages").glob(".*.checkpoint")) == []
