"""Pure, vectorised guardrails over numpy or torch arrays (written against the array API)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import Any

from array_api_compat import array_namespace, device

from nurture_envs.actions import NOW, ActionCatalog
from nurture_envs.journey import GuardrailSettings, Journey

Array = Any  # numpy or torch


class Reason(IntFlag):
    """Why an action is forbidden; several may hold at once."""

    NO_CONSENT = 1
    OPTED_OUT = 2
    HARD_BOUNCE = 4
    SALES_CONVERSATION = 8
    FREQUENCY_CAP = 16
    MINIMUM_GAP = 32
    QUIET_HOURS = 64
    NOT_APPROVED = 128
    EXPIRED = 256
    PAUSED = 512
    UNAVAILABLE = 1024
    SLOT_PASSED = 2048
    NO_INTENT = 4096


@dataclass(frozen=True, slots=True)
class GuardrailFacts:
    """What the guardrails need to know of each contact at this moment."""

    consent: Array  # [n] bool
    opted_out: Array  # [n] bool: unsubscribed or complained
    hard_bounced: Array  # [n] bool
    conversation: Array  # [n] bool: a salesperson is talking to them
    intent: Array  # [n] bool: has shown what an escalation needs
    paused: Array  # [n] bool: inside a pause chosen before
    available: Array  # [n] bool
    zone_known: Array  # [n] bool
    sends_hours: Array  # [n, k] f64: latest sends, hours on the scale of `now_hours`; -inf: none
    now_hours: Array  # [n] f64: the moment of the decision
    midnight_hours: Array  # [n] f64: local midnight before it, same scale
    today: Array  # [n] i64: local day, days since 1970


def standing(journey: Journey, last: Array, bins: Array) -> dict[str, Array]:
    """The facts that follow from which signals happened when.

    Args:
        journey: names the signals.
        last: last known bin of each channel, [n, c]; the current bin counts.
        bins: current bin, [n].

    Returns:
        `opted_out`, `hard_bounced`, `conversation` and `intent`, each [n] bool.
    """
    xp = array_namespace(last)
    nobody = xp.zeros(last.shape[0], dtype=xp.bool, device=device(last))
    lags = xp.astype(bins, xp.int32)[:, None] - last
    horizon = 500_000  # bins; NEVER lies beyond it

    def any_within(names: tuple[str, ...], bins_back: int) -> Array:
        found = nobody
        for name in names:
            found = found | (lags[:, journey.channel_index(name)] <= bins_back)
        return found

    needs = journey.guardrails.escalation_needs
    conversation = nobody
    for name, bins_back in journey.guardrails.conversation:
        conversation = conversation | any_within((name,), bins_back)
    return {
        "opted_out": any_within(journey.guardrails.opt_out, horizon),
        "hard_bounced": any_within(journey.guardrails.hard_bounce, horizon),
        "conversation": conversation,
        "intent": any_within(needs, horizon) if needs else ~nobody,
    }


def legal_actions(
    facts: GuardrailFacts, catalog: ActionCatalog, settings: GuardrailSettings
) -> tuple[Array, Array]:
    """Which actions are legal now, and why the others are not.

    Returns:
        mask [n, a] bool, and reasons [n, a] int64, a union of `Reason` bits, 0 where legal.
        `pause:1` is always legal.
    """
    xp = array_namespace(facts.now_hours)
    where = device(facts.now_hours)

    def row(values: Any) -> Array:
        return xp.asarray(values, device=where)[None, :]

    send = row(catalog.routed("send"))
    sent_at, hour = _send_times(facts, catalog, xp)
    free = row(~(catalog.routed("pause") & (catalog.pause_bins == 1)))  # all but pause:1
    long_pause = row(catalog.pause_bins > 1)
    slotted = row(catalog.slots != NOW)
    broken = [
        (Reason.NO_CONSENT, send & ~facts.consent[:, None], settings.require_consent),
        (Reason.OPTED_OUT, send & facts.opted_out[:, None], True),
        (Reason.HARD_BOUNCE, send & facts.hard_bounced[:, None], True),
        (Reason.SALES_CONVERSATION, free & ~long_pause & facts.conversation[:, None], True),
        (Reason.FREQUENCY_CAP, send & _over_cap(facts, sent_at, settings, xp), True),
        (Reason.MINIMUM_GAP, send & _too_soon(facts, sent_at, settings, xp), True),
        (Reason.QUIET_HOURS, send & _quiet(facts, hour, settings, xp), True),
        (Reason.NOT_APPROVED, send & ~row(catalog.approved), True),
        (Reason.EXPIRED, send & (facts.today[:, None] > row(catalog.expiry)), True),
        (Reason.PAUSED, free & facts.paused[:, None], True),
        (Reason.UNAVAILABLE, send & ~facts.available[:, None], settings.availability),
        (Reason.NO_INTENT, row(catalog.routed("escalate")) & ~facts.intent[:, None], True),
        (Reason.SLOT_PASSED, send & slotted & (sent_at < facts.now_hours[:, None]), True),
    ]
    reasons = xp.zeros(sent_at.shape, dtype=xp.int64, device=where)
    for reason, hit, active in broken:
        if active:
            reasons = reasons + xp.astype(hit, xp.int64) * int(reason)
    return reasons == 0, reasons


def reason_names(bits: int) -> list[str]:
    """Readable names of a union of reasons, e.g. `['minimum_gap', 'quiet_hours']`."""
    return [str(reason.name).lower() for reason in Reason if bits & reason]


def _send_times(facts: GuardrailFacts, catalog: ActionCatalog, xp: Any) -> tuple[Array, Array]:
    """When each action would send, [n, a] hours, and at which local hour of the day, [n, a]."""
    slots = xp.asarray(catalog.slots, device=device(facts.now_hours))[None, :]
    hours = xp.astype(slots, xp.float64)
    now, midnight = facts.now_hours[:, None], facts.midnight_hours[:, None]
    at_once = slots == NOW
    return xp.where(at_once, now, midnight + hours), xp.where(at_once, now - midnight, hours)


def _over_cap(facts: GuardrailFacts, sent_at: Array, settings: GuardrailSettings, xp: Any) -> Array:
    over = xp.zeros(sent_at.shape, dtype=xp.bool, device=device(sent_at))
    for cap in settings.caps:
        count = xp.zeros(sent_at.shape, dtype=xp.int64, device=device(sent_at))
        for k in range(facts.sends_hours.shape[1]):
            recent = sent_at - facts.sends_hours[:, k][:, None] < cap.hours
            count = count + xp.astype(recent, xp.int64)
        over = over | (count >= cap.maximum)
    return over


def _too_soon(facts: GuardrailFacts, sent_at: Array, settings: GuardrailSettings, xp: Any) -> Array:
    latest = xp.max(facts.sends_hours, axis=1)
    return sent_at - latest[:, None] < settings.min_gap_hours


def _quiet(facts: GuardrailFacts, hour: Array, settings: GuardrailSettings, xp: Any) -> Array:
    """True where the local hour may fall into the quiet hours under any plausible zone."""
    quiet = xp.zeros(hour.shape, dtype=xp.bool, device=device(hour))
    if settings.quiet_hours is None:
        return quiet
    start, end = settings.quiet_hours
    low, high = settings.unknown_zone_slack
    for shift in range(low, high + 1):
        local = (hour + shift) % 24
        inside = (
            (local >= start) | (local < end) if start > end else (local >= start) & (local < end)
        )
        quiet = quiet | (inside if shift == 0 else inside & ~facts.zone_known[:, None])
    return quiet


def sends_remembered(settings: GuardrailSettings) -> int:
    """How many latest sends the caps and the gap need to see."""
    return max([cap.maximum for cap in settings.caps], default=1)
