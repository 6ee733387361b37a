"""What forbids an action: one fact at a time, in numpy and in torch."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import date
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_envs.errors import SimulationError
from nurture_envs.features import NEVER
from nurture_envs.guardrails import (
    GuardrailFacts,
    Reason,
    lags_of,
    legal_actions,
    reason_names,
    standing,
)
from nurture_envs.guardrails.remembered import sends_remembered
from nurture_envs.journey import Journey
from tests.unit.envs.compiled_rules import CompiledRules
from tests.unit.envs.toy_journey import toy

JOURNEY = toy()
CATALOG = ActionCatalog.of(JOURNEY)
TODAY = (date(2026, 4, 6) - date(1970, 1, 1)).days
MIDNIGHT = TODAY * 24.0  # local hours since 1970
NEVER_SENT = -np.inf
SENDS = ("send:red@09", "send:red@now", "send:blue@09", "send:blue@now")


def facts(hour: float = 8.0, day: int = 0, **changes: Any) -> GuardrailFacts:
    """One contact to whom everything may be done, at a local hour, but for the changes."""
    midnight = MIDNIGHT + 24.0 * day
    free = GuardrailFacts(
        consent=np.array([True]),
        opted_out=np.array([False]),
        hard_bounced=np.array([False]),
        conversation=np.array([False]),
        intent=np.array([True]),
        paused=np.array([False]),
        available=np.array([True]),
        zone_known=np.array([True]),
        sends_hours=np.array([[NEVER_SENT, NEVER_SENT]]),
        now_hours=np.array([midnight + hour]),
        midnight_hours=np.array([midnight]),
        today=np.array([TODAY + day]),
    )
    return replace(free, **{name: np.array([value]) for name, value in changes.items()})


def forbidden(
    now: GuardrailFacts, journey: Journey = JOURNEY, catalog: ActionCatalog | None = None
) -> dict[str, Reason]:
    """The reasons against each action that is not legal."""
    catalog = catalog or ActionCatalog.of(journey)
    mask, reasons = legal_actions(now, catalog, journey.guardrails)
    np.testing.assert_array_equal(mask, reasons == 0)
    rows = zip(catalog.ids, reasons[0].tolist(), strict=True)
    return {id_: Reason(bits) for id_, bits in rows if bits}


def sent(*hours_from_midnight: float) -> list[float]:
    return [MIDNIGHT + hours for hours in hours_from_midnight]


def test_a_contact_without_a_past_may_get_anything_at_eight() -> None:
    assert forbidden(facts()) == {}


@pytest.mark.parametrize(
    "change, against, reason",
    [
        ({"consent": False}, SENDS, Reason.NO_CONSENT),
        ({"opted_out": True}, SENDS, Reason.OPTED_OUT),
        ({"hard_bounced": True}, SENDS, Reason.HARD_BOUNCE),
        ({"conversation": True}, (*SENDS, "escalate", "exit"), Reason.SALES_CONVERSATION),
        ({"intent": False}, ("escalate",), Reason.NO_INTENT),
        ({"paused": True}, (*SENDS, "pause:3", "escalate", "exit"), Reason.PAUSED),
        ({"available": False}, SENDS, Reason.UNAVAILABLE),
        ({"sends_hours": sent(-10, NEVER_SENT)}, SENDS, Reason.MINIMUM_GAP),
        ({"sends_hours": sent(-30, -60)}, SENDS, Reason.FREQUENCY_CAP),
        ({"hour": 7.99}, ("send:red@now", "send:blue@now"), Reason.QUIET_HOURS),
        ({"hour": 9.01}, ("send:red@09", "send:blue@09"), Reason.SLOT_PASSED),
        ({"day": 5}, ("send:red@09", "send:red@now"), Reason.EXPIRED),
    ],
)
def test_one_fact_forbids_what_it_names_for_its_reason_alone(
    change: dict[str, Any], against: tuple[str, ...], reason: Reason
) -> None:
    assert forbidden(facts(**change)) == dict.fromkeys(against, reason)


def test_an_unapproved_message_is_never_sent() -> None:
    found = forbidden(facts(), toy(messages__blue__approval="draft"))
    assert found == dict.fromkeys(("send:blue@09", "send:blue@now"), Reason.NOT_APPROVED)


def test_consent_and_availability_count_only_where_the_journey_asks() -> None:
    lenient = toy(guardrails__require_consent=False, guardrails__availability=False)
    assert forbidden(facts(consent=False, available=False), lenient) == {}


def test_a_message_may_be_sent_on_its_last_day() -> None:
    assert forbidden(facts(day=4)) == {}
    assert list(forbidden(facts(day=5))) == ["send:red@09", "send:red@now"]


def test_a_slot_may_be_used_until_its_hour() -> None:
    assert forbidden(facts(hour=9.0)) == {}


def test_a_send_leaves_the_rolling_window_exactly_at_its_hours() -> None:
    # cap: 2 in 72 hours; the gap of 24 hours is over
    barely_inside, barely_outside = sent(-30, 8 - 71.99), sent(-30, 8 - 72.0)
    found = forbidden(facts(sends_hours=barely_inside))
    assert found["send:red@now"] == Reason.FREQUENCY_CAP
    assert "send:red@09" not in found  # at nine the window has moved on by an hour
    assert forbidden(facts(sends_hours=barely_outside)) == {}


def test_every_cap_counts_its_own_window() -> None:
    caps = [{"max": 1, "hours": 30}, {"max": 3, "hours": 200}]
    journey = toy(guardrails__frequency_caps=caps)
    assert sends_remembered(journey.guardrails) == 3
    three: dict[str, Any] = {"sends_hours": [*sent(-40, -80, -120)]}
    assert set(forbidden(facts(**three), journey).values()) == {Reason.FREQUENCY_CAP}
    two: dict[str, Any] = {"sends_hours": [*sent(-40, -80), NEVER_SENT]}
    assert forbidden(facts(**two), journey) == {}
    recent: dict[str, Any] = {"sends_hours": [*sent(-21.5), NEVER_SENT, NEVER_SENT], "hour": 8.0}
    no_gap = toy(guardrails__frequency_caps=caps, guardrails__min_gap_hours=0)
    found = forbidden(facts(**recent), no_gap)
    assert set(found) == {"send:red@now", "send:blue@now"}  # 29.5 hours; at nine it is 30.5
    assert sends_remembered(toy(guardrails__frequency_caps=[]).guardrails) == 1


@pytest.mark.parametrize("library", [np, torch])
def test_a_cap_of_very_many_sends_counts_them_in_any_order(library: Any) -> None:
    many = 2000
    caps = [{"max": 2, "hours": 40}, {"max": many, "hours": 2100}]
    journey = toy(guardrails__frequency_caps=caps, guardrails__min_gap_hours=0)
    hours = np.random.default_rng(0).permutation(many) + 1.0  # one send an hour, in no order

    def against_now(latest: float) -> list[Reason]:
        now = facts(sends_hours=sent(*(8.0 - latest - hours)))
        given = {name: library.asarray(fact) for name, fact in stated(now).items()}
        _, bits = legal_actions(GuardrailFacts(**given), CATALOG, journey.guardrails)
        return [Reason(int(bits[0, CATALOG.ids.index(name)])) for name in SENDS if "@now" in name]

    # The second latest was 39.5, 40, 102.5 hours ago; the 2000th 2037.5, 2038, 2100.5.
    assert against_now(37.5) == [Reason.FREQUENCY_CAP] * 2
    assert against_now(38.0) == [Reason.FREQUENCY_CAP] * 2
    assert against_now(100.5) == [Reason(0)] * 2


def test_the_gap_ends_exactly_at_its_hours_and_sees_the_latest_send_wherever_it_stands() -> None:
    assert forbidden(facts(sends_hours=sent(-16.0, -70.0))) == {}
    held = forbidden(facts(sends_hours=sent(-70.0, -15.9)))
    assert held == dict.fromkeys(("send:red@now", "send:blue@now"), Reason.MINIMUM_GAP)


@pytest.mark.parametrize(
    "quiet, hours_allowed",
    [
        ([20, 8], range(8, 20)),
        ([8, 20], [*range(8), *range(20, 24)]),
        ([0, 24], []),
        ([6, 6], range(24)),
        (None, range(24)),
        ([22, 24], range(22)),
    ],
)
def test_quiet_hours_may_wrap_midnight(quiet: list[int] | None, hours_allowed: list[int]) -> None:
    journey = toy(guardrails__quiet_hours=quiet)
    allowed = [h for h in range(24) if "send:blue@now" not in forbidden(facts(hour=h), journey)]
    assert allowed == list(hours_allowed)


def test_an_unknown_zone_must_be_outside_quiet_hours_wherever_it_may_be() -> None:
    # true hour = hour - 2 ... hour + 3; quiet from 20 to 8
    allowed = [
        hour
        for hour in range(24)
        if "send:blue@now" not in forbidden(facts(hour=hour, zone_known=False))
    ]
    assert allowed == list(range(10, 17))
    slots: dict[str, Any] = {"actions__slots": [9, 10, 16, 17], "drip": {}}
    held = forbidden(facts(hour=0, zone_known=False), toy(**slots))
    assert set(held) == {f"send:{m}@{h}" for m in ("red", "blue") for h in ("09", "17")}
    assert set(held.values()) == {Reason.QUIET_HOURS}


@pytest.mark.parametrize(
    ("day", "held"),
    [(-1, False), (0, True), (1, False), (2, False), (3, True), (4, True), (5, True), (6, False)],
)
def test_on_a_day_of_the_blackout_no_mail_goes_at_any_hour(day: int, held: bool) -> None:
    days = [date(2026, 4, 6), {"from": date(2026, 4, 9), "to": "2026-04-11"}]
    journey = toy(guardrails__blackout=days, messages__red__expires="2027-04-10")
    now = facts(hour=8.5, day=day)
    found = forbidden(now, journey)
    assert found == (dict.fromkeys(SENDS, Reason.BLACKOUT) if held else {})
    late = forbidden(facts(hour=21.0, day=day), journey)
    own = Reason.BLACKOUT if held else Reason(0)
    assert late["send:blue@now"] == Reason.QUIET_HOURS | own
    assert compiled(now, journey) == found


def compiled(now: GuardrailFacts, journey: Journey) -> dict[str, Reason]:
    """`forbidden` by the compiled loops."""
    catalog = ActionCatalog.of(journey)
    mask, reasons = np.empty((len(catalog), 1), np.bool_), np.empty((len(catalog), 1), np.int32)
    CompiledRules(catalog, journey.guardrails)(now, mask, reasons)
    rows = zip(catalog.ids, reasons[:, 0].tolist(), strict=True)
    return {id_: Reason(bits) for id_, bits in rows if bits}


@pytest.mark.parametrize(
    ("any_send", "on_red", "of_red", "of_blue", "held"),
    [
        (-30, -30, -30, -80, {"red": Reason.TOPIC_CAP | Reason.MESSAGE_CAP}),
        (-30, -30, -60, -80, {"red": Reason.TOPIC_CAP}),  # another message on the topic
        # red is free at nine
        (-30, -92.5, -92.5, -30, {"red@now": Reason.TOPIC_CAP, "blue": Reason.MESSAGE_CAP}),
        (-30, -93, -93, -60, {}),
        (-30, NEVER_SENT, NEVER_SENT, NEVER_SENT, {}),
    ],
)
def test_a_message_is_not_repeated_nor_its_topic_in_their_hours(
    any_send: float, on_red: float, of_red: float, of_blue: float, held: dict[str, Reason]
) -> None:
    caps = [{"max": 1, "hours": 101, "topic": "red"}]
    given = {"guardrails__frequency_caps": caps, "guardrails__min_gap_hours": 0}
    journey = toy(**given, guardrails__repeat_hours=60)
    assert sends_remembered(journey.guardrails) == 4
    now = facts(sends_hours=sent(any_send, on_red, of_red, of_blue))
    found = forbidden(now, journey)
    assert found == {name: why for name in SENDS for one, why in held.items() if one in name}
    assert compiled(now, journey) == found


def test_reasons_are_a_set_that_can_be_read() -> None:
    found = forbidden(facts(consent=False, sends_hours=sent(-10, -20), hour=7.0))["send:red@now"]
    expected = Reason.NO_CONSENT | Reason.FREQUENCY_CAP | Reason.MINIMUM_GAP | Reason.QUIET_HOURS
    assert found == expected
    names = ["no_consent", "frequency_cap", "minimum_gap", "quiet_hours"]
    assert reason_names(int(found)) == names
    assert reason_names(0) == []
    assert len({int(reason) for reason in Reason}) == len(Reason)
    assert all(reason_names(int(reason)) == [str(reason.name).lower()] for reason in Reason)


def last_bins(**happened: int) -> NDArray[np.int32]:
    last = np.full((1, len(JOURNEY.channels)), NEVER, np.int32)
    for name, bin_ in happened.items():
        last[0, JOURNEY.channel_index(name)] = bin_
    return last


def test_the_past_tells_who_opted_out_bounced_talks_to_sales_or_showed_intent() -> None:
    def held(**happened: int) -> set[str]:
        found = standing(
            JOURNEY.guardrails, lags_of(JOURNEY, last_bins(**happened), np.array([10]))
        )
        return {name for name, value in found.items() if value[0]}

    assert held() == set()
    assert held(left=-400) == {"opted_out"}
    assert held(bounced=10) == {"hard_bounced"}
    assert held(called=9) == {"conversation"}  # one bin back
    assert held(called=8) == set()
    assert held(clicked=0) == {"intent"}


def test_a_conversation_lasts_until_something_later_closes_it() -> None:
    journey = toy(
        guardrails__conversation={},
        guardrails__conversation_until={
            "warm": ["hot", "bought"],
            "clicked": {"until": "bought", "bins": 3},
        },
    )

    def talks(**happened: int) -> bool:
        lag = lags_of(journey, last_bins(**happened), np.array([10]))
        return bool(standing(journey.guardrails, lag)["conversation"][0])

    assert not talks()
    assert talks(warm=-400)  # nothing closed it
    assert not talks(warm=3, hot=4)
    assert not talks(warm=3, bought=7)
    assert talks(warm=8, hot=4)  # opened anew
    assert talks(warm=4, hot=4)  # in doubt, mail waits
    assert not talks(hot=2)
    assert talks(clicked=7)
    assert not talks(clicked=6)  # 3 bins at most
    assert not talks(clicked=9, bought=10)


def test_the_finer_clock_says_which_came_first_in_a_bin() -> None:
    journey = toy(guardrails__conversation={}, guardrails__conversation_until={"warm": ["hot"]})
    lag = lags_of(journey, last_bins(warm=4, hot=4), np.array([10]))
    for warm, hot, open_ in ((97, 98, False), (98, 97, True), (98, 98, True)):
        since = lags_of(journey, last_bins(warm=warm, hot=hot), np.array([240]))
        assert standing(journey.guardrails, lag, since)["conversation"][0] == open_


def test_without_a_declared_need_everybody_has_shown_intent() -> None:
    journey = toy(guardrails__escalation_needs=[])
    assert (
        standing(journey.guardrails, lags_of(journey, last_bins(), np.array([0])))["intent"] is True
    )


N = 64


@st.composite
def many_facts(draw: st.DrawFn) -> GuardrailFacts:
    """Sixty-four contacts with any facts."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    flags = {f.name: rng.random(N) < 0.6 for f in fields(GuardrailFacts)[:8]}
    day = rng.integers(-10, 10, N)
    midnight = MIDNIGHT + 24.0 * day
    hour = rng.integers(0, 96, N) / 4
    back = rng.integers(0, 400, (N, 2)) / 4
    return GuardrailFacts(
        **flags,
        sends_hours=np.where(rng.random((N, 2)) < 0.4, -np.inf, (midnight + hour)[:, None] - back),
        now_hours=midnight + hour,
        midnight_hours=midnight,
        today=TODAY + day,
        slowed=rng.random(N) < 0.3,
        inactive=rng.integers(0, 6, N).astype(np.float32),
        probed=rng.random(N) < 0.5,
    )


