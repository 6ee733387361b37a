"""One contact's way through the journeys of a server: what is there, and how it changes.

Nothing is written here: `moves` says what is to be, so that it is stored with its cause or not at
all. Whoever makes a passage holds the lock of its contact until the moves are stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Literal

from nurture_envs.clock import DAY_US, HOUR_US
from nurture_envs.journey import Journey
from nurture_rl.serving.contacts.enrolment import (
    applies,
    ended_by,
    entry,
    local_time,
    moving_signal,
    new_row,
    over,
    shown_day,
    span_us,
    terms_of,
    usable_zone,
)
from nurture_rl.serving.deciding.moved import KnownPassage, MoveCause, Moved, State
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import (
    Ending,
    EpisodeRow,
    Event,
    JourneyEntry,
    Moves,
    Waiting,
    Withdrawal,
)
from nurture_rl.serving.storage.reading import StoreReader, proves

RULE = "rule"  # who moved a contact, where the journey file did
_FRESH_US = 7 * DAY_US  # an event that is told of later enrols nobody: it is history
_FARTHEST_US = 15 * HOUR_US  # of a local wall time from UTC


class Passage:
    """A contact's episodes and waits in memory, and what is to become of them."""

    def __init__(
        self,
        journeys: Mapping[str, Journey],
        store: StoreReader,
        default_zone: str,
        known: KnownPassage,
        now_us: int,
    ) -> None:
        """Begin with what the store says.

        Args:
            journeys: that are served, by name, in their order.
            store: where the rest is read.
            default_zone: zone of contacts who have none that can be used.
            known: the contact, and what there is of it.
            now_us: the moment, microseconds since 1970 UTC.
        """
        self._journeys, self._store, self._contact = journeys, store, known.contact
        self._name, self._now_us = known.contact.contact_id, now_us
        self._zone = usable_zone(known.contact.time_zone, default_zone)
        self._stored = {row.episode_id: row for row in known.rows}
        self._waited = {wait.journey: wait for wait in known.waits}
        self._rows, self._waits = dict(self._stored), dict(self._waited)
        self._entries: list[JourneyEntry] = []
        self._heard: list[Event] = []  # of the same cause, which the store does not have yet
        self._beside = known.told
        self._told: dict[tuple[str, int], list[Event]] = {}  # of the store, once read
        self._seen = {one.decision.decision_id for one in known.taken}
        self._taken: list[Withdrawal] = []

    @property
    def moves(self) -> Moves:
        """What is to be stored."""
        key = contact_key(self._name)
        old = [row for name, row in self._rows.items() if name in self._stored]
        ended = [r for r in old if r.ended_us != self._stored[r.episode_id].ended_us]
        return Moves(
            endings=[
                Ending(row.episode_id, row.ended_us or 0, row.reason or "", row.why or "")
                for row in ended
            ],
            episodes=[row for name, row in self._rows.items() if name not in self._stored],
            holds=[
                (row.paused_us, row.episode_id)
                for row in old
                if row.paused_us != self._stored[row.episode_id].paused_us
            ],
            waits=[one for name, one in self._waits.items() if name not in self._waited],
            drops=[(key, name) for name in self._waited if name not in self._waits],
            entries=self._entries,
            withdrawals=self._taken,
        )

    @property
    def held_us(self) -> int | None:
        """Since when a person has paused the contact, in whatever journey; None: nobody has."""
        since = [row.paused_us for row in self._rows.values() if row.paused_us is not None]
        return min(since, default=None)

    def rows(self, journey: str) -> list[EpisodeRow]:
        """The episodes in a journey, the first one first."""
        own = [row for row in self._rows.values() if row.journey == journey]
        return sorted(own, key=lambda row: row.number)

    def state(self, journey: str) -> State:
        """Where the contact stands in a journey: active, paused, waiting, left or never."""
        row = self._open()
        if row is not None and row.journey == journey:
            return self._going_on()
        if journey in self._waits:
            return "waiting"
        return "left" if self.rows(journey) else "never"

    def enter(
        self, journey: str, cause: MoveCause, anchor_us: int | None = None, is_quiet: bool = False
    ) -> Moved:
        """Let the contact enter a journey, as its terms say.

        Who told an end of it today begins tomorrow: an episode of today would be over.

        Args:
            journey: which.
            cause: who asks, and why.
            anchor_us: local wall time at which an episode that began elsewhere did; None: now.
            is_quiet: no word of a refusal.
        """
        self._open()
        own, rows = self._journeys[journey], list(self._rows.values())
        found = entry(own, rows, self._now_us, self._zone, self._journeys)
        for one in found.ends:
            row = self._rows[one.episode_id]
            ended = replace(row, ended_us=one.at_us, reason=one.reason, why=one.why)
            self._rows[one.episode_id] = ended
        if found.outcome == "is in":
            return Moved(self._going_on(), episode=found.episode)
        why = found.why
        if found.outcome == "enters" and anchor_us is not None:
            why = self._not_since(own, anchor_us)
        if found.outcome == "waits":
            return self._wait(own, cause, why)
        if why:
            self._waits.pop(journey, None)
            if not is_quiet:
                self._log(journey, "refused", None, cause, why)
            return Moved("refused", why)
        return self._begin(own, cause, found.number, found.supersedes, anchor_us)

    def _not_since(self, own: Journey, anchor_us: int) -> str:
        """Why no episode that began elsewhere goes on now; empty: it does."""
        day, local_us = shown_day(anchor_us), local_time(self._now_us, self._zone)
        if anchor_us > local_us:
            return f"an episode that began elsewhere began by today, got {day}"
        if anchor_us + span_us(own) <= local_us:
            return f"the bins of an episode that began on {day} are over"
        ends = self._ends(own, anchor_us)
        return f"{ends[0][2]} ended an episode that began on {day}" if ends else ""

    def _wait(self, own: Journey, cause: MoveCause, why: str) -> Moved:
        if own.name not in self._waits:
            rank = terms_of(own).priority
            wait = Waiting(self._name, own.name, rank, self._now_us, cause.why)
            self._waits[own.name] = wait
            self._log(own.name, "waits", None, cause, f"{cause.why}; {why}")
        return Moved("waiting", why)

    def leave(self, journey: str, cause: MoveCause) -> Moved:
        """End the contact's episode in a journey, or its wait for one."""
        if journey in self._waits:
            self._wait_no_more(journey, cause, cause.why)
            return Moved("left")
        row = self._open()
        if row is None or row.journey != journey:
            return self._is_not_in(journey)
        ended = self._end(row, "person", cause.why, cause)
        self.admit()
        return Moved("left", episode=ended, withdrawn=list(self._taken))

    def hold(self, journey: str, cause: MoveCause, paused: bool) -> Moved:
        """Pause the contact, who must be in the journey, or resume it.

        A pause holds in every journey, also in one that comes later, until it is resumed.
        """
        row, was = self._open(), self.held_us is not None
        about = None if row is None or row.journey != journey else row.episode_id
        if about is None and (paused or not was):
            return self._is_not_in(journey)
        if was != paused:
            if paused and row is not None:
                self._rows[row.episode_id] = replace(row, paused_us=self._now_us)
                self._take_back(None, "a person paused the contact")
            else:
                self._rows = {n: replace(r, paused_us=None) for n, r in self._rows.items()}
            what = "paused" if paused else "resumed"
            self._log(journey, what, about, cause, cause.why)
        episode = None if about is None else self._rows[about]
        return Moved(self.state(journey), episode=episode, withdrawn=list(self._taken))

    def hear(self, event: Event) -> None:
        """End and begin episodes by an event that is about to be stored."""
        self._now_us = event.recorded_us
        cause = MoveCause(RULE, f"event {event.type}")
        row = self._open()
        own = None if row is None else self._journeys.get(row.journey)
        end = None if row is None or own is None else self._end_by(own, event, row.anchor_us)
        if row is not None and end is not None:
            self._end(row, *end, cause)
        for wait in list(self._waits.values()):
            own = self._journeys.get(wait.journey)
            if own is None or event.occurred_us < wait.since_us:
                continue
            if (end := self._end_by(own, event)) is not None:
                self._wait_no_more(wait.journey, cause, end[1])
        self._heard.append(event)
        for own in self._by_priority(self._journeys):
            if applies(own, terms_of(own).enter, event, self._contact):
                self._enter_by(own, event, cause)
        self.admit()

    def learn(self, names: Iterable[str]) -> None:
        """Leave and enter journeys by what is known of the contact.

        Args:
            names: journeys that contacts leave or enter so.
        """
        self.admit()
        cause, some = MoveCause(RULE, "what is known of the contact"), self._by_priority(names)
        for own in some:
            if not applies(own, terms_of(own).leave, None, self._contact):
                continue
            row = self._open()
            if row is not None and row.journey == own.name:
                self._end(row, "rule", cause.why, cause)
            if own.name in self._waits:
                self._wait_no_more(own.name, cause, cause.why)
        for own in some:
            if applies(own, terms_of(own).enter, None, self._contact):
                self.admit(terms_of(own).priority)
                self.enter(own.name, cause, is_quiet=True)
        self.admit()

    def admit(self, least: int = 0) -> None:
        """Enter the first journey that the contact waits for, by priority, if none has it.

        Args:
            least: priority of a journey that may be entered so.
        """
        if self._open() is not None:
            return
        waits = [one for one in self._waits.values() if one.journey in self._journeys]
        for wait in sorted(waits, key=lambda one: (-one.priority, one.since_us)):
            if wait.priority >= least and self._open() is None:
                self.enter(wait.journey, MoveCause(RULE, f"waited: {wait.why}"))

    def _enter_by(self, own: Journey, event: Event, cause: MoveCause) -> None:
        """Enter by an event, unless it is history, or an end of the journey was told since."""
        if event.occurred_us <= event.recorded_us - _FRESH_US:
            return
        since = self._ends(own, local_time(event.occurred_us, self._zone))
        later = [
            why
            for told, _, why in since
            if told.event_id != event.event_id and told.occurred_us >= event.occurred_us
        ]
        if later:
            self._log(own.name, "refused", None, cause, f"{later[0]} came after it")
            return
        self.admit(terms_of(own).priority)
        self.enter(own.name, cause)

    def _begin(
        self,
        own: Journey,
        cause: MoveCause,
        number: int,
        supersedes: EpisodeRow | None,
        anchor_us: int | None,
    ) -> Moved:
        local_us = local_time(self._now_us, self._zone)
        today_us = local_us - local_us % DAY_US
        if anchor_us is None and self._ends(own, today_us):
            anchor_us = today_us + DAY_US
        row = new_row(own, self._contact, number, self._now_us, self._zone, anchor_us)
        if supersedes is not None:
            self._end(supersedes, "superseded", f"journey {own.name} took the contact", cause)
        self._waits.pop(own.name, None)
        self._rows[row.episode_id] = row
        self._log(own.name, "entered", row.episode_id, cause, cause.why)
        return Moved(self._going_on(), episode=row, withdrawn=list(self._taken))

    def _end(self, row: EpisodeRow, reason: str, why: str, cause: MoveCause) -> EpisodeRow:
        """End an episode that goes on, and take back its planned sends."""
        ended = replace(row, ended_us=self._now_us, reason=reason, why=why)
        self._rows[row.episode_id] = ended
        by = f": {why}" if reason == "superseded" else ""
        self._take_back(row.journey, f"the episode ended ({reason}){by}")
        what = reason if by else f"left: {reason}"
        self._log(row.journey, what, row.episode_id, cause, why)
        return ended

    def _wait_no_more(self, journey: str, cause: MoveCause, why: str) -> None:
        del self._waits[journey]
        self._log(journey, "left", None, cause, f"waits no more: {why}")

    def _take_back(self, journey: str | None, why: str) -> None:
        """Withdraw the planned sends of a journey; None: of all."""
        found = self._store.awaiting([self._name], self._now_us)
        own = [d for d in found if journey in (None, d.journey) and d.decision_id not in self._seen]
        went = set(self._store.proofs([d.decision_id for d in own])) if own else set()
        went |= {d.decision_id for d in own if any(proves(one, d) for one in self._beside)}
        self._seen |= {decision.decision_id for decision in own}
        self._taken += [
            Withdrawal(d, self._now_us, why, freed=d.decision_id not in went) for d in own
        ]

    def _open(self) -> EpisodeRow | None:
        """The episode that goes on, in whatever journey.

        One that an event ended which nobody heard here, such as one of a log, ends now.
        """
        for row in list(self._rows.values()):
            if over(row, self._now_us, self._zone, self._journeys) is not None:
                continue
            if row.ended_us is not None:
                continue
            ends = self._ends(self._journeys[row.journey], row.anchor_us)
            if not ends:
                return row
            self._end(row, *ends[0][1:], MoveCause(RULE, ""))
        return None

    def _ends(self, own: Journey, anchor_us: int) -> list[tuple[Event, str, str]]:
        """Events that end an episode of a journey which began then, each with reason and why."""
        since_us = anchor_us - _FARTHEST_US
        types = sorted({s.type for s in own.signals if s.name in own.terminals})
        asked = (own.name, since_us)
        if asked not in self._told:
            self._told[asked] = self._store.told_since(self._name, types, since_us)
        found = []
        for event in (*self._told[asked], *self._heard):
            if (end := ended_by(own, event, anchor_us, self._zone)) is not None:
                found.append((event, *end))
        return found

    def _end_by(self, own: Journey, event: Event, anchor_us: int = 0) -> tuple[str, str] | None:
        """Reason and why, where an event ends an episode of a journey which began then."""
        if (end := ended_by(own, event, anchor_us, self._zone)) is not None:
            return end
        signal = moving_signal(own, event)
        if signal is None or local_time(event.occurred_us, self._zone) < anchor_us:
            return None
        if applies(own, terms_of(own).leave, event, self._contact):
            return "rule", f"the signal {signal.name}"
        return None

    def _by_priority(self, names: Iterable[str]) -> list[Journey]:
        """Journeys, that of the highest priority first; else in their order."""
        some = [self._journeys[name] for name in names]
        return sorted(some, key=lambda own: -terms_of(own).priority)

    def _going_on(self) -> Literal["active", "paused"]:
        return "active" if self.held_us is None else "paused"

    def _is_not_in(self, journey: str) -> Moved:
        return Moved("refused", f"contact {self._name!r} is not in journey {journey}")

    def _log(
        self, journey: str, what: str, episode: str | None, cause: MoveCause, why: str
    ) -> None:
        about = (self._now_us, cause.who, journey, self._name, episode, what, why)
        self._entries.append(JourneyEntry(*about))
