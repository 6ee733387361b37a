"""Prices of events reach what is learned and never what is judged; limits on what is used up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nurture_envs.journey_file import load_journey
from nurture_rl.appraisal.price_findings import Used, UseLimit
from nurture_rl.errors import ConfigError
from nurture_rl.learned.choice_rules import Greedy
from nurture_rl.learned.priced_reward import channels_of, price_weights, with_prices
from nurture_rl.learned.scored import ScoredModule, ScoredPolicy
from nurture_rl.policies.build import build_policy
from nurture_rl.rl.ppo import PPOConfig
from nurture_rl.workflow import learned_from_log, learned_in_world
from nurture_rl.workflow.learned_from_log import training_log
from nurture_rl.workflow.learners import LEARNERS, Learner, Source
from nurture_rl.workflow.policy_stage import learned_policy
from nurture_rl.workflow.run_config import PolicyConfig
from nurture_rl.workflow.simulated import Played
from nurture_rl.workflow.stages import Workshop
from nurture_rl.workflow.training import Training
from nurture_rl.workflow.use_limits import asked_limits, used
from tests.pipeline.in_process import nurture
from tests.unit.workflow.small_log import CONTEXT, JOURNEY, logged_by
from tests.unit.workflow.test_use_limits import config

INBOUND = load_journey("inbound_lead")
MAILS = ("sent_security", "sent_integration", "sent_pricing", "sent_product")


def task(prices: dict[str, float]) -> Training:
    core = {"kind": "model", "name": "core"}
    policy = PolicyConfig(name="p", learner="ppo", spec=core, prices=prices)
    return Training(policy, JOURNEY, Path("ingested"), Path("world"), 0.5, 0, lambda line: None)


def test_a_price_of_sends_is_one_of_every_mail() -> None:
    assert channels_of(INBOUND, "send", "prices") == MAILS
    weights = price_weights(INBOUND, {"send": 2.0, "sent_pricing": 1.0})
    found = {name: w for name, w in zip(INBOUND.channels, weights, strict=True) if w}
    assert found == {**dict.fromkeys(MAILS, 2.0), "sent_pricing": 3.0}


def test_prices_come_off_the_reward_that_is_learned() -> None:
    before = dict(INBOUND.reward.weights)
    after = dict(with_prices(INBOUND, {"unsubscribed": 5.0, "bounced": 1.0}).reward.weights)
    assert after["unsubscribed"] == before["unsubscribed"] - 5.0
    assert after["bounced"] == before.get("bounced", 0.0) - 1.0
    assert {
        name: one for name, one in after.items() if name not in ("unsubscribed", "bounced")
    } == {name: one for name, one in before.items() if name not in ("unsubscribed", "bounced")}
    assert with_prices(INBOUND, {}) is INBOUND


@pytest.mark.parametrize(
    ("prices", "told"),
    [
        ({"unsubscribe": 1.0}, "did you mean 'unsubscribed'"),
        ({"nothing_of_it": 1.0}, "no such signal; known are send, "),
        ({"send": float("nan")}, "expected a finite price"),
    ],
)
def test_prices_of_nothing_are_refused(prices: dict[str, float], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        with_prices(INBOUND, prices)


def test_a_log_is_learned_from_with_its_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    decisions = replace(
        logged_by(build_policy("random", CONTEXT)), reward=np.zeros(len(logged().action))
    )
    monkeypatch.setattr(learned_from_log, "load_decisions", lambda *given: decisions)
    plain, priced = (training_log(task(prices)) for prices in ({}, {"send": 2.0}))
    mails = [JOURNEY.channel_index(name) for name in MAILS]
    rows = ~decisions.held_out & decisions.complete
    sent = decisions.amounts[rows][:, mails].sum(axis=1)
    assert sent.sum() > 0
    np.testing.assert_allclose(priced.reward - plain.reward, -2.0 * sent)
    first = np.flatnonzero(np.diff(priced.episode, prepend=-1))
    whole = np.bincount(priced.episode, weights=priced.reward)
    if JOURNEY.reward.discount == 1.0:
        np.testing.assert_allclose(priced.returns[first], whole)
    assert (priced.returns[first] < plain.returns[first]).any()


def logged() -> Any:
    return logged_by(build_policy("random", CONTEXT))


def test_a_world_is_played_with_its_prices_and_is_another_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    journeys: list[Any] = []
    monkeypatch.setattr(
        learned_in_world,
        "learned_simulation",
        lambda world, journey, more: journeys.append(journey),
    )
    monkeypatch.setattr(learned_in_world, "save_scored", lambda *given: None)
    module = ScoredModule((np.zeros(1), np.ones(1)), [], np.zeros((1, 2, 2)), Greedy())
    trained = ScoredPolicy("hash", ("x",), module, {})
    monkeypatch.setitem(LEARNERS, "ppo", Learner(PPOConfig, Source.WORLD, lambda *given: trained))
    workshop = Workshop(tmp_path, lambda line: None)
    folders = {
        learned_policy(workshop, task(prices), PPOConfig()) for prices in ({}, {"send": 2.0})
    }
    assert len(folders) == 2
    plain, priced = (dict(one.reward.weights) for one in journeys)
    assert priced["sent_pricing"] == plain.get("sent_pricing", 0.0) - 2.0


def amounts(**events: float) -> np.ndarray:
    """Of two contacts, the first of whom saw these events."""
    table = np.zeros((2, len(INBOUND.channels)))
    for name, count in events.items():
        table[0, INBOUND.channel_index(name)] = count
    return table


def test_limits_are_those_asked_for_and_those_of_the_journey() -> None:
    found = asked_limits(config(at_most={"send": 1.5}), INBOUND, amounts(unsubscribed=1.0))
    by_name = {one.name: one for one in found}
    assert by_name["send"] == UseLimit("send", MAILS, 1.5)
    assert by_name["opt-outs, beside the reference"].at_most == pytest.approx(0.51)
    assert by_name["hard bounces"] == UseLimit("hard bounces", ("bounced",), 0.05, "send")
    with pytest.raises(ConfigError, match=r"at_most\.send: expected a number of 0 or more, got -1"):
        asked_limits(config(at_most={"send": -1.0}), INBOUND, amounts())


def test_a_limit_per_mail_prices_what_goes_wrong_and_pays_for_mails() -> None:
    limit = UseLimit("bounces", ("bounced",), 0.05, "send")
    assert limit.prices(10.0, INBOUND) == {"bounced": 10.0, "send": -0.5}
    assert UseLimit("mails", MAILS, 2.0).prices(3.0, INBOUND) == {"send": 3.0}


def test_what_is_used_up_is_bounded_from_above() -> None:
    limits = (UseLimit("opt-outs", ("unsubscribed",), 0.02), UseLimit("send", MAILS, 2.0))
    table = np.zeros((1000, len(INBOUND.channels)))
    table[:500, INBOUND.channel_index("sent_pricing")] = 3.0
    played = Played(np.ones((2, 1000)), table, np.zeros((1, 1)), {}, 1)
    found = used(played, INBOUND, limits, "send", 0.95)
    assert found.use == (0.0, 1.5)
    assert found.sends == found.mixed == 1.5
    # Of no event among n the exact bound at level 1 - e is -log(e) / n; both limits share 0.05.
    assert found.upper[0] == pytest.approx(-np.log(0.025) / 1000, rel=1e-6)
    assert found.upper[1] == pytest.approx(1.5 + 1.96 * 1.5 / 1000**0.5, rel=1e-3)
    assert found.kept(limits)
    assert not found.kept((replace(limits[0], at_most=0.003), limits[1]))


def test_who_mails_nobody_keeps_to_limits_per_mail() -> None:
    limits = (UseLimit("hard bounces", ("bounced",), 0.05, "send"),)
    assert Used(1.0, 0.1, (0.0,), (0.01,), 0.0, 0.0).kept(limits)
    assert not Used(1.0, 0.1, (0.0,), (0.01,), 0.1, 0.1).kept(limits)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["policy=drip"], "policy: expected one that is learned, such as policy=cql"),
        (["+at_most.unsubscribe=1"], "did you mean 'unsubscribed'"),
        (["data.trust.max_ratio=auto"], "expected a number here"),
        (["frontier=[0]"], "frontier: expected shares above 0"),
        (["+policy.prices.send=1"], "policy.prices: they are what is sought"),
    ],
)
def test_settings_of_the_search_are_told_before_any_work(
    words: list[str], told: str, tmp_path: Path
) -> None:
    ended = nurture("prices", f"runs={tmp_path / 'runs'}", *words)
    assert ended.code == 2
    assert told in ended.stderr
    assert not list(tmp_path.glob("runs/stages/*"))
