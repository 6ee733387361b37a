"""A checked log as it stood at a moment: only what had happened and was known by then."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from nurture_envs.journey import Journey
from nurture_rl.errors import LogError
from nurture_rl.features.bins import BinnedLog, bin_log
from nurture_rl.predictions.current_contacts import CurrentContacts, current_contacts, known_by
from nurture_rl.predictions.predicted_outcomes import with_losses


@dataclass(frozen=True, eq=False)  # without slots: what is derived is kept
class KnownLog:
    """Events, contacts and decisions of a journey, up to a moment."""

    journey: Journey
    events: pa.Table
    contacts: pa.Table
    decided: pa.Table  # rows of the decision table
    as_of_us: int  # UTC
    zone: str  # where contacts of unknown zone live

    @cached_property
    def wide(self) -> Journey:
        """The journey with the losses that only its guardrails name."""
        return with_losses(self.journey)

    @cached_property
    def features(self) -> NDArray[np.float32]:
        """What each decision knew, [n, d]."""
        flat = self.decided["features"].combine_chunks().flatten()
        return np.asarray(flat, np.float32).reshape(len(self.decided), -1)

    @cached_property
    def binned(self) -> BinnedLog:
        """Decisions and events on one clock, signals as in `wide`."""
        return bin_log(self.events, self.contacts, self.decided, self.wide, self.zone)

    @property
    def clusters(self) -> NDArray[np.object_]:
        """Account, or contact, of each decision, [n]."""
        return np.asarray(self.decided["cluster"].to_pylist(), object)

    @cached_property
    def now(self) -> CurrentContacts:
        """Who is in the journey at the moment."""
        given = (self.events, self.contacts, self.decided, self.journey)
        return current_contacts(*given, self.as_of_us, self.zone)

    def with_events(self, events: pa.Table) -> KnownLog:
        """The same log with other events."""
        return replace(self, events=events)


def known_log(
    ingested: Path, journey: Journey, at_us: int | None, until_us: int | None, zone: str
) -> KnownLog:
    """Read a log as it stood.

    Args:
        ingested: folder of the stage `ingest`.
        journey: of the log.
        at_us: the moment, UTC; None: the end of the log.
        until_us: up to when the log is complete, UTC; None: its last record.
        zone: where contacts of unknown zone live.

    Raises:
        LogError: the log is not complete by then, or no decision was made by then.
    """
    tables = ingested / "tables"
    events, contacts = (pq.read_table(tables / f"{n}.parquet") for n in ("events", "contacts"))
    decided = pq.read_table(ingested / "decision_table.parquet")
    ends = [last_moment(events["recorded_at"]), last_moment(decided["decided_at"])]
    as_of_us = max(ends) if until_us is None else until_us
    if at_us is not None and at_us > as_of_us:
        raise LogError(
            f"at: expected a moment by which the log is complete, {moment_text(as_of_us)} at the "
            f"latest, got {moment_text(at_us)}"
        )
    as_of_us = as_of_us if at_us is None else at_us
    made = pc.less_equal(pc.cast(decided["decided_at"], pa.int64()), pa.scalar(as_of_us))
    decided = decided.filter(made)
    if not len(decided):
        raise LogError(f"no decision was made by {moment_text(as_of_us)}; give a later `at`")
    return KnownLog(journey, known_by(events, as_of_us), contacts, decided, as_of_us, zone)


def last_moment(column: pa.ChunkedArray) -> int:
    """The latest of some moments, UTC microseconds; 0 where there is none."""
    last = pc.max(pc.cast(column, pa.int64())).as_py()
    return 0 if last is None else int(last)


def moment_text(moment_us: int) -> str:
    """A UTC moment in ISO-8601, to the second."""
    return str(np.datetime64(moment_us, "us").astype("datetime64[s]")) + "Z"
