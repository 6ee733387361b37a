"""The next experiment, as far as the present one allows: a gate between stages, and its size."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import ceil, isfinite
from typing import Any

import yaml
from scipy import special

from nurture_envs.clock import DAY_US
from nurture_envs.experiment import ARMS
from nurture_envs.journey_experiment import FREE_FACTORS
from nurture_rl.lift.judged_arms import FigureLift, LiftReport
from nurture_rl.lift.written_plan import Plan
from nurture_rl.ope.bounds.planned_looks import looks_width

POWER = 0.8  # chance that a difference worth having is told by the planned end
_LEAST_UNITS = 100
_LARGER = 0.8  # of the compared arms' share, where the policy is better
_STAGE = re.compile(rf"(_({'|'.join(FREE_FACTORS)}))?(_(?P<count>\d{{1,2}}))?$")


@dataclass(frozen=True, slots=True)
class NextExperiment:
    """What may be tried next."""

    # "next stage", "same stage", "larger share" or "wait"
    kind: str
    why: str
    missing: tuple[str, ...]  # what keeps the gate to the next stage shut
    stage: str | None  # the free factor of the suggested experiment
    block: str | None  # the entry `experiment` of a journey file; None: nothing begins yet


def next_experiment(report: LiftReport) -> NextExperiment:
    """What the verdict, the harms and the precision so far suggest.

    Stages come in the order timing, content, offer, routing. The gate to the next one opens when
    the present one was judged (better, or no difference worth having) and no supporting figure is
    worse.
    """
    arm, plan = report.main_arm, report.plan
    if not report.counts.as_planned:
        why = "The arms do not have the planned sizes, so nothing that follows could be believed."
        return _wait(why, "why the arms differ in size from the plan")
    if arm is None or "policy" in report.too_few:
        some = " and ".join(report.too_few)
        return _wait("Too few can be compared yet.", f"30 {plan.unit}s of {some}, followed up")
    star, *others = report.lifts[arm]
    worse = [one for one in (star, *others) if one.verdict == "worse"]
    if worse:
        named = ", ".join(one.name for one in worse)
        return _again(
            report,
            f"`{arm}` is worse in {named}: nothing follows on it. Change what it does, and test "
            "the change against business as usual.",
            (f"an experiment of this stage in which nothing is worse ({named})",),
        )
    if star.verdict == "cannot tell yet":
        return _undecided(report, star)
    following = following_stage(plan.free)
    if following is not None:
        why = (
            f"The stage `{plan.free}` is judged ({star.verdict}) and no supporting figure is "
            f"worse: the gate to `{following}` is open. Business as usual does not learn by "
            "itself what won: write it into the journey's program first."
        )
        return _begun("next stage", report, why, free=following)
    if star.verdict == "better":
        why = (
            f"`{arm}` is better and no supporting figure is worse. A larger share with a part in "
            f"`{plan.usual}` says whether the gain wears off."
        )
        return _begun("larger share", report, why, free=plan.free, part=_LARGER)
    return _again(
        report,
        f"`{arm}` makes no difference worth having. The same size judges another policy.",
        (),
    )


def units_needed(one: FigureLift, plan: Plan, shares: Mapping[str, float], arm: str) -> int | None:
    """Units in all arms that tell a difference worth having with 80 % power.

        sigma^2 = stderr^2 units / ((p_1 + p_2) (1 / p_1 + 1 / p_2))      observed, per unit
        N = sigma^2 (1 / q_1 + 1 / q_2) ((w(1) + z_0.8) / worth)^2

    with the plan's shares p and those of the next experiment q, and w(1) the width of the interval
    at the planned end.

    Args:
        one: the figure, with its worth.
        plan: by which it was observed.
        shares: of the next experiment, by the names of the plan's arms.
        arm: that is compared with the usual one.

    Returns:
        The units, rounded up to hundreds; None: no worth is said, or nothing varies yet.
    """
    if not one.worth or not isfinite(one.stderr) or one.stderr <= 0.0:
        return None
    return _hundreds(_unit_variance(one, plan, arm) * (_reach(plan.level) / one.worth) ** 2
                     * _spread(shares, plan, arm))  # fmt: skip


def _unit_variance(one: FigureLift, plan: Plan, arm: str) -> float:
    both = plan.shares[arm] + plan.shares[plan.usual]
    return one.stderr**2 * one.units / (both * _spread(plan.shares, plan, arm))


def _spread(shares: Mapping[str, float], plan: Plan, arm: str) -> float:
    return 1.0 / shares[arm] + 1.0 / shares[plan.usual]


def _reach(level: float) -> float:
    return looks_width(1.0, level) + float(special.ndtri(POWER))


def _undecided(report: LiftReport, star: FigureLift) -> NextExperiment:
    width = (star.upper - star.lower) / 2.0
    known = "nothing is said yet" if not isfinite(width) else f"±{width:.3g} is known"
    per = star.per if star.per == "days" else f"a {star.per}"
    if star.worth is None:
        missing = (
            f"which difference in {star.name} is worth having (`worth` of the plan); {known}",
        )
        return _again(report, "Without `worth` no day can be named by which it will tell.", missing)
    missing = (f"a verdict on {star.name}: {known}, ±{star.worth:.3g} {per} is worth having",)
    if star.tells_us is None and isfinite(width):
        why = "At this pace it will never tell: begin anew with the size that would."
        return _again(report, why, missing)
    until = "" if star.tells_us is None else f", at this pace until {_day(star.tells_us)}"
    return _wait("It cannot be told yet; change nothing.", f"{missing[0]}{until}")


def _wait(why: str, missing: str) -> NextExperiment:
    return NextExperiment("wait", why, (missing,), None, None)


def _again(report: LiftReport, why: str, missing: tuple[str, ...]) -> NextExperiment:
    made = _begun("same stage", report, why, free=report.plan.free)
    return replace(made, missing=missing)


def following_stage(free: str | None) -> str | None:
    """The stage of staged trials after one; None: there is none."""
    later = FREE_FACTORS[FREE_FACTORS.index(free) + 1 :] if free in FREE_FACTORS else ()
    return later[0] if later else None


def _begun(
    kind: str, report: LiftReport, why: str, free: str | None, part: float = 0.5
) -> NextExperiment:
    """An experiment that may begin now.

    Args:
        kind: of the suggestion.
        report: of the present one.
        why: it is suggested.
        free: the one factor that the policy chooses; None: all.
        part: of the compared arms' share for the policy.
    """
    plan, arm = report.plan, report.main_arm
    if arm is None or not {arm, *plan.shares} <= set(ARMS):
        named = ", ".join(plan.shares)
        note = f" A server has the arms {', '.join(ARMS)}; deal {named} as this log was dealt."
        return NextExperiment(kind, why + note, (), free, None)
    both = plan.shares[arm] + plan.shares[plan.usual]
    shares = {name: round(share, 6) for name, share in plan.shares.items()}
    shares[arm] = round(both * part, 6)
    shares[plan.usual] = round(1.0 - sum(shares.values()) + shares[plan.usual], 6)
    size = _sized(report, report.lifts[arm][0], shares, arm)
    made: dict[str, Any] = {
        "name": next_name(plan.name, free),
        "unit": plan.unit,
        "shares": shares,
        **({} if plan.program is None else {"usual": plan.program}),
        **({} if free is None else {"free": free}),
        "units": size.units,
        "window_days": plan.window_days,
        **({"worth": dict(size.worth)} if size.worth else {}),
        **({"once": list(plan.once)} if plan.once else {}),
        **({} if plan.velocity is None else {"velocity": _velocity(plan)}),
        "level": plan.level,
    }
    text = yaml.safe_dump({"experiment": made}, sort_keys=False, allow_unicode=True)
    line = f"  units: {size.units}"
    return NextExperiment(kind, why, (), free, text.replace(line, f"{line}  # {size.note}", 1))


@dataclass(frozen=True, slots=True)
class _Size:
    units: int
    worth: Mapping[str, float]
    note: str


def _sized(report: LiftReport, star: FigureLift, shares: Mapping[str, float], arm: str) -> _Size:
    """The units for the difference worth having; where none is said, what as many would show."""
    plan = report.plan
    needed = units_needed(star, plan, shares, arm)
    if needed is not None:
        note = f"tell {star.worth:g} with {POWER:.0%} power{_days(report, needed)}"
        return _Size(needed, plan.worth, note)
    days = _days(report, plan.units)
    if star.worth is not None or not isfinite(star.stderr) or star.stderr <= 0.0:
        return _Size(plan.units, plan.worth, f"as before{days}")
    variance = _unit_variance(star, plan, arm) * _spread(shares, plan, arm) / plan.units
    least = float(f"{_reach(plan.level) * variance**0.5:.2g}")
    note = f"as before, and `worth` is the least that they show: write what is worth having{days}"
    return _Size(plan.units, {star.name: least, **plan.worth}, note)


def _velocity(plan: Plan) -> dict[str, Any]:
    assert plan.velocity is not None, "asked for where there is one"
    return {"signal": plan.velocity.signal, "days": plan.velocity.days}


def _days(report: LiftReport, units: int) -> str:
    """How long they take at the pace so far."""
    dealt = sum(one.units for one in report.arms.values())
    days = (report.as_of_us - report.first_us) / DAY_US
    return f"; {ceil(units * days / dealt)} days at the pace so far" if dealt and days >= 1 else ""


def next_name(before: str, free: str | None) -> str:
    """Another name: who has one is dealt anew, by a salt of its own."""
    ending = _STAGE.search(before)
    assert ending is not None, "it matches the empty end, too"
    stem = before[: ending.start()] + ("" if free is None else f"_{free}")
    count = int(ending["count"] or 1) + 1
    return f"{stem}_{count}" if ending[2] == free else stem


def _hundreds(units: float) -> int:
    return max(_LEAST_UNITS, 100 * ceil(units / 100.0))


def _day(at_us: int) -> str:
    return f"{datetime.fromtimestamp(at_us / 1e6, UTC):%Y-%m-%d}"
