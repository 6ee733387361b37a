"""Mistakes in the features of a journey file: one each, under its key."""

from __future__ import annotations

from typing import Any

import pytest

from nurture_envs.errors import JourneyError
from nurture_envs.journey_file import parse_journey
from tests.unit.envs.toy_journey import toy_data

TOPICS = {"kind": "distinct", "of": ["sent_*"], "by": "topic", "window": 3}


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"features__rising": {"kind": "trend", "of": ["clicked"]}}, "features.rising.window: "),
        (
            {"features__heat": {"kind": "decayed", "of": ["clicked"], "window": 3, "half_life": 0}},
            "features.heat.half_life: expected a number in [0.01, inf], got 0",
        ),
        (
            {"features__heat": {"kind": "decayed", "of": ["clicked"], "window": 3}},
            "features.heat.half_life: expected a number in [0.01, inf], it is missing",
        ),
        (
            {"features__topics": {"kind": "distinct", "of": ["sent_*"], "window": 3, "by": "topc"}},
            "features.topics.by: expected one of topic, page_category, reply_class, stage, got",
        ),
        (
            {"features__topics": TOPICS | {"of": ["sent_red", "clicked", "left"]}},
            "features.topics.of: expected signals that each pin one topic, got clicked, left with",
        ),
        (
            {"features__topics": TOPICS | {"of": ["bought.value"]}},
            "features.topics.of: values can be counted or divided, not used for recency",
        ),
        (
            {"features__topics": TOPICS | {"kind": "affinity", "prior": 0}},
            "features.topics.prior: expected a whole number >= 1 and <= 1000, got 0",
        ),
        (
            {"features__topics": TOPICS | {"kind": "affinity", "by": "slot"}},
            "features.topics.window: expected whole periods for `by: slot`",
        ),
        (
            {"features__topics": TOPICS | {"by": "slot"}},
            "features.topics.by: expected one of topic",
        ),
        ({"features__topics": TOPICS | {"prior": 2}}, "features.topics.prior: no such key"),
    ],
)
def test_a_mistake_in_a_feature_is_one_problem_under_its_key(
    changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(JourneyError) as refused:
        parse_journey(toy_data(**changes))
    (problem,) = refused.value.problems
    assert problem.startswith(told)
