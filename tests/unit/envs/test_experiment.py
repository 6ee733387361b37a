"""Who is dealt to which arm, and what a journey file says of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nurture_envs.errors import JourneyError
from nurture_envs.experiment import Experiment, ExperimentGoals, Velocity, dealt_arm
from tests.unit.envs.toy_journey import toy

GOALS = ExperimentGoals(14, 400, {}, (), None, 0.95)
SPRING: dict[str, Any] = {
    "name": "spring",
    "shares": {"policy": 0.5, "random": 0.1, "usual": 0.3, "holdout": 0.1},
    "units": 400,
}
_UNITS = [f"contact-{i}" for i in range(20_000)]


def experiment(shares: Mapping[str, float], salt: str = "s") -> Experiment:
    return Experiment("spring", "contact", shares, "drip", None, salt, GOALS)


def dealt(one: Experiment) -> list[str]:
    return [dealt_arm(one, unit) for unit in _UNITS]


def test_units_are_dealt_in_the_shares_of_the_plan() -> None:
    shares = {"policy": 0.45, "random": 0.1, "usual": 0.25, "holdout": 0.2}
    counted = Counter(dealt(experiment(shares)))
    for arm, share in shares.items():
        # five standard deviations of 20,000 draws
        assert abs(counted[arm] / len(_UNITS) - share) < 5 * (share * (1 - share) / 20_000) ** 0.5


def test_a_unit_keeps_its_arm_and_another_salt_deals_anew() -> None:
    one = experiment({"policy": 0.5, "usual": 0.5})
    assert dealt(one) == dealt(replace(one, name="summer"))
    other = dealt(replace(one, salt="t"))
    same = np.mean([a == b for a, b in zip(dealt(one), other, strict=True)])
    assert abs(same - 0.5) < 0.02  # as two coins that know nothing of each other


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_raised_share_takes_from_the_policy_alone(data: st.DataObject) -> None:
    """Nobody moves between two arms whose shares stay, or out of an arm that grows."""
    percent = st.integers(0, 15)
    before = {name: data.draw(percent) for name in ("holdout", "usual", "random")}
    more = {name: before[name] + data.draw(st.integers(0, 10)) for name in before}
    old, new = (
        experiment({"policy": 1 - sum(one.values()) / 100} | {k: v / 100 for k, v in one.items()})
        for one in (before, more)
    )
    for unit in _UNITS[:2_000]:
        was, now = dealt_arm(old, unit), dealt_arm(new, unit)
        assert was == now or was == "policy"


@settings(max_examples=60, deadline=None)
@given(parts=st.lists(st.integers(1, 100), min_size=4, max_size=4))
def test_every_unit_has_an_arm_of_the_plan_whatever_the_shares(parts: list[int]) -> None:
    names = ("policy", "random", "usual", "holdout")
    shares = {name: part / sum(parts) for name, part in zip(names, parts, strict=True)}
    one = experiment(shares)
    counted = Counter(dealt_arm(one, unit) for unit in _UNITS[:4_000])
    assert set(counted) <= set(shares)
    for arm, share in shares.items():
        assert abs(counted[arm] / 4_000 - share) < 6 * (share * (1 - share) / 4_000) ** 0.5


def test_arms_are_those_of_a_table_that_never_changes() -> None:
    """Whoever was dealt by an earlier release stays where they are."""
    one = experiment({"policy": 0.4, "random": 0.2, "usual": 0.2, "holdout": 0.2}, "spring-2027")
    assert [dealt_arm(one, f"account {i}") for i in range(8)] == [
        "policy",
        "holdout",
        "random",
        "holdout",
        "usual",
        "holdout",
        "policy",
        "holdout",
    ]


def test_a_journey_file_says_all_of_it() -> None:
    whole = {
        **SPRING,
        "unit": "account",
        "usual": "rules",
        "salt": "2027",
        "free": "timing",
        "window_days": 14,
        "worth": {"clicks": 0.02},
        "once": ["clicks"],
        "velocity": {"signal": "clicked", "days": 28},
        "level": 0.9,
    }
    found = toy(experiment=whole).experiment
    assert found is not None
    goals = ExperimentGoals(14, 400, {"clicks": 0.02}, ("clicks",), Velocity("clicked", 28), 0.9)
    assert found == Experiment(
        "spring", "account", SPRING["shares"], "rules", "timing", "2027", goals
    )


def test_the_short_form_deals_contacts_and_compares_with_the_drip_for_the_whole_journey() -> None:
    found = toy(experiment=SPRING).experiment
    assert found is not None
    assert (found.unit, found.usual, found.free, found.salt) == ("contact", "drip", None, "spring")
    clock = toy().clock
    assert found.goals.window_days == -(-clock.periods * clock.period_hours // 24)
    assert toy().experiment is None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"shares": {"policy": 0.5, "usual": 0.6}}, "experiment.shares: expected two or more"),
        ({"shares": {"policy": 1.0}}, "experiment.shares: expected two or more shares above 0"),
        ({"shares": {"policy": 0.5, "canary": 0.5}}, "random, usual, holdout, got 'canary'"),
        ({"shares": {"usual": 0.5, "holdout": 0.5}}, "expected a share of `policy`"),
        ({"unit": "city"}, "experiment.unit: expected one of contact, account, time, got 'city'"),
        ({"free": "subject"}, "experiment.free: expected one of timing, content, offer, routing"),
        ({"usual": "expert"}, "experiment.usual: the journey has no expert"),
        ({"worth": {"sales": 1}}, "experiment.worth.sales: expected a key figure"),
        ({"share": {}}, "experiment.share: no such key; did you mean 'shares'"),
        ({"units": None}, "experiment.units: expected a whole number >= 100"),
    ],
)
def test_what_is_no_experiment_is_refused_by_its_key(change: dict[str, Any], told: str) -> None:
    with pytest.raises(JourneyError, match=told.replace("(", r"\(")):
        toy(experiment={**SPRING, **change})
