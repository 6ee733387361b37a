"""Limits of the contacts of one account together: how often they get mail, and when they do not."""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from nurture_envs.actions import NOW
from nurture_envs.clock import DAY_US, HOUR_US, utc_microseconds
from nurture_envs.guardrails import Reason
from nurture_envs.journey import AccountLimits
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.facts import Known, known
from nurture_rl.serving.contacts.sends import told_sends
from nurture_rl.serving.contacts.viewing import Ask, views_of
from nurture_rl.serving.records import (
    AccountFacts,
    Answer,
    ContactView,
    Decision,
    Planned,
    Withdrawal,
)
from nurture_rl.serving.storage.store import Store

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class AccountState:
    """Sends to the contacts of one account, and who of them is in conversation with sales."""

    sends: dict[str, Planned] = field(default_factory=dict)  # by the id of a decision, or another
    talking: set[str] = field(default_factory=set)  # contact ids
    calls_talk: bool = False  # an escalation begins a conversation

    def read(self, view: ContactView, talking: bool) -> None:
        """Take in one contact of the account."""
        made, planned = told_sends(view)
        for number, (at_us, _) in enumerate(made):
            name = f"send {number} to {view.contact.contact_id}"
            self.sends[name] = Planned(name, at_us)
        self.sends |= {plan.decision_id: plan for plan in planned}
        if talking:
            self.talking.add(view.contact.contact_id)

    def settle(
        self,
        answers: Iterable[Answer],
        withdrawn: Iterable[Withdrawal],
        confirmed: Mapping[str, int],
    ) -> None:
        """Count what was decided, taken back and confirmed since."""
        for answer in answers:
            if not isinstance(answer, Decision):
                continue
            name, at_us, by_us = answer.decision_id, answer.scheduled_us, answer.confirm_by_us
            if at_us is not None:
                self.sends[name] = Planned(name, at_us, confirm_by_us=by_us)
            elif answer.action == "escalate" and self.calls_talk:
                self.talking.add(answer.contact_id)
        for one in withdrawn:
            if one.freed:
                self.sends.pop(one.decision.decision_id, None)
        for name, at_us in confirmed.items():
            if name in self.sends:
                self.sends[name] = Planned(name, at_us)

    def facts(self, contact: str, apart: str = "", now_us: int | None = None) -> AccountFacts:
        """What the account adds to what is known of one of its contacts.

        Args:
            contact: whose, as stored.
            apart: the decision that is asked for, whose own send does not count.
            now_us: leave out sends to be confirmed yet that are not due by then; None: none.
        """
        sends = [
            plan.at_us
            for name, plan in self.sends.items()
            if name != apart and not _is_unsure(plan, now_us)
        ]
        return AccountFacts(tuple(sorted(sends)), bool(self.talking - {contact}))


def _is_unsure(plan: Planned, now_us: int | None) -> bool:
    return now_us is not None and plan.confirm_by_us is not None and plan.at_us > now_us


class Accounts:
    """The accounts of a store, as far as the journey limits them; else nobody has one here."""

    def __init__(self, bundle: Bundle, store: Store, default_zone: str, acknowledged: bool) -> None:
        """Arguments as of `views_of`."""
        self._bundle, self._store, self._zone = bundle, store, default_zone
        self._acknowledged = acknowledged
        self.limited = bundle.journey.guardrails.account is not None

    @contextmanager
    def held(self, contact_ids: Sequence[str]) -> Iterator[dict[str, str]]:
        """Lock the accounts of contacts; yields their keys by contact.

        Whoever calls holds the locks of the contacts: so nobody changes the account meanwhile, and
        the locks of accounts are always taken after those of contacts.
        """
        found = self._store.accounts_of(contact_ids) if self.limited else {}
        with self._store.accounts_held(found.values()):
            yield found

    def colleagues(self, contact_ids: Sequence[str]) -> set[str]:
        """Keys of all members of these contacts' accounts, whom their conversation may silence."""
        limits = self._bundle.journey.guardrails.account
        if limits is None or not limits.conversation:
            return set()
        accounts = set(self._store.accounts_of(contact_ids).values())
        members = self._store.members(sorted(accounts))
        return {name for names in members.values() for name in names}

    def states(self, account_of: Mapping[str, str], now_us: int) -> dict[str, AccountState]:
        """How accounts stand, by contact; contacts of one account share their state.

        Args:
            account_of: the keys of accounts that are held, by contact.
            now_us: the moment, microseconds since 1970 UTC.
        """
        if not (account_of and self.limited):
            return {}
        members = self._store.members(list(account_of.values()))
        owner = {name: account for account, names in members.items() for name in names}
        views = views_of(
            self._bundle,
            self._store,
            [Ask(name) for name in owner],
            now_us,
            self._zone,
            self._acknowledged,
        )
        talking = _talking(self._bundle, views, now_us, self._zone)
        journey = self._bundle.journey
        begins = set(journey.guardrails.talks)
        calls = any(s.type == "escalated" and s.name in begins for s in journey.signals)
        states = {account: AccountState(calls_talk=calls) for account in members}
        for view in views:
            name = view.contact.contact_id
            states[owner[name]].read(view, name in talking)
        return {name: states[account] for name, account in account_of.items()}


