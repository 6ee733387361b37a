"""What happened by arm, counted by hand."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import partial

import pytest

from nurture_envs.journey_file import load_journey
from nurture_rl.lift.arm_details import ArmDetails, arm_details
from nurture_rl.lift.enrolled import enrolled
from nurture_rl.lift.judged_arms import judged
from nurture_rl.report.lift_details import detail_tables
from nurture_rl.serving.contacts.recipient_domains import family_of
from tests.unit.lift.small_programme import BEGIN, contact, decision, event, log, plan

JOURNEY = load_journey("inbound_lead")
Rows = list[dict[str, object]]


def mail(name: str, arm: str, day: float, message: str, step: int, **more: object) -> Rows:
    return [decision(name, arm, day, step) | {"action": f"send:{message}@09"} | more]


def details(
    contacts: Rows, decisions: Rows, events: Rows, days: float = 60.0, **changed: object
) -> ArmDetails:
    said = plan(velocity=None, **{"units": 400, **changed})
    tables = log(contacts, decisions, events, end=BEGIN + timedelta(days=days))
    people, notes = enrolled(tables, said, JOURNEY)
    report = judged(people, notes, said, JOURNEY, tables.as_of_us)
    return arm_details(tables, people, report, JOURNEY, partial(family_of, own={}))


def both(count: int = 4) -> tuple[Rows, Rows]:
    """Contacts c0, c2, ... in the policy's arm, c1, c3, ... in the usual one."""
    names = [f"c{k}" for k in range(count)]
    arms = ["usual" if k % 2 else "policy" for k in range(count)]
    return [contact(name) for name in names], [
        decision(name, arm) for name, arm in zip(names, arms, strict=True)
    ]


def test_mail_is_told_by_its_job_and_what_followed_it() -> None:
    people, decisions = both()
    decisions += mail("c0", "policy", 1.0, "welcome", 1)
    decisions += mail("c0", "policy", 4.0, "security_brief", 2)
    decisions += mail("c0", "policy", 5.0, "security_brief", 3, deferred=True)  # never left
    decisions += mail("c2", "policy", 1.0, "welcome", 1)
    decisions += mail("c1", "usual", 1.0, "welcome", 1)
    decisions += mail("c1", "usual", 15.0, "welcome", 2)  # after the window
    events = [
        event("c0", "click", 2.0, topic="product"),
        event("c0", "click", 4.5, topic="product", decision_id="c0.1"),  # it names the first
        event("c0", "meeting_booked", 5.0),
        event("c1", "meeting_booked", 9.0),  # eight days after the mail
        event("c2", "click", 2.0, topic="product", is_machine=True),
        event("c2", "unsubscribe", 3.0),
    ]
    found = {(one.arm, one.job): one for one in details(people, decisions, events).jobs}
    assert set(found) == {
        ("policy", "activate"),
        ("policy", "remove_objection"),
        ("usual", "activate"),
    }
    welcome = found["policy", "activate"]
    assert (welcome.mails, welcome.clicked, welcome.converted, welcome.opted_out) == (2, 1, 0, 1)
    brief = found["policy", "remove_objection"]
    assert (brief.mails, brief.clicked, brief.converted, brief.opted_out) == (1, 0, 1, 0)
    usual = found["usual", "activate"]
    assert (usual.mails, usual.converted) == (1, 0)


def test_mail_whose_days_after_are_not_over_is_left_out_of_the_jobs() -> None:
    people, decisions = both()
    decisions += mail("c0", "policy", 1.0, "welcome", 1) + mail("c2", "policy", 9.0, "welcome", 1)
    assert details(people, decisions, [], days=11.5).jobs == ()  # 7 days, and 4 of delay
    assert details(people, decisions, [], days=13.0).jobs[0].mails == 1
    assert details(people, decisions, [], days=20.5).jobs[0].mails == 2


