"""What a sweep is told of a run: a bound of the one judge, or nothing and why."""

from __future__ import annotations

from typing import Any

import pytest

from nurture_rl.appraisal.record import Appraisal
from nurture_rl.codec import to_record
from nurture_rl.workflow.objective import objective_of
from tests.unit.workflow.judged_by_hand import findings, overlap, refusing


def appraisal(**changed: Any) -> Appraisal:
    return to_record(findings()["appraisal"] | changed, Appraisal)


def test_the_objective_is_the_lower_end_of_the_paired_difference() -> None:
    found = objective_of(appraisal(), "linear_thompson")
    assert found.value == 6.0  # of 7 with an interval from 6 to 9
    assert found.sentence == (
        "lower end of the 0.975 interval of linear_thompson less drip on 1234 held-out contacts by "
        "dr, EUR per episode; the estimate is 7"
    )


def test_without_a_name_the_judges_candidate_is_meant() -> None:
    found = objective_of(appraisal())
    assert (found.policy, found.value) == ("ppo", 5.0)


def test_a_program_is_not_put_forward_where_nothing_else_was_learned() -> None:
    found = objective_of(appraisal(candidates=[], candidate="expert"))
    assert found.value is None
    assert found.sentence.startswith("withheld: no policy of the run learned to act otherwise")
    assert objective_of(appraisal(candidates=[]), "expert").value == 0.5  # it was asked for


def test_the_reference_earns_nothing_beyond_itself() -> None:
    assert objective_of(appraisal(), "drip").value == 0.0


@pytest.mark.parametrize("refused", ["ppo", "drip", "log"])
def test_a_check_that_refuses_withholds_the_number(refused: str) -> None:
    targets = findings()["appraisal"]["target_checks"]
    if refused == "log":
        judged = appraisal(checks=refusing("mean-weight", "weights do not average 1"))
    else:
        targets[refused] = refusing("mean-weight", "weights do not average 1")
        judged = appraisal(target_checks=targets)
    found = objective_of(judged, "ppo")
    assert found.value is None
    assert found.sentence == "withheld: weights do not average 1"


def test_a_check_of_another_policy_withholds_nothing() -> None:
    targets = findings()["appraisal"]["target_checks"]
    targets["linear_thompson"] = refusing("mean-weight")
    assert objective_of(appraisal(target_checks=targets), "ppo").value == 5.0


@pytest.mark.parametrize("name", ["ppo", "drip"])
def test_what_the_log_does_not_carry_gives_no_number(name: str) -> None:
    evaluation = findings()["appraisal"]["evaluation"]
    evaluation["policies"][name]["overlap"] = overlap(False, "it went elsewhere")
    found = objective_of(appraisal(evaluation=evaluation), "ppo")
    assert found.value is None
    assert found.sentence == f"withheld: the log does not carry {name}: it went elsewhere"


def test_a_policy_without_an_estimate_or_without_a_lower_end_gives_no_number() -> None:
    evaluation = findings()["appraisal"]["evaluation"]
    evaluation["policies"]["ppo"]["difference"] = None
    assert objective_of(appraisal(evaluation=evaluation), "ppo").value is None
    evaluation = findings()["appraisal"]["evaluation"]
    evaluation["policies"]["ppo"]["difference"]["interval"]["lower"] = "nan"
    found = objective_of(appraisal(evaluation=evaluation), "ppo")
    assert found.value is None
    assert "has no lower end" in found.sentence


def test_a_policy_that_the_run_left_out_gives_no_number() -> None:
    found = objective_of(appraisal(), "iql")
    assert found.value is None
    assert "the run has no policy 'iql'" in found.sentence
