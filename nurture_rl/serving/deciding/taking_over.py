"""Contacts who arrive mid-journey: their episode goes on where a log left it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nurture_envs.journey import Journey
from nurture_rl.errors import LogError
from nurture_rl.logs.schema import OF_EPISODE
from nurture_rl.serving.contacts.enrolment import ended_by, over, span_us, terms_of, usable_zone
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import EpisodeRow, JourneyEntry, Moves
from nurture_rl.serving.storage.store import Store

_COLUMNS = ("contact_id", "journey", "episode_id", "anchor", "step", "decided_at", "action")
_AT_ONCE = 1_000  # contacts
_WHO = "log"  # who enrolled them, in the log of journeys


def take_over(
    store: Store, folder: Path, journeys: Sequence[Journey], now_us: int, default_zone: str
) -> int:
    """Take up the episodes of an ingested log that go on.

    Their bins count from where they began, and what was decided there last holds: no bin is decided
    twice, and a pause goes on, also one by a person. Contacts who have any episode in the store are
    left as they are, and so are those whom it does not know. The log's contacts and events are
    loaded before.

    Args:
        store: where they are kept.
        folder: what ingest wrote.
        journeys: that are served; episodes of others are left out.
        now_us: the moment, microseconds since 1970 UTC.
        default_zone: zone of contacts who have none.

    Returns:
        How many episodes.

    Raises:
        LogError: the folder holds no decisions.
    """
    path = folder / "decisions.parquet"
    if not path.is_file():
        raise LogError(f"expected decisions.parquet in {folder}; leave take_over out")
    by_name, taken = {journey.name: journey for journey in journeys}, 0
    found = defaultdict(list)
    for row in _episodes(path, by_name):
        found[contact_key(row.contact_id)].append(row)
    keys = sorted(found)
    for start in range(0, len(keys), _AT_ONCE):
        some = keys[start : start + _AT_ONCE]
        with store.held(some):
            contacts, known = store.contacts(some), store.passes(some)
            events = store.events(some)
            rows = []
            for key in some:
                if key not in contacts or key in known:
                    continue
                zone = usable_zone(contacts[key].time_zone, default_zone)
                told = events.get(key, ())
                open_ = [
                    row
                    for row in found[key]
                    if over(row, now_us, zone, by_name) is None
                    and not any(
                        ended_by(by_name[row.journey], one, row.anchor_us, zone) for one in told
                    )
                ]
                # The one that began last: a person is in one journey at a time.
                rows += sorted(open_, key=lambda row: row.began_us or 0)[-1:]
            entries = [_entered(row, now_us) for row in rows]
            store.move(Moves(episodes=rows, entries=entries))
        taken += len(rows)
    return taken


def _episodes(path: Path, journeys: Mapping[str, Journey]) -> Iterator[EpisodeRow]:
    """The episodes of a log's decisions that neither a decision to exit nor a person ended."""
    said = [name for name in OF_EPISODE.names if name in pq.read_schema(path).names]
    table = pq.read_table(path, columns=[*_COLUMNS, *said])
    for name in OF_EPISODE.names:
        if name not in said:
            table = table.append_column(name, pa.nulls(len(table), pa.int64()))
    table = table.filter(pc.is_in(table["journey"], pa.array(list(journeys), pa.string())))
    bins = pc.add(table["step"].cast(pa.int64()), _paused_bins(table["action"]))
    table = table.append_column("until", bins)
    table = table.append_column("exit", pc.equal(table["action"], "exit"))
    for name in ("anchor", "decided_at", *OF_EPISODE.names):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, table[name].cast(pa.int64()))
    whole = table.group_by(["contact_id", "journey", "episode_id", "anchor"]).aggregate(
        [
            *(("decided_at", "min"), ("step", "max"), ("until", "max"), ("exit", "max")),
            *((name, "max") for name in OF_EPISODE.names),
        ]
    )
    numbers: dict[tuple[str, str], int] = defaultdict(int)
    for cells in whole.sort_by("decided_at_min").to_pylist():
        numbers[cells["contact_id"], cells["journey"]] += 1
        if not cells["exit_max"] and cells["ended_at_max"] is None:
            number = numbers[cells["contact_id"], cells["journey"]]
            yield _row(cells, journeys[cells["journey"]], number)


def _row(cells: Mapping[str, Any], journey: Journey, number: int) -> EpisodeRow:
    anchor_us, step, until = cells["anchor"], cells["step_max"], cells["until_max"]
    row = EpisodeRow(cells["episode_id"], cells["contact_id"], journey.name, anchor_us, number)
    return replace(
        row,
        priority=terms_of(journey).priority,
        began_us=cells["decided_at_min"],
        over_us=anchor_us + span_us(journey),
        decided_step=step,
        paused_until=until if until > step + 1 else None,
        paused_us=cells["paused_at_max"],
    )


def _entered(row: EpisodeRow, now_us: int) -> JourneyEntry:
    about = (now_us, _WHO, row.journey, row.contact_id, row.episode_id)
    return JourneyEntry(*about, "entered", f"taken over in bin {row.decided_step}")


def _paused_bins(actions: pa.ChunkedArray) -> pa.ChunkedArray:
    """Bins that each action pauses for, at least 1."""
    found = pc.extract_regex(actions, r"^pause:(?P<bins>\d+)$")
    bins = pc.struct_field(found, "bins").cast(pa.int64())
    return pc.fill_null(bins, 1)
