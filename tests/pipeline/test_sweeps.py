"""Sweeps as users type them: resumed, over Ray with what may be killed, and searched by Optuna."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.sweeps import SMALL, broken_sweep, records
from tests.pipeline.in_process import Ended, nurture

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def sweep(runs: Path, *words: str) -> Ended:
    return nurture("train", "--multirun", *SMALL, f"runs={runs}", *words)


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def test_a_sweep_that_is_typed_again_does_nothing_again_and_shares_log_and_world(
    tmp_path: Path,
) -> None:
    words = ("seeds.learner=0,1", "data.held_out=0.5,7")  # the second share is refused
    first = sweep(tmp_path, *words, "--json")
    assert first.code == 2
    told = [json.loads(line) for line in first.stdout.splitlines()]
    assert [one["exit_code"] for one in told] == [0, 2, 0, 2]
    assert len(list((tmp_path / "stages").glob("raw-*"))) == 1
    before = records(tmp_path)
    assert [before[number]["status"] for number in range(4)] == ["finished", "failed"] * 2
    again = sweep(tmp_path, *words)
    assert "working" not in again.stdout
    assert again.stderr.count("is finished already") == 2
    after = records(tmp_path)
    assert after[0]["made"]["mlflow_run"] == before[0]["made"]["mlflow_run"]
    (page,) = tmp_path.glob("sweeps/*/sweep.md")
    assert "data.held_out=7 seeds.learner=0 | failed" in page.read_text("utf-8").replace(
        "seeds.learner=0 data.held_out=7", "data.held_out=7 seeds.learner=0"
    )


def test_a_sweep_over_ray_survives_a_killed_worker_and_a_killed_driver(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    found = broken_sweep(tmp_path, runs=6, cores=2, say=print)
    assert found.finished == 6
    assert found.before >= 3
    assert found.repeated == 0
    assert len(list((tmp_path / "stages").glob("policy-linear_thompson-*"))) == 6
    assert len(list((tmp_path / "stages").glob("raw-*"))) == 1


def test_a_search_goes_on_where_it_was_and_tells_optuna_every_objective(tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna", reason="the extra `optuna` is not installed")
    space = ("hydra/sweeper=optuna", "policy.fit.ridge=tag(log,interval(0.1,100))")
    assert sweep(tmp_path, *space, "hydra.sweeper.n_trials=2").code == 0
    done = sweep(tmp_path, *space, "hydra.sweeper.n_trials=3")
    assert done.code == 0, done.stderr[-2000:]
    assert done.stdout.count("policy-linear_thompson: working") == 1
    (folder,) = (tmp_path / "sweeps").iterdir()
    storage = f"sqlite:///{folder / 'optuna.db'}"
    (name,) = optuna.get_all_study_names(storage)
    trials = optuna.load_study(study_name=name, storage=storage).trials
    values = {record["objective"] for record in records(tmp_path).values()}
    assert len(trials) == 3
    assert {trial.value for trial in trials} == values
    assert len({trial.params["policy.fit.ridge"] for trial in trials}) == 3
