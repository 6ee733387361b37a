"""Blocks of contacts through the door and onto disk, and what was set aside on the way."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nurture_rl.errors import LogError
from nurture_rl.interchange.admission import Admission, admitted, sifted
from nurture_rl.interchange.frame_batches import ids_of
from nurture_rl.interchange.frames import read_frame
from nurture_rl.interchange.logged_rows import RefusedRow
from nurture_rl.logs.atomic import atomic_write_bytes
from nurture_rl.ope.contact_hash import bucket_of
from nurture_rl.ope.log import EvaluationLog
from nurture_rl.ope.streaming.contact_blocks import ContactBlock
from nurture_rl.workflow.ope_pass import KEPT_REFUSALS
from nurture_rl.workflow.ope_shuffle import Shuffle

_ARRAYS = (
    *("features", "mask", "action", "propensity", "reward", "episode", "step", "cluster"),
    "terminal",
)


@dataclass(frozen=True, slots=True, eq=False)
class BlockNotes:
    """What is said of a block beside its decisions."""

    kept: int  # decisions; 0 where every row was set aside
    contacts: int
    read: int  # rows
    kinds: Mapping[str, int]  # rows set aside by kind of problem
    refused: tuple[RefusedRow, ...]  # the first of them
    notes: tuple[str, ...]
    fingerprint: str


@dataclass(frozen=True, slots=True, eq=False)
class CheckedPart:
    """A part of the table behind the door, before target policies are asked."""

    admission: Admission | None  # None where no row is good
    contact: np.ndarray[tuple[int], np.dtype[np.uint64]]  # of each cluster, [C]
    episode: np.ndarray[tuple[int], np.dtype[np.uint64]]  # of each episode, [E]
    notes: BlockNotes


def checked_part(shuffle: Shuffle, number: int) -> CheckedPart:
    """A part of the table, checked row by row as a small log is.

    Raises:
        LogError, ConfigError, ShapeError: what cannot be read at all.
    """
    door, (table, place) = shuffle.door, shuffle.part(number)
    nothing = np.zeros(0, dtype=np.uint64)
    if not len(table):
        return CheckedPart(None, nothing, nothing, BlockNotes(0, 0, 0, {}, (), (), ""))
    rows = read_frame(table, door.columns, door.meaning)
    rows = replace(rows, source=door.path.name, line=place + 1)
    kept, refused = sifted(rows)
    kinds = Counter(row.reason.split(":")[0] for row in refused)
    notes = BlockNotes(0, 0, len(table), kinds, refused[:KEPT_REFUSALS], (), "")
    if kept.size == 0:
        return CheckedPart(None, nothing, nothing, notes)
    admission = admitted(rows, kept, refused)
    log, at = admission.log, np.searchsorted(place, admission.line - 1)
    begins = np.append(True, np.diff(log.episode) != 0)
    contact = np.empty(int(log.cluster.max()) + 1, dtype=np.uint64)
    contact[log.cluster] = ids_of(table[door.columns.contact])[at][begins]
    named = door.columns.episode or door.columns.decision
    known = place.astype(np.uint64) if named is None else ids_of(table[named])
    episode = known[at][begins]
    said = replace(
        notes,
        kept=log.n_rows,
        contacts=contact.size,
        notes=admission.notes,
        fingerprint=admission.fingerprint,
    )
    return CheckedPart(admission, contact, episode, said)


def keep_block(path: Path, block: ContactBlock | None, notes: BlockNotes) -> None:
    """Write a block and its notes; a crash leaves the whole file or none."""
    arrays: dict[str, Any] = {}
    if block is not None:
        log = block.log
        arrays |= {name: getattr(log, name) for name in _ARRAYS}
        arrays |= {f"target.{name}": table for name, table in block.targets.items()}
        arrays |= {"contact": block.contact, "known_episode": block.episode}
        if log.logged_probabilities is not None:
            arrays["logged_probabilities"] = log.logged_probabilities
    head = {
        "kept": notes.kept,
        "contacts": notes.contacts,
        "read": notes.read,
        "kinds": dict(notes.kinds),
        "refused": [[row.file, row.line, row.reason] for row in notes.refused],
        "notes": notes.notes,
        "fingerprint": notes.fingerprint,
    }
    arrays["head"] = np.frombuffer(json.dumps(head).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    atomic_write_bytes(path, buffer.getbuffer())


def notes_at(path: Path) -> BlockNotes:
    """What is said of a kept block.

    Raises:
        LogError: the file cannot be read.
    """
    with _opened(path) as stored:
        head = json.loads(stored["head"].tobytes())
    refused = tuple(RefusedRow(*row) for row in head["refused"])
    return BlockNotes(
        head["kept"],
        head["contacts"],
        head["read"],
        head["kinds"],
        refused,
        tuple(head["notes"]),
        head["fingerprint"],
    )


def block_at(path: Path, like: EvaluationLog, names: tuple[str, ...]) -> ContactBlock:
    """A kept block with the probabilities of some policies.

    Args:
        path: its file.
        like: a log of the same actions, unit and discount.
        names: of the policies.

    Raises:
        LogError: the file cannot be read.
    """
    with _opened(path) as stored:
        logged = None
        if "logged_probabilities" in stored:
            logged = stored["logged_probabilities"]
        arrays = {name: stored[name] for name in _ARRAYS}
        log = replace(like, logged_probabilities=logged, **arrays)
        targets = {name: stored[f"target.{name}"] for name in names}
        return ContactBlock(log, stored["contact"], stored["known_episode"], targets)


def groups_at(path: Path, n_groups: int) -> int:
    """How many groups the contacts of a kept block fall into.

    Raises:
        LogError: the file cannot be read.
    """
    with _opened(path) as stored:
        return int(np.unique(bucket_of(stored["contact"], n_groups)).size)


def _opened(path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise LogError(
            f"expected a block of an interrupted run in {path}, got: {error}; remove its folder to "
            "begin anew"
        ) from error
