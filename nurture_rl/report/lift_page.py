"""What an experiment says, for people: did it help, by how much, is anybody harmed, what next."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import time
from math import isfinite

from markupsafe import Markup

from nurture_rl.lift.arm_details import ArmDetails
from nurture_rl.lift.decision_journal import JournalEntry
from nurture_rl.lift.judged_arms import FigureLift, LiftReport
from nurture_rl.lift.next_experiment import NextExperiment
from nurture_rl.lift.written_plan import Plan
from nurture_rl.report.drawing import inline
from nurture_rl.report.lift_answers import (
    THOUSAND,
    day,
    interval,
    scaled,
    unit,
)
from nurture_rl.report.lift_blocks import block_notes, block_tables
from nurture_rl.report.lift_details import detail_tables
from nurture_rl.report.lift_figures import lift_bars, reads_picture
from nurture_rl.report.lift_first_screen import first_screen
from nurture_rl.report.lift_journal import journal_notes, journal_tables
from nurture_rl.report.markdown import grid
from nurture_rl.report.numbers import MISSING, count, percent, shown
from nurture_rl.report.tables import Table
from nurture_rl.report.templates import page


@dataclass(frozen=True, slots=True)
class Read:
    """The answer as it stood on an earlier day."""

    as_of_us: int  # UTC
    lift: FigureLift


@dataclass(frozen=True, slots=True)
class ToldLift:
    """All that a page tells."""

    report: LiftReport
    reads: list[Read] = field(default_factory=list)  # week by week, the earliest first
    details: ArmDetails | None = None
    journal: JournalEntry | None = None
    following: NextExperiment | None = None


def lift_page(told: ToldLift) -> str:
    """The page of its own; the same report gives the same bytes."""
    report = told.report
    return page(
        "lift_page.html.j2",
        f"Lift: {report.plan.name}",
        subtitle=f"{report.journey}, as of {day(report.as_of_us)}",
        provenance=report.provenance,
        answers=first_screen(report),
        figures=_figures(told),
        tables=_tables(report),
        following=told.following,
        details=_details(told),
        journal=[] if told.journal is None else journal_tables(told.journal),
        since=[] if told.journal is None else journal_notes(told.journal),
        notes=_notes(report),
    )


def lift_markdown(told: ToldLift) -> str:
    """The same without pictures."""
    report, following = told.report, told.following
    lines = [
        f"# Lift: {report.plan.name}",
        "",
        f"{report.journey}, as of {day(report.as_of_us)}",
        "",
    ]
    lines += [f"- **{question}** {answer}" for question, answer in first_screen(report).lines()]
    for table in _tables(report):
        lines += grid(table)
    if following is not None:
        lines += ["", "## The next experiment", "", following.why]
        if following.missing:
            lines += ["", *(f"- Missing: {one}" for one in following.missing)]
        if following.block is not None:
            lines += ["", "```yaml", following.block.rstrip(), "```"]
    for table, words in _details(told):
        lines += [*grid(table), "", words]
    if told.journal is not None:
        for table in journal_tables(told.journal):
            lines += grid(table)
        lines += ["", *(f"- {note}" for note in journal_notes(told.journal))]
    lines += ["", *(f"- {note}" for note in _notes(report))]
    return "\n".join(lines) + "\n"


def _figures(told: ToldLift) -> list[tuple[str, str, Markup]]:
    """Title, caption and picture."""
    report, arm = told.report, told.report.main_arm
    figures = []
    if arm is not None:
        line = (
            "The thick line is the interval that holds at all times together, the thin mark what a "
            "single read would say."
            if report.blocks is None
            else "The thick line is the interval by randomisation, at the planned end; the thin "
            "mark what a normal approximation would say."
        )
        figures.append(
            (
                "Every key figure",
                f"`{arm}` less `{report.plan.usual}`, in standard errors of the difference. {line}",
                Markup(inline(lift_bars(report.lifts[arm]))),
            )
        )
    reads = [one for one in told.reads if isfinite(one.lift.lower)]
    if len(reads) > 1:
        figures.append(
            (
                "Week by week",
                "The difference in the north star as it was read each week. It may be read on any "
                "day, and stopping when it looks good does not spoil it.",
                Markup(inline(reads_picture([(one.as_of_us, one.lift) for one in reads]))),
            )
        )
    return figures


def _details(told: ToldLift) -> list[tuple[Table, str]]:
    return [] if told.details is None else detail_tables(told.details, told.report.plan)


def _tables(report: LiftReport) -> list[Table]:
    if report.blocks is not None:
        return block_tables(report)
    return [_arms(report), *(_compared(report, name) for name in report.lifts)]


def _arms(report: LiftReport) -> Table:
    plan, rows = report.plan, []
    everybody = max(sum(one.units for one in report.arms.values()), 1)
    for name, total in report.arms.items():
        means = tuple(
            MISSING if not isfinite(mean) else shown(mean * THOUSAND)
            for mean in total.means.values()
        )
        counts = (count(total.contacts), count(total.units), count(total.followed))
        shares = (percent(plan.shares[name]), percent(total.units / everybody))
        rows.append((name, *counts, *shares, *means))
    figures = tuple(f"{name}, in 1,000" for name in next(iter(report.arms.values())).means)
    head = ("Arm", "Contacts", f"Dealt {plan.unit}s", "Followed up", "Planned share", "Share")
    return Table("Arms", (*head, *figures), tuple(rows))


def _compared(report: LiftReport, name: str) -> Table:
    head = ("Key figure", "Role", name, report.plan.usual, "Difference", "Verdict", "Unadjusted")
    rows = tuple(
        (
            f"{one.name}, {unit(one)}",
            one.role,
            shown(scaled(one, one.treated)),
            shown(scaled(one, one.usual)),
            interval(one).shown(signed=True),
            one.verdict,
            shown(scaled(one, one.raw), signed=True),
        )
        for one in report.lifts[name]
    )
    caption = f"{name} less {report.plan.usual}, with intervals at all times together"
    return Table(caption, head, rows, frozenset({1, 5}))


def _began(plan: Plan) -> str:
    """The day, with the time where the plan begins within it."""
    whole = plan.starts.time() == time.min
    return f"{plan.starts:%Y-%m-%d}" if whole else f"{plan.starts:%Y-%m-%d %H:%M} UTC"


def _notes(report: LiftReport) -> list[str]:
    if report.blocks is not None:
        return block_notes(report)
    plan, notes = report.plan, report.notes
    told = [
        f"Plan `{plan.name}` (hash `{plan.hash}`): from {_began(plan)}, {plan.unit}s "
        f"are dealt, outcomes count for {plan.window_days} days from a contact's first decision, "
        f"{count(plan.units)} {plan.unit}s are planned.",
        "A contact stays in the arm of its first decision, whatever it was sent later (intention "
        "to treat). Contacts whose days are not over yet count in the days to a signal alone.",
        f"Each interval holds at all times together with {percent(plan.level)}, for one figure. "
        "With several figures one of them errs more often: decide by the north star.",
    ]
    if notes.other_arms:
        told.append(
            f"{count(notes.other_arms)} contacts are in arms that the plan does not name; they "
            "are left out."
        )
    if notes.not_dealt:
        told.append(
            f"{count(notes.not_dealt)} contacts had their first decision since it began, and the "
            "experiment did not deal them; they are left out."
        )
    if notes.crossed:
        told.append(
            f"{count(notes.crossed)} contacts have decisions of two arms; each counts in its first."
        )
    if notes.torn_accounts:
        told.append(
            f"{count(notes.torn_accounts)} accounts have contacts in two arms, though accounts "
            "were to be dealt; each contact counts in its own, and those of an account in one arm "
            "as one unit."
        )
    told += [
        f"`{name}` or `{plan.usual}` has fewer than 30 {plan.unit}s that are followed up: not "
        "compared yet."
        for name in report.too_few
    ]
    return told
