"""Sends of a log without decisions → the decisions of the programme that made them.

A past programme decided on every bin of an episode: to send what went in that bin, or to wait.
Nobody logged with which chance it did so; that is another module's question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nurture_envs.actions import NOW, ActionCatalog
from nurture_envs.clock import DAY_US, HOUR_US, local_microseconds, utc_microseconds
from nurture_envs.journey import Journey
from nurture_rl.errors import ConfigError, LogError
from nurture_rl.features.bins import DecidedContacts, index_contacts, local_times, signal_events
from nurture_rl.features.contact_times import NONE, contact_times
from nurture_rl.logs.changed_columns import with_column
from nurture_rl.logs.schema import DECISIONS, OF_PROPENSITY, WALL_TIME
from nurture_rl.wording import counted

IntArray = NDArray[np.int64]

PAST, ESTIMATED = "past_programme", "estimated"  # policy, and source of the propensities
# What became of a send. All but the first are no decision of the programme.
DECIDED = "a decision"
SECOND = "a second send in one bin"
UNKNOWN = "a message that the journey does not have"
NO_EPISODE = "a contact that never entered"
BEFORE = "before the contact entered"
AFTER = "after the episode's end"
_TOLD = 3  # messages named in a sentence
BECAME = (DECIDED, SECOND, UNKNOWN, NO_EPISODE, BEFORE, AFTER)


@dataclass(frozen=True, slots=True, eq=False)
class PastDecisions:
    """What the programme decided, and what became of every send."""

    decisions: pa.Table  # checked rows; propensity null, probabilities 0, mask all True
    sends: Mapping[str, int]  # by what became of them, all of `BECAME`; they sum to the log's sends
    episodes: int
    # Of the decisions to send, by message: those that went after something rewarded in their own
    # bin. Messages without any are left out.
    after_outcome: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Episodes:
    """Passes of contacts through the journey; all [e], sorted by contact, then entry."""

    contact: IntArray
    entry_us: IntArray  # local wall time
    anchor_us: IntArray  # local midnight before it
    first: IntArray  # bin of the entry
    last: IntArray  # bin of the last decision


@dataclass(frozen=True, slots=True)
class _Sends:
    """The sends that are decisions; all [k]."""

    contact: IntArray
    local_us: IntArray  # when it went, local wall time
    begins_us: IntArray  # its bin, or what followed the entry in it
    message: NDArray[np.object_]


def past_decisions(
    events: pa.Table,
    contacts: pa.Table,
    journey: Journey,
    *,
    entry: str | None = None,
    as_of_us: int | None = None,
    default_zone: str = "UTC",
) -> PastDecisions:
    """Reconstruct the decisions of the programme that sent the log's mail.

    An episode begins with an entry: an event of the signal `entry`, or of those by which the
    journey enrols, or else the contact's first event. It is anchored at the local midnight before,
    and ends with a terminal signal, the horizon or the last bin that was over when the log ended:
    of a later one nobody knows yet whether mail went. Then the next entry begins another, after the
    rest of the journey's enrolment; where that names none, nobody comes twice.
    Every bin from the entry's to the end has a decision at its start: `send:MESSAGE@SLOT` where a
    mail of one of the journey's messages went in the bin, at the slot nearest to its hour; else
    `pause:1`. Of several sends in one bin the first is the decision.

    Args:
        events, contacts: checked tables of one log.
        journey: clock, messages, slots, entries and ends.
        entry: a signal; None: as above.
        as_of_us: UTC instant up to which the log is complete, microseconds; None: its last record.
        default_zone: where contacts of unknown zone live.

    Raises:
        ConfigError: `entry` is no signal of the journey.
        LogError: nobody entered, or no send is one of the journey's messages.
        TimeZoneError: a contact's zone is unknown.
    """
    known = index_contacts(contacts, events, default_zone)
    if as_of_us is None:
        as_of_us = int(pc.max(pc.cast(events["recorded_at"], pa.int64())).as_py())
    episodes = _episodes(events, known, journey, _entries(journey, entry), as_of_us)
    if not len(episodes.contact):
        raise LogError(
            f"nobody entered {journey.name!r}: expected events of "
            f"{', '.join(_entries(journey, entry) or ('any signal',))}, by which an episode "
            "begins; name another signal by data.entry"
        )
    row_start = np.concatenate([[0], np.cumsum(episodes.last - episodes.first + 1)])
    action, sends, chosen = _actions(events, known, journey, episodes, row_start)
    if not sends[DECIDED]:
        told = "; ".join(f"{count} of {what}" for what, count in sends.items() if count)
        raise LogError(
            "no send is a decision of this journey: expected events of type 'sent' whose "
            f"message_id is one of {', '.join(one.id for one in journey.messages)}, got "
            f"{told or 'no sends'}; map the message column with its values"
        )
    table = _table(known, journey, episodes, row_start, action)
    after = _after_outcome(events, known, journey, chosen)
    return PastDecisions(table, sends, len(episodes.contact), after)


def with_topics(events: pa.Table, journey: Journey) -> pa.Table:
    """Events that name a message of the journey and no topic get the message's topic."""
    topics = {message.id: message.topic for message in journey.messages}
    place = pc.index_in(_flat(events["message_id"]), value_set=pa.array(list(topics), pa.string()))
    of_message = pc.take(pa.array(list(topics.values()), pa.string()), place)
    filled = pc.coalesce(_flat(events["topic"]), of_message)
    return with_column(events, "topic", filled)


