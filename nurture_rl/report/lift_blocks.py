"""What an experiment that deals time says, for people: its first screen, tables and notes."""

from __future__ import annotations

from datetime import timedelta
from math import isfinite

from nurture_rl.lift.block_records import BlocksRead
from nurture_rl.lift.judged_arms import FigureLift, LiftReport
from nurture_rl.report.lift_answers import (
    THOUSAND,
    FirstScreen,
    day,
    interval,
    scaled,
    unit,
    worse_figures,
)
from nurture_rl.report.numbers import MISSING, Bounded, count, percent, shown
from nurture_rl.report.tables import Table


def block_answers(report: LiftReport) -> FirstScreen:
    """The first screen."""
    read, arm = _blocks(report), report.main_arm
    if read.possible < read.least:
        few = (
            f"Cannot tell. {read.possible} of {read.rounds} rounds of blocks "
            f"{'ran' if read.over else 'can run'} as planned, and {read.least} are the least."
        )
        nothing = "Nothing can be said."
        after = "See below why blocks are left out, and begin anew."
        return FirstScreen("open", few, nothing, nothing, after)
    if not read.over:
        rounds, ends = read.rounds, day(read.ends_us)
        due = f"It is read once, when its {rounds} rounds of blocks are over: {ends}."
        nothing = "Nothing is said before the planned end."
        wait = f"Change nothing until {ends}."
        return FirstScreen("open", f"Cannot tell yet. {due}", nothing, nothing, wait)
    assert arm is not None, "as many rounds as the level asks for can be compared"
    star, hurt = report.lifts[arm][0], worse_figures(report.harms)
    kind = {"better": "released", "worse": "refused"}.get(star.verdict, "open")
    return FirstScreen(
        kind="refused" if hurt else kind,
        helped=_helped(report, arm, star),
        by_how_much=_how_much(report, star),
        harmed=_harmed(report, hurt),
        next=_next(report, arm, star),
    )


def _blocks(report: LiftReport) -> BlocksRead:
    assert report.blocks is not None, "asked for where time is dealt"
    return report.blocks


def _helped(report: LiftReport, arm: str, star: FigureLift) -> str:
    usual = report.plan.usual
    more = "more" if star.difference > 0.0 else "fewer"
    said = {
        "better": f"Yes. While `{arm}` decides there are {more} {star.name} than under `{usual}`.",
        "worse": f"No, it does harm. While `{arm}` decides there are {more} {star.name} than under "
        f"`{usual}`.",
        "no difference worth having": f"No. `{arm}` changes {star.name} by less than is worth "
        "having.",
        "cannot tell yet": f"Cannot tell whether `{arm}` changes {star.name}; this experiment is "
        "over, and another one with more blocks would.",
    }[star.verdict]
    carried = _blocks(report).carry_over.get(arm)
    if carried is not None and carried.differs:
        said += " Beware: the washout is too short, see below."
    return said


def _how_much(report: LiftReport, star: FigureLift) -> str:
    if not isfinite(star.lower):
        return f"No block differs from another in {star.name}, so nothing can be said."
    treated, usual = (shown(scaled(star, x)) for x in (star.treated, star.usual))
    return (
        f"{interval(star).shown(signed=True)} {unit(star)} in {report.plan.window_days} days: "
        f"{treated} against {usual}, in {_blocks(report).compared} rounds of blocks. The interval "
        f"holds with {percent(report.plan.level)} for one read at the planned end."
    )


def _harmed(report: LiftReport, hurt: list[FigureLift]) -> str:
    told = "; ".join(
        f"{one.name}: {interval(one).shown(signed=True)} {unit(one)}"
        if isfinite(one.lower)
        else f"{one.name}: nothing can be said"
        for one in hurt or report.harms
    )
    if hurt:
        return f"Yes. {told}."
    return (
        f"No harm is seen. {told}." if told else "The journey names no figure that should be low."
    )


def _next(report: LiftReport, arm: str, star: FigureLift) -> str:
    carried = _blocks(report).carry_over.get(arm)
    if carried is not None and carried.differs:
        return "Begin anew with a longer washout and longer blocks: the report has a plan."
    if star.verdict == "worse" or worse_figures(report.harms):
        return f"Go back to `{report.plan.usual}`, and look at what `{arm}` sends."
    if star.verdict == "better":
        return f"Let `{arm}` decide for everybody, and test again whether the gain stays."
    if star.verdict == "no difference worth having":
        return f"Stay with `{report.plan.usual}`, which is simpler; test something else."
    return "Begin anew with more blocks: the report has a plan."


