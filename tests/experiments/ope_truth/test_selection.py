"""The estimator chosen on a log is the narrowest of those that promise no bias."""

from __future__ import annotations

from experiments.ope_truth.selection import narrowest
from experiments.ope_truth.study import TruthFinding


def found(
    estimator: str, policy: str, lower: float, upper: float, feasible: bool = True
) -> TruthFinding:
    middle = (lower + upper) / 2.0
    return TruthFinding(policy, estimator, middle, lower, upper, 200.0, feasible, 0.1)


def test_squared_widths_are_averaged_over_policies() -> None:
    # Widths 1 and 5 against 4 and 3.5: 13 against 14.1, though 3 against 3.75 on average.
    ips = [found("ips", "a", 0.0, 1.0), found("ips", "b", 2.0, 7.0)]
    dr = [found("dr", "a", 0.0, 4.0), found("dr", "b", 1.0, 4.5)]
    assert narrowest([*ips, *dr]) == "ips"
    # 1 and 5.5 against 4 and 3.5: 15.6 against 14.1, though the widths' mean is still smaller.
    assert narrowest([ips[0], found("ips", "b", 2.0, 7.5), *dr]) == "dr"


def test_a_model_alone_is_no_candidate_however_narrow() -> None:
    assert narrowest([found("dm", "a", 1.0, 1.1), found("dr", "a", 0.0, 9.0)]) == "dr"


def test_policies_that_the_log_does_not_carry_say_nothing() -> None:
    wide = found("dr", "far", 0.0, 99.0, feasible=False)
    assert narrowest([wide, found("dr", "a", 0.0, 1.0), found("ips", "a", 0.0, 2.0)]) == "dr"
    assert narrowest([wide]) is None


def test_an_estimator_that_left_a_policy_out_is_no_candidate() -> None:
    whole = [found("dr", "a", 0.0, 9.0), found("dr", "b", 0.0, 9.0)]
    assert narrowest([found("snips", "a", 0.0, 1.0), *whole]) == "dr"
