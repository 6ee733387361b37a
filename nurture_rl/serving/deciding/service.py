"""Reading, deciding and writing for one contact at a time, whatever arrives at once."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.accounts import AccountState, in_rounds, with_account
from nurture_rl.serving.contacts.recheck import Check
from nurture_rl.serving.contacts.standing import withdrawn_text, without_consent
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.decide import decide, made_events
from nurture_rl.serving.deciding.derived_signals import add_derived
from nurture_rl.serving.deciding.enrolling import Enrolling
from nurture_rl.serving.deciding.metrics import Metrics
from nurture_rl.serving.deciding.per_ask import answer_per_ask, named_in, sort_asks
from nurture_rl.serving.deciding.preferring import Preferring
from nurture_rl.serving.deciding.served_journey import ServedJourney
from nurture_rl.serving.deciding.served_journeys import ServedJourneys
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.deciding.sweeping import Swept
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.news import News
from nurture_rl.serving.policies.active_policies import ActivePolicies
from nurture_rl.serving.policies.bundle_folder import BundleFolder
from nurture_rl.serving.policies.lineup import Lineup
from nurture_rl.serving.policies.shadowing import Shadowing
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
from nurture_rl.serving.storage.consent_entries import changed
from nurture_rl.serving.storage.ledger import Appended, Settled, as_of, settle
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.store_errors import StoreUnavailable
from nurture_rl.serving.unsubscribing import UnsubscribeLinks
from nurture_rl.wording import counted

_log = logging.getLogger(__name__)


class Service:
    """Policies of one journey, or of several, deciding over a store.

    All work on a contact happens under that contact's lock. So two requests at once cannot decide
    on facts that the other one changes, and a decision knows every event acknowledged before it.
    """

    def __init__(
        self,
        bundle: Bundle,
        store: Store,
        settings: ServerSettings,
        bundles: BundleFolder | None = None,
        further: Sequence[Bundle] = (),
    ) -> None:
        """Take up the roles of policies where the store has some; see `ActivePolicies`.

        Args:
            bundle: champion unless the store says otherwise; its journey holds for all policies.
            store: what is known and what was decided.
            settings: of the clock and of zones.
            bundles: where others are loaded from; None: there are no others.
            further: a bundle of each further journey.

        Raises:
            BundleError: two of them are of one journey.
        """
        self.store, self.settings = store, settings
        self.journeys = ServedJourneys(bundle, store, settings, bundles, further)
        self.first, self.forbidding = self.journeys.first, self.journeys.forbidding
        self.shadowing = Shadowing(store, settings.clock)
        self.catalogs: Mapping[str, Sequence[str]] = store.catalogs()
        self.seed = store.seed if settings.seed is None else settings.seed
        self._swept = Swept()  # of sends that had to be confirmed
        self.news, self.metrics = News(), Metrics()
        self.links = UnsubscribeLinks(store.secret(), settings.public_url)
        self.preferring = Preferring(store, self.journeys.unwanted, self._refused, settings.clock)
        self.enrolling = Enrolling(
            self.journeys.by_name, store, settings.default_zone, settings.clock, self._refused
        )
        self._hearing = threading.Lock()

    @property
    def bundle(self) -> Bundle:
        """What the first journey was started with."""
        return self.first.bundle

    @property
    def policies(self) -> ActivePolicies:
        """Those of the first journey."""
        return self.first.policies

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
        fresh: list[Decision] = []
        with (
            self._swept.told(fresh),
            self.store.held(named_in(asks)),
            self.journeys.accounts_held(names) as account_of,
        ):
            self.journeys.keep_up()
            moments = self.journeys.moments(now_us)
            first_us, _ = moments[self.first.name]
            answers: list[Answer | None] = [None] * len(asks)
            stored = self.store.decisions([ask.request_id for ask in asks if ask.request_id])
            self._know_catalogs(stored.values())
            exist = self.store.contacts(names)
            pending, again = sort_asks(asks, answers, stored, exist)
            self._say_again(asks, again, answers, account_of, first_us)
            self.enrolling.admit([asks[i].contact_id for i in pending], first_us)
            with self.journeys.limits_held():
                parts = self.journeys.shared_out(asks, pending, answers, exist, first_us)
                for journey, some in parts:
                    mine, (at_us, lineup) = [asks[i] for i in some], moments[journey.name]
                    found = self._decided(journey, mine, exist, account_of, at_us, lineup, fresh)
                    for i, answer in zip(some, found, strict=True):
                        answers[i] = answer
                    fresh += [answer for answer in found if isinstance(answer, Decision)]
        self.metrics.decided(fresh, [a for a in answers if isinstance(a, Refusal)])
        self._hear()
        return answer_per_ask(asks, answers)

    def _decided(
        self,
        journey: ServedJourney,
        asks: Sequence[Ask],
        contacts: Mapping[str, Contact],
        account_of: Mapping[str, str],
        now_us: int,
        lineup: Lineup,
        beside: Sequence[Decision],
    ) -> list[Answer]:
        """Decide for contacts of one journey; on disk when this returns."""
        views = journey.contacts.read(asks, now_us, contacts)
        states = journey.accounts.states(account_of, now_us)
        new = partial(self._new, journey, states, now_us, lineup)
        answers = journey.crowd.shared(views, now_us, new, beside)
        fresh = [answer for answer in answers if isinstance(answer, Decision)]
        if fresh:
            over = [ending for view in views for ending in view.episode.lapsed]
            events = made_events(journey.bundle, fresh)
            try:
                self.store.append_decisions(fresh, events, journey.span_us, over)
            except StoreUnavailable:
                journey.crowd.give_back(fresh)
                raise
            self.journeys.see(journey, fresh)
        self.shadowing.see(lineup.shadow, journey.bundle.catalog, fresh)
        self.enrolling.end(views, answers, now_us)
        return answers

    def _new(
        self,
        journey: ServedJourney,
        states: Mapping[str, AccountState],
        now_us: int,
        lineup: Lineup,
        views: Sequence[ContactView],
        left: Mapping[str, int],
    ) -> list[Answer]:
        """Decide; colleagues of one account one after the other."""
        zone = self.settings.default_zone
        line = partial(lineup.line, now_us=now_us)
        shared = [states.get(view.contact.contact_id) for view in views]
        answers: dict[int, Answer] = {}
        for some in in_rounds(shared):
            seen = [with_account(views[i], shared[i]) for i in some]
            made = decide(journey.bundle, seen, now_us, self.seed, zone, left, line)
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
        with self.store.held(names), self.journeys.accounts_held(names) as account_of:
            self.journeys.keep_up()
            now_us = self.settings.clock() if now_us is None else now_us
            for journey, decisions in self.journeys.homes(stored):
                found = self._confirmed(journey, decisions, account_of, now_us)
                answers |= {one.decision.decision_id: one for one in found}
        self._hear()
        return [answers.get(name) for name in decision_ids]

    def _confirmed(
        self,
        journey: ServedJourney,
        decisions: Sequence[Decision],
        account_of: Mapping[str, str],
        now_us: int,
    ) -> list[Confirmation]:
        # Nobody says at a confirmation whether the contact is in reach: it was asked before.
        asks = [Ask(d.contact_id, d.decision_id, True) for d in decisions]
        views = journey.contacts.read(asks, now_us)
        states = journey.accounts.states(account_of, now_us)
        shared = [states.get(decision.contact_id) for decision in decisions]
        answers: list[Confirmation] = []
        for some in in_rounds(shared):
            found, withdrawals, confirmed = journey.recorded.confirmations(
                [decisions[i] for i in some],
                [with_account(views[i], shared[i], now_us) for i in some],
                now_us,
            )
            self._settle(withdrawals, confirmed)
            for state in states.values():
                state.settle((), withdrawals, confirmed)
            answers += found
        return answers

    def decision(self, decision_id: str) -> tuple[Decision, Fate, Event | None] | None:
        """A recorded decision, its fate, and the event that proves that it went; None: no such."""
        if not self.settings.simulated_clock:
            self._sweep()
        stored = self.store.decisions([decision_id]).get(decision_id)
        if stored is None:
            return None
        self._know_catalogs([stored])
        stored = self.journeys.with_next(stored)
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
            withdrawn = self.journeys.unwanted(refused, now_us, without_consent)
            moves = self.enrolling.put(contacts, now_us, withdrawn)
            self.store.put_contacts(contacts, withdrawn, changed(before, contacts, now_us), moves)
            self.journeys.moved(before, contacts, now_us)
            withdrawn += moves.withdrawals
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
        names += [decision.contact_id for decision in self.first.recorded.named(events)]
        with self.store.held(names):
            now_us = self.settings.clock()
            if not self.settings.simulated_clock:
                events = [as_of(event, now_us) for event in events]
            stored = self.store.events_of_ids([event.event_id for event in events])
            settled = settle(events, stored, self.forbidding, self.store.sent_of(events))
            withdrawn = self.journeys.stopped(settled.fresh)
            proven = self.first.recorded.proven(settled.fresh)
            rows = [*quarantined, *kept(settled, now_us)]
            moves = self.enrolling.heard(settled.fresh, withdrawn)
            added = self.store.append_events(settled.fresh, rows, withdrawn, moves)
            add_derived(self.store, self.journeys.bundles(), settled.fresh)
            withdrawn += moves.withdrawals
            self._free(withdrawn)
            self.journeys.take_again(proven, settled.fresh)
            against = [e for e in events if self.forbidding.may(e.type, e.reply_class)]
            stopped = [taken.decision.contact_id for taken in moves.withdrawals]
            self._tell([*(event.contact_id for event in against), *stopped])
            if not self.settings.simulated_clock:
                self.journeys.fold([event.contact_id for event in settled.fresh], now_us)
        repeated = len(events) - len(settled.conflicting) - added
        return Appended(added, repeated, settled, withdrawn)

    def _refused(self, contact_ids: Sequence[str], withdrawn: Sequence[Withdrawal]) -> None:
        self._free(withdrawn)
        self._tell(contact_ids)

    def _tell(self, contact_ids: Sequence[str]) -> None:
        if self.store.is_shared or self.news.wanted:
            names = {contact_key(name) for name in contact_ids}
            names |= self.journeys.colleagues(contact_ids)
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
        due = {i: decision.waits_for_confirmation(now_us) for i, decision in again.items()}
        for check, at_hour in ((Check.AT_ITS_HOUR, False), (Check.LEAVES_NOW, True)):
            for journey, _ in self.journeys.homes(list(again.values())):
                some = [
                    i
                    for i in again
                    if due[i] is at_hour and self.journeys.home(again[i]) is journey
                ]
                if not some:
                    continue
                states = journey.accounts.states(account_of, now_us)
                views = [
                    with_account(view, states.get(view.contact.contact_id))
                    for view in journey.contacts.read([asks[i] for i in some], now_us)
                ]
                found, withdrawals = journey.recorded.objections(
                    [again[i] for i in some], views, now_us, check
                )
                for i, view, objection in zip(some, views, found, strict=True):
                    decision = answers[i] = self.journeys.with_next(again[i], view.contact)
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
        with self._swept.look(now_us) as since_us:
            if late := self.store.unconfirmed(since_us, now_us):
                with self.store.held([decision.contact_id for decision in late]):
                    self._settle(self.first.recorded.lapsed(late, now_us), {})

    def _settle(self, withdrawals: Sequence[Withdrawal], confirmed: Mapping[str, int]) -> None:
        if withdrawals or confirmed:
            self.store.settle(withdrawals, confirmed)
            self._free(withdrawals)

    def _free(self, withdrawals: Sequence[Withdrawal]) -> None:
        for reason, times in Counter(one.reason for one in withdrawals).items():
            # No ids: callers make them up, and they may name people.
            _log.warning("%s taken back: %s", counted(times, "planned send"), reason)
        freed = [withdrawal.decision for withdrawal in withdrawals if withdrawal.freed]
        self.journeys.give_back(freed)
