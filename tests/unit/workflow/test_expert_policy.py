"""The expert is a policy of every pipeline, and left out aloud where a journey has none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from nurture_rl.errors import ConfigError
from nurture_rl.workflow.config import settings
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.settings_schema import register_schemas
from nurture_rl.workflow.side_by_side import Crew

CONFIGS = Path(__file__).parents[3] / "configs"


@pytest.fixture(autouse=True)
def hydra(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    GlobalHydra.instance().clear()
    register_schemas()
    monkeypatch.setattr(Pipeline, "_policy", lambda self, name: Crew().begin(name, Path, name))
    monkeypatch.setattr(Pipeline, "resolved", property(lambda self: self.settings))  # reads no log
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        yield


def opened(root: str, *overrides: str) -> tuple[Pipeline, list[str]]:
    said: list[str] = []
    return Pipeline(settings(compose(root, overrides=list(overrides))), said.append), said


@pytest.mark.parametrize("root", ["pipeline", "evaluate", "export", "ope"])
def test_the_expert_is_a_policy_wherever_policies_are_judged(root: str) -> None:
    pipeline, said = opened(root)
    assert "expert" in pipeline.policies
    assert ("tuned_rules" in pipeline.policies) == (root != "ope")
    assert said == []


@pytest.mark.parametrize("spec", ["{kind: expert}", "expert"])
def test_a_journey_without_an_expert_has_the_other_policies_and_says_so_once(spec: str) -> None:
    pipeline, said = opened("pipeline", "data=hillstrom", f"policies.expert.spec={spec}")
    assert {"rules", "tuned_rules"} <= set(pipeline.policies)
    assert "expert" not in pipeline.policies
    assert said == ["policy-expert: left out, journey 'hillstrom' lists no rules under `expert`"]


@pytest.mark.parametrize("key", ["policy", "reference"])
def test_an_expert_that_is_not_there_can_be_neither_exported_nor_beaten(key: str) -> None:
    pipeline, _ = opened("pipeline", "data=hillstrom", f"release.{key}=expert")
    with pytest.raises(ConfigError, match=rf"release\.{key}: journey 'hillstrom' lists no rules"):
        _ = pipeline.policies
