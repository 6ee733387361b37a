"""What is planted in the world of dormant contacts can be read from its logs, and be removed.

Every test knows what a sender would know. Contacts are alike in what a log does not show (warmth
beyond dormancy and past clicks, best hours), so that the planted size itself is expected.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
import pytest
import torch

from nurture_envs.rollout import returns
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.draws import population_keys
from nurture_envs.worlds.re_engagement import (
    LIKED,
    TOPICS,
    ReEngagementParams,
    ReEngagementWorld,
)
from nurture_envs.worlds.recording import Lateness
from nurture_envs.worlds.world import Outcome, Surroundings, View
from nurture_rl.policies.build import PolicyContext, build_policy
from tests.statistical.win_back_fits import (
    CATALOG,
    JOURNEY,
    OPEN,
    PLANTED,
    TRAPS,
    P,
    activations,
    choices,
    clicks,
    log_of,
    logins,
    on_topic,
    purchases,
    qualifications,
    views,
)
from tests.statistical.world_logs import Array, Fit, FloatArray, WorldLog, log_linear


@dataclass(frozen=True, slots=True)
class Effect:
    """A coefficient of a fit to the log, what is planted, and a log without it."""

    fit: Callable[[ReEngagementParams], Fit]
    column: str
    planted: float
    without: str  # of the logs that lack it


EFFECTS = {
    "the liked topic is clicked": Effect(clicks, "topic", P.mail.topic_pull, "a"),
    "the best hour is clicked": Effect(clicks, "hour", P.mail.hour_pull, "b"),
    "a message shown again is clicked less": Effect(clicks, "repeat", -P.mail.repeat_drag, "c"),
    "the tired click less": Effect(clicks, "fatigue", -P.mail.fatigue_drag, "d"),
    "dormancy chills": Effect(views, "silent", -P.view_ready * P.chill, "a"),
    "who clicked in the past is warm": Effect(views, "past", P.view_ready * P.past_gain, "b"),
    "mail on the topic warms": Effect(views, "matched", P.view_ready * P.topic_gain, "c"),
    "other mail warms less": Effect(views, "other", P.view_ready * P.other_gain, "f"),
    "warmth cools": Effect(views, "days", -P.view_ready * P.cooling, "e"),
    "having chosen topics warms": Effect(views, "kept", P.view_ready * P.keep_gain, "f"),
    "the warm look around": Effect(views, "past", P.view_ready * P.past_gain, "g"),
    "the liked topic is viewed": Effect(views, "interest", P.view_interest, "g"),
    "who clicks arrives": Effect(views, "arrived", P.view_clicked, "b"),
    "the warm become active": Effect(activations, "past", P.active_ready * P.past_gain, "c"),
    "who clicks becomes active": Effect(activations, "clicked", P.active_clicked, "a"),
    "the active log in": Effect(logins, "active", P.login_active, "a"),
    "the active are qualified": Effect(qualifications, "active", P.mql_active, "b"),
    "the active buy": Effect(purchases, "active", P.buy_active, "c"),
    "an offer sells": Effect(purchases, "offered", P.buy_offered, "d"),
    "the warm buy": Effect(purchases, "past", P.buy_ready * P.past_gain, "e"),
    "the warm choose topics": Effect(choices, "past", P.past_gain, "b"),
}
# Each removes at most one effect from a channel, or two of different columns.
WITHOUT = {
    "a": replace(
        P, mail=replace(P.mail, topic_pull=0.0), chill=0.0, active_clicked=0.0, login_active=0.0
    ),
    "b": replace(
        P, mail=replace(P.mail, hour_pull=0.0), past_gain=0.0, view_clicked=0.0, mql_active=0.0
    ),
    "c": replace(
        P, mail=replace(P.mail, repeat_drag=0.0), topic_gain=0.0, active_ready=0.0, buy_active=0.0
    ),
    "d": replace(P, mail=replace(P.mail, fatigue_drag=0.0), buy_offered=0.0),
    "e": replace(P, cooling=0.0, buy_ready=0.0),
    "f": replace(P, keep_gain=0.0, other_gain=0.0),
    "g": replace(P, view_ready=0.0, view_interest=0.0),
}


@pytest.mark.parametrize("name", EFFECTS)
def test_an_effect_is_read_from_the_log_and_is_gone_without_its_switch(name: str) -> None:
    effect = EFFECTS[name]
    found = effect.fit(PLANTED)
    assert found.finds(effect.column, effect.planted), found
    assert found.sees(effect.column), found
    assert not effect.fit(WITHOUT[effect.without]).sees(effect.column)


def test_hour_and_fatigue_scale_what_mail_warms() -> None:
    planted, flat = (views(PLANTED, share).log_likelihood for share in (P.gain_share, 0.0))
    assert planted > flat + 4.0
    without = replace(PLANTED, gain_share=0.0)
    planted, flat = (views(without, share).log_likelihood for share in (P.gain_share, 0.0))
    assert flat > planted + 4.0


@pytest.mark.parametrize("says", [0.6, 0.0])
def test_the_recorded_liking_is_the_true_interest_as_often_as_planted(says: float) -> None:
    keen = replace(P.mail, topic_pull=9.0, click_base=-9.0, hour_pull=0.0, fatigue_drag=0.0)
    log = log_of(replace(P, likes_says=says, mail=keen))
    among = log.happened("delivered") & (log.topic(TOPICS) < len(LIKED))
    expected = np.log((says + (1.0 - says) / 3.0) / ((1.0 - says) / 3.0))
    found = log_linear(log.any_of("clicked_"), among, {"liked": on_topic(log)})
    assert found.finds("liked", expected)


@pytest.mark.parametrize("shift", [0.02, 0.0])
def test_interests_move_with_the_planted_chance_a_day(shift: float) -> None:
    log = WorldLog.of(
        ReEngagementWorld(OPEN, replace(P, interest_shift=shift, view_ready=0.0)), 4000, waits=1e6
    )
    liked, bins = log.level("liked", LIKED)[:, 0], log.action.shape[1]
    excess = np.zeros(bins)
    for k, name in enumerate(LIKED):
        viewed = log.happened(f"viewed_{name}")
        excess += viewed[liked == k].mean(axis=0) - viewed[liked != k].mean(axis=0)
    # Those still interested: 1/3 + 2/3 (1 - 3 shift)^bins; the excess is in proportion to the rest.
    kept = (1.0 - 3.0 * shift) ** np.arange(bins)
    halves = [excess[: bins // 2].mean(), excess[bins // 2 :].mean()]
    expected = kept[bins // 2 :].mean() / kept[: bins // 2].mean()
    assert halves[1] / halves[0] == pytest.approx(expected, abs=0.12)


def hits(params: ReEngagementParams) -> tuple[FloatArray, Array, Array]:
    """Months of silence, whether a contact was ever reached, and whether it ever was a trap."""
    log = log_of(params)
    reached, trapped = (
        np.asarray(log.happened(channel).any(axis=1)) for channel in ("delivered", "spam_trap_hit")
    )
    return log.attribute("months_dormant")[:, 0], reached, trapped


@pytest.mark.parametrize("growth", [0.2, 0.0])
@pytest.mark.parametrize("share", [0.6, 0.0])
def test_the_share_of_traps_rises_with_the_months_of_silence(share: float, growth: float) -> None:
    params = replace(TRAPS, trap_share=share, trap_growth=growth, trap_report=1.0)
    months, reached, trapped = hits(params)
    for low, high in ((0.0, 15.0), (15.0, 30.0), (30.0, 99.0)):
        rows = reached & (months >= low) & (months < high)
        chance = share / (1.0 + np.exp(-growth * (months[rows] - params.trap_months)))
        deviation = sqrt((chance * (1.0 - chance)).sum())
        assert abs(trapped[rows].sum() - chance.sum()) <= 4.0 * deviation


@pytest.mark.parametrize("report", [0.5, 0.0])
def test_mail_to_a_trap_is_reported_as_often_as_planted(report: float) -> None:
    log = log_of(replace(TRAPS, trap_share=1.0, trap_growth=0.0, trap_report=report))
    world = ReEngagementWorld(OPEN, replace(TRAPS, trap_share=1.0, trap_growth=0.0))
    traps = world.start(log.keys).latent["trap"].numpy()[:, None]  # half of all
    share = log.happened("spam_trap_hit")[log.happened("delivered") & traps].mean()
    assert share == pytest.approx(report, abs=0.03)


def test_traps_take_mail_but_never_open_click_view_or_come_back() -> None:
    log = log_of(TRAPS)
    trap = log.happened("spam_trap_hit").any(axis=1)
    human = ("opened", "kept_topics", "logged_in", "became_active", "won_back")
    clicks_and_views = [c for c in OPEN.channels if c.startswith(("clicked_", "viewed_"))]
    assert log.count("delivered")[trap].sum() > 100
    assert not log.count(*human, *clicks_and_views)[trap].any()
    assert log.count(*human, *clicks_and_views)[~trap].any()


def test_reports_of_traps_come_late_unless_lateness_is_taken_away() -> None:
    column = JOURNEY.channel_index("spam_trap_hit")
    late = ReEngagementWorld(JOURNEY).delays[:, column]
    assert float(late @ torch.arange(len(late), dtype=late.dtype)) > 1.5
    prompt = replace(ReEngagementParams(), traps_late=Lateness())
    assert float(ReEngagementWorld(JOURNEY, prompt).delays[0, column]) == 1.0


def answer(around: Surroundings, n: int = 20_000) -> Outcome:
    world, keys = ReEngagementWorld(JOURNEY, PLANTED), population_keys(3, n)
    start = world.start(keys)
    action = torch.full((n,), CATALOG.index("send:whats_new@09"))
    bins = torch.zeros(n, dtype=torch.int64)
    view = View(torch.zeros(0, n), action, bins, start.anchor_us, start.latent, around)
    return world.respond(view, keys)


def test_mail_outside_the_inbox_is_delivered_and_not_read() -> None:
    opened, delivered = (JOURNEY.channel_index(c) for c in ("opened", "delivered"))
    full, half, none = (
        answer(Surroundings(inbox_share=share)).amounts for share in (1.0, 0.5, 0.0)
    )
    assert torch.equal(full[delivered], none[delivered])
    assert not none[opened].any()
    ratio = float(half[opened].sum() / full[opened].sum())
    assert ratio == pytest.approx(0.5, abs=4.0 / sqrt(float(full[opened].sum())))


def test_colleagues_tire_and_their_talks_warm() -> None:
    alone, beset = (
        answer(around, 50).latent
        for around in (Surroundings(), Surroundings(torch.full((50,), 2.0), torch.ones(50), 1.0))
    )
    torch.testing.assert_close(
        beset["fatigue"] - alone["fatigue"], torch.full((50,), 2.0 * P.account.send_fatigue)
    )
    torch.testing.assert_close(
        beset["ready"] - alone["ready"], torch.full((50,), P.account.talk_gain), atol=1e-5, rtol=0.0
    )


def test_traps_cost_inbox_and_without_their_switch_they_do_not() -> None:
    share, totals = torch.tensor(0.9), torch.zeros(len(JOURNEY.channels))
    totals[JOURNEY.channel_index("sent_news")] = 1000.0
    clean = ReEngagementWorld(JOURNEY).next_inbox_share(share, totals)
    totals[JOURNEY.channel_index("spam_trap_hit")] = 30.0
    loss = ReEngagementParams().reputation.trap_loss
    for planted in (loss, 0.0):
        params = ReEngagementParams()
        params = replace(params, reputation=replace(params.reputation, trap_loss=planted))
        after = ReEngagementWorld(JOURNEY, params).next_inbox_share(share, totals)
        assert float(clean - after) == pytest.approx(0.9 * planted * 0.03, abs=1e-5)


def value_of_the_drip(params: ReEngagementParams, n: int = 12_000) -> tuple[float, float]:
    """What mailing the long dormant earns over leaving them alone, and its standard error."""
    simulation = Simulation(ReEngagementWorld(JOURNEY, params))
    context = PolicyContext(JOURNEY, simulation.catalog, simulation.spec)
    drip, nothing = (
        returns(simulation, build_policy(kind, context), n, seed=4).value
        for kind in ("drip", "no_contact")
    )
    months = simulation.world.start(population_keys(4, n)).attributes[
        simulation.spec.attribute_columns.index("months_dormant")
    ]
    gain = (drip - nothing)[months.numpy() >= 30]
    return float(gain.mean()), float(gain.std() / sqrt(len(gain)))


def test_letting_the_long_dormant_go_pays_because_of_traps() -> None:
    gain, stderr = value_of_the_drip(ReEngagementParams())
    assert gain < -3.0 * stderr
    gain, stderr = value_of_the_drip(replace(ReEngagementParams(), trap_share=0.0))
    assert gain > -3.0 * stderr


@pytest.mark.parametrize("spread", [1.0, 0.0])
def test_contacts_differ_in_warmth_beyond_what_the_sender_knows(spread: float) -> None:
    alike = replace(P, warmth_spread=spread, chill=0.0, past_gain=0.0)
    log = WorldLog.of(ReEngagementWorld(OPEN, alike), n=4000, waits=1e6)
    viewed = log.count(*(f"viewed_{name}" for name in LIKED))
    early, late = viewed[:, ::2].sum(axis=1), viewed[:, 1::2].sum(axis=1)
    correlation = float(np.corrcoef(early, late)[0, 1])
    assert (correlation > 0.1) if spread else (abs(correlation) < 4.0 / sqrt(len(early)))
