"""The verb `sources`: a policy learned again without a source, judged by log and truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_envs.journey_file import load_journey
from nurture_rl.appraisal.source_values import SourcesReport
from nurture_rl.cli.verb_record import DONE, REFUSED
from nurture_rl.codec import read_record
from nurture_rl.decisions import load_decisions
from nurture_rl.policies.held_columns import HeldColumns
from nurture_rl.workflow.learn import load_policy
from tests.pipeline.in_process import TINY, nurture

pytestmark = pytest.mark.slow

WITH_A_CONSTANT = """
extends: inbound_lead
features:
  constant: {kind: ever, of: [meeting_booked]}  # no decision comes after it
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Journey, SourcesReport]:
    folder = tmp_path_factory.mktemp("sources")
    (folder / "journey.yaml").write_text(WITH_A_CONSTANT, "utf-8")
    words = [*TINY, "data.contacts=120", f"data.journey={folder}/journey.yaml", f"runs={folder}"]
    ended = nurture("sources", *words)
    assert ended.code == DONE, ended.stdout + ended.stderr
    (found,) = folder.glob("stages/sources-*")
    journey = load_journey(str(folder / "journey.yaml"))
    return folder, journey, read_record(found / "sources.json", SourcesReport)


def test_what_is_constant_changes_exactly_nothing_and_is_unbound(
    made: tuple[Path, Journey, SourcesReport],
) -> None:
    _, _, report = made
    assert "constant" in report.unbound
    of = {one.feature: one.sensitivity for one in report.features}
    assert (of["constant"].changed, of["constant"].moved) == (0.0, 0.0)
    assert len(report.unbound) < len(report.features)


def test_every_source_has_what_it_costs_to_lose_it(
    made: tuple[Path, Journey, SourcesReport],
) -> None:
    _, _, report = made
    assert [one.source for one in report.sources] == ["mail", "web", "CRM", "attributes"]
    for one in report.sources:
        assert one.true_loss is not None
        assert one.true_loss.lower <= one.true_loss.value <= one.true_loss.upper
        if one.loss is not None:
            assert one.loss.lower <= one.loss.value <= one.loss.upper
    assert report.sources[1].knows == 1.0  # everybody enters with a form
    assert any(one.true_loss is not None and one.true_loss.value for one in report.sources)


def test_a_policy_without_a_source_does_not_read_it(
    made: tuple[Path, Journey, SourcesReport],
) -> None:
    folder, journey, report = made
    columns, blind = FeatureSpec.of(journey).columns, {}
    for path in folder.glob("stages/policy-linear_thompson-*/held.json"):
        names = json.loads(path.read_text("utf-8"))
        blind[frozenset(names)] = load_policy(path.parent, journey)
    assert set(blind) == {frozenset(one.columns) for one in report.sources}
    (ingested,) = folder.glob("stages/ingest-*")
    decisions = load_decisions(ingested, journey, 0.5)
    features = np.array(decisions.features[:50])
    for names, policy in blind.items():
        core = policy
        while not isinstance(core, HeldColumns):
            core = core.policy  # type: ignore[attr-defined]
        other = features.copy()
        other[:, [columns.index(name) for name in names]] += 3.0
        mask = decisions.mask[:50]
        first, second = (core.action_probabilities(one, mask) for one in (features, other))
        assert np.array_equal(first, second)


def test_a_policy_that_is_not_learned_from_the_log_is_refused(tmp_path: Path) -> None:
    words = [*TINY, "data.contacts=60", f"runs={tmp_path}", "policy=drip"]
    ended = nurture("sources", *words)
    assert ended.code == REFUSED
    assert "expected one that is learned from the log, got drip" in ended.stderr
