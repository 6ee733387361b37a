"""Mail waits for an answer to the last one of its kind, and after a visit that it speaks of."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nurture_envs.errors import SimulationError, SlowPathWarning
from nurture_envs.guardrails import Reason
from nurture_envs.journey_file import load_journey, shipped_journeys
from nurture_envs.player_protocol import BlockThreads
from nurture_envs.playing import fastest_player
from tests.unit.envs.scripted_world import scripted
from tests.unit.envs.test_guardrails import NEVER_SENT, SENDS, facts, forbidden, sent
from tests.unit.envs.test_journey_file import problems
from tests.unit.envs.test_simulation import FREE, legal, play
from tests.unit.envs.toy_journey import toy

FREELY: dict[str, Any] = {
    "guardrails__frequency_caps": [],
    "guardrails__min_gap_hours": 0,
    "messages__blue__job": "activate",
}
ASKS = {"guardrails__unanswered": {"until": ["clicked"], "hours": 60}}
VISITS = {"guardrails__cool_off": {"red": {"after": ["clicked"], "hours": 30}}}
BRIEF = {"clock": {"period_hours": 24, "slots_hours": [0], "periods": 6}}


BY_NINE = {"send:red@now", "send:blue@now"}


@pytest.mark.parametrize(
    ("last", "answer", "held"),
    [
        (-10, NEVER_SENT, set(SENDS)),
        (-10, -11, set(SENDS)),  # of the mail before
        (-10, -10, set(SENDS)),
        (-10, -9, set()),
        (-50.5, NEVER_SENT, set(SENDS)),
        (-51, NEVER_SENT, BY_NINE),  # at nine 60 hours have passed
        (-70, NEVER_SENT, set()),
        (NEVER_SENT, -5, set()),
        (NEVER_SENT, NEVER_SENT, set()),
    ],
)
def test_a_job_is_not_done_twice_without_an_answer(
    last: float, answer: float, held: set[str]
) -> None:
    now = facts(8.5, sends_hours=[NEVER_SENT, *sent(last)], moments_hours=sent(answer))
    assert forbidden(now, toy(**FREELY, **ASKS)) == dict.fromkeys(held, Reason.UNANSWERED)


@pytest.mark.parametrize(
    ("visit", "held"),
    [
        (NEVER_SENT, set()),
        (7.0, {"send:red@09", "send:red@now"}),
        (-21.5, {"send:red@now"}),  # free at half past eight
        (-30.0, set()),
    ],
)
def test_a_message_waits_after_the_visit_it_speaks_of(visit: float, held: set[str]) -> None:
    now = facts(8.0, sends_hours=[NEVER_SENT, NEVER_SENT], moments_hours=sent(visit))
    found = forbidden(now, toy(**FREELY, **VISITS))
    assert found == dict.fromkeys(held, Reason.COOL_OFF)


def test_in_a_simulation_an_answer_comes_with_the_end_of_its_bin() -> None:
    rails = {**FREE.resolved["guardrails"]}
    asks = toy(**BRIEF, guardrails={**rails, "unanswered": {"until": ["clicked"], "hours": 72}})
    simulation = scripted({(0, 1): {"clicked": 1.0}}, asks)
    free = []
    for days in range(1, 5):
        _, state = play(simulation, *["send:red@09", "pause:1", "send:red@09", "pause:1"][:days])
        free.append("send:red@09" in legal(simulation, state))
    # sent in bin 0; answered in bin 1, seen in bin 2; sent again there
    assert free == [False, True, False, False]


def test_in_a_simulation_a_visit_may_have_been_at_the_end_of_its_bin() -> None:
    rails = {**FREE.resolved["guardrails"]}
    visits = toy(
        **BRIEF, guardrails={**rails, "cool_off": {"red": {"after": ["clicked"], "hours": 24}}}
    )
    simulation = scripted({(0, 0): {"clicked": 1.0}}, visits)
    _, state = play(simulation, "pause:1")  # the visit ended at midnight, nine is too early
    assert not {"send:red@09", "send:red@now"} & legal(simulation, state)
    assert "send:blue@09" in legal(simulation, state)
    _, state = play(simulation, "pause:1", "pause:1")
    assert {"send:red@09", "send:red@now"} <= legal(simulation, state)


def test_torch_plays_mail_that_waits_and_says_so() -> None:
    simulation = scripted({}, toy(**FREELY, **ASKS))
    with pytest.warns(SlowPathWarning, match="mail waits for answers"):
        _, who = fastest_player(simulation, False, 4, BlockThreads(1))
    assert who == "torch: mail waits for answers, or after visits"
    simulation.compiled = True
    with pytest.raises(SimulationError, match="mail waits for answers"):
        fastest_player(simulation, False, 4, BlockThreads(1))


def test_what_is_served_is_added_for_servers_and_nowhere_else() -> None:
    served = {"frequency_caps": [{"max": 1, "hours": 300}], "blackout": ["2026-04-08"]}
    journey = toy(guardrails__served={**served, "unanswered": ASKS["guardrails__unanswered"]})
    rails = journey.guardrails
    assert rails.simulated == toy().guardrails
    assert [cap.hours for cap in rails.caps] == [72.0, 300.0]
    assert (len(rails.blackout), rails.unanswered is not None) == (1, True)
    assert rails.min_gap_hours == 24.0  # what is not said again stays
    masks = []
    for simulation in (scripted({}, journey), scripted({})):
        state = play(simulation, "send:red@09", "pause:1")[1]
        masks.append(simulation.decision(state).mask)
    assert torch.equal(masks[0], masks[1])


def test_mistakes_in_these_limits_are_told() -> None:
    found = problems(
        guardrails__unanswered={"until": [], "hours": 10},
        guardrails__cool_off={"rde": {"after": ["clickd"], "hours": 1}},
        guardrails__served={"min_gap_hours": 3},
        guardrails__frequency_caps=[{"max": 1, "hours": 9, "job": "activate", "block": "x"}],
    )
    text = "\n".join(found)
    assert "guardrails.unanswered.until: expected at least one signal that answers a mail" in text
    assert "guardrails.cool_off.rde.after: no signal is called 'clickd'" in text
    assert "guardrails.served.min_gap_hours: no such key" in text
    assert "expected one of channel, topic, message, job, claim, block at most" in text
    (name,) = problems(guardrails__cool_off={"rde": {"after": ["clicked"], "hours": 1}})
    assert name.startswith("guardrails.cool_off.rde: no message is called that; did you mean 'red'")


@pytest.mark.parametrize("name", shipped_journeys())
def test_shipped_journeys_keep_every_limit_that_needs_no_figures_of_the_sender(name: str) -> None:
    journey = load_journey(name)
    rails: Any = journey.guardrails
    if not any(message.blocks for message in journey.messages):
        return  # a log of a public experiment, which nobody serves
    counted = {cap.group[0] for cap in rails.caps}
    assert {"", "message"} <= counted
    limits = [rails.account, rails.unanswered, rails.inactivity, rails.volume, rails.cool_off]
    assert all(limits)
    assert all([rails.account.caps, rails.account.conversation, rails.volume.slow_down])
    assert all([rails.quiet_hours, rails.require_consent, rails.opt_out, rails.hard_bounce])
    assert "sales_touched" in dict(rails.conversation)


@pytest.mark.parametrize("name", shipped_journeys())
def test_nothing_that_servers_add_stands_in_the_way_of_the_drip(name: str) -> None:
    journey = load_journey(name)
    rails, messages = journey.guardrails, {m.id: m for m in journey.messages}
    clock, sends = journey.clock, list[tuple[float, str]]()
    for bin_, action in journey.drip:
        if not action.startswith("send:"):
            continue
        whole, slot = divmod(bin_, len(clock.slots_hours))
        hour, message = whole * clock.period_hours + clock.slots_hours[slot], action[5:-3]
        for cap in rails.caps[len(rails.simulated.caps) :]:
            if cap.group in messages[message].groups:
                among = [h for h, m in sends if cap.group in messages[m].groups]
                near = [h for h in among if hour - h < cap.hours]
                assert len(near) < cap.maximum, (action, cap)
        if rails.unanswered is not None:
            same = [h for h, m in sends if messages[m].job == messages[message].job]
            assert not same or hour - max(same) >= rails.unanswered.hours, action
        sends.append((hour, message))
