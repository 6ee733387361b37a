"""What is known of a contact: completed bins for features, this very moment for guardrails."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_envs.clock import DAY_US, HOUR_US
from nurture_envs.features import FeatureSpec, evaluate
from nurture_envs.guardrails import legal_actions, reason_names
from nurture_envs.journey_file import load_journey
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.facts import Known, known
from nurture_rl.serving.records import ContactView, Episode, Planned
from tests.unit.release.bundles import journey
from tests.unit.serving.contacts import MIDNIGHT, MIDNIGHT_LOCAL, ZONE, contact, event, view

JOURNEY = journey()
SPEC = FeatureSpec.of(JOURNEY)
NOON_3 = MIDNIGHT + 3 * DAY_US + 12 * HOUR_US  # noon of day 3 in Berlin


def at(now_us: int, *views: ContactView, zone: str = ZONE) -> Known:
    """What is known of some contacts at one moment."""
    return known(JOURNEY, SPEC, views, np.full(len(views), now_us, np.int64), zone)


def feature(found: Known, name: str) -> float:
    """One feature of the first contact."""
    table = evaluate(SPEC, found.past, found.bins, found.anchor_us, found.attributes)
    return float(table[0, SPEC.column(name)])


def blocked(found: Known, bundle: Bundle, action: str) -> list[str]:
    """Why an action is forbidden for the first contact."""
    _, reasons = legal_actions(found.facts, bundle.catalog, bundle.journey.guardrails)
    return reason_names(int(reasons[0, bundle.catalog.index(action)]))


def test_hours_count_on_the_wall_clock_of_the_contact() -> None:
    found = at(NOON_3, view())
    assert found.bins.tolist() == [3]
    assert found.facts.now_hours.tolist() == [(MIDNIGHT_LOCAL + 3 * DAY_US) / HOUR_US + 12]
    assert (found.facts.now_hours - found.facts.midnight_hours).tolist() == [12.0]
    assert found.facts.today.tolist() == [MIDNIGHT_LOCAL // DAY_US + 3]


def test_features_read_completed_bins_and_guardrails_read_now(bundle: Bundle) -> None:
    reply = event("reply", NOON_3 - HOUR_US, reply_class="question")
    today = at(NOON_3, view(reply))
    assert feature(today, "ever_asked") == 0.0
    assert blocked(today, bundle, "escalate") == ["sales_conversation"]
    tomorrow = at(NOON_3 + DAY_US, view(reply))
    assert feature(tomorrow, "ever_asked") == 1.0


def test_an_event_recorded_later_is_not_known_yet(bundle: Bundle) -> None:
    late = event("reply", NOON_3 - HOUR_US, recorded_us=NOON_3 + 1, reply_class="question")
    assert "sales_conversation" not in blocked(at(NOON_3, view(late)), bundle, "send:welcome@15")
    found = at(NOON_3 + 1, view(late))
    assert "sales_conversation" in blocked(found, bundle, "send:welcome@15")
    told = view(late, acknowledged=True)  # on the server's own clock nothing is known before
    assert "sales_conversation" in blocked(at(NOON_3, told), bundle, "send:welcome@15")


def test_a_terminal_signal_before_the_anchor_does_not_end_the_episode() -> None:
    before = event("meeting_booked", MIDNIGHT - HOUR_US)
    assert at(NOON_3, view(before)).ended_by == ("",)
    assert at(NOON_3, view(event("meeting_booked", MIDNIGHT))).ended_by == ("meeting_booked",)


def test_a_planned_send_counts_until_a_sent_event_names_it() -> None:
    nine = MIDNIGHT + 2 * DAY_US + 9 * HOUR_US
    planned = view(sends=(Planned("d-0", nine),))
    local_nine = (MIDNIGHT_LOCAL + 2 * DAY_US) / HOUR_US + 9
    assert at(NOON_3, planned).facts.sends_hours.tolist()[0][0] == local_nine
    sent = event("sent", nine + 60_000_000, decision_id="d-0", topic="product")
    reported = at(NOON_3, replace(planned, events=(sent,)))
    assert np.isfinite(reported.facts.sends_hours).sum() == 1
    assert reported.facts.sends_hours[0, 0] == pytest.approx(local_nine + 1 / 60)
    other = replace(sent, decision_id="d-7")
    both = at(NOON_3, replace(planned, events=(other,)))
    assert np.isfinite(both.facts.sends_hours).sum() == 2


def test_only_the_latest_sends_are_kept_each_with_its_contact() -> None:
    hours = [1, 30, 60, 50]
    sends = [event("sent", MIDNIGHT + h * HOUR_US, topic="product") for h in hours]
    found = at(NOON_3, view(), view(*sends))
    start = MIDNIGHT_LOCAL / HOUR_US
    assert np.isinf(found.facts.sends_hours[0]).all()
    assert found.facts.sends_hours[1].tolist() == [start + 60, start + 50]  # the cap counts two


def test_a_contact_without_zone_lives_in_the_default_zone_which_is_not_known() -> None:
    stranger = view(contact=contact(time_zone=None, zone_confidence=0.0))
    doubtful = view(contact=contact(zone_confidence=0.2))
    found = at(NOON_3, stranger, doubtful, view(), zone="America/New_York")
    assert found.facts.zone_known.tolist() == [False, False, True]
    assert found.bins.tolist() == [3, 3, 3]
    clock = found.facts.now_hours - found.facts.midnight_hours
    assert clock.tolist() == [6.0, 12.0, 12.0]


def test_a_withdrawal_overrides_consent_until_it_is_taken_back() -> None:
    gone = event("consent_withdrawn", MIDNIGHT + HOUR_US)
    back = event("consent_given", MIDNIGHT + 2 * HOUR_US)
    never = view(back, contact=contact(consent=False))
    found = at(NOON_3, view(), view(gone), view(gone, back), never)
    assert found.facts.consent.tolist() == [True, False, True, False]


def test_a_pause_chosen_before_holds_until_its_last_bin() -> None:
    paused = view(episode=Episode("e-1", MIDNIGHT_LOCAL, last_step=1, paused_until=4))
    assert at(NOON_3, paused).facts.paused.tolist() == [True]
    assert at(NOON_3 + DAY_US, paused).facts.paused.tolist() == [False]


def test_nobody_knows_more_in_company_than_alone() -> None:
    views = [
        view(event("click", MIDNIGHT + h * HOUR_US, topic="pricing"), event("sent", MIDNIGHT + h))
        for h in range(0, 60, 7)
    ]
    together = at(NOON_3, *views)
    for row, one in enumerate(views):
        alone = at(NOON_3, one)
        assert np.array_equal(alone.past.ring[0], together.past.ring[row])
        assert np.array_equal(alone.past.last[0], together.past.last[row])
        assert np.array_equal(alone.facts.sends_hours[0], together.facts.sends_hours[row])


NURTURES = ("inbound_lead", "re_engagement", "renewal", "stalled_opportunity", "trial_onboarding")


@pytest.mark.parametrize("name", NURTURES)
def test_in_every_shipped_nurture_a_salesperson_at_work_holds_mail(name: str) -> None:
    shipped = load_journey(name)

    def talks(*happened: tuple[str, int, str | None]) -> bool:
        """Whether somebody talks to them at noon of day 3, given event, its hour and stage."""
        events = [event(kind, NOON_3 + h * HOUR_US, stage=stage) for kind, h, stage in happened]
        moment = np.array([NOON_3], np.int64)
        found = known(shipped, FeatureSpec.of(shipped), [view(*events)], moment, ZONE)
        return bool(found.facts.conversation[0])

    assert not talks()
    assert talks(("sales_activity", -1, None))
    assert talks(("sales_activity", -60, None))
    assert not talks(("sales_activity", -24 * 30, None))
    opened = ("opportunity_opened", -24 * 40, None)
    if name == "stalled_opportunity":  # everybody in it has an open opportunity
        assert not talks(opened)
        return
    assert talks(opened)
    assert not talks(opened, ("opportunity_closed", -2, None))
    assert not talks(opened, ("stage_changed", -2, "lost"))
    assert not talks(opened, ("stage_changed", -2, "won"))
    assert talks(opened, ("opportunity_closed", -24 * 60, None))  # an earlier one
    assert not talks(("opportunity_opened", -24 * 400, None))  # forgotten by everybody
    morning = (("opportunity_closed", -3, None), ("opportunity_opened", -2, None))
    assert talks(*morning)  # the order within the day counts


@pytest.mark.parametrize("name", NURTURES)
def test_what_salespeople_do_changes_no_simulation(name: str) -> None:
    shipped = load_journey(name)
    words = {one.name for one in shipped.guardrails.events}
    assert words
    assert not words & set(shipped.channels)
    assert not words & set(shipped.guardrails.simulated.talks)
    assert {of for one in shipped.features for of in one.of}.isdisjoint(words)
