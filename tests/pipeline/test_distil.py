"""A policy becomes rules in a file that a person edits; they are judged, bundled and decide."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from nurture_envs.journey_file import load_journey
from nurture_rl.release.bundle import write_bundle
from nurture_rl.workflow.policy_files import with_files
from tests.pipeline.in_process import TINY, nurture
from tests.unit.release.bundles import CREATED, content


@pytest.mark.timeout(600)
def test_rules_are_made_edited_judged_and_bundled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small = [*TINY, "data.contacts=200"]
    made = nurture("distil", *small, "rules=3")
    assert made.code == 0, made.stderr
    assert "It decides as the policy alone would in" in made.stdout
    path = Path("distilled/rules.yaml")
    told = json.loads(Path("distilled/distilled.json").read_text("utf-8"))
    spec = yaml.safe_load(path.read_text("utf-8"))
    assert spec == told["rules"]
    assert len(spec["rules"]) <= 3
    assert [one["policy"] for one in told["worth"]] == ["linear_thompson", "rules", "rules_held"]
    assert 0.0 < told["fidelity"]["alike"]["value"] <= 1.0
    assert told["held"]["kind"] == "trust_region"
    assert told["held"]["policy"] == spec

    path.write_text(path.read_text("utf-8") + "# mine\n", "utf-8")
    again = nurture("distil", *small, "rules=3")
    assert again.code == 2
    assert "was edited since it was written, and would be lost" in again.stderr

    path.write_text('kind: rules\nrules: []\notherwise: "escalate"\n', "utf-8")
    asked = ["+targets.edited.spec=distilled/rules.yaml", "ask.candidate=edited"]
    judged = nurture("ope", *small, *asked, "ask.estimators=[dr]")
    assert judged.code in (0, 3, 4, 5), judged.stderr
    assert "“edited”" in judged.stdout

    edited = with_files(str(path))
    bundle = write_bundle(
        tmp_path / "bundle", content(edited, of=load_journey("inbound_lead")), CREATED
    )
    features = np.zeros((1, len(bundle.feature_spec.columns)), np.float32)
    mask = np.ones((1, len(bundle.catalog)), np.bool_)
    chance = bundle.policy.action_probabilities(features, mask)
    assert bundle.catalog.ids[int(chance.argmax())] == "escalate"
