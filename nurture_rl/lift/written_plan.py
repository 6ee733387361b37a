"""The plan of an experiment: a file that was written before it began."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path

import yaml

from nurture_envs.experiment import TIME, UNITS, Velocity
from nurture_envs.fields import Fields
from nurture_envs.journey import Journey
from nurture_envs.journey_experiment import (
    FREE_FACTORS,
    USUAL_PROGRAMS,
    read_goals,
    read_shares,
    read_switchback,
    require_comparable,
)
from nurture_envs.switchback import Switchback
from nurture_envs.yaml_once import read_yaml
from nurture_rl.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Plan:
    """What was decided before the first contact was dealt."""

    name: str
    unit: str  # what is dealt to arms: "contact", "account" or "time"
    shares: Mapping[str, float]  # by arm, adding up to 1
    usual: str  # the arm that all others are compared with
    starts: datetime  # UTC; contacts enrolled before it are not in the experiment
    window_days: int  # so long after its enrolment does an outcome of a contact count
    units: int  # expected in all arms together, by the day the answer is due; of time: blocks
    worth: Mapping[str, float]  # by key figure: the smallest difference worth having, per contact
    once: tuple[str, ...]  # key figures that count at most once an account
    velocity: Velocity | None
    level: float  # stated coverage of each interval, at all times together
    hash: str  # of the file
    free: str | None = None  # the one factor that the policy chooses; None: all, or not said
    program: str | None = None  # of the journey, that is business as usual; None: not said
    # Content hash of a server's experiment: whom it dealt are in it, and nobody else; None: whoever
    # has the first decision after `starts`.
    dealt_by: str | None = None
    switchback: Switchback | None = None  # where time is dealt; None: it is not
    salt: str | None = None  # by a hash of which blocks were dealt; None: not said


def load_plan(path: Path, journey: Journey) -> Plan:
    """Read and check a plan.

    Raises:
        ConfigError: the file cannot be read or is no plan; every problem is named.
    """
    try:
        raw = path.read_bytes()
        data = read_yaml(raw.decode("utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: expected the plan of an experiment (YAML), got {error}; see "
            "docs/measuring-lift.md for one"
        ) from error
    problems: list[str] = []
    plan = _read(Fields({"plan": data}, "", problems).mapping("plan"), journey, _digest(raw))
    if problems:
        told = "\n  ".join(one.removeprefix("plan.") for one in problems)
        raise ConfigError(f"{path}: the plan has problems; mend them and run again:\n  {told}")
    return plan


def _read(f: Fields, journey: Journey, digest: str) -> Plan:
    unit, shares = f.text("unit", among=UNITS), read_shares(f, "arms")
    blocks = read_switchback(f, shares, "arms") if unit == TIME else None
    named = f.text("journey")
    if named != journey.name:
        f.problem("journey", f"expected the journey of the log, {journey.name!r}, got {named!r}")
    starts = _starts(f)
    figures = [kpi.name for kpi in (journey.north_star, *journey.supporting)]
    signals = [signal.name for signal in journey.signals]
    goals = read_goals(f, figures, signals, switchback=blocks)
    if blocks is not None:
        require_comparable(f, blocks, len(shares), goals.level)
        f.text("north_star", figures[0], among=figures[:1])
        _require_begun(f, blocks, starts)
    plan = Plan(
        name=f.name_text("experiment"),
        unit=unit,
        shares=shares,
        usual=f.text("usual", among=sorted(shares)),
        starts=starts,
        dealt_by=f.text("dealt_by") if f.has("dealt_by") else None,
        window_days=goals.window_days,
        units=goals.units,
        worth=goals.worth,
        once=goals.once,
        velocity=goals.velocity,
        level=goals.level,
        hash=digest,
        free=f.text("free", among=FREE_FACTORS) if f.has("free") else None,
        program=f.text("program", among=USUAL_PROGRAMS) if f.has("program") else None,
        switchback=blocks,
        salt=f.name_text("salt") if blocks is not None and f.has("salt") else None,
    )
    f.finish()
    return plan


def _require_begun(f: Fields, blocks: Switchback, starts: datetime) -> None:
    """Note a plan written by hand that begins within its first block: its round would be lost.

    A server's says when the server began, whatever that costs.
    """
    first = datetime.fromtimestamp(blocks.begins_us(0) / 1e6, UTC)
    if not f.has("dealt_by") and starts > first:
        f.problem(
            "starts",
            f"expected no later than block 0, which begins at {first:%Y-%m-%dT%H:%M:%SZ} "
            f"({blocks.zone}), got {f.data.get('starts')}, which is UTC",
        )


def _starts(f: Fields) -> datetime:
    """The moment, or the beginning of the day in UTC."""
    written = f.data.get("starts")
    try:
        f.has("starts")
        found = written if isinstance(written, date) else datetime.fromisoformat(str(written))
    except ValueError:
        f.problem("starts", f"expected a day such as 2026-04-06, or a moment, got {written!r}")
        return datetime(1970, 1, 1, tzinfo=UTC)
    whole = found if isinstance(found, datetime) else datetime.combine(found, time.min)
    return whole.replace(tzinfo=UTC) if whole.tzinfo is None else whole.astimezone(UTC)


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:16]
