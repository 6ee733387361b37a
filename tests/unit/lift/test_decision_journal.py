"""The journal of reads: evidence, and what moved since the last one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nurture_envs.journey_file import load_journey
from nurture_rl.codec import write_record
from nurture_rl.errors import ConfigError, LogError
from nurture_rl.lift.decision_journal import (
    JOURNAL,
    JournalEntry,
    ReadEvidence,
    journal_figures,
    last_read,
    latest_read,
)
from nurture_rl.lift.enrolled import enrolled
from nurture_rl.lift.judged_arms import LiftReport, judged
from nurture_rl.report.lift_journal import journal_notes, journal_tables
from tests.unit.lift.small_programme import contact, decision, event, log, plan

JOURNEY = load_journey("inbound_lead")


def report(booked: int) -> LiftReport:
    """Two hundred contacts, so many of the policy's with a meeting."""
    contacts = [contact(f"c{k}") for k in range(200)]
    decisions = [decision(f"c{k}", "usual" if k % 2 else "policy") for k in range(200)]
    events = [event(f"c{2 * k}", "meeting_booked", 3.0) for k in range(booked)]
    events += [event(f"c{2 * k + 1}", "meeting_booked", 3.0) for k in range(25)]
    said = plan(velocity=None, units=200)
    tables = log(contacts, decisions, events)
    people, notes = enrolled(tables, said, JOURNEY)
    return judged(people, notes, said, JOURNEY, tables.as_of_us)


EVIDENCE = ReadEvidence("p" * 16, "l" * 64, 1_000, "everybody", {"nurture-rl": "1"})


def entry(told: LiftReport, evidence: ReadEvidence = EVIDENCE) -> JournalEntry:
    verdict = told.lifts["policy"][0].verdict
    figures = journal_figures(told)
    return JournalEntry("spring", "inbound_lead", evidence, verdict, 4, {}, figures, "", None)


def kept(folder: Path, made: JournalEntry) -> Path:
    folder.mkdir(parents=True)
    write_record(made, folder / JOURNAL)
    return folder


def test_what_moved_is_told_and_what_did_not_is_not(tmp_path: Path) -> None:
    before = kept(tmp_path / "before", entry(report(25)))
    later = replace(EVIDENCE, as_of_us=2_000, log="m" * 64)
    now = report(80)
    found = last_read(before, now, later, journal_figures(now))
    assert [(old.name, new.name) for old, new in found.moved if old and new] == [
        ("meetings booked", "meetings booked")
    ]
    assert len(found.moved) == 1
    told = replace(entry(now, later), last=found)
    (notes, *_), tables = journal_notes(told), journal_tables(told)
    assert notes == "The verdict was “cannot tell yet”, and is “better” now."
    assert len(tables[1].rows) == 1
    assert tables[1].rows[0][-2:] == ("cannot tell yet", "better")


def test_more_units_alone_are_no_move(tmp_path: Path) -> None:
    made = entry(report(25))
    fewer = tuple(replace(one, units=one.units - 1) for one in made.figures)
    before = kept(tmp_path / "before", replace(made, figures=fewer))
    assert last_read(before, report(25), EVIDENCE, made.figures).moved == ()


def test_the_same_figures_say_that_none_moved(tmp_path: Path) -> None:
    before = kept(tmp_path / "before", entry(report(25)))
    found = last_read(before, report(25), EVIDENCE, journal_figures(report(25)))
    assert found.moved == ()
    told = replace(entry(report(25)), last=found)
    assert "No figure moved." in journal_notes(told)


def test_a_changed_plan_is_called_out(tmp_path: Path) -> None:
    before = kept(tmp_path / "before", entry(report(25)))
    other = replace(EVIDENCE, plan="q" * 16)
    found = last_read(before, report(25), other, journal_figures(report(25)))
    told = replace(entry(report(25), other), last=found)
    assert journal_notes(told)[0].startswith("THE PLAN CHANGED")


def test_the_latest_earlier_read_is_found_among_others(tmp_path: Path) -> None:
    told = report(25)
    for day in (1_000, 3_000, 2_000, 5_000):
        kept(tmp_path / str(day), entry(told, replace(EVIDENCE, as_of_us=day)))
    kept(tmp_path / "mailed", entry(told, replace(EVIDENCE, as_of_us=4_000, among="mailed")))
    kept(tmp_path / "other", replace(entry(told), experiment="autumn"))
    (tmp_path / "old").mkdir()  # of a version without journals
    killed = tmp_path / ".made.x.partial"  # a run that was killed left it
    killed.mkdir()
    (killed / JOURNAL).write_text("{", "utf-8")
    now = replace(EVIDENCE, as_of_us=5_000)
    assert latest_read(tmp_path, told, now) == tmp_path / "3000"
    assert latest_read(tmp_path, told, EVIDENCE) is None
    assert latest_read(tmp_path / "none", told, now) is None


def test_another_experiment_a_later_day_and_no_journal_are_refused(tmp_path: Path) -> None:
    told = report(25)
    figures = journal_figures(told)
    with pytest.raises(ConfigError, match="last: expected the folder of an earlier read"):
        last_read(tmp_path, told, EVIDENCE, figures)
    other = kept(tmp_path / "other", replace(entry(told), experiment="autumn"))
    with pytest.raises(ConfigError, match="expected a read of experiment 'spring'"):
        last_read(other, told, EVIDENCE, figures)
    later = kept(tmp_path / "later", entry(told, replace(EVIDENCE, as_of_us=9_000)))
    with pytest.raises(ConfigError, match="got a later one"):
        last_read(later, told, EVIDENCE, figures)
    (later / JOURNAL).write_text("{}", "utf-8")
    with pytest.raises(LogError, match="expected a record of JournalEntry"):
        last_read(later, told, EVIDENCE, figures)
