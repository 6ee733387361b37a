"""The page of a sweep shows every run, and averages none away."""

from __future__ import annotations

from pathlib import Path

import pytest

from nurture_rl.report.sweep_page import SweptRun, write_sweep_page


def run(number: int, policy: str, objective: float | None, status: str = "finished") -> SweptRun:
    words = ("experiment=small", f"policy={policy}", f"seeds.learner={number}")
    return SweptRun(number, words, status, objective, f"reason {number}", 2.0)


def page(folder: Path, *runs: SweptRun) -> str:
    return write_sweep_page(folder, "nurture train", runs).read_text("utf-8")


@pytest.mark.slow
def test_runs_that_differ_by_seeds_alone_stand_together(tmp_path: Path) -> None:
    text = page(tmp_path, run(0, "cql", 1.0), run(1, "cql", 4.0), run(2, "iql", 2.0))
    assert "| policy=cql | 2 | 0 | 0 | 1 | 2.5 | 4 |" in text
    assert "| policy=iql | 1 | 0 | 0 | 2 | 2 | 2 |" in text
    assert "| 1 | policy=cql seeds.learner=1 | finished | 4 | 2.0 | reason 1 |" in text
    assert (tmp_path / "sweep.svg").read_bytes().startswith(b"<?xml")


@pytest.mark.slow
@pytest.mark.parametrize("status", ["failed", "withheld"])
def test_a_group_with_a_run_without_a_number_has_no_median(tmp_path: Path, status: str) -> None:
    text = page(tmp_path, run(0, "cql", 1.0), run(1, "cql", None, status), run(2, "iql", 2.0))
    counts = "0 | 1" if status == "failed" else "1 | 0"
    assert f"| policy=cql | 2 | {counts} | — | — | 1 |" in text
    assert f"| 1 | policy=cql seeds.learner=1 | {status} | — | 2.0 | reason 1 |" in text


@pytest.mark.slow
def test_a_sweep_without_any_number_is_shown_too(tmp_path: Path) -> None:
    text = page(tmp_path, run(0, "cql", None, "failed"), run(1, "cql", None, "failed"))
    assert "| — | 2 | 0 | 2 | — | — | — |" in text


def test_runs_of_a_verb_without_an_objective_have_no_picture(tmp_path: Path) -> None:
    text = page(tmp_path, run(0, "ppo", None), run(1, "rules", None))
    assert "sweep.svg" not in text
    assert not (tmp_path / "sweep.svg").exists()
    assert "| 1 |" in text
