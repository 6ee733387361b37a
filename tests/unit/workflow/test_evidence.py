"""The gate is told what the judges found, number by number, and whom to prefer."""

from __future__ import annotations

from math import isnan
from typing import Any

import pytest

from nurture_envs.journey_file import load_journey
from nurture_rl.release.gate import (
    BarEvidence,
    Difference,
    GateEvidence,
    ProgramEvidence,
    WorldJudgement,
)
from nurture_rl.simulator.gap.verdict import Trust
from nurture_rl.workflow.evidence import evidence_on, in_order
from nurture_rl.workflow.release import judged_candidates, outcome
from tests.unit.workflow.judged_by_hand import (
    LEVEL,
    findings,
    gap_verdict,
    over_a_program,
    settings_of,
)

JOURNEY = load_journey("inbound_lead")


def told(found: dict[str, Any], name: str = "ppo") -> GateEvidence:
    return evidence_on(name, found, gap_verdict(), JOURNEY, settings_of())


def asked(found: dict[str, Any], trust: str = "trust_for_ranking", *given: str) -> Any:
    return judged_candidates(found, gap_verdict(trust), JOURNEY, settings_of(*given))


def test_every_number_reaches_the_gate_in_its_own_place() -> None:
    assert told(findings()) == GateEvidence(
        candidate="ppo",
        reference="drip",
        unit="EUR",
        logged=Difference(6.0, 5.0, 8.0, LEVEL),
        simulated=Difference(9.0, 7.5, 10.25, LEVEL),
        overlap_feasible=True,
        overlap_text="met",
        effective_sample_size=321.0,
        contacts=1234,
        verdict="better",
        verdict_text="all of it above 0",
        world=WorldJudgement(Trust.RANKING, None, "So it is.", Difference(8.75, 7.25, 10.0, LEVEL)),
        bar=BarEvidence(
            "expert",
            Difference(3.0, 2.5, 3.75, LEVEL),
            Difference(5.0, 4.375, 5.375, LEVEL),
            Difference(4.875, 4.125, 5.25, LEVEL),
        ),
        programs=(ProgramEvidence("no_contact", Difference(1.5, 1.125, 1.75, 0.9875)),),
        earned=91.0,  # ppo 50 and drip 41 in the world
    )


def test_levels_of_log_and_world_are_not_mixed_up() -> None:
    found = findings()
    found["ope"]["level"] = 0.9
    found["simulator"]["policies"]["ppo"]["over_bar"]["level"] = 0.8
    told_ = told(found)
    assert told_.bar is not None
    assert told_.bar.logged is not None
    assert told_.world is not None
    assert told_.world.worst is not None
    levels = (told_.logged, told_.bar.logged, told_.simulated, told_.world.worst)
    assert [one.level for one in levels] == [0.9, 0.9, LEVEL, LEVEL]
    assert (told_.bar.simulated.level, told_.bar.worst.level) == (0.8, 0.8)


def test_a_policy_that_the_log_does_not_carry_is_told_so() -> None:
    found = findings()
    found["ope"]["policies"]["ppo"]["overlap"] = {"feasible": False, "reason": "2 %", "ess": 3.0}
    told_ = told(found)
    assert (told_.overlap_feasible, told_.overlap_text) == (False, "2 %")
    assert told_.bar is not None
    assert told_.bar.logged is None


def test_a_bar_that_the_log_does_not_carry_is_left_to_the_world() -> None:
    found = findings()
    found["ope"]["policies"]["expert"]["overlap"]["feasible"] = False
    told_ = told(found)
    assert told_.overlap_feasible
    assert told_.bar is not None
    assert told_.bar.logged is None
    assert told_.bar.worst == Difference(4.875, 4.125, 5.25, LEVEL)


def test_a_policy_without_an_estimate_never_passes() -> None:
    found = findings()
    found["ope"]["policies"]["ppo"]["difference"] = None
    assert isnan(told(found).logged.lower)
    assert {answer.passed for one, answer in asked(found) if one.candidate == "ppo"} == {False}


def test_an_interval_without_an_end_never_passes() -> None:
    found = findings()
    found["ope"]["policies"]["ppo"]["difference"]["interval"]["lower"] = None
    assert {answer.passed for one, answer in asked(found) if one.candidate == "ppo"} == {False}


def test_without_a_bar_there_is_nothing_to_hold_against_it() -> None:
    found = findings()
    found["bar"]["name"] = None
    assert told(found).bar is None


def test_only_a_world_that_may_rank_chooses_among_candidates() -> None:
    assert in_order(findings(), Trust.RANKING) == ["ppo", "linear_thompson"]
    for trust in (Trust.TRAINING, Trust.NOTHING):
        assert in_order(findings(), trust) == ["linear_thompson", "ppo"]


def test_the_log_prefers_by_its_lower_bound_and_not_by_its_value() -> None:
    found = findings()
    found["ope"]["policies"]["linear_thompson"]["difference"] = {
        "value": 60.0,
        "interval": {"lower": 0.1, "upper": 120.0},
    }
    assert in_order(found, Trust.TRAINING) == ["ppo", "linear_thompson"]
    found["ope"]["policies"]["ppo"]["difference"] = None
    assert in_order(found, Trust.TRAINING) == ["linear_thompson", "ppo"]


def test_what_the_log_puts_first_is_released_where_the_world_may_not_rank() -> None:
    # On a log of two arms the world's favourite lay far below its rival on held-out contacts.
    made = outcome(asked(findings(), "trust_for_training_with_ensemble"), findings())
    assert (made["verdict"], made["exported"]) == ("released", "linear_thompson")
    made = outcome(asked(findings()), findings())
    assert (made["verdict"], made["exported"]) == ("released", "ppo")


