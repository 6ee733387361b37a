"""The latest report of the verb `lift` on a journey, in a folder of reports."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path

import msgspec

from nurture_rl.logs.atomic import MADE
from nurture_rl.serving.arm_records import StartedPlan

REPORT = "lift.json"
HOW_TO = "nurture export_log store=STORE out=exported, then nurture lift data.path=exported"
_MOST = 100  # files, those that were written last
_LARGEST = 16 * 2**20  # bytes of a file
# Also of moments that no calendar has, and of lists in lists without end.
_UNREADABLE = (OSError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError)


class _Plan(msgspec.Struct, frozen=True):
    name: str
    usual: str
    unit: str
    units: int
    hash: str
    level: float


class _Figure(msgspec.Struct, frozen=True):
    name: str
    role: str
    better: str
    per: str
    treated: float
    usual: float
    difference: float
    lower: float
    upper: float
    worth: float | None
    information: float
    verdict: str


class _File(msgspec.Struct, frozen=True):
    plan: _Plan
    journey: str
    provenance: str
    as_of_us: int
    among: str
    main_arm: str | None
    answers: Mapping[str, str]
    lifts: Mapping[str, Sequence[_Figure]]


@dataclass(frozen=True, slots=True)
class FigureShown:
    """One key figure of the main arm less business as usual."""

    name: str
    role: str  # "north star", "supporting" or "velocity"
    better: str  # "higher" or "lower"
    per: str  # "contact" or "days"
    treated: float
    usual: float
    difference: float
    lower: float | None  # of the interval; None: nothing can be said yet
    upper: float | None
    worth: float | None  # smallest difference worth having
    verdict: str


@dataclass(frozen=True, slots=True)
class LiftShown:
    """The latest report."""

    folder: str  # its name
    experiment: str
    provenance: str  # of the log
    as_of: str  # the log is complete up to here, ISO 8601
    among: str  # everybody, or mailed
    level: float  # of each interval
    read_once: bool  # time was dealt: intervals hold at the planned end, not at all times together
    plan: str  # hash
    arm: str | None  # that is held against `against`; None: too few can be compared
    against: str
    followed: float  # units followed up, of those planned
    answers: Sequence[tuple[str, str]]  # question and answer
    figures: Sequence[FigureShown]  # the north star first


@dataclass(frozen=True, slots=True)
class LiftLook:
    """What the console shows of lift."""

    journey: str
    missing: str  # why there is no report, and how to get one; empty: there is one
    problems: Sequence[str]  # files that cannot be read
    left_out: int  # files that were written earlier, and not read
    served_plan: str | None  # hash of the plan of the experiment that is served
    served_experiment: str | None  # its name
    report: LiftShown | None


def lift_look(folder: Path | None, journey: str, served: StartedPlan | None) -> LiftLook:
    """Look for the latest report on a journey.

    A file that is no report is told and left aside: nothing here ends a request.

    Args:
        folder: in which each report has a folder of its own; None: none is named.
        journey: its name.
        served: the plan of the experiment that is served; None: none is.
    """
    name, plan = (None, None) if served is None else (served.name, served.digest)
    if folder is None:
        return _none(
            journey,
            "this server knows of no reports; start it with lift_reports=FOLDER, the folder "
            f"`lift` under `runs` of the verb. To make a report: {HOW_TO}",
            name,
            plan,
        )
    try:
        paths = sorted(folder.glob(f"{MADE}/{REPORT}"), key=_written, reverse=True)
        known = folder.is_dir()
    except OSError as error:
        return _none(journey, f"{folder} cannot be read: {error}", name, plan)
    problems: list[str] = []
    found: list[tuple[tuple[int, bool, str], LiftShown]] = []
    for path in paths[:_MOST]:
        name_of_read = os.fsencode(path.parent.name).decode("utf-8", "replace")
        try:
            read = _read(path)
            shown = _shown(read, name_of_read)
        except _UNREADABLE as error:
            problems.append(f"{name_of_read}: {str(error)[:200]}")
            continue
        if read.journey == journey:
            found.append(((read.as_of_us, read.among == "everybody", name_of_read), shown))
    missing = ""
    if not found:
        where = "has no report on it" if known else "is not there yet"
        missing = f"{folder} {where}; make one: {HOW_TO}"
    return LiftLook(
        journey=journey,
        missing=missing,
        problems=problems,
        left_out=max(len(paths) - _MOST, 0),
        served_plan=plan,
        served_experiment=name,
        report=max(found, key=lambda pair: pair[0])[1] if found else None,
    )


def _none(journey: str, missing: str, name: str | None, plan: str | None) -> LiftLook:
    return LiftLook(journey, missing, [], 0, plan, name, None)


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # it goes away as it is looked at
        return 0.0


def _read(path: Path) -> _File:
    if not path.is_file():  # a pipe would be waited for
        raise ValueError("expected a file, got something else")
    if (size := path.stat().st_size) > _LARGEST:
        raise ValueError(f"expected at most {_LARGEST} bytes, got {size}")
    return msgspec.json.decode(path.read_bytes(), type=_File, strict=False)


def _shown(read: _File, folder: str) -> LiftShown:
    figures = () if read.main_arm is None else read.lifts.get(read.main_arm, ())
    return LiftShown(
        folder=folder,
        experiment=read.plan.name,
        provenance=read.provenance,
        as_of=datetime.fromtimestamp(read.as_of_us / 1e6, UTC).isoformat(),
        among=read.among,
        level=read.plan.level,
        read_once=read.plan.unit == "time",
        plan=read.plan.hash,
        arm=read.main_arm,
        against=read.plan.usual,
        followed=figures[0].information if figures else 0.0,
        answers=list(read.answers.items()),
        figures=[_figure(one) for one in figures],
    )


def _figure(one: _Figure) -> FigureShown:
    if not all(map(isfinite, (one.treated, one.usual, one.difference))):
        raise ValueError(f"expected numbers for {one.name}, got none")
    known = isfinite(one.lower) and isfinite(one.upper)
    return FigureShown(
        name=one.name,
        role=one.role,
        better=one.better,
        per=one.per,
        treated=one.treated,
        usual=one.usual,
        difference=one.difference,
        lower=one.lower if known else None,
        upper=one.upper if known else None,
        worth=one.worth,
        verdict=one.verdict,
    )
