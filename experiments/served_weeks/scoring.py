"""Reports held against the truth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from scipy import stats

from experiments.common.intervals import half_width, holds
from experiments.served_weeks.readings import Told
from experiments.served_weeks.served import Checks, Run
from experiments.served_weeks.truth import Truth


@dataclass(frozen=True, slots=True)
class Score:
    """A key figure of an arm in all runs of a world."""

    truth: Truth
    role: str
    runs: int  # in which the last report says something
    inside: int  # of them, whose last interval holds the truth
    always: int  # of all runs, in which every weekly interval holds it
    once: int  # runs whose last interval would hold it were it as wide as a single read's
    apart: int  # runs whose last interval leaves 0 out
    played: int  # all runs
    width: float  # last interval over that of a single read, mean
    widest: float  # the same, at most
    off: float  # mean of the last differences less the truth, in its own standard errors


def scored(runs: Sequence[Run], truths: Iterable[Truth]) -> list[Score]:
    """A score for each world, arm and key figure of which there are runs."""
    return [
        _score(mine, one)
        for one in truths
        if (mine := [_of(run, one) for run in runs if run.world == one.world])
    ]


def _of(run: Run, one: Truth) -> Told:
    (told,) = (told for told in run.told if (told.arm, told.figure) == (one.arm, one.figure))
    return told


def _score(runs: Sequence[Told], one: Truth) -> Score:
    last = [_inside(told, one)[-1] for told in runs]
    ratios = [ratio for told in runs if (ratio := _last_width(told)) is not None]
    differences = np.array([told.difference[-1] for told in runs])
    error = np.hypot(differences.std(ddof=1) / np.sqrt(len(runs)), one.stderr)
    return Score(
        truth=one,
        role=runs[0].role,
        runs=sum(held is not None for held in last),
        inside=sum(held is True for held in last),
        always=sum(False not in _inside(told, one) for told in runs),
        once=sum(_inside_once(told, one) for told in runs),
        apart=sum(abs(told.difference[-1]) > (told.half[-1] or np.inf) for told in runs),
        played=len(runs),
        width=float(np.mean(ratios)),
        widest=float(np.max(ratios)),
        off=float((differences.mean() - one.difference) / error),
    )


def _inside(told: Told, one: Truth) -> list[bool | None]:
    """Whether each interval leaves the truth in; None where there is none."""
    return [
        None if half is None else holds(mid, mid - half, mid + half, one.difference, one.stderr)
        for mid, half in zip(told.difference, told.half, strict=True)
    ]


def _inside_once(told: Told, one: Truth) -> bool:
    """Whether the last interval of a single read, if it says anything, leaves the truth in."""
    mid, stderr = told.difference[-1], told.stderr[-1]
    if told.half[-1] is None or stderr is None:
        return False
    half = half_width(stderr)
    return holds(mid, mid - half, mid + half, one.difference, one.stderr)


def _last_width(told: Told) -> float | None:
    """The last interval's width over that of a single read at the same moment."""
    half, stderr = told.half[-1], told.stderr[-1]
    return None if half is None or stderr is None else half / half_width(stderr)


def coverage_table(scores: Sequence[Score]) -> str:
    """In Markdown, a line for each key figure of an arm."""
    head = (
        "| world | arm | key figure | usual | true lift | inside at the end | inside every week "
        "| single read | 0 is outside | width | off |"
    )
    lines = [head, "| --- " * 11 + "|"]
    for one in scores:
        true = one.truth
        cells = (
            *(true.world, true.arm, true.figure, f"{true.usual:.4f}", f"{true.difference:+.4f}"),
            *(f"{one.inside} of {one.runs}", f"{one.always} of {one.played}"),
            *(f"{one.once / one.runs:.0%}", f"{one.apart / one.played:.0%}"),
            *(f"{one.width:.2f} to {one.widest:.2f}", f"{one.off:+.1f}"),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def roles_table(scores: Sequence[Score]) -> str:
    """In Markdown, a line for each arm and kind of key figure, over all worlds."""
    head = "| arm | key figure | inside at the end | inside every week | single read |"
    lines = [head, "| --- " * 5 + "|"]
    for arm, role in dict.fromkeys((one.truth.arm, one.role) for one in scores):
        some = [one for one in scores if (one.truth.arm, one.role) == (arm, role)]
        said, played = sum(one.runs for one in some), sum(one.played for one in some)
        cells = (
            _share(sum(one.inside for one in some), said),
            _share(sum(one.always for one in some), played),
            _share(sum(one.once for one in some), said),
        )
        lines.append("| " + " | ".join((arm, role, *cells)) + " |")
    return "\n".join(lines)


def _share(count: int, of: int) -> str:
    """A share with the interval of Clopper and Pearson."""
    low, high = stats.binomtest(count, of).proportion_ci(0.95)
    return f"{count} of {of} ({low:.1%} to {high:.1%})"


def checks_table(runs: Sequence[Run]) -> str:
    """In Markdown, sums of what was checked in all runs."""
    lines = ["| checked | in all runs |", "| --- | --- |"]
    for field in fields(Checks):
        total = sum(getattr(run.checks, field.name) for run in runs)
        lines.append(f"| {field.name.replace('_', ' ')} | {total:,} |")
    over = [run.same_over_http for run in runs if run.same_over_http is not None]
    lines.append(f"| runs over HTTP too | {len(over)} |")
    lines.append(f"| of these with other decisions or ghosts | {over.count(False)} |")
    seconds = sum(run.seconds for run in runs)
    lines.append(f"| processor seconds, without servers' own | {seconds:,.0f} |")
    return "\n".join(lines)
