"""A decision follows from bundle, contact, moment and seed, replays, and fails towards pausing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nurture_envs.clock import DAY_US, HOUR_US
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.array_pass import uniforms
from nurture_rl.serving.decide import decide, replay
from nurture_rl.serving.records import Answer, ContactView, Decision, Episode, Refusal
from tests.unit.serving.contacts import MIDNIGHT, MIDNIGHT_LOCAL, ZONE, contact, event, view

SEED = 7
LUCK = 0.3290485849516447  # of seed 7 and decision d-0


def answers(bundle: Bundle, *views: ContactView, now_us: int = MIDNIGHT) -> list[Answer]:
    """Decide under the seed of these tests."""
    return decide(bundle, views, now_us, SEED, ZONE)


def decided(bundle: Bundle, *views: ContactView, now_us: int = MIDNIGHT) -> list[Decision]:
    """Decide where nothing is refused."""
    found = answers(bundle, *views, now_us=now_us)
    assert all(isinstance(answer, Decision) for answer in found)
    return [answer for answer in found if isinstance(answer, Decision)]


def many(n: int) -> list[ContactView]:
    """Contacts who differ in luck and in what they did."""
    return [
        view(
            *(event("click", MIDNIGHT - h * HOUR_US, topic="pricing") for h in range(i % 5)),
            decision_id=f"d-{i}",
        )
        for i in range(n)
    ]


def test_a_decision_replays_bit_for_bit_and_only_with_its_own_luck(bundle: Bundle) -> None:
    found = decided(bundle, *many(60))
    assert all(replay(bundle, decision, SEED) for decision in found)
    assert not all(replay(bundle, decision, SEED + 1) for decision in found)
    first = found[0]
    nudged = (first.probabilities[0] + 2.0**-53, *first.probabilities[1:])
    assert not replay(bundle, replace(first, probabilities=nudged), SEED)
    assert not replay(bundle, replace(first, action="pause:1", propensity=1.0), SEED)
    assert not replay(bundle, replace(first, policy_id="another"), SEED)
    assert not replay(bundle, replace(first, catalog="another"), SEED)


def test_a_decision_does_not_depend_on_who_else_was_asked_for(bundle: Bundle) -> None:
    views = many(20)
    assert decided(bundle, *views) == [decided(bundle, one)[0] for one in views]


@pytest.mark.slow
def test_actions_are_drawn_as_often_as_their_propensity_says(bundle: Bundle) -> None:
    found = decided(bundle, *(view(decision_id=f"luck-{i}") for i in range(2000)))
    share = found[0].probabilities[bundle.catalog.index("send:welcome@09")]
    drawn = np.mean([decision.action == "send:welcome@09" for decision in found])
    assert abs(drawn - share) < 4 * np.sqrt(share * (1 - share) / 2000)
    for decision in found[:50]:
        index = bundle.catalog.index(decision.action)
        assert decision.propensity == decision.probabilities[index] > 0.0
        assert decision.mask[index]
        assert decision.reasons[index] == 0


def test_luck_is_uniform_and_named_by_seed_and_decision() -> None:
    luck = uniforms(SEED, [f"d-{i}" for i in range(4000)])
    assert luck.min() >= 0.0
    assert luck.max() < 1.0
    assert abs(luck.mean() - 0.5) < 4 * np.sqrt(1 / 12 / 4000)
    assert len({*uniforms(1, ["d"]), *uniforms(2, ["d", "e"])}) == 3
    # As it was logged by every version: whoever changes it can make no decision again.
    assert uniforms(7, ["d-0"]).tolist() == [LUCK]


def test_a_send_is_scheduled_at_its_local_hour(bundle: Bundle) -> None:
    found = decided(bundle, *(view(decision_id=f"luck-{i}") for i in range(60)))
    sends = [decision for decision in found if decision.action.startswith("send")]
    assert len(sends) > 10
    for decision in sends:
        hour = int(decision.action[-2:])
        assert decision.scheduled_us == MIDNIGHT + hour * HOUR_US
    others = [decision for decision in found if not decision.action.startswith("send")]
    assert {decision.scheduled_us for decision in others} == {None}


@pytest.mark.parametrize(
    ("changes", "now_us", "code", "text"),
    [
        ({"events": (event("unsubscribe", MIDNIGHT),)}, MIDNIGHT, "episode_over", "unsubscribed"),
        ({"episode": Episode("e", MIDNIGHT_LOCAL, 0, 0, True)}, MIDNIGHT, "episode_over", "exit"),
        ({}, MIDNIGHT + 14 * DAY_US, "episode_over", "after its 14 bins"),
        ({"episode": Episode("e", MIDNIGHT_LOCAL + DAY_US)}, MIDNIGHT, "not_started", "not begun"),
        ({"episode": Episode("e", MIDNIGHT_LOCAL, 0)}, MIDNIGHT, "already_decided", "next bin"),
        ({"episode": Episode("e", MIDNIGHT_LOCAL, 2)}, MIDNIGHT, "out_of_order", "bin 2"),
    ],
)
def test_what_cannot_be_decided_is_refused_with_a_reason(
    bundle: Bundle, changes: dict[str, Any], now_us: int, code: str, text: str
) -> None:
    (answer,) = answers(bundle, view(**changes), now_us=now_us)
    assert isinstance(answer, Refusal)
    assert answer.code == code
    assert text in answer.message


def test_facts_that_cannot_be_worked_out_refuse_only_their_contact(bundle: Bundle) -> None:
    lost = view(contact=contact("bob", time_zone="Mars/Olympus"))
    good, bad = answers(bundle, view(), lost)
    assert isinstance(good, Decision)
    assert isinstance(bad, Refusal)
    assert (bad.contact_id, bad.code) == ("bob", "fail_closed")
    assert "Mars/Olympus" in bad.message
