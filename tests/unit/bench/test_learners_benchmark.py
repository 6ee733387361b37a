"""The benchmark of linear bandits runs at a tiny size."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import learners
from benchmarks.peer_runs import Skipped

TINY = ["--rows", "400", "--calls", "5", "--decided", "20", "--runs", "2"]
TINY += ["--journey", "inbound_lead"]


def test_a_tiny_run_prints_its_table_and_writes_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "found.json"
    learners.main(learners.arguments([*TINY, "--no-peers", "--out", str(out)]))
    found = json.loads(out.read_text("utf-8"))
    assert len(found["add rows, a call each"]) == 2
    printed = capsys.readouterr().out
    assert "| decide, LinUCB |" in printed
    assert "skipped: not asked for" in printed


def test_libraries_that_cannot_be_installed_are_skipped_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(learners, "peer_json", lambda *_: Skipped("no such wheel"))
    learners.main(learners.arguments(TINY))
    assert "skipped: no such wheel" in capsys.readouterr().out


def test_figures_of_the_others_stand_beside_ours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def printed(*_: object) -> tuple[dict[str, object], float]:
        return {"MABWiser: decide": [[2000.0, 1000.0], [4000.0, 1000.0]]}, 0.0

    monkeypatch.setattr(learners, "peer_json", printed)
    learners.main(learners.arguments(TINY))
    assert "| MABWiser: decide | 3,000 (2,000-4,000) | 1,000 |" in capsys.readouterr().out
