"""The answer: verdicts, and the day by which there is one."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from nurture_envs.journey_file import load_journey
from nurture_rl.lift.enrolled import enrolled
from nurture_rl.lift.judged_arms import LiftReport, judged
from nurture_rl.report.lift_answers import answers
from nurture_rl.report.lift_page import Read, ToldLift, lift_markdown, lift_page
from nurture_rl.workflow.lift_verb import BETTER, CANNOT_TELL, NOT_BETTER, exit_code
from tests.unit.lift.small_programme import BEGIN, contact, decision, event, log, plan

JOURNEY = load_journey("inbound_lead")
Chance = Callable[[str], float]


def _report(
    booked: dict[str, float],
    n: int = 400,
    opted_out: dict[str, float] | None = None,
    treated: float = 0.5,
    **changed: object,
) -> LiftReport:
    """Contacts on 40 days; chances of a meeting and of an opt-out by arm."""
    rng = np.random.default_rng(0)
    out = opted_out or {"policy": 0.0, "usual": 0.0}
    contacts, decisions, events = [], [], []
    for k in range(n):
        name, day = f"c{k:05d}", 40.0 * k / n
        arm = "policy" if rng.random() < treated else "usual"
        contacts.append(contact(name))
        decisions.append(decision(name, arm, day))
        if rng.random() < booked[arm]:
            events.append(event(name, "meeting_booked", day + 5.0))
        if rng.random() < out[arm]:
            events.append(event(name, "unsubscribe", day + 2.0))
    said = plan(velocity=None, **{"units": n, **changed})
    tables = log(contacts, decisions, events)
    people, notes = enrolled(tables, said, JOURNEY)
    return judged(people, notes, said, JOURNEY, tables.as_of_us)


def test_a_large_lift_is_better_and_a_large_loss_is_worse() -> None:
    good = _report({"policy": 0.4, "usual": 0.1})
    star = good.lifts["policy"][0]
    assert star.verdict == "better"
    assert star.lower < star.once[0] < star.difference < star.once[1] < star.upper
    assert star.lower < 0.3 < star.upper
    assert answers(good).helped.startswith("Yes.")
    bad = _report({"policy": 0.1, "usual": 0.4})
    assert bad.lifts["policy"][0].verdict == "worse"
    assert answers(bad).kind == "refused"


def test_no_difference_worth_having_needs_a_worth() -> None:
    equal = {"policy": 0.2, "usual": 0.2}
    assert _report(equal).lifts["policy"][0].verdict == "cannot tell yet"
    told = _report(equal, worth={"meetings booked": 0.3}).lifts["policy"][0]
    assert told.verdict == "no difference worth having"


def test_a_day_is_named_by_which_it_will_tell() -> None:
    star = _report({"policy": 0.2, "usual": 0.2}, units=1000, worth={"meetings booked": 0.1}).lifts[
        "policy"
    ][0]
    assert star.tells_us is not None
    report_day = datetime(2026, 7, 6, tzinfo=UTC)
    # 400 units in 91 days; the width must fall to 0.1
    assert star.tells_us > report_day.timestamp() * 1e6
    never = _report({"policy": 0.2, "usual": 0.2}, worth={"meetings booked": 1e-4})
    assert never.lifts["policy"][0].tells_us is None
    assert "never tell" in answers(never).next


def test_harm_is_told_even_where_the_north_star_gains() -> None:
    report = _report({"policy": 0.4, "usual": 0.1}, opted_out={"policy": 0.3, "usual": 0.02})
    told = answers(report)
    assert told.kind == "refused"
    assert told.harmed.startswith("Yes. opt-outs")
    assert told.next.startswith("Go back to `usual`")
    assert exit_code(report) == NOT_BETTER  # whoever reads the code alone must not go on


def test_the_exit_code_says_the_verdict() -> None:
    equal = {"policy": 0.2, "usual": 0.2}
    assert exit_code(_report({"policy": 0.4, "usual": 0.1})) == BETTER
    assert exit_code(_report({"policy": 0.1, "usual": 0.4})) == NOT_BETTER
    assert exit_code(_report(equal, worth={"meetings booked": 0.3})) == NOT_BETTER
    assert exit_code(_report(equal)) == CANNOT_TELL
    assert exit_code(_report(equal, n=50)) == CANNOT_TELL


def test_arms_of_other_sizes_than_planned_stop_every_verdict() -> None:
    report = _report({"policy": 0.4, "usual": 0.1}, treated=0.3)
    assert not report.counts.as_planned
    assert {one.verdict for one in report.lifts["policy"]} == {"cannot tell yet"}
    assert "something else than chance" in answers(report).helped


def test_nothing_is_said_of_a_few_contacts() -> None:
    report = _report({"policy": 0.4, "usual": 0.1}, n=50)
    assert report.lifts == {}
    assert report.too_few == ("policy",)
    assert answers(report).next == "Wait; change nothing."


def test_early_in_a_long_plan_the_interval_is_not_told() -> None:
    report = _report({"policy": 0.4, "usual": 0.1}, units=100_000)
    assert report.lifts["policy"][0].verdict == "cannot tell yet"
    assert "before 5 % of the planned contacts" in answers(report).by_how_much


def test_meetings_count_once_an_account_where_the_plan_says_so() -> None:
    contacts = [contact(f"c{k}", f"a{k // 2}") for k in range(200)]
    decisions = [decision(f"c{k}", "policy" if k % 4 < 2 else "usual") for k in range(200)]
    events = [
        event(f"c{k}", "meeting_booked", day)
        for k in range(200)
        for day in ((3.0, 4.0)[: 1 + k % 2])
    ]
    said = plan(velocity=None, once=("meetings booked",), unit="account", units=100)
    tables = log(contacts, decisions, events)
    people, notes = enrolled(tables, said, JOURNEY)
    star = judged(people, notes, said, JOURNEY, tables.as_of_us).lifts["policy"][0]
    assert star.treated == pytest.approx(0.5)  # one meeting for two colleagues, who had three
    alone = plan(velocity=None, once=("meetings booked",), units=100)
    people, notes = enrolled(
        log([contact(f"c{k}") for k in range(200)], decisions, events), alone, JOURNEY
    )
    star = judged(people, notes, alone, JOURNEY, tables.as_of_us).lifts["policy"][0]
    assert star.treated == pytest.approx(1.0)  # one for each, of whom half had two


def test_an_arm_without_an_event_is_not_known_exactly() -> None:
    """Four opt-outs against none in two hundred say nothing yet."""
    rng = np.random.default_rng(0)
    contacts = [contact(f"c{k}") for k in range(400)]
    decisions = [
        decision(f"c{k}", "policy" if k % 2 else "usual", rng.random()) for k in range(400)
    ]
    events = [event(f"c{k}", "unsubscribe", 3.0) for k in (0, 50, 100, 150)]
    said = plan(velocity=None)
    tables = log(contacts, decisions, events)
    people, notes = enrolled(tables, said, JOURNEY)
    lift = judged(people, notes, said, JOURNEY, tables.as_of_us).lifts["policy"][2]
    assert lift.once[0] < 0.0 < lift.upper
    assert lift.stderr == pytest.approx(np.sqrt(0.02 * 0.98 / 200 + 0.01 / 200), rel=0.02)


def test_no_events_at_all_say_nothing_of_a_difference() -> None:
    """Nobody of two hundred booked: the share may still be one in a hundred in one arm."""
    nobody = {"policy": 0.0, "usual": 0.0}
    report = _report(nobody, n=200, worth={"meetings booked": 0.001}, units=400)
    assert {one.verdict for one in report.lifts["policy"]} == {"cannot tell yet"}
    told = answers(report)
    assert "no contact differs from another" in told.by_how_much.lower()
    assert told.next == "Wait; change nothing."
    assert (
        re.search(r"\b(inf|nan)\b", lift_page(ToldLift(report)) + lift_markdown(ToldLift(report)))
        is None
    )


def test_days_to_a_signal_are_told_once_they_can_be_over() -> None:
    """Treated are early and few, others late and many: before the days are over it looks faster."""
    contacts, decisions, events = [], [], []
    for k in range(400):
        name, arm = f"c{k}", "policy" if k % 2 else "usual"
        contacts.append(contact(name))
        decisions.append(decision(name, arm))
        if arm == "policy" and k % 10 == 1:
            events.append(event(name, "stage_changed", 1.5, stage="mql"))
        if arm == "usual" and k % 10 < 7:
            events.append(event(name, "stage_changed", 14.5, stage="mql"))
    said = plan(units=400, window_days=7)

    def at(day: int) -> LiftReport:
        end = BEGIN + timedelta(days=day)
        people, notes = enrolled(log(contacts, decisions, events, end=end), said, JOURNEY)
        return judged(people, notes, said, JOURNEY, round(end.timestamp() * 1e6))

    early, late = at(12).lifts["policy"], at(40).lifts["policy"]
    assert [one.role for one in early] == ["north star", "supporting", "supporting"]
    assert [one.role for one in late][3:] == ["velocity"]
    assert late[3].verdict == "worse"


def test_the_page_answers_in_order_and_is_the_same_for_the_same_report() -> None:
    report = _report({"policy": 0.4, "usual": 0.1})
    reads = [
        Read(report.as_of_us - 10**12, report.lifts["policy"][0]),
        Read(report.as_of_us, report.lifts["policy"][0]),
    ]
    page = lift_page(ToldLift(report, reads))
    places = [page.index(question) for question, _ in answers(report).lines()]
    assert places == sorted(places)
    assert places[-1] < page.index("<h2")
    assert page == lift_page(ToldLift(report, reads))
    assert "| policy |" in lift_markdown(ToldLift(report))
