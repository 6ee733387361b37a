"""Reading the experiment of a journey: the key `experiment` of a journey file."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nurture_envs.clock import Clock
from nurture_envs.experiment import ARMS, UNITS, Experiment, ExperimentGoals, Velocity
from nurture_envs.fields import Fields, hint
from nurture_envs.journey import Journey

USUAL_PROGRAMS = ("drip", "rules", "expert")  # of a journey, that may be business as usual
FREE_FACTORS = ("timing", "content", "offer", "routing")
_TOGETHER = 1e-9  # shares may add up to 1 but for so much


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
    found = Experiment(
        name=name,
        unit=f.text("unit", "contact", among=UNITS),
        shares=read_shares(f, "shares"),
        usual=f.text("usual", "drip", among=USUAL_PROGRAMS),
        free=f.text("free", among=FREE_FACTORS) if f.has("free") else None,
        salt=f.text("salt", name),
        goals=read_goals(f, figures, signals, whole),
    )
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


def read_goals(
    f: Fields, figures: Sequence[str], signals: Sequence[str], window_days: int | None = None
) -> ExperimentGoals:
    """What the experiment is judged by; problems go to `f`.

    Args:
        f: of the experiment.
        figures: names of the journey's key figures.
        signals: names of its signals.
        window_days: where the file says none; None: it has to.
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
    return ExperimentGoals(
        window_days=f.integer("window_days", low=1, **given),
        units=f.integer("units", low=100),
        worth=worth,
        once=once,
        velocity=_velocity(f, signals),
        level=f.number("level", 0.95, low=0.5, high=0.999),
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
