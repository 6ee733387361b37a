"""Policies as files: written, edited, read wherever a description may stand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nurture_rl.errors import ConfigError
from nurture_rl.workflow.journey_targets import journey_targets
from nurture_rl.workflow.policy_files import read_policy_file, rules_text, with_files
from tests.unit.policies.planted_journeys import INBOUND, context_of

RULES: dict[str, Any] = {
    "kind": "rules",
    "rules": [
        {"when": {"form_topic=security": ">= 1", "day": "< 3"}, "do": "send:security_brief@09"},
        {"when": {"on": ">= 0.25"}, "do": "pause:3"},  # YAML would read `on` as true
        {"when": {}, "do": "escalate"},
    ],
    "otherwise": "pause:1",
}


def written(folder: Path, spec: Mapping[str, Any] = RULES) -> Path:
    path = folder / "rules.yaml"
    path.write_text(
        rules_text(spec, ["Made of a test."], ["about"] * (len(spec["rules"]) + 1)), "utf-8"
    )
    return path


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    assert read_policy_file(written(tmp_path)) == RULES
    empty = {"kind": "rules", "rules": [], "otherwise": "exit"}
    assert read_policy_file(written(tmp_path, empty)) == empty


def test_a_file_stands_wherever_a_policy_may(tmp_path: Path) -> None:
    path = written(tmp_path)
    region = {"kind": "trust_region", "policy": str(path), "anchor": "drip", "max_ratio": 3.0}
    assert with_files(str(path)) == RULES
    assert with_files(region) == {**region, "policy": RULES}
    assert with_files("drip") == "drip"


def test_an_edited_file_is_what_decides(tmp_path: Path) -> None:
    rules = {"kind": "rules", "rules": [], "otherwise": "pause:1"}
    path = written(tmp_path, rules)
    path.write_text(path.read_text("utf-8").replace("pause:1", "pause:3"), "utf-8")
    (policy,) = journey_targets({"edited": {"spec": str(path)}}, INBOUND).values()
    context = context_of(INBOUND)
    features = np.zeros((1, len(context.feature_spec.columns)), np.float32)
    chances = policy.action_probabilities(features, np.ones((1, len(context.catalog)), np.bool_))
    assert context.catalog.ids[int(chances.argmax())] == "pause:3"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "expected a policy file, YAML with a kind, and cannot read it"),
        ("kind: [", "got no YAML"),
        ("rules: []", "such as `kind: rules`, got rules"),
        ("- drip", r"such as `kind: rules`, got \['drip'\]"),
    ],
)
def test_what_is_no_policy_file_is_refused_by_its_path(
    tmp_path: Path, text: str | None, problem: str
) -> None:
    path = tmp_path / "mine.yaml"
    if text is not None:
        path.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=rf"mine\.yaml: .*{problem}"):
        read_policy_file(path)
