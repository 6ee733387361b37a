"""The pass of the streaming engine: every batch through the door, summed, resumable."""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nurture_rl.appraisal.streamed import Prepared
from nurture_rl.errors import LogError
from nurture_rl.interchange.admission import require_share
from nurture_rl.interchange.frame_batches import needed
from nurture_rl.interchange.logged_rows import RefusedRow
from nurture_rl.logs.atomic import atomic_write_bytes
from nurture_rl.logs.quarantine import causes_first
from nurture_rl.ope.contact_hash import HashArray, mixed
from nurture_rl.ope.streaming.batch_sums import batch_sums
from nurture_rl.ope.streaming.passes import Pace, RowGroup, batches, in_order, joined
from nurture_rl.ope.streaming.policy_sums import LogSums, added, arrays_of, from_arrays, no_sums
from nurture_rl.progress import PROGRESS
from nurture_rl.workflow.ope_config import OpeConfig
from nurture_rl.workflow.ope_sample import Sampled
from nurture_rl.workflow.ope_targets import on_batch
from nurture_rl.workflow.stages import code_hash

KEPT_EVERY = 1.0  # seconds between two writings of what is done
KEPT_REFUSALS = 100_000  # rows set aside that are listed; all are counted
LOOKED_AT = 64  # one in so many decision ids is looked at for copies
_LOOKED_SHIFT = np.uint64(64 - 6)


@dataclass(frozen=True, slots=True, eq=False)
class Passed:
    """What a pass has summed so far."""

    sums: LogSums
    groups: int = 0  # units of row groups
    read: int = 0  # rows
    batches: int = 0
    kinds: Mapping[str, int] = field(default_factory=dict)  # rows set aside by kind of problem
    refused: tuple[RefusedRow, ...] = ()  # the first of them
    looked_at: HashArray = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))  # ids


def of_sample(sampled: Sampled, prepared: Prepared) -> Passed:
    """The sums of a log that is its own sample."""
    targets = {name: one.target.probabilities for name, one in prepared.asked.items()}
    sums = batch_sums(prepared.sample, sampled.contacts, targets, prepared.summing)
    refused = sampled.admission.refused
    groups = len(sampled.groups)
    return Passed(sums, groups, sampled.admission.read, 1, _kinds(refused), refused)


def one_pass(sampled: Sampled, prepared: Prepared, run: OpeConfig) -> Passed:
    """Sum the whole table up; what is done is kept on disk while it goes on.

    Raises:
        LogError, PropensityError: more rows cannot be used than `data.max_refused` allows.
        NurtureError: what a target policy's answer is refused for.
    """
    total = sum(group.n_rows for group in sampled.groups)
    kept = pass_file(sampled, run)
    done = _resumed(kept, _nothing(prepared))
    if done.groups:
        PROGRESS.info("going on after %s decisions", f"{done.read:,}")
    pace = Pace(total, done.read)

    def work(group: RowGroup) -> Passed:
        return _group(sampled, prepared, run, group)

    units, written = joined(sampled.groups, run.stream.batch_rows), 0.0
    for _, part in in_order(units[done.groups :], work, max(run.threads, 1)):
        done = _together(done, part)
        _require_few(sampled, done, total, run.data.max_refused)
        if time.monotonic() - written >= KEPT_EVERY:
            _keep(kept, done)
            written = time.monotonic()
        PROGRESS.info(pace.line(done.read))
    _require_few(sampled, done, total, run.data.max_refused)
    kept.unlink(missing_ok=True)
    return done


def _nothing(prepared: Prepared) -> LogSums:
    summing = prepared.summing
    return no_sums(summing.config, prepared.sample.n_actions, summing.pairs)


def _group(sampled: Sampled, prepared: Prepared, run: OpeConfig, group: RowGroup) -> Passed:
    """The sums of one unit."""
    door, passed = sampled.door, Passed(_nothing(prepared), groups=1)
    columns = needed(door.columns, door.meaning)
    for table, first in batches(door.path, group, columns, run.stream.batch_rows):
        batch = door.batch(table, first)
        sums = _nothing(prepared)
        if batch.admission is not None:
            log = batch.admission.log
            targets = on_batch(sampled.policies, run.targets, batch.admission)
            sums = batch_sums(log, batch.contact, targets, prepared.summing)
        looked = batch.decision[mixed(batch.decision) >> _LOOKED_SHIFT == 0]
        kinds = _kinds(batch.refused)
        passed = _together(passed, Passed(sums, 0, batch.read, 1, kinds, batch.refused, looked))
    return passed


