"""What a read of an experiment stands on, and what moved since the read before."""

from __future__ import annotations

from math import isfinite

from nurture_rl.lift.decision_journal import JournalEntry, JournalFigure
from nurture_rl.report.lift_answers import THOUSAND, day
from nurture_rl.report.numbers import MISSING, Bounded
from nurture_rl.report.tables import Table


def journal_tables(entry: JournalEntry) -> list[Table]:
    """What was decided on which evidence, and the differences to the last read."""
    evidence, last = entry.evidence, entry.last
    known = (
        ("Verdict", entry.verdict),
        ("Exit code", str(entry.exit_code)),
        ("Plan", f"`{evidence.plan}`"),
        ("Log", f"`{evidence.log}`"),
        ("Complete up to", day(evidence.as_of_us)),
        ("Among", evidence.among),
        ("Versions", ", ".join(f"{name} {one}" for name, one in evidence.versions.items())),
        ("Last read", MISSING if last is None else _last(entry)),
    )
    caption = "What was decided on which evidence"
    made = [Table(caption, ("Of this read", "Is"), known, frozenset({1}))]
    if last is not None:
        head = ("Key figure", "Arm", "Last read", "This read", "Verdict then", "Verdict now")
        rows = tuple(_moved(old, new) for old, new in last.moved)
        caption = f"Since the last read of {day(last.evidence.as_of_us)}"
        made.append(Table(caption, head, rows, frozenset({1, 4, 5})))
    return made


def journal_notes(entry: JournalEntry) -> list[str]:
    """What the tables do not say of the last read."""
    last = entry.last
    if last is None:
        return ["No earlier read of this experiment lies beside this one."]
    told = []
    if last.plan_changed:
        told.append(
            f"THE PLAN CHANGED since the last read (`{last.evidence.plan}` then, "
            f"`{entry.evidence.plan}` now): intervals hold for a plan that stays as it was written."
        )
    if last.verdict != entry.verdict:
        told.append(f"The verdict was “{last.verdict}”, and is “{entry.verdict}” now.")
    else:
        told.append(f"The verdict is as it was: “{entry.verdict}”.")
    if not last.moved:
        told.append("No figure moved.")
    return told


def _last(entry: JournalEntry) -> str:
    last = entry.last
    assert last is not None, "asked for where there is one"
    return f"{day(last.evidence.as_of_us)}, journal `{last.digest}`, verdict: {last.verdict}"


def _moved(old: JournalFigure | None, new: JournalFigure | None) -> tuple[str, ...]:
    known = new or old
    assert known is not None, "a figure of one of two reads"
    unit = "days" if known.per == "days" else "in 1,000 contacts"
    verdicts = (MISSING if one is None else one.verdict for one in (old, new))
    return (f"{known.name}, {unit}", known.arm, _shown(old), _shown(new), *verdicts)


def _shown(one: JournalFigure | None) -> str:
    if one is None:
        return MISSING
    scale = 1.0 if one.per == "days" else THOUSAND
    ends = (x * scale if isfinite(x) else None for x in (one.lower, one.upper))
    return Bounded(one.difference * scale, *ends).shown(signed=True)
