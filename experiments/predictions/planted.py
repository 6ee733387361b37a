"""Clickbait, an early index that points the wrong way, and outcomes of ninety days, all planted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_rl.predictions.surrogate_index import (
    OPPOSITE,
    effects_on_both,
    fit_surrogate_index,
)
from nurture_rl.predictions.topic_affinity import TopicMails, told_topics
from nurture_rl.predictions.window_hazards import Watched, fit_window_hazards

FloatArray = NDArray[np.float64]
BAIT, PAYOFF = 0, 1
TOPICS = ("bait", "payoff")
DAYS = 90.0  # until outcomes are known


def best_topic(seed: int, n: int = 6000) -> dict[str, str]:
    """The topic that each rule prefers; bait is clicked thrice as often and brings half as many on.

    The programme mails bait to who is ready anyway, so that counting without propensities is wrong.
    """
    rng = np.random.default_rng(seed)
    ready = rng.random(n) < 0.5
    to_bait = np.where(ready, 0.9, 0.1)
    topic = np.where(rng.random(n) < to_bait, BAIT, PAYOFF)
    came = rng.random(n) < np.where(topic == BAIT, 0.08, 0.16) + 0.2 * ready
    clicked = rng.random(n) < np.where(topic == BAIT, 0.3, 0.1)
    weight = 1.0 / np.where(topic == BAIT, to_bait, 1.0 - to_bait)
    one = np.zeros(n, np.int64)
    found = told_topics(TopicMails(topic, weight, came, one, np.arange(n)), clicked, TOPICS)
    plain = told_topics(TopicMails(topic, np.ones(n), came, one, np.arange(n)), clicked, TOPICS)
    return {
        "progression": found[0].topic,
        "progression without propensities": plain[0].topic,
        "clicks": max(found, key=lambda told: told.clicks).topic,
    }


def is_warned(seed: int, effect: float, n: int = 8000) -> bool:
    """Whether the index of clicks is said to point the wrong way.

    Args:
        seed: of the contacts.
        effect: of a mail on the late outcome, log-odds; it always brings clicks.
        n: contacts.
    """
    rng = np.random.default_rng(seed)
    keen = rng.normal(size=n)
    p = np.where(keen > 0, 0.7, 0.3)
    mailed = rng.random(n) < p
    clicks = rng.poisson(np.exp(0.3 + 0.6 * keen + 0.7 * mailed)).astype(float)
    deal = rng.random(n) < 1.0 / (1.0 + np.exp(1.6 - keen - effect * mailed))
    half = n // 2
    index = fit_surrogate_index(clicks[:half, None], deal[:half]).of(clicks[half:, None])
    told = effects_on_both(index, deal[half:], {"mail": mailed[half:]}, {"mail": p[half:]})
    return told[0].verdict == OPPOSITE


@dataclass(frozen=True, slots=True, eq=False)
class LateLog:
    """A log that is read on day 180; a deal comes up to 90 days after its decision."""

    x: FloatArray  # what is known of a contact, [n]
    offer: NDArray[np.bool_]  # it got the offer, else the guide, [n]
    propensity: FloatArray  # the programme's chance of the offer, [n]
    until: FloatArray  # days until the deal, infinite where there is none, [n]
    days: FloatArray  # watched, [n]
    early: FloatArray  # clicks in the first week, [n]


def deal_chance(x: FloatArray, offer: NDArray[np.bool_]) -> FloatArray:
    """The planted truth: the guide is worth more to contacts below -0.5, the offer to others."""
    return np.asarray(1.0 / (1.0 + np.exp(1.8 - np.where(offer, 1.0, -1.0) * (0.3 + 0.6 * x))))


def late_log(seed: int, clickbait: bool, n: int = 12_000) -> LateLog:
    """A programme that turned to the offer on day 90, so that few of its offers are mature.

    Args:
        seed: of the contacts.
        clickbait: whether early clicks come of the guide instead of what leads to deals.
        n: contacts, who enter evenly over 180 days.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    day = rng.uniform(0.0, 180.0, n)
    propensity = np.where(day > 90.0, 0.8, 0.2)
    offer = rng.random(n) < propensity
    chance = deal_chance(x, offer)
    comes = rng.random(n) < chance
    until = np.where(comes, rng.uniform(30.0, DAYS, n), np.inf)
    lure = np.where(offer, 0.0, 1.5) if clickbait else 3.0 * chance
    early = rng.poisson(0.3 + lure + 1.0 * comes).astype(float)
    days = np.minimum(180.0 - day, DAYS)
    return LateLog(x, offer, propensity, np.where(until <= days, until, np.inf), days, early)


