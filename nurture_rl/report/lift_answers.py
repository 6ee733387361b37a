"""The four lines of an experiment that are read first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite

from nurture_rl.lift.judged_arms import FigureLift, LiftReport
from nurture_rl.lift.next_experiment import following_stage
from nurture_rl.report.numbers import MISSING, Bounded, percent, shown

THOUSAND = 1000.0  # rates are told per so many contacts


@dataclass(frozen=True, slots=True)
class FirstScreen:
    """The four lines that are read first."""

    kind: str  # colour of the page: "released" (good), "refused" (bad) or "open"
    helped: str
    by_how_much: str
    harmed: str
    next: str

    def lines(self) -> list[tuple[str, str]]:
        """Question and answer, in order."""
        return [
            ("Did it help?", self.helped),
            ("By how much?", self.by_how_much),
            ("Is anybody harmed?", self.harmed),
            ("What next?", self.next),
        ]


def answers(report: LiftReport) -> FirstScreen:
    """The first screen."""
    arm = report.main_arm
    if arm is None:
        some = " and ".join(report.too_few)
        waits = f"Not enough contacts of {some} have been followed up to compare anything."
        nothing = "Nothing can be said yet."
        return FirstScreen(
            "open", f"Cannot tell yet. {waits}", nothing, nothing, "Wait; change nothing."
        )
    star = report.lifts[arm][0]
    hurt = report.harms
    kind = {"better": "released", "worse": "refused"}.get(star.verdict, "open")
    if worse_figures(hurt):
        kind = "refused"
    return FirstScreen(
        kind=kind,
        helped=_helped(report, arm, star),
        by_how_much=_how_much(report, star),
        harmed=_harmed(report, hurt),
        next=_next(report, arm, star),
    )


def _helped(report: LiftReport, arm: str, star: FigureLift) -> str:
    usual = report.plan.usual
    if not report.counts.as_planned:
        return (
            "Cannot tell. The arms do not have the sizes that were planned: something else than "
            "chance dealt contacts to them."
        )
    if star.verdict == "cannot tell yet":
        due = f" At this pace it will tell by {day(star.tells_us)}." if star.tells_us else ""
        return f"Cannot tell yet whether `{arm}` changes {star.name}.{due}"
    if star.verdict == "no difference worth having":
        return f"No. `{arm}` changes {star.name} by less than is worth having."
    if star.verdict == "better":
        word = "more" if star.better == "higher" else "fewer"
        return f"Yes. `{arm}` brings {word} {star.name} than `{usual}`."
    word = "fewer" if star.better == "higher" else "more"
    return f"No, it does harm. `{arm}` brings {word} {star.name} than `{usual}`."


def _how_much(report: LiftReport, star: FigureLift) -> str:
    if not isfinite(star.stderr):
        return f"No contact differs from another in {star.name} yet, so nothing can be said."
    if not isfinite(star.lower):
        part = percent(star.information)
        return f"Nothing is said before 5 % of the planned contacts are followed up; {part} are."
    change = percent(abs(star.difference) / star.usual) if star.usual > 0.0 else ""
    word = "more" if star.difference > 0.0 else "less"
    relative = f", that is {change} {word}" if change else ""
    treated, usual = (shown(scaled(star, x)) for x in (star.treated, star.usual))
    return (
        f"{interval(star).shown(signed=True)} {unit(star)}{relative}: {treated} against {usual}. "
        f"The interval holds at all times together with {percent(report.plan.level)}."
    )


def _harmed(report: LiftReport, harms: list[FigureLift]) -> str:
    worse = worse_figures(harms)
    if worse:
        told = "; ".join(
            f"{one.name}: {interval(one).shown(signed=True)} {unit(one)}" for one in worse
        )
        return f"Yes. {told}."
    if not harms:
        return "The journey names no key figure that should stay low."
    told = "; ".join(
        f"{one.name}: at most {shown(scaled(one, one.upper), signed=True)} {unit(one)}"
        if isfinite(one.upper)
        else f"{one.name}: nothing can be said yet"
        for one in harms
    )
    return f"No harm is seen. {told}."


def _next(report: LiftReport, arm: str, star: FigureLift) -> str:
    usual, stage = report.plan.usual, following_stage(report.plan.free)
    if not report.counts.as_planned:
        return "Find out why arms differ in size before anything else is read."
    worse = worse_figures(report.lifts[arm])
    if star in worse or any(one in worse for one in report.harms):
        return f"Go back to `{usual}` for everybody, and look at what `{arm}` sends."
    if worse:
        named = ", ".join(one.name for one in worse)
        return f"Weigh what is worse ({named}) before `{arm}` gets a larger share."
    if stage is not None and star.verdict in ("better", "no difference worth having"):
        return f"Go on to the next stage, `{stage}`: the report has its plan."
    if star.verdict == "better":
        return (
            f"Give `{arm}` a larger share, and keep a part in `{usual}`: what helps today may "
            "wear off."
        )
    if star.verdict == "no difference worth having":
        return f"Stay with `{usual}`, which is simpler; test something else."
    if star.tells_us:
        return f"Change nothing until {day(star.tells_us)}."
    if not isfinite(star.stderr):
        return "Wait; change nothing."
    if star.worth is None:
        return (
            "Write into the next plan which difference is worth having (`worth`): then a day can "
            "be named."
        )
    return (
        "At this pace it will never tell. Enrol more contacts, give the arms equal shares, or test "
        "a larger change."
    )


def worse_figures(some: Iterable[FigureLift]) -> list[FigureLift]:
    """Those that are judged worse."""
    return [one for one in some if one.verdict == "worse"]


def interval(one: FigureLift) -> Bounded:
    """A difference with its interval, in 1,000 contacts or in days."""
    ends = (scaled(one, x) if isfinite(x) else None for x in (one.lower, one.upper))
    return Bounded(scaled(one, one.difference), *ends)


def scaled(one: FigureLift, value: float) -> float:
    """A number of a key figure in its unit for people."""
    return value if one.per == "days" else value * THOUSAND


def unit(one: FigureLift) -> str:
    """That unit."""
    return "days" if one.per == "days" else "in 1,000 contacts"


def day(us: int | None) -> str:
    """A moment as its day, UTC."""
    return MISSING if us is None else datetime.fromtimestamp(us / 1e6, UTC).strftime("%-d %B %Y")
