"""What the stage writes of the gate's decision where nothing can be released."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_envs.journey_file import load_journey
from nurture_rl.errors import ConfigError
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.release.bundle import load_bundle
from nurture_rl.workflow.release import release
from nurture_rl.workflow.stages import Workshop
from tests.unit.release.bundles import content
from tests.unit.release.signed import key_pair
from tests.unit.workflow.judged_by_hand import findings, settings_of

NOTHING = "so there is nothing to release"


def decided(folder: Path, left_out: dict[str, str], *given: str) -> dict[str, Any]:
    """The stage's record of an evaluation without any candidate."""
    found = findings() | {"left_out": left_out}
    found["appraisal"]["candidates"] = []
    judged = folder / "evaluation-1"
    judged.mkdir()
    (judged / "evaluation.json").write_text(json.dumps(found), "utf-8")
    made = release(
        Workshop(folder, lambda line: None),
        load_journey("inbound_lead"),
        settings_of(*given),
        folder / "ingest-1",
        folder / "gap-1",
        judged,
        {},
    )
    assert not (made / "bundle").exists()
    record: dict[str, Any] = json.loads((made / "gate.json").read_text("utf-8"))
    return record


def test_a_run_that_trained_nobody_is_told_so(tmp_path: Path) -> None:
    record = decided(tmp_path, {})
    assert record["reasons"] == [f"no learned policy was evaluated, {NOTHING}"]
    assert (record["verdict"], record["passed"], record["exported"]) == ("refused", False, None)
    assert (record["asked"], record["judged"]) == (True, [])


def test_where_everybody_was_left_out_each_reason_is_told(tmp_path: Path) -> None:
    record = decided(tmp_path, {"a": "a twin", "b": "no support"})
    assert record["reasons"] == [
        f"no learned policy is a candidate, {NOTHING} (a: a twin; b: no support)"
    ]
    assert record["left_out"] == {"a": "a twin", "b": "no support"}


@pytest.mark.parametrize("name", ["ppo", "nobody"])
def test_only_a_policy_that_learned_nothing_passes_by_the_gate(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"expected one of .*drip.*, got '{name}'"):
        decided(tmp_path, {}, f"release.policy={name}")


def test_a_bundle_is_signed_by_the_key_that_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = key_pair(tmp_path)
    own, decisions = content({"kind": "rules"}), SimpleNamespace(features=content().states.features)
    policy = build_policy(own.spec, PolicyContext(own.journey, *_of(own.journey)))
    for name, found in (
        ("load_decisions", decisions),
        ("load_core", None),
        ("load_policy", policy),
        ("_card", own.card),
    ):
        monkeypatch.setattr(f"nurture_rl.workflow.release.{name}", partial(_given, found))
    workshop = Workshop(tmp_path, lambda line: None)
    ingested, gap, judged = (tmp_path / name for name in ("ingest-1", "gap-1", "evaluation-1"))
    judged.mkdir()
    (judged / "evaluation.json").write_text(json.dumps(findings()), "utf-8")
    rules = {"rules": tmp_path / "policy-1"}

    def made(*given: str) -> Path:
        asked = settings_of("release.policy=rules", *given)
        return release(workshop, own.journey, asked, ingested, gap, judged, rules) / "bundle"

    signed, plain = made(f"release.key={private}"), made()
    assert plain != signed
    assert load_bundle(signed, public).signatures == 1
    assert load_bundle(plain).signatures == 0


def _given(made: Any, *_: Any) -> Any:
    return made


def _of(journey: Journey) -> tuple[ActionCatalog, FeatureSpec]:
    return ActionCatalog.of(journey), FeatureSpec.of(journey)
