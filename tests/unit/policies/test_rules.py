"""Rules as a program: the journey's, the expert's, and those that stand in a description."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nurture_envs.errors import JourneyError
from nurture_envs.journey import Journey
from nurture_envs.journey_file import load_journey, shipped_journeys
from nurture_rl.errors import ActionError
from nurture_rl.policies.build import build_policy
from nurture_rl.policies.policy import PolicyError
from tests.unit.policies.planted_journeys import (
    INBOUND,
    all_legal,
    changed,
    context_of,
    features,
    without,
)

SECURITY = {"when": {"form_topic=security": ">= 1"}, "do": "send:security_brief@09"}
LATE = {"when": {"day": ">= 3"}, "do": "drip"}
WRITTEN = {"kind": "rules", "rules": [SECURITY, LATE], "otherwise": "pause:3"}


def taken(journey: Journey, spec: Any, mask: Any = None, **columns: Any) -> list[str]:
    """The action every row is certain of."""
    context = context_of(journey)
    n = len(next(iter(columns.values())))
    x = np.zeros((n, len(context.feature_spec.columns)), np.float32)
    for name, values in columns.items():
        x[:, context.feature_spec.column(name.replace("__", "="))] = values
    mask = all_legal(journey, n) if mask is None else mask
    rows = build_policy(spec, context).action_probabilities(x, mask)
    assert (rows.max(axis=1) == 1.0).all()
    return [context.catalog.ids[i] for i in rows.argmax(axis=1)]


def test_the_first_matching_legal_rule_of_an_expert_wins_and_it_waits_where_none_does() -> None:
    journey = changed(expert=[SECURITY, LATE])
    mask = all_legal(journey, 4)
    mask[1] = without(journey, 1, "send:security_brief@09")[0]
    # a topic; a topic whose mail is masked; nothing, on a day of the drip; day 3 of the drip
    columns = {"form_topic__security": [1, 1, 0, 0], "day": [0, 0, 0, 3]}
    assert taken(journey, "expert", mask, **columns) == [
        "send:security_brief@09",
        "pause:1",
        "pause:1",  # the drip would mail on day 0
        "send:security_brief@09",
    ]


def test_a_journey_without_an_expert_says_what_to_write() -> None:
    with pytest.raises(PolicyError, match=r"'inbound_lead' has no expert .* under `expert`"):
        build_policy("expert", context_of(changed(expert=[])))


def test_an_expert_is_checked_like_the_rules() -> None:
    broken = [
        {"when": {"dya": ">= 1"}, "do": "send:welcome@99"},
        {"when": {"day": "soon"}, "do": "exit"},
    ]
    with pytest.raises(JourneyError) as caught:
        changed(expert=broken)
    assert "expert[1].when.day: expected a comparison" in str(caught.value)
    with pytest.raises(JourneyError) as caught:
        changed(expert=broken[:1])
    assert "expert[0].do: no action is called 'send:welcome@99'" in str(caught.value)
    assert "expert[0].when.dya: no feature column is called that" in str(caught.value)


def test_a_journey_that_extends_another_inherits_its_expert_until_it_writes_its_own(
    tmp_path: Path,
) -> None:
    trial, renewal = load_journey("trial_onboarding"), load_journey("renewal")
    assert renewal.expert
    assert renewal.expert != trial.expert
    heir = tmp_path / "heir.yaml"
    heir.write_text("extends: trial_onboarding\njourney: heir\n", "utf-8")
    assert load_journey(heir).expert == trial.expert


@pytest.mark.parametrize("name", shipped_journeys())
def test_every_rule_of_an_expert_can_be_taken(name: str) -> None:
    journey = load_journey(name)
    context = context_of(journey)
    synthetic = journey.provenance.startswith("SYNTHETIC")
    assert bool(journey.expert) == synthetic  # a real experiment's arms need no expert
    approved = context.catalog.approved
    assert all(approved[context.catalog.index(rule.action)] for rule in journey.expert)


def test_rules_in_a_description_stand_in_for_those_of_the_journey() -> None:
    columns = {"form_topic__security": [1, 0, 0], "day": [0, 0, 7]}
    assert taken(INBOUND, WRITTEN, **columns) == [
        "send:security_brief@09",
        "pause:3",
        "send:integration_story@09",
    ]


def test_rules_in_a_description_come_back_word_for_word() -> None:
    context = context_of(INBOUND)
    policy = build_policy(WRITTEN, context)
    assert policy.spec() == WRITTEN
    assert build_policy({"kind": "rules", "rules": []}, context).spec()["otherwise"] == "drip"
    fine = {"when": {"company_size": "> 1234567.25"}, "do": "exit"}
    assert build_policy({"kind": "rules", "rules": [fine]}, context).spec()["rules"] == [fine]


def test_rules_in_a_description_wait_where_their_last_resort_is_masked() -> None:
    mask = without(INBOUND, 1, "pause:3")
    assert taken(INBOUND, WRITTEN, mask, day=[0]) == ["pause:1"]


def test_rules_that_never_follow_the_drip_need_no_calendar() -> None:
    kept = {k: v for k, v in INBOUND.resolved["features"].items() if k != "day"}
    journey = changed(features=kept, rules=[], drip={}, expert=[SECURITY])
    assert taken(journey, "expert", form_topic__security=[1]) == ["send:security_brief@09"]
    with pytest.raises(PolicyError, match="no feature tells them apart"):
        build_policy({"kind": "rules", "rules": [SECURITY]}, context_of(journey))


@pytest.mark.parametrize(
    ("rule", "error", "message"),
    [
        ({"when": {"day": "late"}, "do": "exit"}, PolicyError, r"policy\.rules\[0\]\.when\.day"),
        ({"when": {"day": "> 1"}}, PolicyError, r"policy\.rules\[0\]\.do: .* missing"),
        ({"when": {"dya": "> 1"}, "do": "exit"}, JourneyError, "dya"),
        ({"when": {"day": "> 1"}, "do": "fax"}, ActionError, "fax"),
    ],
)
def test_a_rule_in_a_description_that_cannot_be_read_is_named(
    rule: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        build_policy({"kind": "rules", "rules": [rule]}, context_of(INBOUND))


def test_an_unread_last_resort_is_named() -> None:
    with pytest.raises(ActionError, match="fax"):
        build_policy({"kind": "rules", "rules": [], "otherwise": "fax"}, context_of(INBOUND))


def test_features_are_read_as_the_float32_they_are() -> None:
    rule = {"when": {"click_rate_14d": ">= 0.7"}, "do": "exit"}
    assert features(INBOUND, 1, click_rate_14d=0.7).dtype == np.float32
    spec = {"kind": "rules", "rules": [rule], "otherwise": "pause:1"}
    assert taken(INBOUND, spec, click_rate_14d=[0.7]) == ["exit"]