def test_the_next_candidate_is_released_where_the_first_is_refused() -> None:
    found = findings()
    found["ope"]["policies"]["ppo"]["overlap"]["feasible"] = False
    made = outcome(asked(found), found)
    assert (made["candidate"], made["passed"]) == ("linear_thompson", True)
    assert [one["passed"] for one in made["judged"]] == [False, True]


def nobody_beats_the_bar(least_gain: float) -> dict[str, Any]:
    """No candidate is shown to beat the expert; what the expert gains on the drip at least."""
    found = findings()
    for name in found["candidates"]:
        found["simulator"]["policies"][name]["over_bar"]["lower"] = -0.5
    found["simulator"]["policies"]["expert"]["difference_lower"] = least_gain
    return found


def test_a_program_that_is_enough_and_beats_the_reference_in_the_world_is_bundled() -> None:
    found = nobody_beats_the_bar(0.25)
    made = outcome(asked(found), found)
    assert (made["verdict"], made["exported"]) == ("rules_are_enough", "expert")
    assert made["sentence"].endswith("so the bundle holds `expert`.")


@pytest.mark.parametrize("least_gain", [0.0, -3.0])
def test_a_program_that_is_not_shown_to_beat_the_reference_replaces_nothing(
    least_gain: float,
) -> None:
    found = nobody_beats_the_bar(least_gain)
    made = outcome(asked(found), found)
    assert (made["verdict"], made["exported"], made["passed"]) == ("rules_are_enough", None, False)
    assert made["sentence"].endswith(
        "nor is `expert` shown to earn more than `drip`, so stay with `drip`."
    )


def test_a_reference_that_is_the_bar_is_bundled_as_it_is() -> None:
    found = nobody_beats_the_bar(0.0) | {"reference": "expert"}
    assert outcome(asked(found), found)["exported"] == "expert"


def test_bounds_that_do_not_hold_for_all_candidates_together_are_refused() -> None:
    found = findings()
    found["ope"]["level"] = 0.95
    made = outcome(asked(found), found)
    assert not made["passed"]
    assert "on held-out logs holds with 95 % confidence, 97.5 % are required" in made["reasons"][0]


def test_one_candidate_alone_needs_no_correction() -> None:
    found = findings() | {"candidates": ["ppo"]}
    found["ope"]["level"] = 0.95
    assert outcome(asked(found), found)["passed"]


def test_what_the_log_shows_to_be_worse_than_no_contact_is_not_released() -> None:
    found = findings() | {"candidates": ["ppo"]}
    assert outcome(asked(found), found)["passed"]
    found["over_programs"]["ppo"]["no_contact"] = over_a_program(-0.5)
    made = outcome(asked(found), found)
    assert (made["verdict"], made["exported"], made["passed"]) == ("refused", None, False)
    assert made["reasons"] == [
        "The log shows that a program that learned nothing earns more: ppo less no_contact is -0.5 "
        "EUR per episode with a 98.75 % interval of [-0.875, -0.25]."
    ]


def test_two_that_act_alike_are_not_released_by_the_last_digit_of_what_they_earn() -> None:
    found = findings() | {"candidates": ["ppo"]}
    dust, world = 4e-16, found["simulator"]["policies"]["ppo"]
    tiny = {"value": dust, "lower": dust, "upper": dust, "level": LEVEL}
    world |= {"difference": dust, "difference_lower": dust, "difference_upper": dust}
    assert len(outcome(asked(found), found)["reasons"]) == 1
    world["over_bar"] = tiny | {"worst": tiny}
    assert len(outcome(asked(found), found)["reasons"]) == 2


def test_a_release_that_asks_for_a_ranking_world_is_asked_for_it() -> None:
    training = "trust_for_training_with_ensemble"
    assert outcome(asked(findings(), training), findings())["passed"]
    assert not outcome(asked(findings(), training, "release.world=ranking"), findings())["passed"]


@pytest.mark.parametrize("margin, passes", [("1.3", True), ("1.4", False)])
def test_the_margin_of_the_release_is_the_gates(margin: str, passes: bool) -> None:
    found = findings() | {"candidates": ["linear_thompson"]}
    # the least of its lower bounds is 2 - 0.625 over the bar in the world
    assert (
        outcome(asked(found, "trust_for_ranking", f"release.margin={margin}"), found)["passed"]
        is passes
    )


def below_the_bar(found: dict[str, Any], *names: str) -> dict[str, Any]:
    for name in names:
        found["simulator"]["policies"][name]["over_bar"]["lower"] = -0.5
    return found


def test_where_no_candidate_beats_the_bar_the_bar_is_what_is_served() -> None:
    found = below_the_bar(findings(), "ppo", "linear_thompson")
    made = outcome(asked(found), found)
    assert (made["verdict"], made["exported"], made["passed"]) == (
        "rules_are_enough",
        "expert",
        False,
    )
    assert made["candidate"] == "ppo"
    assert made["sentence"].startswith("Rules are enough: no learned policy is shown to earn more")
    assert "ppo less expert in the simulator is +5 EUR" in made["reasons"][0]


def test_a_candidate_refused_for_another_reason_leaves_the_question_open() -> None:
    found = below_the_bar(findings(), "linear_thompson")
    found["ope"]["policies"]["ppo"]["overlap"]["feasible"] = False
    made = outcome(asked(found), found)
    assert (made["verdict"], made["exported"]) == ("refused", None)
    assert "sentence" not in made


def test_a_world_that_must_not_be_trusted_does_not_say_that_rules_are_enough() -> None:
    found = below_the_bar(findings(), "ppo", "linear_thompson")
    made = outcome(asked(found, "do_not_trust"), found)
    assert (made["verdict"], made["exported"]) == ("refused", None)
