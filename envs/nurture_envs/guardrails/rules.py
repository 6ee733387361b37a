"""Pure, vectorised guardrails over numpy or torch arrays (written against the array API)."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

from array_api_compat import array_namespace

from nurture_envs.actions import NOW, ActionCatalog, ActionKind
from nurture_envs.guardrails.reasons import CAP_REASONS, Reason
from nurture_envs.guardrails.remembered import days_of, jobs_kept, moments_watched, sends_kept
from nurture_envs.journey import ALL, Group, GuardrailSettings, Journey

Array = Any  # numpy or torch; of the facts also a plain bool that holds for everybody
Lag = Callable[[tuple[str, ...]], Array]  # time since one of some signals last happened, [n]

_EVER = 500_000  # bins; the lag of what never happened lies beyond it
_SWAPPED = 8  # columns up to which swaps of neighbours are faster than a sort of each row


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
    # [n, w] f64: when signals of each of `moments_watched` last happened, on the scale of
    # `now_hours`, -inf: never; a simulation takes the end of their bin
    moments_hours: Array = None


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
    return [names for names in (*sets, *moments_watched(settings)) if names]


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
    kinds, kind_of = catalog.kinds(sends_kept(settings))
    slots = list(dict.fromkeys(kind.slot for kind in kinds if kind.routing == "send"))
    rules = _Rules(facts, settings, slots)
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

    def __init__(
        self, facts: GuardrailFacts, settings: GuardrailSettings, slots: Sequence[int]
    ) -> None:
        self.facts, self.settings = facts, settings
        self.xp = array_namespace(facts.now_hours)
        self.none = self.xp.zeros_like(facts.today, dtype=self.xp.int32)
        self.paused = self.bits(facts.paused, Reason.PAUSED)
        talking = self.bits(facts.conversation, Reason.SALES_CONVERSATION)
        self.engaged = self.paused + talking  # against everything but waiting
        self.mail = self._against_mail()
        self.blackout = self._blackout()
        self.until = self._spacing()
        self._mails: dict[int, Array] = {}
        self.slots = slots
        self._group: dict[Group, Array] = {}
        self._groups: dict[tuple[Group, ...], Array] = {}

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
        if not groups:
            return self._any_mail(slot)
        if groups not in self._groups:
            self._groups[groups] = reduce(operator.or_, map(self._of_group, groups))
        return self._any_mail(slot) + self._groups[groups][self.slots.index(slot)]

    def _of_group(self, group: Group) -> Array:
        """What stands against mail of a group at each slot, [slots, n]."""
        if group not in self._group:
            passed = self._all_passed
            against = [self.bits(passed < end, reason) for end, reason in self.until[group]]
            self._group[group] = reduce(operator.or_, against)
        return self._group[group]

    def _passed(self, slot: int) -> Array:
        """Hours after midnight at a slot, as they pass."""
        if slot == NOW:
            return self.facts.now_hours - self.facts.midnight_hours
        forward = self.facts.set_forward
        return float(slot) if forward is None else float(slot) - forward[:, slot]

    @cached_property
    def _all_passed(self) -> Array:
        """Hours after midnight at each slot, as they pass, [slots, n]."""
        everybody = self.xp.zeros_like(self.facts.now_hours)
        return self.xp.stack([everybody + self._passed(slot) for slot in self.slots])

    def _any_mail(self, slot: int) -> Array:
        """What stands against any mail at a slot."""
        if slot not in self._mails:
            facts, passed = self.facts, self._passed(slot)
            reasons = self.mail + self.bits(self._quiet(slot), Reason.QUIET_HOURS)
            reasons = reasons + self.bits(self.blackout, Reason.BLACKOUT)
            for until, reason in self.until[ALL]:
                reasons = reasons + self.bits(passed < until, reason)
            if facts.wanted_from is not None:
                wanted_from = facts.wanted_from - facts.midnight_hours
                reasons = reasons + self.bits(passed < wanted_from, Reason.WANTED_LESS)
            if self.settings.inactivity is not None:
                tiered = (passed < self.tiered) | self.unprobed
                reasons = reasons + self.bits(tiered, Reason.INACTIVE)
            if slot != NOW:
                late = facts.now_hours - facts.midnight_hours > float(slot)
                reasons = reasons + self.bits(late, Reason.SLOT_PASSED)
            self._mails[slot] = reasons
        return self._mails[slot]

    def _spacing(self) -> dict[Group, list[tuple[Array, Reason]]]:
        """Hours after midnight before which mail of each group is forbidden, [n], and why.

        A cap of m sends in h hours is full until h hours after the m-th latest send. Hours are
        those that pass, whatever clocks show: see `GuardrailFacts.set_forward`.
        """
        until: dict[Group, list[tuple[Array, Reason]]] = {}
        first, jobs, asked = 0, jobs_kept(self.settings), self.settings.unanswered
        for group, count in sends_kept(self.settings).items():
            since = _descending(self.facts.sends_hours[:, first : first + count], self.xp)
            since = [hours - self.facts.midnight_hours for hours in since]  # negative: before today
            caps = [cap for cap in self.settings.caps if cap.group == group]
            ends = [since[cap.maximum - 1] + cap.hours for cap in caps]
            until[group], first = [], first + count
            if ends:
                until[group].append((reduce(self.xp.maximum, ends), CAP_REASONS[group[0]]))
            if group == ALL:
                until[group].append((since[0] + self._gap(), Reason.MINIMUM_GAP))
                self.tiered = self._tiered(since)
            if asked is not None and group in jobs:
                until[group].append((self._unanswered(since[0], asked.hours), Reason.UNANSWERED))
        for group, visited in self._cool_off():
            until[group].append((visited, Reason.COOL_OFF))
        return until

    def _unanswered(self, sent: Array, hours: float) -> Array:
        """Hours after midnight before which a job's last mail, sent then, waits for an answer."""
        answered = self.facts.moments_hours[:, 0] - self.facts.midnight_hours
        return self.xp.where(sent >= answered, sent + hours, -self.xp.inf)

    def _cool_off(self) -> list[tuple[Group, Array]]:
        """Messages that speak of a visit, and the hours after midnight before which they wait."""
        if not self.settings.cool_off:
            return []
        first = 0 if self.settings.unanswered is None else 1
        since = self.facts.moments_hours - self.facts.midnight_hours[:, None]
        return [
            (("message", visit.message), since[:, place] + visit.hours)
            for place, visit in enumerate(self.settings.cool_off, first)
        ]

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
