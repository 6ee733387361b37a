"""The gate is told what the judges found, number by number, and whom to prefer."""

from __future__ import annotations

from math import isnan
from typing import Any

import pytest

from nurture_rl.codec import to_record
from nurture_rl.release.gate import (
    BarEvidence,
    CandidateDifference,
    GateEvidence,
    ProgramEvidence,
    WorldJudgement,
)
from nurture_rl.simulator.gap.trust import Trust
from nurture_rl.workflow.candidates import evidence_on, in_order
from nurture_rl.workflow.judges import Evaluated
from nurture_rl.workflow.release import Judged, judged_candidates
from nurture_rl.workflow.release import outcome as release_of
from tests.unit.workflow.judged_by_hand import (
    LEVEL,
    difference,
    findings,
    gap_verdict,
    over_a_program,
    overlap,
    played,
    refusing,
    settings_of,
)

Found = dict[str, Any]  # as `evaluation.json` holds it


def typed(found: Found) -> Evaluated:
    return to_record(found, Evaluated)


def told(found: Found, name: str = "ppo") -> GateEvidence:
    return evidence_on(name, typed(found), gap_verdict())


def asked(found: Found, trust: str = "trust_for_ranking", *given: str) -> Judged:
    return judged_candidates(typed(found), gap_verdict(trust), settings_of(*given))


def outcome(answers: Judged, found: Found) -> dict[str, Any]:
    return release_of(answers, typed(found))


def by_log(found: Found, name: str) -> dict[str, Any]:
    policy: dict[str, Any] = found["appraisal"]["evaluation"]["policies"][name]
    return policy


def alone(name: str) -> Found:
    found = findings()
    found["appraisal"]["candidates"] = [name]
    return found


def at_level(found: Found, level: float) -> Found:
    """Every interval of the log is said to hold with another level."""
    found["appraisal"]["evaluation"]["level"] = level
    for policy in found["appraisal"]["evaluation"]["policies"].values():
        for key in ("difference", "against_rules"):
            if policy[key] is not None:
                policy[key]["interval"]["level"] = level
    return found


def test_every_number_reaches_the_gate_in_its_own_place() -> None:
    assert told(findings()) == GateEvidence(
        candidate="ppo",
        reference="drip",
        unit="EUR",
        logged=CandidateDifference(6.0, 5.0, 8.0, LEVEL),
        simulated=CandidateDifference(9.0, 7.5, 10.25, LEVEL),
        overlap_feasible=True,
        overlap_text="met",
        effective_sample_size=321.0,
        contacts=1234,
        verdict="better",
        verdict_text="all of it above 0",
        world=WorldJudgement(
            Trust.RANKING, None, "So it is.", CandidateDifference(8.75, 7.25, 10.0, LEVEL)
        ),
        bar=BarEvidence(
            "expert",
            CandidateDifference(3.0, 2.5, 3.75, LEVEL),
            CandidateDifference(5.0, 4.375, 5.375, LEVEL),
            CandidateDifference(4.875, 4.125, 5.25, LEVEL),
        ),
        programs=(ProgramEvidence("no_contact", CandidateDifference(1.5, 1.125, 1.75, 0.9875)),),
        earned=91.0,  # ppo 50 and drip 41 in the world
    )


def test_levels_of_log_and_world_are_not_mixed_up() -> None:
    found = findings()
    at_level(found, 0.9)
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
    by_log(found, "ppo")["overlap"] = overlap(False, "2 %", 3.0)
    told_ = told(found)
    assert (told_.overlap_feasible, told_.overlap_text) == (False, "2 %")
    assert told_.bar is not None
    assert told_.bar.logged is None


def test_a_bar_that_the_log_does_not_carry_is_left_to_the_world() -> None:
    found = findings()
    by_log(found, "expert")["overlap"]["feasible"] = False
    told_ = told(found)
    assert told_.overlap_feasible
    assert told_.bar is not None
    assert told_.bar.logged is None
    assert told_.bar.worst == CandidateDifference(4.875, 4.125, 5.25, LEVEL)


def test_a_policy_without_an_estimate_never_passes() -> None:
    found = findings()
    by_log(found, "ppo")["difference"] = None
    assert isnan(told(found).logged.lower)
    assert {answer.passed for one, answer in asked(found) if one.candidate == "ppo"} == {False}


def test_an_interval_without_an_end_never_passes() -> None:
    found = findings()
    by_log(found, "ppo")["difference"]["interval"]["lower"] = "nan"
    assert {answer.passed for one, answer in asked(found) if one.candidate == "ppo"} == {False}


def test_without_a_bar_there_is_nothing_to_hold_against_it() -> None:
    found = findings()
    found["bar"]["name"] = None
    assert told(found).bar is None


def test_only_a_world_that_may_rank_chooses_among_candidates() -> None:
    assert in_order(typed(findings()), Trust.RANKING) == ["ppo", "linear_thompson"]
    for trust in (Trust.TRAINING, Trust.NOTHING):
        assert in_order(typed(findings()), trust) == ["linear_thompson", "ppo"]


def test_the_log_prefers_by_its_lower_bound_and_not_by_its_value() -> None:
    found = findings()
    by_log(found, "linear_thompson")["difference"] = difference(60.0, 0.1, 120.0)
    assert in_order(typed(found), Trust.TRAINING) == ["ppo", "linear_thompson"]
    by_log(found, "ppo")["difference"] = None
    assert in_order(typed(found), Trust.TRAINING) == ["linear_thompson", "ppo"]


