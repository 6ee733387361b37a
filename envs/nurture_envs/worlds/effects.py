"""Mechanisms that every reference world shares: how people, machines and colleagues treat mail.

Pure functions along contacts; every tensor is [n] unless said otherwise. A world keeps the traits
and moods below among its latents, and combines the functions with its own story. Parameters are
log-odds unless said otherwise, and 0 removes the effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, pi, tau

import torch
from torch import Tensor

from nurture_envs.worlds.draws import START, normals, uniforms
from nurture_envs.worlds.zones import hidden_zones

MAIL_DRAWS = 6  # uniform draws a bin
_TRAITS, _TRAIT_NORMALS = 4, 5  # streams of luck
_BYTE = 8  # bits a message has in the record of showings
_NEVER_SHOWN = 0
_MOST_LEAVE = 0.5  # chance per message that nobody's irritation exceeds

WeekdayEffects = tuple[float, float, float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class MailParams:
    """How people and machines treat mail; log-odds unless said otherwise."""

    # Reaching them

    delivery: float = 0.985  # chance that mail to a good address arrives
    unreachable: float = 0.006  # share of addresses that bounce
    proxy_share: float = 0.45  # share whose mail proxy opens everything
    gateway_share: float = 0.03  # share whose security gateway follows every link

    # What a message is worth to them: its appeal

    topic_pull: float = 1.4  # on the topic of interest
    hour_pull: float = 0.55  # at the best hour
    best_hours: tuple[float, float] = (9.0, 15.0)  # local hours around which best hours lie
    hour_spread: float = 1.2  # hours: standard deviation around them
    hour_width: float = 2.5  # hours off the best one at which exp(-1/2) of its effect is left
    weekdays: WeekdayEffects = (0.0, 0.1, 0.1, 0.05, -0.1, -0.4, -0.4)  # Monday first
    repeat_drag: float = 1.0  # the same message shown again at once
    repeat_half_life: float = 7.0  # days in which a message recovers half
    fatigue_drag: float = 0.5  # per unit of fatigue
    fatigue_half_life: float = 5.0  # days; fatigue counts sends

    # What they do

    open_base: float = -1.3  # a human opens a seen message
    open_share: float = 0.4  # share of the appeal that the subject line shows
    click_base: float = -5.0  # a click on a seen message
    click_ready: float = 0.5  # per unit of readiness
    reply_base: float = -6.0  # a reply class of weight 1
    reply_mix: tuple[float, ...] = (1.0, 1.0, 1.0)  # weight of each reply class
    reply_ready: float = 0.7  # per unit of readiness
    reply_share: float = 0.35  # share of the appeal

    # How they leave

    leave_base: float = 0.0011  # chance per delivered message without irritation, in [0, 1]
    leave_fatigue: float = 0.9  # per unit of fatigue beyond what is borne
    leave_irrelevant: float = 0.5  # off the topic of interest
    complaint_share: float = 0.12  # complaints per unsubscribe
    tolerance: float = 0.5  # sends a week that half of the contacts bear
    tolerance_spread: float = 0.6  # standard deviation of its logarithm


@dataclass(frozen=True, slots=True)
class AccountParams:
    """What contacts of the same account do to each other."""

    send_fatigue: float = 0.25  # fatigue per send to a colleague
    talk_gain: float = 0.3  # readiness per colleague who begins to talk to sales
    talk_damp: float = 0.15  # readiness lost by it where a conversation is already open


@dataclass(frozen=True, slots=True)
class Mailing:
    """The mail of one bin as it meets the contacts; each [n]."""

    sent: Tensor  # bool
    message: Tensor  # i64: position of the message, 0 where nothing is sent
    topic: Tensor  # i64: position of its topic, -1 where nothing is sent
    match: Tensor  # bool: on the topic of interest
    hour: Tensor  # f32: the contact's true local hour
    weekday: Tensor  # f32: log-odds of the weekday
    bins: Tensor  # i64
    days: float  # days of one bin
    inbox_share: Tensor | float  # of delivered mail


@dataclass(frozen=True, slots=True)
class MailAnswers:
    """What a bin's mail brought; each [n] bool, and the appeal it was met with."""

    delivered: Tensor
    bounced: Tensor
    seen: Tensor  # delivered to the inbox
    opened: Tensor  # by a human
    machine_opened: Tensor
    clicked: Tensor  # by a human
    machine_clicked: Tensor
    replied: tuple[Tensor, ...]  # one per class of `reply_mix`
    unsubscribed: Tensor
    complained: Tensor
    appeal: Tensor  # [n] f32 log-odds