def told_sends(past: PastDecisions) -> list[str]:
    """What became of the sends, in sentences."""
    total = sum(past.sends.values())
    others = [
        f"{count} of {what}" for what, count in past.sends.items() if count and what != DECIDED
    ]
    rest = f"; the others are none: {', '.join(others)}" if others else ""
    said = [
        f"the decisions are reconstructed from sends: {counted(len(past.decisions), 'decision')} "
        f"in {counted(past.episodes, 'episode')}, {past.sends[DECIDED]} of "
        f"{counted(total, 'send')} are decisions{rest}"
    ]
    if late := past.after_outcome:
        named = sorted(late, key=lambda one: (-late[one], one))[:_TOLD]
        said.append(
            f"{sum(late.values())} of {past.sends[DECIDED]} decisions to send went after something "
            f"rewarded in their own bin ({', '.join(f'{late[one]} of {one}' for one in named)}): "
            "mail that answers an outcome is credited with it here; leave such messages out of the "
            "mapping, or give the journey shorter bins"
        )
    return said


def _entries(journey: Journey, entry: str | None) -> tuple[str, ...]:
    """The signals by which an episode begins; none: any event."""
    names = [signal.name for signal in journey.signals]
    if entry is not None:
        if entry not in names:
            raise ConfigError(
                f"data.entry: expected a signal of {journey.name!r} ({', '.join(names)}), got "
                f"{entry!r}"
            )
        return (entry,)
    rule = None if journey.enrolment is None else journey.enrolment.enter
    return () if rule is None else tuple(name for name in rule.on if name in names)


