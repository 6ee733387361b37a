"""How decisions are divided, and the rates and returns of the parts, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_envs.features import FeatureSpec
from nurture_envs.journey_file import load_journey
from nurture_rl.simulator.gap.rates import (
    Groups,
    arms,
    overall,
    rate_comparisons,
    reward,
    segments,
    weeks,
)
from tests.unit.gap.gap_logs import JOURNEY, episodes
from tests.unit.simulator.lamp_shop import ESCALATE, EXIT, SEND, WAIT


def test_decisions_belong_to_the_week_of_the_journey_and_to_shared_calendar_weeks() -> None:
    # Two bins a day: 14 bins make a week.
    real = replace(episodes([16], [WAIT] * 16), when=100 + np.arange(16))
    world = replace(episodes([3], [WAIT] * 3), when=np.array([107, 113, 114]))
    journey, calendar = weeks(real, world, JOURNEY)
    assert journey.names == ("week 1 of the journey", "week 2 of the journey")
    assert journey.real.tolist() == [0] * 14 + [1] * 2
    assert journey.simulated.tolist() == [0, 0, 0]
    assert calendar.names == ("calendar week 2", "calendar week 3")
    assert calendar.real.tolist() == [-1] * 7 + [0] * 7 + [1] * 2
    assert calendar.simulated.tolist() == [0, 0, 1]


def test_without_days_on_both_sides_there_are_no_calendar_weeks() -> None:
    log = episodes([2], [WAIT] * 2)
    dated = replace(log, when=np.array([100, 101]))
    assert [len(weeks(*sides, JOURNEY)) for sides in ((log, dated), (dated, log))] == [1, 1]


def test_decisions_belong_to_an_arm_and_sends_to_a_message() -> None:
    log = episodes([4], [SEND, WAIT, ESCALATE, EXIT])
    arm, message = arms(log, log, JOURNEY)
    assert [arm.names[place] for place in arm.real] == ["send", "pause", "escalate", "exit"]
    assert (message.names, message.real.tolist()) == (("hello",), [0, -1, -1, -1])


def test_contacts_are_divided_at_the_median_contact_of_the_log() -> None:
    log = episodes([1, 1, 3], [WAIT] * 5)
    log.features[:, 1] = [1.0, 2.0, 3.0, 3.0, 3.0]  # the median contact has 2, the median row 3
    world = episodes([2], [WAIT] * 2)
    world.features[:, 1] = [2.0, 2.1]
    (one,) = segments(log, world, JOURNEY)
    assert one.names == ("size up to 2", "size above 2")
    assert (one.real.tolist(), one.simulated.tolist()) == ([0, 0, 1, 1, 1], [0, 1])


def test_levels_of_an_attribute_are_segments_and_who_has_none_is_in_none() -> None:
    journey = load_journey("inbound_lead")
    spec = FeatureSpec.of(journey)
    features = np.zeros((3, len(spec.columns)), np.float32)
    features[0, spec.column("form_topic=pricing")] = 1.0
    features[1, spec.column("form_topic=security")] = 1.0
    log = replace(episodes([3], [WAIT] * 3), features=features)
    (topic,) = (one for one in segments(log, log, journey) if "form_topic security" in one.names)
    assert [topic.names[place] for place in topic.real[:2]] == [
        "form_topic pricing",
        "form_topic security",
    ]
    assert topic.real[2] == -1


def test_what_one_side_never_saw_counts_as_half_an_event_of_the_smaller_side() -> None:
    real = episodes([1] * 40, [SEND] * 40, viewed=[1.0] * 20 + [0.0] * 20)
    world = episodes([1] * 10, [SEND] * 10)
    (one,) = rate_comparisons(real, world, JOURNEY, overall(real, world), 0.2)
    assert (one.family, one.head, one.group) == ("rate", "viewed", "all")
    assert one.gap == pytest.approx(np.log(0.05 / (0.5 + 0.05)))
    back = rate_comparisons(world, real, JOURNEY, overall(world, real), 0.2)[0]
    assert back.gap == pytest.approx(-one.gap)


def test_a_rate_within_a_group_needs_ten_events_in_it() -> None:
    viewed = [1.0] * 10 + [0.0] * 10 + [1.0] * 9 + [0.0] * 11
    log = episodes([1] * 40, [SEND] * 20 + [WAIT] * 20, viewed=viewed)
    silent = episodes([1] * 4, [SEND, SEND, WAIT, WAIT])
    place = Groups("arm", ("send", "pause"), np.repeat([0, 1], 20), np.repeat([0, 1], 2))
    (one,) = rate_comparisons(log, silent, JOURNEY, place, 0.2)
    assert (one.group, one.real.value) == ("send", 0.5)
    nobody = replace(place, simulated=np.full(4, -1))
    assert rate_comparisons(log, silent, JOURNEY, nobody, 0.2) == []


def test_the_return_of_an_episode_is_a_weighted_mean_with_its_error() -> None:
    bought = {"bought.value": [0.0, 7.0, 3.0]}
    log = episodes([2, 1], [WAIT] * 3, **bought).reweighted(np.array([1.0, 3.0, 1.0]))
    played = episodes([1, 1], [WAIT] * 2, **{"bought.value": [4.0, 8.0]})
    one = reward(log, played, JOURNEY, 0.2)
    # Episodes earn 7 under a weight of 3 and 3 under 1: (21 + 3) / 4.
    assert one.real.value == pytest.approx(6.0)
    assert one.real.stderr == pytest.approx(np.hypot(21.0 - 18.0, 3.0 - 6.0) / 4.0)
    assert one.simulated.value == 6.0
    assert one.simulated.stderr == pytest.approx(np.hypot(2.0, 2.0) / 2.0)
    assert one.stderr == pytest.approx(np.hypot(one.real.stderr, one.simulated.stderr))
