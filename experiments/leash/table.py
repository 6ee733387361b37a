"""The records as a table, and what was chosen by which figures."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import TYPE_CHECKING

from nurture_rl.appraisal.region_choice import ChosenRegion

if TYPE_CHECKING:
    from experiments.leash.run import LeashRecord

_HEAD = (
    "| contacts | seed | learner | region | truth, EUR | over the drip | by the log | lower bound "
    "| effective sample | carried | seconds |"
)


def report(records: Sequence[LeashRecord]) -> str:
    """One row a cell, then what each choice rested on."""
    lines = [_HEAD, "| --- " * 11 + "|", *map(_row, in_order(records))]
    for one in in_order(records):
        if one.region is not None:
            lines += ["", f"{one.learner}, {one.contacts} contacts, seed {one.seed}: "
                      f"{one.region.reason}", "", *_choice(one.region)]  # fmt: skip
    return "\n".join(lines)


def in_order(records: Sequence[LeashRecord]) -> list[LeashRecord]:
    """By size of the log, learner, seed and region, `auto` last."""
    return sorted(records, key=lambda one: (one.data, one.contacts, one.learner, one.seed,
                                            one.asked == "auto", one.asked))  # fmt: skip


def _row(one: LeashRecord) -> str:
    region = f"fixed {one.asked}" if one.region is None else f"auto: {one.region.size}"
    return (
        f"| {one.contacts} | {one.seed} | `{one.learner}` | {region} | {one.truth:.1f} "
        f"| {one.over_drip:+.1f} ± {one.over_drip_stderr:.1f} "
        f"| {one.difference:+.1f} ± {one.difference_stderr:.1f} | {one.lower:+.1f} "
        f"| {one.ess:.0f} of {one.episodes} | {'yes' if one.feasible else 'no'} "
        f"| {one.seconds:.0f} |"
    )


def _choice(found: ChosenRegion) -> list[str]:
    rows = [
        f"| {one.size} | {one.expected_ess:.0f} | {_known(one.difference)} | {_known(one.lower)} |"
        for one in found.regions
        if one.carried or not isnan(one.lower)
    ]
    head = "| region | expected effective sample | difference | expected lower bound |"
    return [head, "| --- " * 4 + "|", *rows]


def _known(value: float) -> str:
    return "" if isnan(value) else f"{value:+.1f}"
