"""The journeys of a server: which of them an ask or a decision belongs to, and all of them at once.

What a person said counts in every journey: so does each send, whichever journey it is of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

from nurture_rl.errors import BundleError
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.enrolment import over, usable_zone
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.next_decisions import with_next
from nurture_rl.serving.deciding.served_journey import ServedJourney, not_served
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.forbidding import Forbidding
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.policies.bundle_folder import BundleFolder
from nurture_rl.serving.policies.lineup import Lineup
from nurture_rl.serving.records import (
    Answer,
    Contact,
    ContactView,
    Decision,
    Event,
    Refusal,
    Withdrawal,
)
from nurture_rl.serving.storage.store import Store

Moments = Mapping[str, tuple[int, Lineup]]  # when is decided in each journey, and by whom


class ServedJourneys:
    """One journey or several over one store; the first is that of whoever names none."""

    def __init__(
        self,
        bundle: Bundle,
        store: Store,
        settings: ServerSettings,
        bundles: BundleFolder | None = None,
        further: Sequence[Bundle] = (),
    ) -> None:
        """Take up every journey over the store.

        Args:
            bundle: of the first journey; as the next three, see `ServedJourney`.
            store: what is known and what was decided.
            settings: of the clock and of zones.
            bundles: where others are loaded from, of whatever journey.
            further: a bundle of each further journey.

        Raises:
            BundleError: two of them are of one journey.
        """
        self._store, self._zone, whole = store, settings.default_zone, (bundle, *further)
        names = [one.journey.name for one in whole]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise BundleError(
                f"expected a bundle each of different journeys, got two of {', '.join(twice)}; "
                "start with one, and load the other while the server runs"
            )
        served = [
            ServedJourney(
                one, store, settings, bundles, set(names) - {one.journey.name}, one is bundle
            )
            for one in whole
        ]
        self.first = served[0]
        self.by_name: Mapping[str, ServedJourney] = dict(zip(names, served, strict=True))
        self.forbidding = Forbidding.of_all([one.journey for one in whole])

    def __iter__(self) -> Iterator[ServedJourney]:
        return iter(self.by_name.values())

    def named(self, name: str) -> ServedJourney:
        """The journey of a name.

        Raises:
            UnknownJourney: there is none.
        """
        if name not in self.by_name:
            raise not_served(name, self.by_name)
        return self.by_name[name]

    def bundles(self) -> list[Bundle]:
        """Every bundle in memory, of whatever journey."""
        return [bundle for one in self for bundle in one.policies.bundles.values()]

    def follow(self) -> None:
        """Take up what another server of the same store has changed; see `ActivePolicies`."""
        for journey in self:
            journey.policies.follow()

    def keep_up(self) -> None:
        """As `follow`, waiting for no bundle."""
        for journey in self:
            journey.policies.keep_up()

    def moments(self, now_us: int | None) -> Moments:
        """When is decided in each journey, and by whom; None: now."""
        return {one.name: one.policies.moment(now_us) for one in self}

    def home(self, decision: Decision) -> ServedJourney:
        """The journey of a decision; the first has those of journeys that are served no more."""
        return self.by_name.get(decision.journey, self.first)

    def with_next(self, decision: Decision, contact: Contact | None = None) -> Decision:
        """A stored decision with when its contact is to be decided for again, where that is known.

        Args:
            decision: of whatever journey.
            contact: its contact; None reads it.
        """
        journey, name = self.by_name.get(decision.journey), decision.contact_id
        contact = contact or self._store.contacts([name]).get(contact_key(name))
        if journey is None or contact is None:
            return decision
        return with_next(decision, journey.bundle.journey, contact.time_zone or self._zone)

    def homes(
        self, decisions: Sequence[Decision]
    ) -> list[tuple[ServedJourney, Sequence[Decision]]]:
        """Recorded decisions by their journey."""
        found = {home.name: home for home in map(self.home, decisions)}
        return [(one, [d for d in decisions if self.home(d) is one]) for one in found.values()]

    def shared_out(
        self,
        asks: Sequence[Ask],
        pending: Sequence[int],
        answers: list[Answer | None],
        contacts: Mapping[str, Contact],
        now_us: int,
    ) -> list[tuple[ServedJourney, list[int]]]:
        """Positions that need a decision, with the journey that decides for them.

        That is the one asked for, else the one that the contact is in, else the first. An ask for
        a journey that is not served is answered so.

        Args:
            asks: who, [n].
            pending: positions that need a decision.
            answers: to each, [n].
            contacts: those who are known, by key.
            now_us: the moment, microseconds since 1970 UTC.
        """
        unsure = [asks[i].contact_id for i in pending if asks[i].journey is None]
        rows = self._store.open_episodes(unsure) if len(self.by_name) > 1 and unsure else []
        active: dict[str, str] = {}
        for row in rows:
            zone = usable_zone(contacts[row.contact_id].time_zone, self._zone)
            if over(row, now_us, zone, self.by_name) is None:
                active[row.contact_id] = row.journey
        found: dict[str, list[int]] = {}
        for i in pending:
            key = contact_key(asks[i].contact_id)
            name = asks[i].journey or active.get(key, self.first.name)
            if name in self.by_name:
                found.setdefault(name, []).append(i)
            else:
                text = str(not_served(name, self.by_name))
                answers[i] = Refusal(key, "unknown_journey", text)
        return [(self.by_name[name], some) for name, some in found.items()]

    def accounts_held(
        self, contact_ids: Sequence[str]
    ) -> AbstractContextManager[Mapping[str, str]]:
        """Lock the accounts of contacts, where a journey limits them; by contact."""
        limiting = (one for one in self if one.accounts.limited)
        return next(limiting, self.first).accounts.held(contact_ids)

    def limits_held(self) -> AbstractContextManager[None]:
        """Keep others from deciding where journeys share limits of all contacts together."""
        if len(self.by_name) == 1 or not any(one.crowd.limited for one in self):
            return nullcontext()
        return self._store.limits_held()

    def is_paused(self, decision: Decision) -> bool:
        """Whether nobody is mailed now in the journey of a decision."""
        return self.home(decision).policies.lineup.paused

    def colleagues(self, contact_ids: Sequence[str]) -> set[str]:
        """Keys of all whom the conversations of these contacts may silence."""
        return {name for one in self for name in one.accounts.colleagues(contact_ids)}

    def unwanted(
        self,
        contact_ids: Sequence[str],
        now_us: int,
        change: Callable[[ContactView], ContactView],
    ) -> list[Withdrawal]:
        """Planned sends, of whatever journey, to contacts who refuse them from now on.

        Args:
            contact_ids: the contacts.
            now_us: the moment, microseconds since 1970 UTC.
            change: what is known of them from now on.
        """
        return [
            taken
            for one in self
            for taken in one.recorded.refused(contact_ids, one.contacts.read, now_us, change)
        ]

    def stopped(self, events: Sequence[Event]) -> list[Withdrawal]:
        """Planned sends, of whatever journey, that new events take back at once."""
        may = [e for e in events if self.forbidding.may(e.type, e.reply_class)]
        return [
            taken for one in self for taken in one.recorded.stopped(may, one.contacts.read, events)
        ]

    def moved(
        self, before: Mapping[str, Contact], contacts: Sequence[Contact], now_us: int
    ) -> None:
        """Tell limits of all contacts together who was put anew."""
        for one in self:
            one.crowd.moved(before, contacts, now_us)

    def take_again(self, proven: Sequence[Decision], events: Sequence[Event]) -> None:
        """Tell limits of all contacts together which sends went all the same."""
        for one in self:
            one.crowd.take_again(proven, events)

    def give_back(self, decisions: Sequence[Decision]) -> None:
        """Tell limits of all contacts together which sends cannot have left."""
        for one in self:
            one.crowd.give_back(decisions)

    def see(self, journey: ServedJourney, decisions: Sequence[Decision]) -> None:
        """Tell limits of all contacts together what was decided in another journey of them."""
        for one in self:
            if one is not journey:
                one.crowd.see(decisions)

    def fold(self, contact_ids: Sequence[str], now_us: int) -> None:
        """Fold the events of contacts where many have come; see `ContactViews`."""
        for one in self:
            one.contacts.fold(contact_ids, now_us)
