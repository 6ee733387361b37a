"""The mail and the events of an experiment's contacts, each beside the contact it belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import DAY_US
from nurture_envs.journey import Journey
from nurture_envs.signals import NO_SIGNAL, EventColumns, classify
from nurture_rl.lift.contrast import BoolArray
from nurture_rl.lift.enrolled import Enrolled, LogTables
from nurture_rl.lift.velocity import IntArray

Words = NDArray[np.object_]
NOBODY = -1


@dataclass(frozen=True, slots=True, eq=False)
class ArmMails:
    """Mail that was decided within the window and not taken back; all [k], by contact and time."""

    person: IntArray  # position among the enrolled
    at_us: IntArray  # decision, UTC
    job: Words  # of the message
    decision_id: Words


@dataclass(frozen=True, slots=True, eq=False)
class ArmEvents:
    """Events since a contact's first decision that the log knows of; all [m]."""

    person: IntArray  # position among the enrolled
    at_us: IntArray  # UTC
    inside: BoolArray  # within the plan's window
    type: Words
    human: BoolArray  # no machine did it
    reply_class: Words  # None where the log names none
    decision_id: Words  # None where the log names none
    signal: Words  # the journey's name of it; None: it is no signal


def arm_mails(log: LogTables, people: Enrolled, journey: Journey, window_days: int) -> ArmMails:
    """Mail to the enrolled, from the first decision on for the window."""
    jobs = {
        action.id: action.message.job
        for action in ActionCatalog.of(journey).actions
        if action.message is not None
    }
    rows = log.decisions.filter(
        pc.and_(
            pc.and_(
                pc.equal(log.decisions["journey"], journey.name),
                pc.is_in(log.decisions["action"], value_set=pa.array(list(jobs), pa.string())),
            ),
            pc.invert(log.decisions["deferred"]),
        )
    )
    person, at = _persons(rows, people), _microseconds(rows["decided_at"])
    days = (at - people.since_us[person]) / DAY_US
    kept = np.flatnonzero((person != NOBODY) & (days >= 0.0) & (days < window_days))
    kept = kept[np.lexsort((at[kept], person[kept]))]
    actions, ids = _words(rows["action"])[kept], _words(rows["decision_id"])[kept]
    of = np.array([jobs[action] for action in actions], object)
    return ArmMails(person[kept], at[kept], of, ids)


def arm_events(
    log: LogTables,
    people: Enrolled,
    journey: Journey,
    window_days: int,
    types: Iterable[str],
) -> ArmEvents:
    """Events of some types, of the enrolled."""
    of = pa.array(sorted(set(types)), pa.string())
    rows = log.events.filter(pc.is_in(log.events["type"], value_set=of))
    person, at = _persons(rows, people), _microseconds(rows["occurred_at"])
    known = np.maximum(at, _microseconds(rows["recorded_at"])) <= log.as_of_us
    since = people.since_us[person]
    mask = (person != NOBODY) & known & (at >= since)
    rows, person, at = rows.filter(pa.array(mask)), person[mask], at[mask]
    columns = {name: _words(rows[name]) for name in EventColumns.__slots__}
    names = np.array([*(signal.name for signal in journey.signals), None], object)
    signal = classify(EventColumns(**columns), journey.signals)
    return ArmEvents(
        person=person,
        at_us=at,
        inside=at < people.since_us[person] + window_days * DAY_US,
        type=columns["type"],
        human=~columns["is_machine"].astype(np.bool_),
        reply_class=columns["reply_class"],
        decision_id=_words(rows["decision_id"]),
        signal=names[np.where(signal == NO_SIGNAL, len(journey.signals), signal)],
    )


def mail_before(mails: ArmMails, events: ArmEvents, days: float) -> IntArray:
    """The mail that each event is told of: the one that it names, else the contact's last before.

    Returns:
        Positions in `mails`, [m]; NOBODY where there is none, or it was longer than `days` ago.
    """
    place = {name: row for row, name in enumerate(mails.decision_id)}
    named = np.array([place.get(name, NOBODY) for name in events.decision_id], np.int64)
    if not mails.person.size:
        return named
    moments = np.unique(np.concatenate([mails.at_us, events.at_us]))
    rank = len(moments) + 1  # ranks of moments keep the joint key inside 64 bits
    keys = mails.person * rank + np.searchsorted(moments, mails.at_us)
    wanted = events.person * rank + np.searchsorted(moments, events.at_us)
    last = np.searchsorted(keys, wanted, side="right") - 1
    own = (last >= 0) & (mails.person[last] == events.person)
    found = np.where(named != NOBODY, named, np.where(own, last, NOBODY))
    ago = events.at_us - mails.at_us[found]
    return np.where((found != NOBODY) & (ago >= 0) & (ago < days * DAY_US), found, NOBODY)


def _persons(rows: pa.Table, people: Enrolled) -> IntArray:
    """Position of each row's contact among the enrolled, [n]; NOBODY: not enrolled."""
    ids = pa.array(people.contact_ids.tolist(), pa.string())
    at = pc.index_in(rows["contact_id"].combine_chunks(), value_set=ids)
    return np.asarray(pc.fill_null(at, NOBODY), np.int64)


def _microseconds(column: pa.ChunkedArray) -> IntArray:
    return np.asarray(pc.cast(column, pa.int64()), np.int64)


def _words(column: pa.ChunkedArray) -> Words:
    return np.asarray(column.to_numpy(zero_copy_only=False), object)
