"""What the simulator says of a policy, by hand, and how candidates are ranked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nurture_envs.journey_file import load_journey
from nurture_envs.rollout import Returns
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.inbound_lead import InboundLeadWorld
from nurture_rl.workflow.evaluate import _ranked, _summary


def simulation(estimand: str = "per_episode") -> Simulation:
    return Simulation(InboundLeadWorld(replace(load_journey("inbound_lead"), estimand=estimand)))


def played(value: list[float], decisions: list[int]) -> Returns:
    """Returns of a few contacts; each has 6 of every channel."""
    amounts = np.full((len(value), len(load_journey("inbound_lead").channels)), 6.0)
    return Returns(np.array(value), amounts, np.array(decisions), np.zeros((1, 2)), {})


POLICY, REFERENCE = [3.0, 5.0, 10.0, 6.0], [2.0, 2.0, 6.0, 6.0]  # differences 1, 3, 4, 0


def summary(estimand: str, decisions: list[int], level: float = 0.95) -> dict[str, Any]:
    two = [played(POLICY[:2], decisions[:2]), played(POLICY[2:], decisions[2:])]
    base = [played(REFERENCE[:2], [1, 1]), played(REFERENCE[2:], [1, 1])]
    return _summary(simulation(estimand), two, base, level)


def test_the_difference_is_paired_with_the_reference_contact_by_contact() -> None:
    found = summary("per_episode", [1, 2, 2, 3])
    assert (found["value"], found["difference"]) == (6.0, 2.0)
    assert found["by_seed"] == [4.0, 8.0]
    # differences 1, 3, 4, 0 have variance 10 / 3; of the mean of four, 10 / 12
    half = 1.959964 * np.sqrt(10 / 12)
    assert found["difference_lower"] == pytest.approx(2.0 - half, abs=1e-5)
    assert found["difference_upper"] == pytest.approx(2.0 + half, abs=1e-5)
    # values 3, 5, 10, 6 have variance 26 / 3
    assert found["upper"] - found["value"] == pytest.approx(1.959964 * np.sqrt(26 / 12), abs=1e-5)


def test_the_level_widens_the_difference_and_not_the_value() -> None:
    narrow, wide = (summary("per_episode", [1] * 4, level) for level in (0.95, 0.99))
    assert wide["difference_upper"] > narrow["difference_upper"]
    assert wide["upper"] == narrow["upper"]


def test_the_reference_differs_from_itself_by_nothing() -> None:
    base = [played(REFERENCE, [1] * 4)]
    found = _summary(simulation(), base, base, 0.95)
    assert [found[f"difference{end}"] for end in ("", "_lower", "_upper")] == [0.0, 0.0, 0.0]


def test_values_per_decision_are_divided_by_each_policys_own_decisions() -> None:
    found = summary("per_decision", [1, 2, 2, 3])
    assert found["value"] == pytest.approx((3.0 + 2.5 + 5.0 + 2.0) / 4)
    assert found["difference"] == pytest.approx((3.0 + 2.5 + 5.0 + 2.0 - 16.0) / 4)


def test_learned_policies_are_ranked_by_their_simulated_value() -> None:
    values = {"drip": 9.0, "ppo": 3.0, "linear_thompson": 4.0}
    judged = {"policies": {name: {"value": value} for name, value in values.items()}}
    assert _ranked(judged, ["ppo", "linear_thompson"]) == ["linear_thompson", "ppo"]
    assert _ranked(judged, []) == []