def test_what_the_log_puts_first_is_released_where_the_world_may_not_rank() -> None:
    # On a log of two arms the world's favourite lay far below its rival on held-out contacts.
    made = outcome(asked(findings(), "trust_for_training_with_ensemble"), findings())
    assert (made["verdict"], made["exported"]) == ("released", "linear_thompson")
    made = outcome(asked(findings()), findings())
    assert (made["verdict"], made["exported"]) == ("released", "ppo")


def test_the_next_candidate_is_released_where_the_first_is_refused() -> None:
    found = findings()
    by_log(found, "ppo")["overlap"]["feasible"] = False
    made = outcome(asked(found), found)
    assert (made["candidate"], made["passed"]) == ("linear_thompson", True)
    assert [one["passed"] for one in made["judged"]] == [False, True]


def nobody_beats_the_bar(least_gain: float) -> dict[str, Any]:
    """No candidate is shown to beat the expert; what the expert gains on the drip at least."""
    found = findings()
    for name in found["appraisal"]["candidates"]:
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
    found = nobody_beats_the_bar(0.0)
    found["appraisal"]["evaluation"]["reference"] = "expert"
    assert outcome(asked(found), found)["exported"] == "expert"


def test_bounds_that_do_not_hold_for_all_candidates_together_are_refused() -> None:
    found = findings()
    at_level(found, 0.95)
    made = outcome(asked(found), found)
    assert not made["passed"]
    assert "on held-out logs holds with 95 % confidence, 97.5 % are required" in made["reasons"][0]


def test_one_candidate_alone_needs_no_correction() -> None:
    found = alone("ppo")
    at_level(found, 0.95)
    assert outcome(asked(found), found)["passed"]


def test_what_the_log_shows_to_be_worse_than_no_contact_is_not_released() -> None:
    found = alone("ppo")
    assert outcome(asked(found), found)["passed"]
    found["appraisal"]["over_programs"]["ppo"]["no_contact"] = over_a_program(-0.5)
    made = outcome(asked(found), found)
    assert (made["verdict"], made["exported"], made["passed"]) == ("refused", None, False)
    assert made["reasons"] == [
        "The log shows that a program that learned nothing earns more: ppo less no_contact is -0.5 "
        "EUR per episode with a 98.75 % interval of [-0.875, -0.25]."
    ]


def test_two_that_act_alike_are_not_released_by_the_last_digit_of_what_they_earn() -> None:
    found = alone("ppo")
    dust, world = 4e-16, found["simulator"]["policies"]["ppo"]
    ends = {"value": dust, "lower": dust, "upper": dust}
    tiny = ends | {"level": LEVEL, "between": None, "by_member": [dust]}
    world |= {"difference": dust, "difference_lower": dust, "difference_upper": dust}
    assert len(outcome(asked(found), found)["reasons"]) == 1
    world["over_bar"] = tiny | {"worst": ends}
    assert len(outcome(asked(found), found)["reasons"]) == 2


def test_a_release_that_asks_for_a_ranking_world_is_asked_for_it() -> None:
    training = "trust_for_training_with_ensemble"
    assert outcome(asked(findings(), training), findings())["passed"]
    assert not outcome(asked(findings(), training, "release.world=ranking"), findings())["passed"]


@pytest.mark.parametrize("margin, passes", [("1.3", True), ("1.4", False)])
def test_the_margin_of_the_release_is_the_gates(margin: str, passes: bool) -> None:
    found = alone("linear_thompson")
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
    by_log(found, "ppo")["overlap"]["feasible"] = False
    made = outcome(asked(found), found)
    assert (made["verdict"], made["exported"]) == ("refused", None)
    assert "sentence" not in made


def test_a_world_that_must_not_be_trusted_does_not_say_that_rules_are_enough() -> None:
    found = below_the_bar(findings(), "ppo", "linear_thompson")
    made = outcome(asked(found, "do_not_trust"), found)
    assert (made["verdict"], made["exported"]) == ("refused", None)


def test_what_a_check_of_log_candidate_or_reference_refuses_is_not_released() -> None:
    for place in ("checks", "ppo", "drip"):
        found = alone("ppo")
        of = found["appraisal"] if place == "checks" else found["appraisal"]["target_checks"]
        of[place] = refusing("mean-weight")
        made = outcome(asked(found), found)
        assert (made["verdict"], made["exported"], made["passed"]) == ("refused", None, False)
        assert made["reasons"] == ["The check 'mean-weight' refuses: it is wrong; log it right."]
    found = alone("ppo")  # what is refused of another policy is no business of this one
    found["appraisal"]["target_checks"]["no_contact"] = refusing("mean-weight")
    assert outcome(asked(found), found)["passed"]


def test_on_a_log_with_wrong_numbers_no_program_is_found_enough() -> None:
    found = nobody_beats_the_bar(0.25)
    found["appraisal"]["checks"] = refusing("copies")
    made = outcome(asked(found), found)
    assert (made["verdict"], made["exported"]) == ("refused", None)


def test_a_bar_that_is_not_the_rules_of_the_verdict_is_held_against_by_its_own_difference() -> None:
    found = alone("ppo")
    found["bar"]["name"] = "no_contact"
    found["simulator"]["policies"]["no_contact"] = played(0.0, 0.0, None)
    told_ = told(found)
    assert told_.bar is not None
    assert told_.bar.logged == CandidateDifference(1.5, 1.125, 1.75, 0.9875)
    assert told_.programs == ()
    by_log(found, "ppo")["judgement"]["verdict"] = "rules_are_enough"
    made = outcome(asked(found), found)
    assert (made["verdict"], made["exported"]) == ("refused", None)
