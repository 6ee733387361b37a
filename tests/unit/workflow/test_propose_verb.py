"""What is proposed stands in front of the rules in a file that a person edits and accepts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_rl.appraisal.rule_proposals import ProposalReport, RuleProposal
from nurture_rl.errors import ConfigError
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.workflow.policy_files import read_policy_file, require_unedited
from nurture_rl.workflow.propose_verb import (
    present_rules,
    proposals_file,
    told_proposals,
    with_proposals,
)
from tests.unit.appraisal.planted_reasons import losing_journey

JOURNEY = losing_journey()
CONTEXT = PolicyContext(JOURNEY, ActionCatalog.of(JOURNEY), FeatureSpec.of(JOURNEY))
GUIDE = RuleProposal(
    column="ever_lost_to_price",
    asked=">= 1",
    action="send:pricing_guide@09",
    instead="pause:1",
    decisions=900,
    contacts=450,
    gain=1.02,
    lower=0.4,
    upper=1.6,
    shown=True,
    why="",
)
OTHER = replace(GUIDE, column="ever_lost_to_no_fit", lower=-0.4, shown=False, why="it holds 0")
REPORT = ProposalReport("EUR", 0.95, ("ever_lost_to_price >= 1",), 14, (GUIDE, OTHER))


def test_an_accepted_file_decides_as_it_says_and_else_as_the_rules_did(tmp_path: Path) -> None:
    present = present_rules("rules", JOURNEY)
    path = tmp_path / "rules.yaml"
    path.write_text(proposals_file(JOURNEY, present, REPORT, tmp_path), "utf-8")
    assert "# PROPOSED: +1.02 [+0.4, +1.6] EUR a decision" in path.read_text("utf-8")
    assert "no_fit" not in path.read_text("utf-8")
    spec = read_policy_file(path)
    assert spec == with_proposals(present, REPORT)
    accepted = build_policy(spec, CONTEXT)
    features = np.zeros((2, len(CONTEXT.feature_spec.columns)), np.float32)
    features[0, CONTEXT.feature_spec.column("ever_lost_to_price")] = 1.0
    mask = np.ones((2, len(CONTEXT.catalog)), bool)
    chosen = accepted.action_probabilities(features, mask).argmax(axis=1)
    assert CONTEXT.catalog.ids[chosen[0]] == "send:pricing_guide@09"
    before = present.action_probabilities(features, mask).argmax(axis=1)
    assert chosen[1] == before[1]
    mask[0, CONTEXT.catalog.index("send:pricing_guide@09")] = False
    forbidden = accepted.action_probabilities(features, mask)
    assert forbidden[0, CONTEXT.catalog.index("send:pricing_guide@09")] == 0.0
    assert forbidden[0].argmax() == before[0]


def test_what_was_tested_and_not_shown_is_told_with_its_reason() -> None:
    head, guide, other = told_proposals(REPORT)
    assert "14 changes after 1 outcome" in head
    assert "2 of them were tested" in head
    assert guide.startswith("  proposed: if ever_lost_to_price >= 1: send:pricing_guide@09, +1.02")
    assert other.startswith("  not proposed: if ever_lost_to_no_fit >= 1")
    assert other.endswith("(it holds 0)")
    alone = told_proposals(replace(REPORT, tested=(OTHER,)))[0]
    assert "Nothing is proposed" in alone
    assert "1 of them was tested" in alone


def test_the_drip_is_a_list_without_rules_and_other_policies_are_refused() -> None:
    assert present_rules("drip", JOURNEY).rules == ()
    assert present_rules("drip", JOURNEY).otherwise == "drip"
    with pytest.raises(ConfigError, match="expected rules, expert, drip or a file"):
        present_rules("random", JOURNEY)


def test_rules_that_somebody_edited_are_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("kind: rules\n", "utf-8")
    (tmp_path / "proposals.json").write_text('{"file": "another"}', "utf-8")
    with pytest.raises(ConfigError, match="was edited since it was written"):
        require_unedited(tmp_path, "proposals.json", "propose_rules")
    (tmp_path / "proposals.json").unlink()
    with pytest.raises(ConfigError, match="one of an earlier `propose_rules`"):
        require_unedited(tmp_path, "proposals.json", "propose_rules")