def _together(first: Passed, second: Passed) -> Passed:
    return Passed(
        sums=added(first.sums, second.sums),
        groups=first.groups + second.groups,
        read=first.read + second.read,
        batches=first.batches + second.batches,
        kinds=Counter(first.kinds) + Counter(second.kinds),
        refused=(first.refused + second.refused)[:KEPT_REFUSALS],
        looked_at=np.concatenate([first.looked_at, second.looked_at]),
    )


def _kinds(refused: tuple[RefusedRow, ...]) -> Counter[str]:
    return Counter(row.reason.split(":")[0] for row in refused)


def _require_few(sampled: Sampled, done: Passed, total: int, most: float) -> None:
    """Refuse as soon as more rows are bad than the whole table may have, or none is good."""
    bad = sum(done.kinds.values())
    if bad > most * total or bad == total:
        require_share((sampled.door.path.name, "row"), done.refused, done.read, 0.0)


def pass_file(sampled: Sampled, run: OpeConfig) -> Path:
    """Where progress is kept: by the table, the settings and the code of this pass."""
    return streams_folder(run) / f"{progress_key(sampled.door.path, run)}.npz"


def streams_folder(run: OpeConfig) -> Path:
    """Where unfinished runs over large tables keep what they have done."""
    return Path(run.runs).resolve() / "ope" / "streams"


def progress_key(table: Path, run: OpeConfig) -> str:
    """A name for a table, what is asked of it, and the code that asks."""
    stat = table.stat()
    known = [str(table.resolve()), stat.st_size, stat.st_mtime_ns]
    asked: list[Any] = [asdict(run.data), dict(run.targets), asdict(run.ask), asdict(run.stream)]
    asked += [asdict(run.seeds), code_hash()]
    text = json.dumps([known, asked], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_facts(
    kept: int, read: int, kinds: Mapping[str, int], refused: tuple[RefusedRow, ...]
) -> dict[str, Any]:
    """How many rows were read, kept and set aside, and why, for the report."""
    first = {row.reason.split(":")[0]: row for row in reversed(refused)}
    return {
        "read": read,
        "kept": kept,
        "refused": sum(kinds.values()),
        "reasons": [
            {
                "kind": kind,
                "rows": count,
                "line": first[kind].line if kind in first else None,
                "example": first[kind].reason if kind in first else kind,
            }
            for kind, count in causes_first(kinds)
        ],
    }


def _keep(path: Path, done: Passed) -> None:
    """Write progress; a crash leaves the last one."""
    head = {
        "groups": done.groups,
        "read": done.read,
        "batches": done.batches,
        "kinds": dict(done.kinds),
        "refused": [[row.file, row.line, row.reason] for row in done.refused],
    }
    buffer = io.BytesIO()
    arrays: dict[str, Any] = dict(arrays_of(done.sums))
    arrays["head"] = np.frombuffer(json.dumps(head).encode(), np.uint8)
    np.savez(buffer, looked_at=done.looked_at, **arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_bytes(path, buffer.getvalue())


def _resumed(path: Path, nothing: LogSums) -> Passed:
    """What an interrupted pass had done, or nothing.

    Raises:
        LogError: the file cannot be read.
    """
    if not path.exists():
        return Passed(nothing)
    try:
        with np.load(path, allow_pickle=False) as stored:
            head = json.loads(stored["head"].tobytes())
            sums = from_arrays(nothing, stored)
            looked_at = stored["looked_at"]
    except (OSError, ValueError, KeyError) as error:
        raise LogError(
            f"expected the progress of an interrupted pass in {path}, got: {error}; remove it to "
            "begin anew"
        ) from error
    refused = tuple(RefusedRow(*row) for row in head["refused"])
    return Passed(
        sums, head["groups"], head["read"], head["batches"], head["kinds"], refused, looked_at
    )
