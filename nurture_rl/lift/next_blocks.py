"""The next experiment that deals time, and how many blocks it needs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from math import isfinite, sqrt
from typing import Any

import yaml
from scipy import special

from nurture_envs.experiment import ARMS, TIME
from nurture_envs.journey_experiment import least_rounds
from nurture_envs.switchback import Switchback
from nurture_rl.lift.block_records import BlocksRead
from nurture_rl.lift.judged_arms import LiftReport
from nurture_rl.lift.next_experiment import POWER, NextExperiment, following_stage, next_name

_MOST = 500  # rounds; more are no plan
_MOST_BLOCKS = 1_000  # of a journey file


def next_blocks(report: LiftReport) -> NextExperiment:
    """What the verdict, the harms and the precision of an experiment that deals time suggest."""
    read, arm = report.blocks, report.main_arm
    assert read is not None, "asked for where time is dealt"
    if read.possible < read.least:
        ran = "were" if read.over else "can be"
        missing = f"{read.least} rounds of blocks as planned; {read.possible} {ran}"
        why = (
            "Too few rounds run as planned. Begin anew, and start the server before the first day."
        )
        return _begun(report, read, why, (missing,), report.plan.free)
    if not read.over:
        day = datetime.fromtimestamp(read.ends_us / 1e6, UTC).strftime("%Y-%m-%d")
        why = "It is judged once, at its planned end; change nothing."
        return NextExperiment("wait", why, (f"the rest of the blocks, until {day}",), None, None)
    assert arm is not None, "as many rounds as the level asks for can be compared"
    star, *others = report.lifts[arm]
    carried = read.carry_over.get(arm)
    if carried is not None and carried.differs:
        why = (
            "What an arm does differs between the first and the last days of its blocks, so one "
            "block reaches into the next. Take longer blocks and a longer washout."
        )
        return _begun(
            report, read, why, ("a washout after which nothing is left",), report.plan.free
        )
    worse = [one.name for one in (star, *others) if one.verdict == "worse"]
    if worse:
        why = (
            f"`{arm}` is worse in {', '.join(worse)}: nothing follows on it. Change what it does, "
            "and test the change against business as usual."
        )
        return _begun(report, read, why, (), report.plan.free)
    if star.verdict == "cannot tell yet":
        known = (
            f"±{(star.upper - star.lower) / 2.0:.3g} is known"
            if isfinite(star.lower)
            else "no block differs from another"
        )
        missing = f"a verdict on {star.name}: {known}" + (
            "; say in `worth` which difference is worth having" if star.worth is None else ""
        )
        why = (
            "It could not be told. More blocks tell more; blocks of one plan are never added later."
        )
        return _begun(report, read, why, (missing,), report.plan.free)
    following = following_stage(report.plan.free)
    if following is not None:
        why = (
            f"The stage `{report.plan.free}` is judged ({star.verdict}) and no supporting figure "
            f"is worse: the gate to `{following}` is open. Write what won into the journey's "
            "program first."
        )
        return replace(_begun(report, read, why, (), following), kind="next stage")
    why = (
        f"`{arm}` is better: let it decide for everybody, and test again whether the gain stays."
        if star.verdict == "better"
        else f"`{arm}` makes no difference worth having. As many blocks judge another policy."
    )
    return _begun(report, read, why, (), report.plan.free)


def rounds_needed(spread: float, worth: float, level: float, most: int = _MOST) -> int | None:
    """Rounds of blocks that tell a difference worth having with about 80 % power.

    Args:
        spread: standard deviation of the differences within rounds, above 0.
        worth: the difference, above 0.
        level: of the interval.
        most: rounds that may be suggested.

    Returns:
        At least as many as the level asks for; None: more than `most`.
    """
    for m in range(max(least_rounds(level), 2), most + 1):
        if _reach(m, level) * spread <= worth:
            return m
    return None


def _reach(m: int, level: float) -> float:
    """The difference that m rounds tell with about 80 % power, in spreads.

        (t_{m-1}((1 + level) / 2) + t_{m-1}(0.8)) / sqrt(m)

    In the least rounds that the level asks for all differences have to be of one sign: then it is
    z(0.8^(1/m)), which is more.
    """
    tails = ((1.0 + level) / 2.0, POWER)
    reach = sum(float(special.stdtrit(m - 1, p)) for p in tails) / sqrt(m)
    if m > least_rounds(level):
        return reach
    return max(reach, float(special.ndtri(POWER ** (1.0 / m))))


def _begun(
    report: LiftReport, read: BlocksRead, why: str, missing: tuple[str, ...], free: str | None
) -> NextExperiment:
    """An experiment of the same arms that may begin now."""
    plan, blocks = report.plan, report.plan.switchback
    assert blocks is not None, "asked for where time is dealt"
    if not plan.shares.keys() <= set(ARMS):
        named = ", ".join(plan.shares)
        note = f" A server has the arms {', '.join(ARMS)}; deal {named} as this log was dealt."
        return NextExperiment("same stage", why + note, missing, free, None)
    rounds, worth, note = _sized(report, read)
    first = _next_first_day(blocks, report.as_of_us)
    made: dict[str, Any] = {
        "name": next_name(plan.name, free),
        "unit": TIME,
        "shares": dict(plan.shares),
        **({} if plan.program is None else {"usual": plan.program}),
        **({} if free is None else {"free": free}),
        "first_day": first,
        "zone": blocks.zone,
        "block_days": blocks.block_days,
        "washout_days": blocks.washout_days,
        "blocks": rounds * len(plan.shares),
        "window_days": plan.window_days,
        **({"worth": worth} if worth else {}),
        **({"once": list(plan.once)} if plan.once else {}),
        "level": plan.level,
    }
    text = yaml.safe_dump({"experiment": made}, sort_keys=False, allow_unicode=True)
    line = f"  blocks: {rounds * len(plan.shares)}"
    text = text.replace(line, f"{line}  # {note}", 1)
    return NextExperiment("same stage", why, missing, free, text)


def _sized(report: LiftReport, read: BlocksRead) -> tuple[int, dict[str, float], str]:
    """Rounds, the differences worth having, and why so many."""
    plan, arm = report.plan, report.main_arm
    star = None if arm is None else report.lifts[arm][0]
    spread = 0.0 if arm is None else read.spread[arm]
    worth = dict(plan.worth)
    if star is None or not isfinite(spread) or spread <= 0.0:
        return read.rounds, worth, "as before"
    if star.worth:
        most = min(_MOST, _MOST_BLOCKS // len(plan.shares))
        needed = rounds_needed(spread, star.worth, plan.level, most)
        if needed is not None:
            return needed, worth, f"tell {star.worth:g} with {POWER:.0%} power"
        return read.rounds, worth, f"as before; {star.worth:g} would take over {most} rounds"
    least = _least_worth(spread, read.rounds, plan.level)
    note = "as before, and `worth` is the least that they show: write what is worth having"
    return read.rounds, {star.name: least, **worth}, note


def _least_worth(spread: float, rounds: int, level: float) -> float:
    """The least difference that so many rounds tell with 80 % power."""
    return float(f"{_reach(rounds, level) * spread:.2g}")


def _next_first_day(blocks: Switchback, as_of_us: int) -> str:
    """The first day of a block, on the same days of the week, that leaves a block's time."""
    block = blocks.block_at(as_of_us) + 2
    first = blocks.first_day.toordinal() + block * blocks.block_days
    return blocks.first_day.fromordinal(first).isoformat()
