"""A search goes on with what it knows, unless what its runs depend on has changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext

from hydra_plugins.nurture_sweeps.optuna_sweeper import OptunaSweeper
from nurture_rl.cli.configs import CONFIGS
from nurture_rl.workflow.settings_schema import register_schemas

pytestmark = pytest.mark.slow


class Counting(Launcher):
    """A launcher that notes what it is asked for and finds a ridge of 1 the best."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, float]] = []

    def setup(self, **given: Any) -> None:
        """Nothing is set up."""

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> list[JobReturn]:
        """Results of every job at once."""
        found = []
        for number, words in enumerate(job_overrides, initial_job_idx):
            ridge = float(next(word for word in words if "ridge" in word).partition("=")[2])
            self.asked.append((number, ridge))
            done = JobReturn(status=JobStatus.COMPLETED)
            done.return_value = -abs(ridge - 1.0)
            found.append(done)
        return found


def searched(runs: Path, data: Path, trials: int) -> list[tuple[int, float]]:
    """Number and ridge of every run that a start of a search asks for."""
    register_schemas()
    pytest.importorskip("optuna", reason="the extra `optuna` is not installed")
    words = ["policy=linucb", "data=folder", "data.name=mine", f"data.path={data}"]
    words += ["data.journey=inbound_lead", f"runs={runs}"]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        typed = [*words, f"hydra.sweep.dir={runs}", "hydra.job.name=train"]
        sweeper = OptunaSweeper(trials, 2, "tpe", 0, None, None, None)
        sweeper.config = compose("train", typed, return_hydra_config=True)
        loader = GlobalHydra.instance().config_loader()
        sweeper.hydra_context = HydraContext(config_loader=loader, callbacks=Callbacks())
        sweeper.launcher = launcher = Counting()
        best = sweeper.sweep([*words, "policy.fit.ridge=tag(log,interval(0.1,10))"])
    assert best <= 0.0
    return launcher.asked


def test_a_search_goes_on_until_the_log_changes(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "events.csv").write_text("1", "utf-8")
    first = searched(tmp_path / "runs", data, 3)
    assert [number for number, _ in first] == [0, 1, 2]
    assert searched(tmp_path / "runs", data, 3) == []
    more = searched(tmp_path / "runs", data, 4)
    assert [number for number, _ in more] == [3]
    assert more[0] not in first
    (data / "events.csv").write_text("2", "utf-8")
    anew = searched(tmp_path / "runs", data, 3)
    assert [number for number, _ in anew] == [0, 1, 2]
