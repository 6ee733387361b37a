"""What decisions of a log, and what followed them, show to be wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nurture_envs.clock import HOUR_US, local_microseconds
from nurture_envs.journey import Journey
from nurture_envs.stops import forbids, say_of
from nurture_rl.appraisal.first_look import WORTHS, units_needed
from nurture_rl.appraisal.health.finding import LOOK, STOP, LogFinding, share
from nurture_rl.appraisal.health.in_time import in_time, latest

_SURE, _ALL_SURE = 0.999, 0.9  # a propensity that leaves nothing to chance; share of such decisions
_NO_PROPENSITY = 0.01
_OFTEN_LEGAL = 0.01  # share of decisions in which an action is legal, to miss it
_UNSENT, _UNDECIDED = 0.2, 0.1  # sends without an event; sends that nobody decided
_QUIET = 0.01
_SKEWED = 0.001
_UNFINISHED = 0.5
_FEW_SUCCESSES = 30


def decisions_health(
    events: pa.Table, contacts: pa.Table, decisions: pa.Table, table: pa.Table, journey: Journey
) -> Iterator[LogFinding]:
    """Findings in the decisions.

    Args:
        events: checked.
        contacts: checked.
        decisions: checked, at least one.
        table: the decision table of the same decisions.
        journey: whose actions they are.
    """
    yield from _chance(decisions)
    yield from _untried(decisions)
    yield from _joined(events, decisions, journey)
    yield from _after_no(events)
    yield from _quiet_hours(events, contacts, journey)
    yield from _outcomes(table, journey)


def skew(record: Mapping[str, Any]) -> Iterator[LogFinding]:
    """Whether features as logged are those that the log gives.

    Args:
        record: `decisions.json` of the ingested log.
    """
    equal = record.get("logged_features_equal")
    if equal is not None and equal < 1.0 - _SKEWED:
        yield LogFinding(
            "features differ",
            LOOK,
            f"{100 * (1 - equal):.1f} % of the feature vectors that were logged are not those that "
            "the events give",
            "look for events that reached the log and not the server, or came too late",
        )


def _chance(decisions: pa.Table) -> Iterator[LogFinding]:
    n, missing = len(decisions), decisions["propensity"].null_count
    if missing > _NO_PROPENSITY * n:
        yield LogFinding(
            "no propensities",
            STOP,
            f"{share(missing, n)} decisions have no propensity",
            "log the chance of every action when it is decided; 1 is no stand-in",
        )
    known = decisions["propensity"].drop_null()
    sure = int(pc.sum(pc.greater_equal(known, _SURE)).as_py() or 0)
    if len(known) and sure > _ALL_SURE * len(known):
        yield LogFinding(
            "no exploration",
            STOP,
            f"{share(sure, len(known))} decisions left nothing to chance",
            "let a share of contacts be decided at random within the guardrails (an arm `random`)",
        )


def _untried(decisions: pa.Table) -> Iterator[LogFinding]:
    masks = decisions["mask"].combine_chunks()
    chances = decisions["probabilities"].combine_chunks()
    actions = len(masks[0])
    legal = np.asarray(masks.flatten()).reshape(-1, actions)
    given = np.asarray(chances.flatten(), float).reshape(-1, actions)
    missed = np.flatnonzero((legal.mean(0) > _OFTEN_LEGAL) & ~(given > 0.0).any(0))
    if missed.size:
        yield LogFinding(
            "untried action",
            LOOK,
            f"{missed.size} of {actions} actions were often legal and never had a chance "
            f"(positions {', '.join(map(str, missed[:5]))} of the catalogue)",
            "no policy can be judged that takes them: explore them, or take them out of the "
            "journey",
        )


def _joined(events: pa.Table, decisions: pa.Table, journey: Journey) -> Iterator[LogFinding]:
    carried = decisions.filter(pc.invert(decisions["deferred"]))
    sends = carried.filter(pc.starts_with(carried["action"], "send:"))
    sent = events.filter(pc.equal(events["type"], "sent"))
    if not len(sends):
        return
    window = 2 * journey.clock.period_hours * HOUR_US
    after = _nearest(sends, "decided_at", sent, "occurred_at", window)
    if after < (1.0 - _UNSENT) * len(sends):
        yield LogFinding(
            "sends without events",
            LOOK,
            f"{share(len(sends) - after, len(sends))} decided sends have no `sent` event within "
            "two "
            "bins",
            "export the sends of the mail program, or log decisions that were not carried out as "
            "`deferred`",
        )
    before = _nearest(sent, "occurred_at", sends, "decided_at", -window)
    if before < (1.0 - _UNDECIDED) * len(sent):
        yield LogFinding(
            "sends nobody decided",
            LOOK,
            f"{share(len(sent) - before, len(sent))} `sent` events follow no decision",
            "mail of other programmes reaches the same people: cap it together, or tell it apart "
            "by "
            "its signals",
        )


def _nearest(rows: pa.Table, at: str, others: pa.Table, other_at: str, window: float) -> int:
    """How many rows have another one of their contact within the window after (before) them."""
    names = pa.concat_arrays(
        [rows["contact_id"].combine_chunks(), others["contact_id"].combine_chunks()]
    ).dictionary_encode()
    code = np.asarray(names.indices, np.int64)
    mine, theirs = code[: len(rows)], code[len(rows) :]
    moment = np.asarray(pc.cast(rows[at], pa.int64()))
    other = np.asarray(pc.cast(others[other_at], pa.int64()))
    low = min(moment.min(initial=0), other.min(initial=0))
    width = max(moment.max(initial=0), other.max(initial=0)) - low + abs(window) + 2
    keys = np.sort(theirs * width + (other - low))
    own = mine * width + (moment - low)
    start, end = (own, own + window) if window > 0 else (own + window, own)
    found = np.searchsorted(keys, end, "right") - np.searchsorted(keys, start, "left")
    return int((found > 0).sum())


def _after_no(events: pa.Table) -> Iterator[LogFinding]:
    kinds = events["type"].unique().to_pylist()
    no = [kind for kind in kinds if forbids(say_of(kind, None)) and kind != "snoozed"]
    yes = ["consent_given", "resubscribe"]
    told = events.filter(pc.is_in(events["type"], pa.array([*no, *yes, "sent"], pa.string())))
    told = in_time(told, ["type"])
    kind = np.asarray(told["type"].to_pylist(), str)
    place = latest(told, np.isin(kind, [*no, *yes]))
    sent = (kind == "sent") & (place >= 0) & np.isin(kind[place], no)
    if sent.any():
        yield LogFinding(
            "sends after a no",
            LOOK,
            f"{int(sent.sum()):,} mails went to contacts who had opted out, complained or bounced",
            "look who sent them; the server would not have, and such rows teach a policy nothing "
            "good",
        )


def _quiet_hours(events: pa.Table, contacts: pa.Table, journey: Journey) -> Iterator[LogFinding]:
    quiet = journey.guardrails.quiet_hours
    sent = events.filter(pc.equal(events["type"], "sent"))
    if quiet is None or not len(sent):
        return
    zones = dict(
        zip(contacts["contact_id"].to_pylist(), contacts["time_zone"].to_pylist(), strict=True)
    )
    zone = np.asarray([zones.get(name) for name in sent["contact_id"].to_pylist()], object)
    known = np.asarray([one is not None for one in zone], bool)
    if not known.any():
        return
    utc = np.asarray(pc.cast(sent["occurred_at"], pa.int64()))[known]
    hour = local_microseconds(utc, zone[known]) // HOUR_US % 24
    begin, end = quiet
    inside = (hour >= begin) | (hour < end) if begin > end else (hour >= begin) & (hour < end)
    if inside.sum() > _QUIET * inside.size:
        yield LogFinding(
            "sends in quiet hours",
            LOOK,
            f"{share(int(inside.sum()), inside.size)} mails went between {begin:g} and {end:g} "
            "o'clock "
            "of the contact",
            "look at the zones of contacts and at the clock of the export: a wrong zone shows so",
        )


def _outcomes(table: pa.Table, journey: Journey) -> Iterator[LogFinding]:
    complete = int(pc.sum(table["complete"]).as_py() or 0)
    if complete < (1.0 - _UNFINISHED) * len(table):
        yield LogFinding(
            "unfinished episodes",
            LOOK,
            f"{share(len(table) - complete, len(table))} decisions are of episodes whose horizon "
            "is "
            "not over",
            "wait, or say by `data.complete_until` up to when the log is complete",
        )
    channels = table["outcomes"].combine_chunks()
    outcomes = np.asarray(channels.flatten(), float).reshape(len(table), -1)
    reached = sum(
        float(outcomes[:, journey.channel_index(name)].sum()) for name in journey.north_star.of
    )
    people = pc.count_distinct(table["contact_id"]).as_py()
    if reached < _FEW_SUCCESSES:
        rate = max(reached, 1.0) / people
        units = units_needed(rate, WORTHS[1] * rate, (0.5, 0.5))
        yield LogFinding(
            "too few successes",
            STOP,
            f"{reached:.0f} {journey.north_star.name} of {people:,} contacts: at this rate two "
            "arms of "
            f"{units // 2:,} contacts each would show a rise by half",
            "log for longer, or judge by a figure that comes sooner",
        )
