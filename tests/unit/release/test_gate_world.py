"""The gate reads what the reality gap says of the simulator."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nurture_rl.release.gate import (
    CandidateDifference,
    GateConfig,
    GateEvidence,
    WorldJudgement,
    gate,
)
from nurture_rl.simulator.gap.trust import Trust
from tests.unit.release.bundles import evidence


def judged(trust: Trust, worst: CandidateDifference | None = None) -> GateEvidence:
    world = WorldJudgement(trust, "ignored_confounding", "Sends work too well there.", worst)
    return replace(evidence(), world=world)


def test_a_world_that_must_not_be_trusted_refuses_with_its_cause() -> None:
    (reason,) = gate(judged(Trust.NOTHING), GateConfig()).reasons
    assert reason == (
        "The simulator must not be trusted (ignored_confounding): Sends work too well there."
    )


def test_a_world_trusted_for_ranking_leaves_the_decision_to_the_bounds() -> None:
    assert gate(judged(Trust.RANKING), GateConfig()).passed


@pytest.mark.parametrize("lower, passes", [(0.1, True), (-0.1, False), (float("nan"), False)])
def test_an_ensemble_carries_a_release_by_its_worst_quantile(lower: float, passes: bool) -> None:
    found = judged(Trust.TRAINING, CandidateDifference(2.0, lower, 4.0, 0.975))
    assert gate(found, GateConfig()).passed is passes


def test_an_ensemble_without_its_worst_quantile_is_refused() -> None:
    (reason,) = gate(judged(Trust.TRAINING), GateConfig()).reasons
    assert "worst quantile was not given" in reason


def test_a_world_nobody_judged_passes_only_where_no_judgement_is_asked_for() -> None:
    assert gate(evidence(), GateConfig()).passed
    (reason,) = gate(evidence(), GateConfig(judged_world=True)).reasons
    assert "not held against a log" in reason


def test_a_release_that_asks_for_ranking_refuses_a_world_for_training() -> None:
    strict = GateConfig(ranking=True)
    found = judged(Trust.TRAINING, CandidateDifference(2.0, 0.1, 4.0, 0.975))
    assert gate(found, GateConfig()).passed
    (reason,) = gate(found, strict).reasons
    assert "for training, not for ranking (ignored_confounding)" in reason
    assert gate(judged(Trust.RANKING), strict).passed
