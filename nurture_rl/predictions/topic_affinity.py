"""Which topics bring contacts on, not which they click: chances of a next step by topic mailed.

A decision that mailed a topic counts by 1 / propensity, so that topics are compared over the same
contacts although the programme chose to whom each went. Rates are shrunk: a segment's to that of
all, a contact's own few mails to its segment's (beta-binomial, its strength from how much segments
differ).

Source: Hajek (1971) for the weighting; Efron & Morris (1975), Data Analysis Using Stein's
Estimator and Its Generalizations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

NO_TOPIC = -1
_OF_A_CONTACT = 20.0  # mails that a contact's own rate is believed to be its segment's, at least
_MOST = 1e4  # of the same, where segments do not differ


@dataclass(frozen=True, slots=True, eq=False)
class TopicMails:
    """Decisions that mailed a topic, [n]."""

    topic: IntArray  # position among the topics
    weight: FloatArray  # 1 / propensity; 1 where it is not known
    came: BoolArray  # the next step came within the window
    segment: IntArray  # of the contact
    contact: IntArray  # code

    def take(self, rows: IntArray | BoolArray) -> TopicMails:
        """Some of the decisions."""
        return TopicMails(*(getattr(self, name)[rows] for name in TopicMails.__slots__))


@dataclass(frozen=True, slots=True)
class ToldTopic:
    """What a topic brought, in all contacts."""

    topic: str
    mails: int
    progress: float  # weighted share followed by a next step
    stderr: float  # of `progress`
    clicks: float  # weighted share followed by a click; told, and used for nothing


@dataclass(frozen=True, slots=True, eq=False)
class TopicAffinity:
    """Shrunken chances of a next step."""

    topics: tuple[str, ...]
    of_segment: FloatArray  # [segments, topics]
    strength: FloatArray  # mails that a segment's rate weighs for a contact, [topics]

    def of_contacts(self, segment: IntArray, sent: FloatArray, came: FloatArray) -> FloatArray:
        """Each contact's chance by topic, [n, topics].

        Args:
            segment: of each contact, [n].
            sent: mails of each topic to each contact so far, [n, topics].
            came: of these, followed by a next step, [n, topics].
        """
        prior = self.of_segment[segment]
        return np.asarray((self.strength * prior + came) / (self.strength + sent))


def topic_affinity(mails: TopicMails, topics: Sequence[str], segments: int) -> TopicAffinity:
    """Chances of a next step by segment and topic, shrunken.

    Args:
        mails: decisions whose window is over.
        topics: names in the order of their positions.
        segments: how many there are.
    """
    rates = np.zeros((segments, len(topics)))
    strength = np.zeros(len(topics))
    everything = float(mails.came.mean()) if mails.came.size else 0.0
    for place in range(len(topics)):
        of = mails.take(mails.topic == place)
        total, size = _sums(of, segments)
        # A topic that was never mailed is taken for the average one.
        mean = float(total.sum() / size.sum()) if size.sum() > 0.0 else everything
        believed = _strength(total, size, mean)
        rates[:, place] = (total + believed * mean) / (size + believed)
        strength[place] = max(believed, _OF_A_CONTACT)
    return TopicAffinity(tuple(topics), rates, strength)


def told_topics(
    mails: TopicMails, clicked: BoolArray, topics: Sequence[str]
) -> tuple[ToldTopic, ...]:
    """What each topic brought in all contacts, the best first.

    Args:
        mails: as for `topic_affinity`, [n].
        clicked: whether the mail was clicked in its window, [n].
        topics: names.
    """
    told = []
    for place, name in enumerate(topics):
        rows = mails.topic == place
        if not rows.any():
            continue
        w, y = mails.weight[rows], mails.came[rows].astype(np.float64)
        share = float(w @ y / w.sum())
        off = np.bincount(mails.contact[rows], weights=w * (y - share))
        error = float(np.sqrt(off @ off) / w.sum())
        clicks = float(w @ clicked[rows] / w.sum())
        told.append(ToldTopic(name, int(rows.sum()), share, error, clicks))
    return tuple(sorted(told, key=lambda one: -one.progress))


def _sums(of: TopicMails, segments: int) -> tuple[FloatArray, FloatArray]:
    """Steps and mails by segment, weighted to as many as are equally uncertain."""
    weight = np.bincount(of.segment, weights=of.weight, minlength=segments)
    square = np.bincount(of.segment, weights=of.weight**2, minlength=segments)
    steps = np.bincount(of.segment, weights=of.weight * of.came, minlength=segments)
    size = np.divide(weight**2, square, out=np.zeros(segments), where=square > 0.0)
    share = np.divide(steps, weight, out=np.zeros(segments), where=weight > 0.0)
    return share * size, size


def _strength(total: FloatArray, size: FloatArray, mean: float) -> float:
    """Mails that the common rate weighs, by the variance of segments beyond that of luck."""
    some = size > 1.0
    spread = mean * (1.0 - mean)
    if some.sum() < 2 or spread <= 0.0:
        return _MOST
    off = total[some] / size[some] - mean
    beyond = float((size[some] @ off**2 - (some.sum() - 1) * spread) / size[some].sum())
    return float(np.clip(spread / beyond, 1.0, _MOST)) if beyond > 0.0 else _MOST
