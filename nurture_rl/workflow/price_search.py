"""Policies learned at prices, played in the learned world, until limits are kept at least cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nurture_envs.journey import Journey
from nurture_envs.simulation import Simulation
from nurture_rl.appraisal.price_findings import (
    FrontierPoint,
    PriceFindings,
    Tried,
    Used,
    UseLimit,
)
from nurture_rl.codec import read_record, write_record
from nurture_rl.errors import FitError
from nurture_rl.learned.priced_reward import SEND
from nurture_rl.rl.dual_prices import PlayedColumn, Search, priced, search_prices
from nurture_rl.workflow.judges import members_of
from nurture_rl.workflow.learn import load_policy
from nurture_rl.workflow.policy_stage import learned_policy
from nurture_rl.workflow.simulated import play_members
from nurture_rl.workflow.training import Training
from nurture_rl.workflow.use_limits import used

if TYPE_CHECKING:
    from nurture_rl.workflow.config import Settings
    from nurture_rl.workflow.stages import Workshop

FloatArray = NDArray[np.float64]
_OTHERS = 1000  # added to the seeds of the contacts by whom the last policy is judged
_RAISED = (1.25, 1.6, 2.0, 3.0, 5.0, 10.0)  # times the prices, where they keep to no limit alone
_HALVINGS = 3  # of the distance between prices that keep to the limits and those that do not
_BUDGETS = 12  # of the frontier's line


@dataclass(frozen=True, eq=False)
class PriceSearch:
    """One search: what it learns with, and where policies are played."""

    workshop: Workshop
    task: Training  # of the policy, without prices
    config: Any  # settings of its learner
    world: Path
    run: Settings
    limits: tuple[UseLimit, ...]
    drawn: str
    entering: float | None = None  # contacts in a week, where limits are budgets of a week

    @property
    def journey(self) -> Journey:
        """Of the policies."""
        return self.task.journey

    @cached_property
    def members(self) -> list[Simulation]:
        """Of the learned world, each by itself."""
        return members_of(self.world, self.journey)

    def tried(self, prices: Mapping[str, float]) -> Tried:
        """Learn at prices by channel, and play."""
        policy = replace(self.task.policy, prices=dict(prices))
        folder = learned_policy(self.workshop, replace(self.task, policy=policy), self.config)
        return Tried(policy.name, dict(prices), self.played(folder), folder.name)

    def played(self, folder: Path, others: bool = False) -> Used:
        """What a policy uses up in the learned world.

        Args:
            folder: of the policy.
            others: on contacts that the search did not play.
        """
        asked = self.run.run.simulation
        seeds = [seed + _OTHERS * others for seed in asked.seeds]
        inputs = {
            "policy": folder.name,
            "world": self.world.name,
            "seeds": seeds,
            "contacts": asked.contacts,
            "limits": [asdict(one) for one in self.limits],
            "drawn": self.drawn,
            "level": self.run.run.release.level,
            "journey": self.journey.resolved,
        }
        build = partial(_play, self, folder, seeds)
        return read_record(self.workshop.stage("used", inputs, build) / "used.json", Used)

    def by_channel(self, prices: FloatArray) -> dict[str, float]:
        """Prices of limits as prices of events."""
        found: dict[str, float] = {}
        for limit, price in zip(self.limits, prices.tolist(), strict=True):
            for name, cost in limit.prices(price, self.journey).items():
                found[name] = found.get(name, 0.0) + cost
        return {name: cost for name, cost in found.items() if cost != 0.0}


def _play(search: PriceSearch, folder: Path, seeds: Sequence[int], out: Path) -> None:
    policy = load_policy(folder, search.journey)
    contacts, level = search.run.run.simulation.contacts, search.run.run.release.level
    played = play_members(search.members, policy, seeds, contacts)
    write_record(
        used(played, search.journey, search.limits, search.drawn, level), out / "used.json"
    )


def found_prices(
    search: PriceSearch,
    programs: Sequence[Tried],
    shares: Sequence[float],
    trainings: int,
    tolerance: float,
) -> PriceFindings:
    """Draw the frontier, find the prices of the limits, and a policy that keeps to them.

    Args:
        search: what is learned, and where it is played.
        programs: written policies that may have a part in a mixture, `no_contact` among them.
        shares: prices of the frontier, as shares of what an event brings without a price.
        trainings: most policies learned in search of the prices, beside the frontier's.
        tolerance: share of the value; a gain up to it ends the search.

    Raises:
        FitError: nothing keeps to the limits, not even programs.
    """
    limits = search.limits
    tried = _with_frontier(search, programs, shares)
    if limits:
        found = _searched(search, tried, len(programs), trainings, tolerance)
        prices, best, most = found.best.prices, found.best.value, found.most
    else:
        best = max(one.used.value for one in tried)
        prices, most = np.zeros(0), best
    chosen = _chosen(search, tried, prices, len(programs))
    judged = None if chosen is None else _judged(search, tried[chosen])
    return PriceFindings(
        journey=search.journey.name,
        unit=search.journey.reward.unit,
        policy=search.task.policy.name,
        learner=search.task.policy.learner,
        drawn=search.drawn,
        contacts=search.run.run.simulation.contacts * len(search.run.run.simulation.seeds),
        members=len(search.members),
        level=search.run.run.release.level,
        entering=search.entering,
        limits=limits,
        prices=tuple(prices.tolist()),
        tried=tuple(tried),
        best=best,
        most=most,
        chosen=chosen,
        judged=judged,
        is_kept=judged is not None and judged.kept(limits),
        frontier=_frontier(tried),
    )


def _with_frontier(
    search: PriceSearch, programs: Sequence[Tried], shares: Sequence[float]
) -> list[Tried]:
    """The programs, the policy without a price, and those at the frontier's prices."""
    tried = [*programs, search.tried({})]
    free = tried[-1].used
    gain = free.value - programs[0].used.value
    if gain > 0.0 and free.mixed > 0.0:  # of what never happens no price can be a share
        worth = gain / free.mixed
        tried += [search.tried({search.drawn: share * worth}) for share in shares]
    return tried


