"""The answer of an experiment: each arm held against business as usual, and when it will tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from nurture_envs.clock import DAY_US
from nurture_envs.journey import Journey, Kpi
from nurture_rl.lift.arm_sizes import SizesOfArms, arm_sizes
from nurture_rl.lift.block_records import BlocksRead
from nurture_rl.lift.contrast import BoolArray, Contrast, FloatArray, contrast
from nurture_rl.lift.enrolled import Enrolled, Notes
from nurture_rl.lift.velocity import StageTimes, velocity_contrast, watched_share
from nurture_rl.lift.written_plan import Plan
from nurture_rl.ope.bounds.planned_looks import looks_width

Verdict = Literal["better", "worse", "no difference worth having", "cannot tell yet"]
_FEW = 30  # units of an arm below which errors are not to be trusted
_FURTHEST = 20.0  # plans; an answer further away than that is none


@dataclass(frozen=True, slots=True)
class FigureLift:
    """One key figure of one arm, held against business as usual."""

    name: str
    role: str  # "north star", "supporting" or "velocity"
    better: str  # "higher" or "lower"
    per: str  # "contact": events a contact; "days": mean days to a signal
    treated: float
    usual: float
    difference: float  # adjusted
    stderr: float
    lower: float  # holds at all times together
    upper: float
    once: tuple[float, float]  # the interval for whoever reads a single time, for comparison
    raw: float  # the difference without adjustment
    explained: float  # part of the variance that the adjustment takes away
    units: int  # followed up, in both arms
    information: float  # of that at the planned end
    worth: float | None  # smallest difference worth having
    verdict: Verdict
    tells_us: int | None  # when it will tell at the pace so far, UTC; None: not in sight, or told


@dataclass(frozen=True, slots=True)
class ArmTotals:
    """One arm."""

    contacts: int
    units: int
    followed: int  # contacts whose outcomes are all in
    means: Mapping[str, float]  # by key figure, per contact followed up


@dataclass(frozen=True, slots=True)
class LiftReport:
    """What an experiment says so far."""

    plan: Plan
    journey: str
    provenance: str  # of the journey's logs
    as_of_us: int  # UTC
    first_us: int  # the first enrolment, UTC
    arms: Mapping[str, ArmTotals]
    counts: SizesOfArms
    notes: Notes
    lifts: Mapping[str, tuple[FigureLift, ...]]  # by arm, the north star first
    too_few: tuple[str, ...]  # arms without enough units to be compared
    blocks: BlocksRead | None = None  # where time is dealt; None: it is not

    @property
    def main_arm(self) -> str | None:
        """The arm that the first screen is about: the first of the plan that can be compared."""
        return next(iter(self.lifts), None)

    @property
    def harms(self) -> list[FigureLift]:
        """The key figures of the main arm that should stay low."""
        lifts = self.lifts.get(self.main_arm or "", ())
        return [one for one in lifts if one.better == "lower" and one.role == "supporting"]


def judged(
    people: Enrolled, notes: Notes, plan: Plan, journey: Journey, as_of_us: int
) -> LiftReport:
    """Compare every arm of the plan with business as usual.

    Nothing is called better or worse while the arms are not as large as planned: then something
    else than chance dealt them.
    """
    names = list(plan.shares)
    figures = _figures(journey)
    as_planned = _sizes(people, plan)
    amounts = figure_amounts(people, plan, journey)
    totals = {}
    for place, name in enumerate(names):
        mine = people.arm == place
        done = mine & people.followed
        means = {
            k: float(v[done].mean()) if done.any() else float("nan") for k, v in amounts.items()
        }
        totals[name] = ArmTotals(int(mine.sum()), as_planned.counted[name], int(done.sum()), means)
    lifts, few = {}, []
    for name in names:
        if name == plan.usual:
            continue
        pair = _Pair(people, plan, name, as_planned.as_planned, as_of_us)
        if pair.smallest(people.followed) < _FEW:
            few.append(name)
            continue
        found = [pair.figure(role, kpi, amounts[kpi.name]) for role, kpi in figures]
        # Before so many were watched to the end, days that nobody has seen would count as without.
        if plan.velocity is not None and pair.smallest(people.timed) >= _FEW:
            found.append(pair.velocity(plan.velocity.signal, plan.velocity.days))
        lifts[name] = tuple(found)
    return LiftReport(
        plan,
        journey.name,
        journey.provenance,
        as_of_us,
        int(people.since_us.min()),
        totals,
        as_planned,
        notes,
        lifts,
        tuple(few),
    )


def judged_north_star(
    people: Enrolled, plan: Plan, journey: Journey, arm: str, as_of_us: int
) -> FigureLift | None:
    """The north star of one arm, as `judged` tells it; None: too few were followed up.

    Args:
        people: the enrolled.
        plan: of the experiment.
        journey: of the plan.
        arm: that is held against business as usual.
        as_of_us: the log is complete up to here, UTC.
    """
    pair = _Pair(people, plan, arm, _sizes(people, plan).as_planned, as_of_us)
    if pair.smallest(people.followed) < _FEW:
        return None
    star = journey.north_star
    return pair.figure("north star", star, _amount(people, star, plan, journey))


def _sizes(people: Enrolled, plan: Plan) -> SizesOfArms:
    """Units by arm, held against the plan."""
    counts = {
        name: int(np.unique(people.unit[people.arm == place]).size)
        for place, name in enumerate(plan.shares)
    }
    return arm_sizes(counts, plan.shares)


def _figures(journey: Journey) -> list[tuple[str, Kpi]]:
    return [
        ("north star", journey.north_star),
        *(("supporting", one) for one in journey.supporting),
    ]


def figure_amounts(people: Enrolled, plan: Plan, journey: Journey) -> dict[str, FloatArray]:
    """Events of each key figure within the window, by contact, [n]."""
    return {kpi.name: _amount(people, kpi, plan, journey) for _, kpi in _figures(journey)}


def _amount(people: Enrolled, kpi: Kpi, plan: Plan, journey: Journey) -> FloatArray:
    """Events of a key figure, [n]; at most one an account where the plan says so."""
    columns = [journey.channel_index(name) for name in kpi.of]
    amount = people.amounts[:, columns].sum(axis=1)
    if kpi.name not in plan.once:
        return np.asarray(amount, np.float64)
    hit = np.flatnonzero(amount > 0.0)
    _, first = np.unique(people.account[hit], return_index=True)
    out = np.zeros(amount.size)
    out[hit[first]] = 1.0
    return out


@dataclass(frozen=True)
class _Pair:
    """An arm and business as usual."""

    people: Enrolled
    plan: Plan
    name: str
    dealt_well: bool
    as_of_us: int

    @property
    def places(self) -> tuple[int, int]:
        names = list(self.plan.shares)
        return names.index(self.name), names.index(self.plan.usual)

    @property
    def planned(self) -> float:
        """Units of both arms at the planned end."""
        return self.plan.units * (self.plan.shares[self.name] + self.plan.shares[self.plan.usual])

    def smallest(self, rows: BoolArray) -> int:
        """Units that the arm with fewer of them has among some contacts, [n]."""
        people = self.people
        return min(
            np.unique(people.unit[rows & (people.arm == place)]).size for place in self.places
        )

    def _units(self, rows: BoolArray) -> tuple[np.ndarray, np.ndarray, BoolArray]:
        """Rows, their unit numbered from 0, and which units are treated."""
        at = np.flatnonzero(rows & np.isin(self.people.arm, self.places))
        _, first, unit = np.unique(self.people.unit[at], return_index=True, return_inverse=True)
        return at, unit, self.people.arm[at][first] == self.places[0]

    def figure(self, role: str, kpi: Kpi, amount: FloatArray) -> FigureLift:
        """A key figure per contact."""
        at, unit, treated = self._units(self.people.followed)
        per = np.bincount(unit).astype(np.float64)
        known = self.people.known[at]
        sums = np.stack([np.bincount(unit, weights=column) for column in known.T], axis=1)
        summed = np.bincount(unit, weights=amount[at]).astype(np.float64)
        found = contrast(treated, summed, per, sums / per[:, None])
        return self._told(role, kpi.name, kpi.better, "contact", found, found.units / self.planned)

    def velocity(self, signal: str, days: int) -> FigureLift:
        """The mean days to a signal."""
        times = self.people.stage
        assert times is not None, "the plan says a velocity"
        at, unit, treated = self._units(np.ones(self.people.arm.size, bool))
        mine = StageTimes(times.days[at], times.reached[at], unit)
        found = velocity_contrast(treated, mine, days)
        information = watched_share(mine, days, treated.size) / self.planned
        return self._told("velocity", f"days to {signal}", "lower", "days", found, information)

    def _told(
        self, role: str, name: str, better: str, per: str, found: Contrast, information: float
    ) -> FigureLift:
        level, worth = self.plan.level, self.plan.worth.get(name)
        half = looks_width(information, level) * found.stderr
        lower, upper = found.difference - half, found.difference + half
        reach = float(special.ndtri((1.0 + level) / 2.0)) * found.stderr
        verdict = verdict_of(lower, upper, better, worth) if self.dealt_well else "cannot tell yet"
        return FigureLift(
            name=name,
            role=role,
            better=better,
            per=per,
            treated=found.treated,
            usual=found.usual,
            difference=found.difference,
            stderr=found.stderr,
            lower=lower,
            upper=upper,
            once=(found.difference - reach, found.difference + reach),
            raw=found.raw,
            explained=found.explained,
            units=found.units,
            information=information,
            worth=worth,
            verdict=verdict,
            tells_us=self._tells(found.stderr, information, worth)
            if verdict == "cannot tell yet" and self.dealt_well
            else None,
        )

    def _tells(self, stderr: float, information: float, worth: float | None) -> int | None:
        """When the interval will be no wider than the difference worth having, at this pace."""
        if worth is None or information <= 0.0:
            return None
        shares = np.geomspace(max(information, 1e-3), _FURTHEST, 2_000)
        widths = np.array([looks_width(share, self.plan.level) for share in shares])
        enough = np.flatnonzero(widths * stderr * np.sqrt(information / shares) <= worth)
        if not enough.size:
            return None
        began = int(self.people.since_us.min())
        pace = information / max((self.as_of_us - began) / DAY_US, 1.0)
        wait = max(float(shares[enough[0]]) - information, 0.0) / pace
        return self.as_of_us + round(wait * DAY_US)


def verdict_of(lower: float, upper: float, better: str, worth: float | None) -> Verdict:
    """What an interval of a difference says.

    Args:
        lower: of the interval.
        upper: of the interval.
        better: "higher" or "lower".
        worth: the smallest difference worth having; None: not said.
    """
    if lower > 0.0 or upper < 0.0:
        return "better" if (lower > 0.0) == (better == "higher") else "worse"
    if worth is not None and -worth <= lower and upper <= worth:
        return "no difference worth having"
    return "cannot tell yet"
