"""Contacts, decisions and events of a log on one clock: codes, local times and signals."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nurture_envs.clock import Clock, local_microseconds
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_envs.signals import NO_SIGNAL, EventColumns, classify, grid
from nurture_rl.errors import LeakageError, LogError
from nurture_rl.wording import counted

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_ATTRIBUTE_KINDS = ("attribute", "calendar")  # read nothing of the past


@dataclass(frozen=True, slots=True)
class DecidedContacts:
    """The contacts that were decided for; their position here is their code."""

    ids: pa.Array
    zones: NDArray[np.object_]  # IANA names, [contacts]
    attributes: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class DecisionTimes:
    """When each decision was made, and in which bin of which episode; all [n]."""

    contact: IntArray  # code
    episode: IntArray  # code, in order of first appearance
    anchor_us: IntArray  # local wall time
    step: IntArray  # the bin decided
    decided_us: IntArray  # UTC
    decided_local_us: IntArray


@dataclass(frozen=True, slots=True)
class SignalEvents:
    """The events that are signals of the journey and belong to a decided contact; all [m]."""

    contact: IntArray  # code
    local_us: IntArray  # local wall time of the event
    known_us: IntArray  # UTC instant from which the log knows of it
    signal: IntArray  # position in the journey's signals
    value: FloatArray  # on the grid, 0 where there is none


@dataclass(frozen=True, slots=True)
class BinnedLog:
    """A log with everything on one clock."""

    contacts: DecidedContacts
    times: DecisionTimes  # n decisions
    events: SignalEvents
    unmatched: Mapping[str, int]  # event type -> events that are no signal of the journey
    silent: tuple[str, ...] = ()  # signals that no event is


def bin_log(
    events: pa.Table,
    contacts: pa.Table,
    decisions: pa.Table,
    journey: Journey,
    default_zone: str = "UTC",
) -> BinnedLog:
    """Put the three checked tables of a log on one clock.

    Raises:
        LogError: an episode has two contacts or two anchors.
        TimeZoneError: a contact's zone is unknown.
    """
    known = index_contacts(contacts, decisions, default_zone)
    happened, unmatched, silent = signal_events(events, known, journey)
    return BinnedLog(known, decision_times(decisions, known), happened, unmatched, silent)


def index_contacts(
    contacts: pa.Table, decisions: pa.Table, default_zone: str = "UTC"
) -> DecidedContacts:
    """Number the contacts that appear in the decisions.

    A contact without a row has no attributes; one without a zone lives in `default_zone`.
    """
    ids = pc.unique(_flat(decisions["contact_id"]))
    rows = pc.index_in(ids, value_set=_flat(contacts["contact_id"]))
    zones = pc.fill_null(pc.take(_flat(contacts["time_zone"]), rows), "")
    texts = pc.fill_null(pc.take(_flat(contacts["attributes"]), rows), "{}")
    return DecidedContacts(
        ids=ids,
        zones=np.array([zone or default_zone for zone in zones.to_pylist()], object),
        attributes=tuple(json.loads(text) for text in texts.to_pylist()),
    )


def decision_times(decisions: pa.Table, contacts: DecidedContacts) -> DecisionTimes:
    """Read the times of the decisions.

    Raises:
        LogError: an episode has two contacts or two anchors.
        TimeZoneError: a contact's zone is unknown.
    """
    times = times_of(decisions, contacts)
    torn = torn_decisions(times)
    if torn.any():
        one = decisions.slice(int(np.flatnonzero(torn)[0]), 1).to_pylist()[0]
        raise LogError(
            f"expected one contact and one anchor per episode, got two for episode "
            f"{one['episode_id']!r} (decision {one['decision_id']!r}); "
            "give each pass through the journey its own episode_id"
        )
    return times


def torn_decisions(times: DecisionTimes) -> BoolArray:
    """Decisions of another contact or anchor than the first of their episode, [n]."""
    _, first = np.unique(times.episode, return_index=True)
    contact, anchor = times.contact, times.anchor_us
    return np.asarray(
        (contact != contact[first][times.episode]) | (anchor != anchor[first][times.episode])
    )


def times_of(decisions: pa.Table, contacts: DecidedContacts) -> DecisionTimes:
    """The times of the decisions as they stand, whole episodes or not.

    Raises:
        TimeZoneError: a contact's zone is unknown.
    """
    contact = _integers(pc.index_in(_flat(decisions["contact_id"]), value_set=contacts.ids))
    decided = _integers(decisions["decided_at"])
    return DecisionTimes(
        contact=contact,
        episode=_integers(_flat(decisions["episode_id"]).dictionary_encode().indices),
        anchor_us=_integers(decisions["anchor"]),
        step=_integers(decisions["step"]),
        decided_us=decided,
        decided_local_us=local_times(decided, contact, contacts),
    )


def signal_events(
    events: pa.Table, contacts: DecidedContacts, journey: Journey
) -> tuple[SignalEvents, dict[str, int], tuple[str, ...]]:
    """Classify the events and put them on their contact's clock.

    An event is known once it is both recorded and past: a record stamped before its event, as
    skewed clocks make it, tells nothing early.

    Returns:
        The events of signals and decided contacts, per event type how many were no signal, and
        the signals that no event is.
    """
    signal = classify(
        EventColumns(*(_strings(events[name]) for name in EventColumns.__slots__)), journey.signals
    )
    types = _strings(events["type"])
    unmatched = Counter(types[signal == NO_SIGNAL].tolist())
    codes = pc.index_in(_flat(events["contact_id"]), value_set=contacts.ids)
    contact = _integers(pc.fill_null(codes, -1))
    rows = np.flatnonzero((signal != NO_SIGNAL) & (contact >= 0))
    occurred, recorded = _integers(events["occurred_at"]), _integers(events["recorded_at"])
    value = np.asarray(pc.fill_null(_flat(events["value"]), 0.0), np.float64)
    kept = SignalEvents(
        contact=contact[rows],
        local_us=local_times(occurred[rows], contact[rows], contacts),
        known_us=np.maximum(occurred, recorded)[rows],
        signal=signal[rows],
        value=grid(value[rows]),
    )
    count = np.bincount(signal[signal != NO_SIGNAL], minlength=len(journey.signals))
    silent = tuple(s.name for s, seen in zip(journey.signals, count, strict=True) if not seen)
    return kept, dict(sorted(unmatched.items())), silent


def early_decisions(times: DecisionTimes, spec: FeatureSpec) -> BoolArray:
    """Decisions made before their own bin began, whose features would know the future, [n].

    Features read the bins before the decision's. If one of these is still open when the decision
    is made, it also holds later events. Features that read no past cannot leak.
    """
    if all(feature.kind in _ATTRIBUTE_KINDS for feature in spec.features):
        return np.zeros(len(times.step), bool)
    return np.asarray(bins_at_decision(times, spec.clock) < times.step)


def require_completed_bins(log: BinnedLog, spec: FeatureSpec) -> None:
    """Refuse decisions made before their own bin began.

    Raises:
        LeakageError: see `early_decisions`.
    """
    times = log.times
    early = np.flatnonzero(early_decisions(times, spec))
    if not len(early):
        return
    row = int(early[0])
    reading = next(f.name for f in spec.features if f.kind not in _ATTRIBUTE_KINDS)
    starts = times.anchor_us[row] + spec.clock.start_us(times.step[row])
    raise LeakageError(
        f"feature {reading!r} of a decision for contact "
        f"{log.contacts.ids[int(times.contact[row])].as_py()!r} would use events up to "
        f"{_wall(starts)} local time, when its bin {times.step[row]} begins, after the decision at "
        f"{_wall(times.decided_local_us[row])}; "
        f"{counted(len(early), 'decision is', 'decisions are')} like this: "
        "check anchor, step and time zone"
    )


def bins_at_decision(times: DecisionTimes, clock: Clock) -> IntArray:
    """The bin of the local clock at each decision, [n]."""
    return clock.bin_of(times.decided_local_us, times.anchor_us)


def local_times(utc_us: IntArray, contact: IntArray, contacts: DecidedContacts) -> IntArray:
    local = utc_us.copy()
    zones, zone_of = np.unique(contacts.zones.astype(str), return_inverse=True)
    codes = zone_of[contact] if len(contact) else np.zeros(0, np.int64)
    for code, zone in enumerate(zones):
        rows = np.flatnonzero(codes == code)
        local[rows] = local_microseconds(utc_us[rows], np.full(len(rows), zone))
    return local


def _flat(column: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _integers(column: Any) -> IntArray:
    return np.asarray(pc.cast(_flat(column), pa.int64()), np.int64)


def _strings(column: Any) -> NDArray[np.object_]:
    return np.asarray(_flat(column).to_numpy(zero_copy_only=False), object)


def _wall(local_us: Any) -> str:
    return str(np.datetime64(int(local_us), "us").astype("datetime64[m]")).replace("T", " ")
