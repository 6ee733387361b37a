"""One line describes a target policy of a journey's log."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nurture_envs.actions import ActionCatalog
from nurture_rl.errors import ConfigError
from nurture_rl.workflow.journey_targets import journey_targets
from tests.unit.features.small_journey import shop_journey

JOURNEY = shop_journey()


def probabilities(described: Any, mask: list[bool]) -> list[float]:
    (policy,) = journey_targets({"new": described}, JOURNEY).values()
    width = 28
    features = np.zeros((1, width), np.float32)
    return [float(p) for p in policy.action_probabilities(features, np.array([mask]))[0]]


def test_probabilities_by_action_are_shared_out_among_the_legal_ones() -> None:
    assert ActionCatalog.of(JOURNEY).ids == ("send:hello@now", "pause:1", "escalate", "exit")
    given = {"probabilities": {"pause:1": 0.25, "send:hello@now": 0.5, "exit": 0.25}}
    assert probabilities(given, [True] * 4) == [0.5, 0.25, 0.0, 0.25]
    assert probabilities(given, [True, True, False, False]) == pytest.approx([2 / 3, 1 / 3, 0, 0])


def test_one_action_or_a_whole_description_is_a_policy_too() -> None:
    assert probabilities({"always": "escalate"}, [True] * 4) == [0.0, 0.0, 1.0, 0.0]
    assert probabilities({"spec": {"kind": "no_contact"}}, [True] * 4) == [0.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("described", "problem"),
    [
        ({"always": "escalat"}, r"targets\.new\.always: .*'escalat'"),
        ({"probabilities": {"pause": "1: 0.4"}}, r"targets\.new\.probabilities: .*colon"),
        ({"columns": ["a"]}, r"targets\.new: expected exactly one of always"),
        ("escalate", r"targets\.new: expected exactly one of always"),
        ({"always": "exit", "spec": "drip"}, r"targets\.new: expected exactly one of always"),
    ],
)
def test_what_describes_no_policy_is_refused_by_name(described: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        journey_targets({"new": described}, JOURNEY)
