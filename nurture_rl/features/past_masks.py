"""What the guardrails would have allowed at decisions of the past, from the events of a log.

Guardrails as a simulation asks them: of completed bins, at the decision's moment. Consent is asked
as it was then: whoever opted out during the log had it before.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import DAY_US, HOUR_US, set_forward_hours
from nurture_envs.features import NEVER, FeatureSpec
from nurture_envs.guardrails import GuardrailFacts, eligible, lags_of, legal_actions, standing
from nurture_envs.guardrails.guardrail_facts import watched
from nurture_envs.guardrails.remembered import moments_watched, sends_kept
from nurture_envs.journey import ALL, Group, Journey
from nurture_envs.stops import FORBIDDING_TYPES
from nurture_rl.features.bins import (
    DecidedContacts,
    DecisionTimes,
    SignalEvents,
    index_contacts,
    signal_events,
    times_of,
)
from nurture_rl.features.contact_times import NONE, ContactTimes, contact_times

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_TRUSTED = 0.5  # confidence from which a stated zone counts as known
_ROWS = 50_000  # decisions at a time


def past_reasons(
    events: pa.Table, contacts: pa.Table, decided: pa.Table, journey: Journey, default_zone: str
) -> NDArray[np.int32]:
    """Why each action was forbidden at each decision: bits of `Reason`, 0 where legal, [n, a].

    Rules that servers alone keep are not asked, as in a simulation; nor are limits of all contacts
    together, accounts, inventories and preferences.

    Args:
        events, contacts: checked tables.
        decided: the decision table, with features.
        journey: whose guardrails.
        default_zone: where contacts of unknown zone live.
    """
    settings = journey.guardrails.unserved or journey.guardrails
    plain = replace(journey, guardrails=settings)
    parts = [
        _reasons(events, contacts, decided.slice(first, _ROWS), plain, default_zone)
        for first in range(0, len(decided), _ROWS)
    ]
    return np.concatenate(parts)


def _reasons(
    events: pa.Table, contacts: pa.Table, decided: pa.Table, journey: Journey, default_zone: str
) -> NDArray[np.int32]:
    catalog, spec = ActionCatalog.of(journey), FeatureSpec.of(journey)
    about = index_contacts(contacts, decided, default_zone)
    times = times_of(decided, about)
    settings = journey.guardrails
    last = _last_bins(events, about, times, journey)
    rows = pc.index_in(about.ids, value_set=_flat(contacts["contact_id"]))
    zone = pc.is_valid(pc.take(_flat(contacts["time_zone"]), rows))
    sure = pc.greater_equal(pc.take(_flat(contacts["zone_confidence"]), rows), _TRUSTED)
    local = times.decided_local_us
    zones = about.zones[times.contact].astype(str)
    width = len(spec.columns)
    features = np.asarray(_flat(decided["features"]).flatten(), np.float32).reshape(-1, width)
    everybody = np.ones(len(decided), bool)
    facts = GuardrailFacts(
        consent=_consent(events, contacts, about)[times.contact],
        paused=~everybody,
        available=np.asarray(_flat(decided["available"]), bool),
        zone_known=_true(pc.and_kleene(zone, sure))[times.contact],
        sends_hours=_sends(events, about, times, journey),
        now_hours=local / HOUR_US,
        midnight_hours=(local - local % DAY_US) / HOUR_US,
        today=local // DAY_US,
        set_forward=set_forward_hours(times.decided_us, local, zones),
        eligible=eligible(
            catalog.limited_offers, lambda name: features[:, spec.column(name)], everybody
        ),
        moments_hours=_moments(last, times, journey),
        **standing(settings, lags_of(journey, last, times.step)),
    )
    return np.asarray(legal_actions(facts, catalog, settings)[1], np.int32)


def _consent(events: pa.Table, contacts: pa.Table, about: DecidedContacts) -> BoolArray:
    """Who had agreed when decisions were made: who has, and who took it back in the log, [c]."""
    had = pc.is_in(events["type"], value_set=pa.array(sorted(FORBIDDING_TYPES)))
    once = pc.is_in(about.ids, value_set=pc.unique(_flat(events["contact_id"].filter(had))))
    has = _flat(contacts["contact_id"]).filter(_flat(contacts["consent"]))
    return _true(pc.or_(once, pc.is_in(about.ids, value_set=has)))


def _last_bins(
    events: pa.Table, about: DecidedContacts, times: DecisionTimes, journey: Journey
) -> IntArray:
    """The last completed bin of each channel, then of each event of the guardrails, [n, c]."""
    settings = journey.guardrails
    named = (*journey.channels, *(one.name for one in settings.events))
    last = np.full((len(times.step), len(named)), NEVER, np.int64)
    asked = {name for names in watched(settings) for name in names}
    start = times.anchor_us + journey.clock.start_us(times.step)
    for own in (journey, replace(journey, signals=settings.events)):
        found, _, _ = signal_events(events, about, own)
        for place, signal in enumerate(own.signals):
            if signal.name not in asked:
                continue
            of = found.signal == place
            moment = _last_moment(found, of, times, start)
            seen = moment != NONE
            bins = journey.clock.bin_of(moment[seen], times.anchor_us[seen])
            column = named.index(signal.name)
            last[seen, column] = np.maximum(last[seen, column], bins)
    return last


def _last_moment(
    found: SignalEvents, of: BoolArray, times: DecisionTimes, start: IntArray
) -> IntArray:
    """Local time of a signal's last event that was known and over when its bin began, [n]."""
    contact, local, known = found.contact[of], found.local_us[of], found.known_us[of]
    if not len(contact):
        return np.full(len(times.step), NONE, np.int64)
    told = contact_times(contact, known)
    place = told.before(times.contact, times.decided_us + 1)
    found_at = np.where(place != NONE, local[np.maximum(place, 0)], NONE)
    # Reports that came late may hide a later event that was known before.
    by_time = contact_times(contact, local)
    place = by_time.before(times.contact, start)
    safe = np.maximum(place, 0)
    timely = (place != NONE) & (known[safe] <= times.decided_us)
    early = (found_at != NONE) & (found_at < start)
    return np.where(timely, local[safe], np.where(early, found_at, NONE))