def _episodes(
    events: pa.Table,
    known: DecidedContacts,
    journey: Journey,
    entries: Sequence[str],
    as_of_us: int,
) -> _Episodes:
    contact, local = _moments(events, known)
    named, _, _ = signal_events(events, known, journey)
    names = np.array([signal.name for signal in journey.signals])[named.signal]
    enters, ends = np.isin(names, list(entries)), np.isin(names, list(journey.terminals))
    if entries:
        contact, local = named.contact[enters], named.local_us[enters]
    coming = contact_times(contact, local)
    ending = contact_times(named.contact[ends], named.local_us[ends])
    end_us = named.local_us[ends]
    clock = journey.clock
    rest_days = 0.0 if journey.enrolment is None else journey.enrolment.rest_days
    rest_us = round((rest_days or 0.0) * DAY_US)
    people = np.arange(len(known.ids))
    free = np.full(len(people), np.iinfo(np.int64).min)
    found: list[_Episodes] = []
    while people.size:
        at = coming.since(people, free)
        people, at = people[at != NONE], at[at != NONE]
        entry_us = local[at]
        anchor_us = entry_us - entry_us % DAY_US
        first = np.maximum(clock.bin_of(entry_us, anchor_us), 0)
        ended = ending.since(people, entry_us)
        end_bin = (
            clock.bin_of(end_us[np.where(ended != NONE, ended, 0)], anchor_us)
            if (len(end_us))
            else np.full(len(people), clock.horizon)
        )
        over = np.where(ended != NONE, np.minimum(end_bin, clock.horizon - 1), clock.horizon - 1)
        read = clock.bin_of(local_times(np.full(len(people), as_of_us), people, known), anchor_us)
        last = np.minimum(over, read - 1)
        found.append(_Episodes(people, entry_us, anchor_us, first, last))
        free = anchor_us + clock.start_us(over + 1) + rest_us
        if not entries or rest_days is None:  # a first event comes once
            break
    joined = [np.concatenate([getattr(one, name) for one in found]) for name in _Episodes.__slots__]
    order = np.lexsort((joined[1], joined[0]))
    kept = order[joined[4][order] >= joined[3][order]]
    return _Episodes(*(part[kept] for part in joined))


def _actions(
    events: pa.Table,
    known: DecidedContacts,
    journey: Journey,
    episodes: _Episodes,
    row_start: IntArray,
) -> tuple[NDArray[np.object_], dict[str, int], _Sends]:
    """The action of each row, what became of the sends, and those that are decisions."""
    catalog = ActionCatalog.of(journey)
    mails = events.filter(pc.equal(events["type"], "sent"))
    contact, local = _moments(mails, known)
    message = np.asarray(_flat(mails["message_id"]).to_pylist(), object)
    ours = np.isin(message.astype(str), [one.id for one in journey.messages])
    entered = contact_times(episodes.contact, episodes.entry_us)
    of = entered.before(contact, local + 1)  # an entry at the same moment comes first
    has = np.isin(contact, episodes.contact)
    safe = np.where(of != NONE, of, 0)
    step = journey.clock.bin_of(local, episodes.anchor_us[safe])
    inside = (of != NONE) & (step <= episodes.last[safe]) & (step >= episodes.first[safe])
    became = np.select(
        [~ours, ~has, of == NONE, ~inside], [UNKNOWN, NO_EPISODE, BEFORE, AFTER], DECIDED
    ).astype(object)
    rows = row_start[safe] + step - episodes.first[safe]
    good = np.flatnonzero(became == DECIDED)
    names = np.asarray(_flat(mails["event_id"]).to_pylist(), object).astype(str)
    order = good[np.lexsort((names[good], local[good], rows[good]))]
    first = np.append(True, np.diff(rows[order]) != 0)[: len(order)]
    became[order[~first]] = SECOND
    action = np.full(int(row_start[-1]), catalog.ids[catalog.wait], object)
    chosen = order[first]
    hours = (local[chosen] % DAY_US) / HOUR_US
    action[rows[chosen]] = _slotted(catalog, message[chosen], hours)
    counts = {what: int((became == what).sum()) for what in BECAME}
    begins = np.maximum(
        episodes.anchor_us[of[chosen]] + journey.clock.start_us(step[chosen]),
        episodes.entry_us[of[chosen]] + 1,  # what enters is no outcome
    )
    return action, counts, _Sends(contact[chosen], local[chosen], begins, message[chosen])


def _after_outcome(
    events: pa.Table, known: DecidedContacts, journey: Journey, sends: _Sends
) -> dict[str, int]:
    """How many sends of each message went after something rewarded in their own bin."""
    rewarded = {channel.partition(".")[0] for channel, weight in journey.reward.weights if weight}
    ours = [one.name in rewarded and not one.by_action for one in journey.signals]
    found, _, _ = signal_events(events, known, journey)
    of = np.array(ours, bool)[found.signal]
    if not of.any():
        return {}
    at = found.local_us[of]
    place = contact_times(found.contact[of], at).before(sends.contact, sends.local_us)
    late = (place != NONE) & (at[np.maximum(place, 0)] >= sends.begins_us)
    names, counts = np.unique(sends.message[late].astype(str), return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))


