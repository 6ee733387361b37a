"""The page of a dated plan says when, what it costs, what can be shown, and what is not known."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from nurture_rl.report.dated_page import dated_answers, dated_markdown, dated_page
from nurture_rl.report.dated_source import DoneRound, ExplorationPrice
from nurture_rl.report.rounds_source import ValueBand
from nurture_rl.workflow.rounds.dated_rounds import coming_rounds
from tests.unit.workflow.test_dated_rounds import CADENCE, KNOWN, PLAN

DONE = DoneRound(
    number=1,
    programme="the present programme",
    collected_from="2026-03-02",
    decided="2026-04-20",
    served="2026-04-21",
    contacts=1400,
    candidate="cql",
    verdict="refused",
    reasons=("cql is not shown <to> earn more.",),
    early_days=3,
    next_programme="the present programme",
    gate="abc",
)


def test_the_first_screen_of_a_new_plan() -> None:
    told = dict(dated_answers(PLAN))
    assert told["What runs now?"] == "The present programme; no round is done."
    assert "collects from 2026-03-02 to 2026-03-29" in told["What comes next?"]
    assert "release.level=0.98" in told["What comes next?"]
    assert "18 days after it came" in told["When can it be judged?"]
    assert "about 1,500 contacts in all; 900 where chance" in told["What does the gate need?"]
    assert "20 to 70 episodes" in told["What can the next round show?"]


def test_costs_are_told_with_intervals_or_said_to_be_unknown() -> None:
    prices = (
        ExplorationPrice(0.3, ValueBand(2.0, 1.0, 3.0)),
        ExplorationPrice(0.2, None, "the log does not carry it"),
    )
    known = replace(KNOWN, prices=prices)
    plan = replace(PLAN, prospects=known)
    cost = dict(dated_answers(plan))["What does exploration cost?"]
    assert "exploring 30.0 % costs 2.0 [1.0, 3.0] EUR a contact" in cost
    assert "what exploring 20.0 % costs is unknown: the log does not carry it" in cost
    text = dated_markdown(plan)
    assert "| 30.0 % | 800 [400, 1,200] |" in text
    assert "| 20.0 % | unknown |" in text


def test_done_rounds_say_what_was_decided_and_why() -> None:
    coming = coming_rounds(2, date(2026, 4, 21), (0.2, 0.2), CADENCE, KNOWN, 0.5)
    plan = replace(PLAN, done=(DONE,), coming=coming)
    text = dated_markdown(plan)
    assert "cql is not shown <to> earn more. Asked 3 days before all outcomes" in text
    assert "| 2 | 2026-04-21 |" in text
    one_day = replace(plan, weeks=1, done=(replace(DONE, early_days=1, low_level=0.95),))
    words = dated_markdown(one_day)
    assert "1 week a round" in words
    assert "Asked 1 day before all outcomes" in words
    assert "Asked at release.level=0.95, which is less than was planned" in words
    page = dated_page(plan)
    assert "cql is not shown &lt;to&gt; earn more." in page
    assert page == dated_page(plan)
    finished = dict(dated_answers(replace(plan, coming=())))
    assert finished["What comes next?"].startswith("Nothing: all rounds are done.")


def test_what_no_log_tells_is_said() -> None:
    star = replace(KNOWN.star, rate=None, worth=None, by_log=None, by_arms=None, why="no decision")
    silent = replace(KNOWN, exploration=None, effective=None, half=None, star=star, why="nothing")
    plan = replace(PLAN, prospects=silent)
    plan = replace(plan, coming=coming_rounds(1, date(2026, 3, 2), (None,), CADENCE, silent, 0.5))
    told = dict(dated_answers(plan))
    assert told["What does exploration cost?"] == "Unknown: nothing."
    assert told["What does the gate need?"] == "Unknown for meetings booked: no decision."
    assert told["What can the next round show?"] == "Unknown: nothing."
    assert "| unknown | unknown | unknown |" in dated_markdown(plan)
