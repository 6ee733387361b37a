"""The records as a table, and what was chosen by which figures."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import TYPE_CHECKING

from nurture_rl.appraisal.region_choice import ChosenRegion

if TYPE_CHECKING:
    from experiments.leash.run import Leashed, LeashRecord

_HEAD = (
    "| contacts | seed | learner | region | truth, EUR | over the drip | by the log | lower bound "
    "| effective sample | carried |"
)


def report(records: Sequence[LeashRecord]) -> str:
    """One row a region, then what each choice rested on."""
    lines = [_HEAD, "| --- " * 10 + "|"]
    lines += [_row(one, leashed) for one in in_order(records) for leashed in one.leashed]
    for one in in_order(records):
        about = f"{one.learner}, {one.contacts} contacts, seed {one.seed}, {one.seconds:.0f} s"
        lines += ["", f"{about}: {one.chosen.reason}", "", *_choice(one.chosen)]
    return "\n".join(lines)


def in_order(records: Sequence[LeashRecord]) -> list[LeashRecord]:
    """By size of the log, learner and seed."""
    return sorted(records, key=lambda one: (one.data, one.contacts, one.learner, one.seed))


def region(leashed: Leashed) -> str:
    """Such as "fixed: ratio 3"."""
    return f"{leashed.asked if leashed.asked.startswith('auto') else 'fixed'}: {leashed.size}"


def _row(one: LeashRecord, leashed: Leashed) -> str:
    return (
        f"| {one.contacts:,} | {one.seed} | `{one.learner}` | {region(leashed)} "
        f"| {leashed.truth:.1f} | {leashed.over_drip:+.1f} ± {leashed.over_drip_stderr:.1f} "
        f"| {leashed.difference:+.1f} ± {leashed.difference_stderr:.1f} | {leashed.lower:+.1f} "
        f"| {leashed.ess:.0f} of {one.episodes} | {'yes' if leashed.feasible else 'no'} |"
    )


def _choice(found: ChosenRegion) -> list[str]:
    rows = [
        f"| {one.size} | {one.expected_ess:.0f} | {_known(one.difference)} | {_known(one.lower)} |"
        for one in found.regions
    ]
    head = "| region | expected effective sample | difference | expected lower bound |"
    return [head, "| --- " * 4 + "|", *rows]


def _known(value: float) -> str:
    return "" if isnan(value) else f"{value:+.1f}"
