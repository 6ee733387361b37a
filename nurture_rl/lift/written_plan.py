"""The plan of an experiment: a file that was written before it began."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import yaml

from nurture_envs.fields import Fields
from nurture_envs.journey import Journey
from nurture_rl.errors import ConfigError

UNITS = ("contact", "account")
_TOGETHER = 1e-9  # shares may add up to 1 but for so much


@dataclass(frozen=True, slots=True)
class Velocity:
    """A signal whose coming is timed, such as the entry of a stage."""

    signal: str
    days: int  # after which a contact counts with so many days


@dataclass(frozen=True, slots=True)
class Plan:
    """What was decided before the first contact was dealt."""

    name: str
    unit: str  # what is dealt to arms: "contact" or "account"
    shares: Mapping[str, float]  # by arm, adding up to 1
    usual: str  # the arm that all others are compared with
    starts: date  # first day, UTC; contacts enrolled before it are not in the experiment
    window_days: int  # so long after its enrolment does an outcome of a contact count
    units: int  # expected in all arms together, by the day the answer is due
    worth: Mapping[str, float]  # by key figure: the smallest difference worth having, per contact
    once: tuple[str, ...]  # key figures that count at most once an account
    velocity: Velocity | None
    level: float  # stated coverage of each interval, at all times together
    hash: str  # of the file


def load_plan(path: Path, journey: Journey) -> Plan:
    """Read and check a plan.

    Raises:
        ConfigError: the file cannot be read or is no plan; every problem is named.
    """
    try:
        raw = path.read_bytes()
        data = yaml.safe_load(raw.decode("utf-8"))
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
    arms = f.mapping("arms")
    shares = {str(name): arms.number(str(name), low=0.0, high=1.0) for name in arms.data}
    if len(shares) < 2 or abs(sum(shares.values()) - 1.0) > _TOGETHER or 0.0 in shares.values():
        f.problem("arms", f"expected two or more shares above 0 that add up to 1, got {shares}")
    named = f.text("journey")
    if named != journey.name:
        f.problem("journey", f"expected the journey of the log, {journey.name!r}, got {named!r}")
    starts = f.day("starts")
    if starts is None:
        f.problem("starts", "expected the first day, such as 2026-04-06")
    figures = [kpi.name for kpi in (journey.north_star, *journey.supporting)]
    wanted = f.mapping("worth", {})
    worth = {str(name): wanted.number(str(name), low=0.0) for name in wanted.data}
    for name in set(worth) - set(figures):
        wanted.problem(name, f"expected a key figure of the journey, one of {', '.join(figures)}")
    once = tuple(str(name) for name in f.items("once", []))
    for name in set(once) - set(figures):
        f.problem("once", f"{name!r} is no key figure of the journey: {', '.join(figures)}")
    plan = Plan(
        name=f.name_text("experiment"),
        unit=f.text("unit", among=UNITS),
        shares=shares,
        usual=f.text("usual", among=sorted(shares)),
        starts=starts or date(1970, 1, 1),
        window_days=f.integer("window_days", low=1),
        units=f.integer("units", low=100),
        worth=worth,
        once=once,
        velocity=_velocity(f, journey),
        level=f.number("level", 0.95, low=0.5, high=0.999),
        hash=digest,
    )
    f.finish()
    return plan


def _velocity(f: Fields, journey: Journey) -> Velocity | None:
    if not f.has("velocity"):
        return None
    inner = f.mapping("velocity")
    signals = [signal.name for signal in journey.signals]
    found = Velocity(inner.text("signal", among=signals), inner.integer("days", low=2))
    inner.finish()
    return found


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:16]