def mail_traits(params: MailParams, keys: Tensor, zone_known: Tensor) -> dict[str, Tensor]:
    """Latents of contacts as they enter: how they treat mail, and no mail yet."""
    u, z = uniforms(keys, START, _TRAITS, 4), normals(keys, START, _TRAIT_NORMALS, 2)
    early, late = params.best_hours
    bears = params.tolerance * torch.exp(params.tolerance_spread * z[1])
    return {
        "best_hour": torch.where(u[0] < 0.5, early, late) + params.hour_spread * z[0],
        "bears": bears * fatigue_of_weekly_send(params),
        "reachable": u[1] >= params.unreachable,
        "proxy": u[2] < params.proxy_share,
        "gateway": u[3] < params.gateway_share,
        "fatigue": torch.zeros_like(bears),
        "shown": torch.full_like(keys, _NEVER_SHOWN),
        "zone": hidden_zones(keys, zone_known),
    }


def fatigue_of_weekly_send(params: MailParams) -> float:
    """The mean fatigue that one send a week keeps up."""
    return 1.0 / (7.0 - 7.0 * exp(-log(2.0) / params.fatigue_half_life))


def hour_fit(hour: Tensor, best: Tensor, width: float) -> Tensor:
    """Nearness of an hour to the best one on the circle of the day, in (0, 1].

        exp(k (cos(2 pi (hour - best) / 24) - 1)),   k = (24 / (2 pi width))^2

    which is exp(-1/2) about `width` hours off. Source: the von Mises density.
    """
    k = (12.0 / (pi * width)) ** 2
    return torch.exp(k * (torch.cos((hour - best) * (tau / 24.0)) - 1.0))


def staleness(
    shown: Tensor, message: Tensor, bins: Tensor, days: float, half_life: float
) -> Tensor:
    """Wear of a message: 0.5^(days since it was shown / half-life), 0 if it was never shown.

    Args:
        shown: bin of the last showing + 1 of each message, a byte each: see `mark_shown`.
        message: position of the message about to be shown, at most 7.
        bins: the current bin, at most 254.
        days: days of one bin.
        half_life: days in which a message recovers half.

    Source: Yancey & Settles (2020), A Sleeping, Recovering Bandit Algorithm for Optimizing
        Recurring Notifications.
    """
    at = (shown >> (message * _BYTE)) & 0xFF
    since = (bins + 1 - at).to(torch.float32) * days
    return torch.exp2(since * (-1.0 / half_life)) * (at != _NEVER_SHOWN)


def mark_shown(shown: Tensor, message: Tensor, bins: Tensor, where: Tensor) -> Tensor:
    """The record of showings after `message` was shown in `bins` to the contacts of `where`."""
    place = message * _BYTE
    fresh = (shown & ~(0xFF << place)) | ((bins + 1) << place)
    return torch.where(where, fresh, shown)


def appeal_of(params: MailParams, mailing: Mailing, latent: dict[str, Tensor]) -> Tensor:
    """What a message is worth to each contact beside its readiness, [n] log-odds."""
    p = params
    fit = hour_fit(mailing.hour, latent["best_hour"], p.hour_width)
    stale = staleness(
        latent["shown"], mailing.message, mailing.bins, mailing.days, p.repeat_half_life
    )
    pull = p.topic_pull * mailing.match + p.hour_pull * fit + mailing.weekday
    return pull - p.repeat_drag * stale - p.fatigue_drag * latent["fatigue"]


