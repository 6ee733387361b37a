"""The server's durable memory: contacts, events, episodes and decisions in one database."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager

from nurture_envs.actions import ActionCatalog
from nurture_envs.stops import Say, say_of
from nurture_rl.serving.arm_records import StartedPlan
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import (
    AuditEntry,
    ConsentEntry,
    Contact,
    ContactState,
    Decision,
    Ending,
    Event,
    Moves,
    Preferences,
    Quarantined,
    Shadow,
    Withdrawal,
)
from nurture_rl.serving.roles import PolicyChange
from nurture_rl.serving.storage import (
    arm_rows,
    chain,
    episode_rows,
    permission_rows,
    policy_rows,
    rows,
    state_tables,
)
from nurture_rl.serving.storage.consent_entries import said_in
from nurture_rl.serving.storage.databases import Location, Statement
from nurture_rl.serving.storage.erased_marks import SAY_LATER, Marks, marks_after, stop_of
from nurture_rl.serving.storage.locating import open_for_writing
from nurture_rl.serving.storage.reading import StoreReader
from nurture_rl.serving.store_errors import StoreError, StoreLost, StoreUnavailable

NO_MOVES = Moves()


class Store(StoreReader):
    """A store that is written; what its methods acknowledge survives a kill or a power cut."""

    def __init__(self, location: Location) -> None:
        """Open the store, making it where there is none.

        Raises:
            StoreError: it is no store of this version, cannot be written, or another process keeps
                it for itself.
        """
        self._database = open_for_writing(location, secrets.randbits(48))
        self._beside: StoreReader | None = None
        super().__init__(location, self._database)

    def close(self) -> None:
        """Finish what is under way, then let go of the database."""
        if self._beside is not None:
            self._beside.close()
        super().close()

    def own_reader(self) -> StoreReader:
        """A reader with a connection of its own: a long look of it holds nobody up.

        Whoever asks for it closes it.

        Raises:
            StoreUnavailable: the database cannot be reached now.
        """
        try:
            return StoreReader(self._location)
        except StoreError as error:  # it was opened before: it is away, and no other version's
            raise StoreUnavailable(str(error)) from error

    def beside(self) -> StoreReader:
        """A reader of what is committed alone, also by this thread."""
        self._beside = self._beside or StoreReader(self._location)
        return self._beside

    @property
    def lost(self) -> StoreLost | None:
        """Why nothing is acknowledged any more, for good; None: it is."""
        return self._database.lost

    def when_lost(self, tell: Callable[[], None]) -> None:
        """Call this, from any thread, when `lost` is set."""
        self._database.when_lost(tell)

    def held(self, contact_ids: Iterable[str]) -> AbstractContextManager[None]:
        """Keep everybody else from work on these contacts until the block ends, on disk."""
        return self._database.held("contact", contact_ids)

    def accounts_held(self, account_keys: Iterable[str]) -> AbstractContextManager[None]:
        """Likewise for accounts; contacts are always taken before them."""
        return self._database.held("account", account_keys)

    def limits_held(self) -> AbstractContextManager[None]:
        """Likewise for limits of all contacts together, in all journeys; taken last."""
        return self._database.held("limits", ["of all contacts"])

    def roles_held(self) -> AbstractContextManager[None]:
        """Keep everybody else from changing policies' roles until the block ends."""
        return self._database.held("roles", ["roles"])

    @property
    def is_shared(self) -> bool:
        """Whether other processes may write it too."""
        return self._database.is_shared

    def tell(self, contact_ids: Iterable[str]) -> None:
        """Keep contacts of whom something arrived that may forbid mail, for other processes."""
        self._database.tell(contact_ids)

    def served_beside(self, what: str) -> list[str]:
        """What other servers of the store serve now, where it is anything else than this."""
        return self._database.served_beside(what)

    def heard(self) -> set[str]:
        """Contacts of whom other processes told since the last call. One thread at a time asks."""
        return self._database.heard()

    def touch(self) -> None:
        """Prove that the store can be written.

        Raises:
            StoreUnavailable: it cannot.
        """
        # Another value each time: where nothing changes SQLite writes nothing, also on a full disk.
        self._keep("touched", str(time.time_ns()))

    def remember(self, mark: str) -> None:
        """Keep a mark for as long as the store lasts."""
        self._keep(mark, "")

    def _keep(self, name: str, value: str) -> None:
        self._database.write([Statement(rows.PUT_MARK, [(name, value)])])

    def remembers(self, mark: str) -> bool:
        """Whether the mark was kept."""
        return bool(self._source.read("SELECT 1 FROM meta WHERE name = ?", (mark,)))

    def keep_catalog(self, catalog: ActionCatalog) -> None:
        """Remember a catalogue's ids, so that its decisions can be read under any later one."""
        row = (catalog.hash, json.dumps(list(catalog.ids)))
        self._database.write([Statement(rows.ADD_CATALOG, [row])])

    def add_policy_change(
        self, change: PolicyChange, journey: str = "", plan: StartedPlan | None = None
    ) -> None:
        """Keep a change of policies' roles in a journey; it is on disk when this returns.

        With it goes the plan of an experiment that begins, if one does.
        """
        row = policy_rows.change_row(change, journey)
        plans = [] if plan is None else [arm_rows.plan_row(plan)]
        self._database.write(
            [Statement(policy_rows.ADD_CHANGE, [row]), Statement(arm_rows.ADD_PLAN, plans)]
        )

    def complete_episodes(self, journey: str, span_us: int) -> None:
        """Say of a journey's episodes of an older version when their bins are over."""
        self._database.write([Statement(episode_rows.COMPLETE_EPISODES, [(span_us, journey)])])

    def move(self, moves: Moves) -> None:
        """Let contacts enter and leave journeys: all of it, or nothing.

        Raises:
            StoreConflict: a contact would be in two journeys at once.
        """
        self._database.write([*_moved(moves), _taken_back(moves.withdrawals)])

    def add_shadows(self, shadows: Sequence[Shadow]) -> None:
        """Keep what shadows say of decisions."""
        self._database.write(
            [Statement(policy_rows.ADD_SHADOW, [policy_rows.shadow_row(s) for s in shadows])]
        )

    def settle(self, withdrawals: Sequence[Withdrawal], confirmed: Mapping[str, int]) -> None:
        """Note what became of decisions.

        Args:
            withdrawals: those that may not be carried out any more.
            confirmed: when each of the others was told to leave, by id, microseconds since 1970.
        """
        told = list(confirmed.items())
        self._database.write(
            [
                _taken_back(withdrawals),
                Statement(rows.ADD_CONFIRMATION, told, chain.links(chain.CONFIRMATION, told)),
            ]
        )

    def secret(self) -> bytes:
        """A key that only this store has, made when it is first asked for."""
        fresh = ("secret", secrets.token_hex(32))
        self._database.write([Statement(permission_rows.ADD_SECRET, [fresh])])
        asked = "SELECT value FROM meta WHERE name = 'secret'"
        return bytes.fromhex(self._source.read(asked)[0][0])

    def note(self, entry: AuditEntry) -> None:
        """Keep an entry of the audit."""
        row = permission_rows.cells_of(entry)
        self._database.write([Statement(permission_rows.ADD_AUDIT_ENTRY, [row])])

    def put_preferences(
        self,
        contact_id: str,
        preferences: Preferences,
        entries: Sequence[ConsentEntry],
        withdrawals: Sequence[Withdrawal],
    ) -> None:
        """Keep what a contact prefers, note it in the ledger, and take back what it refuses."""
        row = permission_rows.preferences_row(contact_id, preferences)
        self._database.write(
            [
                Statement(permission_rows.PUT_PREFERENCES, [row]),
                _noted(entries),
                _taken_back(withdrawals),
            ]
        )

    def put_contacts(
        self,
        contacts: Sequence[Contact],
        withdrawals: Sequence[Withdrawal] = (),
        entries: Sequence[ConsentEntry] = (),
        moves: Moves = NO_MOVES,
    ) -> None:
        """Add contacts, or replace those of the same id, and take back what they refuse.

        `entries` are their lines of the consent ledger, `moves` what follows for journeys.
        """
        self._database.write(
            [
                Statement(rows.PUT_CONTACT, [rows.contact_row(c) for c in contacts]),
                _noted(entries),
                self._stops([contact.contact_id for contact in contacts]),
                *_moved(moves),
                _taken_back([*withdrawals, *moves.withdrawals]),
            ]
        )

    def append_events(
        self,
        events: Sequence[Event],
        quarantined: Sequence[Quarantined] = (),
        withdrawals: Sequence[Withdrawal] = (),
        moves: Moves = NO_MOVES,
    ) -> int:
        """Add events, and keep rows that were refused or mended; ids already there stay as is.

        What the events take back, and how they move contacts, is stored with them, or nothing is.
        Of who was erased and did not come back only consent is taken. Their words against mail are
        not kept, but that there was one: only consent given after it lets them have mail again.

        Returns:
            How many events were new.
        """
        marks = self.erased([event.contact_id for event in events])
        away = marks.keys() - self.contacts(list(marks)).keys() if marks else set()
        later = marks_after({key: marks[key] for key in away}, events)
        events = [event for event in events if _may_be_kept(event, away)]
        added = self._database.write(
            [
                self._stops([event.contact_id for event in events], later),
                Statement(rows.ADD_EVENT, [rows.event_row(e) for e in events]),
                Statement(SAY_LATER, [(at_us, mark) for mark, at_us in later.values()]),
                Statement(rows.ADD_QUARANTINED, [rows.quarantine_row(q) for q in quarantined]),
                _noted(said_in(events)),
                *_moved(moves),
                _taken_back([*withdrawals, *moves.withdrawals]),
            ]
        )
        return added[1]

    def _stops(self, ids: Sequence[str], later: Marks | None = None) -> Statement:
        """What those of these contacts begin with who were erased; once, before their own words."""
        marks = {**self.erased(ids), **(later or {})}
        here = {contact_key(name) for name in ids}
        stops = [stop_of(key, *mark) for key, mark in marks.items() if key in here]
        return Statement(rows.ADD_EVENT, [rows.event_row(stop) for stop in stops])

    def append_decisions(
        self,
        decisions: Sequence[Decision],
        events: Sequence[Event] = (),
        span_us: int | None = None,
        endings: Sequence[Ending] = (),
    ) -> None:
        """Add decisions and the episodes they open; returns only after they are on disk.

        Args:
            decisions: what was decided.
            events: what the decisions themselves are, such as a slower cadence that begins.
            span_us: from the anchor of an episode until its bins are over, local time; None: is
                not known.
            endings: episodes that were over before these decisions; a decision to exit ends its
                own.

        Raises:
            StoreConflict: an id or a bin has its decision already, or a contact would be in two
                journeys at once; none was added.
        """
        episodes = [episode_rows.opening_cells(decision, span_us) for decision in decisions]
        made = [rows.decision_row(decision) for decision in decisions]
        ghosts = [arm_rows.ghost_row(d.ghost) for d in decisions if d.ghost is not None]
        exits = [episode_rows.exit_of(d) for d in decisions if d.action == "exit"]
        self._database.write(
            [
                Statement(
                    state_tables.DROP_STATE,
                    [(contact_key(d.contact_id), d.decision_id) for d in decisions],
                ),
                _over(endings),
                Statement(episode_rows.ADD_EPISODE, episodes),
                _over(exits),
                Statement(rows.ADD_DECISION, made, chain.links(chain.DECISION, made)),
                Statement(arm_rows.ADD_GHOST, ghosts),
                Statement(rows.ADD_EVENT, [rows.event_row(e) for e in events]),
            ]
        )

    def put_states(self, journey: str, folding: str, states: Mapping[str, ContactState]) -> None:
        """Keep the states of contacts, by id, in place of earlier ones; they are copies alone."""
        kept = [rows.state_row(name, journey, folding, one) for name, one in states.items()]
        self._database.write([Statement(state_tables.PUT_STATE, kept)])

    def add_loaded(self, contacts: Sequence[Contact], gone: Sequence[str]) -> int:
        """Add contacts of a log; who is there already stays, and so does who was erased.

        Args:
            contacts: of the log.
            gone: those who have no consent there; they lose it here too.

        Returns:
            How many were new.
        """
        erased = self.erased([contact.contact_id for contact in contacts])
        here = [c for c in contacts if contact_key(c.contact_id) not in erased]
        statements = [
            Statement(rows.ADD_CONTACT, [rows.contact_row(c) for c in here]),
            Statement(rows.TAKE_CONSENT, [(contact_key(name),) for name in gone]),
        ]
        return self._database.write(statements)[0]


