"""Reading the experiment of a journey: the key `experiment` of a journey file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date

from nurture_envs.clock import Clock, require_zone
from nurture_envs.errors import TimeZoneError
from nurture_envs.experiment import ARMS, TIME, UNITS, Experiment, ExperimentGoals, Velocity
from nurture_envs.fields import Fields, hint
from nurture_envs.journey import Journey
from nurture_envs.switchback import Switchback

USUAL_PROGRAMS = ("drip", "rules", "expert")  # of a journey, that may be business as usual
FREE_FACTORS = ("timing", "content", "offer", "routing")
_TOGETHER = 1e-9  # shares may add up to 1 but for so much
_NEAR = 1e-3  # of equal shares, for a third cannot be written


def read_experiment(
    journey: Fields, clock: Clock, figures: Sequence[str], signals: Sequence[str]
) -> Experiment | None:
    """The entry `experiment`, if there is one; problems go to `journey`.

    Args:
        journey: the file.
        clock: of the journey; outcomes count for as long as it lasts unless the file says.
        figures: names of its key figures.
        signals: names of its signals.
    """
    if not journey.has("experiment"):
        return None
    f = journey.mapping("experiment")
    name = f.name_text("name")
    whole = math.ceil(clock.periods * clock.period_hours / 24.0)
    unit, shares = f.text("unit", "contact", among=UNITS), read_shares(f, "shares")
    switchback = read_switchback(f, shares) if unit == TIME else None
    found = Experiment(
        name=name,
        unit=unit,
        shares=shares,
        usual=f.text("usual", "drip", among=USUAL_PROGRAMS),
        free=f.text("free", among=FREE_FACTORS) if f.has("free") else None,
        salt=f.name_text("salt") if f.has("salt") else name,
        goals=read_goals(f, figures, signals, whole, switchback),
        switchback=switchback,
    )
    if switchback is not None:
        require_comparable(f, switchback, len(shares), found.goals.level)
    for arm in found.shares:
        if arm not in ARMS:
            f.problem("shares", f"expected arms among {', '.join(ARMS)}, got {arm!r}")
    if "policy" not in found.shares:
        f.problem("shares", "expected a share of `policy`, which is what the others are held to")
    f.finish()
    return found


def read_shares(f: Fields, name: str) -> dict[str, float]:
    """Shares by arm, each above 0; problems go to `f`."""
    arms = f.mapping(name)
    shares = {str(arm): arms.number(str(arm), low=0.0, high=1.0) for arm in arms.data}
    if len(shares) < 2 or abs(sum(shares.values()) - 1.0) > _TOGETHER or 0.0 in shares.values():
        f.problem(name, f"expected two or more shares above 0 that add up to 1, got {shares}")
    return shares


def read_switchback(f: Fields, shares: Mapping[str, float], named: str = "shares") -> Switchback:
    """The blocks of an experiment that deals time; problems go to `f`.

    Args:
        f: of the experiment.
        shares: by arm.
        named: the key of the shares.
    """
    arms, first = len(shares), f.day("first_day")
    if f.data.get("first_day") is None:
        f.problem("first_day", "expected the day with which the first block begins, it is missing")
    if first is not None and not 1970 <= first.year < 3000:
        f.problem("first_day", f"expected a day from 1970 to 2999, got {first}")
        first = None
    found = Switchback(
        first_day=first or date(1970, 1, 1),
        zone=_zone(f),
        block_days=f.integer("block_days", 7, low=1, high=366),
        washout_days=f.integer("washout_days", 1),
        blocks=f.integer("blocks", low=1, high=1_000),
    )
    if found.washout_days >= found.block_days:
        f.problem(
            "washout_days",
            f"expected fewer days than a block has, {found.block_days}, got {found.washout_days}",
        )
    if found.blocks % max(arms, 1):
        f.problem("blocks", f"expected a multiple of the {arms} arms, got {found.blocks}")
    if any(abs(share * arms - 1.0) > _NEAR for share in shares.values()):
        f.problem(
            named,
            f"expected equal ones, for with `unit: time` each arm has one block of every {arms}, "
            f"got {dict(shares)}",
        )
    return found


def least_rounds(level: float) -> int:
    """Rounds of blocks below which even the clearest difference could be chance.

    In m rounds two arms have 2^m equally likely orders, so an interval with two ends covers at
    most 1 - 2^(1 - m).
    """
    return math.ceil(math.log2(2.0 / (1.0 - level)) - _TOGETHER)


def _zone(f: Fields) -> str:
    name = f.name_text("zone") or "UTC"
    try:
        require_zone(name)
    except TimeZoneError as error:
        f.problem("zone", str(error))
        return "UTC"
    return name


def read_goals(
    f: Fields,
    figures: Sequence[str],
    signals: Sequence[str],
    window_days: int | None = None,
    switchback: Switchback | None = None,
) -> ExperimentGoals:
    """What the experiment is judged by; problems go to `f`.

    Args:
        f: of the experiment.
        figures: names of the journey's key figures.
        signals: names of its signals.
        window_days: where the file says none; None: it has to.
        switchback: where time is dealt; None: it is not.
    """
    wanted = f.mapping("worth", {})
    worth = {str(name): wanted.number(str(name), low=0.0) for name in wanted.data}
    known = ", ".join(figures)
    for name in set(worth) - set(figures):
        wanted.problem(name, f"expected a key figure of the journey, one of {known}")
    once = tuple(str(name) for name in f.items("once", []))
    for name in set(once) - set(figures):
        f.problem("once", f"{name!r} is no key figure of the journey: {known}")
    given = {} if window_days is None else {"default": window_days}
    level = f.number("level", 0.95, low=0.5, high=0.999)
    return ExperimentGoals(
        window_days=f.integer("window_days", low=1, **given),
        units=f.integer("units", low=100) if switchback is None else switchback.blocks,
        worth=worth,
        once=once,
        velocity=_velocity(f, signals) if switchback is None else None,
        level=level,
    )


def require_comparable(f: Fields, switchback: Switchback, arms: int, level: float) -> None:
    """Note what an experiment that deals time cannot have.

    Args:
        f: of the experiment.
        switchback: its blocks.
        arms: how many it has.
        level: of its intervals.
    """
    least = arms * least_rounds(min(level, 0.999))
    if switchback.blocks < least:
        f.problem(
            "blocks",
            f"expected {least} or more, for with fewer no difference of {arms} arms can be told "
            f"at the level {level:g}, got {switchback.blocks}",
        )
    if f.has("units"):
        f.problem("units", "expected `blocks` in its place, for with `unit: time` blocks are dealt")
    if f.has("velocity"):
        f.problem(
            "velocity",
            "expected none, for with `unit: time` the days to a signal lie in blocks of several "
            "arms; leave it out, or deal contacts",
        )


def _velocity(f: Fields, signals: Sequence[str]) -> Velocity | None:
    if not f.has("velocity"):
        return None
    inner = f.mapping("velocity")
    found = Velocity(inner.text("signal", among=signals), inner.integer("days", low=2))
    inner.finish()
    return found


def experiment_problems(journey: Journey) -> list[str]:
    """Business as usual that the journey does not have."""
    one = journey.experiment
    if one is None:
        return []
    written = {"drip": journey.drip, "rules": journey.rules, "expert": journey.expert}
    if one.usual not in written or written[one.usual] or (one.usual == "rules" and journey.drip):
        return []
    near = hint(one.usual, [name for name, program in written.items() if program])
    return [f"experiment.usual: the journey has no {one.usual}{near}; write it, or name another"]