def mail_answers(
    params: MailParams,
    mailing: Mailing,
    latent: dict[str, Tensor],
    u: Tensor,
) -> MailAnswers:
    """How contacts and machines answer the mail of a bin.

    A message gets at most one reply, and at most one of complaint and unsubscription.

    Args:
        params: the planted truth.
        mailing: the mail.
        latent: `mail_traits`, and `ready` [n].
        u: uniform draws, [MAIL_DRAWS, n].
    """
    p, ready = params, latent["ready"]
    arrives, inbox, opens, clicks, replies, leaving = u.unbind()
    delivered = mailing.sent & latent["reachable"] & (arrives < p.delivery)
    seen = delivered & (inbox < mailing.inbox_share)
    appeal = appeal_of(p, mailing, latent)
    opened = seen & (opens < torch.sigmoid(p.open_base + p.open_share * appeal))
    clicked = seen & (clicks < torch.sigmoid(p.click_base + p.click_ready * ready + appeal))
    reply = torch.sigmoid(p.reply_base + p.reply_ready * ready + p.reply_share * appeal)
    irritation = torch.relu(latent["fatigue"] - latent["bears"])
    drive = p.leave_fatigue * irritation - p.leave_irrelevant * mailing.match
    chance = p.leave_base * exp(p.leave_irrelevant) * torch.exp(drive)
    leave = torch.clamp(chance, max=_MOST_LEAVE)
    complained, unsubscribed = _one_of(leaving, leave, (p.complaint_share, 1.0), seen)
    return MailAnswers(
        delivered=delivered,
        bounced=mailing.sent & ~latent["reachable"],
        seen=seen,
        opened=opened,
        machine_opened=seen & latent["proxy"],
        clicked=clicked,
        machine_clicked=delivered & latent["gateway"],
        replied=_one_of(replies, reply, p.reply_mix, seen),
        unsubscribed=unsubscribed,
        complained=complained,
        appeal=appeal,
    )


def _one_of(
    u: Tensor, chance: Tensor, weights: tuple[float, ...], where: Tensor
) -> tuple[Tensor, ...]:
    """At most one of several exclusive events by one draw; event k has weights[k] * chance."""
    place, chosen, edge, below = u / chance, [], 0.0, None
    for weight in weights:
        edge += weight
        reached = where & (place < edge)
        chosen.append(reached if below is None else reached ^ below)
        below = reached
    return tuple(chosen)


def mail_carry_over(
    params: MailParams,
    mailing: Mailing,
    latent: dict[str, Tensor],
    colleague_fatigue: Tensor | float = 0.0,
) -> dict[str, Tensor]:
    """The latents of `mail_traits` that a bin changes: fatigue, and what was shown when."""
    kept = 2.0 ** (-mailing.days / params.fatigue_half_life)
    shown = mark_shown(latent["shown"], mailing.message, mailing.bins, mailing.sent)
    return {"fatigue": latent["fatigue"] * kept + mailing.sent + colleague_fatigue, "shown": shown}


def talk_effect(params: AccountParams, talks: Tensor | float, conversing: Tensor) -> Tensor:
    """Readiness that colleagues' talks with sales give, or take in an open conversation."""
    return torch.where(conversing, -params.talk_damp, params.talk_gain) * talks


def shifted_interest(interest: Tensor, chance: float, topics: int, u: Tensor) -> Tensor:
    """The topic of interest after a bin in which it is drawn anew with a chance, by one draw."""
    if chance <= 0.0:
        return interest
    fresh = torch.clamp(u * (topics / chance), max=topics - 1).to(interest.dtype)
    return torch.where(u < chance, fresh, interest)


def mail_events(
    answers: MailAnswers,
    topic: Tensor,
    topics: tuple[str, ...],
    reply_classes: tuple[str, ...] = ("positive", "objection", "question"),
) -> dict[str, Tensor]:
    """Answers by the channel names that reference journeys give them; clicks by topic."""
    events = {
        "delivered": answers.delivered,
        "bounced": answers.bounced,
        "opened": answers.opened,
        "opened_by_machine": answers.machine_opened,
        "gateway_clicked": answers.machine_clicked,
        "unsubscribed": answers.unsubscribed,
        "complained": answers.complained,
    }
    events |= {f"clicked_{name}": answers.clicked & (topic == i) for i, name in enumerate(topics)}
    replies = zip(reply_classes, answers.replied, strict=True)
    return events | {f"replied_{name}": replied for name, replied in replies}


def channel_sums(channels: tuple[str, ...], events: dict[str, Tensor]) -> Tensor:
    """What happened by channel, [c, n] f32; channels that are not named are 0."""
    nothing = torch.zeros_like(next(iter(events.values())), dtype=torch.bool)
    rows = [events.get(channel, nothing) for channel in channels]
    happened = [row if row.dtype == torch.bool else nothing for row in rows]
    # Bytes become floats several times faster than booleans do.
    sums = torch.stack(happened).view(torch.uint8).to(torch.float32)
    for position, row in enumerate(rows):
        if row.dtype != torch.bool:
            sums[position] = row
    return sums
