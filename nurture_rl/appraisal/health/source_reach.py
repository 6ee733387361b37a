"""How many decisions know something of each source of events, and how far sources are joined."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nurture_envs.journey import Journey
from nurture_rl.appraisal.first_look import SOURCES
from nurture_rl.appraisal.health.finding import LOOK, LogFinding, share

_FEW, _ALONE = 50, 0.5  # contacts of a source; share that no other source knows, told from on


@dataclass(frozen=True, slots=True)
class SourceReach:
    """One source of a log."""

    source: str  # of `SOURCES`
    signals: int  # of the journey that it brings, the journey's own actions apart
    events: int
    contacts: int  # with an event of it
    alone: int  # of these: with none of any other source
    decisions: float | None  # share that knew an event of it, in [0, 1]; None: no decisions


def source_reach(
    events: pa.Table, decisions: pa.Table, journey: Journey
) -> tuple[SourceReach, ...]:
    """What each source tells, by `SOURCES`.

    A decision knows an event that happened and was recorded before it.

    Args:
        events: rows of the events table.
        decisions: rows of the decisions table; may be none.
        journey: whose signals are counted.
    """
    names = pa.concat_arrays(
        [one["contact_id"].combine_chunks() for one in (events, decisions)]
    ).dictionary_encode()
    code = np.asarray(names.indices, np.int64)
    who, asked = code[: len(events)], code[len(events) :]
    known = np.maximum(*(_us(events[name]) for name in ("occurred_at", "recorded_at")))
    decided = _us(decisions["decided_at"])
    of = {
        source: np.asarray(pc.is_in(events["type"], pa.array(kinds)))
        for source, kinds in SOURCES.items()
    }
    has = {source: _has(who[rows], len(names.dictionary)) for source, rows in of.items()}
    found = []
    for source, kinds in SOURCES.items():
        first = np.full(len(names.dictionary), np.iinfo(np.int64).max)
        np.minimum.at(first, who[of[source]], known[of[source]])
        others = np.logical_or.reduce([one for name, one in has.items() if name != source])
        found.append(
            SourceReach(
                source=source,
                signals=sum(one.type in kinds and not one.by_action for one in journey.signals),
                events=int(of[source].sum()),
                contacts=int(has[source].sum()),
                alone=int((has[source] & ~others).sum()),
                decisions=float((first[asked] < decided).mean()) if len(decisions) else None,
            )
        )
    return tuple(found)


def apart(reach: tuple[SourceReach, ...]) -> Iterator[LogFinding]:
    """Sources most of whose contacts no other source knows; who is only mailed is no sign of it."""
    if sum(one.contacts >= _FEW for one in reach) < 2:
        return
    for one in reach:
        if one.source != "mail" and one.contacts >= _FEW and one.alone > _ALONE * one.contacts:
            yield LogFinding(
                "source apart",
                LOOK,
                f"{share(one.alone, one.contacts)} contacts with {one.source} events have none of "
                "any other source",
                "give one row that names both keys of a person, such as the address and the id or "
                "cookie by which this source knows them, as a form or a sign-in does",
            )


def _has(who: np.ndarray, contacts: int) -> np.ndarray:
    found = np.zeros(contacts, bool)
    found[who] = True
    return found


def _us(column: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(column.cast(pa.int64()), np.int64)