def shares_of_the_best(log: LateLog, seed: int) -> dict[str, float]:
    """True value of each way of learning, 0 for the better fixed action and 1 for the best policy.

    Ways: deals that did not come yet are none; only contacts whose ninety days are over; open
    windows by the days that were watched; the early index.
    """
    whole, came = log.days >= DAYS - 1e-9, np.isfinite(log.until)
    everybody = np.ones(log.x.size, bool)
    index = fit_surrogate_index(log.early[whole, None], came[whole]).of(log.early[:, None])
    return {
        "naive": _worth(_learned(log, came.astype(float), everybody), seed),
        "matured": _worth(_learned(log, came.astype(float), whole), seed),
        "open windows": _worth(_hazards(log), seed),
        "early index": _worth(_learned(log, index, log.days >= 7.0), seed),
    }


def late_index_is_warned_of(log: LateLog) -> bool:
    """Whether the early index is said to point the wrong way, by contacts that matured."""
    whole = np.flatnonzero(log.days >= DAYS - 1e-9)
    first, rest = whole[: whole.size // 2], whole[whole.size // 2 :]
    came = np.isfinite(log.until)
    index = fit_surrogate_index(log.early[first, None], came[first]).of(log.early[rest, None])
    told = effects_on_both(
        index, came[rest], {"offer": log.offer[rest]}, {"offer": log.propensity[rest]}
    )
    return told[0].verdict == OPPOSITE


def _learned(log: LateLog, outcome: FloatArray, rows: NDArray[np.bool_]) -> FloatArray:
    """Least squares of the gain of the offer in x: intercept and slope, [2]."""
    parts = []
    for side in (log.offer, ~log.offer):
        of = rows & side
        design = np.column_stack([np.ones(of.sum()), log.x[of]])
        parts.append(np.linalg.lstsq(design, outcome[of], rcond=None)[0])
    return np.asarray(parts[0] - parts[1])


def _hazards(log: LateLog) -> FloatArray:
    """The same from chances of ninety days, fitted to open windows, too."""
    n = log.x.size
    watched = Watched(np.zeros(n), log.until, log.days)
    sign = np.where(log.offer, 1.0, -1.0)
    features = np.column_stack([log.x, sign, sign * log.x]).astype(np.float32)
    edges = np.array([0.0, np.inf])
    aside = np.arange(n) % 4 == 0
    model = fit_window_hazards(features, watched, np.arange(n), aside, edges, (30.0, 60.0, DAYS))
    at = np.linspace(-2.0, 2.0, 41)
    chance = [
        model.chance(
            np.column_stack([at, np.full(41, s), s * at]).astype(np.float32), np.zeros(41), DAYS
        )
        for s in (1.0, -1.0)
    ]
    design = np.column_stack([np.ones(41), at])
    return np.asarray(np.linalg.lstsq(design, chance[0] - chance[1], rcond=None)[0])


def _worth(gain: FloatArray, seed: int, n: int = 100_000) -> float:
    x = np.random.default_rng(10_000 + seed).normal(size=n)
    yes, no = deal_chance(x, np.ones(n, bool)), deal_chance(x, np.zeros(n, bool))
    got = float(np.where(gain[0] + gain[1] * x > 0.0, yes, no).mean())
    fixed, best = max(float(yes.mean()), float(no.mean())), float(np.maximum(yes, no).mean())
    return (got - fixed) / (best - fixed)
