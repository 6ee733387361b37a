"""A topic is preferred for what comes of it, not for its clicks."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.predictions.topic_affinity import TopicMails, told_topics, topic_affinity

BAIT, PAYOFF = 0, 1
TOPICS = ("bait", "payoff")


def planted(n: int = 6000, weighted: bool = True) -> tuple[TopicMails, np.ndarray]:
    """Bait is clicked thrice as often, brings half as many on, and goes to who is ready anyway."""
    rng = np.random.default_rng(0)
    ready = rng.random(n) < 0.5
    to_bait = np.where(ready, 0.9, 0.1)
    topic = np.where(rng.random(n) < to_bait, BAIT, PAYOFF)
    chance = np.where(topic == BAIT, 0.08, 0.16) + 0.2 * ready
    clicked = rng.random(n) < np.where(topic == BAIT, 0.3, 0.1)
    propensity = np.where(topic == BAIT, to_bait, 1.0 - to_bait)
    weight = 1.0 / propensity if weighted else np.ones(n)
    who = np.arange(n)
    return TopicMails(topic, weight, rng.random(n) < chance, np.zeros(n, int), who), clicked


def test_the_payoff_is_preferred_to_the_clickbait() -> None:
    mails, clicked = planted()
    best, other = told_topics(mails, clicked, TOPICS)
    assert (best.topic, other.topic) == ("payoff", "bait")
    assert best.clicks < other.clicks  # negative control: clicks would choose the bait
    assert best.progress == pytest.approx(0.26, abs=0.03)
    assert other.progress == pytest.approx(0.18, abs=0.03)
    affinity = topic_affinity(mails, TOPICS, 1)
    assert affinity.of_segment[0, PAYOFF] > affinity.of_segment[0, BAIT]


def test_without_propensities_whom_the_programme_chose_would_decide() -> None:
    mails, clicked = planted(weighted=False)
    assert told_topics(mails, clicked, TOPICS)[0].topic == "bait"  # negative control


def test_segments_are_shrunk_by_how_much_they_differ() -> None:
    rng = np.random.default_rng(1)
    segment = np.repeat(np.arange(4), 500)
    alike = TopicMails(
        np.zeros(2000, int), np.ones(2000), rng.random(2000) < 0.2, segment, np.arange(2000)
    )
    truth = np.array([0.05, 0.15, 0.25, 0.35])
    apart = TopicMails(
        np.zeros(2000, int), np.ones(2000), rng.random(2000) < truth[segment], segment,
        np.arange(2000),
    )  # fmt: skip
    assert np.ptp(topic_affinity(alike, ("one",), 4).of_segment) < 0.03
    found = topic_affinity(apart, ("one",), 4).of_segment[:, 0]
    assert np.abs(found - truth).max() < 0.04


def test_a_contacts_own_mails_move_it_from_its_segment_by_their_number() -> None:
    mails, _ = planted()
    affinity = topic_affinity(mails, TOPICS, 1)
    none = affinity.of_contacts(np.array([0]), np.zeros((1, 2)), np.zeros((1, 2)))[0]
    assert none == pytest.approx(affinity.of_segment[0])
    one, many = (
        affinity.of_contacts(np.array([0]), np.array([[0, k]]), np.zeros((1, 2)))[0, PAYOFF]
        for k in (1.0, 1e6)
    )
    assert many < 0.01 < one < none[PAYOFF]


def test_a_topic_never_mailed_is_taken_for_the_average() -> None:
    mails, _ = planted()
    affinity = topic_affinity(mails, (*TOPICS, "new"), 1)
    assert affinity.of_segment[0, 2] == pytest.approx(mails.came.mean())