def test_mailboxes_are_told_by_family_and_early() -> None:
    people, decisions = both()
    people[0]["attributes"] = json.dumps({"email_domain": "gmail.com"})
    people[1]["attributes"] = json.dumps({"email_domain": "t-online.de"})
    decisions += mail("c0", "policy", 1.0, "welcome", 1) + mail("c2", "policy", 1.0, "welcome", 1)
    events = [event("c0", "complaint", 1.5), event("c1", "hard_bounce", 1.5)]
    rows = details(people, decisions, events, days=2.0).families
    told = [(o.arm, o.family, o.contacts, o.mails, o.hard_bounces, o.complaints) for o in rows]
    assert told == [
        ("policy", "google", 1, 1, 0, 1),
        ("policy", "unknown", 1, 1, 0, 0),
        ("usual", "telekom", 1, 0, 1, 0),  # mail of others bounced
    ]


def test_what_the_log_did_not_know_yet_or_came_before_is_in_no_table() -> None:
    people, decisions = both()
    decisions += mail("c0", "policy", 1.0, "welcome", 1)
    events = [
        event("c0", "complaint", 1.5, late=2.0),  # told after the log's last day
        event("c0", "hard_bounce", -1.0),  # before the first decision
        event("c1", "complaint", 1.5),
    ]
    rows = details(people, decisions, events, days=2.0).families
    told = [(one.arm, one.mails, one.hard_bounces, one.complaints) for one in rows]
    assert told == [("policy", 1, 0, 0), ("usual", 0, 0, 1)]


def test_replies_count_contacts_by_the_class_of_the_log() -> None:
    people, decisions = both()
    events = [
        event("c0", "reply", 1.0, reply_class="positive"),
        event("c0", "reply", 2.0, reply_class="positive"),
        event("c0", "reply", 3.0, reply_class="out_of_office"),
        event("c2", "reply", 20.0, reply_class="positive"),  # after the window
        event("c1", "reply", 1.0, reply_class="unsubscribe_request"),
        event("c3", "reply", 1.0),
    ]
    policy, usual = details(people, decisions, events).replies
    assert (policy.contacts, policy.by_class) == (2, {"out_of_office": 1, "positive": 1})
    assert usual.by_class == {"no class": 1, "unsubscribe_request": 1}


def test_influenced_counts_what_would_have_come_anyway_and_incremental_does_not() -> None:
    """Half of both arms book; the policy mails all, the usual arm nobody."""
    people, decisions = both(400)
    events: Rows = []
    for k in range(400):
        if k % 2 == 0:
            decisions += mail(f"c{k}", "policy", 1.0, "welcome", 1)
        if k % 4 < 2:
            events.append(event(f"c{k}", "meeting_booked", 2.0))
    decisions += mail("c1", "usual", 1.0, "welcome", 1, journey="renewal")
    people.append(contact("late"))  # whose window is not over
    decisions += [decision("late", "policy", 55.0), *mail("late", "policy", 56.0, "welcome", 1)]
    events.append(event("late", "meeting_booked", 57.0))
    policy, usual = (
        one
        for one in details(people, decisions, events).pipeline
        if one.figure == "meetings booked"
    )
    assert (policy.contacts, policy.mailed, policy.outcomes) == (200, 200, 100.0)
    assert policy.influenced == 100.0
    assert policy.incremental is not None
    assert policy.incremental[0] == pytest.approx(0.0, abs=1e-9)
    assert policy.incremental[1] < 0.0 < policy.incremental[2]
    assert (usual.influenced, usual.incremental) == (0.0, None)


def test_meetings_of_colleagues_are_one_account() -> None:
    people = [contact(f"c{k}", f"a{k // 2}") for k in range(8)]
    decisions = [decision(f"c{k}", "policy" if k < 4 else "usual") for k in range(8)]
    events = [event(f"c{k}", "meeting_booked", 2.0) for k in (0, 1, 2, 4)]
    events += [event(f"c{k}", "meeting_held", 9.0) for k in (0, 1)]
    policy, usual = details(people, decisions, events, unit="account").meetings
    assert (policy.accounts, policy.booked, policy.booked_accounts) == (2, 3, 2)
    assert (policy.held, policy.held_accounts) == (2, 1)
    assert (usual.booked, usual.booked_accounts, usual.held) == (1, 1, 0)


def test_a_table_says_what_it_counts_and_when_there_is_nothing() -> None:
    people, decisions = both()
    told = detail_tables(details(people, decisions, []), plan())
    assert len(told) == 5
    assert [bool(table.rows) for table, _ in told] == [True, False, False, False, False]
    for table, words in told[1:]:
        assert words.endswith("The log tells of none so far."), table.caption
