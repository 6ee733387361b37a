"""The one record of logged decisions, read and checked once; every other room takes parts of it.

`WorldData` of `nurture_rl.simulator.data` is this record with what a fit weighs; `held_out_log` of
`nurture_rl.workflow.held_out` is its part that estimators read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import DAY_US, Clock
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_rl.errors import FitError, LogError, ShapeError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Decisions:
    """Logged decisions in arrays, sorted by episode, then step."""

    features: NDArray[np.float32]  # [N, d], known before the decision
    mask: BoolArray  # [N, a], actions that were legal; rows of False: unknown
    action: IntArray  # [N], position in the catalogue
    propensity: FloatArray  # [N], logging policy's chance of the action; NaN: unknown
    probabilities: FloatArray  # [N, a], the logging policy's; rows of 0: unknown
    reward: FloatArray  # [N], the journey's unit
    amounts: FloatArray  # [N, c], channel sums of the bin, in `journey.channels` order
    episode: IntArray  # [N], contiguous from 0
    step: IntArray  # [N], bin of the episode
    contact: IntArray  # [N], position among the log's contacts
    cluster: IntArray  # [N], what is independent: position among accounts and contacts without one
    terminal: BoolArray  # [N], nothing follows because the world ended
    matured: BoolArray  # [N], all of the bin is known: observed for as long as the delays say
    complete: BoolArray  # [N], all of the episode's horizon is known
    available: BoolArray  # [N], the contact could be reached in the bin
    held_out: BoolArray  # [N], the contact, with its account, is kept for evaluation
    age: IntArray  # [N], whole bins passed since the decision's; -1: open or never carried out
    event_delay: IntArray | None  # [N, c], bins until known, -1: no event; None: the log is silent
    when: IntArray  # [N], local day of the decision, days since 1970
    # [N], a model's propensity; None: all are the log's word
    estimated: BoolArray | None = field(default=None, kw_only=True)

    def take(self, rows: IntArray | BoolArray) -> Self:
        """Some of the decisions; episodes are numbered anew."""
        parts = picked(self, [one.name for one in fields(Decisions)], rows)
        parts["episode"] = np.unique(parts["episode"], return_inverse=True)[1]
        return replace(self, **parts)


def picked(record: Any, names: Iterable[str], rows: IntArray | BoolArray) -> dict[str, Any]:
    """Some rows of a record's columns, by name; a column that is not there stays so."""
    columns = {name: getattr(record, name) for name in names}
    return {name: None if part is None else part[rows] for name, part in columns.items()}


def load_decisions(ingested: Path, journey: Journey, held_out: float) -> Decisions:
    """Read a decision table; accounts, and contacts without one, are dealt by a hash of their id.

    Colleagues of an account are on one side: what one of them does bears on the others. A table
    that was read last and has not changed since is not read again; so the arrays are read-only.

    Raises:
        ShapeError: the table was made with another journey.
        LogError: a feature, a reward or an outcome is not finite.
    """
    path = (ingested / "decision_table.parquet").resolve()
    now = path.stat()
    changed = (now.st_ino, now.st_size, now.st_mtime_ns)
    widths = (len(FeatureSpec.of(journey).columns), len(journey.channels))
    catalog = ActionCatalog.of(journey)
    return _read(_Table(path, changed, held_out, journey.clock, catalog, widths))


@dataclass(frozen=True, slots=True)
class _Table:
    """A decision table as it lies there now, and how it is read."""

    path: Path
    changed: tuple[int, int, int]  # inode, bytes, ns: another file of that name is another table
    held_out: float
    clock: Clock
    catalog: ActionCatalog
    widths: tuple[int, int]  # features and channels


