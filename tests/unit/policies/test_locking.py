"""One factor is free and all others are those of the usual program, decision for decision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nurture_envs.actions import Action, ActionCatalog
from nurture_envs.journey_file import load_journey, shipped_journeys
from nurture_rl.policies.build import build_policy
from nurture_rl.policies.locking import FREE_FACTORS, Locked
from nurture_rl.policies.policy import (
    BoolArray,
    FeatureArray,
    PolicyError,
    check_probabilities,
    sample_actions,
)
from tests.unit.envs.spring_journey import spring
from tests.unit.policies.planted_journeys import INBOUND, context_of

_STATES = 4_000


def factors(action: Action) -> dict[str, Any]:
    """What an action is, factor by factor; what it sends nothing of has no content."""
    message = action.message
    content = message and (message.job, message.topic, message.proof, message.call_to_action)
    return {
        "routing": "send" if message else action.id,
        "timing": action.slot if message else None,
        "content": message and (message.id, content, message.channel),
        "offer": action.offer,
    }


def states(catalog: ActionCatalog, columns: int, seed: int) -> tuple[FeatureArray, BoolArray]:
    """Random features and masks."""
    rng = np.random.default_rng(seed)
    mask = rng.random((_STATES, len(catalog))) < 0.7
    mask[:, catalog.wait] = True
    return rng.integers(0, 14, (_STATES, columns)).astype(np.float32), mask


@pytest.mark.parametrize("free", FREE_FACTORS)
@pytest.mark.parametrize("name", shipped_journeys())
def test_locked_factors_are_those_of_the_usual_program_in_every_state(name: str, free: str) -> None:
    journey = load_journey(name)
    context = context_of(journey)
    catalog, columns = context.catalog, len(context.feature_spec.columns)
    x, mask = states(catalog, columns, 3)
    usual = build_policy("rules", context)
    locked = Locked(catalog, build_policy("random", context), usual, free)
    table = locked.action_probabilities(x, mask)
    check_probabilities(table, mask)
    drawn = sample_actions(table, np.random.default_rng(4).random(_STATES))
    expected = usual.action_probabilities(x, mask).argmax(axis=1)
    for taken, meant in zip(drawn.tolist(), expected.tolist(), strict=True):
        found, wanted = factors(catalog.actions[taken]), factors(catalog.actions[meant])
        if free == "routing" and catalog.actions[taken].message is None:
            continue  # held back, or something else than a mail is done
        parted = {key for key in found if found[key] != wanted[key]}
        assert parted <= ({"content"} if free == "offer" else set()) | {free}
        if "content" in parted:  # another message: of the same channel, or that says the same
            kept = slice(2, 3) if free == "content" else slice(1, 3)
            assert found["content"][kept] == wanted["content"][kept]


def test_what_is_free_is_used() -> None:
    """A lock that leaves nothing free would pass every test above."""
    for free in ("timing", "routing"):
        assert _differing(INBOUND, free) > 0.1
    assert _differing(INBOUND, "content") > 0.05
    assert _differing(spring(), "content") > 0.05


def _differing(journey: Any, free: str) -> float:
    context = context_of(journey)
    x, mask = states(context.catalog, len(context.feature_spec.columns), 5)
    # Every mail is a usual one, so that there is something to choose in all states.
    first = next(a.id for a in context.catalog.actions if a.message is not None)
    usual = build_policy({"kind": "always", "action": first}, context)
    locked = Locked(context.catalog, build_policy("random", context), usual, free)
    meant = usual.action_probabilities(x, mask).argmax(axis=1)
    table = locked.action_probabilities(x, mask)
    return float(1.0 - table[np.arange(_STATES), meant].mean())


def test_propensities_by_hand() -> None:
    context = context_of(INBOUND)
    catalog = context.catalog
    odds = {"send:welcome@09": 0.1, "send:welcome@15": 0.3, "send:pricing_guide@09": 0.4}
    policy = build_policy(
        {"kind": "fixed", "probabilities": {**odds, "pause:1": 0.15, "escalate": 0.05}}, context
    )
    usual = build_policy("always:send:welcome@09", context)
    x = np.zeros((1, len(context.feature_spec.columns)), np.float32)
    mask = np.ones((1, len(catalog)), np.bool_)
    expected = {
        # 0.1 and 0.3 of this mail's hours
        "timing": {"send:welcome@09": 0.25, "send:welcome@15": 0.75},
        # 0.1 and 0.4 of mails at nine, for their offers are names alone
        "content": {"send:welcome@09": 0.2, "send:pricing_guide@09": 0.8},
        # no other message says the same with another offer
        "offer": {"send:welcome@09": 1.0},
        # all 0.8 of mails are this one
        "routing": {"send:welcome@09": 0.8, "pause:1": 0.15, "escalate": 0.05},
    }
    for free, chances in expected.items():
        (row,) = Locked(catalog, policy, usual, free).action_probabilities(x, mask)
        found = {catalog.ids[i]: row[i] for i in np.flatnonzero(row)}
        assert found == pytest.approx(chances), free


def test_an_offer_is_chosen_for_the_same_content() -> None:
    journey = spring()
    catalog = ActionCatalog.of(journey)
    pairs = [
        (a, b)
        for a in catalog.actions
        for b in catalog.actions
        if a.message and b.message and a.slot == b.slot and a.offer != b.offer
    ]
    same = [(a, b) for a, b in pairs if factors(a)["content"][1:] == factors(b)["content"][1:]]
    assert pairs
    context = context_of(journey)
    for one, _ in pairs:
        usual = build_policy({"kind": "always", "action": one.id}, context)
        locked = Locked(catalog, build_policy("random", context), usual, "offer")
        x = np.zeros((1, len(context.feature_spec.columns)), np.float32)
        (row,) = locked.action_probabilities(x, np.ones((1, len(catalog)), np.bool_))
        others = {b.id for a, b in same if a == one}
        assert {catalog.ids[i] for i in np.flatnonzero(row)} == {one.id, *others}


def test_where_the_policy_wants_nothing_near_the_usual_action_stands() -> None:
    context = context_of(INBOUND)
    policy, usual = (build_policy(f"always:{a}", context) for a in ("exit", "send:welcome@09"))
    x = np.zeros((1, len(context.feature_spec.columns)), np.float32)
    mask = np.ones((1, len(context.catalog)), np.bool_)
    (row,) = Locked(context.catalog, policy, usual, "timing").action_probabilities(x, mask)
    assert row[context.catalog.index("send:welcome@09")] == 1.0


def test_a_usual_program_that_draws_is_mixed_over_what_it_draws() -> None:
    context = context_of(INBOUND)
    policy = build_policy("random", context)
    usual = build_policy({"kind": "explore", "base": "drip", "share": 0.4}, context)
    x, mask = states(context.catalog, len(context.feature_spec.columns), 6)
    table = Locked(context.catalog, policy, usual, "timing").action_probabilities(x, mask)
    check_probabilities(table, mask)
    # What is no mail is as likely as it is usual.
    plain = ~context.catalog.routed("send")
    expected = usual.action_probabilities(x, mask)[:, plain]
    assert table[:, plain] == pytest.approx(expected)


def test_an_unknown_factor_is_refused() -> None:
    context = context_of(INBOUND)
    drip = build_policy("drip", context)
    with pytest.raises(PolicyError, match="timing, content, offer, routing, got 'subject'"):
        Locked(context.catalog, drip, drip, "subject")
