"""The report as JSON, figures, page and Markdown."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.common.played import played_data
from nurture_envs.actions import ActionCatalog
from nurture_envs.journey_file import load_journey
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.inbound_lead import InboundLeadWorld
from nurture_rl.policies.references import Random
from nurture_rl.report.gap_figures import gap_figures
from nurture_rl.report.gap_page import gap_markdown, gap_page, write_gap_report
from nurture_rl.report.gap_source import GapSource
from nurture_rl.simulator.gap.report import reality_gap
from nurture_rl.simulator.gap.settings import GapConfig


@lru_cache(maxsize=1)
def report() -> dict[str, Any]:
    """A log of few contacts against the world it comes from."""
    world = InboundLeadWorld(load_journey("inbound_lead"))
    policy = Random(ActionCatalog.of(world.journey), (("pause", 0.5), ("send", 0.5)))
    held_out = played_data(Simulation(world), policy, 250, 1)
    config = GapConfig(fewest_episodes=250, ratio=1.0)
    found = reality_gap(world, held_out, policy, config, np.random.default_rng(0))
    assert found.verdict.root is not None  # 250 contacts are too few
    return found.to_dict()


@lru_cache(maxsize=1)
def drawn() -> dict[str, bytes]:
    """Its figures."""
    return gap_figures(GapSource(report()))


def test_the_report_is_plain_json() -> None:
    text = json.dumps(report(), allow_nan=False)
    assert json.loads(text) == report()


def test_the_numbers_behind_a_finding_are_kept_with_their_interval() -> None:
    for row in report()["evidence"]["comparisons"]:
        assert row["lower"] <= row["gap"] <= row["upper"]


@pytest.mark.slow
def test_every_figure_is_drawn_and_the_same_twice() -> None:
    first, second = (gap_figures(GapSource(report())) for _ in range(2))
    assert {"rates", "funnel", "survival", "responses", "hours", "classifier", "delays"} <= set(
        first
    )
    assert first == second


@pytest.mark.slow
def test_a_world_with_a_hidden_state_has_no_one_step_figures() -> None:
    assert {"effects", "reliability"}.isdisjoint(drawn())
    assert any("hidden state" in note for note in report()["evidence"]["notes"])


def test_the_summary_names_the_cause_with_number_and_threshold() -> None:
    text = gap_markdown(report())
    assert "| too few data |" in text
    assert "| Held-out contacts | 250 |" in text


@pytest.mark.slow
def test_the_files_say_the_verdict_and_ask_nothing_from_outside(tmp_path: Path) -> None:
    paths = write_gap_report(report(), tmp_path / "gap")
    assert [path.name for path in paths] == ["gap.html", "gap.md", "gap.json"]
    assert json.loads(paths[2].read_text("utf-8")) == report()
    page = paths[0].read_text("utf-8")
    assert "Do not trust it" in page
    assert report()["verdict"]["causes"][0]["sentence"] in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    assert "<script" not in page


@pytest.mark.slow
def test_missing_parts_leave_their_figures_out() -> None:
    gone = dict.fromkeys(("comparisons", "survival", "curves", "two_sample", "hours", "half_lives"))
    bare = {**report(), "evidence": {**report()["evidence"], **gone}}
    assert set(gap_figures(GapSource(bare))) <= {"delays"}
    assert "What this world may be used for" in gap_page(bare)
