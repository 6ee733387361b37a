"""Scores of how contacts treat mail: affinity to topics by what comes of them, and fatigue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import DAY_US
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_rl.errors import FitError
from nurture_rl.predictions.landmarks import Landmarks
from nurture_rl.predictions.mail_tolerance import WEEKLY, mail_tolerance, pressure_at
from nurture_rl.predictions.predicted_outcomes import PredictedOutcome, predicted_outcomes
from nurture_rl.predictions.topic_affinity import (
    NO_TOPIC,
    ToldTopic,
    TopicMails,
    told_topics,
    topic_affinity,
)

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

WINDOW = 7.0  # days in which a mail brings a contact on, or is answered
PROGRESS, ANSWER = "progress", "answer"
_MOST_WEIGHT = 50.0  # of a decision: one that was hardly ever made does not stand for everybody


@dataclass(frozen=True, slots=True, eq=False)
class MailedDecisions:
    """What each decision of a log mailed, and how likely that was; all [n]."""

    topic: IntArray  # position in `topics`, NO_TOPIC where nothing was mailed
    chance: FloatArray  # the logging policy's, of each topic, [n, topics]; NaN: not known
    topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ToldMailing:
    """What is told of topics and of fatigue."""

    topics: tuple[ToldTopic, ...]
    topics_by: str  # how topics were compared, or why not
    segments: dict[str, float]  # mails a week that half of a segment bears
    fatigue_by: str  # how tolerances were fitted, or why not


@dataclass(frozen=True, slots=True, eq=False)
class MailHistory:
    """What decisions of a log mailed, to whom, and what came of it."""

    marks: Landmarks  # decisions; its columns of outcomes end with PROGRESS and ANSWER
    mailed: MailedDecisions
    segment: IntArray  # of each contact code, [contacts]
    segments: tuple[str, ...]  # names
    late: float  # days by which a next step may be recorded late


def mail_outcomes(journey: Journey) -> tuple[PredictedOutcome, ...]:
    """A next step, and an answer to mail: what mail is judged by."""
    known = {one.name: one for one in predicted_outcomes(journey)}
    steps = (*(signal for _, signal in journey.stages), *known["convert"].signals)
    answer = known["engage"].signals if "engage" in known else ()
    return (
        PredictedOutcome(PROGRESS, "enters the next stage", tuple(dict.fromkeys(steps))),
        PredictedOutcome(ANSWER, "clicks or answers", answer),
    )


def mailed_decisions(
    actions: list[str], probabilities: list[list[float]], propensity: FloatArray, journey: Journey
) -> MailedDecisions:
    """What each decision mailed.

    Args:
        actions: ids, [n].
        probabilities: the logging policy's over the catalogue, [n] lists; empty: not known.
        propensity: of the action, NaN: not known, [n].
        journey: names messages and their topics.
    """
    catalog = ActionCatalog.of(journey)
    topics = tuple(dict.fromkeys(one.topic for one in journey.messages))
    of_action = np.array(
        [NO_TOPIC if a.message is None else topics.index(a.message.topic) for a in catalog.actions]
    )
    taken = of_action[catalog.indices(actions)]
    chance = np.full((len(actions), len(topics)), np.nan)
    whole = np.array([len(row) == len(of_action) for row in probabilities], bool)
    if whole.any():
        table = np.array([row for row, ok in zip(probabilities, whole, strict=True) if ok])
        chance[whole] = np.stack([table[:, of_action == k].sum(1) for k in range(len(topics))], 1)
    rest = np.flatnonzero(~whole & (taken != NO_TOPIC))
    chance[rest, taken[rest]] = propensity[rest]
    return MailedDecisions(taken.astype(np.int64), chance, topics)


def segments_of(
    features: NDArray[np.float32], contact: IntArray, contacts: int, journey: Journey
) -> tuple[IntArray, tuple[str, ...]]:
    """Each contact's segment: the level of one attribute, that which names topics where one does.

    Args:
        features: of decisions, [n, d].
        contact: code of each, [n].
        contacts: how many there are.
        journey: its features and topics.

    Returns:
        Codes, [contacts], and names; the last is of contacts at no level.
    """
    spec = FeatureSpec.of(journey)
    topics = {one.topic for one in journey.messages}
    named = [one for one in journey.features if one.kind == "attribute" and len(one.levels) > 1]
    if not named:
        return np.zeros(contacts, np.int64), ("all",)
    best = max(named, key=lambda one: len(topics & set(one.levels)))
    columns = [spec.column(name) for name in spec.names(best)]
    held = features[:, columns]
    level = np.where(held.max(axis=1) > 0.0, held.argmax(axis=1), len(columns))
    segment = np.full(contacts, len(columns), np.int64)
    segment[contact] = level
    return segment, (*(f"{best.name}={level}" for level in best.levels), f"{best.name}: other")


def affinities(
    of: MailHistory, as_of_us: int, contact: IntArray
) -> tuple[dict[str, FloatArray], tuple[ToldTopic, ...], str]:
    """Chance of a next step within `WINDOW` days by topic, shrunken.

    Args:
        of: decisions of the log.
        as_of_us: up to when the log is complete, UTC.
        contact: codes of contacts to score, [n].

    Returns:
        Columns such as `affinity_pricing`, [n] each; what each topic brought; how, or why not.
    """
    marks, mailed = of.marks, of.mailed
    rows = np.flatnonzero((mailed.topic != NO_TOPIC) & (marks.watched(as_of_us, of.late) >= WINDOW))
    if not rows.size or len(mailed.topics) < 2:
        return {}, (), "cannot be told: no mail of two topics has a window that is over"
    topic = mailed.topic[rows]
    chance = mailed.chance[rows, topic]
    known = np.isfinite(chance) & (chance > 0.0)
    how = "each mail counts by 1 / the chance of its topic"
    if not known.all():
        how = "propensities are missing: what the programme chose by is mixed into the rates"
    weight = np.minimum(1.0 / np.where(known, chance, 1.0), _MOST_WEIGHT)
    weight = weight if known.all() else np.ones(rows.size)
    came = marks.days_until[rows] <= WINDOW
    who = marks.contact[rows]
    mails = TopicMails(topic, weight, came[:, -2], of.segment[who], who)
    found = topic_affinity(mails, mailed.topics, len(of.segments))
    own = np.zeros((2, len(of.segment), len(mailed.topics)))
    np.add.at(own[0], (who, topic), 1.0)
    np.add.at(own[1], (who, topic), came[:, -2])
    rates = found.of_contacts(of.segment[contact], own[0, contact], own[1, contact])
    columns = {f"affinity_{name}": rates[:, k] for k, name in enumerate(mailed.topics)}
    return columns, told_topics(mails, came[:, -1], mailed.topics), how


def fatigues(
    of: MailHistory, as_of_us: int, contact: IntArray
) -> tuple[dict[str, FloatArray], dict[str, float], str]:
    """Pressure of mail on each contact now, as a share of what it bears, and what it bears.

    Args:
        of, as_of_us, contact: as for `affinities`.

    Returns:
        `fatigue` (1: as much as it bears) and `tolerance` (mails a week), [n]; the median
        tolerance by segment; how, or why not.
    """
    marks = of.marks
    sent = np.flatnonzero(of.mailed.topic != NO_TOPIC)
    who, days = marks.contact[sent], marks.decided_us[sent] / DAY_US
    over = marks.watched(as_of_us, 0.0)[sent] >= WINDOW
    answered = marks.days_until[sent, -1] <= WINDOW
    pressure = pressure_at(who, days, who, days)
    try:
        found = mail_tolerance(who[over], pressure[over], answered[over], of.segment)
    except FitError as refusal:
        return {}, {}, f"cannot be told: {refusal}"
    now = pressure_at(contact, np.full(contact.size, as_of_us / DAY_US + 1e-9), who, days)
    bears = found.of_contact[contact]
    used = np.unique(of.segment[who])
    weekly = {of.segments[k]: float(found.of_segment[k] / WEEKLY) for k in used}
    how = (
        f"answers within {WINDOW:g} days become half as likely for each tolerance of pressure; "
        "pressure depends on the programme, and is no experiment"
    )
    return {"fatigue": now / bears, "tolerance": bears / WEEKLY}, weekly, how
