"""The answer of an experiment that deals time: rounds of blocks compared, at the planned end."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import special

from nurture_envs.journey import Journey, Kpi
from nurture_envs.journey_experiment import least_rounds
from nurture_envs.switchback import Switchback
from nurture_rl.lift.arm_sizes import SizesOfArms
from nurture_rl.lift.block_records import BlockRow, BlocksRead, CarryOver
from nurture_rl.lift.contrast import FloatArray
from nurture_rl.lift.enrolled import LogTables, Notes
from nurture_rl.lift.judged_arms import ArmTotals, FigureLift, LiftReport, verdict_of
from nurture_rl.lift.sign_flips import flipped_interval
from nurture_rl.lift.time_blocks import NOT_OVER, BlockCounts, block_counts
from nurture_rl.lift.velocity import IntArray
from nurture_rl.lift.written_plan import Plan

_FEWEST = 2  # rounds of which a spread can be told
_WARNS = 0.9  # level at which late days differ from early ones: a warning is cheap, silence is not


def judged_blocks(log: LogTables, plan: Plan, journey: Journey) -> LiftReport:
    """Compare the blocks of every arm with those of business as usual, round by round.

    No figure is told before the planned end: with so few blocks no interval that may be read at any
    time says much, and reading a fixed one again and again errs.

    Raises:
        LogError: nobody was decided for in the blocks.
    """
    assert plan.switchback is not None, "asked for where time is dealt"
    counts = block_counts(log, plan, journey)
    read = _Read(plan, plan.switchback, counts, log.as_of_us >= counts.ends_us)
    kpis = (journey.north_star, *journey.supporting)
    others = [arm for arm in plan.shares if arm != plan.usual]
    enough = read.over and read.rounds.shape[0] >= _FEWEST
    lifts = {
        arm: tuple(
            read.figure(arm, "supporting" if place else "north star", kpi, place)
            for place, kpi in enumerate(kpis)
        )
        for arm in others
        if enough
    }
    return LiftReport(
        plan=plan,
        journey=journey.name,
        provenance=journey.provenance,
        as_of_us=log.as_of_us,
        first_us=plan.switchback.begins_us(0),
        arms={arm: read.totals(arm, kpis) for arm in plan.shares},
        counts=SizesOfArms({arm: read.ran(arm) for arm in plan.shares}, dict(plan.shares), 1.0),
        notes=Notes(0, 0, 0, 0),
        lifts=lifts,
        too_few=() if enough or not read.over else tuple(others),
        blocks=read.told(lifts, kpis),
    )


@dataclass(frozen=True)
class _Read:
    """The blocks, and which of their rounds are compared."""

    plan: Plan
    blocks: Switchback
    counts: BlockCounts
    over: bool  # the planned end has come

    @property
    def width(self) -> int:
        """Blocks of a round."""
        return len(self.plan.shares)

    @property
    def counted(self) -> FloatArray:
        """Which days of a block count, [block_days]: 1, and 0 in the washout."""
        return (np.arange(self.blocks.block_days) >= self.blocks.washout_days).astype(np.float64)

    @cached_property
    def rounds(self) -> IntArray:
        """Blocks of each arm in the rounds that are compared, [rounds, arms of the plan].

        A round is compared when all its blocks were decided as planned, are over, and had contacts
        at risk.
        """
        arms, found = list(self.plan.shares), []
        at_risk = self._per_block(self.counts.at_risk, self.counted)
        for first in range(0, self.blocks.blocks, self.width):
            mine = range(first, first + self.width)
            named = [self.counts.arms[block] for block in mine]
            clean = not any(self.counts.faults[block] for block in mine)
            if clean and sorted(named) == sorted(arms) and (at_risk[list(mine)] > 0.0).all():
                found.append([first + named.index(arm) for arm in arms])
        return np.array(found, np.int64).reshape(-1, len(arms))

    def ran(self, arm: str) -> int:
        """Blocks of an arm that are over and were decided as planned."""
        pairs = zip(self.counts.arms, self.counts.faults, strict=True)
        return sum(name == arm and not fault for name, fault in pairs)

    def possible(self) -> int:
        """Rounds of which no block is spoilt so far."""
        faults = np.array(self.counts.faults, object).reshape(-1, self.width)
        return int(np.isin(faults, ["", NOT_OVER]).all(axis=1).sum())

    def _per_block(self, by_day: FloatArray, days: FloatArray) -> FloatArray:
        """Sums over some days of each block, [blocks]."""
        return np.asarray(by_day.reshape(-1, self.blocks.block_days) @ days)

    def rates(self, place: int, days: FloatArray) -> FloatArray:
        """A key figure in each block, for a contact's whole window at that pace, [blocks].

        Args:
            place: of the key figure.
            days: of a block that count, [block_days], 0 or 1.
        """
        events = self._per_block(self.counts.amounts[:, place], days)
        at_risk = self._per_block(self.counts.at_risk, days)
        none = np.full(events.shape, np.nan)
        pace = np.divide(events, at_risk, out=none, where=at_risk > 0.0)
        return np.asarray(pace * self.plan.window_days)

    def differences(self, arm: str, place: int, days: FloatArray) -> FloatArray:
        """An arm's block less the usual one of the same round, [rounds]."""
        arms, rates = list(self.plan.shares), self.rates(place, days)
        return np.asarray(
            rates[self.rounds[:, arms.index(arm)]]
            - rates[self.rounds[:, arms.index(self.plan.usual)]]
        )

    def figure(self, arm: str, role: str, kpi: Kpi, place: int) -> FigureLift:
        """A key figure of an arm, held against business as usual."""
        arms, rates = list(self.plan.shares), self.rates(place, self.counted)
        found = self.differences(arm, place, self.counted)
        error = float(found.std(ddof=1)) / float(np.sqrt(found.size))
        worth = self.plan.worth.get(kpi.name)
        lower, upper = -np.inf, np.inf
        if found.any():
            lower, upper = flipped_interval(found, self.plan.level)
        said = verdict_of(lower, upper, kpi.better, worth)
        reach = float(special.ndtri((1.0 + self.plan.level) / 2.0)) * error
        middle = float(found.mean())
        return FigureLift(
            name=kpi.name,
            role=role,
            better=kpi.better,
            per="contact",
            treated=float(rates[self.rounds[:, arms.index(arm)]].mean()),
            usual=float(rates[self.rounds[:, arms.index(self.plan.usual)]].mean()),
            difference=middle,
            stderr=error,
            lower=lower,
            upper=upper,
            once=(middle - reach, middle + reach),
            raw=middle,
            explained=0.0,
            units=2 * found.size,
            information=found.size * self.width / self.blocks.blocks,
            worth=worth,
            verdict=said,
            tells_us=None,
        )

    def totals(self, arm: str, kpis: tuple[Kpi, ...]) -> ArmTotals:
        """One arm over the rounds that are compared."""
        mine = self.rounds[:, list(self.plan.shares).index(arm)]
        means = {
            kpi.name: float(self.rates(place, self.counted)[mine].mean())
            if self.over and mine.size
            else float("nan")
            for place, kpi in enumerate(kpis)
        }
        return ArmTotals(self.counts.contacts, self.counts.arms.count(arm), mine.size, means)

    def told(self, lifts: dict[str, tuple[FigureLift, ...]], kpis: tuple[Kpi, ...]) -> BlocksRead:
        """The blocks themselves."""
        compared = set(self.rounds.ravel().tolist())
        rates = [self.rates(place, self.counted) for place in range(len(kpis))]
        at_risk = self._per_block(self.counts.at_risk, self.counted) / self.counted.sum()
        rows = tuple(
            BlockRow(
                block=block,
                arm=self.counts.arms[block],
                begins_us=self.blocks.begins_us(block),
                ends_us=self.blocks.begins_us(block + 1),
                at_risk=float(at_risk[block]),
                means={
                    kpi.name: float(rates[place][block]) if self.over else float("nan")
                    for place, kpi in enumerate(kpis)
                },
                compared=block in compared,
                fault=fault,
            )
            for block, fault in enumerate(self.counts.faults)
        )
        halves = self.over and self.counted.sum() >= 2.0
        return BlocksRead(
            ends_us=self.counts.ends_us,
            over=self.over,
            rounds=self.blocks.blocks // self.width,
            compared=self.rounds.shape[0],
            possible=self.rounds.shape[0] if self.over else self.possible(),
            least=least_rounds(self.plan.level),
            rows=rows,
            carry_over={arm: self.carry_over(arm) for arm in lifts} if halves else {},
            spread={
                arm: float(self.differences(arm, 0, self.counted).std(ddof=1)) for arm in lifts
            },
        )

    def carry_over(self, arm: str) -> CarryOver:
        """The north star early and late in the blocks: where they differ, the washout is short."""
        each = np.eye(self.blocks.block_days)
        days = self.blocks.block_days - self.blocks.washout_days
        late_days = (
            np.arange(self.blocks.block_days) >= self.blocks.block_days - days // 2
        ).astype(np.float64)
        early, late = (
            self.differences(arm, 0, half) for half in (self.counted - late_days, late_days)
        )
        both = np.isfinite(early) & np.isfinite(late)
        lower, upper = flipped_interval((late - early)[both], _WARNS)
        return CarryOver(
            by_day=tuple(_mean(self.differences(arm, 0, day)) for day in each),
            early=_mean(early[both]),
            late=_mean(late[both]),
            lower=lower,
            upper=upper,
        )


def _mean(values: FloatArray) -> float:
    """Of those that are known; NaN: of none."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")
