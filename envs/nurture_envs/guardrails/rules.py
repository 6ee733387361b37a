"""Pure, vectorised guardrails over numpy or torch arrays (written against the array API)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import IntFlag
from typing import Any

from array_api_compat import array_namespace

from nurture_envs.actions import NOW, ActionCatalog, ActionKind
from nurture_envs.journey import ALL, Group, GuardrailSettings, Journey

Array = Any  # numpy or torch; of the facts also a plain bool that holds for everybody
Lag = Callable[[tuple[str, ...]], Array]  # time since one of some signals last happened, [n]

_EVER = 500_000  # bins; the lag of what never happened lies beyond it
_SWAPPED = 8  # columns up to which swaps of neighbours are faster than a sort of each row


class Reason(IntFlag):
    """Why an action is forbidden; several may hold at once."""

    NO_CONSENT = 1
    OPTED_OUT = 2
    HARD_BOUNCE = 4
    SALES_CONVERSATION = 8
    FREQUENCY_CAP = 16  # of all messages; caps of some have bits of their own
    MINIMUM_GAP = 32
    QUIET_HOURS = 64
    NOT_APPROVED = 128
    EXPIRED = 256
    PAUSED = 512
    UNAVAILABLE = 1024
    SLOT_PASSED = 2048
    NO_INTENT = 4096
    NOT_ELIGIBLE = 8192
    OUT_OF_STOCK = 16384
    SELLER_CAPACITY = 1 << 15  # of all contacts together, as the next
    VOLUME_RAMP = 1 << 16
    ACCOUNT_CAP = 1 << 20  # of an account: servers alone know its contacts
    ACCOUNT_CONVERSATION = 1 << 21
    BLACKOUT = 1 << 22
    CHANNEL_CAP = 1 << 23
    TOPIC_CAP = 1 << 24
    MESSAGE_CAP = 1 << 25  # a repetition of the message too
    NOT_WANTED = 1 << 26  # the contact refused the topic or the channel
    WANTED_LESS = 1 << 27  # the contact asked for fewer mails
    INACTIVE = 1 << 28  # too many mails for somebody who does nothing, or no probe was drawn


# The cap that is full, by the column of messages that it asks; see `Group`.
CAP_REASONS = {
    "": Reason.FREQUENCY_CAP,
    "channel": Reason.CHANNEL_CAP,
    "topic": Reason.TOPIC_CAP,
    "message": Reason.MESSAGE_CAP,
}
_NAMES = tuple((int(reason), str(reason.name).lower()) for reason in Reason)


@dataclass(frozen=True, slots=True)
class GuardrailFacts:
    """What the guardrails need to know of each contact at this moment."""

    consent: Array  # [n] bool
    opted_out: Array  # [n] bool: unsubscribed or complained
    hard_bounced: Array  # [n] bool
    conversation: Array  # [n] bool: a salesperson is talking to them, or they wait for an answer
    intent: Array  # [n] bool: has shown what an escalation needs
    paused: Array  # [n] bool: inside a pause chosen before
    available: Array  # [n] bool
    zone_known: Array  # [n] bool
    # [n, k] f64: `now_hours` less the hours since the latest sends, -inf: none; for each of
    # `sends_kept` so many columns, in any order
    sends_hours: Array
    now_hours: Array  # [n] f64: the moment of the decision
    midnight_hours: Array  # [n] f64: local midnight before it, same scale
    today: Array  # [n] i64: local day, days since 1970
    slowed: Array = False  # [n] bool: inside a slower cadence chosen before
    # Where the journey asks for activity: [n] bins since the last, and [n] bool, the lot that lets
    # a probe through
    inactive: Array = None
    probed: Array = True
    # [n, 24] f64: hours by which clocks are set forward between now and each hour of today; None:
    # they are not
    set_forward: Array = None
    # Of each limited offer of the catalogue, [n, o]: who its conditions fit (None: nobody), and how
    # many sends of it are left to all contacts together (None: enough)
    eligible: Array = None
    left: Array = None
    # What contacts prefer, as servers know it; nobody in a simulation says so. [n, m] bool of each
    # message of the catalogue: its topic or channel was refused (None: nothing was); and [n] f64,
    # the hour before which mail would be more than was asked for, -inf: never (None: nobody asked)
    refused: Array = None
    wanted_from: Array = None


def standing(settings: GuardrailSettings, lag: Lag, since: Lag | None = None) -> dict[str, Array]:
    """The facts that follow from which signals happened when.

    Args:
        settings: name the signals.
        lag: bins since one of some signals last happened, [n]; the current bin counts.
        since: the same in any finer unit of time, to tell which of two signals came first in a bin;
            None: `lag` has to do, and of what happened in one bin nothing came first.

    Returns:
        `opted_out`, `hard_bounced`, `conversation` and `intent`, each [n] bool; a plain bool where
        the journey names no such signal. `slowed` where the journey has a slower cadence, and
        `inactive` where it asks for activity.
    """
    since = since or lag

    def ever(names: tuple[str, ...], nobody: bool = False) -> Array:
        return lag(names) <= _EVER if names else nobody

    conversation: Array = False
    for name, bins_back in settings.conversation:
        conversation = conversation | (lag((name,)) <= bins_back)
    for opened in settings.conversation_until:
        goes_on = lag((opened.signal,)) <= (_EVER if opened.bins is None else opened.bins)
        if opened.until:
            goes_on = goes_on & (since((opened.signal,)) <= since(opened.until))
        conversation = conversation | goes_on
    facts = {
        "opted_out": ever(settings.opt_out),
        "hard_bounced": ever(settings.hard_bounce),
        "conversation": conversation,
        "intent": ever(settings.escalation_needs, nobody=True),
    }
    if settings.slow is not None:
        facts["slowed"] = lag((settings.slow.signal,)) < settings.slow.bins
    if settings.inactivity is not None:
        facts["inactive"] = lag(settings.inactivity.signals)
    return facts


def lags_of(journey: Journey, last: Array, now: Array) -> Lag:
    """Time since one of some signals last happened, from the last time of each channel.

    Args:
        journey: names the signals.
        last: last known time of each channel, then of each event that only guardrails name, [n, c],
            in bins or another whole unit.
        now: current time, [n], the same unit.
    """
    xp = array_namespace(last)
    lags = xp.astype(now, last.dtype)[:, None] - last
    places = (*journey.channels, *(event.name for event in journey.guardrails.events))

    def lag(names: tuple[str, ...]) -> Array:
        return xp.min(lags[:, [places.index(name) for name in names]], axis=1)

    return lag


def watched(settings: GuardrailSettings) -> list[tuple[str, ...]]:
    """Sets of signals whose last time `standing` asks for."""
    sets = [settings.opt_out, settings.hard_bounce, settings.escalation_needs]
    single = [name for name, _ in settings.conversation]
    single += [settings.slow.signal] if settings.slow is not None else []
    single += [opened.signal for opened in settings.conversation_until]
    sets += [(name,) for name in single] + [one.until for one in settings.conversation_until]
    sets += [settings.inactivity.signals] if settings.inactivity is not None else []
    return [names for names in sets if names]


def legal_actions(
    facts: GuardrailFacts, catalog: ActionCatalog, settings: GuardrailSettings
) -> tuple[Array, Array]:
    """Which actions are legal now, and why the others are not.

    What forbids an action depends on its kind alone (routing, slot, caps, approval, expiry, offer),
    so every rule is asked once per kind and contact.

    Returns:
        mask [n, a] bool, and reasons [n, a] int32, a union of `Reason` bits, 0 where legal.
        `pause:1` is always legal.
    """
    rules = _Rules(facts, settings)
    kinds, kind_of = catalog.kinds(sends_kept(settings))
    rows = [rules.reasons(kind) for kind in kinds]
    legal = [row == 0 for row in rows]
    mask = rules.xp.stack([legal[kind] for kind in kind_of])
    reasons = rules.xp.stack([rows[kind] for kind in kind_of])
    if facts.refused is not None:  # a matter of single messages, which kinds do not tell apart
        reasons = reasons + rules.xp.stack([rules.refused(m) for m in catalog.message_places])
        mask = reasons == 0
    return mask.T, reasons.T


class _Rules:
    """The rules of a journey asked of n contacts at one moment; each answer is [n] int32."""

    def __init__(self, facts: GuardrailFacts, settings: GuardrailSettings) -> None:
        self.facts, self.settings = facts, settings
        self.xp = array_namespace(facts.now_hours)
        self.none = self.xp.zeros_like(facts.today, dtype=self.xp.int32)
        self.paused = self.bits(facts.paused, Reason.PAUSED)
        talking = self.bits(facts.conversation, Reason.SALES_CONVERSATION)
        self.engaged = self.paused + talking  # against everything but waiting
        self.mail = self._against_mail()
        self.blackout = self._blackout()
        self.capped, self.gapped = self._spacing()
        self._slots: dict[tuple[int, tuple[Group, ...]], Array] = {}

    def bits(self, broken: Array, reason: Reason) -> Array:
        if isinstance(broken, bool):
            return self.none + reason.value * int(broken)
        return self.xp.astype(broken, self.xp.int32) * reason.value

    def reasons(self, kind: ActionKind) -> Array:
        if kind.routing == "pause":
            return self.paused if kind.long_pause else self.none
        if kind.routing == "slow":
            return self.paused
        if kind.routing == "exit":
            return self.engaged
        if kind.routing == "escalate":
            return self.engaged + self.bits(_not(self.facts.intent), Reason.NO_INTENT)
        unapproved = 0 if kind.approved else Reason.NOT_APPROVED.value
        reasons = self._slot(kind.slot, kind.groups) + unapproved
        if kind.expiry is not None:
            reasons = reasons + self.bits(self.facts.today > kind.expiry, Reason.EXPIRED)
        return reasons if kind.offer is None else reasons + self._against_offer(kind.offer)

    def refused(self, message: int) -> Array:
        """What stands against a message by what contacts refused; below 0: none is sent."""
        if message < 0:
            return self.none
        return self.bits(self.facts.refused[:, message], Reason.NOT_WANTED)

    def _against_offer(self, offer: int) -> Array:
        facts = self.facts
        fits = False if facts.eligible is None else facts.eligible[:, offer]
        gone = False if facts.left is None else facts.left[:, offer] <= 0
        return self.bits(_not(fits), Reason.NOT_ELIGIBLE) + self.bits(gone, Reason.OUT_OF_STOCK)

    def _against_mail(self) -> Array:
        """What stands against any mail, whenever it is sent."""
        facts, reasons = self.facts, self.engaged
        if self.settings.require_consent:
            reasons = reasons + self.bits(~facts.consent, Reason.NO_CONSENT)
        if self.settings.availability:
            reasons = reasons + self.bits(~facts.available, Reason.UNAVAILABLE)
        reasons = reasons + self.bits(facts.opted_out, Reason.OPTED_OUT)
        reasons = reasons + self.bits(facts.hard_bounced, Reason.HARD_BOUNCE)
        idle = self.settings.inactivity
        self.unprobed: Array = False
        if idle is not None and idle.probe_bins is not None:
            self.unprobed = (facts.inactive >= idle.probe_bins) & _not(facts.probed)
        return reasons

    def _slot(self, slot: int, groups: tuple[Group, ...]) -> Array:
        """What stands against mail of some groups at a slot."""
        if (slot, groups) not in self._slots:
            facts, now = self.facts, slot == NOW
            hour = facts.now_hours - facts.midnight_hours if now else float(slot)
            passed = hour if now or facts.set_forward is None else hour - facts.set_forward[:, slot]
            reasons = self.mail + self.bits(self._quiet(slot), Reason.QUIET_HOURS)
            reasons = reasons + self.bits(self.blackout, Reason.BLACKOUT)
            for group in (ALL, *groups):
                full = self.capped[group]
                reasons = reasons + self.bits(passed < full, CAP_REASONS[group[0]])
            reasons = reasons + self.bits(passed < self.gapped, Reason.MINIMUM_GAP)
            if facts.wanted_from is not None:
                wanted_from = facts.wanted_from - facts.midnight_hours
                reasons = reasons + self.bits(passed < wanted_from, Reason.WANTED_LESS)
            if self.settings.inactivity is not None:
                tiered = (passed < self.tiered) | self.unprobed
                reasons = reasons + self.bits(tiered, Reason.INACTIVE)
            if not now:
                reasons = reasons + self.bits(
                    facts.now_hours - facts.midnight_hours > hour, Reason.SLOT_PASSED
                )
            self._slots[slot, groups] = reasons
        return self._slots[slot, groups]

    def _spacing(self) -> tuple[dict[Group, Array], Array]:
        """Hours after midnight before which caps and the minimum gap forbid mail, each [n].

        Caps are by the group of messages that they count.
        A cap of m sends in h hours is full until h hours after the m-th latest send. Hours are
        those that pass, whatever clocks show: see `GuardrailFacts.set_forward`.
        """
        capped: dict[Group, Array] = {}
        first, gapped = 0, None
        for group, count in sends_kept(self.settings).items():
            since = _descending(self.facts.sends_hours[:, first : first + count], self.xp)
            since = [hours - self.facts.midnight_hours for hours in since]  # negative: before today
            full = -self.xp.inf * self.xp.ones_like(since[0])
            for cap in self.settings.caps:
                if cap.group == group:
                    full = self.xp.maximum(full, since[cap.maximum - 1] + cap.hours)
            capped[group], first = full, first + count
            if gapped is None:  # of all
                gapped, self.tiered = since[0] + self._gap(), self._tiered(since)
        return capped, gapped

    def _tiered(self, since: list[Array]) -> Array:
        """Hours after midnight before which the tiers of inactivity forbid mail, [n]."""
        full = -self.xp.inf * self.xp.ones_like(since[0])
        for tier in self.settings.inactivity.tiers if self.settings.inactivity else ():
            until = self.xp.maximum(full, since[tier.maximum - 1] + tier.hours)
            full = self.xp.where(self.facts.inactive >= tier.bins, until, full)
        return full

    def _gap(self) -> Array:
        """The minimum gap of each contact, hours."""
        usual, slow = self.settings.min_gap_hours, self.settings.slow
        if slow is None or self.facts.slowed is False:
            return usual
        hours = self.xp.zeros_like(self.facts.now_hours)
        return self.xp.where(self.facts.slowed, hours + slow.gap_hours, hours + usual)

    def _blackout(self) -> Array:
        """Whether today is a day without mail; mail is planned for today alone."""
        today, quiet = self.facts.today, False
        for first, last in days_of(self.settings):
            quiet = quiet | ((today >= first) & (today <= last))
        return quiet

    def _quiet(self, slot: int) -> Array:
        """Whether the local hour may fall into the quiet hours under any plausible zone."""
        if self.settings.quiet_hours is None:
            return False
        low, high = self.settings.unknown_zone_slack
        hour = self.facts.now_hours - self.facts.midnight_hours if slot == NOW else float(slot)
        quiet = _inside(hour, self.settings.quiet_hours)
        elsewhere: Array = False
        for shift in range(low, high + 1):
            elsewhere = elsewhere | _inside((hour + shift) % 24, self.settings.quiet_hours)
        return quiet | (~self.facts.zone_known & elsewhere)


def _descending(table: Array, xp: Any) -> list[Array]:
    """Columns of a table whose rows are put in descending order, [n] each."""
    ordered = [table[:, k] for k in range(table.shape[1])]
    if len(ordered) > _SWAPPED:
        table = xp.sort(table, axis=1, descending=True)
        return [table[:, k] for k in range(table.shape[1])]
    for end in range(len(ordered) - 1, 0, -1):
        for at in range(end):
            first, second = ordered[at], ordered[at + 1]
            ordered[at], ordered[at + 1] = xp.maximum(first, second), xp.minimum(first, second)
    return ordered


def _not(value: Array) -> Array:
    return not value if isinstance(value, bool) else ~value


def _inside(hour: Array, hours: tuple[int, int]) -> Array:
    start, end = hours
    if start > end:
        return (hour >= start) | (hour < end)
    return (hour >= start) & (hour < end)


def reason_names(bits: int) -> list[str]:
    """Readable names of a union of reasons, e.g. `['minimum_gap', 'quiet_hours']`."""
    return [name for bit, name in _NAMES if bits & bit]


def days_of(settings: GuardrailSettings) -> list[tuple[int, int]]:
    """First and last day of each time without mail, days since 1970."""
    epoch = date(1970, 1, 1)
    return [((first - epoch).days, (last - epoch).days) for first, last in settings.blackout]


def sends_kept(settings: GuardrailSettings) -> dict[Group, int]:
    """How many latest sends the caps and the gap need to see: of all, then by group of messages.

    The columns of `GuardrailFacts.sends_hours` stand in this order.
    """
    kept = {ALL: 1}
    for cap in settings.caps:
        kept[cap.group] = max(kept.get(cap.group, 1), cap.maximum)
    for tier in settings.inactivity.tiers if settings.inactivity is not None else ():
        kept[ALL] = max(kept[ALL], tier.maximum)
    return kept


def sends_remembered(settings: GuardrailSettings) -> int:
    """How many sends these are together."""
    return sum(sends_kept(settings).values())
