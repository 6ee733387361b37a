"""The reference policies, on the inbound journey and small changes of it."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_envs.actions import ActionCatalog
from nurture_rl.errors import ActionError, ShapeError
from nurture_rl.policies.policy import FloatArray, PolicyError
from nurture_rl.policies.program import Drip, Rules
from nurture_rl.policies.references import Always, Fixed, NoContact, Random
from tests.unit.policies.planted_journeys import (
    INBOUND,
    all_legal,
    changed,
    context_of,
    features,
    without,
)

CATALOG = ActionCatalog.of(INBOUND)
CONTEXT = context_of(INBOUND)
DRIP = Drip.of(INBOUND, CATALOG, CONTEXT.feature_spec)
RULES = Rules.of(INBOUND, CATALOG, CONTEXT.feature_spec)
DEFAULT_RANDOM = Random(
    CATALOG, (("pause", 0.5), ("send", 0.44), ("escalate", 0.05), ("exit", 0.01))
)


def ids(probabilities: FloatArray) -> list[str]:
    """The action every row is certain of."""
    assert (probabilities.max(axis=1) == 1.0).all()
    return [CATALOG.ids[i] for i in probabilities.argmax(axis=1)]


def test_no_contact_always_waits() -> None:
    rows = NoContact(CATALOG).action_probabilities(features(INBOUND, 3), all_legal(INBOUND, 3))
    assert ids(rows) == ["pause:1"] * 3


def test_always_takes_its_action_and_waits_where_it_is_masked() -> None:
    mask = all_legal(INBOUND, 2)
    mask[1, CATALOG.index("escalate")] = False
    rows = Always(CATALOG, "escalate").action_probabilities(features(INBOUND, 2), mask)
    assert ids(rows) == ["escalate", "pause:1"]


def test_always_refuses_an_unknown_action() -> None:
    with pytest.raises(ActionError, match="fax"):
        Always(CATALOG, "fax")


def test_random_gives_each_kind_its_weight_shared_inside_the_kind() -> None:
    row = DEFAULT_RANDOM.action_probabilities(features(INBOUND, 1), all_legal(INBOUND, 1))[0]
    # ten sends share 0.44, two pauses share 0.5
    assert row == pytest.approx(np.array([0.044] * 10 + [0.25, 0.25, 0.05, 0.01]))


def test_random_hands_the_weight_of_a_masked_kind_to_the_legal_kinds() -> None:
    mask = without(INBOUND, 1, "escalate", *CATALOG.ids[1:10])
    row = DEFAULT_RANDOM.action_probabilities(features(INBOUND, 1), mask)[0]
    # weights left: send 0.44 (one action), pause 0.5 (two), exit 0.01; together 0.95
    expected = np.array([0.44] + [0.0] * 9 + [0.25, 0.25, 0.0, 0.01]) / 0.95
    assert row == pytest.approx(expected)
    assert (row[~mask[0]] == 0.0).all()


def test_random_shares_a_kind_by_what_is_legal_in_each_row() -> None:
    mask = all_legal(INBOUND, 2)
    mask[1, 1:10] = False  # one send of ten is left
    rows = DEFAULT_RANDOM.action_probabilities(features(INBOUND, 2), mask)
    assert rows[0, 0] == pytest.approx(0.044)
    assert rows[1, 0] == pytest.approx(0.44)


def test_random_waits_where_only_weightless_kinds_are_legal() -> None:
    rows = Random(CATALOG, (("send", 1.0),)).action_probabilities(
        features(INBOUND, 1), without(INBOUND, 1, *CATALOG.ids[:10])
    )
    assert ids(rows) == ["pause:1"]


def test_random_refuses_weights_it_cannot_use() -> None:
    with pytest.raises(PolicyError, match="fax"):
        Random(CATALOG, (("fax", 1.0),))
    with pytest.raises(PolicyError, match="not all 0"):
        Random(CATALOG, (("send", 0.0),))


def test_fixed_is_scaled_up_over_the_legal_actions_in_proportion() -> None:
    design = (("send:welcome@09", 0.6), ("pause:1", 0.3), ("exit", 0.1))
    mask = all_legal(INBOUND, 2)
    mask[1, CATALOG.index("send:welcome@09")] = False
    rows = Fixed(CATALOG, design).action_probabilities(features(INBOUND, 2), mask)
    wanted = CATALOG.indices(["send:welcome@09", "pause:1", "exit"])
    assert rows[0, wanted] == pytest.approx([0.6, 0.3, 0.1])
    assert rows[1, wanted] == pytest.approx([0.0, 0.75, 0.25])
    assert rows.sum(axis=1) == pytest.approx([1.0, 1.0])


def test_fixed_waits_where_none_of_its_actions_is_legal() -> None:
    rows = Fixed(CATALOG, (("exit", 1.0),)).action_probabilities(
        features(INBOUND, 1), without(INBOUND, 1, "exit")
    )
    assert ids(rows) == ["pause:1"]


def test_fixed_refuses_probabilities_that_forget_an_action() -> None:
    with pytest.raises(PolicyError, match=r"sum to 1, got 0\.66"):
        Fixed(CATALOG, (("pause:1", 0.33), ("exit", 0.33)))
    with pytest.raises(PolicyError, match=r"sum to 1, got 0\.97"):
        Fixed(CATALOG, (("pause:1", 0.64), ("exit", 0.33)))


def test_drip_follows_its_schedule_and_waits_between() -> None:
    rows = DRIP.action_probabilities(features(INBOUND, 14, day=range(14)), all_legal(INBOUND, 14))
    plan = dict(INBOUND.drip)
    assert len(plan) == 4
    assert ids(rows) == [plan.get(day, "pause:1") for day in range(14)]


def test_drip_waits_where_its_mail_is_masked() -> None:
    rows = DRIP.action_probabilities(
        features(INBOUND, 2, day=[3, 7]), without(INBOUND, 2, "send:security_brief@09")
    )
    assert ids(rows) == ["pause:1", "send:integration_story@09"]


def test_drip_of_a_one_bin_journey_needs_no_calendar() -> None:
    kept = {k: v for k, v in INBOUND.resolved["features"].items() if k != "day"}
    clock = {"period_hours": 24, "slots_hours": [0], "periods": 1}
    journey = changed(features=kept, clock=clock)
    drip = Drip.of(journey, CATALOG, context_of(journey).feature_spec)
    rows = drip.action_probabilities(features(journey, 2), all_legal(journey, 2))
    assert ids(rows) == ["send:welcome@09"] * 2


def test_drip_of_several_bins_without_a_calendar_is_refused() -> None:
    journey = changed(
        features={k: v for k, v in INBOUND.resolved["features"].items() if k != "day"}
    )
    with pytest.raises(PolicyError, match=r"14 bins .* part: bin"):
        Drip.of(journey, CATALOG, context_of(journey).feature_spec)


def test_the_first_matching_rule_wins() -> None:
    # Every rule of the journey fits; the first one escalates.
    everything = {
        "pricing_views_7d": [2.0, 1.0],
        "days_since_escalation": 14.0,
        "unanswered_sends": 3.0,
        "clicked_pricing": 1.0,
    }
    rows = RULES.action_probabilities(features(INBOUND, 2, **everything), all_legal(INBOUND, 2))
    assert ids(rows) == ["escalate", "pause:3"]


def test_every_condition_of_a_rule_must_hold() -> None:
    x = features(INBOUND, 2, day=1, pricing_views_7d=5.0, days_since_escalation=[13.0, 14.0])
    assert ids(RULES.action_probabilities(x, all_legal(INBOUND, 2))) == ["pause:1", "escalate"]


def test_a_masked_rule_gives_way_to_the_next_and_at_last_to_the_drip() -> None:
    x = features(INBOUND, 2, day=3, unanswered_sends=3.0, clicked_pricing=[1.0, 0.0])
    rows = RULES.action_probabilities(x, without(INBOUND, 2, "pause:3"))
    assert ids(rows) == ["send:book_a_call@09", "send:security_brief@09"]


def test_a_rule_may_ask_for_the_drip_before_later_rules() -> None:
    rules = [
        {"when": {"ever_asked": "== 1"}, "do": "drip"},
        {"when": {"ever_asked": ">= 0"}, "do": "exit"},
    ]
    journey = changed(rules=rules)
    policy = Rules.of(journey, CATALOG, CONTEXT.feature_spec)
    x = features(journey, 3, day=[0, 1, 0], ever_asked=[1, 1, 0])
    rows = policy.action_probabilities(x, all_legal(journey, 3))
    assert ids(rows) == ["send:welcome@09", "pause:1", "exit"]


def test_a_threshold_meets_its_own_value_read_back_as_float32() -> None:
    journey = changed(rules=[{"when": {"click_rate_14d": ">= 0.7"}, "do": "exit"}])
    policy = Rules.of(journey, CATALOG, CONTEXT.feature_spec)
    x = features(journey, 1, day=1, click_rate_14d=0.7)
    assert float(x.max(initial=0.0, where=x < 1.0)) < 0.7  # float32(0.7) lies below 0.7
    assert ids(policy.action_probabilities(x, all_legal(journey, 1))) == ["exit"]


def test_masks_of_another_catalogue_are_refused() -> None:
    with pytest.raises(ShapeError, match="catalogue"):
        DRIP.action_probabilities(features(INBOUND, 1), np.ones((1, 3), np.bool_))
