"""The sample of a large log: what is at hand decision by decision before it is summed up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nurture_rl.errors import ConfigError, LogError
from nurture_rl.interchange.admission import Admission, require_share
from nurture_rl.interchange.frame_batches import FrameBatch, FrameDoor, needed, open_door
from nurture_rl.interchange.frames import notes_of
from nurture_rl.ope.contact_hash import HashArray, bucket_of
from nurture_rl.ope.streaming.moments import MomentsConfig
from nurture_rl.ope.streaming.passes import RowGroup, batches, row_groups
from nurture_rl.ope.targets import TabulatedPolicy, TargetPolicy
from nurture_rl.progress import PROGRESS
from nurture_rl.workflow.ope_config import OpeConfig, frame_of
from nurture_rl.workflow.ope_targets import target_policies

BUCKETS = MomentsConfig().n_buckets  # groups of contacts


@dataclass(frozen=True, slots=True, eq=False)
class Sampled:
    """A large table, some of whose decisions are at hand."""

    door: FrameDoor
    groups: Sequence[RowGroup]
    admission: Admission  # of the sample; its log's clusters are buckets of contacts
    contacts: HashArray  # of the sample, [m]
    whole: bool  # the sample is all of the table
    policies: Mapping[str, TargetPolicy | TabulatedPolicy]


def streams(run: OpeConfig) -> bool:
    """Whether a log goes through the streaming engine.

    Raises:
        ConfigError: streaming is asked for of a log that cannot be streamed.
    """
    columns, path = run.data.columns, Path(str(run.data.path or ""))
    told = [name for name in ("step", "terminal") if getattr(columns, name) is not None]
    whole = columns.episode is not None or not told
    can = run.data.source == "frame" and path.suffix == ".parquet" and whole
    if run.stream.engine == "streaming" and not can:
        raise ConfigError(
            "stream.engine: streaming reads a Parquet table (data=frame) of single decisions or, "
            "by data.columns.episode and step, of episodes; say stream.engine=auto or memory for "
            "other logs"
        )
    if run.stream.engine != "auto":
        return run.stream.engine == "streaming"
    return can and path.is_file() and _rows_in(path) >= run.stream.rows


def sampled_log(run: OpeConfig) -> Sampled:
    """Look at the table and read its sample.

    Raises:
        NurtureError: what the door of frames refuses.
    """
    door, groups = opened_table(run)
    data, columns, meaning, path = run.data, door.columns, door.meaning, door.path
    PROGRESS.info("reading the sample")
    total = sum(group.n_rows for group in groups)
    whole = total <= run.stream.sample_rows
    read = _read(door, groups, total, run.stream.sample_rows)
    refused = tuple(row for batch in read for row in batch.refused)
    rows = sum(batch.read for batch in read)
    require_share((path.name, "row"), refused, rows, data.max_refused)
    admission, contacts = _joined(read)
    notes = tuple(dict.fromkeys((*notes_of(columns, meaning, door.actions), *admission.notes)))
    admission = replace(admission, notes=notes, refused=refused, read=rows)
    policies = target_policies(run.targets, admission)
    return Sampled(door, groups, admission, contacts, whole, policies)


def opened_table(run: OpeConfig) -> tuple[FrameDoor, list[RowGroup]]:
    """The door of the table that a run names, and its row groups.

    Raises:
        NurtureError: what the door of frames refuses.
    """
    path = Path(str(run.data.path))
    if not path.is_file():
        raise LogError(f"expected a Parquet file, got {path}; name it by data.path")
    return open_door(path, *frame_of(run)), row_groups(path)


def _rows_in(path: Path) -> int:
    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowException):
        return 0  # the engine in memory says what is wrong with it


def _read(door: FrameDoor, groups: Sequence[RowGroup], total: int, most: int) -> list[FrameBatch]:
    """All rows in one batch, or the first rows of every row group, so many of each as its share."""
    columns = needed(door.columns, door.meaning)
    if total <= most:
        with pq.ParquetFile(door.path) as file:
            return [door.batch(file.read(columns), 0)]
    parts = []
    for group in groups:
        rows = -(-group.n_rows * most // total)
        if rows:
            table, first = next(batches(door.path, group, columns, rows))
            parts.append(door.batch(table, first))
    return parts


def _joined(read: Iterable[FrameBatch]) -> tuple[Admission, HashArray]:
    """Batches as one, their contacts grouped by bucket."""
    kept = [(one.admission, one.contact) for one in read if one.admission is not None]
    logs = [admission.log for admission, _ in kept]
    contacts = np.concatenate([contact for _, contact in kept])
    n = contacts.size
    tables = [log.logged_probabilities for log in logs if log.logged_probabilities is not None]
    log = replace(
        logs[0],
        features=np.concatenate([log.features for log in logs]),
        mask=np.concatenate([log.mask for log in logs]),
        action=np.concatenate([log.action for log in logs]),
        propensity=np.concatenate([log.propensity for log in logs]),
        logged_probabilities=np.concatenate(tables) if tables else None,
        reward=np.concatenate([log.reward for log in logs]),
        episode=np.arange(n, dtype=np.int64),
        step=np.zeros(n, dtype=np.int64),
        cluster=bucket_of(contacts, BUCKETS),
        terminal=np.ones(n, dtype=np.bool_),
    )
    first = kept[0][0]
    targets = {
        name: np.concatenate([admission.targets[name] for admission, _ in kept])
        for name in first.targets
    }
    notes = tuple(note for admission, _ in kept for note in admission.notes)
    lines = np.concatenate([admission.line for admission, _ in kept])
    beside: dict[str, Any] = {"segments": {}, "outcomes": {}, "day": None, "line": lines}
    return replace(first, log=log, targets=targets, notes=notes, **beside), contacts
