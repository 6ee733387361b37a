"""What is wrong with a log, for people: is it enough to learn from, what to mend first."""

from __future__ import annotations

from collections.abc import Sequence

from nurture_rl.appraisal.health.finding import STOP, LogFinding
from nurture_rl.report.markdown import grid
from nurture_rl.report.tables import Table
from nurture_rl.report.templates import page
from nurture_rl.wording import counted

TITLE = "Is this log enough to learn from?"


def doctor_page(findings: Sequence[LogFinding], subtitle: str, tables: Sequence[Table] = ()) -> str:
    """The page; the same findings give the same bytes.

    Args:
        findings: what forbids learning first.
        subtitle: of which log.
        tables: what the log tells besides.
    """
    return page(
        "doctor_page.html.j2",
        TITLE,
        subtitle=subtitle,
        answers=answers(findings),
        table=_table(findings),
        tables=tables,
    )


def doctor_markdown(
    findings: Sequence[LogFinding], subtitle: str, tables: Sequence[Table] = ()
) -> str:
    """The same as text."""
    lines = [f"# {TITLE}", "", subtitle, ""]
    lines += [f"- **{question}** {answer}" for question, answer in answers(findings)]
    for table in (_table(findings), *tables):
        lines += grid(table)
    return "\n".join(lines) + "\n"


def answers(findings: Sequence[LogFinding]) -> list[tuple[str, str]]:
    """The first screen: is it enough, and what first."""
    stops = [one for one in findings if one.severity == STOP]
    if stops:
        enough = f"No: {', '.join(one.kind for one in stops)}."
    elif findings:
        enough = f"Yes, and {counted(len(findings), 'thing')} would make what is learned better."
    else:
        enough = "Yes: nothing was found that is wrong."
    first = findings[0].mend if findings else "Train: `nurture pipeline`"
    return [(TITLE, enough), ("What first?", f"{first[0].upper()}{first[1:]}.")]


def _table(findings: Sequence[LogFinding]) -> Table:
    words = {STOP: "forbids learning"}
    rows = tuple(
        (one.kind, words.get(one.severity, "look"), one.says, one.mend) for one in findings
    )
    head = ("LogFinding", "Weight", "Evidence", "How to mend it")
    return Table("Findings, what forbids learning first", head, rows, frozenset({1, 2, 3}))
