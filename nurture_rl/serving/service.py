"""Reading, deciding and writing for one contact at a time, whatever arrives at once."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from nurture_rl.errors import NurtureError
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.accounts import Accounts, AccountState, in_rounds, with_account
from nurture_rl.serving.active_policies import ActivePolicies, Lineup
from nurture_rl.serving.bundle_folder import BundleFolder
from nurture_rl.serving.consent_entries import changed
from nurture_rl.serving.contact_views import ContactViews
from nurture_rl.serving.crowd import crowd_of
from nurture_rl.serving.decide import decide, made_events
from nurture_rl.serving.forbidding import Forbidding
from nurture_rl.serving.ledger import Settled, settle
from nurture_rl.serving.metrics import Metrics
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.news import News
from nurture_rl.serving.per_ask import answer_per_ask, sort_asks
from nurture_rl.serving.preferring import Preferring
from nurture_rl.serving.recheck import Check
from nurture_rl.serving.records import (
    Answer,
    Confirmation,
    Contact,
    ContactView,
    Decision,
    Event,
    Fate,
    Quarantined,
    Refusal,
    Withdrawal,
)
from nurture_rl.serving.shadowing import Shadowing
from nurture_rl.serving.standing import RecordedDecisions, withdrawn_text, without_consent
from nurture_rl.serving.store import Store
from nurture_rl.serving.store_errors import StoreUnavailable
from nurture_rl.serving.unsubscribing import UnsubscribeLinks
from nurture_rl.serving.viewing import Ask
from nurture_rl.wording import counted

_log = logging.getLogger(__name__)

EVERYWHERE = (-12, 14)  # hours: covers every zone on earth, for any default zone


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How a server reads the clock and treats contacts without a zone."""

    default_zone: str
    simulated_clock: bool  # requests may say what time it is
    clock: Callable[[], int]  # microseconds since 1970 UTC
    seed: int | None = None  # None: the store's own
    # Hours by which an unknown zone may differ from the default zone, lowest and highest. The
    # journey's own figure belongs to its author's zone, which may be another one.
    unknown_zone_slack: tuple[int, int] = EVERYWHERE
    public_url: str | None = None  # where contacts reach it; None: sends carry no headers

    def __post_init__(self) -> None:
        low, high = self.unknown_zone_slack
        if not low <= 0 <= high:
            raise NurtureError(
                f"expected unknown_zone_slack as hours back (<= 0) and ahead (>= 0), got {low} "
                f"and {high}; give -1 6 for zones from one hour behind the default zone's to six "
                "ahead"
            )


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of events; positions count in what was given."""

    stored: int
    repeated: int
    settled: Settled
    withdrawn: Sequence[Withdrawal]  # planned sends that the events took back


class Service:
    """Policies of one journey deciding over a store.

    All work on a contact happens under that contact's lock. So two requests at once cannot decide
    on facts that the other one changes, and a decision knows every event acknowledged before it.
    """

    def __init__(
        self,
        bundle: Bundle,
        store: Store,
        settings: ServerSettings,
        bundles: BundleFolder | None = None,
    ) -> None:
        """Take up the roles of policies where the store has some; see `ActivePolicies`.

        Args:
            bundle: champion unless the store says otherwise; its journey holds for all policies.
            store: what is known and what was decided.
            settings: of the clock and of zones.
            bundles: where others are loaded from; None: there are no others.
        """
        self.policies = ActivePolicies(bundle, store, settings.clock, bundles)
        self.shadowing = Shadowing(store, settings.clock)
        slack = replace(bundle.journey.guardrails, unknown_zone_slack=settings.unknown_zone_slack)
        self.bundle = replace(bundle, journey=replace(bundle.journey, guardrails=slack))
        self.store = store
        store.keep_catalog(bundle.catalog)
        self.catalogs: Mapping[str, Sequence[str]] = store.catalogs()
        # A simulated clock may say any time: then all that is stored counts.
        began_us = 0 if settings.simulated_clock else settings.clock()
        self.crowd = crowd_of(bundle.journey, store, began_us)
        self.forbidding = Forbidding.of(bundle.journey)
        self.settings = settings
        self.seed = store.seed if settings.seed is None else settings.seed
        certain = not settings.simulated_clock
        self._contacts = ContactViews(self.bundle, store, settings.default_zone, certain)
        self._views = self._contacts.read
        self._accounts = Accounts(self.bundle, store, settings.default_zone, certain)
        self._recorded = RecordedDecisions(
            self.bundle, store, settings.default_zone, lambda: self.policies.lineup.paused
        )
        self._swept_us = -1  # sends that had to be confirmed by then have been looked at
        self.news = News()
        self.metrics = Metrics()
        self.links = UnsubscribeLinks(store.secret(), settings.public_url)
        self.preferring = Preferring(
            store, self._recorded, self._views, self._refused, settings.clock
        )
        self._hearing = threading.Lock()

    def decide(self, asks: Sequence[Ask], now_us: int | None = None) -> list[Answer]:
        """Decide for each contact; decisions are on disk when this returns.

        Args:
            asks: who, [n].
            now_us: the moment; None reads the clock.

        Returns:
            A decision or a refusal per ask, in order.
        """
        self._sweep(now_us)
        names = [ask.contact_id for ask in asks]
        with self.store.held(names), self._accounts.held(names) as account_of:
            self.policies.follow()
            now_us, lineup = self.policies.moment(now_us)
            answers: list[Answer | None] = [None] * len(asks)
            stored = self.store.decisions([ask.request_id for ask in asks if ask.request_id])
            self._know_catalogs(stored.values())
            exist = self.store.contacts(names)
            pending, again = sort_asks(asks, answers, stored, exist)
            self._say_again(asks, again, answers, account_of, now_us)
            views = self._views([asks[i] for i in pending], now_us, exist)
            states = self._accounts.states(account_of, now_us)
            new_answers = self.crowd.shared(
                views, now_us, lambda some, left: self._new(some, left, states, now_us, lineup)
            )
            for i, answer in zip(pending, new_answers, strict=True):
                answers[i] = answer
            fresh = [answer for answer in new_answers if isinstance(answer, Decision)]
            if fresh:
                try:
                    self.store.append_decisions(fresh, made_events(self.bundle, fresh))
                except StoreUnavailable:
                    self.crowd.give_back(fresh)
                    raise
                due = [d.confirm_by_us - 1 for d in fresh if d.confirm_by_us is not None]
                self._swept_us = min([self._swept_us, *due])  # after a clock that was set back
        self.shadowing.see(lineup.shadow, self.bundle.catalog, fresh)
        self.metrics.decided(fresh, [a for a in answers if isinstance(a, Refusal)])
        self._hear()
        return answer_per_ask(asks, answers)

    def _new(
        self,
        views: Sequence[ContactView],
        left: Mapping[str, int],
        states: Mapping[str, AccountState],
        now_us: int,
        lineup: Lineup,
    ) -> list[Answer]:
        """Decide; colleagues of one account one after the other."""
        zone = self.settings.default_zone
        shared = [states.get(view.contact.contact_id) for view in views]
        answers: dict[int, Answer] = {}
        for some in in_rounds(shared):
            seen = [with_account(views[i], shared[i]) for i in some]
            made = decide(self.bundle, seen, now_us, self.seed, zone, left, lineup.line)
            for i, answer in zip(some, made, strict=True):
                answers[i] = answer
                if (state := shared[i]) is not None:
                    state.settle([answer], (), {})
        return [answers[i] for i in range(len(views))]

    def confirm(
        self, decision_ids: Sequence[str], now_us: int | None = None
    ) -> list[Confirmation | None]:
        """Say of each recorded decision whether it is to be carried out now.

        A send is confirmed once its hour has come and until its bin is over, if the guardrails let
        it leave at this moment. What was confirmed stays so, and counts as sent; only a stop or the
        end of its bin take it back. What was withdrawn stays withdrawn.

        Args:
            decision_ids: of the decisions, [n].
            now_us: the moment; None reads the clock.

        Returns:
            Per id an answer, None where no decision has that id.
        """
        self._sweep(now_us)
        stored = list(self.store.decisions(decision_ids).values())
        names = [decision.contact_id for decision in stored]
        answers: dict[str, Confirmation] = {}
        with self.store.held(names), self._accounts.held(names) as account_of:
            self.policies.follow()
            now_us = self.settings.clock() if now_us is None else now_us
            # Nobody says at a confirmation whether the contact is in reach: it was asked before.
            views = self._views([Ask(d.contact_id, d.decision_id, True) for d in stored], now_us)
            states = self._accounts.states(account_of, now_us)
            shared = [states.get(name) for name in names]
            for some in in_rounds(shared):
                found, withdrawals, confirmed = self._recorded.confirmations(
                    [stored[i] for i in some],
                    [with_account(views[i], shared[i], now_us) for i in some],
                    now_us,
                )
                self._settle(withdrawals, confirmed)
                for state in states.values():
                    state.settle((), withdrawals, confirmed)
                answers |= {one.decision.decision_id: one for one in found}
        self._hear()
        return [answers.get(name) for name in decision_ids]

    def decision(self, decision_id: str) -> tuple[Decision, Fate, Event | None] | None:
        """A recorded decision, what became of it, and the event that proves that it went.

        None where no decision has that id.
        """
        if not self.settings.simulated_clock:
            self._sweep()
        stored = self.store.decisions([decision_id]).get(decision_id)
        if stored is None:
            return None
        self._know_catalogs([stored])
        fate = self.store.fates([decision_id]).get(decision_id, Fate())
        return stored, fate, self.store.proofs([decision_id]).get(decision_id)

    def put_contacts(self, contacts: Sequence[Contact]) -> list[Withdrawal]:
        """Add or replace contacts; who has no consent any more loses the sends that are planned.

        Returns:
            These sends.
        """
        names = [contact.contact_id for contact in contacts]
        with self.store.held(names):
            refused = [contact.contact_id for contact in contacts if not contact.consent]
            now_us, before = self.settings.clock(), self.store.contacts(names)
            withdrawn = self._recorded.refused(refused, self._views, now_us, without_consent)
            self.store.put_contacts(contacts, withdrawn, changed(before, contacts, now_us))
            self.crowd.moved(before, contacts, now_us)
            self._refused(names, withdrawn)
        return withdrawn

    def append_events(
        self,
        events: Sequence[Event],
        quarantined: Sequence[Quarantined] = (),
        kept: Callable[[Settled, int], Sequence[Quarantined]] = lambda settled, now_us: (),
    ) -> Appended:
        """Add events as of the moment the lock is held.

        On the server's own clock an event is recorded at that moment, and none has happened later.

        Args:
            events: recorded when their sender says.
            quarantined: rows to keep beside them.
            kept: further ones, for ids that turn out to be taken.
        """
        # Lock event ids too: two contacts may send events with one id at the same time. And the
        # contacts of named decisions: an event may count one that is being withdrawn.
        names = [name for event in events for name in (event.contact_id, event.event_id)]
        names += [decision.contact_id for decision in self._recorded.named(events)]
        with self.store.held(names):
            now_us = self.settings.clock()
            if not self.settings.simulated_clock:
                events = [
                    replace(event, occurred_us=min(event.occurred_us, now_us), recorded_us=now_us)
                    for event in events
                ]
            stored = self.store.events_of_ids([event.event_id for event in events])
            settled = settle(events, stored, self.forbidding)
            withdrawn = self._recorded.stopped(
                [e for e in settled.fresh if self.forbidding.may(e.type, e.reply_class)],
                self._views,
                settled.fresh,
            )
            proven = self._recorded.proven(settled.fresh)
            rows = [*quarantined, *kept(settled, now_us)]
            added = self.store.append_events(settled.fresh, rows, withdrawn)
            self._free(withdrawn)
            self.crowd.take_again(proven, settled.fresh)
            against = [e for e in events if self.forbidding.may(e.type, e.reply_class)]
            self._tell([event.contact_id for event in against])
            if not self.settings.simulated_clock:
                self._contacts.fold([event.contact_id for event in settled.fresh], now_us)
        repeated = len(events) - len(settled.conflicting) - added
        return Appended(added, repeated, settled, withdrawn)

    def _refused(self, contact_ids: Sequence[str], withdrawn: Sequence[Withdrawal]) -> None:
        self._free(withdrawn)
        self._tell(contact_ids)

    def _tell(self, contact_ids: Sequence[str]) -> None:
        if self.store.is_shared or self.news.wanted:
            names = {contact_key(name) for name in contact_ids}
            names |= self._accounts.colleagues(contact_ids)
            self.store.tell(names)
            self.news.tell(names)

    def _hear(self) -> None:
        """Pass on what other servers of the store have acknowledged since."""
        with self._hearing:  # nobody answers between what is heard and its telling
            self.news.tell(self.store.heard())

    def _say_again(
        self,
        asks: Sequence[Ask],
        again: Mapping[int, Decision],
        answers: list[Answer | None],
        account_of: Mapping[str, str],
        now_us: int,
    ) -> None:
        """Answer with recorded decisions, as far as they may still be carried out."""
        if not again:
            return
        states = self._accounts.states(account_of, now_us)
        due = {i: decision.waits_for_confirmation(now_us) for i, decision in again.items()}
        for check, at_hour in ((Check.AT_ITS_HOUR, False), (Check.LEAVES_NOW, True)):
            some = [i for i in again if due[i] is at_hour]
            if not some:
                continue
            views = [
                with_account(view, states.get(view.contact.contact_id))
                for view in self._views([asks[i] for i in some], now_us)
            ]
            found, withdrawals = self._recorded.objections(
                [again[i] for i in some], views, now_us, check
            )
            for i, objection in zip(some, found, strict=True):
                decision = answers[i] = again[i]
                if objection is not None:
                    text = withdrawn_text(decision, objection.why)
                    answers[i] = Refusal(decision.contact_id, objection.code, text)
            self._settle(withdrawals, {})

    def _know_catalogs(self, decisions: Iterable[Decision]) -> None:
        """Learn the catalogues of decisions that another server of the store made."""
        if any(decision.catalog not in self.catalogs for decision in decisions):
            self.catalogs = self.store.catalogs()

    def _sweep(self, now_us: int | None = None) -> None:
        """Withdraw the sends that had to be confirmed by now and were not."""
        now_us = self.settings.clock() if now_us is None else now_us
        late = self.store.unconfirmed(self._swept_us, now_us)
        if late:
            with self.store.held([decision.contact_id for decision in late]):
                self._settle(self._recorded.lapsed(late, now_us), {})
        self._swept_us = max(self._swept_us, now_us)

    def _settle(self, withdrawals: Sequence[Withdrawal], confirmed: Mapping[str, int]) -> None:
        if withdrawals or confirmed:
            self.store.settle(withdrawals, confirmed)
            self._free(withdrawals)

    def _free(self, withdrawals: Sequence[Withdrawal]) -> None:
        for reason, times in Counter(one.reason for one in withdrawals).items():
            # No ids: callers make them up, and they may name people.
            _log.warning("%s taken back: %s", counted(times, "planned send"), reason)
        self.crowd.give_back([w.decision for w in withdrawals if w.freed])
