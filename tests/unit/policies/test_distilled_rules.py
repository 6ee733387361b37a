"""Rules that are made of a policy: short, legal, and alike where it matters most."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nurture_rl.policies.build import build_policy
from nurture_rl.policies.distilled_rules import Demonstration, RuleListSize, distilled_rules
from nurture_rl.policies.policy import (
    BoolArray,
    FeatureArray,
    Policy,
    PolicyError,
    check_probabilities,
)
from tests.unit.policies.planted_journeys import INBOUND, context_of

CONTEXT = context_of(INBOUND)
COLUMNS = CONTEXT.feature_spec.columns
PLANTED = {
    "kind": "rules",
    "rules": [
        {"when": {"day": ">= 6", "clicks_14d": ">= 2"}, "do": "escalate"},
        {"when": {"form_topic=security": ">= 1"}, "do": "send:security_brief@09"},
        {"when": {"company_size": ">= 5.5"}, "do": "send:pricing_guide@15"},
    ],
    "otherwise": "pause:1",
}


def contexts(n: int, seed: int) -> tuple[FeatureArray, BoolArray]:
    """Drawn features of the planted rules, and masks that forbid a fifth of all actions."""
    rng = np.random.default_rng(seed)
    features = np.zeros((n, len(COLUMNS)), np.float32)
    features[:, COLUMNS.index("day")] = rng.integers(0, 14, n)
    features[:, COLUMNS.index("clicks_14d")] = rng.integers(0, 4, n)
    features[:, COLUMNS.index("form_topic=security")] = rng.random(n) < 0.3
    features[:, COLUMNS.index("company_size")] = np.rint(rng.normal(5.0, 2.0, n) * 10.0) / 10.0
    mask = rng.random((n, len(CONTEXT.catalog))) < 0.8
    mask[:, CONTEXT.catalog.wait] = True
    return features, mask


def shown(policy: Policy, n: int = 3000, seed: int = 0, weight: Any = None) -> Demonstration:
    features, mask = contexts(n, seed)
    action = policy.action_probabilities(features, mask).argmax(axis=1)
    return Demonstration(features, mask, action, np.ones(n) if weight is None else weight)


def made(
    demonstration: Demonstration, rules: int = 8, conditions: int = 2, least: float = 0.003
) -> Any:
    size = RuleListSize(rules, conditions, least)
    return distilled_rules(demonstration, CONTEXT.catalog, COLUMNS, size)


def alike(first: Policy, second: Policy, seed: int) -> float:
    features, mask = contexts(2000, seed)
    one, two = (each.action_probabilities(features, mask) for each in (first, second))
    check_probabilities(two, mask)
    return float((one.argmax(axis=1) == two.argmax(axis=1)).mean())


def test_a_policy_of_three_rules_is_found_again_on_decisions_it_was_not_shown_in() -> None:
    planted = build_policy(PLANTED, CONTEXT)
    found = made(shown(planted))
    assert alike(planted, build_policy(found, CONTEXT), seed=1) >= 0.95
    assert {rule["do"] for rule in found["rules"]} >= {rule["do"] for rule in PLANTED["rules"]}  # type: ignore[index]


def test_a_list_has_no_more_rules_and_conditions_than_it_may() -> None:
    planted = build_policy(PLANTED, CONTEXT)
    for rules, conditions in ((1, 1), (2, 1), (3, 2)):
        found = made(shown(planted), rules, conditions)
        assert 1 <= len(found["rules"]) <= rules
        assert max(len(rule["when"]) for rule in found["rules"]) <= conditions


def test_the_one_rule_that_there_is_room_for_goes_where_most_is_at_stake() -> None:
    planted = build_policy(PLANTED, CONTEXT)
    even = shown(planted)
    security = even.action == CONTEXT.catalog.index("send:security_brief@09")
    pricing = even.action == CONTEXT.catalog.index("send:pricing_guide@15")
    for heavy, action in ((security, "send:security_brief@09"), (pricing, "send:pricing_guide@15")):
        weight = np.where(heavy, 20.0, 1.0)
        found = made(shown(planted, weight=weight), rules=1)
        wins = [rule["do"] for rule in found["rules"]] + [found["otherwise"]]
        assert action in wins


def test_a_policy_that_always_does_the_same_needs_no_rule() -> None:
    found = made(shown(build_policy("always:exit", CONTEXT)))
    assert found == {"kind": "rules", "rules": [], "otherwise": "exit"}


def test_every_rule_decides_something() -> None:
    demonstration = shown(build_policy(PLANTED, CONTEXT))
    rules: Any = build_policy(made(demonstration, rules=12, least=0.0), CONTEXT)
    deciding = rules.deciding(demonstration.features, demonstration.mask)
    assert set(deciding.tolist()) >= set(range(len(rules.rules)))


def test_decisions_without_weight_are_refused() -> None:
    features, mask = contexts(5, 0)
    with pytest.raises(PolicyError, match=r"decisions with a weight above 0 .* got 5 of weight 0"):
        Demonstration(features, mask, np.zeros(5, np.int64), np.zeros(5))