def stated(now: GuardrailFacts) -> dict[str, Any]:
    facts = {f.name: getattr(now, f.name) for f in fields(GuardrailFacts)}
    return {name: fact for name, fact in facts.items() if fact is not None}


@given(many_facts())
def test_waiting_a_bin_is_always_legal(now: GuardrailFacts) -> None:
    mask, reasons = legal_actions(now, CATALOG, JOURNEY.guardrails)
    assert mask.shape == reasons.shape == (N, len(CATALOG))
    assert mask[:, CATALOG.wait].all()


@given(many_facts())
def test_numpy_and_torch_forbid_the_same_for_the_same_reasons(now: GuardrailFacts) -> None:
    tensors = {name: torch.as_tensor(fact) for name, fact in stated(now).items()}
    mask, reasons = legal_actions(now, CATALOG, JOURNEY.guardrails)
    torch_mask, torch_reasons = legal_actions(
        GuardrailFacts(**tensors), CATALOG, JOURNEY.guardrails
    )
    assert torch_mask.dtype == torch.bool
    np.testing.assert_array_equal(torch_mask.numpy(), mask)
    np.testing.assert_array_equal(torch_reasons.numpy(), reasons)


@given(many_facts())
def test_a_row_does_not_depend_on_its_neighbours(now: GuardrailFacts) -> None:
    mask, _ = legal_actions(now, CATALOG, JOURNEY.guardrails)
    third = {name: fact[2:3] for name, fact in stated(now).items()}
    alone, _ = legal_actions(GuardrailFacts(**third), CATALOG, JOURNEY.guardrails)
    np.testing.assert_array_equal(alone[0], mask[2])


@pytest.mark.parametrize(
    "sent_at, forward, wanted", [(-15.5, 0.0, set()), (-15.5, 1.0, {"send:red@09", "send:blue@09"})]
)
def test_an_hour_that_clocks_skip_before_a_slot_has_not_passed_then(
    sent_at: float, forward: float, wanted: set[str]
) -> None:
    now = facts(sends_hours=sent(sent_at, NEVER_SENT), hour=8.75, set_forward=[forward] * 24)
    held = {action for action, why in forbidden(now).items() if Reason.MINIMUM_GAP in why}
    assert held == wanted  # of mail at once no clock makes a difference


def test_compiled_rules_know_no_clocks_that_are_set() -> None:
    now = facts(set_forward=[0.0] * 24)
    mask, reasons = np.zeros((len(CATALOG), 1), np.bool_), np.zeros((len(CATALOG), 1), np.int32)
    with pytest.raises(SimulationError, match="clocks that nobody sets"):
        CompiledRules(CATALOG, JOURNEY.guardrails)(now, mask, reasons)