def with_account(
    view: ContactView, state: AccountState | None, now_us: int | None = None
) -> ContactView:
    """A contact with what their account adds, less the send of the decision asked for.

    Args:
        view: the contact.
        state: of the account; None: there is none.
        now_us: as of `AccountState.facts`.
    """
    if state is None:
        return view
    name = view.contact.contact_id
    return replace(view, account=state.facts(name, view.decision_id, now_us))


def in_rounds(accounts: Sequence[AccountState | None]) -> list[list[int]]:
    """Positions in rounds: no two of one round share an account, and each comes in its order."""
    rounds: list[list[int]] = []
    taken: dict[int, int] = {}
    for position, account in enumerate(accounts):
        number = taken.get(id(account), 0) if account is not None else 0
        if account is not None:
            taken[id(account)] = number + 1
        if number == len(rounds):
            rounds.append([])
        rounds[number].append(position)
    return rounds


def _talking(
    bundle: Bundle, views: Sequence[ContactView], now_us: int, default_zone: str
) -> set[str]:
    """Who is in conversation with sales; a record that cannot be read may be one."""
    limits = bundle.journey.guardrails.account
    if limits is None or not limits.conversation:
        return set()
    moments = np.full(len(views), now_us, np.int64)
    try:
        facts = known(bundle.journey, bundle.feature_spec, views, moments, default_zone).facts
    except Exception:
        if len(views) > 1:
            alone = [_talking(bundle, [view], now_us, default_zone) for view in views]
            return set[str]().union(*alone)
        _log.exception("whether a contact is in conversation could not be worked out")
        return {views[0].contact.contact_id}
    talking = np.broadcast_to(facts.conversation, len(views))
    return {view.contact.contact_id for view, talks in zip(views, talking, strict=True) if talks}


def against_account(
    bundle: Bundle,
    views: Sequence[ContactView],
    facts: Known,
    reasons: NDArray[np.int32],
    now_us: NDArray[np.int64],
    at_once: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """The reasons against actions, with those of the contacts' accounts.

    Args:
        bundle: its journey limits accounts, or not.
        views: the contacts, [n].
        facts: of the contacts.
        reasons: bits of `Reason`, [n, a].
        now_us: the moment of each, microseconds since 1970 UTC, [n].
        at_once: sends leave at that moment, whatever their slot, [n]; None: no one's do.
    """
    wide, limits = reasons.astype(np.int64), bundle.journey.guardrails.account
    if limits is None or all(view.account is None for view in views):
        return wide
    slots, sends = bundle.catalog.slots, bundle.catalog.routed("send")
    moments = {int(slot): moments_of(int(slot), facts, now_us) for slot in np.unique(slots[sends])}
    for row, view in enumerate(views):
        if view.account is None:
            continue
        if limits.conversation and view.account.talking:
            wide[row, sends] |= int(Reason.ACCOUNT_CONVERSATION)
        for slot, at_us in moments.items():
            moment = now_us if at_once is not None and at_once[row] else at_us
            if is_full(limits, view.account.sends_us, int(moment[row])):
                wide[row, sends & (slots == slot)] |= int(Reason.ACCOUNT_CAP)
    return wide


def is_full(limits: AccountLimits, sends_us: Sequence[int], at_us: int) -> bool:
    """Whether one more send at a moment makes a rolling window hold more than a cap allows.

    Args:
        limits: of accounts.
        sends_us: other sends, before and after the moment, in order, microseconds.
        at_us: the moment.
    """
    place = bisect_left(sends_us, at_us)
    times = [*sends_us[:place], at_us, *sends_us[place:]]
    for cap in limits.caps:
        first = range(max(0, place - cap.maximum), min(place, len(times) - cap.maximum - 1) + 1)
        if any(times[i + cap.maximum] - times[i] < cap.hours * HOUR_US for i in first):
            return True
    return False


def moments_of(slot: int, facts: Known, now_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """When a send at a slot would leave, UTC, [n]."""
    if slot == NOW:
        return now_us
    local_us = facts.local_us - facts.local_us % DAY_US + slot * HOUR_US
    return utc_microseconds(local_us, facts.zones)
