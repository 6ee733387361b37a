"""What a policy may use up: limits per contact, budgets of a week, hours of salespeople."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2, norm

from nurture_envs.journey import HarmLimit
from nurture_envs.journey_file import load_journey
from nurture_rl.errors import ConfigError
from nurture_rl.workflow.prices_config import PricesConfig
from nurture_rl.workflow.simulated import Played
from nurture_rl.workflow.use_limits import asked_limits, used

INBOUND = load_journey("inbound_lead")
NOBODY = np.zeros((1, len(INBOUND.channels)))


def config(**given: Any) -> PricesConfig:
    """Only the part of the settings that limits read."""
    made = object.__new__(PricesConfig)
    settings = {"at_most": {}, "per_week": {}, "entering": None, "seller_hours": {}} | given
    for name, value in settings.items():
        setattr(made, name, value)
    return made


def limits(**given: Any) -> tuple[Any, ...]:
    """The limits of the settings, without the journey's own."""
    own = {one.name for one in asked_limits(config(), INBOUND, NOBODY)}
    return tuple(
        one for one in asked_limits(config(**given), INBOUND, NOBODY) if one.name not in own
    )


def test_a_budget_of_a_week_is_shared_by_who_enters_in_it() -> None:
    (mails,) = limits(per_week={"send": 500.0}, entering=400.0)
    (same,) = limits(at_most={"send": 1.25})
    assert mails.at_most == same.at_most == 1.25
    assert (mails.of, mails.per_week, mails.counts) == (same.of, 500.0, "event")


def test_a_limit_of_the_journey_keeps_its_own_name_beside_one_that_was_asked_for() -> None:
    own = HarmLimit("unsubscribed", ("unsubscribed",), "contact", 0.02, None)
    journey = replace(INBOUND, limits=(own,))
    found = asked_limits(config(at_most={"unsubscribed": 0.003}), journey, NOBODY)
    assert {one.name: one.at_most for one in found} == {
        "unsubscribed": 0.003,
        "unsubscribed, of the journey": 0.02,
    }


def test_hours_of_salespeople_are_summed_over_what_takes_them() -> None:
    (hours,) = limits(
        per_week={"seller_hours": 20.0},
        entering=100.0,
        seller_hours={"escalated": 0.5, "meeting_booked": 2.0},
    )
    amounts = np.zeros((4, len(INBOUND.channels)))
    amounts[:, INBOUND.channel_index("escalated")] = [1.0, 2.0, 0.0, 1.0]
    amounts[:, INBOUND.channel_index("meeting_booked")] = [0.0, 1.0, 0.0, 1.0]
    played = Played(np.arange(8.0).reshape(2, 4), amounts, np.ones((1, 1)), {}, 1)
    found = used(played, INBOUND, [hours], "send", 0.9)
    each = np.array([0.5, 3.0, 0.0, 2.5])
    assert hours.at_most == 0.2
    assert found.use == (each.mean(),)
    as_count = 2.0 * chi2.ppf(0.9, 2.0 * (each.sum() / 2.0 + 1.0)) / 2.0 / 4.0
    as_mean = each.mean() + norm.ppf(0.9) * each.std(ddof=1) / 2.0
    assert found.upper[0] == pytest.approx(max(as_count, as_mean))


def test_the_price_of_an_hour_falls_on_each_event_by_its_hours() -> None:
    (hours,) = limits(
        per_week={"seller_hours": 20.0},
        entering=100.0,
        seller_hours={"escalated": 0.5, "meeting_booked": 2.0},
    )
    assert hours.prices(30.0, INBOUND) == {"escalated": 15.0, "meeting_booked": 60.0}
    assert hours.counts == "hour"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"per_week": {"send": 500.0}}, "entering: expected the contacts"),
        ({"per_week": {"send": 500.0}, "entering": 0.0}, "entering: expected the contacts"),
        ({"entering": 10.0}, "expected a budget of a week"),
        ({"per_week": {"send": -1.0}, "entering": 10.0}, r"per_week.send: .* got -1.0"),
        ({"per_week": {"sends": 1.0}, "entering": 10.0}, "per_week.sends: the journey"),
        ({"per_week": {"seller_hours": 1.0}, "entering": 10.0}, "expected what takes the hours"),
        ({"seller_hours": {"escalated": 0.5}}, "expected a budget they are taken from"),
        (
            {
                "per_week": {"seller_hours": 1.0},
                "entering": 10.0,
                "seller_hours": {"escalated": 0.0},
            },
            "seller_hours.escalated: expected hours above 0",
        ),
        (
            {"per_week": {"seller_hours": 1.0}, "entering": 10.0, "seller_hours": {"send": 0.1}},
            "seller_hours.send: expected one signal",
        ),
        (
            {"per_week": {"seller_hours": 1.0}, "entering": 10.0, "seller_hours": {"calls": 0.1}},
            "seller_hours.calls: the journey",
        ),
    ],
)
def test_a_budget_that_cannot_be_worked_with_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        limits(**given)
