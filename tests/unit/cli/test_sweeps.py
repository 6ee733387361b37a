"""Runs of a sweep: each leaves a record, what is finished is not done again, none is lost."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from math import isnan
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from nurture_rl.cli.configs import CONFIGS
from nurture_rl.cli.sweep_watch import progress_line, runs_asked_for, summary
from nurture_rl.cli.sweeps import (
    Place,
    RunRecord,
    RunStatus,
    mark_lost,
    read_run,
    read_runs,
    run_of_sweep,
    sweep_name,
)
from nurture_rl.errors import FitError
from nurture_rl.verb_result import VerbResult


def finds(value: float | None, says: str = "of ppo") -> Callable[[], VerbResult]:
    return lambda: VerbResult({"objective": value, "objective is": says, "policy": Path("a/b")})


def refuse() -> VerbResult:
    raise FitError("the training diverges")


def break_off() -> VerbResult:
    raise ZeroDivisionError("by 0")


def place(folder: Path, number: int = 0) -> Place:
    return Place(folder / str(number), number, ("policy=ppo", f"seeds.learner={number}"))


def record(folder: Path, number: int = 0) -> RunRecord:
    found = read_run(folder / str(number))
    assert found is not None
    return found


def test_a_run_leaves_its_number_and_what_it_made(tmp_path: Path) -> None:
    assert run_of_sweep("train", place(tmp_path), finds(1.5), lambda: "k") == 1.5
    found = record(tmp_path)
    assert (found.status, found.objective, found.reason) == ("finished", 1.5, "of ppo")
    assert found.overrides == ("policy=ppo", "seeds.learner=0")
    assert found.made["policy"] == "a/b"


def test_a_withheld_number_is_none_and_says_why(tmp_path: Path) -> None:
    value = run_of_sweep("train", place(tmp_path), finds(None, "withheld: too few"), lambda: "k")
    assert isnan(value)
    found = record(tmp_path)
    assert (found.status, found.objective, found.reason) == ("withheld", None, "too few")


@pytest.mark.parametrize(
    "work, said, code",
    [(refuse, "the training diverges", 2), (break_off, "ZeroDivisionError: by 0", 1)],
)
def test_a_run_that_refuses_or_breaks_off_is_marked_and_gives_no_number(
    work: Callable[[], VerbResult], said: str, code: int, tmp_path: Path
) -> None:
    assert isnan(run_of_sweep("train", place(tmp_path), work, lambda: "k"))
    found = record(tmp_path)
    assert (found.status, found.reason, found.exit_code) == ("failed", said, code)


@pytest.mark.parametrize("value", [1.5, None])
def test_what_is_done_is_not_done_again(value: float | None, tmp_path: Path) -> None:
    run_of_sweep("train", place(tmp_path), finds(value), lambda: "k")
    run_of_sweep("train", place(tmp_path), break_off, lambda: "k")
    assert record(tmp_path).objective == value
    assert record(tmp_path).status is not RunStatus.FAILED


@pytest.mark.parametrize("first, key", [(finds(1.0), "other"), (refuse, "k"), (break_off, "k")])
def test_other_settings_and_failed_runs_are_done_again(
    first: Callable[[], VerbResult], key: str, tmp_path: Path
) -> None:
    run_of_sweep("train", place(tmp_path), first, lambda: "k")
    assert run_of_sweep("train", place(tmp_path), finds(2.0), lambda: key) == 2.0


def test_a_verb_whose_runs_have_no_key_is_always_done(tmp_path: Path) -> None:
    run_of_sweep("ope", place(tmp_path), finds(1.0), None)
    assert run_of_sweep("ope", place(tmp_path), finds(2.0), None) == 2.0


def test_a_key_that_cannot_be_told_is_a_refusal(tmp_path: Path) -> None:
    def keyed() -> str:
        raise FitError("no log")

    assert isnan(run_of_sweep("train", place(tmp_path), finds(1.0), keyed))
    assert record(tmp_path).reason == "no log"


def test_a_lost_run_is_marked(tmp_path: Path) -> None:
    mark_lost("train", place(tmp_path, 3), "its worker was lost")
    (found,) = read_runs(tmp_path)
    assert (found.number, found.status, found.reason) == (3, "failed", "its worker was lost")


def test_a_sweep_is_named_by_its_runs_and_not_by_how_it_is_worked_through() -> None:
    line = ["--multirun", "policy=ppo", "seed=0,1"]
    name = sweep_name("train", line)
    how = ["hydra/launcher=ray", "+hydra.launcher.init.num_cpus=2", "workers=1", "runs=x"]
    assert sweep_name("train", [*reversed(line), *how, "hydra.sweeper.n_trials=9"]) == name
    assert sweep_name("train", [*line, "seed=2"]) != name
    assert sweep_name("evaluate", line) != name
    assert sweep_name("train", [*line, "hydra.sweeper.params.a=1,2"]) != name


def test_progress_counts_what_is_over_and_times_what_this_start_did(tmp_path: Path) -> None:
    for number in range(3):
        run_of_sweep("train", place(tmp_path, number), finds(1.0), lambda: "k")
    now = time.time()
    os.utime(tmp_path / "0" / "run.json", (now - 1000.0, now - 1000.0))
    line = progress_line(tmp_path, 7, now - 20.0)  # two runs in 20 s, four to come
    assert line == "3 of 7 runs are over, about 40 s left"
    assert progress_line(tmp_path, 7, now + 60.0) == "3 of 7 runs are over"
    assert progress_line(tmp_path, 3, now - 20.0) == "3 of 3 runs are over"


def test_what_was_done_before_takes_none_of_the_time_of_this_start(tmp_path: Path) -> None:
    run_of_sweep("train", place(tmp_path), finds(1.0), lambda: "k")
    kept = tmp_path / "0" / "run.json"
    os.utime(kept, (1000.0, 1000.0))
    run_of_sweep("train", place(tmp_path), break_off, lambda: "k")
    assert kept.stat().st_mtime == 1000.0


def test_what_failed_before_is_not_over(tmp_path: Path) -> None:
    for number, work in enumerate((finds(1.0), finds(None), refuse)):
        run_of_sweep("train", place(tmp_path, number), work, lambda: "k")
        os.utime(tmp_path / str(number) / "run.json", (1000.0, 1000.0))
    assert progress_line(tmp_path, 3, 2000.0) == "2 of 3 runs are over"
    assert progress_line(tmp_path, 3, 500.0) == "3 of 3 runs are over"


def test_a_record_of_another_version_is_none(tmp_path: Path) -> None:
    run_of_sweep("train", place(tmp_path), finds(1.0), lambda: "k")
    (tmp_path / "0" / "run.json").write_text('{"verb": "train"}', "utf-8")
    assert read_runs(tmp_path) == []
    assert run_of_sweep("train", place(tmp_path), finds(2.0), lambda: "k") == 2.0


def test_a_sweep_over_options_by_a_pattern_is_counted() -> None:
    asked = {"sweeper": {}, "overrides": {"task": ["policy=glob(c*)", "seed=0,1"]}}
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        found = runs_asked_for(OmegaConf.create({"hydra": asked}))
        options = GlobalHydra.instance().config_loader().get_group_options("policy")
    assert found == 2 * sum(name.startswith("c") for name in options) > 0


def test_the_summary_counts_names_what_has_no_number_and_warns_of_the_best(tmp_path: Path) -> None:
    works = [finds(1.0), refuse, finds(3.0), finds(None, "withheld: too few")]
    for number, work in enumerate(works):
        run_of_sweep("train", place(tmp_path, number), work, lambda: "k")
    lines = summary(read_runs(tmp_path), Path("sweep.md"))
    assert lines[:3] == [
        "sweep: 2 finished, 1 withheld, 1 failed",
        "  failed, run 1 (seeds.learner=1): the training diverges",
        "  withheld, run 3 (seeds.learner=3): too few",
    ]
    assert lines[3].startswith("  the highest objective is 3, of run 2 (seeds.learner=2); ")
    assert lines[4:] == ["  every run: sweep.md"]
