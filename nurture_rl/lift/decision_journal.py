"""What was decided on which evidence, read by read: a small file beside each report."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from nurture_rl.codec import read_record
from nurture_rl.errors import ConfigError
from nurture_rl.lift.judged_arms import FigureLift, LiftReport
from nurture_rl.logs.atomic import MADE

JOURNAL = "journal.json"


@dataclass(frozen=True, slots=True)
class ReadEvidence:
    """What a read stands on."""

    plan: str  # hash of its file
    log: str  # fingerprint of the tables as they were given
    as_of_us: int  # the log is complete up to here, UTC
    among: str  # whom: everybody, or mailed
    versions: Mapping[str, str]  # by package


@dataclass(frozen=True, slots=True)
class JournalFigure:
    """One key figure of one arm, as it was read."""

    arm: str
    name: str
    per: str  # "contact" or "days"
    difference: float
    lower: float
    upper: float
    units: int
    verdict: str


@dataclass(frozen=True, slots=True)
class LastRead:
    """The read before, and what is different now."""

    digest: str  # of its journal's file: each entry names the one before
    evidence: ReadEvidence
    verdict: str
    plan_changed: bool
    # Figures that moved or are judged otherwise: as they were, and as they are; None: not told.
    moved: tuple[tuple[JournalFigure | None, JournalFigure | None], ...]


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """What was decided at one read."""

    experiment: str
    journey: str
    evidence: ReadEvidence
    verdict: str  # of the main arm's north star
    exit_code: int
    answers: Mapping[str, str]  # to the four questions
    figures: tuple[JournalFigure, ...]
    next: str  # what was suggested
    last: LastRead | None


def journal_figures(report: LiftReport) -> tuple[JournalFigure, ...]:
    """Every figure of every arm that is compared."""
    return tuple(_figure(arm, one) for arm, lifts in report.lifts.items() for one in lifts)


def _figure(arm: str, one: FigureLift) -> JournalFigure:
    return JournalFigure(
        arm=arm,
        name=one.name,
        per=one.per,
        difference=one.difference,
        lower=one.lower,
        upper=one.upper,
        units=one.units,
        verdict=one.verdict,
    )


def last_read(
    folder: Path, report: LiftReport, evidence: ReadEvidence, figures: tuple[JournalFigure, ...]
) -> LastRead:
    """The read whose output lies in a folder, beside the present one.

    Raises:
        ConfigError: it has no journal, or it is of another experiment, other people or a later day.
        LogError: its journal cannot be read.
    """
    path = folder / JOURNAL
    if not path.is_file():
        raise ConfigError(
            f"last: expected the folder of an earlier read with {JOURNAL}, got {folder}; name "
            "one that `nurture lift` made, or leave `last` out"
        )
    entry = read_record(path, JournalEntry)
    asked = (report.plan.name, report.journey, evidence.among)
    if (entry.experiment, entry.journey, entry.evidence.among) != asked:
        raise ConfigError(
            f"last: expected a read of experiment {asked[0]!r} of journey {asked[1]} among "
            f"{asked[2]}, got {entry.experiment!r} of {entry.journey} among "
            f"{entry.evidence.among} in {folder}"
        )
    if entry.evidence.as_of_us > evidence.as_of_us:
        raise ConfigError(
            f"last: expected a read of the same day or an earlier one, got a later one in {folder}"
        )
    before = {(one.arm, one.name): one for one in entry.figures}
    now = {(one.arm, one.name): one for one in figures}
    pairs = [(before.get(key), now.get(key)) for key in dict.fromkeys([*now, *before])]
    return LastRead(
        digest=hashlib.sha256(path.read_bytes()).hexdigest()[:16],
        evidence=entry.evidence,
        verdict=entry.verdict,
        plan_changed=entry.evidence.plan != evidence.plan,
        moved=tuple((old, new) for old, new in pairs if _told(old) != _told(new)),
    )


def _told(one: JournalFigure | None) -> JournalFigure | None:
    """What of a figure may move: more units alone are no move."""
    return None if one is None else replace(one, units=0)


def latest_read(root: Path, report: LiftReport, evidence: ReadEvidence) -> Path | None:
    """The folder of the latest earlier read of the same experiment and people.

    Args:
        root: folder of the reads' folders.
        report: the present read.
        evidence: of the present read.
    """
    asked = (report.plan.name, report.journey, evidence.among)
    found: list[tuple[int, str, Path]] = []
    for path in sorted(root.glob(f"{MADE}/{JOURNAL}")):
        entry = read_record(path, JournalEntry)
        same = (entry.experiment, entry.journey, entry.evidence.among) == asked
        if same and entry.evidence.as_of_us < evidence.as_of_us:
            found.append((entry.evidence.as_of_us, path.parent.name, path.parent))
    return max(found)[2] if found else None
