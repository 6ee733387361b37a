"""The loops of `loops.guardrails`; importing them needs numba.

Contacts are taken in tiles that stay in cache. In a tile every kind of action is worked out once;
then each action's row is copied from its kind's. numba keeps the compiled loops until this file
changes; what they are handed is therefore declared here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nurture_envs.actions import NOW
from nurture_envs.guardrails.reasons import Reason
from nurture_envs.jit import jit

Reasons = NDArray[np.int32]
Hours = NDArray[np.float64]

TILE = 1024  # contacts; thirty kinds of them fill 150 KiB

NEVER_EXPIRES = int(np.iinfo(np.int64).max)

_OPTED_OUT = Reason.OPTED_OUT.value
_HARD_BOUNCE = Reason.HARD_BOUNCE.value
_SALES_CONVERSATION = Reason.SALES_CONVERSATION.value
_FREQUENCY_CAP = Reason.FREQUENCY_CAP.value
_MINIMUM_GAP = Reason.MINIMUM_GAP.value
_QUIET_HOURS = Reason.QUIET_HOURS.value
_EXPIRED = Reason.EXPIRED.value
_BLACKOUT = Reason.BLACKOUT.value
_INACTIVE = Reason.INACTIVE.value
_PAUSED = Reason.PAUSED.value
_SLOT_PASSED = Reason.SLOT_PASSED.value
_NO_INTENT = Reason.NO_INTENT.value
_NOT_ELIGIBLE = Reason.NOT_ELIGIBLE.value

_jit = jit()


class LoopFacts(NamedTuple):
    """The facts of n contacts as loops read them; u8 is 0 or 1."""

    consent: NDArray[np.uint8]  # [n]
    opted_out: NDArray[np.uint8]  # [n]
    hard_bounced: NDArray[np.uint8]  # [n]
    conversation: NDArray[np.uint8]  # [n]
    intent: NDArray[np.uint8]  # [n]
    paused: NDArray[np.uint8]  # [n]
    available: NDArray[np.uint8]  # [n]
    zone_known: NDArray[np.uint8]  # [n]
    now_hours: NDArray[np.float64]  # [n]
    midnight_hours: NDArray[np.float64]  # [n]
    today: NDArray[np.int64]  # [n]
    slowed: NDArray[np.uint8]  # [n]
    eligible: NDArray[np.int64]  # [n]: bit o is 1 where the conditions of limited offer o hold
    inactive: NDArray[np.float32]  # [n] bins; 0 where the journey does not ask
    probed: NDArray[np.uint8]  # [n]


class Quiet(NamedTuple):
    """The quiet hours; equal ends: none."""

    start: int  # local hour
    end: int
    low: int  # hours by which an unknown zone may be off
    high: int


class Tables(NamedTuple):
    """A journey's rules and catalogue as numbers.

    A kind's reasons are those of one row of contacts (0 nothing, 1 paused, 2 paused or in a
    conversation, 3 the same and without intent, 4 and on mail at each slot, by the groups of
    messages with caps of their own), a constant, whether its last day is over, and whether its
    offer is for others.
    """

    no_consent: int  # the reason's bit, 0 where the journey does not ask
    unavailable: int
    kept_from: NDArray[np.int64]  # [g + 1]: first row of the latest sends of all, of each group
    kept_bits: NDArray[np.int32]  # [g], of the reason that caps of each give
    cap_kept: NDArray[np.int64]  # [caps], which of them a cap counts: 0 all, ascending
    cap_counts: NDArray[np.int64]  # [caps]
    cap_hours: NDArray[np.float64]  # [caps]
    tiers: NDArray[np.float64]  # [t, 3]: bins of inactivity, mails, hours
    probe_bins: float  # of inactivity; infinite: no probes
    gap_hours: float
    slow_hours: float  # the gap in a slower cadence
    quiet: Quiet
    blackout: NDArray[np.int64]  # [b, 2], first and last day without mail, since 1970
    slot_hours: NDArray[np.float64]  # [s], local hour; NOW is the moment of the decision
    slot_kept: NDArray[np.int64]  # [s, w], whose caps hold besides those of all, then zeros
    slot_quiet: NDArray[np.bool_]  # [2, s]: under the zone believed, under any plausible one
    kind_rows: NDArray[np.int64]  # [k]
    kind_bits: NDArray[np.int32]  # [k]
    kind_expiry: NDArray[np.int64]  # [k], last day since 1970
    kind_offer: NDArray[np.int64]  # [k], position of its limited offer, -1 where it has none
    action_kinds: NDArray[np.int64]  # [a]


@_jit
def write_rules(
    contacts: LoopFacts,
    latest: tuple[Hours, int, int],
    tables: Tables,
    mask: tuple[NDArray[np.bool_], int],
    reasons: tuple[Reasons, int],
) -> None:
    """Write the mask and the reasons of every action and contact.

    Args:
        contacts: what is known of n contacts.
        latest: memory of the latest sends, hours; the distance of its rows and their number.
            Element i of row k is at k * distance + i.
        tables: the rules.
        mask: memory of the mask and the distance of its rows, one for each action.
        reasons: memory of the reasons, likewise.
    """
    n, kinds, slots = len(contacts.today), len(tables.kind_rows), len(tables.slot_hours)
    (sends, sends_step, remembered), (legal_out, legal_step) = latest, mask
    reasons_out, reasons_step = reasons
    since = np.empty((remembered, TILE), np.float64)
    groups = len(tables.kept_from) - 1
    capped = np.empty((groups + 1, TILE), np.float64)
    rows = np.empty((4 + slots, TILE), np.int32)
    against = np.empty((kinds, TILE), np.int32)
    legal = np.empty((kinds, TILE), np.bool_)
    for first in range(0, n, TILE):
        tile = _tile(contacts, first, min(first + TILE, n))
        size = len(tile.today)
        for k in range(remembered):
            at = k * sends_step + first
            _copy(sends[at : at + size], since[k])
        _space(tile, tables, since, capped)
        _against_rows(tile, tables, since[0], capped, rows)
        _against_kinds(tile, tables, rows, against, legal)
        for action in range(len(tables.action_kinds)):
            kind = tables.action_kinds[action]
            at = action * reasons_step + first
            _copy(against[kind, :size], reasons_out[at:])
            at = action * legal_step + first
            _copy(legal[kind, :size], legal_out[at:])


@_jit
def _copy(source: NDArray[Any], to: NDArray[Any]) -> None:
    for i in range(len(source)):  # a slice's assignment takes ten times as long
        to[i] = source[i]


@_jit
def _tile(contacts: LoopFacts, first: int, end: int) -> LoopFacts:
    return LoopFacts(
        contacts.consent[first:end],
        contacts.opted_out[first:end],
        contacts.hard_bounced[first:end],
        contacts.conversation[first:end],
        contacts.intent[first:end],
        contacts.paused[first:end],
        contacts.available[first:end],
        contacts.zone_known[first:end],
        contacts.now_hours[first:end],
        contacts.midnight_hours[first:end],
        contacts.today[first:end],
        contacts.slowed[first:end],
        contacts.eligible[first:end],
        contacts.inactive[first:end],
        contacts.probed[first:end],
    )


@_jit
def _order(later: Hours, earlier: Hours) -> None:
    for i in range(len(later)):
        first, second = later[i], earlier[i]
        later[i] = first if first >= second else second
        earlier[i] = second if first >= second else first


@_jit
def _space(tile: LoopFacts, tables: Tables, since: Hours, capped: Hours) -> None:
    """Hours after midnight before which caps (`capped`) and the gap (`since[0]`) forbid mail.

    `since` comes as the latest sends, [k, TILE], in any order; `capped` is by group, [g, TILE],
    then of the tiers of inactivity.
    """
    midnight, size, groups = tile.midnight_hours, len(tile.today), len(capped) - 1
    for kept in range(groups):
        first = tables.kept_from[kept]
        for end in range(tables.kept_from[kept + 1] - 1, first, -1):
            for at in range(first, end):
                _order(since[at, :size], since[at + 1, :size])
    for k in range(len(since)):
        row = since[k]
        for i in range(size):
            row[i] -= midnight[i]
    for kept in range(groups):
        latest_full = capped[kept]
        for i in range(size):
            latest_full[i] = -np.inf
        for cap in range(len(tables.cap_counts)):
            if tables.cap_kept[cap] != kept:
                continue
            row = since[tables.kept_from[kept] + tables.cap_counts[cap] - 1]
            for i in range(size):
                full = row[i] + tables.cap_hours[cap]
                latest_full[i] = full if full > latest_full[i] else latest_full[i]
    tiered = capped[groups]
    for i in range(size):
        tiered[i] = -np.inf
    for tier in range(len(tables.tiers)):
        bins, most, hours = tables.tiers[tier]
        row = since[int(most) - 1]
        for i in range(size):
            if tile.inactive[i] >= bins:
                tiered[i] = max(tiered[i], row[i] + hours)
    latest = since[0]
    for i in range(size):
        latest[i] += tables.slow_hours if tile.slowed[i] else tables.gap_hours


@_jit
def _against_rows(
    tile: LoopFacts, tables: Tables, gapped: Hours, capped: Hours, rows: Reasons
) -> None:
    """What stands against waiting, a long pause, exit, escalation, and mail at each slot."""
    mail = np.empty(TILE, np.int32)
    waiting, paused, engaged, escalation = rows[0], rows[1], rows[2], rows[3]
    for i in range(len(tile.today)):
        waiting[i] = 0
        pause = tile.paused[i] * _PAUSED
        talk = pause + tile.conversation[i] * _SALES_CONVERSATION
        paused[i] = pause
        engaged[i] = talk
        escalation[i] = talk + (1 - tile.intent[i]) * _NO_INTENT
        consent = (1 - tile.consent[i]) * tables.no_consent
        reach = (1 - tile.available[i]) * tables.unavailable
        gone = tile.opted_out[i] * _OPTED_OUT + tile.hard_bounced[i] * _HARD_BOUNCE
        mail[i] = talk + consent + reach + gone
        if tile.inactive[i] >= tables.probe_bins and tile.probed[i] == 0:
            mail[i] |= _INACTIVE
    for slot in range(len(tables.slot_hours)):
        hour, row = tables.slot_hours[slot], rows[4 + slot]
        if hour == NOW:
            _against_now(tile, tables.quiet, mail, gapped, capped[0], row)
        else:
            _against_slot(tile, tables, slot, mail, gapped, capped[0], row)
        if len(tables.tiers) > 0:
            _against_group(tile, hour, capped[-1], _INACTIVE, row)
        for place in range(tables.slot_kept.shape[1]):
            kept = tables.slot_kept[slot, place]
            if kept > 0:
                _against_group(tile, hour, capped[kept], tables.kept_bits[kept], row)
    for time in range(len(tables.blackout)):
        first, last = tables.blackout[time]
        for i in range(len(tile.today)):
            if first <= tile.today[i] <= last:
                for slot in range(len(tables.slot_hours)):
                    rows[4 + slot, i] |= _BLACKOUT


@_jit
def _against_slot(
    tile: LoopFacts,
    tables: Tables,
    slot: int,
    mail: Reasons,
    gapped: Hours,
    capped: Hours,
    row: Reasons,
) -> None:
    hour = tables.slot_hours[slot]
    known = _QUIET_HOURS * int(tables.slot_quiet[0, slot])
    unknown = _QUIET_HOURS * int(tables.slot_quiet[1, slot])
    for i in range(len(tile.today)):
        reasons = known if tile.zone_known[i] else unknown
        reasons += _FREQUENCY_CAP if hour < capped[i] else 0
        reasons += _MINIMUM_GAP if hour < gapped[i] else 0
        passed = tile.now_hours[i] - tile.midnight_hours[i] > hour
        row[i] = mail[i] + reasons + (_SLOT_PASSED if passed else 0)


@_jit
def _against_now(
    tile: LoopFacts, quiet: Quiet, mail: Reasons, gapped: Hours, capped: Hours, row: Reasons
) -> None:
    for i in range(len(tile.today)):
        hour = tile.now_hours[i] - tile.midnight_hours[i]
        reasons = _FREQUENCY_CAP if hour < capped[i] else 0
        row[i] = mail[i] + reasons + (_MINIMUM_GAP if hour < gapped[i] else 0)
    if quiet.start != quiet.end:  # a loop of its own: with it the one above would be slow
        for i in range(len(tile.today)):
            hour = tile.now_hours[i] - tile.midnight_hours[i]
            row[i] += _QUIET_HOURS if is_quiet(hour, tile.zone_known[i] == 0, quiet) else 0


@_jit
def _against_group(tile: LoopFacts, slot: float, capped: Hours, bit: int, row: Reasons) -> None:
    """Add the reason of a full cap of some messages."""
    for i in range(len(tile.today)):
        hour = tile.now_hours[i] - tile.midnight_hours[i] if slot == NOW else slot
        row[i] |= bit if hour < capped[i] else 0


@_jit
def is_quiet(hour: float, anywhere: bool, quiet: Quiet) -> bool:
    """Whether a local hour falls into the quiet hours, or may under any plausible zone."""
    if _inside(hour, quiet):
        return True
    if anywhere:
        for shift in range(quiet.low, quiet.high + 1):
            if _inside(_of_day(hour + shift), quiet):
                return True
    return False


@_jit
def _of_day(hour: float) -> float:
    """`hour % 24`, bit for bit, without the slow remainder where a day more or less will do."""
    if 0.0 <= hour < 24.0:
        return hour
    if -24.0 < hour < 0.0:
        return hour + 24.0
    return hour - 24.0 if 24.0 <= hour < 48.0 else hour % 24.0


@_jit
def _inside(hour: float, quiet: Quiet) -> bool:
    if quiet.start > quiet.end:
        return hour >= quiet.start or hour < quiet.end
    return hour >= quiet.start and hour < quiet.end


@_jit
def _against_kinds(
    tile: LoopFacts, tables: Tables, rows: Reasons, against: Reasons, legal: NDArray[np.bool_]
) -> None:
    today = tile.today
    for kind in range(len(tables.kind_rows)):
        source, kind_reasons, free = rows[tables.kind_rows[kind]], against[kind], legal[kind]
        bits, last = tables.kind_bits[kind], tables.kind_expiry[kind]
        if last == NEVER_EXPIRES:
            for i in range(len(today)):
                kind_reasons[i] = source[i] + bits
        else:
            for i in range(len(today)):
                kind_reasons[i] = source[i] + bits + (_EXPIRED if today[i] > last else 0)
        offer = tables.kind_offer[kind]
        if offer >= 0:
            for i in range(len(today)):
                fits = (tile.eligible[i] >> offer) & 1
                kind_reasons[i] += (1 - fits) * _NOT_ELIGIBLE
        for i in range(len(today)):
            free[i] = kind_reasons[i] == 0
