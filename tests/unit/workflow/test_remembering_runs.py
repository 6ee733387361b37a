"""`data.memory`: one setting, and whoever reads contexts reads the same ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from nurture_envs.errors import JourneyError
from nurture_envs.features import FeatureSpec
from nurture_rl.decisions import load_decisions
from nurture_rl.errors import ConfigError
from nurture_rl.workflow.config import settings
from nurture_rl.workflow.learn import load_core
from nurture_rl.workflow.ope_config import ope_settings
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.settings_schema import register_schemas

pytestmark = pytest.mark.slow

CONFIGS = Path(__file__).parents[3] / "configs"
SHORT = ("policy=dqn", "policy.fit.steps=20", "policy.fit.hidden=[4]", "data.contacts=60")


@pytest.fixture(autouse=True)
def hydra() -> Iterator[None]:
    GlobalHydra.instance().clear()
    register_schemas()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        yield


def run_in(runs: Path, *given: str) -> Pipeline:
    asked = [*SHORT, *given, f"runs={runs}"]
    return Pipeline(settings(compose("train", overrides=asked)), lambda line: None)


def test_the_log_the_learner_and_the_journey_of_the_bundle_have_the_same_columns(
    tmp_path: Path,
) -> None:
    plain, remembering = run_in(tmp_path), run_in(tmp_path, "data.memory=2")
    columns = FeatureSpec.of(remembering.journey).columns
    decisions = load_decisions(remembering.ingested, remembering.journey, 0.5)
    assert decisions.features.shape[1] == len(columns)
    seen = decisions.features[:, columns.index("recent_sent_product@1")]
    assert 0 < seen.sum() < len(seen)
    core = load_core(remembering.policies["dqn"], remembering.journey)
    assert core is not None
    assert core.columns == columns
    shorter = load_core(plain.policies["dqn"], plain.journey)
    assert shorter is not None
    assert core.columns[: len(shorter.columns)] == shorter.columns
    assert len(core.columns) > len(shorter.columns)


def test_without_memory_every_stage_is_the_one_of_before(tmp_path: Path) -> None:
    said, none = run_in(tmp_path), run_in(tmp_path, "data.memory=0")
    assert said.ingested == none.ingested
    assert said.policies == none.policies
    assert run_in(tmp_path, "data.memory=1").ingested != none.ingested


def test_a_memory_that_no_episode_fills_and_one_without_a_journey_are_refused(
    tmp_path: Path,
) -> None:
    with pytest.raises(JourneyError, match=r"memory: expected 0 to 14 bins.* got 15"):
        assert run_in(tmp_path, "data.memory=15").journey
    given = ["data=frame", "data.path=there", "data.memory=3", "+targets.new.always=a"]
    with pytest.raises(ConfigError, match=r"data\.memory: expected 0, got 3: a log without a jour"):
        ope_settings(compose("ope", overrides=given))