def _searched(
    search: PriceSearch, tried: list[Tried], programs: int, trainings: int, tolerance: float
) -> Search:
    """Learn at prices until the mixture is the best there is; adds to what was tried."""
    limits = search.limits

    def learn(prices: FloatArray) -> PlayedColumn:
        by_channel = search.by_channel(prices)
        same = [one for one in tried[programs:] if one.prices == by_channel]
        if not same:
            same.append(search.tried(by_channel))
            tried.append(same[0])
        return same[0].used.column(limits)

    bounds = np.array([0.0 if one.per == SEND else one.at_most for one in limits])
    known = [one.used.column(limits) for one in tried]
    return search_prices(learn, known, bounds, trainings, tolerance)


def _chosen(
    search: PriceSearch, tried: list[Tried], prices: FloatArray, programs: int
) -> int | None:
    """The learned policy of the highest value that keeps to the limits; learns more if it must.

    One policy can be served, a mixture by contact cannot: where none that was tried keeps to the
    limits, the prices are raised until one does, and lowered again as far as it still does.
    """

    def keeps(times: float) -> bool:
        tried.append(search.tried(search.by_channel(times * prices)))
        return tried[-1].used.kept(search.limits)

    good = _kept(search, tried, programs)
    if not good and prices.any() and not any(one.is_nothing for one in search.limits):
        low, high = 1.0, next((times for times in _RAISED if keeps(times)), None)
        if high is not None:
            low = max((times for times in _RAISED if times < high), default=low)
            for _ in range(_HALVINGS):
                middle = (low + high) / 2.0
                low, high = (low, middle) if keeps(middle) else (middle, high)
        good = _kept(search, tried, programs)
    return max(good, key=lambda i: tried[i].used.value) if good else None


def _kept(search: PriceSearch, tried: Sequence[Tried], programs: int) -> list[int]:
    """Places of the learned policies that keep to all limits."""
    return [i for i in range(programs, len(tried)) if tried[i].used.kept(search.limits)]


def _judged(search: PriceSearch, chosen: Tried) -> Used:
    return search.played(search.workshop.root / "stages" / chosen.folder, others=True)


def _frontier(tried: Sequence[Tried]) -> tuple[FrontierPoint, ...]:
    """The best mixtures over budgets up to what the most valuable policy uses up."""
    columns = [PlayedColumn(one.used.value, np.array([one.used.mixed])) for one in tried]
    least = min(float(one.use[0]) for one in columns)
    end = float(max(columns, key=lambda one: one.value).use[0])
    points = []
    for budget in np.linspace(least, max(end, least), _BUDGETS):
        try:
            found = priced(columns, np.array([budget]))
        except FitError:  # the least by rounding
            continue
        points.append(FrontierPoint(float(budget), found.value, float(found.prices[0])))
    return tuple(points)