def _may_be_kept(event: Event, away: Container[str]) -> bool:
    """Of those who were erased and are not back only consent is."""
    if contact_key(event.contact_id) not in away:
        return True
    return say_of(event.type, event.reply_class) is Say.CONSENT


def _noted(entries: Sequence[ConsentEntry]) -> Statement:
    told = [permission_rows.consent_row(entry) for entry in entries]
    return Statement(permission_rows.ADD_CONSENT_ENTRY, told)


def _over(endings: Sequence[Ending]) -> Statement:
    return Statement(episode_rows.END_EPISODE, [episode_rows.ending_cells(e) for e in endings])


def _moved(moves: Moves) -> list[Statement]:
    return [
        _over(moves.endings),
        Statement(episode_rows.HOLD_EPISODE, moves.holds),
        Statement(episode_rows.DROP_WAITING, moves.drops),
        *(
            Statement(sql, [episode_rows.cells_of(record) for record in records])
            for sql, records in (
                (episode_rows.ADD_EPISODE, moves.episodes),
                (episode_rows.ADD_WAITING, moves.waits),
                (episode_rows.ADD_ENTRY, moves.entries),
            )
        ),
    ]


def _taken_back(withdrawals: Sequence[Withdrawal]) -> Statement:
    taken = [rows.withdrawal_row(withdrawal) for withdrawal in withdrawals]
    return Statement(rows.ADD_WITHDRAWAL, taken, chain.links(chain.WITHDRAWAL, taken))