def _slotted(
    catalog: ActionCatalog, message: NDArray[np.object_], hours: NDArray[np.float64]
) -> NDArray[np.object_]:
    """The send of each message at the slot nearest to its hour; `now` where there is no other."""
    found = np.empty(len(message), object)
    for name in dict.fromkeys(message.tolist()):
        sends = [one for one in catalog.actions if one.message and one.message.id == name]
        timed = [one for one in sends if one.slot != NOW] or sends
        slots = np.array([one.slot for one in timed], np.float64)
        rows = np.flatnonzero(message == name)
        away = np.abs(hours[rows, None] - slots)
        nearest = np.minimum(away, 24.0 - away).argmin(axis=1)
        found[rows] = np.array([one.id for one in timed], object)[nearest]
    return found


def _table(
    known: DecidedContacts,
    journey: Journey,
    episodes: _Episodes,
    row_start: IntArray,
    action: NDArray[np.object_],
) -> pa.Table:
    catalog = ActionCatalog.of(journey)
    length = episodes.last - episodes.first + 1
    of = np.repeat(np.arange(len(length)), length)
    step = np.arange(len(of)) - row_start[of] + episodes.first[of]
    contact, anchor = episodes.contact[of], episodes.anchor_us[of]
    decided = _start_utc(anchor + journey.clock.start_us(step), known.zones[contact].astype(str))
    ids = known.ids.take(pa.array(contact))
    entered = pa.array(episodes.entry_us[of]).cast(WALL_TIME).cast(pa.string())
    episode = pc.binary_join_element_wise(ids, entered, "@")
    n, a = len(of), len(catalog)
    ends = pa.array(np.arange(n + 1) * a, pa.int32())

    def said(word: str) -> pa.Array:
        return pa.array([word] * n, pa.string())

    columns = {
        "decision_id": pc.binary_join_element_wise(
            said("past"), episode, pa.array(step).cast(pa.string()), "/"
        ),
        "contact_id": ids,
        "journey": said(journey.name),
        "episode_id": episode,
        "anchor": pa.array(anchor).cast(WALL_TIME),
        "step": pa.array(step.astype(np.int32)),
        "decided_at": pa.array(decided).cast(DECISIONS.field("decided_at").type),
        "action": pa.array(action.tolist(), pa.string()),
        "propensity": pa.nulls(n, pa.float64()),
        "probabilities": pa.ListArray.from_arrays(ends, pa.array(np.zeros(n * a))),
        "mask": pa.ListArray.from_arrays(ends, pa.array(np.ones(n * a, bool))),
        "policy_id": said(PAST),
        "arm": said("logged"),
        "deferred": pa.array(np.zeros(n, bool)),
        "features": pa.nulls(n, DECISIONS.field("features").type),
        "catalog": said(catalog.hash),
        "propensity_source": said(ESTIMATED),
    }
    schema = pa.schema([*DECISIONS, *OF_PROPENSITY])
    return pa.table(columns, schema=schema).sort_by(
        [("contact_id", "ascending"), ("decided_at", "ascending"), ("decision_id", "ascending")]
    )


def _start_utc(local_us: IntArray, zones: NDArray[np.str_]) -> IntArray:
    """The instant at which bins begin; where clocks skip it, the first one after it."""
    instant = utc_microseconds(local_us, zones)
    short = local_us - local_microseconds(instant, zones)
    return np.asarray(instant + np.maximum(short, 0), np.int64)


def _moments(events: pa.Table, known: DecidedContacts) -> tuple[IntArray, IntArray]:
    """Contact and local time of each event, [m] each."""
    contact = np.asarray(pc.index_in(_flat(events["contact_id"]), value_set=known.ids), np.int64)
    occurred = np.asarray(pc.cast(_flat(events["occurred_at"]), pa.int64()), np.int64)
    return contact, local_times(occurred, contact, known)


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks()
