"""The runs of a sweep: each leaves a record, and what is finished is not done again.

A sweep lies in one folder, named by what was typed, so that the same line typed again goes on with
it. Every run has a folder of its own there, by its number, with its record in `run.json`.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import nan
from pathlib import Path
from typing import Any

import msgspec

from nurture_rl.cli.jobs import done
from nurture_rl.cli.verb_record import FAILED, REFUSED
from nurture_rl.codec import read_record
from nurture_rl.errors import LogError
from nurture_rl.logs.atomic import atomic_write_bytes
from nurture_rl.verb_result import OBJECTIVE, OBJECTIVE_IS, VerbResult

SWEEPS = "sweeps"  # folder of all sweeps, in `runs`
RUN = "run.json"  # the record of one run
# Words that say how a sweep is worked through, not which runs it has.
_HOW = ("-", "hydra/launcher", "hydra.launcher", "hydra.sweeper.n_", "workers=", "runs=")


class RunStatus(StrEnum):
    """How a run of a sweep ended."""

    FINISHED = "finished"
    WITHHELD = "withheld"  # finished, but the judge gives no number
    FAILED = "failed"  # refused its settings or data, or broke off


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of a sweep."""

    verb: str
    number: int  # in the sweep, from 0
    overrides: tuple[str, ...]  # its own settings, as typed
    status: RunStatus
    objective: float | None  # None where the run gives no number
    reason: str  # what the objective is, or why there is none
    exit_code: int
    seconds: float  # of work
    processor_seconds: float  # of work in this process, which a busy machine changes little
    key: str | None  # of all that the result depends on; None where the run is not to be reused
    made: Mapping[str, Any] = field(default_factory=dict)  # folders, files and answers


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run of a sweep stands."""

    folder: Path
    number: int
    overrides: tuple[str, ...]


def sweep_name(verb: str, words: Sequence[str]) -> str:
    """A name for a sweep by what was typed, whatever launches it."""
    typed = sorted(word for word in words if not word.lstrip("+").startswith(_HOW))
    return f"{verb}-{hashlib.sha256(json.dumps(typed).encode()).hexdigest()[:12]}"


def run_of_sweep(
    verb: str, place: Place, work: Callable[[], VerbResult], keyed: Callable[[], str] | None
) -> float:
    """Do one run, unless its record says that it is done; leave a record in any case.

    A run that breaks off is marked as failed, and the others go on.

    Args:
        verb: what is done.
        place: where the record lies.
        work: does it.
        keyed: names all that the result depends on; None: the run is always done.

    Returns:
        The objective; not a number where the run gives none.
    """
    began = _Clock(time.monotonic(), time.process_time())
    key: str | None = None
    already: RunRecord | None = None

    def made() -> VerbResult:
        nonlocal key, already
        key = None if keyed is None else keyed()
        kept = read_run(place.folder)
        if kept is None or key is None or kept.key != key or kept.status is RunStatus.FAILED:
            return work()
        print(f"{verb}: run {place.number} is {kept.status} already", file=sys.stderr, flush=True)
        already = kept
        return VerbResult(kept.made, kept.exit_code)

    try:
        result = done(verb, made)
    except Exception as error:
        traceback.print_exc()
        result = VerbResult({"failed": f"{type(error).__name__}: {error}"}, FAILED)
    record = _record(verb, place, result, began, key)
    if already is not None:
        record = replace(already, number=place.number, overrides=place.overrides)
    if record != already:  # else the time of its file stays: this start did no work for it
        _write(record, place.folder)
    return nan if record.objective is None else record.objective


@dataclass(frozen=True, slots=True)
class _Clock:
    """When something began, in seconds of the two clocks."""

    wall: float
    processor: float


def mark_lost(verb: str, place: Place, reason: str) -> None:
    """Leave a record of a run whose process was lost before it could."""
    now = _Clock(time.monotonic(), time.process_time())
    _write(_record(verb, place, VerbResult({"failed": reason}, FAILED), now, None), place.folder)


def read_run(folder: Path) -> RunRecord | None:
    """The record in a run's folder; None where there is none of this version of the package."""
    try:
        return read_record(folder / RUN, RunRecord) if (folder / RUN).is_file() else None
    except LogError:
        return None


def read_runs(sweep: Path) -> list[RunRecord]:
    """Every record of a sweep, by number."""
    found = [read_run(path.parent) for path in sweep.glob(f"*/{RUN}")]
    return sorted((one for one in found if one is not None), key=lambda record: record.number)


def _record(
    verb: str, place: Place, result: VerbResult, began: _Clock, key: str | None
) -> RunRecord:
    made, code = result.made, result.code
    broken = code in (FAILED, REFUSED)
    status = RunStatus.FAILED if broken else RunStatus.FINISHED
    objective = made.get(OBJECTIVE)
    if OBJECTIVE in made and objective is None:
        status = RunStatus.WITHHELD
    reason = str(made.get("failed", made.get("refused", made.get(OBJECTIVE_IS, ""))))
    reason = reason.removeprefix(f"{RunStatus.WITHHELD}: ")
    told = {
        name: value if value is None or isinstance(value, str | int | float) else str(value)
        for name, value in made.items()
    }
    return RunRecord(
        verb, place.number, place.overrides, status, objective, reason, code,
        round(time.monotonic() - began.wall, 2), round(time.process_time() - began.processor, 2),
        None if broken else key, told,
    )  # fmt: skip


def _write(record: RunRecord, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write_bytes(folder / RUN, msgspec.json.format(msgspec.json.encode(record), indent=1))
