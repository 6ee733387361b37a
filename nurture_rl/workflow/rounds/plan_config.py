"""The typed configuration of a dated plan of rounds, and what an earlier plan leaves to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from math import inf
from pathlib import Path

from nurture_rl.codec import read_record
from nurture_rl.errors import ConfigError
from nurture_rl.report.dated_source import DatedPlan
from nurture_rl.wording import counted
from nurture_rl.workflow.config import Settings
from nurture_rl.workflow.ranges import Range, require_each
from nurture_rl.workflow.run_config import RunConfig

RECORD = "plan.json"  # in the plan's folder
_COUNT = 4  # rounds where nobody says
_MOST_ROUNDS, _MOST_WEEKS, _MOST_DAYS = 100, 520, 365  # so that all days are in a calendar
_FIRST_DAY, _LAST_DAY = date(1970, 1, 1), date(3000, 1, 1)


@dataclass
class RoundPlanConfig(RunConfig):
    """A run's settings, and the rounds that are planned. `policy` is learned to see how far a log
    carries policies of the trust region."""

    start: str | None = None  # day on which the first round begins to collect; null: as planned
    weekly: float | None = None  # contacts that enter in a week, > 0; null: as planned
    count: int | None = None  # rounds in all, >= 1; null: as planned, at first 4
    # Weeks that a round collects, >= 1; null: the fewest whose own contacts the gate can judge by.
    weeks: int | None = None
    # Shares of decisions that go otherwise than the programme mostly would, by round, in [0, 1);
    # the last holds for all that follow. null: as in the log.
    exploration: list[float] | None = None
    # Smallest gain in the north star worth having, per contact, > 0; null: a tenth of it as it is.
    worth: float | None = None
    gate_days: int = 2  # days from known outcomes until the gate has answered, >= 0
    serve_days: int = 5  # days from its answer until what it let through runs, >= 0
    out: str = "rounds_plan"  # folder of the plan; one that is there is renewed
    # A real round's answer: `gate.json` of its pipeline, or the folder that holds it.
    gate: str | None = None
    decided: str | None = None  # day of that answer
    served: str | None = None  # day from which what it let through runs; null: by serve_days


@dataclass(frozen=True, slots=True)
class PlanAsked:
    """What is planned, with what an earlier plan said."""

    start: date
    weekly: float
    count: int
    before: DatedPlan | None  # the plan that is renewed
    shares: tuple[float, ...] | None = field(default=None)  # of all rounds; None: as in the log


def require_plan(checked: Settings) -> tuple[RoundPlanConfig, PlanAsked]:
    """Guard the settings of a plan, before any work.

    Raises:
        ConfigError: names the first that cannot be worked with.
        LogError: the plan that is to be renewed cannot be read.
    """
    run = checked.run
    if not isinstance(run, RoundPlanConfig):
        raise ConfigError(f"expected a configuration made from plan_rounds_schema, got {run!r}")
    before = _before(Path(run.out))
    start, weekly, count = _as_planned(run, before)
    done = 0 if before is None else len(before.done)
    asked = done if before is None else min(done + (run.gate is not None), before.count)
    shares = [] if run.exploration is None else run.exploration
    good = run.exploration is None or (len(shares) > 0 and all(0.0 <= one < 1.0 for one in shares))
    worth, weeks = run.worth, run.weeks
    learns = run.policy is not None and run.policy.learner != "none"
    require_each(
        (
            ("start", start, start is not None, "the day the first round begins: 2026-03-02"),
            ("weekly", weekly, weekly is not None and 0 < weekly < inf, "contacts a week, above 0"),
            _whole("count", count, max(1, asked), _MOST_ROUNDS, "rounds"),
            _whole("weeks", 1 if weeks is None else weeks, 1, _MOST_WEEKS, "whole weeks"),
            ("exploration", shares, good, "shares from 0 to below 1, such as [0.3,0.2]"),
            ("worth", worth, worth is None or 0 < worth < inf, "a gain above 0, per contact"),
            _whole("gate_days", run.gate_days, 0, _MOST_DAYS, "days"),
            _whole("serve_days", run.serve_days, 0, _MOST_DAYS, "days"),
            ("policy", run.policy, learns, "one that is learned, such as policy=cql"),
        )
    )
    for name in ("decided", "served"):
        if run.gate is None and getattr(run, name) is not None:
            raise ConfigError(f"{name}: it is the day of a gate's answer; name that by gate=FOLDER")
    if run.gate is not None and run.decided is None:
        raise ConfigError("decided: expected the day on which the gate answered, as 2026-05-18")
    assert start is not None, "asked for above"
    assert weekly is not None, "asked for above"
    begins = day_of("start", start)
    if before is not None and (before.done or run.gate is not None):
        _require_as_asked(before, begins, count, asked)
    spread = tuple([*shares, *[shares[-1]] * count][:count]) if shares else None
    return run, PlanAsked(begins, weekly, count, before, spread)


def _as_planned(
    run: RoundPlanConfig, before: DatedPlan | None
) -> tuple[str | None, float | None, int]:
    """Start, contacts a week and rounds, as they are said or were planned."""
    start, weekly, count = run.start, run.weekly, run.count
    if before is not None:
        start = before.start if start is None else start
        weekly = before.weekly if weekly is None else weekly
        count = before.count if count is None else count
    return start, weekly, _COUNT if count is None else count


def _whole(name: str, value: int, least: int, most: int, what: str) -> Range:
    return name, value, least <= value <= most, f"{what}, from {least} to {most}"


def _require_as_asked(before: DatedPlan, start: date, count: int, asked: int) -> None:
    """Where gates were asked by a plan, their days and their level stay."""
    rounds = counted(asked, "round")
    if start.isoformat() != before.start:
        raise ConfigError(
            f"start: the programme began on {before.start} and the gate of {rounds} was asked, got "
            f"{start}; leave start out, or name another folder by out="
        )
    if count > before.count:
        raise ConfigError(
            f"count: the gates' level was shared out among {before.count} rounds, and the gate of "
            f"{rounds} was asked at it, got {count}; plan what comes after them in another folder "
            "(out=)"
        )


def day_of(name: str, text: str) -> date:
    """A day as settings write it.

    Raises:
        ConfigError: it is none.
    """
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"{name}: expected a day such as 2026-03-02, got {text!r}") from error
    if not _FIRST_DAY <= day < _LAST_DAY:
        raise ConfigError(f"{name}: expected a day from {_FIRST_DAY} to {_LAST_DAY}, got {day}")
    return day


def _before(out: Path) -> DatedPlan | None:
    """The plan that is there."""
    if not out.exists():
        return None
    if not (out / RECORD).is_file():
        raise ConfigError(
            f"out: expected a folder that is not there, or one with the {RECORD} of an earlier "
            f"plan, got {out}; name another"
        )
    return read_record(out / RECORD, DatedPlan)