@lru_cache(maxsize=1)
def _read(source: _Table) -> Decisions:
    table = pq.read_table(source.path).combine_chunks()
    n, (d, c), a = len(table), source.widths, len(source.catalog)

    def column(name: str) -> NDArray[Any]:
        return np.asarray(table[name].to_numpy())

    def lists(name: str, dtype: Any, width: int) -> NDArray[Any]:
        flat = table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        if flat.size != n * width:
            raise ShapeError(
                f"{source.path}: expected {width} numbers in each row of {name}, got {flat.size} "
                f"in {n} rows; make the decision table with this journey"
            )
        return np.asarray(flat, dtype).reshape(n, width)

    contact = np.unique(column("contact_id").astype(str), return_inverse=True)[1]
    names, cluster = np.unique(column("cluster").astype(str), return_inverse=True)
    kept = np.array([held_out_share(name) < source.held_out for name in names])
    episode = np.unique(column("episode_id").astype(str), return_inverse=True)[1]
    order = np.lexsort((column("step"), episode))
    anchor_us = np.asarray(table["anchor"].cast(pa.int64()))
    began_us = anchor_us + source.clock.start_us(column("step").astype(np.int64))
    decisions = Decisions(
        features=lists("features", np.float32, d),
        mask=lists("mask", np.bool_, a),
        action=source.catalog.indices(column("action").tolist()),
        propensity=column("propensity").astype(np.float64),
        probabilities=lists("probabilities", np.float64, a),
        reward=column("reward").astype(np.float64),
        amounts=lists("outcomes", np.float64, c),
        episode=episode.astype(np.int64),
        step=column("step").astype(np.int64),
        contact=contact.astype(np.int64),
        cluster=cluster.astype(np.int64),
        terminal=column("terminal").astype(bool),
        matured=column("matured").astype(bool),
        complete=column("complete").astype(bool),
        available=column("available").astype(bool),
        held_out=kept[cluster],
        age=column("age").astype(np.int64),
        event_delay=lists("event_delay", np.int64, c),
        when=began_us // DAY_US,
        estimated=_estimated(table),
    )
    for name in ("features", "reward", "amounts"):
        if not np.isfinite(getattr(decisions, name)).all():
            raise LogError(f"{source.path}: {name} must be finite; mend the log and ingest it anew")
    decisions = decisions.take(order)
    for one in fields(decisions):
        part = getattr(decisions, one.name)
        if part is not None:
            part.setflags(write=False)
    return decisions


def _estimated(table: pa.Table) -> BoolArray | None:
    """Which propensities are a model's; None where the log knows none."""
    if "propensity_source" not in table.column_names:
        return None
    found = pc.fill_null(pc.equal(table["propensity_source"], "estimated"), False)
    return np.asarray(found.combine_chunks(), bool)


def held_out_share(cluster: str) -> float:
    """A number in [0, 1) that depends on the name alone, so a contact stays on its side.

    Contacts whose number, or whose account's, is below `data.held_out` are kept for evaluation.

    Args:
        cluster: see `clusters_of`.
    """
    return int(hashlib.sha256(f"held out|{cluster}".encode()).hexdigest()[:12], 16) / 16.0**12


def training_rows(decisions: Decisions) -> Decisions:
    """Matured decisions of the contacts that may be learned from.

    Raises:
        FitError: there are none.
    """
    rows = ~decisions.held_out & decisions.matured
    if not rows.any():
        raise FitError("no matured decision of a training contact; lower data.held_out or log more")
    return decisions.take(rows)


def world_rows(decisions: Decisions) -> Decisions:
    """Training contacts' decisions whose bin is over, also where records may still be late.

    Raises:
        FitError: there are none.
    """
    rows = ~decisions.held_out & (decisions.age >= 0)
    if not rows.any():
        raise FitError(
            "no training contact's bin is over; lower data.held_out, log more, or say until when "
            "the log is complete (data.complete_until)"
        )
    return decisions.take(rows)


def finished_episodes(decisions: Decisions) -> Decisions:
    """Training decisions whose return to the end of the episode is known.

    Raises:
        FitError: there are none.
    """
    rows = ~decisions.held_out & whole_episodes(decisions)
    if not rows.any():
        raise FitError(
            "no training contact's episode is over; wait for the horizon to pass, or say until "
            "when the log is complete (data.complete_until)"
        )
    return decisions.take(rows)


def whole_episodes(decisions: Decisions) -> BoolArray:
    """Rows of episodes every row of which is complete, [N]."""
    broken = np.bincount(decisions.episode, weights=~decisions.complete) > 0
    return np.asarray(~broken[decisions.episode])