def block_tables(report: LiftReport) -> list[Table]:
    """Arms, figures, blocks, and the effect by day of a block."""
    by_arm = [_compared(report, arm) for arm in report.lifts]
    return [_arms(report), *by_arm, _rows(report), *_days(report)]


def _arms(report: LiftReport) -> Table:
    names = next(iter(report.arms.values())).means
    rows = tuple(
        (
            arm,
            count(total.units),
            count(report.counts.counted[arm]),
            count(total.followed),
            *(_figure(mean) for mean in total.means.values()),
        )
        for arm, total in report.arms.items()
    )
    head = ("Arm", "Blocks planned", "Over, as planned", "Compared")
    return Table("Arms", (*head, *(f"{name}, in 1,000" for name in names)), rows)


def _compared(report: LiftReport, arm: str) -> Table:
    rows = tuple(
        (
            f"{one.name}, {unit(one)}",
            one.role,
            shown(scaled(one, one.treated)),
            shown(scaled(one, one.usual)),
            interval(one).shown(signed=True),
            one.verdict,
        )
        for one in report.lifts[arm]
    )
    caption = f"{arm} less {report.plan.usual}, mean of differences within rounds"
    head = ("Key figure", "Role", arm, report.plan.usual, "Difference", "Verdict")
    return Table(caption, head, rows, frozenset({1, 5}))


def _rows(report: LiftReport) -> Table:
    read, blocks = _blocks(report), report.plan.switchback
    assert blocks is not None, "asked for where time is dealt"
    names = list(read.rows[0].means)
    rows = tuple(
        (
            str(row.block),
            row.arm or MISSING,
            (blocks.first_day + timedelta(days=row.block * blocks.block_days)).isoformat(),
            shown(row.at_risk),
            *(_figure(row.means[name]) for name in names),
            "compared" if row.compared else row.fault or "its round is not whole",
        )
        for row in read.rows
    )
    head = ("Block", "Arm", f"Begins ({blocks.zone})", "At risk on a day")
    columns = (*head, *(f"{name}, in 1,000" for name in names), "State")
    return Table("Blocks", columns, rows, frozenset({1, 2, len(columns) - 1}))


def _days(report: LiftReport) -> list[Table]:
    """The effect on the north star by day of a block, washout included."""
    washout = 0 if report.plan.switchback is None else report.plan.switchback.washout_days
    found = []
    for arm, one in _blocks(report).carry_over.items():
        rows = tuple(
            (str(at + 1), "washout" if at < washout else "counts", _figure(effect, signed=True))
            for at, effect in enumerate(one.by_day)
        )
        caption = (
            f"{arm} less {report.plan.usual} in {report.lifts[arm][0].name}, by day of a block"
        )
        head = ("Day of the block", "", "Difference, in 1,000 contacts at that pace")
        found.append(Table(caption, head, rows, frozenset({1})))
    return found


def block_notes(report: LiftReport) -> list[str]:
    """What to know beside the tables."""
    plan, read, blocks = report.plan, _blocks(report), report.plan.switchback
    assert blocks is not None, "asked for where time is dealt"
    told = [
        f"Plan `{plan.name}` (hash `{plan.hash}`): {blocks.blocks} blocks of {blocks.block_days} "
        f"days from {blocks.first_day} ({blocks.zone}), the first {blocks.washout_days} of each "
        f"left out. Each arm has one block of every {len(plan.shares)}, in an order that chance "
        "drew.",
        f"A contact is at risk for {plan.window_days} days from the first decision of an episode, "
        "whatever was decided. An event counts on the day on which it happens. Figures are events "
        f"a contact in {plan.window_days} days, were all of them as the counted days of an arm.",
        f"Intervals are by randomisation within rounds, hold with {percent(plan.level)} each, and "
        "for one read at the planned end. They are exact where the effect is the same in all "
        "blocks.",
    ]
    for arm, one in read.carry_over.items():
        later = Bounded(*(_known(x) for x in (one.late - one.early, one.lower, one.upper)))
        said = (
            "they differ by more than chance: the washout is too short, or what the arm does needs "
            "longer to show, and the difference above is a mixture"
            if one.differs
            else "no carry-over is seen, which with few rounds is weak evidence"
        )
        told.append(
            f"`{arm}` less `{plan.usual}`: {_figure(one.early, signed=True)} in 1,000 contacts in "
            f"early counted days of a block, {_figure(one.late, signed=True)} in late ones, late "
            f"less early {later.shown(signed=True)} at 90 %: {said}."
        )
    return told


def _known(value: float) -> float | None:
    return value * THOUSAND if isfinite(value) else None


def _figure(mean: float, signed: bool = False) -> str:
    return shown(mean * THOUSAND, signed=signed) if isfinite(mean) else MISSING
