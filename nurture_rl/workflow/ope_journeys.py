"""The streaming engine on episodes of several decisions: contacts in blocks, on disk until done."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from nurture_rl.appraisal.estimation import EvaluationConfig
from nurture_rl.appraisal.record import Appraisal
from nurture_rl.appraisal.streamed_journeys import appraise_blocks
from nurture_rl.errors import LogError
from nurture_rl.interchange.admission import Admission, require_share
from nurture_rl.interchange.frame_batches import needed
from nurture_rl.interchange.frames import notes_of
from nurture_rl.interchange.logged_rows import RefusedRow
from nurture_rl.ope.streaming.contact_blocks import ContactBlock, joined_blocks, pooled_block
from nurture_rl.ope.streaming.passes import in_order
from nurture_rl.ope.targets import TabulatedPolicy, TargetPolicy
from nurture_rl.progress import PROGRESS
from nurture_rl.workflow.ope_blocks import (
    BlockNotes,
    block_at,
    checked_part,
    groups_at,
    keep_block,
    notes_at,
)
from nurture_rl.workflow.ope_config import OpeConfig
from nurture_rl.workflow.ope_log import OpenedLog
from nurture_rl.workflow.ope_pass import KEPT_REFUSALS, progress_key, read_facts, streams_folder
from nurture_rl.workflow.ope_sample import opened_table
from nurture_rl.workflow.ope_shuffle import Shuffle, parts_for, shuffled
from nurture_rl.workflow.ope_targets import on_batch, target_policies

Made = TypeVar("Made")
KEPT_APART = 1 << 22  # contacts times policies whose numbers are kept one by one
_BYTES_A_CELL = 24  # on disk: rows brought together, then blocks


@dataclass(frozen=True, slots=True, eq=False)
class Journeys:
    """A table of episodes, its contacts in blocks on disk."""

    folder: Path  # of the blocks; removed when the log is judged
    admission: Admission  # of the sample
    sample: ContactBlock  # the first blocks as one
    policies: Mapping[str, TargetPolicy | TabulatedPolicy]
    notes: Sequence[BlockNotes]  # of every part of the table
    n_groups: int | None  # of contacts, by which errors are clustered; None: by contact
    workers: int

    def over(
        self, work: Callable[[ContactBlock, int], Made], names: tuple[str, ...], what: str
    ) -> Iterator[Made]:
        """What is made of every block, in their order, one after the other."""
        held = [place for place, notes in enumerate(self.notes) if notes.kept]
        files = [block_file(self.folder, place) for place in held]
        if self.n_groups is None:
            sizes = [self.notes[place].contacts for place in held]
        else:
            sizes = [groups_at(file, self.n_groups) for file in files]
        before = np.cumsum([0, *sizes]).tolist()
        like = self.sample.log

        def one(at: int) -> Made:
            block = block_at(files[at], like, names)
            if self.n_groups is not None:
                block = pooled_block(block, self.n_groups)
            return work(block, before[at])

        for at, made in in_order(range(len(held)), one, self.workers):
            PROGRESS.info("%s: %d of %d blocks of contacts", what, at + 1, len(held))
            yield made


def block_file(folder: Path, number: int) -> Path:
    """Where a block lies."""
    return folder / f"block-{number:06d}.npz"


def opened_journeys(run: OpeConfig) -> Journeys:
    """Bring the rows of each contact together, check them, and keep them in blocks.

    Raises:
        NurtureError: what the door of frames refuses, or too little room on the disk.
    """
    door, groups = opened_table(run)
    total = sum(group.n_rows for group in groups)
    folder = streams_folder(run) / progress_key(door.path, run)
    n_parts = parts_for(total, run.stream.batch_rows)
    shuffle = Shuffle(door, groups, folder / "rows", n_parts)
    if not folder.exists():
        _require_room(run, total * len(needed(door.columns, door.meaning)))
    shuffled(shuffle, max(run.threads, 1))
    first = _first(shuffle)
    policies = target_policies(run.targets, first)
    notes = _blocks(shuffle, run, policies)
    sample = _sample(folder, notes, first, tuple(policies), run.stream.sample_rows)
    n_groups = _groups(sum(one.contacts for one in notes), len(policies), n_parts)
    if n_groups is not None:
        sample = pooled_block(sample, n_groups)
    said = [*notes_of(door.columns, door.meaning, door.actions)]
    said += [note for one in notes for note in one.notes]
    admission = replace(
        first, log=sample.log, notes=tuple(dict.fromkeys(said)), segments={}, outcomes={}, day=None
    )
    return Journeys(folder, admission, sample, policies, notes, n_groups, max(run.threads, 1))


def _groups(contacts: int, policies: int, n_parts: int) -> int | None:
    """Groups of contacts where there are too many for a number of each by policy, else None."""
    most = KEPT_APART // policies
    if contacts <= most:
        return None
    return max(1 << (most.bit_length() - 1), n_parts)


def _require_room(run: OpeConfig, cells: int) -> None:
    """Refuse to begin where the disk cannot hold the rows twice.

    Raises:
        LogError: names what is free and what is needed.
    """
    root = Path(run.runs).resolve()
    root.mkdir(parents=True, exist_ok=True)
    free, due = shutil.disk_usage(root).free, _BYTES_A_CELL * cells
    if free < due:
        raise LogError(
            f"expected {due / 2**30:.1f} GiB of room in {root} to bring contacts together, got "
            f"{free / 2**30:.1f}; name another folder by runs, or make room"
        )


def _first(shuffle: Shuffle) -> Admission:
    """The first part of the table that has a good row.

    Raises:
        LogError, PropensityError: there is none.
    """
    refused: tuple[RefusedRow, ...] = ()
    read = 0
    for number in range(shuffle.n_parts):
        part = checked_part(shuffle, number)
        if part.admission is not None:
            return part.admission
        refused, read = refused + part.notes.refused, read + part.notes.read
    require_share((shuffle.door.path.name, "row"), refused, read, 0.0)
    raise AssertionError("no row is good and none is bad")


def _blocks(
    shuffle: Shuffle, run: OpeConfig, policies: Mapping[str, TargetPolicy | TabulatedPolicy]
) -> list[BlockNotes]:
    """Check every part and keep it as a block, where that is not done yet; what is said of each.

    Raises:
        LogError, PropensityError: more rows cannot be used than `data.max_refused` allows.
        NurtureError: what a target policy's answer is refused for.
    """
    folder, total = shuffle.folder.parent, sum(group.n_rows for group in shuffle.groups)

    def one(number: int) -> BlockNotes:
        file = block_file(folder, number)
        if not file.exists():
            part, block = checked_part(shuffle, number), None
            if part.admission is not None:
                targets = on_batch(policies, run.targets, part.admission)
                block = ContactBlock(part.admission.log, part.contact, part.episode, targets)
            keep_block(file, block, part.notes)
        return notes_at(file)

    found: list[BlockNotes] = []
    for number, notes in in_order(range(shuffle.n_parts), one, max(run.threads, 1)):
        found.append(notes)
        bad = sum(sum(part.kinds.values()) for part in found)
        if bad > run.data.max_refused * total or bad == total:
            read = sum(part.read for part in found)
            require_share((shuffle.door.path.name, "row"), _refused(found), read, 0.0)
        PROGRESS.info("checks of single rows: %d of %d blocks", number + 1, shuffle.n_parts)
    return found


def _refused(notes: Sequence[BlockNotes]) -> tuple[RefusedRow, ...]:
    """The first rows of the table that were set aside."""
    rows = [row for one in notes for row in one.refused]
    return tuple(sorted(rows, key=lambda row: row.line)[:KEPT_REFUSALS])


def _sample(
    folder: Path, notes: Sequence[BlockNotes], first: Admission, names: tuple[str, ...], most: int
) -> ContactBlock:
    """The first blocks, of up to so many decisions but at least one block: contacts by a hash."""
    blocks: list[ContactBlock] = []
    rows = 0
    for number, one in enumerate(notes):
        if one.kept and (not blocks or rows + one.kept <= most):
            blocks.append(block_at(block_file(folder, number), first.log, names))
            rows += one.kept
        elif one.kept:
            break
    return joined_blocks(blocks)


def appraised_journeys(
    opened: OpenedLog, journeys: Journeys, run: OpeConfig, config: EvaluationConfig
) -> tuple[OpenedLog, Appraisal]:
    """Judge a log in blocks: the log with what is said of it, and the appraisal.

    Raises:
        NurtureError: what `appraise` refuses.
    """
    rng = np.random.default_rng(run.seeds.evaluation)
    beside = replace(opened.beside, values=tuple(run.data.values))
    appraisal = appraise_blocks(
        journeys, journeys.sample, opened.reference, rng, config, beside, run.ask.candidate
    )
    facts = dict(opened.facts) | _facts(opened, journeys, appraisal)
    shutil.rmtree(journeys.folder)
    return replace(opened, facts=facts, refused=_refused(journeys.notes)), appraisal


def _facts(opened: OpenedLog, journeys: Journeys, appraisal: Appraisal) -> dict[str, Any]:
    """What the report says of the log and of how it was read."""
    notes, evaluation = journeys.notes, appraisal.evaluation
    digest = hashlib.sha256("".join(one.fingerprint for one in notes).encode())
    kinds: Counter[str] = Counter()
    for one in notes:
        kinds.update(one.kinds)
    read, contacts = sum(one.read for one in notes), sum(one.contacts for one in notes)
    errors = "by contact"
    if journeys.n_groups is not None:
        errors = f"by {evaluation.n_clusters:,} groups of contacts"
    engine = (
        f"engine: streaming, {read:,} rows in {len(notes):,} blocks of whole contacts; values, "
        f"overlap, value models and errors {errors} rest on all {evaluation.n_decisions:,} "
        f"decisions of {evaluation.n_episodes:,} episodes and {contacts:,} contacts, checks of "
        f"single decisions on {journeys.sample.log.n_rows:,} of them, those of some contacts; "
        "copies, and episodes of several contacts, are told row by row"
    )
    facts = read_facts(evaluation.n_decisions, read, kinds, _refused(notes))
    said = {"notes": [engine, *opened.facts["notes"]], "fingerprint": digest.hexdigest()}
    return facts | said