def _moments(last: IntArray, times: DecisionTimes, journey: Journey) -> FloatArray | None:
    """The end of the bin in which signals that mail waits for last happened, [n, w] hours."""
    names = (*journey.channels, *(one.name for one in journey.guardrails.events))
    ends = []
    for watch in moments_watched(journey.guardrails):
        bins = last[:, [names.index(name) for name in watch]].max(axis=1)
        end = (times.anchor_us + journey.clock.start_us(bins + 1)) / HOUR_US
        ends.append(np.where(bins <= NEVER, -np.inf, end))
    return np.stack(ends, axis=1) if ends else None


def _sends(
    events: pa.Table, about: DecidedContacts, times: DecisionTimes, journey: Journey
) -> FloatArray:
    """The latest sends before each decision, of all and of each group, [n, k] local hours.

    A message that the journey does not know counts for every channel, and for no other group.
    """
    mails = events.filter(pc.equal(events["type"], "sent"))
    code = pc.fill_null(pc.index_in(_flat(mails["contact_id"]), value_set=about.ids), NONE)
    contact = np.asarray(code, np.int64)
    sent_us = np.asarray(pc.cast(_flat(mails["occurred_at"]), pa.int64()), np.int64)
    groups_of = {one.id: one.groups for one in journey.messages}
    message = _flat(mails["message_id"]).to_pylist()
    shift = times.decided_local_us - times.decided_us
    columns: list[FloatArray] = []
    for group, count in sends_kept(journey.guardrails).items():
        own = np.array([_is_among(groups_of.get(name or ""), group) for name in message], bool)
        rows = np.flatnonzero(own & (contact != NONE))
        sent = contact_times(contact[rows], sent_us[rows])
        columns += [_latest(sent, sent_us[rows], times, shift, back) for back in range(count)]
    return np.stack(columns, axis=1)


def _is_among(own: tuple[Group, ...] | None, group: Group) -> bool:
    return group == ALL or (group[0] == "channel" if own is None else group in own)


def _latest(
    sent: ContactTimes, sent_us: IntArray, times: DecisionTimes, shift: IntArray, back: int
) -> FloatArray:
    place = sent.before(times.contact, times.decided_us, back)
    if not len(sent_us):
        return np.full(len(place), -np.inf)
    hours = (sent_us[np.maximum(place, 0)] + shift) / HOUR_US
    return np.where(place != NONE, hours, -np.inf)


def _true(flags: pa.Array) -> BoolArray:
    return np.asarray(pc.fill_null(flags, False), bool)


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks()
