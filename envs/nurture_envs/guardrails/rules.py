"""Pure, vectorised guardrails over numpy or torch arrays (written against the array API)."""

from __future__ import annotations

import operator
from functools import cached_property, lru_cache, reduce
from typing import Any

from array_api_compat import array_namespace, device

from nurture_envs.actions import NOW, ActionCatalog, ActionKind
from nurture_envs.guardrails.guardrail_facts import GuardrailFacts
from nurture_envs.guardrails.reasons import Reason
from nurture_envs.guardrails.remembered import days_of, sends_kept
from nurture_envs.guardrails.spacing import forbidden_until, spacing_of
from nurture_envs.journey import ALL, Group, GuardrailSettings

Array = Any  # numpy or torch; of the facts also a plain bool that holds for everybody


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
    kinds, kind_of = catalog.kinds(tuple(sends_kept(settings)))
    rules = _Rules(facts, settings)
    rows = [rules.reasons(kind) for kind in kinds]
    reasons = rules.xp.stack([rows[kind] for kind in kind_of])
    if facts.refused is not None:  # a matter of single messages, which kinds do not tell apart
        reasons = reasons + rules.xp.stack([rules.refused(m) for m in catalog.message_places])
    return (reasons == 0).T, reasons.T


class _Rules:
    """The rules of a journey asked of n contacts at one moment; each answer is [n] int32."""

    def __init__(self, facts: GuardrailFacts, settings: GuardrailSettings) -> None:
        self.facts, self.settings = facts, settings
        self.xp = array_namespace(facts.now_hours)
        self.bit_of = _bits_of(self.xp, device(facts.now_hours))
        self.none = self.xp.zeros_like(facts.today, dtype=self.xp.int32)
        self.paused = self.with_(self.none, facts.paused, Reason.PAUSED)
        # Against everything but waiting.
        self.engaged = self.with_(self.paused, facts.conversation, Reason.SALES_CONVERSATION)
        self.clock_hours = facts.now_hours - facts.midnight_hours  # [n] f64
        self.spacing = spacing_of(settings)
        self.until = forbidden_until(self.spacing, settings, facts, self.xp)
        self._mails: dict[int, Array] = {}
        self._limits: dict[int, Array] = {}
        self._groups: dict[tuple[int, tuple[Group, ...]], Array] = {}

    def with_(self, reasons: Array, broken: Array, reason: Reason) -> Array:
        """Reasons with one that they did not have, where it holds."""
        if isinstance(broken, bool):
            return reasons + reason.value if broken else reasons
        return reasons + broken * self.bit_of[reason]

    def reasons(self, kind: ActionKind) -> Array:
        if kind.routing == "pause":
            return self.paused if kind.long_pause else self.none
        if kind.routing == "slow":
            return self.paused
        if kind.routing == "exit":
            return self.engaged
        if kind.routing == "escalate":
            return self.with_(self.engaged, _not(self.facts.intent), Reason.NO_INTENT)
        reasons = self._mail_of(kind.slot, kind.groups)
        reasons = self.with_(reasons, not kind.approved, Reason.NOT_APPROVED)
        if kind.expiry is not None:
            reasons = self.with_(reasons, self.facts.today > kind.expiry, Reason.EXPIRED)
        return reasons if kind.offer is None else self._with_offer(reasons, kind.offer)

    def refused(self, message: int) -> Array:
        """What stands against a message by what contacts refused; below 0: none is sent."""
        if message < 0:
            return self.none
        return self.with_(self.none, self.facts.refused[:, message], Reason.NOT_WANTED)

    def _with_offer(self, reasons: Array, offer: int) -> Array:
        facts = self.facts
        fits = False if facts.eligible is None else facts.eligible[:, offer]
        gone = False if facts.left is None else facts.left[:, offer] <= 0
        reasons = self.with_(reasons, _not(fits), Reason.NOT_ELIGIBLE)
        return self.with_(reasons, gone, Reason.OUT_OF_STOCK)

    @cached_property
    def _at_any_slot(self) -> Array:
        """What stands against any mail, whenever it is sent."""
        facts, reasons = self.facts, self.engaged
        if self.settings.require_consent:
            reasons = self.with_(reasons, _not(facts.consent), Reason.NO_CONSENT)
        if self.settings.availability:
            reasons = self.with_(reasons, _not(facts.available), Reason.UNAVAILABLE)
        reasons = self.with_(reasons, facts.opted_out, Reason.OPTED_OUT)
        reasons = self.with_(reasons, facts.hard_bounced, Reason.HARD_BOUNCE)
        reasons = self.with_(reasons, self._is_blacked_out(), Reason.BLACKOUT)
        idle = self.settings.inactivity
        if idle is not None and idle.probe_bins is not None:
            unprobed = (facts.inactive >= idle.probe_bins) & _not(facts.probed)
            reasons = self.with_(reasons, unprobed, Reason.INACTIVE)
        return reasons

    def _any_mail(self, slot: int) -> Array:
        """What stands against any mail at a slot."""
        if slot not in self._mails:
            facts = self.facts
            reasons = self.with_(self._at_any_slot, self._quiet(slot), Reason.QUIET_HOURS)
            if facts.wanted_from is not None:
                wanted_from = facts.wanted_from - facts.midnight_hours
                early = self._passed(slot) < wanted_from
                reasons = self.with_(reasons, early, Reason.WANTED_LESS)
            if slot != NOW:
                late = self.clock_hours > float(slot)
                reasons = self.with_(reasons, late, Reason.SLOT_PASSED)
            self._mails[slot] = self._limited(reasons, slot, ALL)
        return self._mails[slot]

    def _mail_of(self, slot: int, groups: tuple[Group, ...]) -> Array:
        """What stands against mail of some groups at a slot."""
        if not groups:
            return self._any_mail(slot)
        if (slot, groups) not in self._groups:
            reasons = self._any_mail(slot)
            for group in groups:
                reasons = self._limited(reasons, slot, group)
            self._groups[slot, groups] = reasons
        return self._groups[slot, groups]

    def _limited(self, reasons: Array, slot: int, group: Group) -> Array:
        """Reasons with those of the limits of a group's mail, some of which may be among them."""
        if slot not in self._limits:
            bits = self.xp.asarray(self.spacing.bits, device=device(self.until))
            self._limits[slot] = (self._passed(slot) < self.until) * bits  # [l, n]
        rows = self._limits[slot]
        own = self.spacing.of_group.get(group, ())
        return reduce(operator.or_, [rows[limit] for limit in own], reasons)

    def _passed(self, slot: int) -> Array:
        """Hours after midnight at a slot, as they pass."""
        if slot == NOW:
            return self.clock_hours
        forward = self.facts.set_forward
        return float(slot) if forward is None else float(slot) - forward[:, slot]

    def _is_blacked_out(self) -> Array:
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
        hour = self.clock_hours if slot == NOW else float(slot)
        quiet = _inside(hour, self.settings.quiet_hours)
        elsewhere: Array = False
        for shift in range(low, high + 1):
            elsewhere = elsewhere | _inside((hour + shift) % 24, self.settings.quiet_hours)
        if isinstance(elsewhere, bool):  # the same for everybody
            return quiet or (elsewhere and ~self.facts.zone_known)
        return quiet | (~self.facts.zone_known & elsewhere)


@lru_cache(maxsize=16)
def _bits_of(xp: Any, where: Any) -> dict[Reason, Array]:
    """Every reason as an array [] int32: with flags [n] it gives reasons of the same type."""
    return {reason: xp.asarray(reason.value, dtype=xp.int32, device=where) for reason in Reason}


def _not(value: Array) -> Array:
    return not value if isinstance(value, bool) else ~value


def _inside(hour: Array, hours: tuple[int, int]) -> Array:
    start, end = hours
    if start > end:
        return (hour >= start) | (hour < end)
    return (hour >= start) & (hour < end)
