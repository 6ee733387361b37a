"""Who is in which journey, since when, and what was decided in it: the store's episodes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from nurture_envs.actions import ActionCatalog
from nurture_rl.serving.arm_records import GhostPass
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import Episode, EpisodeRow, Event, JourneyEntry, Waiting
from nurture_rl.serving.storage.arm_rows import GHOST_OF, GHOST_PAUSE
from nurture_rl.serving.storage.rows import event_of
from nurture_rl.serving.storage.state_tables import LONG_PAUSE
from nurture_rl.serving.storage.table_reading import TableReader, columns_of

# Of a row of `episodes`: its latest decision, its first, and its latest pause of several bins. No
# such pause begins within another, and nothing comes after an exit: earlier ones do not matter.
_LAST = "FROM decisions WHERE decisions.episode_id = episodes.episode_id ORDER BY step DESC LIMIT 1"
_FIRST = _LAST.replace(" DESC", "")
_PAUSED = _LAST.replace("ORDER", f"AND {LONG_PAUSE} ORDER")
_CUT = "'superseded', 'person', 'rule', 'closed'"  # reasons that no event of a log tells of
_MOST_ENTRIES = 1_000  # of the log that are told at once


class EpisodeReader(TableReader):
    """The part of a store's reader that asks who is in which journey."""

    def journeys_going_on(self, local_us: int) -> set[str]:
        """Journeys with an episode that nobody ended and whose bins are not over yet.

        Args:
            local_us: the earliest local wall time on earth, microseconds since 1970.
        """
        asked = (
            "SELECT DISTINCT journey FROM episodes WHERE ended_us IS NULL "
            "AND (over_us IS NULL OR over_us > ?)"
        )
        return {journey for (journey,) in self._source.read(asked, (local_us,))}

    def episodes(
        self, ids: Sequence[str], journey: str, catalog: ActionCatalog, now_us: int
    ) -> tuple[dict[str, Episode], dict[str, list[EpisodeRow]], set[str]]:
        """The latest episode of each of these contacts in a journey, with what was decided in it.

        A pause that the catalogue no longer has lasts as long as its id says.

        Args:
            ids: of contacts.
            journey: whose episodes.
            catalog: its actions.
            now_us: the moment, microseconds since 1970 UTC; what ends later is not over.

        Returns:
            The episodes of those who have one, their open episodes in other journeys, and who is
            paused by a person, in whatever journey that was.
        """
        columns = columns_of("episodes", "episodes.")
        asked = (
            f"SELECT (SELECT step {_LAST}), (SELECT action {_LAST}), (SELECT arm {_LAST}), "
            f"(SELECT experiment {_LAST}), (SELECT step {_PAUSED}), (SELECT action {_PAUSED}), "
            f"(SELECT step {GHOST_PAUSE}), (SELECT action {GHOST_PAUSE}), "
            f"(SELECT ({GHOST_OF}) {_FIRST}), {columns} FROM episodes "
            f"WHERE contact_id {self._source.any_of} "
            "AND (journey = ? OR ended_us IS NULL OR paused_us IS NOT NULL) ORDER BY number"
        )
        pauses = dict(zip(catalog.ids, catalog.pause_bins.tolist(), strict=True))
        keys = self._source.listed([contact_key(name) for name in ids])
        found: dict[str, Episode] = {}
        others: dict[str, list[EpisodeRow]] = defaultdict(list)
        held: set[str] = set()
        for told in self._source.read(asked, (keys, journey)):
            step, action, arm, experiment, paused, pause, held_from, ghost, whose, *cells = told
            row = EpisodeRow(*cells)
            if row.paused_us is not None:
                held.add(row.contact_id)
            if row.journey != journey:
                others[row.contact_id] += [row] if row.ended_us is None else []
                continue
            until, ghost_until = _until(paused, pause, pauses), _until(held_from, ghost, pauses)
            found[row.contact_id] = Episode(
                row.episode_id,
                row.anchor_us,
                row.decided_step if step is None else step,
                max(until, row.paused_until or 0),
                action == "exit",
                arm,
                experiment,
                GhostPass(ghost_until, ghost == "exit", whose),
                row.number,
                row.reason if _has_ended(row, now_us) else None,
            )
        return found, others, held

    def cut_short(self) -> dict[str, int]:
        """When episodes ended by what no signal tells of, microseconds since 1970 UTC, by id."""
        asked = f"SELECT episode_id, ended_us FROM episodes WHERE reason IN ({_CUT})"
        return dict(self._source.read(asked))

    def paused_people(self) -> dict[str, int]:
        """Since when who is paused by a person has been, microseconds since 1970 UTC, by key."""
        asked = (
            "SELECT contact_id, min(paused_us) FROM episodes WHERE paused_us IS NOT NULL "
            "GROUP BY contact_id"
        )
        return dict(self._source.read(asked))

    def open_episodes(self, ids: Sequence[str]) -> list[EpisodeRow]:
        """The episodes of these contacts that nobody has ended; their time may be over."""
        found = self._among("episodes", "contact_id", ids, where="ended_us IS NULL")
        return [EpisodeRow(*row) for row in found]

    def told_since(self, contact_id: str, types: Sequence[str], since_us: int) -> list[Event]:
        """Events of some types that happened to a contact from a moment on, as they came.

        Args:
            contact_id: the contact.
            types: of events.
            since_us: that moment, microseconds since 1970 UTC.
        """
        kinds = self._source.listed(types)
        asked = (
            f"SELECT {columns_of('events')} FROM events WHERE contact_id = ? AND occurred_us >= ? "
            f"AND type {self._source.any_of} ORDER BY rowid"
        )
        found = self._source.read(asked, (contact_key(contact_id), since_us, kinds))
        return [event_of(row) for row in found]

    def passes(self, ids: Sequence[str]) -> dict[str, list[EpisodeRow]]:
        """All episodes of each of these contacts, in whatever journeys, as they came."""
        found: dict[str, list[EpisodeRow]] = defaultdict(list)
        for row in self._among("episodes", "contact_id", ids):
            found[row[1]].append(EpisodeRow(*row))
        return found

    def waiting(self, ids: Sequence[str]) -> dict[str, list[Waiting]]:
        """What each of these contacts waits to enter, as they came."""
        found: dict[str, list[Waiting]] = defaultdict(list)
        for row in self._among("waiting", "contact_id", ids):
            found[row[0]].append(Waiting(*row))
        return found

    def journey_entries(self, contact_id: str | None = None) -> list[JourneyEntry]:
        """The latest lines of the log of journeys, the oldest first; of one contact, or of all."""
        of, given = ("", ()) if contact_id is None else ("WHERE contact_id = ?", (contact_id,))
        asked = (
            f"SELECT {columns_of('journey_log')} FROM journey_log {of} "
            f"ORDER BY rowid DESC LIMIT {_MOST_ENTRIES}"
        )
        return [JourneyEntry(*row) for row in reversed(self._source.read(asked, given))]


def _has_ended(row: EpisodeRow, now_us: int) -> bool:
    """Whether an episode is over; one whose bins pass later goes on, where a clock was set back."""
    if row.ended_us is None:
        return False
    return row.reason != "completed" or row.ended_us <= now_us


def _until(step: int, action: str | None, pauses: Mapping[str, int]) -> int:
    """The first bin after a pause that began in a bin; 0 where nothing began."""
    bins = 0 if action is None else pauses.get(action) or _bins_of(action)
    return step + bins if bins > 1 else 0


def _bins_of(action: str) -> int:
    routing, _, bins = action.partition(":")
    return int(bins) if routing == "pause" and bins.isdigit() else 0
