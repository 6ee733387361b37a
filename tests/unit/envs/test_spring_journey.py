"""Offers, caps by channel and a slower cadence, in a simulation: plain, compiled, and by hand."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest
import torch

from nurture_envs.actions import ActionCatalog
from nurture_envs.errors import JourneyError
from nurture_envs.guardrails import Reason
from nurture_envs.journey import Journey
from nurture_envs.playing import player
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.draws import uniforms
from tests.unit.envs.scripted_world import MONDAY, Script, ScriptedWorld, contacts, scripted
from tests.unit.envs.spring_journey import OFFERS, spring
from tests.unit.envs.toy_journey import TOY, toy
from tests.unit.serving.mask_oracle import Standing, may

JOURNEY = spring()
CATALOG = ActionCatalog.of(JOURNEY)
N, BINS = 150, 12
DISCOUNT = {"red": {**TOY["messages"]["red"], "offer": "discount"}, "blue": TOY["messages"]["blue"]}

TIERS = [{"bins": 2, "max": 3, "hours": 90}, {"bins": 4, "max": 1, "hours": 40}]
IDLE_JOURNEY = spring(
    guardrails__inactivity={
        "signals": ["clicked"], "tiers": TIERS, "probe": {"bins": 6, "share": 0.4}
    }
)  # fmt: skip
PROBE = {"bins": 9, "share": 0.1}
IDLE: dict[str, Any] = {"signals": ["clicked"], "tiers": [{"bins": 3, "max": 1, "hours": 72}]}


def a_script(warm: float = 0.0) -> Script:
    """Clicks, purchases and the odd end, at random."""
    rng = np.random.default_rng(8)
    chances = {"clicked": 0.3, "bought": 0.1, "left": 0.02, "hot": 0.1, "warm": warm}
    return {
        (key, bin_): {name: 1.0 for name, chance in chances.items() if rng.random() < chance}
        for key in range(N)
        for bin_ in range(BINS)
    }


def drawn(mask: torch.Tensor, luck: np.random.Generator) -> torch.Tensor:
    """A legal action of each contact; mostly one that is not waiting."""
    weight = mask.numpy() * np.where(np.arange(len(CATALOG)) == CATALOG.wait, 0.3, 1.0)
    weight[:, CATALOG.index("exit")] *= 0.02
    return torch.from_numpy((luck.random(mask.shape) * weight).argmax(axis=1))


@pytest.mark.parametrize("journey", [JOURNEY, IDLE_JOURNEY], ids=["usual", "idle"])
def test_plain_torch_and_compiled_loops_play_the_same(journey: Journey) -> None:
    world = ScriptedWorld(journey, a_script(warm=0.1))
    players = [player(Simulation(world, compiled=kind), False, 64) for kind in (False, True)]
    plain, loops = (one.begin(contacts(N)) for one in players)
    luck, taken = np.random.default_rng(1), set()
    held = 0
    for _ in range(BINS):
        for part in ("features", "mask", "reasons"):
            assert torch.equal(getattr(plain, part), getattr(loops, part))
        held += int((plain.reasons & int(Reason.INACTIVE)).count_nonzero())
        action = drawn(plain.mask, luck)
        taken |= set(action.tolist())
        one, other = (each.step(action) for each in players)
        assert torch.equal(one.reward, other.reward)
        assert torch.equal(one.terminated, other.terminated)
        plain, loops = one.seen, other.seen
    names = {CATALOG.ids[place].partition("@")[0] for place in taken}
    assert {"send:coupon", "send:gift_card", "send:voucher", "send:nudge", "slow:4"} <= names
    assert (held > 0) is (journey is IDLE_JOURNEY)


def talks(last: dict[str, int], bin_: int) -> bool:
    """Whether somebody talks to a contact whose signals happened last in these bins."""
    called, bought, clicked = (last.get(name, -99) for name in ("called", "bought", "clicked"))
    return bin_ - called <= 1 or (bin_ - bought <= 4 and clicked <= bought)


@pytest.mark.parametrize("journey", [JOURNEY, IDLE_JOURNEY], ids=["usual", "idle"])
def test_a_simulation_allows_what_an_independent_reading_allows(journey: Journey) -> None:
    simulation = scripted(a_script(), journey)
    state, luck = simulation.begin(contacts(N)), np.random.default_rng(2)
    past: list[dict[str, Any]] = [
        {"sends": [], "slow": -99, "last": {}, "pause": 0} for _ in range(N)
    ]
    column = simulation.spec.column
    for bin_ in range(BINS):
        seen = simulation.decision(state)
        hour = 24.0 * (MONDAY + bin_)
        lots = uniforms(contacts(N), bin_, 33, 1)[0].tolist()
        for key, was in enumerate(past):
            features = {
                name: float(seen.features[key, column(name)])
                for name in ("sends_2", "size", "since_click", "weekday=sun")
            }
            last = was["last"]
            at = Standing(
                hour, MONDAY + bin_, was["sends"], "left" in last, bin_ < was["pause"],
                bin_ - was["slow"] < 4, talks(last, bin_), "clicked" in last, key % 2 == 0,
                features, {}, bin_ - last.get("clicked", -(10**9)), lots[key] < 0.4,
            )  # fmt: skip
            expected = [may(journey, action, at) for action in CATALOG.actions]
            assert seen.mask[key].tolist() == expected
        chosen = drawn(seen.mask, luck)
        after = simulation.step(state, seen, chosen)
        for key, place in enumerate(chosen.tolist()):
            action, was = CATALOG.actions[place], past[key]
            if action.message is not None:
                at_hour = hour + (0 if action.slot < 0 else action.slot)
                was["sends"].append((at_hour, action.message.id))
            was["slow"] = bin_ if action.routing == "slow" else was["slow"]
            was["last"].update({"called": bin_} if action.routing == "escalate" else {})
            if action.routing == "pause" and action.bins > 1:
                was["pause"] = bin_ + action.bins
            happened = simulation.world.script[key, bin_]  # type: ignore[attr-defined]
            was["last"].update(dict.fromkeys(happened, bin_))
        state = after.state


def test_a_slower_cadence_is_told_by_a_feature_and_ends_on_its_date() -> None:
    simulation = scripted(journey=JOURNEY)
    state = simulation.begin(contacts(1))
    names = ("slow:4", "pause:1", "send:red@09", "send:nudge@09")
    slow, wait, send, other = (CATALOG.index(name) for name in names)
    since, legal = [], []
    for action in (send, slow, wait, wait, wait, wait):
        seen = simulation.decision(state)
        since.append(int(seen.features[0, simulation.spec.column("since_slowed")]))
        legal.append(bool(seen.mask[0, other]))
        assert bool(seen.mask[0, slow])  # the cadence can be renewed in every bin
        state = simulation.step(state, seen, torch.tensor([action])).state
    assert since == [8, 8, 1, 2, 3, 4]
    assert legal[:2] == [True, True]  # 24 hours after the first
    assert legal[2:4] == [False, True]  # 48 and 72 hours; 50 are asked for


def test_an_offer_costs_what_it_says_besides_the_send() -> None:
    journey = toy(messages=DISCOUNT, offers={"discount": {"cost": 3.5}})
    simulation = scripted(journey=journey)
    state = simulation.begin(contacts(3))
    ids = ["send:red@09", "pause:1", "send:blue@09"]
    chosen = torch.from_numpy(simulation.catalog.indices(ids))
    made = simulation.step(state, simulation.decision(state), chosen)
    assert made.reward.tolist() == [-4.0, 0.0, -0.5]


def test_an_offer_ends_with_the_earlier_of_its_last_day_and_the_messages() -> None:
    days = dict(zip(CATALOG.ids, CATALOG.expiry.tolist(), strict=True))
    epoch = date(1970, 1, 1)
    assert days["send:coupon@09"] == (date(2026, 4, 9) - epoch).days
    assert days["send:gift_card@09"] == (date(2026, 4, 12) - epoch).days


def test_offers_change_no_hash_and_no_factor() -> None:
    plain, offering = (ActionCatalog.of(toy(messages=DISCOUNT, **more)) for more in
                       ({}, {"offers": {"discount": OFFERS["discount"]}}))  # fmt: skip
    assert plain.hash == offering.hash
    np.testing.assert_array_equal(plain.factors, offering.factors)


def test_a_channel_that_varies_is_a_factor_of_a_send() -> None:
    push = np.array(CATALOG.levels["channel"]["push"])
    assert any((column == push).all() for column in CATALOG.factors.T)
    marked = {CATALOG.ids[i].partition("@")[0] for i in np.flatnonzero(push)}
    assert marked == {"send:coupon", "send:nudge"}
    assert "channel" not in ActionCatalog.of(toy()).levels


@pytest.mark.parametrize(
    "changes, told",
    [
        (
            {"offers": {"discont": {}}},
            r"offers\.discont: no message makes this offer; did you mean",
        ),
        ({"offers__discount__cost": -1}, r"offers\.discount\.cost: expected a number in \[0"),
        ({"offers__gift__inventory": 0}, r"offers\.gift\.inventory: expected a whole number >= 1"),
        (
            {"offers__gift__eligible": {"siz": "> 1"}},
            r"offers\.gift\.eligible\.siz: no feature col",
        ),
        ({"offers__discount__cost": float("nan")}, r"discount\.cost: expected a finite number"),
        ({"offers__gift__eligible": {"size": "> nan"}}, r"eligible\.size: expected a comparison"),
        ({"signals__slowed__delay_bins": 1}, r"actions\.slow: expected one signal .* got 0; write"),
        ({"offers__gift__eligible": {"size": "big"}}, r"eligible\.size: expected a comparison"),
        ({"offers__gift__price": 3}, r"offers\.gift\.price: no such key"),
        (
            {"guardrails__frequency_caps": [{"max": 1, "hours": 9, "channel": "sms"}]},
            r"frequency_caps\[0\]\.channel: no message has channel 'sms'.*leave `channel` out",
        ),
        (
            {"guardrails__frequency_caps": [{"max": 1, "hours": 9, "topic": "bleu"}]},
            r"frequency_caps\[0\]\.topic: no message has topic 'bleu'; did you mean 'blue'",
        ),
        (
            {"guardrails__frequency_caps": [{"max": 1, "hours": 9, "topic": "a", "message": "b"}]},
            r"frequency_caps\[0\]: expected one of channel, topic, message, job, claim, block at",
        ),
        (
            {"guardrails__inactivity": {"signals": ["clicked"]}},
            r"inactivity\.tiers: expected signals, and tiers or a probe; leave `inactivity` out",
        ),
        (
            {"guardrails__inactivity": {"signals": ["click"], "tiers": []}},
            r"inactivity\.signals.*did you mean 'clicked'",
        ),
        (
            {"guardrails__inactivity": {"signals": ["sent_red"], "probe": PROBE}},
            r"inactivity\.signals: expected what people do, got 'sent_red', which actions make",
        ),
        (
            {
                "guardrails__inactivity": {"signals": ["clicked"], "probe": PROBE},
                "signals__clicked": {"type": "click"},
            },
            r"what people do, got 'clicked', which machines make too; pin `is_machine: false`",
        ),
        (
            {
                "guardrails__unanswered": {"until": ["clicked"], "hours": 48},
                "signals__clicked": {"type": "click"},
            },
            r"unanswered\.until: .* got 'clicked', which machines make too",
        ),
        (
            {"guardrails__unanswered": {"until": ["sent_red"], "hours": 48}},
            r"unanswered\.until: .* got 'sent_red', which actions make",
        ),
        (
            {
                "guardrails__escalation_needs": ["clicked"],
                "signals__clicked": {"type": "click", "is_machine": True},
            },
            r"escalation_needs: .* got 'clicked', which machines make too",
        ),
        (
            {
                "guardrails__inactivity": {"signals": ["sent_red.value"], "probe": PROBE},
                "signals__sent_red__valued": True,
            },
            r"inactivity\.signals: expected what people do, got 'sent_red', which actions make",
        ),
        (
            {"guardrails__inactivity": {**IDLE, "probe": {"bins": 3, "share": 0.1}}},
            r"inactivity\.tiers: expected more bins in each, the probe's last, got \[3, 3\]",
        ),
        (
            {"guardrails__inactivity": {**IDLE, "probe": {"bins": 4, "share": 1.5}}},
            r"probe\.share: expected a number in \[0\.0, 1\.0\]",
        ),
        ({"guardrails__inactivity": {**IDLE, "probes": PROBE}}, r"inactivity\.probes: no such key"),
        ({"guardrails__repeat_hours": 0}, r"repeat_hours: expected a number in \[0\.25"),
        ({"actions__slow": {"gap_hours": 20, "bins": 4}}, r"gap_hours: expected more than guard"),
        ({"actions__slow": {"gap_hours": 50, "bins": 1}}, r"slow\.bins: expected a whole number"),
        ({"signals": TOY["signals"]}, r"actions\.slow: expected one signal .* got 0; write"),
    ],
)
def test_a_mistake_is_named_by_its_key(changes: dict[str, Any], told: str) -> None:
    if "signals" in changes:
        changes = {**changes, "features": TOY["features"]}
    with pytest.raises(JourneyError, match=told):
        spring(**changes)
