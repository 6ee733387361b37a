"""When the rounds of a live programme collect, are judged, and what each can judge by then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import ceil, sqrt

from nurture_envs.clock import DAY_US
from nurture_envs.journey import Journey
from nurture_rl.appraisal.verdict import power_factor
from nurture_rl.report.dated_source import ComingRound, LogProspects

_UNKNOWN_WEEKS, _MOST_WEEKS = 4, 26  # that a round collects: where nothing is known, and at most


@dataclass(frozen=True, slots=True)
class Cadence:
    """How fast a programme goes."""

    weekly: float  # contacts that enter, > 0
    weeks: int  # that a round collects, >= 1
    known_after: int  # days from entering until all outcomes are in
    gate_days: int  # from then until the gate has answered
    serve_days: int  # from then until what it let through runs


def days_until_known(journey: Journey) -> tuple[int, int]:
    """Days that an episode lasts, and days by which its last events may be known late.

    A log counts an episode from the first to its last bin, and for the longest delay of any signal
    on top of that, however the episode went; both are rounded up to whole days.
    """
    clock = journey.clock
    ends = int(clock.start_us(clock.horizon))
    known = int(clock.start_us(clock.horizon + max(journey.delays)))
    return ceil(ends / DAY_US), ceil(known / DAY_US) - ceil(ends / DAY_US)


def weeks_of_a_round(
    prospects: LogProspects, weekly: float, held_out: float, least: float
) -> tuple[int, str]:
    """The fewest whole weeks whose own contacts can judge a policy of the region, and why.

    Args:
        prospects: by the log.
        weekly: contacts that enter in a week.
        held_out: share of them that judges.
        least: effective sample that the gate asks for.
    """
    if not prospects.effective:
        return _UNKNOWN_WEEKS, "nobody knows how many a gate needs, for the log does not tell"
    each = prospects.effective / prospects.judging * held_out * weekly
    needed = ceil(least / each)
    weeks = min(max(1, needed), _MOST_WEEKS)
    why = (
        f"a week of {weekly:g} contacts adds {each:.3g} to the effective sample of "
        f"`{prospects.policy}`, and the gate asks for {least:g}"
    )
    if needed > weeks:
        why += f"; that would take {needed} weeks a round, and it is cut to half a year"
    return weeks, why


def coming_rounds(
    first: int,
    begin: date,
    shares: Sequence[float | None],
    cadence: Cadence,
    prospects: LogProspects,
    held_out: float,
) -> tuple[ComingRound, ...]:
    """The rounds that are planned, each after the one before.

    Contacts enter all the time. Those who come while outcomes are awaited and while the gate is
    asked go on under the programme that runs, and are judged with the next round's. The log's own
    contacts are counted to the first.

    Args:
        first: number of the first of them.
        begin: the day from which it collects.
        shares: of exploration, one for each round; None: not known.
        cadence: how fast they go.
        prospects: by the log.
        held_out: share of contacts that judges.
    """
    made: list[ComingRound] = []
    opened = begin
    for number, share in enumerate(shares, first):
        collected = begin + timedelta(days=7 * cadence.weeks - 1)
        known = collected + timedelta(days=cadence.known_after + 1)  # who came late on that day
        gate = known + timedelta(days=cadence.gate_days)
        own = round(cadence.weekly * cadence.weeks)
        entered = cadence.weekly * ((collected - opened).days + 1) / 7
        pooled = prospects.contacts + round(entered)
        serve = gate + timedelta(days=cadence.serve_days)
        judging = pooled * held_out
        gain = _shown(prospects, prospects.half, judging)
        made.append(
            ComingRound(
                number=number,
                collect_from=begin.isoformat(),
                collect_to=collected.isoformat(),
                known_on=known.isoformat(),
                gate_on=gate.isoformat(),
                serve_on=serve.isoformat(),
                contacts=own,
                judged_by=pooled,
                exploration=share,
                effective_own=_effective(prospects, own * held_out),
                effective_all=_effective(prospects, judging),
                gain=gain,
                star_gain=_shown(prospects, prospects.star_half, judging),
                enough=_enough(prospects, pooled),
            )
        )
        begin = serve
    return tuple(made)


def _effective(prospects: LogProspects, judging: float) -> float | None:
    """Grows with the contacts, as long as weights are of the same kind."""
    if prospects.effective is None or not prospects.judging:
        return None
    return prospects.effective / prospects.judging * judging


def _shown(prospects: LogProspects, half: float | None, judging: float) -> float | None:
    """The smallest gain that so many contacts show with the stated power."""
    if half is None or not judging:
        return None
    return half * power_factor(prospects.level) * sqrt(prospects.judging / judging)


def _enough(prospects: LogProspects, pooled: int) -> bool | None:
    return None if prospects.star.by_log is None else pooled >= prospects.star.by_log
