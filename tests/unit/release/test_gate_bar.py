"""The gate asks whether a program that learned nothing is enough."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nurture_rl.release.gate import (
    BarEvidence,
    CandidateDifference,
    GateConfig,
    GateEvidence,
    ProgramEvidence,
    WorldJudgement,
    gate,
)
from nurture_rl.simulator.gap.trust import Trust
from tests.unit.release.bundles import evidence

GOOD = CandidateDifference(2.0, 1.0, 3.0, 0.975)
BAD = CandidateDifference(1.0, -0.5, 2.5, 0.975)
ANY = GateConfig()


def held(
    logged: CandidateDifference | None = GOOD,
    simulated: CandidateDifference = GOOD,
    worst: CandidateDifference = GOOD,
    trust: Trust = Trust.RANKING,
) -> GateEvidence:
    world = WorldJudgement(trust, "some_cause", "So it is.", GOOD)
    return replace(evidence(), world=world, bar=BarEvidence("expert", logged, simulated, worst))


@pytest.mark.parametrize("trust", [Trust.RANKING, Trust.TRAINING])
@pytest.mark.parametrize("logged", [GOOD, None])
def test_what_every_judge_puts_above_the_bar_passes(
    trust: Trust, logged: CandidateDifference | None
) -> None:
    decision = gate(held(logged, trust=trust), ANY)
    assert (decision.passed, decision.rules_enough) == (True, False)


def test_a_log_that_does_not_put_the_candidate_above_the_bar_refuses_it() -> None:
    decision = gate(held(logged=BAD), ANY)
    assert decision.reasons == (
        "core less expert on held-out logs is +1 EUR per episode with a 97.5 % interval of "
        "[-0.5, +2.5]; the lower bound must lie above +0 EUR.",
    )
    assert decision.rules_enough


def test_a_world_that_does_not_put_the_candidate_above_the_bar_refuses_it() -> None:
    decision = gate(held(simulated=BAD), ANY)
    (reason,) = decision.reasons
    assert "less expert in the simulator" in reason
    assert decision.rules_enough


def test_where_the_log_cannot_judge_the_bar_the_worst_member_decides() -> None:
    decision = gate(held(logged=None, worst=BAD), ANY)
    (reason,) = decision.reasons
    assert "less expert in the ensemble's worst quantile" in reason
    assert decision.rules_enough
    assert gate(held(worst=BAD), ANY).passed  # the log judges it, and the world may rank


def test_a_world_for_training_speaks_by_its_worst_member_on_the_bar_too() -> None:
    decision = gate(held(worst=BAD, trust=Trust.TRAINING), ANY)
    assert not decision.passed
    assert decision.rules_enough


@pytest.mark.parametrize("lower", [0.4, float("nan")])
def test_a_gain_over_the_bar_within_the_margin_is_not_worth_a_release(lower: float) -> None:
    near = CandidateDifference(2.0, lower, 3.0, 0.975)
    config = GateConfig(margin=0.5)
    assert gate(held(), config).passed
    for given in (held(logged=near), held(simulated=near), held(None, worst=near)):
        decision = gate(given, config)
        assert (decision.passed, decision.rules_enough) == (False, True)


def test_bounds_on_the_bar_must_hold_at_the_level_asked_for() -> None:
    bar = BarEvidence("expert", GOOD, GOOD, GOOD)
    sure = replace(GOOD, level=0.999)
    held_to = replace(evidence(), bar=bar, logged=sure, simulated=sure)
    decision = gate(held_to, GateConfig(level=0.99))
    assert "on held-out logs holds with 97.5 % confidence, 99 % are required" in decision.reasons[0]


def test_a_world_that_must_not_be_trusted_is_not_heard_on_the_bar() -> None:
    decision = gate(held(logged=None, simulated=BAD, worst=BAD, trust=Trust.NOTHING), ANY)
    (reason,) = decision.reasons
    assert "must not be trusted" in reason
    assert not decision.rules_enough


def test_a_log_that_shows_that_rules_are_enough_needs_no_world() -> None:
    found = replace(held(logged=BAD, trust=Trust.NOTHING), verdict="rules_are_enough")
    assert gate(found, ANY).rules_enough
    assert not gate(held(logged=BAD, trust=Trust.NOTHING), ANY).rules_enough


def test_a_world_for_training_is_not_heard_where_ranking_is_asked_for() -> None:
    found = held(simulated=BAD, trust=Trust.TRAINING)
    assert gate(found, ANY).rules_enough
    assert not gate(found, GateConfig(ranking=True)).rules_enough


def test_a_world_that_was_not_judged_is_not_heard_where_its_judgement_is_asked_for() -> None:
    found = replace(held(simulated=BAD), world=None)
    assert gate(found, ANY).rules_enough
    assert not gate(found, GateConfig(judged_world=True)).rules_enough


def test_a_refusal_for_another_reason_is_not_the_bars() -> None:
    decision = gate(replace(held(), overlap_feasible=False), ANY)
    assert (decision.passed, decision.rules_enough) == (False, False)


def beside(*programs: tuple[str, CandidateDifference]) -> GateEvidence:
    given = tuple(ProgramEvidence(name, found) for name, found in programs)
    return replace(held(), programs=given, earned=80.0)


def test_what_the_log_shows_to_be_worse_than_a_program_is_refused_whoever_speaks_for_it() -> None:
    worse = CandidateDifference(-0.07, -0.11, -0.03, 0.995)
    decision = gate(beside(("rules", GOOD), ("no_contact", worse)), ANY)
    assert decision.reasons == (
        "The log shows that a program that learned nothing earns more: core less no_contact is "
        "-0.07 EUR per episode with a 99.5 % interval of [-0.11, -0.03].",
    )
    assert not decision.rules_enough  # it is above the bar; another program is better than both
    (reason,) = gate(beside(("random", worse), ("no_contact", worse)), ANY).reasons
    assert reason.count("core less") == 2


@pytest.mark.parametrize("upper", [0.0, -4e-16, 0.01, float("nan")])
def test_a_program_that_may_be_worth_as_much_stops_nothing(upper: float) -> None:
    assert gate(beside(("no_contact", CandidateDifference(-0.5, -1.0, upper, 0.995))), ANY).passed
