"""The log of an experiment as it stood on earlier days."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow.compute as pc

from nurture_envs.journey_file import load_journey
from nurture_rl.lift.enrolled import enrolled
from nurture_rl.lift.judged_arms import judged
from nurture_rl.workflow.lift_log import read_arms, weekly_reads
from tests.unit.lift.small_programme import contact, decision, event, log, plan

JOURNEY = load_journey("inbound_lead")


def test_a_weekly_read_is_what_the_whole_report_said_on_that_day() -> None:
    """The north star is worked out alone, and must not differ for that."""
    rng = np.random.default_rng(3)
    contacts, decisions, events = [], [], []
    for k in range(400):
        name, arm, day = f"c{k}", "usual" if k % 2 else "policy", 40.0 * k / 400
        contacts.append(contact(name))
        decisions.append(decision(name, arm, day))
        if rng.random() < (0.2 if k % 2 else 0.5):
            events.append(event(name, "meeting_booked", day + 3.0, late=1.0))
            events.append(event(name, "stage_changed", day + 2.0, stage="mql"))
        if rng.random() < 0.1:
            events.append(event(name, "unsubscribe", day + 4.0))
    for k in range(400):  # later somebody puts people into one arm by hand
        contacts.append(contact(f"late{k}"))
        decisions.append(decision(f"late{k}", "policy", 41.0 + 0.03 * k))
    said = plan(once=("meetings booked",))
    tables = log(contacts, decisions, events, end=datetime(2026, 6, 1, tzinfo=UTC))
    report, _ = read_arms(tables, said, JOURNEY)
    reads = weekly_reads(report, tables, said, JOURNEY, 20)
    assert len(reads) == 5  # before that an arm has fewer than 30 contacts followed up
    assert (reads[2].lift.verdict, reads[-1].lift.verdict) == ("better", "cannot tell yet")
    assert reads[-1].lift == report.lifts["policy"][0]
    for one in reads:
        then_us = datetime.fromtimestamp(one.as_of_us / 1e6, UTC)
        past = tables.decisions.filter(pc.less_equal(tables.decisions["decided_at"], then_us))
        then = replace(tables, decisions=past, as_of_us=one.as_of_us)
        people, notes = enrolled(then, said, JOURNEY)
        whole = judged(people, notes, said, JOURNEY, one.as_of_us)
        assert one.lift == whole.lifts["policy"][0]
