"""The simplest policy within a tolerance of the best: shown, open, and seldom wrong."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from nurture_rl.appraisal.selection.simplest import Complexity, SimplestChoice, simplest
from nurture_rl.appraisal.selection.simultaneous import Family
from nurture_rl.errors import NurtureError
from nurture_rl.ope.estimators import ValueEstimate
from nurture_rl.ope.log import FloatArray

MADE_OF = {
    "network": Complexity(4, 900, "a network of 900 numbers"),
    "linear": Complexity(3, 60, "linear scores of 60 numbers"),
    "rules": Complexity(2, 7, "3 rules"),
    "drip": Complexity(1, 2, "a fixed schedule"),
}
CONTACTS = 400


def estimate(returns: FloatArray) -> ValueEstimate:
    """The mean of one return a contact."""
    n = len(returns)
    influence = (returns - returns.mean()) / n
    stderr = float(np.sqrt(n / (n - 1) * np.square(influence).sum()))
    return ValueEstimate(float(returns.mean()), stderr, n, n, float(n), influence)


def asked(
    returns: Mapping[str, FloatArray], tolerance: float, draws: int = 20_000
) -> SimplestChoice:
    estimates = {name: estimate(own) for name, own in returns.items()}
    family = Family(0.95, draws)
    rng = np.random.default_rng(0)
    found = simplest(estimates, MADE_OF, tolerance, family, "EUR per episode", rng)
    assert found is not None
    return found


def shared(**values: float) -> dict[str, FloatArray]:
    """Policies on the same contacts whose differences are nearly exact."""
    rng = np.random.default_rng(1)
    luck = rng.normal(0.0, 20.0, CONTACTS)
    luck -= luck.mean()
    own = {name: rng.normal(0.0, 0.5, CONTACTS) for name in values}
    return {name: value + luck + own[name] - own[name].mean() for name, value in values.items()}


def test_the_simplest_of_those_shown_within_the_tolerance_is_enough() -> None:
    returns = shared(network=12.0, linear=11.9, rules=11.5, drip=8.0)
    for tolerance, name in ((1.0, "rules"), (0.3, "linear"), (5.0, "drip")):
        found = asked(returns, tolerance)
        assert (found.name, found.shown) == (name, True)
        assert f"“{name}” ({MADE_OF[name].says})" in found.sentence
        assert "with 95 % confidence it earns at most" in found.sentence
    behind = {one.name: one.estimate for one in asked(returns, 1.0).policies}
    assert behind == pytest.approx({"drip": 4.0, "rules": 0.5, "linear": 0.1, "network": -0.1})


def test_where_a_learned_gain_is_not_shown_rules_are_named_and_it_is_said_to_be_open() -> None:
    rng = np.random.default_rng(2)
    returns = {
        "network": rng.normal(12.0, 40.0, CONTACTS),
        "rules": rng.normal(11.0, 40.0, CONTACTS),
    }
    found = asked(returns, 0.5)
    assert (found.name, found.shown) == ("rules", False)
    assert "is open: it may earn up to" in found.sentence


def test_a_policy_that_is_shown_to_be_beaten_is_not_named() -> None:
    returns = shared(network=12.0, rules=8.0)
    assert asked(returns, 0.01).name == "network"


def test_a_policy_of_unknown_make_is_a_rival_and_none_to_recommend() -> None:
    returns = shared(logging=12.0, rules=8.0)
    found = asked(returns, 1.0)
    assert (found.name, found.shown) == ("rules", False)
    assert found.sentence.startswith("No policy that could be recommended is within 1 EUR")
    assert [(one.name, one.says) for one in found.policies] == [
        ("rules", "3 rules"),
        ("logging", ""),
    ]


def test_a_shortfall_beyond_the_tolerance_is_seldom_called_enough_however_many_are_compared() -> (
    None
):
    rng = np.random.default_rng(3)
    wrong = 0
    for _ in range(200):
        # The best is picked among three that are worth the same: picking must cost nothing.
        returns = {name: rng.normal(10.0, 10.0, CONTACTS) for name in ("network", "linear", "drip")}
        returns["rules"] = rng.normal(8.0, 10.0, CONTACTS)
        found = asked({"rules": returns.pop("rules"), **returns}, 2.0 - 1e-9, draws=500)
        wrong += found.shown and found.name == "rules"
    assert wrong <= 16  # 10 of 200 at most are to be expected; two standard deviations are 6


def test_nobody_to_compare_with_is_no_answer_and_a_tolerance_below_0_is_refused() -> None:
    one = {"rules": estimate(np.arange(5.0))}
    rng, family = np.random.default_rng(0), Family()
    assert simplest(one, MADE_OF, 1.0, family, "EUR", rng) is None
    unknown = {name: estimate(np.arange(5.0)) for name in ("a", "b")}
    assert simplest(unknown, MADE_OF, 1.0, family, "EUR", rng) is None
    with pytest.raises(NurtureError, match="expected a tolerance of 0 or more EUR, got -1"):
        simplest(unknown, MADE_OF, -1.0, family, "EUR", rng)
