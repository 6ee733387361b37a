"""How soon changes of intent and fatigue are told that are planted, and how often where none is.

python -m experiments.answering_back.planted_changes
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from experiments.common.over_seeds import tell_over_seeds
from nurture_envs.clock import HOUR_US
from nurture_envs.derived_rules import ChangePoints
from nurture_envs.journey import Journey
from nurture_envs.journey_file import load_journey, parse_journey
from nurture_rl.logs.change_signals import change_events
from nurture_rl.logs.schema import EVENTS

WEEK_US = 168 * HOUR_US
BEGIN = int(np.datetime64("2026-01-05", "us").astype(np.int64))
WEEKS, PEOPLE, LASTS = 52, 400, 3  # how long a rise of interest lasts, weeks
# What is planted (times the person's own, 1 where nothing changes) and what is looked for.
RISES = (
    (4.0, 4.0, 104.0),
    (8.0, 4.0, 104.0),
    (4.0, 4.0, 26.0),
    (8.0, 4.0, 26.0),
    (8.0, 8.0, 104.0),
)
FALLS = ((0.2, 0.2, 104.0), (0.0, 0.2, 104.0), (0.2, 0.2, 26.0), (0.0, 0.2, 26.0))


@dataclass(frozen=True, slots=True)
class Told:
    """What one seed says of one rule."""

    recall: float  # share of the changed who are told of in time
    days: float  # median, from the change to when it is told
    false_alarms: float  # a year of those who never change


def rises(planted: float, becomes: float, run_length: float, seed: int) -> Told:
    """People visit at a rate of their own; half of them come more often for a while."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(2.0, 0.25, PEOPLE)  # visits a week, half a visit in the mean
    change = np.where(np.arange(PEOPLE) % 2 == 0, rng.uniform(10.0, 40.0, PEOPLE), np.inf)
    rows = []
    for who in range(PEOPLE):
        weeks = rng.uniform(0.0, WEEKS, rng.poisson(rate[who] * WEEKS))
        more = rng.poisson(rate[who] * (planted - 1.0) * LASTS)
        if np.isfinite(change[who]):
            weeks = np.append(weeks, change[who] + rng.uniform(0.0, LASTS, more))
        rows += [(who, week, "page_view") for week in weeks]
    rule = {"of": ["viewed_pricing"], "usual": 0.5, "becomes": becomes, "run_length": run_length}
    return _scored(rows, rule, change, float(LASTS))


def falls(planted: float, becomes: float, run_length: float, seed: int) -> Told:
    """People get a mail a week and click with a chance of their own; half of them cease to."""
    rng = np.random.default_rng(seed)
    share = rng.beta(3.0, 7.0, PEOPLE)
    change = np.where(np.arange(PEOPLE) % 2 == 0, rng.uniform(10.0, 25.0, PEOPLE), np.inf)
    rows = []
    for who in range(PEOPLE):
        for week in range(WEEKS):
            rows.append((who, float(week), "sent"))
            chance = share[who] * (planted if week > change[who] else 1.0)
            if rng.random() < chance:
                rows.append((who, week + 0.2, "click"))
    rule = {"of": ["clicked_pricing"], "per": ["sent_pricing"], "usual": 0.3}
    rule |= {"becomes": becomes, "run_length": run_length}
    return _scored(rows, rule, change, float(WEEKS))


def _scored(
    rows: list[tuple[int, float, str]],
    rule: dict[str, Any],
    change: NDArray[np.float64],
    lasts: float,
) -> Told:
    """What the events of a rule say of people whose changes are known.

    Args:
        rows: person, week, type of each event.
        rule: of `changes`.
        change: week of each person's change, inf where there is none, [c].
        lasts: weeks in which it can be told in time.
    """
    journey = _journey(rule)
    found = next(one for one in journey.derived if isinstance(one, ChangePoints))
    told = change_events(_events(rows), found, journey)
    who = np.array([int(name) for name in told["contact_id"].to_pylist()], int)
    week = (np.array(told["occurred_at"].cast(pa.int64()).to_pylist(), float) - BEGIN) / WEEK_US
    late = week - change[who]
    changed = np.flatnonzero(np.isfinite(change))
    delays = [_first(late[who == one], lasts) for one in changed]
    in_time = [delay for delay in delays if delay is not None]
    quiet = len(change) - len(changed)
    alarms = int((~np.isfinite(change[who])).sum())
    median = float(np.median(in_time)) * 7.0 if in_time else float("nan")
    return Told(len(in_time) / len(changed), median, alarms / quiet / (WEEKS / 52))


def _first(late: NDArray[np.float64], lasts: float) -> float | None:
    """Weeks from a change to its first alarm in time."""
    in_time = late[(late >= 0.0) & (late <= lasts)]
    return float(in_time.min()) if in_time.size else None


def _journey(rule: dict[str, Any]) -> Journey:
    plain = load_journey("inbound_lead").resolved
    signals = {**plain["signals"], "turned": {"type": "changed"}}
    return parse_journey({**plain, "signals": signals, "changes": {"changed": rule}})


def _events(rows: list[tuple[int, float, str]]) -> pa.Table:
    at = [BEGIN + round(week * WEEK_US) for _, week, _ in rows]
    columns = {
        "event_id": [str(place) for place in range(len(rows))],
        "contact_id": [str(who) for who, *_ in rows],
        "occurred_at": at,
        "recorded_at": at,
        "type": [kind for *_, kind in rows],
        "is_machine": [False] * len(rows),
        "page_category": ["pricing"] * len(rows),
        "topic": ["pricing"] * len(rows),
        "properties": ["{}"] * len(rows),
    }
    arrays = [pa.array(columns.get(f.name, [None] * len(rows)), f.type) for f in EVENTS]
    return pa.table(arrays, schema=EVENTS)


def _lines(seeds: int) -> Iterator[str]:
    yield "| planted | looked for | run length | told in time | days to it | false alarms a year |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for made, cases, kind in ((rises, RISES, "visits"), (falls, FALLS, "answers")):
        for planted, becomes, run_length in cases:
            told = [made(planted, becomes, run_length, seed) for seed in range(seeds)]
            recall = [one.recall for one in told]
            yield (
                f"| {kind} × {planted:g} | × {becomes:g} | {run_length:g} "
                f"| {np.mean(recall):.0%} ({min(recall):.0%} to {max(recall):.0%}) "
                f"| {np.mean([one.days for one in told]):.0f} "
                f"| {np.mean([one.false_alarms for one in told]):.2f} |"
            )


if __name__ == "__main__":
    tell_over_seeds(_lines, __doc__, sys.argv[1:])
